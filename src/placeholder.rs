//! Children that are nobody's process. One does nothing but be somewhere: in a namespace that
//! nobody else is in yet, or in a unit that systemd ends when it is empty. Another does one thing
//! and ends.

use crate::sys::process::{self, Cloned, Exit};
use crate::sys::{Errno, Result, cred};
use nix::sys::signal::Signal;
use std::os::fd::{AsFd, OwnedFd};

/// It ends with this value, and with the process that made it.
#[derive(Debug)]
pub struct Placeholder {
    /// Its pid in the maker's pid namespace.
    pub pid: i32,
    pidfd: OwnedFd,
}

impl Placeholder {
    /// Born in the new namespaces of `flags`, as for clone3(2).
    pub fn new(flags: i32) -> Result<Placeholder> {
        let parent = std::process::id();
        match process::clone3(flags as u64, None)? {
            Cloned::Child => {
                let _ = cred::set_parent_death_signal(Signal::SIGKILL);
                // It may have died before.
                while std::os::unix::process::parent_id() == parent {
                    nix::unistd::pause();
                }
                process::exit_now(0)
            }
            Cloned::Parent { pid, pidfd } => Ok(Placeholder { pid, pidfd }),
        }
    }
}

impl Drop for Placeholder {
    fn drop(&mut self) {
        let _ = process::pidfd_send_signal(self.pidfd.as_fd(), libc::SIGKILL);
        let _ = process::wait(self.pidfd.as_fd());
    }
}

/// Do something in a process of its own, born with the namespaces of `flags`.
pub fn apart(flags: i32, act: impl FnOnce() -> Result<()>) -> Result<()> {
    match process::clone3(flags as u64, None)? {
        Cloned::Child => process::exit_now(act().map_or_else(|errno| errno as i32, |()| 0)),
        Cloned::Parent { pidfd, .. } => match process::wait(pidfd.as_fd())? {
            Exit::Status(0) => Ok(()),
            Exit::Status(number) => Err(Errno::from_raw(number)),
            Exit::Signal(_) => Err(Errno::EPERM),
        },
    }
}
