//! How the process gets processors, disks and memory: `process.scheduler`, `process.ioPriority`,
//! `process.execCPUAffinity`, `linux.memoryPolicy`, `linux.personality`.

use super::Invalid;
use super::ensure;
use crate::proc::list::ranges;
use oci_spec::runtime::{
    ExecCPUAffinity, IOPriorityClass, LinuxIOPriority, LinuxMemoryPolicy, LinuxPersonality,
    LinuxPersonalityDomain, LinuxSchedulerFlag, LinuxSchedulerPolicy, MemoryPolicyFlagType,
    MemoryPolicyModeType, Scheduler as OciScheduler, Spec,
};

/// `process.scheduler`: what sched_setattr(2) takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scheduler {
    /// `SCHED_OTHER` and its like.
    pub policy: u32,
    /// `SCHED_FLAG_…` bits.
    pub flags: u64,
    /// −20 to 19.
    pub nice: i32,
    /// 1 to 99 for SCHED_FIFO and SCHED_RR, 0 otherwise.
    pub priority: u32,
    /// Nanoseconds, SCHED_DEADLINE only, as the two that follow.
    pub runtime: u64,
    /// Nanoseconds.
    pub deadline: u64,
    /// Nanoseconds.
    pub period: u64,
}

/// `linux.memoryPolicy`: what set_mempolicy(2) takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryPolicy {
    /// `MPOL_…` mode and flags.
    pub mode: i32,
    pub nodes: NumberSet,
}

/// A set of small numbers (processors, memory nodes), as a list like `0-3,7` gives it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NumberSet {
    pub list: String,
    /// Bit n of the words for number n.
    pub words: Vec<u64>,
}

/// More than any machine has of either.
const NUMBERS: usize = 1 << 16;

impl NumberSet {
    /// Read a list; an error is what is wrong with it.
    pub fn parse(list: &str) -> Result<NumberSet, String> {
        let mut set = NumberSet { list: list.into(), words: Vec::new() };
        for (first, last) in ranges(list, NUMBERS)? {
            set.words.resize(set.words.len().max(last / 64 + 1), 0);
            (first..=last).for_each(|n| set.words[n / 64] |= 1 << (n % 64));
        }
        Ok(set)
    }
}

/// `process.execCPUAffinity`: the processors of a process that `exec` adds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecAffinity {
    /// While it is on its way into the container's cgroup.
    pub initial: Option<NumberSet>,
    /// From then on.
    pub last: Option<NumberSet>,
}

/// The domain for personality(2) (<linux/personality.h>).
pub(super) fn personality(personality: &LinuxPersonality) -> u32 {
    match personality.domain() {
        LinuxPersonalityDomain::PerLinux => 0,
        LinuxPersonalityDomain::PerLinux32 => 8,
    }
}

pub(super) fn scheduler(scheduler: &OciScheduler) -> Scheduler {
    use LinuxSchedulerFlag as Flag;
    let bit = |flag: &Flag| match flag {
        Flag::SchedResetOnFork => 0x01,
        Flag::SchedFlagReclaim => 0x02,
        Flag::SchedFlagDLOverrun => 0x04,
        Flag::SchedFlagKeepPolicy => 0x08,
        Flag::SchedFlagKeepParams => 0x10,
        Flag::SchedFlagUtilClampMin => 0x20,
        Flag::SchedFlagUtilClampMax => 0x40,
    };
    Scheduler {
        policy: policy(*scheduler.policy()).unwrap_or_default() as u32,
        flags: scheduler.flags().iter().flatten().map(bit).sum(),
        nice: scheduler.nice().unwrap_or(0),
        priority: scheduler.priority().unwrap_or(0) as u32,
        runtime: scheduler.runtime().unwrap_or(0),
        deadline: scheduler.deadline().unwrap_or(0),
        period: scheduler.period().unwrap_or(0),
    }
}

/// The kernel's number; Linux has never had SCHED_ISO.
fn policy(policy: LinuxSchedulerPolicy) -> Option<i32> {
    match policy {
        LinuxSchedulerPolicy::SchedOther => Some(libc::SCHED_OTHER),
        LinuxSchedulerPolicy::SchedFifo => Some(libc::SCHED_FIFO),
        LinuxSchedulerPolicy::SchedRr => Some(libc::SCHED_RR),
        LinuxSchedulerPolicy::SchedBatch => Some(libc::SCHED_BATCH),
        LinuxSchedulerPolicy::SchedIdle => Some(libc::SCHED_IDLE),
        LinuxSchedulerPolicy::SchedDeadline => Some(libc::SCHED_DEADLINE),
        LinuxSchedulerPolicy::SchedIso => None,
    }
}

