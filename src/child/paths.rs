//! Paths inside a root filesystem that a container can write: the one place that looks them up.
//!
//! Every lookup starts at the root's descriptor and cannot leave it (openat2(2),
//! `RESOLVE_IN_ROOT`), whatever symlinks the image holds and whoever renames things meanwhile. What
//! comes back is a descriptor, and later calls act on that.

use crate::plan::Lookup;
use crate::sys::{self, Errno, fs};
use crate::walk::Walk;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// What to make where nothing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Make {
    /// A directory, mode 0755.
    Directory,
    File,
}

/// Open what is at `path` inside `root`, with `flags` as for open(2).
pub(crate) fn open(root: BorrowedFd<'_>, path: &str, flags: i32, lookup: Lookup) -> sys::Result<OwnedFd> {
    let links =
        if lookup == Lookup::NoSymlinks { fs::RESOLVE_NO_SYMLINKS } else { fs::RESOLVE_NO_MAGICLINKS };
    let last = if lookup == Lookup::FollowToLast { fs::O_NOFOLLOW } else { 0 };
    fs::openat2(root, path, flags | last, 0, fs::RESOLVE_IN_ROOT | links)
}

/// Open what is at `path` below a mount of the container's, from where no symlink leads out: that
/// is EXDEV.
pub(crate) fn open_beneath(mount: BorrowedFd<'_>, path: &str, flags: i32) -> sys::Result<OwnedFd> {
    fs::openat2(mount, path, flags, 0, fs::RESOLVE_BENEATH | fs::RESOLVE_NO_MAGICLINKS)
}

/// A reference (`O_PATH`) to what is at `path` inside `root`; what is missing is made, with its
/// parents.
pub(crate) fn open_or_make(
    root: BorrowedFd<'_>,
    path: &str,
    make: Make,
    lookup: Lookup,
) -> sys::Result<OwnedFd> {
    match open(root, path, fs::O_PATH, lookup) {
        Err(Errno::ENOENT) => {}
        found => return found,
    }
    make_missing(root, path, make, lookup)
}

/// Walk `path` name by name and make what is missing. A symlink that leads nowhere is followed too,
/// inside the root: what it names is made. Each step starts at a descriptor, and `..` goes back to
/// the descriptor it came from.
fn make_missing(root: BorrowedFd<'_>, path: &str, make: Make, lookup: Lookup) -> sys::Result<OwnedFd> {
    let mut walk: Walk<OwnedFd> = Walk::along(path.as_bytes());
    while let Some(name) = walk.next_name() {
        let here = walk.here().map_or(root, AsFd::as_fd);
        let make = if walk.is_at_last() { make } else { Make::Directory };
        let found = step(here, &name, make)?;
        if fs::stat_fd(found.as_fd())?.st_mode & libc::S_IFMT != libc::S_IFLNK {
            walk.enter(found);
        } else if lookup == Lookup::NoSymlinks {
            return Err(Errno::ELOOP);
        } else {
            walk.follow(nix::fcntl::readlinkat(&found, "")?.as_bytes())?;
        }
    }
    match walk.end() {
        Some(fd) => Ok(fd),
        None => open(root, "/", fs::O_PATH, lookup),
    }
}

/// What `name` in `dir` is, made if nothing is there. A symlink is not followed.
fn step(dir: BorrowedFd<'_>, name: &[u8], make: Make) -> sys::Result<OwnedFd> {
    let look = || {
        fs::openat2(dir, name, fs::O_PATH | fs::O_NOFOLLOW, 0, fs::RESOLVE_BENEATH | fs::RESOLVE_NO_SYMLINKS)
    };
    match look() {
        Err(Errno::ENOENT) => {}
        found => return found,
    }
    let made = match make {
        Make::Directory => fs::mkdirat(dir, name, 0o755),
        Make::File => fs::mknodat(dir, name, libc::S_IFREG, 0o644, 0),
    };
    match made {
        Ok(()) | Err(Errno::EEXIST) => look(),
        Err(errno) => Err(errno),
    }
}

/// The directory that holds `path`'s last name, made if it is missing, and that name.
pub(crate) fn parent_of(root: BorrowedFd<'_>, path: &str, lookup: Lookup) -> sys::Result<(OwnedFd, String)> {
    let path = path.trim_end_matches('/');
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    if name.is_empty() || name == "." || name == ".." {
        return Err(Errno::EINVAL);
    }
    let parent = if parent.is_empty() { "/" } else { parent };
    let flags = fs::O_PATH | fs::O_DIRECTORY;
    let dir = match open(root, parent, flags, lookup) {
        Err(Errno::ENOENT) => make_missing(root, parent, Make::Directory, lookup)?,
        found => found?,
    };
    Ok((dir, name.to_string()))
}

/// Whether `fd` refers to a directory.
pub(crate) fn is_directory(fd: BorrowedFd<'_>) -> sys::Result<bool> {
    Ok(fs::stat_fd(fd)?.st_mode & libc::S_IFMT == libc::S_IFDIR)
}
