//! A child that does nothing but be somewhere: in a namespace that nobody else is in yet, or in a
//! unit that systemd ends when it is empty.

use crate::sys::process::{self, Cloned};
use crate::sys::{Result, cred};
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
