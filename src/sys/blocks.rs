//! Block devices that are files: loop(4).

use super::{Errno, Result, fs};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// What may be done with the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    ReadOnly,
    ReadWrite,
}

/// `struct loop_config` with its `struct loop_info64` (linux/loop.h, Linux 5.8).
#[repr(C)]
struct Config {
    fd: u32,
    block_size: u32,
    /// Device, inode, device number, offset and limit of size.
    numbers: [u64; 5],
    /// Number, kind and size of a key that nobody has.
    key: [u32; 3],
    flags: u32,
    /// Names, a key and what is reserved.
    rest: [u64; 30],
}

/// A free loop device that is `file` from now on, and its path. It is free again as soon as nobody
/// has it open or mounted (`LO_FLAGS_AUTOCLEAR`).
pub fn loop_device(file: BorrowedFd<'_>, access: Access) -> Result<(OwnedFd, String)> {
    const LOOP_CTL_GET_FREE: libc::c_ulong = 0x4c82;
    const LOOP_CONFIGURE: libc::c_ulong = 0x4c0a;
    const READ_ONLY: u32 = 1;
    const AUTOCLEAR: u32 = 4;
    let control = fs::open("/dev/loop-control", libc::O_RDWR, 0)?;
    let mode = if access == Access::ReadOnly { fs::O_RDONLY } else { libc::O_RDWR };
    for _ in 0..64 {
        // SAFETY: LOOP_CTL_GET_FREE takes no argument.
        let number = Errno::result(unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE as _) })?;
        let path = format!("/dev/loop{number}");
        let device = fs::open(&path, mode, 0)?;
        let config = Config {
            fd: file.as_raw_fd() as u32,
            block_size: 0,
            numbers: [0; 5],
            key: [0; 3],
            flags: if access == Access::ReadOnly { READ_ONLY | AUTOCLEAR } else { AUTOCLEAR },
            rest: [0; 30],
        };
        // SAFETY: LOOP_CONFIGURE reads one loop_config, live over the call, of the kernel's size.
        match Errno::result(unsafe {
            libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE as _, &raw const config)
        }) {
            Ok(_) => return Ok((device, path)),
            // Somebody else was faster.
            Err(Errno::EBUSY) => {}
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::EBUSY)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_form_is_the_kernels() {
        // fd and block size, loop_info64 of 232 bytes, eight reserved numbers.
        assert_eq!(size_of::<super::Config>(), 8 + 232 + 64);
    }
}
