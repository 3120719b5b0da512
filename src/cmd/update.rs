//! `knarr update`.

mod devices;

use super::Global;
use crate::cgroup::systemd;
use crate::config::{
    self,
    resources::Limit,
    update::{self, Asked},
};
use crate::host;
use crate::parent::added_devices::Devices;
use crate::parent::rdt::Schemata;
use crate::plan;
use crate::state::{Command, Container, Event, What};
use crate::sys::{cred, fs};
use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

#[derive(Debug, Default, clap::Args)]
#[group(id = "update")]
pub struct Args {
    /// The container's id
    #[arg(value_name = "ID")]
    pub id: String,
    /// File with an object as linux.resources of config.json, - for standard input; other options
    /// are added to it
    #[arg(short, long, value_name = "FILE")]
    pub resources: Option<PathBuf>,
    /// Share of busy block devices, 10 to 1000
    #[arg(long, value_name = "WEIGHT")]
    pub blkio_weight: Option<u16>,
    /// Period of the CPU quota, in microseconds
    #[arg(long, value_name = "US")]
    pub cpu_period: Option<u64>,
    /// CPU time in each period, in microseconds; -1 is no limit
    #[arg(long, value_name = "US", allow_negative_numbers = true)]
    pub cpu_quota: Option<i64>,
    /// Unused quota that may be saved up, in microseconds
    #[arg(long, value_name = "US")]
    pub cpu_burst: Option<u64>,
    /// Share of busy processors, 2 to 262144
    #[arg(long, value_name = "SHARES")]
    pub cpu_share: Option<u64>,
    /// Accepted for compatibility: cgroup v2 has no real-time limits
    #[arg(long, value_name = "US", hide = true)]
    pub cpu_rt_period: Option<u64>,
    /// Accepted for compatibility: cgroup v2 has no real-time limits
    #[arg(long, value_name = "US", hide = true, allow_negative_numbers = true)]
    pub cpu_rt_runtime: Option<i64>,
    /// Processors, as 0-3,7
    #[arg(long, value_name = "LIST")]
    pub cpuset_cpus: Option<String>,
    /// Memory nodes, as 0-3,7
    #[arg(long, value_name = "LIST")]
    pub cpuset_mems: Option<String>,
    /// 1: run only when nothing else wants to; 0: as usual
    #[arg(long, value_name = "0|1")]
    pub cpu_idle: Option<i64>,
    /// Memory, as 64M; -1 is no limit
    #[arg(short, long, value_name = "BYTES", allow_negative_numbers = true, value_parser = bytes)]
    pub memory: Option<i64>,
    /// Memory that is reclaimed last, as 32M
    #[arg(long, value_name = "BYTES", allow_negative_numbers = true, value_parser = bytes)]
    pub memory_reservation: Option<i64>,
    /// Memory and swap together, as 96M; -1 is no limit on swap
    #[arg(long, value_name = "BYTES", allow_negative_numbers = true, value_parser = bytes)]
    pub memory_swap: Option<i64>,
    /// Accepted for compatibility: cgroup v2 has no limit of its own for the kernel's memory
    #[arg(long, value_name = "BYTES", hide = true, allow_negative_numbers = true, value_parser = bytes)]
    pub kernel_memory: Option<i64>,
    /// Accepted for compatibility: cgroup v2 has no limit of its own for TCP buffers
    #[arg(long, value_name = "BYTES", hide = true, allow_negative_numbers = true, value_parser = bytes)]
    pub kernel_memory_tcp: Option<i64>,
    /// Processes and threads; -1 is no limit
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub pids_limit: Option<i64>,
    /// Line of the container's resctrl schemata for the level 3 cache, as L3:0=f;1=f
    #[arg(long, value_name = "SCHEMA")]
    pub l3_cache_schema: Option<String>,
    /// Line of the container's resctrl schemata for the memory bandwidth, as MB:0=20;1=70
    #[arg(long, value_name = "SCHEMA")]
    pub mem_bw_schema: Option<String>,
    /// A file of the cgroup and what to write to it; may be repeated
    #[arg(long, value_name = "FILE=VALUE")]
    pub unified: Vec<String>,
    /// Give the container this device of the host's: a rule and a node; may be repeated
    #[arg(long, value_name = "PATH[:CONTAINER_PATH][:rwm]", value_parser = devices::asked)]
    pub device_add: Vec<devices::Asked>,
    /// Take a device that was added away; may be repeated
    #[arg(long, value_name = "CONTAINER_PATH")]
    pub device_remove: Vec<String>,
}

