//! Folders listed, and removed with all that is in them, by descriptors.

use super::{FOLDER, NO_LINKS};
use crate::sys::fs::{self, Unlink};
use crate::sys::{Errno, Result};
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{FchmodatFlags, Mode, fchmod, fchmodat};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// The names in a folder.
pub(crate) fn entries(folder: BorrowedFd<'_>) -> Result<Vec<Vec<u8>>> {
    let again = fs::openat2(folder, ".", FOLDER, 0, NO_LINKS)?;
    let mut names = Vec::new();
    for entry in nix::dir::Dir::from_fd(again)?.iter() {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    Ok(names)
}

/// Remove `name` in `folder`, whatever it is; no symlink is followed.
pub(crate) fn remove(folder: BorrowedFd<'_>, name: &[u8]) -> Result<()> {
    match fs::unlinkat(folder, name, Unlink::File) {
        Err(Errno::EISDIR | Errno::EPERM) => {}
        removed => return removed,
    }
    let open = || fs::openat2(folder, name, FOLDER, 0, NO_LINKS);
    let inside = match open() {
        Err(Errno::EACCES) => {
            // An ordinary user's folder may be closed to themselves, as the kernel's own in that
            // for work is. fchmodat(2) by name would follow a symlink that has taken its place.
            let closed = fs::openat2(folder, name, FOLDER | fs::O_PATH, 0, NO_LINKS)?;
            let by_descriptor = format!("/proc/self/fd/{}", closed.as_raw_fd());
            fchmodat(AT_FDCWD, by_descriptor.as_str(), Mode::S_IRWXU, FchmodatFlags::FollowSymlink)?;
            open()?
        }
        opened => opened?,
    };
    let _ = fchmod(&inside, Mode::S_IRWXU);
    for name in entries(inside.as_fd())? {
        remove_if_there(inside.as_fd(), &name)?;
    }
    fs::unlinkat(folder, name, Unlink::Dir)
}

/// The same of what need not be there.
pub(crate) fn remove_if_there(folder: BorrowedFd<'_>, name: &[u8]) -> Result<()> {
    match remove(folder, name) {
        Err(Errno::ENOENT) => Ok(()),
        removed => removed,
    }
}
