//! The scope that systemd makes for a container: its name, its properties, and the limits among
//! them.

use super::gvariant::{Value, parse};
use super::resources::{cpu_weight, io_weight};
use super::{Planned, Unit};
use crate::config::resources::{Limit, Resources};
use crate::config::{Config, Invalid, annotation};
use crate::proc::list::ranges;
use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

const FIELD: &str = "linux.resources";

/// cpu.weight of a cgroup that was told nothing.
const DEFAULT_WEIGHT: u64 = 100;

/// Which systemd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Instance {
    System,
    /// The user's, for a container that is not root's.
    User,
}

/// A scope.
#[derive(Debug, Clone, PartialEq)]
pub struct Scope {
    /// Its name, and who makes it.
    pub unit: Unit,
    /// All at once, in the call that makes it.
    pub properties: Vec<Planned<Property>>,
    /// After init is born in it: a limit of processes that has no room for the one that holds its
    /// place until then.
    pub later: Vec<Planned<Property>>,
}

/// A property of a unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    /// As `MemoryMax`.
    pub name: String,
    pub value: Value,
}

impl Display for Property {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

impl Display for Scope {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let of = if self.unit.instance == Instance::User { " of the user" } else { "" };
        write!(f, "scope {}{of} with", self.unit.name)?;
        self.properties.iter().try_for_each(|property| write!(f, " {}", property.step))?;
        self.later.iter().try_for_each(|property| write!(f, ", later {}", property.step))
    }
}

/// The scope of a container that is limited to `resources`, [`rounded`].
pub(super) fn scope(config: &Config, unit: &Unit, resources: &Resources, id: &str) -> Result<Scope, Invalid> {
    let property = |name: &str, value| planned("", name, value);
    let yes = Value::Bool(true);
    let mut properties = vec![
        property("Description", Value::Text(format!("knarr container {id}"))),
        property("Slice", Value::Text(unit.slice.clone())),
        property("Delegate", yes.clone()),
        property("DefaultDependencies", Value::Bool(false)),
        property("MemoryAccounting", yes.clone()),
        property("CPUAccounting", yes.clone()),
        property("IOAccounting", yes.clone()),
        property("TasksAccounting", yes),
    ];
    let mut later = Vec::new();
    for mut limit in limits(resources) {
        // The process that holds the place is one, init is another.
        if limit.step.name == "TasksMax" && matches!(limit.step.value, Value::Uint64(..2)) {
            later.push(limit.clone());
            limit.step.value = Value::Uint64(2);
        }
        properties.push(limit);
    }
    for (key, text) in &config.annotations {
        if let Some(name) = key.strip_prefix(annotation::SYSTEMD_PROPERTY) {
            properties.push(annotated(key, name, text)?);
        }
    }
    Ok(Scope { unit: unit.clone(), properties, later })
}

fn planned(field: impl Into<String>, name: &str, value: Value) -> Planned<Property> {
    Planned { step: Property { name: name.into(), value }, field: field.into() }
}

/// `resources` as systemd can hold them: it counts CPU time in steps of 10 ms a second, so a quota
/// is rounded up to one. What is written to the cgroup is the same, or the next reload of systemd
/// would change it.
pub(super) fn rounded(resources: &Resources) -> Resources {
    let mut rounded = resources.clone();
    if let Some(Limit::To(quota)) = rounded.cpu.quota_us {
        let period = rounded.cpu.period_us.unwrap_or(super::resources::DEFAULT_PERIOD_US);
        let quota = u128::from(per_second(quota, period)) * u128::from(period) / 1_000_000;
        rounded.cpu.quota_us = Some(Limit::To(u64::try_from(quota).unwrap_or(u64::MAX)));
    }
    rounded
}

/// Microseconds of CPU time in a second, rounded up to 10 ms.
fn per_second(quota_us: u64, period_us: u64) -> u64 {
    let exact = (u128::from(quota_us) * 1_000_000).div_ceil(u128::from(period_us.max(1)));
    u64::try_from(exact.div_ceil(10_000) * 10_000).unwrap_or(u64::MAX)
}