/// Change the container's limits.
pub fn run(args: &Args, global: &Global) -> Result<u8> {
    let mut warnings = Vec::new();
    let update = || -> Result<()> {
        let resources = asked(args)?;
        let mut container = global.store().open_locked(&args.id.parse()?)?;
        container.allow(Command::Update)?;
        let previous = schemata(args, &container)?;
        let change = || with_devices(args, &mut container, resources, &mut warnings);
        change().map_err(|cause| match previous {
            Some(previous) => previous.put_back(cause),
            None => cause,
        })?;
        global.noted(container.dir.note(&Event::now(What::Update, &args.id)));
        Ok(())
    };
    let mut update = update;
    update().with_context(|| format!("update {}", args.id.escape_debug()))?;
    warnings.iter().for_each(|warning| global.log().warning(warning));
    Ok(0)
}

/// Change devices and then limits; if these are refused, no device stays.
fn with_devices(
    args: &Args,
    container: &mut Container,
    resources: Value,
    warnings: &mut Vec<String>,
) -> Result<()> {
    let acts = devices::acts(&args.device_add, &args.device_remove, &container.state)?;
    if acts.is_empty() {
        return change(container, resources, warnings);
    }
    if resources.get("devices").is_some() {
        let option = if args.device_add.is_empty() { "--device-remove" } else { "--device-add" };
        bail!("{option}: --resources has devices, which replace all rules");
    }
    // No other process may look into this one or its child.
    cred::set_dumpable(false).context("prctl")?;
    let config = config::load(&container.dir.load_config()?, &container.state.about.bundle)?.config;
    let host = host::probe(host::Asked::default())?;
    Devices { container, config: &config, host: &host }.take(&acts)?;
    change(container, resources, warnings)
        .map_err(|cause| Devices { container, config: &config, host: &host }.take_back(&acts, cause))
}

/// Change the limits of a container to what is asked for as `linux.resources`.
pub(crate) fn change(container: &mut Container, resources: Value, warnings: &mut Vec<String>) -> Result<()> {
    let cgroup = container.cgroup()?;
    let unit = container.state.cgroup.as_ref().and_then(|record| record.unit.as_ref());
    let mut current = cgroup.current()?;
    // systemd writes another period where there is no quota, but remembers it.
    if let (Some(unit), Some(Limit::Max)) = (unit, current.quota_us)
        && let Some(period) = systemd::period(unit)?
    {
        current.period_us = Some(period);
    }
    let asked = update::resolve(resources, &current, warnings)?;
    let rules = asked.device_rules.filter(|rules| *rules != container.state.device_rules);
    let asked = Asked { device_rules: rules, ..asked };
    let plan = plan::update::update(&asked, &current, unit)?;
    crate::parent::update::update(&cgroup, unit, &host::cgroup_root()?, &plan)?;
    if let Some(rules) = asked.device_rules {
        container.state.device_rules = rules;
        container.dir.save(&container.state)?;
    }
    Ok(())
}

/// Change the schemata of the container's group of resctrl, if that is asked for; what they were.
fn schemata(args: &Args, container: &Container) -> Result<Option<Schemata>> {
    let lines: Vec<String> =
        [&args.l3_cache_schema, &args.mem_bw_schema].into_iter().flatten().cloned().collect();
    if lines.is_empty() {
        return Ok(None);
    }
    let option = if args.l3_cache_schema.is_some() { "--l3-cache-schema" } else { "--mem-bw-schema" };
    let loaded = config::load(&container.dir.load_config()?, &container.state.about.bundle)?;
    let Some(rdt) = loaded.config.rdt else {
        bail!("{option}: the container has no group of resctrl (linux.intelRdt)");
    };
    let group = rdt.group.as_deref().unwrap_or(&container.state.about.id);
    Schemata::change(group, &lines).map(Some).context(option)
}

