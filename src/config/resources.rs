//! `linux.resources`, checked and resolved: runtime-spec config-linux.md#control-groups. Its
//! devices are in [`super::device_rules`].
//!
//! `None` means that the value is left as it is, which is not a default: a cgroup that is updated
//! has one already.

use super::Invalid;
use crate::proc::list::is_cpuset;
use oci_spec::runtime as oci;
use std::collections::BTreeMap;

const FIELD: &str = "linux.resources";

/// What a cgroup may use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    /// `cpu`
    pub cpu: Cpu,
    /// `memory`
    pub memory: Memory,
    /// `pids.limit`; never zero, as a process that joins counts.
    pub pids: Option<Limit>,
    /// `blockIO`
    pub block_io: BlockIo,
    /// `hugepageLimits`: pages' size, as `2MB`, and bytes.
    pub hugepages: Vec<(String, Limit)>,
    /// `rdma`, by device.
    pub rdma: BTreeMap<String, Rdma>,
    /// `unified`: files of the cgroup and what is written to them, a line at a time.
    pub unified: BTreeMap<String, String>,
}

/// A number, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    Max,
    To(u64),
}

/// `cpu`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cpu {
    /// The share of busy processors, in the unit of cgroup v1: 2 to 262144.
    pub shares: Option<u64>,
    /// Time in each period.
    pub quota_us: Option<Limit>,
    pub period_us: Option<u64>,
    /// Time saved up in periods that did not use theirs.
    pub burst_us: Option<u64>,
    /// Whether it only runs when nothing else wants to.
    pub idle: Option<bool>,
    /// A list of processors.
    pub cpus: Option<String>,
    /// A list of memory nodes.
    pub mems: Option<String>,
}

/// `memory`, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    pub limit: Option<Limit>,
    /// Swap alone; config.json has the sum of it and memory.
    pub swap: Option<Limit>,
    /// What is reclaimed last when memory is short.
    pub reservation: Option<Limit>,
    /// Whether an update may not go below what is in use.
    pub check_before_update: bool,
}

/// `blockIO`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockIo {
    /// The share of busy devices: 10 to 1000.
    pub weight: Option<u16>,
    /// `weightDevice`
    pub weight_devices: Vec<WeightDevice>,
    /// The four `throttle…Device` lists.
    pub throttles: Vec<Throttle>,
}

/// One of `blockIO.weightDevice`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightDevice {
    /// Its place in config.json.
    pub field: String,
    /// Major and minor number.
    pub device: (u32, u32),
    /// 10 to 1000.
    pub weight: u16,
}

/// A limit on what is read or written in a second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Throttle {
    /// Its place in config.json.
    pub field: String,
    /// Major and minor number.
    pub device: (u32, u32),
    pub of: Rate,
    pub rate: Limit,
}

/// What a throttle counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    ReadBytes,
    WriteBytes,
    Reads,
    Writes,
}

/// One of `rdma`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rdma {
    /// `hcaHandles`
    pub handles: Option<u32>,
    /// `hcaObjects`
    pub objects: Option<u32>,
}

/// Checks `linux.resources` and resolves it. What only cgroup v1 had becomes a warning: engines
/// pass on what users asked for years ago, and nothing that protects the host hangs on it.
pub fn resolve(spec: &oci::LinuxResources, warnings: &mut Vec<String>) -> Result<Resources, Invalid> {
    for field in of_v1(spec) {
        warnings.push(format!("{FIELD}.{field}: ignored, cgroup v2 has nothing like it"));
    }
    let cpu = spec.cpu().as_ref().map(|spec| cpu(spec, warnings)).transpose()?;
    let pids = spec.pids().as_ref().map(|pids| match pids.limit() {
        ..0 => Limit::Max,
        // The container's own process is one, so zero and one are the same: nothing can be forked.
        limit => Limit::To(limit.unsigned_abs().max(1)),
    });
    let hugepages = spec.hugepage_limits().as_deref().unwrap_or_default();
    Ok(Resources {
        cpu: cpu.unwrap_or_default(),
        memory: spec.memory().as_ref().map(memory).transpose()?.unwrap_or_default(),
        pids,
        block_io: spec.block_io().as_ref().map(block_io).transpose()?.unwrap_or_default(),
        hugepages: hugepages
            .iter()
            .enumerate()
            .map(|(i, spec)| hugepage(i, spec))
            .collect::<Result<_, _>>()?,
        rdma: spec
            .rdma()
            .iter()
            .flatten()
            .map(|(device, spec)| rdma(device, *spec))
            .collect::<Result<_, _>>()?,
        unified: spec.unified().iter().flatten().map(unified).collect::<Result<_, _>>()?,
    })
}

fn invalid<T>(field: &str, reason: impl Into<String>) -> Result<T, Invalid> {
    Err(Invalid::new(format!("{FIELD}.{field}"), reason))
}