/// The limits that systemd knows of. Without them in its unit it would take those in the cgroup
/// back at its next reload.
pub(super) fn limits(resources: &Resources) -> Vec<Planned<Property>> {
    let mut limits = Limits(BTreeMap::new());
    let (cpu, memory) = (&resources.cpu, &resources.memory);
    limits.weight(cpu.shares.map(cpu_weight), "cpu.shares");
    limits.weight(cpu.idle.and_then(|idle| idle.then_some(0)), "cpu.idle");
    limits.quota(cpu.quota_us, cpu.period_us, "cpu.quota");
    limits.set("AllowedCPUs", cpu.cpus.as_deref().and_then(bitmask), "cpu.cpus");
    limits.set("AllowedMemoryNodes", cpu.mems.as_deref().and_then(bitmask), "cpu.mems");
    limits.bound("MemoryMax", memory.limit, "memory.limit");
    limits.bound("MemorySwapMax", memory.swap, "memory.swap");
    limits.bound("MemoryLow", memory.reservation, "memory.reservation");
    limits.bound("TasksMax", resources.pids, "pids.limit");
    limits.set("IOWeight", resources.block_io.weight.map(|w| Value::Uint64(io_weight(w))), "blockIO.weight");
    // Last, as they are for the cgroup: they override.
    for (file, value) in &resources.unified {
        limits.unified(file, value.trim());
    }
    limits.0.into_values().collect()
}

/// What changes of the [`limits`] with an update, where the weight in force is this, or none that
/// is known.
pub(super) fn changes(resources: &Resources, weight: Option<u64>) -> Vec<Planned<Property>> {
    let mut changes = limits(resources);
    // To systemd being idle is a weight: without another it would stay so. The kernel gives who is
    // idle no more the usual one.
    let is_told = changes.iter().any(|property| property.step.name == "CPUWeight");
    if resources.cpu.idle == Some(false) && !is_told {
        changes.push(planned(
            format!("{FIELD}.cpu.idle"),
            "CPUWeight",
            Value::Uint64(weight.unwrap_or(DEFAULT_WEIGHT)),
        ));
    }
    changes
}

