//! What a pidfd tells of a process that is nobody's child here.

use super::Result;
use super::process::Exit;
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
    unsafe { pidfd_get_info(pidfd.as_raw_fd(), &raw mut info) }?;
    Ok((info.mask & INFO_EXIT != 0).then(|| Exit::of_code(info.exit_code)))
}
