//! Words that the texts of several kinds of steps share.

use crate::config::{Namespace, Scheduler};
use crate::plan::HardLimit;
use crate::sys::mount::{Change, Reach, attr};
use std::fmt::{self, Formatter};

/// The names of namespaces, in their order.
pub(in crate::plan) fn names(kinds: &[Namespace]) -> String {
    kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(" ")
}

pub(super) fn device_letter(kind: u32) -> char {
    match kind {
        libc::S_IFBLK => 'b',
        libc::S_IFIFO => 'p',
        _ => 'c',
    }
}

/// The names of attributes in the order of their bits.
pub(super) fn attr_names(bits: u64) -> Vec<&'static str> {
    const NAMES: [(u64, &str); 6] = [
        (attr::RDONLY, "ro"),
        (attr::NOSUID, "nosuid"),
        (attr::NODEV, "nodev"),
        (attr::NOEXEC, "noexec"),
        (attr::NODIRATIME, "nodiratime"),
        (attr::NOSYMFOLLOW, "nosymfollow"),
    ];
    let mut names: Vec<_> = NAMES.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect();
    match bits & attr::ATIME_MASK {
        attr::NOATIME => names.push("noatime"),
        attr::STRICTATIME => names.push("strictatime"),
        _ => {}
    }
    names
}

pub(super) fn propagation_name(kind: u64) -> &'static str {
    match kind {
        libc::MS_SHARED => "shared",
        libc::MS_SLAVE => "slave",
        libc::MS_PRIVATE => "private",
        _ => "unbindable",
    }
}

pub(super) fn change_text(f: &mut Formatter<'_>, reach: Reach, change: Change) -> fmt::Result {
    let r = if reach == Reach::Tree { "r" } else { "" };
    let mut words: Vec<String> = attr_names(change.set).iter().map(|name| format!("{r}{name}")).collect();
    let clear = change.clear & !change.set & !attr::ATIME_MASK;
    words.extend(attr_names(clear).iter().map(|name| format!("not {r}{name}")));
    if change.clear & attr::ATIME_MASK != 0 && change.set & attr::ATIME_MASK == attr::RELATIME {
        words.push(format!("{r}relatime"));
    }
    if change.propagation != 0 {
        words.push(format!("{r}{}", propagation_name(change.propagation)));
    }
    write!(f, "{}", words.join(" "))
}

pub(super) fn scheduler_text(f: &mut Formatter<'_>, scheduler: &Scheduler) -> fmt::Result {
    let Scheduler { policy, flags, nice, priority, runtime, deadline, period } = scheduler;
    let name = match *policy as i32 {
        libc::SCHED_OTHER => "SCHED_OTHER",
        libc::SCHED_FIFO => "SCHED_FIFO",
        libc::SCHED_RR => "SCHED_RR",
        libc::SCHED_BATCH => "SCHED_BATCH",
        libc::SCHED_IDLE => "SCHED_IDLE",
        _ => "SCHED_DEADLINE",
    };
    write!(f, "{name} flags {flags:#x} nice {nice} priority {priority}")?;
    if *policy as i32 == libc::SCHED_DEADLINE {
        write!(f, " runtime {runtime} deadline {deadline} period {period}")?;
    }
    Ok(())
}

pub(super) fn io_priority_text(f: &mut Formatter<'_>, priority: u32) -> fmt::Result {
    let class = ["none", "real-time", "best-effort", "idle"][(priority >> 13) as usize & 3];
    write!(f, "I/O priority {class} {}", priority & 7)
}

pub(super) fn limit(value: u64) -> String {
    if value == u64::MAX { "unlimited".into() } else { value.to_string() }
}

pub(super) fn hard_limit_text(f: &mut Formatter<'_>, ceiling: &HardLimit) -> fmt::Result {
    write!(f, "raise the ceiling of {} to {}", ceiling.name, limit(ceiling.hard))
}
