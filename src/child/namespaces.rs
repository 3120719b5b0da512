//! What it takes to be at home in a new or joined namespace.

use super::process::write_own_file;
use crate::config::{Namespace, TimeOffset};
use crate::fault::{Call, Outcome, Refusal};
use crate::plan::Groups;
use crate::sys::{Errno, cred, fs, process as proc};
use nix::sys::signal::Signal;
use std::os::fd::AsFd;

/// A new time namespace, with its clocks set before the first process is in it, and into it.
pub(super) fn time(offsets: &[TimeOffset]) -> Outcome {
    let flag = Namespace::Time.clone_flag();
    proc::unshare(flag).call(|| "unshare time".into())?;
    let line = |o: &TimeOffset| format!("{} {} {}\n", o.clock, o.seconds, o.nanoseconds);
    let lines: String = offsets.iter().map(line).collect();
    write_own_file("/proc/self/timens_offsets", &lines)?;
    let path = "/proc/self/ns/time_for_children";
    let namespace = fs::open(path, fs::O_RDONLY, 0).call(|| format!("open {path}"))?;
    proc::setns(namespace.as_fd(), flag).call(|| "setns time".into())
}

/// Become root of the user namespace. Its maps are in force; who has just entered it still has ids
/// from outside.
pub(super) fn become_root(groups: Groups) -> Outcome {
    let dropped = if groups == Groups::Callers { Ok(()) } else { cred::set_groups(&[]) };
    match dropped {
        // Denied for good (user_namespaces(7), setgroups): the caller's groups are kept, and none
        // can be asked for.
        Ok(()) | Err(Errno::EPERM) => {}
        Err(errno) => return Err(Refusal::kernel("setgroups", errno)),
    }
    cred::set_gid(0).call(|| "setresgid 0".into())?;
    cred::set_uid(0).call(|| "setresuid 0".into())?;
    cred::set_dumpable(false).call(|| "prctl".into())?;
    // A change of ids clears it.
    cred::set_parent_death_signal(Signal::SIGKILL).call(|| "prctl".into())
}