/// The fields that ask for something which only cgroup v1 had.
#[allow(deprecated, reason = "engines still write what newer specifications have dropped")]
fn of_v1(spec: &oci::LinuxResources) -> Vec<String> {
    let (cpu, memory, block_io) = (spec.cpu().as_ref(), spec.memory().as_ref(), spec.block_io().as_ref());
    let network = spec.network().as_ref();
    let kernel = |limit: Option<i64>| limit.is_some_and(|limit| limit > 0);
    let mut fields: Vec<String> = [
        ("cpu.realtimeRuntime", cpu.and_then(oci::LinuxCpu::realtime_runtime).is_some_and(|us| us != 0)),
        ("cpu.realtimePeriod", cpu.and_then(oci::LinuxCpu::realtime_period).is_some_and(|us| us != 0)),
        ("memory.kernel", kernel(memory.and_then(oci::LinuxMemory::kernel))),
        ("memory.kernelTCP", kernel(memory.and_then(oci::LinuxMemory::kernel_tcp))),
        ("memory.swappiness", memory.and_then(oci::LinuxMemory::swappiness).is_some()),
        ("memory.disableOOMKiller", memory.and_then(oci::LinuxMemory::disable_oom_killer) == Some(true)),
        // All of cgroup v2 is a hierarchy.
        ("memory.useHierarchy", memory.and_then(oci::LinuxMemory::use_hierarchy) == Some(false)),
        (
            "blockIO.leafWeight",
            block_io.and_then(oci::LinuxBlockIo::leaf_weight).is_some_and(|weight| weight != 0),
        ),
        ("network.classID", network.and_then(oci::LinuxNetwork::class_id).is_some_and(|id| id != 0)),
        (
            "network.priorities",
            network.is_some_and(|n| n.priorities().as_ref().is_some_and(|p| !p.is_empty())),
        ),
    ]
    .into_iter()
    .filter(|(_, asked)| *asked)
    .map(|(field, _)| field.to_string())
    .collect();
    let devices = block_io.and_then(|spec| spec.weight_device().as_deref()).unwrap_or_default();
    let leaf = |device: &oci::LinuxWeightDevice| device.leaf_weight().is_some_and(|weight| weight != 0);
    let leaves = devices.iter().enumerate().filter(|(_, device)| leaf(device));
    fields.extend(leaves.map(|(i, _)| format!("blockIO.weightDevice[{i}].leafWeight")));
    fields
}

fn cpu(spec: &oci::LinuxCpu, warnings: &mut Vec<String>) -> Result<Cpu, Invalid> {
    let idle = match spec.idle() {
        None => None,
        Some(0) => Some(false),
        Some(1) => Some(true),
        Some(idle) => return invalid("cpu.idle", format!("{idle} is not 0 or 1")),
    };
    let mut shares = spec.shares().filter(|shares| *shares != 0);
    if idle == Some(true) && shares.is_some() {
        // Linux refuses to weigh a group that is idle (sched_group_set_shares).
        warnings.push(format!("{FIELD}.cpu.shares: ignored, a cgroup that is idle has none"));
        shares = None;
    }
    Ok(Cpu {
        shares,
        quota_us: spec.quota().filter(|us| *us != 0).map(|us| match us {
            ..0 => Limit::Max,
            us => Limit::To(us.unsigned_abs()),
        }),
        period_us: spec.period().filter(|us| *us != 0),
        burst_us: spec.burst(),
        idle,
        cpus: list("cpu.cpus", spec.cpus())?,
        mems: list("cpu.mems", spec.mems())?,
    })
}

/// A list of processors or nodes.
fn list(field: &str, text: &Option<String>) -> Result<Option<String>, Invalid> {
    let Some(text) = text.as_deref().map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    match is_cpuset(text) {
        true => Ok(Some(text.to_string())),
        false => invalid(field, format!("{text:?} is not a list like 0-3,7")),
    }
}

