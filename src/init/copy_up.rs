//! tmpcopyup: a tmpfs that starts with a copy of what it covers.

use crate::sys::{self, Errno, fs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Whether a new mount is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CopyUp {
    /// It starts empty.
    Nothing,
    /// It starts with a copy of what it covers.
    Covered,
}

/// How deep folders may nest.
const DEPTH_LIMIT: usize = 256;

/// Copy the files below `from` into the still detached mount `to`: folders, regular files and symlinks, with owner and
/// mode. Nothing is followed.
pub(crate) fn fill(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> sys::Result<()> {
    copy_folder(&reopen(from, ".")?, &reopen(to, ".")?, 0)
}

fn reopen(dir: BorrowedFd<'_>, name: &str) -> sys::Result<OwnedFd> {
    let inside = fs::RESOLVE_BENEATH | fs::RESOLVE_NO_SYMLINKS;
    fs::openat2(dir, name, fs::O_RDONLY | fs::O_DIRECTORY, 0, inside)
}

fn copy_folder(from: &OwnedFd, to: &OwnedFd, depth: usize) -> sys::Result<()> {
    if depth > DEPTH_LIMIT {
        return Err(Errno::ELOOP);
    }
    let mut dir = nix::dir::Dir::from_fd(reopen(from.as_fd(), ".")?)?;
    for entry in dir.iter() {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != "." && name != ".." {
            copy_entry(from, to, &name, depth)?;
        }
    }
    Ok(())
}

fn copy_entry(from: &OwnedFd, to: &OwnedFd, name: &str, depth: usize) -> sys::Result<()> {
    let stat = fs::statat(from.as_fd(), name)?;
    let mode = stat.st_mode & 0o7777;
    match stat.st_mode & libc::S_IFMT {
        libc::S_IFDIR => {
            fs::mkdirat(to.as_fd(), name, 0o700)?;
            let (below, copy) = (reopen(from.as_fd(), name)?, reopen(to.as_fd(), name)?);
            copy_folder(&below, &copy, depth + 1)?;
            own(&copy, &stat, mode)
        }
        libc::S_IFREG => {
            let file = fs::openat(from.as_fd(), name, fs::O_RDONLY | fs::O_NOFOLLOW | fs::O_NONBLOCK, 0)?;
            let copy = fs::openat(to.as_fd(), name, fs::O_WRONLY | fs::O_CREAT | fs::O_EXCL, 0o600)?;
            while nix::sys::sendfile::sendfile(&copy, &file, None, 1 << 30)? > 0 {}
            own(&copy, &stat, mode)
        }
        libc::S_IFLNK => {
            fs::symlinkat(&fs::readlinkat(from.as_fd(), name)?, to.as_fd(), name)?;
            fs::chownat(to.as_fd(), name, stat.st_uid, stat.st_gid)
        }
        // Devices, sockets and FIFOs belong to who made them.
        _ => Ok(()),
    }
}

fn own(fd: &OwnedFd, stat: &libc::stat, mode: u32) -> sys::Result<()> {
    fs::chown_fd(fd.as_fd(), stat.st_uid, stat.st_gid)?;
    nix::sys::stat::fchmod(fd, nix::sys::stat::Mode::from_bits_truncate(mode))
}
