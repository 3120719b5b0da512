//! What a pidfd tells of a process that is nobody's child here: pidfs, Linux 6.15.

use super::process::Exit;
use super::{Errno, Result};
use std::os::fd::{AsRawFd, BorrowedFd};

/// struct pidfd_info of Linux 6.15, its last 44 bytes but the exit code as one.
#[repr(C)]
#[derive(Default)]
struct Info {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit_code: i32,
}

/// `PIDFD_GET_INFO`: _IOWR(0xff, 11, struct pidfd_info) as it was in Linux 6.15.
const GET_INFO: u32 = 0xc040_ff0b;
/// `PIDFD_INFO_EXIT`
const EXIT: u64 = 1 << 3;

/// How a process has ended that somebody has reaped; none as long as nobody has. Before Linux 6.15
/// an error: ESRCH, or ENOTTY.
pub fn exit(pidfd: BorrowedFd<'_>) -> Result<Option<Exit>> {
    let mut info = Info { mask: EXIT, ..Info::default() };
    // SAFETY: `info` is a live struct of the size that the request names.
    Errno::result(unsafe { libc::ioctl(pidfd.as_raw_fd(), GET_INFO as _, &raw mut info) })?;
    let code = info.exit_code;
    let exit = || match code & 0x7f {
        0 => Exit::Status(code >> 8 & 0xff),
        signal => Exit::Signal(signal),
    };
    Ok((info.mask & EXIT != 0).then(exit))
}
