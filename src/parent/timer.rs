//! A bound on the time of a process: one that waits beside it, and ends it.

use crate::sys::cred;
use crate::sys::process::{self, Cloned};
use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long a process may take to end when it is asked to.
const GRACE: Duration = Duration::from_secs(10);

/// The process that waits, which ends with this value.
#[derive(Debug)]
pub struct Timer {
    pidfd: OwnedFd,
    end: Instant,
}

impl Timer {
    /// When `time` has gone by, send TERM to the process, and KILL if that was not enough.
    pub fn start(of: &OwnedFd, time: Duration) -> Result<Timer> {
        let end = Instant::now() + time;
        match process::clone3(0, None).context("clone3 of the timer")? {
            Cloned::Child => {
                let _ = cred::set_parent_death_signal(Signal::SIGKILL);
                std::thread::sleep(time);
                let _ = process::pidfd_send_signal(of.as_fd(), libc::SIGTERM);
                std::thread::sleep(GRACE);
                let _ = process::pidfd_send_signal(of.as_fd(), libc::SIGKILL);
                process::exit_now(0)
            }
            Cloned::Parent { pidfd, .. } => Ok(Timer { pidfd, end }),
        }
    }

    /// Whether the time has gone by.
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.end
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let _ = process::pidfd_send_signal(self.pidfd.as_fd(), libc::SIGKILL);
        let _ = process::wait(self.pidfd.as_fd());
    }
}
