//! What a pidfd still tells of a process that is gone.

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

/// `PIDFD_GET_INFO`: how a process ended that its parent has reaped, Linux 6.15. None before that,
/// and on older kernels.
pub fn exit_of_reaped(pidfd: BorrowedFd<'_>) -> Result<Option<Exit>> {
    let mut info = PidfdInfo { mask: INFO_EXIT, ..PidfdInfo::default() };
    // SAFETY: `info` is of the size that is in the call's number, and lives over the call.
    match unsafe { pidfd_get_info(pidfd.as_raw_fd(), &raw mut info) } {
        // ESRCH: it is gone, and this kernel keeps nothing of it.
        Err(Errno::ENOTTY | Errno::EINVAL | Errno::ESRCH) => Ok(None),
        Err(errno) => Err(errno),
        Ok(_) => Ok((info.mask & INFO_EXIT != 0).then(|| Exit::of_code(info.exit_code))),
    }
}
