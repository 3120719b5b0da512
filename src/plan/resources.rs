//! Resources to what is written to the files of a cgroup, in order.

use super::Planned;
use crate::config::resources::Limit;
use crate::config::resources::{BlockIo, Cpu, Memory, Rate, Resources};
use std::fmt::{self, Display, Formatter};

const FIELD: &str = "linux.resources";

/// One write to a file of the cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    pub file: String,
    /// What is written, in one call.
    pub value: String,
    /// The controller that has the file.
    pub controller: String,
    /// The field of config.json.
    pub field: String,
    /// What a refusal means.
    pub on_refusal: OnRefusal,
}

/// What it means that the kernel refuses a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnRefusal {
    Error,
    /// Nothing if the file is missing: without it, what was asked for holds anyway.
    NeedsNoFile,
    /// Nothing if the value is invalid: it is written once more after a value that it depends on.
    Again,
    /// Another file serves, if this one is missing or cannot be had for the device.
    Instead {
        file: String,
        /// What is written to it.
        value: String,
    },
}

impl Display for Write {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.file, self.value)?;
        match &self.on_refusal {
            OnRefusal::Error => Ok(()),
            OnRefusal::NeedsNoFile => write!(f, ", if it is there"),
            OnRefusal::Again => write!(f, ", if it can be yet"),
            OnRefusal::Instead { file, value } => write!(f, ", else {file} = {value}"),
        }
    }
}

impl Display for Limit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Max => write!(f, "max"),
            Limit::To(n) => write!(f, "{n}"),
        }
    }
}

/// What holds before an update: as much is in use at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The file that tells what is in use.
    pub file: &'static str,
    pub below: u64,
    /// The limit with that of swap, if there is one.
    pub with_swap: Option<u64>,
    /// The field of config.json.
    pub field: String,
}

impl Display for Check {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} < {}", self.file, self.below)
    }
}

/// What is asked of the cgroup before its limits are changed (`memory.checkBeforeUpdate`).
pub fn check(resources: &Resources) -> Option<Check> {
    match resources.memory {
        Memory { limit: Some(Limit::To(below)), swap, check_before_update: true, .. } => {
            let with_swap = match swap {
                Some(Limit::To(swap)) => Some(below.saturating_add(swap)),
                _ => None,
            };
            let field = format!("{FIELD}.memory.limit");
            Some(Check { file: "memory.current", below, with_swap, field })
        }
        _ => None,
    }
}

/// The writes that make `resources` hold. cpuset is first, as the other values do not depend on it
/// but it may be refused; `unified` is last, so that it overrides.
pub fn writes(resources: &Resources) -> Vec<Write> {
    let mut writes = Writes(Vec::new());
    writes.cpu(&resources.cpu);
    writes.memory(&resources.memory);
    if let Some(limit) = resources.pids {
        writes.add("pids.max", limit, "pids.limit");
    }
    writes.block_io(&resources.block_io);
    for (i, (size, limit)) in resources.hugepages.iter().enumerate() {
        let field = format!("hugepageLimits[{i}].limit");
        writes.add(format!("hugetlb.{size}.max"), limit, &field);
        // What is reserved but not touched yet does not count for the other, and a fault beyond
        // that one is SIGBUS.
        writes.add(format!("hugetlb.{size}.rsvd.max"), limit, &field).on_refusal = OnRefusal::NeedsNoFile;
    }
    for (device, rdma) in &resources.rdma {
        let counts = [("hca_handle", rdma.handles), ("hca_object", rdma.objects)];
        let counts: String = counts.iter().filter_map(|(key, n)| Some(format!(" {key}={}", (*n)?))).collect();
        if !counts.is_empty() {
            writes.add("rdma.max", format!("{device}{counts}"), &format!("rdma.{device}"));
        }
    }
    for (file, value) in &resources.unified {
        let field = format!("unified.{file}");
        // Such files take one line in each write(2). An empty value is one too: it empties
        // cpuset.cpus.
        for line in value.trim_end_matches('\n').split('\n') {
            writes.add(file.as_str(), line, &field);
        }
    }
    writes.0
}

/// The controllers that `writes` need, by name, each with the first field that asks for it.
pub fn controllers(writes: &[Write]) -> Vec<Planned<String>> {
    let mut controllers: Vec<Planned<String>> = Vec::new();
    for write in writes {
        if !controllers.iter().any(|known| known.step == write.controller) {
            controllers.push(Planned { step: write.controller.clone(), field: write.field.clone() });
        }
    }
    controllers.sort_by(|a, b| a.step.cmp(&b.step));
    controllers
}

struct Writes(Vec<Write>);

impl Writes {
    fn add(&mut self, file: impl Into<String>, value: impl Display, field: &str) -> &mut Write {
        let file = file.into();
        let controller = file.split('.').next().unwrap_or_default().to_string();
        let field = format!("{FIELD}.{field}");
        self.0.push(Write {
            file,
            value: value.to_string(),
            controller,
            field,
            on_refusal: OnRefusal::Error,
        });
        let last = self.0.len() - 1;
        &mut self.0[last]
    }

