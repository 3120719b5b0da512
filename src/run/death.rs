//! Why init has ended before it was ready: the kernel says it in the cgroup, which goes soon after.

use super::StepFault;
use crate::cgroup::Cgroup;
use crate::plan::{HostStep, Plan};
use crate::sys::process;
use anyhow::anyhow;
use std::os::fd::{AsFd, OwnedFd};

/// Init closed the channel without a word: the reason, as far as the kernel tells it.
pub(super) fn of_init(plan: &Plan, cgroup: Option<&Cgroup>, pidfd: &OwnedFd) -> anyhow::Error {
    let _ = process::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL);
    match cgroup.map_or(0, Cgroup::killed_for_memory) {
        0 => anyhow!("init was killed before the container was ready"),
        _ => for_memory(plan).into(),
    }
}

/// The kernel killed init for memory: by the limit of config.json, or by one of a cgroup above.
fn for_memory(plan: &Plan) -> StepFault {
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
            StepFault::new(&write.field, call, None)
        }
        None => {
            let call = "a limit of memory above the container's cgroup is reached: the kernel killed init \
                        (memory.events: oom_kill)";
            StepFault::new("linux.cgroupsPath", call, None)
        }
    }
}
