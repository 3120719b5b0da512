//! Processes that are born in the container's cgroup, also where the kernel does not let the caller
//! put any there.

use crate::cgroup::{Cgroup, systemd};
use crate::channel;
use crate::plan::Unit;
use crate::sys::process::{self, Cloned};
use crate::sys::{Errno, cred};
use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use std::os::fd::AsFd;

/// What systemd calls a cgroup.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seat<'a> {
    pub(super) unit: &'a Unit,
    /// The path below it; empty for its own cgroup.
    pub(super) below: &'a str,
}

/// Whether the kernel keeps the caller from moving processes to a cgroup though it is his own:
/// nothing above both that and the caller's is his (cgroups(7): delegation containment).
pub(super) fn is_out_of_reach(errno: Errno) -> bool {
    errno == Errno::EACCES
}

/// A child in the cgroup. Where the kernel refuses that, systemd moves the child to `seat` before
/// it does anything.
pub(super) fn born_in(cgroup: &Cgroup, seat: Option<Seat<'_>>) -> Result<Cloned> {
    let call = || format!("clone3 into {}", cgroup.path().display());
    let refused = match process::clone3(0, Some(cgroup.as_fd())) {
        Err(errno) if is_out_of_reach(errno) => errno,
        born => return born.with_context(call),
    };
    match seat.map(moved_to) {
        Some(Ok(moved)) => Ok(moved),
        tried => {
            let why = tried.and_then(Result::err).map_or_else(String::new, |why| format!("; {why:#}"));
            Err(anyhow::Error::new(refused).context(call()).context(format!(
                "the container's cgroup is not within reach of this one, as no cgroup above both is the caller's to change: \
                 systemd-run --user --scope brings a command there{why}"
            )))
        }
    }
}

fn moved_to(seat: Seat<'_>) -> Result<Cloned> {
    let (parent, child) = channel::pair().context("socketpair")?;
    match process::clone3(0, None).context("clone3")? {
        Cloned::Child => {
            drop(parent);
            let _ = cred::set_parent_death_signal(Signal::SIGKILL);
            // The parent closes its end where systemd has refused.
            match child.await_done() {
                Ok(()) => Ok(Cloned::Child),
                Err(_) => process::exit_now(1),
            }
        }
        Cloned::Parent { pid, pidfd } => {
            drop(child);
            let moved = systemd::attach(seat.unit, seat.below, pid);
            if let Err(cause) = moved.and_then(|()| parent.done().context("sendmsg to the child")) {
                drop(parent);
                let _ = process::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL);
                let _ = process::wait(pidfd.as_fd());
                return Err(cause);
            }
            Ok(Cloned::Parent { pid, pidfd })
        }
    }
}
