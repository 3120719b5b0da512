//! What a pidfd tells of a process that is nobody's child here.

use super::process::Exit;
use super::{Errno, Result};
use std::os::fd::{AsRawFd, BorrowedFd};

/// struct pidfd_info of `linux/pidfd.h`, in its first form (Linux 6.13).
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit_code: i32,
}

/// `PIDFD_INFO_EXIT`
const INFO_EXIT: u64 = 1 << 3;

nix::ioctl_readwrite!(pidfd_get_info, 0xff, 11, PidfdInfo);

/// `PIDFD_GET_INFO`: how a process ended that its parent has reaped; none as long as it has not.
/// Before Linux 6.15 an error: ESRCH, EINVAL or ENOTTY.
pub fn exit_of_reaped(pidfd: BorrowedFd<'_>) -> Result<Option<Exit>> {
    let mut info = PidfdInfo { mask: INFO_EXIT, ..PidfdInfo::default() };
    // SAFETY: `info` is of the size that is in the call's number, and lives over the call.
    let mut ask = || unsafe { pidfd_get_info(pidfd.as_raw_fd(), &raw mut info) };
    // The kernel looks for the exit first and for the process then. One that is reaped in between
    // is told of when it is asked again (pidfd_info(), Linux 6.15 to 6.18).
    match ask() {
        Err(Errno::ESRCH) => ask()?,
        told => told?,
    };
    Ok((info.mask & INFO_EXIT != 0).then(|| Exit::of_code(info.exit_code)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process::{Cloned, clone3, exit_now};
    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::Pid;
    use std::os::fd::{AsFd, OwnedFd};
    use std::time::Duration;

    /// A child that runs `work`.
    fn child(work: impl FnOnce() -> i32) -> Result<(Pid, OwnedFd)> {
        match clone3(0, None)? {
            Cloned::Child => exit_now(work()),
            Cloned::Parent { pid, pidfd } => Ok((Pid::from_raw(pid), pidfd)),
        }
    }

    /// Whether this kernel keeps the exit of what is reaped.
    fn is_kept() -> Result<bool> {
        let (pid, pidfd) = child(|| 3)?;
        waitpid(pid, None)?;
        Ok(matches!(exit_of_reaped(pidfd.as_fd()), Ok(Some(_))))
    }

    /// Ask until it is told, or refused.
    fn asked(pidfd: BorrowedFd<'_>) -> i32 {
        loop {
            match exit_of_reaped(pidfd) {
                Ok(None) => {}
                Ok(Some(exit)) => return exit.code(),
                Err(errno) => return 100 + errno as i32,
            }
        }
    }

    #[test]
    fn the_end_is_told_whenever_it_is_reaped() -> Result<()> {
        if !is_kept()? {
            return Ok(());
        }
        for round in 0..2000 {
            let (pid, pidfd) = child(|| {
                std::thread::sleep(Duration::from_micros(200 + round % 50));
                3
            })?;
            let (asker, _) = child(|| asked(pidfd.as_fd()))?;
            waitpid(pid, None)?;
            assert_eq!(waitpid(asker, None), Ok(WaitStatus::Exited(asker, 3)));
        }
        Ok(())
    }
}