/// Class and level as ioprio_set(2) takes them.
pub(super) fn io_priority(priority: &LinuxIOPriority) -> u32 {
    let class = match priority.class() {
        IOPriorityClass::IoprioClassRt => 1,
        IOPriorityClass::IoprioClassBe => 2,
        IOPriorityClass::IoprioClassIdle => 3,
    };
    class << 13 | priority.priority() as u32
}

pub(super) fn memory_policy(policy: &LinuxMemoryPolicy) -> MemoryPolicy {
    use {MemoryPolicyFlagType as Flag, MemoryPolicyModeType as Mode};
    let mode = match policy.mode() {
        Mode::MpolDefault => 0,
        Mode::MpolPreferred => 1,
        Mode::MpolBind => 2,
        Mode::MpolInterleave => 3,
        Mode::MpolLocal => 4,
        Mode::MpolPreferredMany => 5,
        Mode::MpolWeightedInterleave => 6,
    };
    let bit = |flag: &Flag| match flag {
        Flag::MpolFNumaBalancing => 1 << 13,
        Flag::MpolFRelativeNodes => 1 << 14,
        Flag::MpolFStaticNodes => 1 << 15,
    };
    let flags: i32 = policy.flags().iter().flatten().map(bit).fold(0, |all, bit| all | bit);
    let nodes = policy.nodes().as_deref().unwrap_or_default();
    MemoryPolicy { mode: mode | flags, nodes: NumberSet::parse(nodes).unwrap_or_default() }
}

pub(super) fn affinity(affinity: &ExecCPUAffinity) -> ExecAffinity {
    let set = |list: &Option<String>| {
        list.as_deref().filter(|list| !list.is_empty()).and_then(|list| NumberSet::parse(list).ok())
    };
    ExecAffinity { initial: set(affinity.initial()), last: set(affinity.cpu_affinity_final()) }
}

/// What sched_setattr(2) would answer with no more than EINVAL.
pub(super) fn check_scheduler(spec: &Spec) -> Result<(), Invalid> {
    use LinuxSchedulerPolicy::{SchedDeadline, SchedFifo, SchedRr};
    let Some(scheduler) = spec.process().as_ref().and_then(|p| p.scheduler().as_ref()) else { return Ok(()) };
    let kind = *scheduler.policy();
    ensure!(policy(kind).is_some(), "process.scheduler.policy", "Linux has no {kind}");
    let nice = scheduler.nice().unwrap_or(0);
    ensure!((-20..=19).contains(&nice), "process.scheduler.nice", "{nice} is not in -20 to 19");
    let priority = scheduler.priority().unwrap_or(0);
    let real_time = matches!(kind, SchedFifo | SchedRr);
    let range = if real_time { 1..=99 } else { 0..=0 };
    ensure!(
        range.contains(&priority),
        "process.scheduler.priority",
        "{priority} is not in {} to {} for {kind}",
        range.start(),
        range.end()
    );
    let values = [
        ("runtime", scheduler.runtime()),
        ("deadline", scheduler.deadline()),
        ("period", scheduler.period()),
    ];
    for (name, value) in values {
        let given = value.unwrap_or(0) > 0;
        ensure!(
            !given || kind == SchedDeadline,
            &format!("process.scheduler.{name}"),
            "only for SCHED_DEADLINE, not for {kind}"
        );
    }
    Ok(())
}

/// Levels are 0 to 7 (ioprio_set(2)).
pub(super) fn check_io_priority(spec: &Spec) -> Result<(), Invalid> {
    let Some(priority) = spec.process().as_ref().and_then(|p| p.io_priority().as_ref()) else {
        return Ok(());
    };
    let level = priority.priority();
    ensure!((0..=7).contains(&level), "process.ioPriority.priority", "{level} is not in 0 to 7");
    Ok(())
}

/// Lists of nodes and processors must be such; personality takes no flags.
pub(super) fn check_lists(spec: &Spec) -> Result<(), Invalid> {
    let affinity = spec.process().as_ref().and_then(|p| p.exec_cpu_affinity().as_ref());
    let linux = spec.linux().as_ref();
    let policy = linux.and_then(|l| l.memory_policy().as_ref());
    let lists = [
        ("process.execCPUAffinity.initial", affinity.and_then(|a| a.initial().as_deref())),
        ("process.execCPUAffinity.final", affinity.and_then(|a| a.cpu_affinity_final().as_deref())),
        ("linux.memoryPolicy.nodes", policy.and_then(|p| p.nodes().as_deref())),
    ];
    for (field, list) in lists {
        NumberSet::parse(list.unwrap_or_default()).map_err(|reason| Invalid::new(field, reason))?;
    }
    let flags = linux.and_then(|l| l.personality().as_ref()).and_then(|p| p.flags().as_deref());
    let flag = flags.and_then(<[String]>::first);
    ensure!(
        flag.is_none(),
        "linux.personality.flags",
        "\"{}\": no flags are defined",
        flag.map(String::as_str).unwrap_or_default()
    );
    Ok(())
}