fn decimal(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

fn memory(spec: &oci::LinuxMemory) -> Result<Memory, Invalid> {
    let limit = bytes("memory.limit", spec.limit())?;
    let swap = match (bytes("memory.swap", spec.swap())?, limit) {
        // As cgroup v1 did: memory without a limit takes the one on memory and swap away.
        (None, Some(Limit::Max)) => Some(Limit::Max),
        (swap @ (None | Some(Limit::Max)), _) => swap,
        (Some(Limit::To(_)), None | Some(Limit::Max)) => {
            return invalid("memory.swap", "it is the sum of memory and swap, and memory.limit is missing");
        }
        (Some(Limit::To(sum)), Some(Limit::To(limit))) => match sum.checked_sub(limit) {
            Some(swap) => Some(Limit::To(swap)),
            None => {
                let reason =
                    format!("{sum} is below memory.limit, {limit}; it is the sum of memory and swap");
                return invalid("memory.swap", reason);
            }
        },
    };
    Ok(Memory {
        limit,
        swap,
        reservation: bytes("memory.reservation", spec.reservation())?,
        check_before_update: spec.check_before_update().unwrap_or(false),
    })
}

/// A limit of memory: zero leaves it alone.
fn bytes(field: &str, bytes: Option<i64>) -> Result<Option<Limit>, Invalid> {
    match bytes {
        None | Some(0) => Ok(None),
        Some(-1) => Ok(Some(Limit::Max)),
        Some(bytes) => match u64::try_from(bytes) {
            Ok(bytes) => Ok(Some(Limit::To(bytes))),
            Err(_) => invalid(field, format!("{bytes} is neither a number of bytes nor -1")),
        },
    }
}

fn block_io(spec: &oci::LinuxBlockIo) -> Result<BlockIo, Invalid> {
    let mut weight_devices = Vec::new();
    for (i, device) in spec.weight_device().iter().flatten().enumerate() {
        let field = format!("blockIO.weightDevice[{i}]");
        let numbers = numbers(&field, device.major(), device.minor())?;
        if let Some(weight) = weight(&format!("{field}.weight"), device.weight())? {
            let field = format!("{FIELD}.{field}.weight");
            weight_devices.push(WeightDevice { field, device: numbers, weight });
        }
    }
    let lists = [
        ("throttleReadBpsDevice", Rate::ReadBytes, spec.throttle_read_bps_device()),
        ("throttleWriteBpsDevice", Rate::WriteBytes, spec.throttle_write_bps_device()),
        ("throttleReadIOPSDevice", Rate::Reads, spec.throttle_read_iops_device()),
        ("throttleWriteIOPSDevice", Rate::Writes, spec.throttle_write_iops_device()),
    ];
    let mut throttles = Vec::new();
    for (name, of, list) in lists {
        for (i, device) in list.iter().flatten().enumerate() {
            let field = format!("blockIO.{name}[{i}]");
            let numbers = numbers(&field, device.major(), device.minor())?;
            // As in cgroup v1, a rate of zero takes a limit away.
            let rate = if device.rate() == 0 { Limit::Max } else { Limit::To(device.rate()) };
            throttles.push(Throttle { field: format!("{FIELD}.{field}"), device: numbers, of, rate });
        }
    }
    Ok(BlockIo { weight: weight("blockIO.weight", spec.weight())?, weight_devices, throttles })
}

fn weight(field: &str, weight: Option<u16>) -> Result<Option<u16>, Invalid> {
    match weight {
        None | Some(0) => Ok(None),
        Some(weight @ 10..=1000) => Ok(Some(weight)),
        Some(weight) => invalid(field, format!("{weight} is not between 10 and 1000")),
    }
}

fn numbers(field: &str, major: i64, minor: i64) -> Result<(u32, u32), Invalid> {
    match (u32::try_from(major), u32::try_from(minor)) {
        (Ok(major), Ok(minor)) => Ok((major, minor)),
        (Err(_), _) => invalid(&format!("{field}.major"), format!("{major} is out of range")),
        (_, Err(_)) => invalid(&format!("{field}.minor"), format!("{minor} is out of range")),
    }
}

fn hugepage(i: usize, spec: &oci::LinuxHugepageLimit) -> Result<(String, Limit), Invalid> {
    // It becomes part of a file's name.
    let size = spec.page_size();
    let number = ["KB", "MB", "GB"].iter().find_map(|unit| size.strip_suffix(unit));
    if number.and_then(decimal).is_none_or(|n| n == 0) {
        return invalid(
            &format!("hugepageLimits[{i}].pageSize"),
            format!("{size:?} is not a size like 64KB, 2MB or 1GB"),
        );
    }
    let limit = match spec.limit() {
        -1 => Limit::Max,
        limit => match u64::try_from(limit) {
            Ok(limit) => Limit::To(limit),
            Err(_) => {
                return invalid(&format!("hugepageLimits[{i}].limit"), format!("{limit} is out of range"));
            }
        },
    };
    Ok((size.clone(), limit))
}

fn rdma(device: &str, spec: oci::LinuxRdma) -> Result<(String, Rdma), Invalid> {
    if device.is_empty() || device.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control()) {
        return invalid("rdma", format!("{device:?} is not the name of a device"));
    }
    Ok((device.to_string(), Rdma { handles: spec.hca_handles(), objects: spec.hca_objects() }))
}

/// A file of a controller. Never one of the core, as `cgroup.procs`, through which the cgroup
/// itself would be changed.
fn unified((key, value): (&String, &String)) -> Result<(String, String), Invalid> {
    let is_name = |text: &str, more: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || more.contains(c))
    };
    let field = format!("unified.{}", key.escape_debug());
    match key.split_once('.') {
        Some(("cgroup", _)) => invalid(&field, "is a file of the cgroup itself, not of a controller"),
        Some((controller, file))
            if is_name(controller, "")
                && is_name(file, ".")
                && !controller.contains(|c: char| c.is_ascii_uppercase()) =>
        {
            Ok((key.clone(), value.clone()))
        }
        _ => invalid(&field, "is not the name of a controller's file, like memory.high"),
    }
}
