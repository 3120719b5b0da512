//! The only clone3(2) that makes a container's init.

use super::StepFault;
use crate::channel::{self, ParentEnd};
use crate::config::Namespace;
use crate::init::hook::About;
use crate::init::{self, Inherited};
use crate::plan::Plan;
use crate::sys::process::{self, Cloned};
use crate::sys::{Errno, cred, fs};
use anyhow::{Context, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What the parent has opened for init.
#[derive(Debug, Default)]
pub(super) struct Opened {
    /// Namespaces to join.
    pub(super) namespaces: Vec<(Namespace, OwnedFd)>,
    /// Copies of host mounts, by number.
    pub(super) trees: Vec<Option<OwnedFd>>,
    /// The start socket.
    pub(super) listener: Option<OwnedFd>,
    /// The notification socket, which is not init's.
    pub(super) notify: Option<OwnedFd>,
}

/// A running init.
#[derive(Debug)]
pub(super) struct Launched {
    /// Its pid in the runtime's pid namespace.
    pub(super) pid: i32,
    /// Its pidfd.
    pub(super) pidfd: OwnedFd,
    /// The channel to it.
    pub(super) channel: ParentEnd,
}

/// Make init. It takes the plan's steps at once.
pub(super) fn launch(plan: &Plan, about: &About, opened: Opened, cgroup: BorrowedFd<'_>) -> Result<Launched> {
    let (parent, child) = channel::pair().context("socketpair")?;
    let home = if plan.launch.joins_pid { Some(enter_pid_namespace(&opened)?) } else { None };
    let cloned = process::clone3(plan.launch.new, Some(cgroup));
    match cloned {
        Ok(Cloned::Child) => {
            drop((parent, home));
            // Until the container is recorded it does not outlive this command.
            let _ = cred::set_parent_death_signal(libc::SIGKILL);
            let Opened { namespaces, trees, listener, .. } = opened;
            let (steps, keep_fds) = (&plan.init, plan.keep_fds);
            init::run(Inherited {
                steps,
                keep_fds,
                about,
                init: None,
                namespaces,
                trees,
                listener,
                channel: child,
            })
        }
        Ok(Cloned::Parent { pid, pidfd }) => {
            if let Some(home) = home {
                process::setns(home.as_fd(), libc::CLONE_NEWPID)
                    .context("setns back to the pid namespace")?;
            }
            Ok(Launched { pid, pidfd, channel: parent })
        }
        Err(errno) => Err(clone_fault(plan, errno).into()),
    }
}

fn clone_fault(plan: &Plan, errno: Errno) -> StepFault {
    let call = plan.launch.to_string();
    StepFault { field: "linux.namespaces".into(), call, errno: Some(errno), text: String::new() }
}

/// Enter an existing pid namespace for children; returns the way back.
fn enter_pid_namespace(opened: &Opened) -> Result<OwnedFd> {
    let home = fs::open("/proc/self/ns/pid", fs::O_RDONLY, 0).context("open /proc/self/ns/pid")?;
    for (kind, fd) in &opened.namespaces {
        if *kind == Namespace::Pid {
            process::setns(fd.as_fd(), libc::CLONE_NEWPID).context("linux.namespaces: setns pid")?;
        }
    }
    Ok(home)
}
