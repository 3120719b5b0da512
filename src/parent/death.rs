//! Why init has ended before it was ready: the kernel says it in the cgroup, which goes soon after.

use crate::cgroup::Cgroup;
use crate::fault::{Fault, Refusal};
use crate::plan::{HostStep, Plan};
use crate::proc::stat;
use crate::sys::process::{self, Exit};
use anyhow::anyhow;
use std::os::fd::{AsFd, OwnedFd};

/// Init closed the channel without a word: the reason, as far as the kernel tells it.
pub(super) fn of_init(plan: &Plan, cgroup: Option<&Cgroup>, pidfd: &OwnedFd) -> anyhow::Error {
    // One that ends already does so for its own reason.
    let _ = process::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL);
    match (process::wait_and_leave(pidfd.as_fd()), cgroup.map_or(0, Cgroup::killed_for_memory)) {
        (Ok(Exit::Signal(libc::SIGSYS)), _) => {
            anyhow!(
                "a seccomp filter of the caller's killed init (SIGSYS, bad system call) before the container was ready"
            )
        }
        (_, 0) => anyhow!("init was killed before the container was ready"),
        _ => for_memory(plan).into(),
    }
}

/// Init `pid` has closed the channel, as execve(2) does: an error if it has done so by dying,
/// unless somebody has killed it.
pub(super) fn of_unexecuted(pid: i32) -> Option<anyhow::Error> {
    let pidfd = process::pidfd_open(pid).ok()?;
    let signal = unexecuted(pid, &pidfd).filter(|signal| *signal != libc::SIGKILL)?;
    Some(by_signal(signal, None))
}

/// What ended a process of `exec`, before it was executed.
pub(super) fn of_exec(exit: Exit, cgroup: Option<&Cgroup>) -> anyhow::Error {
    match exit {
        Exit::Signal(signal) => by_signal(signal, cgroup),
        Exit::Status(_) => anyhow!("the process ended before it was executed"),
    }
}

fn by_signal(signal: i32, cgroup: Option<&Cgroup>) -> anyhow::Error {
    let fault = |field: &str, call: String| Refusal::message(call).of(field).into();
    match (signal, cgroup.map(|cgroup| (cgroup.killed_for_memory(), cgroup.number("memory.max")))) {
        (libc::SIGSYS, _) => {
            let call = "a seccomp filter, of config.json or of the caller's, killed the process (SIGSYS, bad system \
                        call) before it was executed";
            fault("linux.seccomp", call.into())
        }
        (libc::SIGKILL, Some((kills @ 1.., Some(limit)))) => fault(
            "linux.resources.memory.limit",
            format!(
                "the process was killed before it was executed: {limit} bytes (memory.max) are too few for it \
                 (memory.events: oom_kill {kills})"
            ),
        ),
        (libc::SIGKILL, Some((kills @ 1.., None))) => fault(
            "linux.cgroupsPath",
            format!(
                "the process was killed before it was executed, as a limit of memory above the container's cgroup is \
                 reached (memory.events: oom_kill {kills})"
            ),
        ),
        _ => anyhow!("the process was killed (signal {signal}) before it was executed"),
    }
}

/// The signal that ended `pid`, which nobody has reaped yet, if it never was executed:
/// proc_pid_stat(5), PF_FORKNOEXEC.
pub(super) fn unexecuted(pid: i32, pidfd: &OwnedFd) -> Option<i32> {
    const EXITING: u64 = 0x4;
    const FORKED_NOT_EXECUTED: u64 = 0x40;
    let flags = number_of(pid, stat::FLAGS)?;
    if flags & EXITING == 0 || flags & FORKED_NOT_EXECUTED == 0 {
        return None;
    }
    // Its descriptors are closed before its end can be seen.
    while !process::has_ended(pidfd.as_fd()).ok()? {
        std::thread::yield_now();
    }
    let signal = i32::try_from(number_of(pid, stat::EXIT_CODE)? & 0x7f).ok()?;
    (signal != 0).then_some(signal)
}

fn number_of(pid: i32, field: usize) -> Option<u64> {
    stat::field(&crate::host::read(format!("/proc/{pid}/stat")).ok()?, field)
}

/// Processes of a container that has no room for those of `exec`: which limit that is.
pub(super) fn no_room(cgroup: &Cgroup) -> Option<String> {
    let (now, limit) = (cgroup.number("pids.current")?, cgroup.number("pids.max")?);
    // It is two for a moment.
    (now + 2 > limit).then(|| {
        format!(
            "linux.resources.pids.limit: {now} processes are in the container, and its limit is {limit} (pids.max), \
             where exec takes two more for a moment"
        )
    })
}

/// The kernel killed init for memory: by the limit of config.json, or by one of a cgroup above.
fn for_memory(plan: &Plan) -> Fault {
    let limit = plan.host.iter().find_map(|planned| match &planned.step {
        HostStep::Limit(write) if write.file == "memory.max" => Some(write),
        _ => None,
    });
    match limit {
        Some(write) => {
            let call = format!(
                "{} bytes of memory are too few to start in: the kernel killed init (memory.events: oom_kill)",
                write.value
            );
            Refusal::message(call).of(&write.field)
        }
        None => {
            let call = "a limit of memory above the container's cgroup is reached: the kernel killed init \
                        (memory.events: oom_kill)";
            Refusal::message(call).of("linux.cgroupsPath")
        }
    }
}