struct Limits(BTreeMap<&'static str, Planned<Property>>);

impl Limits {
    fn set(&mut self, name: &'static str, value: Option<Value>, field: &str) {
        if let Some(value) = value {
            self.0.insert(name, planned(format!("{FIELD}.{field}"), name, value));
        }
    }

    fn bound(&mut self, name: &'static str, limit: Option<Limit>, field: &str) {
        self.set(name, limit.map(bound), field);
    }

    fn weight(&mut self, weight: Option<u64>, field: &str) {
        self.set("CPUWeight", weight.map(Value::Uint64), field);
    }

    fn quota(&mut self, quota: Option<Limit>, period: Option<u64>, field: &str) {
        let per_second = quota.map(|quota| match quota {
            Limit::Max => bound(Limit::Max),
            Limit::To(us) => {
                Value::Uint64(per_second(us, period.unwrap_or(super::resources::DEFAULT_PERIOD_US)))
            }
        });
        self.set("CPUQuotaPerSecUSec", per_second, field);
        self.set("CPUQuotaPeriodUSec", period.map(Value::Uint64), field);
    }

    /// What a file of the cgroup is for systemd. A value that it cannot have is left to the kernel
    /// to refuse.
    fn unified(&mut self, file: &str, value: &str) {
        let field = format!("unified.{file}");
        let limit = |text: &str| match text {
            "max" => Some(Limit::Max),
            text => text.parse().ok().map(Limit::To),
        };
        let name = match file {
            "memory.max" => "MemoryMax",
            "memory.high" => "MemoryHigh",
            "memory.low" => "MemoryLow",
            "memory.min" => "MemoryMin",
            "memory.swap.max" => "MemorySwapMax",
            "pids.max" => "TasksMax",
            "cpuset.cpus" => return self.set("AllowedCPUs", bitmask(value), &field),
            "cpuset.mems" => return self.set("AllowedMemoryNodes", bitmask(value), &field),
            "cpu.weight" => return self.weight(value.parse().ok(), &field),
            "cpu.idle" => return self.weight((value == "1").then_some(0), &field),
            "cpu.max" => {
                let (quota, period) = value.split_once(' ').unwrap_or((value, "100000"));
                return self.quota(limit(quota), period.parse().ok(), &field);
            }
            _ => return,
        };
        self.bound(name, limit(value), &field);
    }
}

fn bound(limit: Limit) -> Value {
    Value::Uint64(match limit {
        Limit::Max => u64::MAX,
        Limit::To(n) => n,
    })
}

/// One more than the highest number of a processor: Linux has at most 8192.
const MOST_NUMBERS: usize = 8192;

/// A list like `0-3,7` as a set of bits, the lowest in the first byte. None for one with steps,
/// which systemd cannot hold.
fn bitmask(list: &str) -> Option<Value> {
    let mut bytes = Vec::new();
    for (first, last) in ranges(list, MOST_NUMBERS).ok()? {
        for bit in first..=last {
            if bytes.len() <= bit / 8 {
                bytes.resize(bit / 8 + 1, 0u8);
            }
            bytes[bit / 8] |= 1 << (bit % 8);
        }
    }
    Some(Value::bytes(&bytes))
}

/// Whether a property starts, stops or ends something beside the scope, places it elsewhere, or
/// names what the manager runs or loads. Whoever writes annotations may be somebody else than
/// whoever writes config.json.
fn is_about_others(name: &str) -> bool {
    const RELATIONS: [&str; 22] = [
        "BPFProgram",
        "BindsTo",
        "Conflicts",
        "Controller",
        "Group",
        "IPEgressFilterPath",
        "IPIngressFilterPath",
        "JoinsNamespaceOf",
        "NFTSet",
        "PIDs",
        "PartOf",
        "PropagatesReloadTo",
        "PropagatesStopTo",
        "ReloadPropagatedFrom",
        "Requires",
        "RequiresMountsFor",
        "Requisite",
        "Slice",
        "StopPropagatedFrom",
        "Upholds",
        "User",
        "Wants",
    ];
    RELATIONS.contains(&name)
        || ["Exec", "On", "Trigger", "PIDFD"].iter().any(|start| name.starts_with(start))
        || ["Action", "RebootArgument", "WantsMountsFor"].iter().any(|end| name.ends_with(end))
}

/// A property by annotation: `org.systemd.property.TimeoutStopUSec: uint64 10000000`. One in
/// seconds, as unit files have it, is given in microseconds, as D-Bus has it.
fn annotated(key: &str, name: &str, text: &str) -> Result<Planned<Property>, Invalid> {
    let field = format!("annotations.{key}");
    let is_name = name.len() >= 3
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_alphabetic());
    if !is_name {
        return Err(Invalid::new(field, format!("{name:?} is not the name of a property of systemd")));
    }
    if is_about_others(name) {
        return Err(Invalid::new(field, "is about more than the container's scope"));
    }
    let value = parse(text).map_err(|err| Invalid::new(&field, format!("{text:?}: {err}")))?;
    let seconds = name.strip_suffix("Sec").filter(|stem| !stem.ends_with('U'));
    let Some(stem) = seconds else { return Ok(planned(field, name, value)) };
    let us = match value {
        Value::Uint64(n) => n.checked_mul(1_000_000),
        Value::Uint32(n) => Some(u64::from(n) * 1_000_000),
        Value::Uint16(n) => Some(u64::from(n) * 1_000_000),
        Value::Int64(n) => u64::try_from(n).ok().and_then(|n| n.checked_mul(1_000_000)),
        Value::Int32(n) => u64::try_from(n).ok().map(|n| n * 1_000_000),
        Value::Double(n) if (0.0..1e12).contains(&n) => Some((n * 1e6) as u64),
        _ => None,
    };
    match us {
        Some(us) => Ok(planned(field, &format!("{stem}USec"), Value::Uint64(us))),
        None => Err(Invalid::new(field, format!("{text:?} is not a number of seconds"))),
    }
}
