//! Folders removed with all that is in them, by descriptors.

use super::read::names;
use super::{FOLDER, NO_LINKS};
use crate::sys::fs::{self, Unlink};
use crate::sys::{Errno, Result};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

/// Remove `name` in `folder`, whatever it is; no symlink is followed.
pub(crate) fn remove(folder: BorrowedFd<'_>, name: &[u8]) -> Result<()> {
    match fs::unlinkat(folder, name, Unlink::File) {
        Err(Errno::EISDIR | Errno::EPERM) => {}
        removed => return removed,
    }
    let open = || fs::openat2(folder, name, FOLDER, 0, NO_LINKS);
    let inside = match open() {
        Err(Errno::EACCES) => {
            // The kernel's own folder in that for work can be entered by nobody.
            fs::chmodat(folder, std::str::from_utf8(name).map_err(|_| Errno::EACCES)?, 0o700)?;
            open()?
        }
        opened => opened?,
    };
    for name in names(inside.as_fd()).map_err(|_| Errno::EIO)? {
        remove(inside.as_fd(), name.as_bytes())?;
    }
    fs::unlinkat(folder, name, Unlink::Dir)
}