/// What `--resources` and the other options ask for, as `linux.resources`.
fn asked(args: &Args) -> Result<Value> {
    let mut resources = match &args.resources {
        Some(path) => read(path)?,
        None => json!({}),
    };
    let number = |n: Option<i64>| n.map(Value::from);
    let positive = |n: Option<u64>| n.map(Value::from);
    let text = |text: &Option<String>| text.clone().map(Value::from);
    let options = [
        ("blockIO", "weight", args.blkio_weight.map(Value::from)),
        ("cpu", "period", positive(args.cpu_period)),
        ("cpu", "quota", number(args.cpu_quota)),
        ("cpu", "burst", positive(args.cpu_burst)),
        ("cpu", "shares", positive(args.cpu_share)),
        ("cpu", "realtimePeriod", positive(args.cpu_rt_period)),
        ("cpu", "realtimeRuntime", number(args.cpu_rt_runtime)),
        ("cpu", "cpus", text(&args.cpuset_cpus)),
        ("cpu", "mems", text(&args.cpuset_mems)),
        ("cpu", "idle", number(args.cpu_idle)),
        ("memory", "limit", number(args.memory)),
        ("memory", "reservation", number(args.memory_reservation)),
        ("memory", "swap", number(args.memory_swap)),
        ("memory", "kernel", number(args.kernel_memory)),
        ("memory", "kernelTCP", number(args.kernel_memory_tcp)),
        ("pids", "limit", number(args.pids_limit)),
    ];
    for (part, field, value) in options {
        if let Some(value) = value {
            resources[part][field] = value;
        }
    }
    for pair in &args.unified {
        let (file, value) =
            pair.split_once('=').ok_or_else(|| anyhow!("--unified: {pair:?} is not FILE=VALUE"))?;
        resources["unified"][file] = value.into();
    }
    Ok(resources)
}

fn read(path: &Path) -> Result<Value> {
    let text = if path == Path::new("-") {
        fs::read_all(std::io::stdin().as_fd(), update::LIMIT)
    } else {
        fs::open(path, fs::O_RDONLY, 0).and_then(|fd| fs::read_all(fd.as_fd(), update::LIMIT))
    };
    let text = text.with_context(|| format!("--resources {}", path.display()))?;
    let name = if path == Path::new("-") { "standard input".into() } else { path.display().to_string() };
    update::parse(&text, &name).context("--resources")
}

/// A number of bytes as docker and runc take it: 67108864, 64M, 64MiB, 1.5g; -1 is no limit.
pub(super) fn bytes(text: &str) -> Result<i64, String> {
    if text == "-1" {
        return Ok(-1);
    }
    let end = text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).len();
    let (number, unit) = (text[..end].trim_end(), text[end..].to_ascii_lowercase());
    let power = match unit.strip_suffix("ib").or(unit.strip_suffix('b')).unwrap_or(&unit) {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return Err("not a size like 64M".into()),
    };
    let wrong = || "not a size like 64M, or -1".to_string();
    let plain = number.starts_with(|c: char| c.is_ascii_digit()) && !number.contains(['e', 'E', '+']);
    if !plain || (unit == "ib") {
        return Err(wrong());
    }
    // Whole numbers are exact, which a floating point number is not above 2^53.
    if let Ok(number) = number.parse::<i64>() {
        return number.checked_mul(1 << (10 * power)).ok_or_else(wrong);
    }
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let bytes = number * (1u64 << (10 * power)) as f64;
    if bytes < i64::MAX as f64 { Ok(bytes as i64) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_have_suffixes() {
        let good = [
            ("64M", 64 << 20),
            ("64m", 64 << 20),
            ("64MB", 64 << 20),
            ("64MiB", 64 << 20),
            ("1.5g", 3 << 29),
        ];
        for (text, number) in
            good.into_iter().chain([("4096", 4096), ("1k", 1024), ("-1", -1), ("0", 0), ("7b", 7)])
        {
            assert_eq!(bytes(text), Ok(number), "{text}");
        }
        for text in ["", "M", "64X", "-2", "64MM", "0x10", "1e3", "99999999999P", "iB", "64ib", "+1", "1.2.3"]
        {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
