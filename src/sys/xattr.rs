//! Extended attributes, by descriptor and by name in a directory.

use super::{Errno, Result, c};
use std::os::fd::{AsRawFd, BorrowedFd};

/// fsetxattr(2).
pub fn set(fd: BorrowedFd<'_>, name: impl AsRef<[u8]>, value: &[u8]) -> Result<()> {
    let name = c(name)?;
    // SAFETY: `name` is NUL-terminated, `value` as long as is said; both outlive the call.
    Errno::result(unsafe {
        libc::fsetxattr(fd.as_raw_fd(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0)
    })
    .map(drop)
}

/// lsetxattr(2) of `file` in `dir`, through the directory's entry in /proc: links, nodes and FIFOs
/// have no descriptor that fsetxattr(2) takes, and setxattrat(2) is of Linux 6.13.
pub fn set_at(
    dir: BorrowedFd<'_>,
    file: impl AsRef<[u8]>,
    name: impl AsRef<[u8]>,
    value: &[u8],
) -> Result<()> {
    let path = [format!("/proc/self/fd/{}/", dir.as_raw_fd()).as_bytes(), file.as_ref()].concat();
    let (path, name) = (c(path)?, c(name)?);
    // SAFETY: `path` and `name` are NUL-terminated, `value` as long as is said; all outlive the
    // call.
    Errno::result(unsafe {
        libc::lsetxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0)
    })
    .map(drop)
}

/// fgetxattr(2) of a short attribute; none if it is not there.
pub fn get(fd: BorrowedFd<'_>, name: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
    let name = c(name)?;
    let mut value = vec![0u8; 256];
    // SAFETY: `name` is NUL-terminated; the kernel writes at most the length that is passed.
    let n = Errno::result(unsafe {
        libc::fgetxattr(fd.as_raw_fd(), name.as_ptr(), value.as_mut_ptr().cast(), value.len())
    });
    match n {
        Ok(n) => {
            value.truncate(n as usize);
            Ok(Some(value))
        }
        Err(Errno::ENODATA | Errno::ENOTSUP) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// flistxattr(2): the names.
pub fn list(fd: BorrowedFd<'_>) -> Result<Vec<Vec<u8>>> {
    // SAFETY: with a length of 0 the kernel writes nothing and answers how much there is.
    let length = Errno::result(unsafe { libc::flistxattr(fd.as_raw_fd(), std::ptr::null_mut(), 0) });
    let length = match length {
        Ok(0) | Err(Errno::ENOTSUP) => return Ok(Vec::new()),
        length => length? as usize,
    };
    let mut names = vec![0u8; length];
    // SAFETY: the kernel writes at most the length that is passed.
    let n =
        Errno::result(unsafe { libc::flistxattr(fd.as_raw_fd(), names.as_mut_ptr().cast(), names.len()) })?;
    names.truncate(n as usize);
    Ok(names.split(|b| *b == 0).filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect())
}

/// fremovexattr(2).
pub fn remove(fd: BorrowedFd<'_>, name: impl AsRef<[u8]>) -> Result<()> {
    let name = c(name)?;
    // SAFETY: `name` is NUL-terminated and outlives the call.
    Errno::result(unsafe { libc::fremovexattr(fd.as_raw_fd(), name.as_ptr()) }).map(drop)
}