    fn cpu(&mut self, cpu: &Cpu) {
        if let Some(cpus) = &cpu.cpus {
            self.add("cpuset.cpus", cpus, "cpu.cpus");
        }
        if let Some(mems) = &cpu.mems {
            self.add("cpuset.mems", mems, "cpu.mems");
        }
        // Before the weight, which a cgroup that is idle refuses.
        if let Some(idle) = cpu.idle {
            let write = self.add("cpu.idle", u8::from(idle), "cpu.idle");
            if !idle {
                write.on_refusal = OnRefusal::NeedsNoFile;
            }
        }
        if let Some(shares) = cpu.shares {
            self.add("cpu.weight", cpu_weight(shares), "cpu.shares");
        }
        let max = match (cpu.quota_us, cpu.period_us) {
            (None, None) => None,
            (Some(quota), None) => Some((format!("{quota} {DEFAULT_PERIOD_US}"), "cpu.quota")),
            (Some(quota), Some(period)) => Some((format!("{quota} {period}"), "cpu.quota")),
            (None, Some(period)) => Some((format!("max {period}"), "cpu.period")),
        };
        // Neither may a burst be above the quota that is in force, nor a quota below the burst that
        // is.
        if let (Some(burst), Some(_)) = (cpu.burst_us, &max) {
            self.add("cpu.max.burst", burst, "cpu.burst").on_refusal = OnRefusal::Again;
        }
        if let Some((max, field)) = max {
            self.add("cpu.max", max, field);
        }
        if let Some(burst) = cpu.burst_us {
            self.add("cpu.max.burst", burst, "cpu.burst");
        }
    }

    fn memory(&mut self, memory: &Memory) {
        if let Some(swap) = memory.swap {
            let field = if memory.limit == Some(Limit::Max) { "memory.limit" } else { "memory.swap" };
            let write = self.add("memory.swap.max", swap, field);
            // Without swap accounting there is no such file.
            if matches!(swap, Limit::Max | Limit::To(0)) {
                write.on_refusal = OnRefusal::NeedsNoFile;
            }
        }
        if let Some(limit) = memory.limit {
            self.add("memory.max", limit, "memory.limit");
        }
        if let Some(reservation) = memory.reservation {
            self.add("memory.low", reservation, "memory.reservation");
        }
    }

    fn block_io(&mut self, block_io: &BlockIo) {
        // BFQ has a file of its own; io.weight is the cost model's. Which of them there is depends
        // on the kernel.
        if let Some(weight) = block_io.weight {
            let value = io_weight(weight).to_string();
            self.add("io.bfq.weight", weight, "blockIO.weight").on_refusal =
                OnRefusal::Instead { file: "io.weight".into(), value };
        }
        for device in &block_io.weight_devices {
            let (major, minor) = device.device;
            let value = format!("{major}:{minor} {}", io_weight(device.weight));
            let write = self.add("io.bfq.weight", format!("{major}:{minor} {}", device.weight), "");
            write.field.clone_from(&device.field);
            write.on_refusal = OnRefusal::Instead { file: "io.weight".into(), value };
        }
        for throttle in &block_io.throttles {
            let key = match throttle.of {
                Rate::ReadBytes => "rbps",
                Rate::WriteBytes => "wbps",
                Rate::Reads => "riops",
                Rate::Writes => "wiops",
            };
            let (major, minor) = throttle.device;
            let write = self.add("io.max", format!("{major}:{minor} {key}={}", throttle.rate), "");
            write.field.clone_from(&throttle.field);
        }
    }
}

/// The kernel's own.
pub(super) const DEFAULT_PERIOD_US: u64 = 100_000;

/// cpu.weight, 1 to 10000, for shares of cgroup v1, 2 to 262144: the curve through the two ends and
/// the two defaults, 1024 and 100, that runc 1.3.2 and crun 1.23 have.
pub(super) fn cpu_weight(shares: u64) -> u64 {
    match shares {
        ..=2 => 1,
        262_144.. => 10_000,
        _ => {
            let log = (shares as f64).log2();
            10f64.powf((log * log + 125.0 * log) / 612.0 - 7.0 / 34.0).ceil() as u64
        }
    }
}

/// io.weight, 1 to 10000, for a weight of cgroup v1, 10 to 1000.
pub(super) fn io_weight(weight: u16) -> u64 {
    1 + (u64::from(weight) - 10) * 9999 / 990
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_become_weights_on_runcs_curve() {
        let pairs = [(1, 1), (2, 1), (3, 2), (102, 17), (512, 59), (1024, 100), (2048, 174), (10_000, 627)];
        for (shares, weight) in pairs.into_iter().chain([(262_144, 10_000), (u64::MAX, 10_000)]) {
            assert_eq!(cpu_weight(shares), weight, "{shares}");
        }
    }

    #[test]
    fn weights_of_block_devices_are_stretched() {
        for (v1, v2) in [(10, 1), (300, 2930), (500, 4950), (1000, 10_000)] {
            assert_eq!(io_weight(v1), v2, "{v1}");
        }
    }
}
