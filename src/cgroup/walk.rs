//! The cgroups below one, however many and deep they are and whatever their names: a container that
//! may write to its cgroup made them. At no time are more than two of them open, and none is looked
//! up by a path.

use super::{Cgroup, open_below};
use crate::sys::{self, Errno, fs};
use nix::dir::{Dir, Type};
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What is done on the way.
pub(super) enum Stop {
    No,
    /// Leave the rest out.
    Here,
}

impl Cgroup {
    /// Call `enter` with every cgroup below this one, parents first, and `leave` with its parent
    /// and its name when all below it are done. One that vanishes meanwhile is left out.
    pub(super) fn walk(
        &self,
        mut enter: impl FnMut(BorrowedFd<'_>) -> sys::Result<Stop>,
        mut leave: impl FnMut(BorrowedFd<'_>, &CString) -> sys::Result<()>,
    ) -> sys::Result<()> {
        let mut here = open_below(self.fd.as_fd(), ".", fs::O_RDONLY | fs::O_DIRECTORY)?;
        // Of each level on the way the names that are still to do; the last one of all but the
        // deepest is on the way.
        let mut levels = vec![folders(here.as_fd())?];
        loop {
            let Some(names) = levels.last() else { return Ok(()) };
            let Some(name) = names.last() else {
                levels.pop();
                let Some(name) = levels.last_mut().and_then(Vec::pop) else { return Ok(()) };
                // The kernel moves no cgroup, so this is where it came from.
                here = fs::openat(here.as_fd(), "..", fs::O_RDONLY | fs::O_DIRECTORY, 0)?;
                leave(here.as_fd(), &name)?;
                continue;
            };
            let flags = fs::O_RDONLY | fs::O_DIRECTORY;
            match fs::openat2(here.as_fd(), name.as_bytes(), flags, 0, super::INSIDE) {
                Ok(below) => {
                    if matches!(enter(below.as_fd())?, Stop::Here) {
                        return Ok(());
                    }
                    levels.push(folders(below.as_fd())?);
                    here = below;
                }
                Err(Errno::ENOENT | Errno::ENODEV) => drop(levels.last_mut().and_then(Vec::pop)),
                Err(errno) => return Err(errno),
            }
        }
    }
}

/// The names of the cgroups right below `dir`.
fn folders(dir: BorrowedFd<'_>) -> sys::Result<Vec<CString>> {
    names(dir, Type::Directory)
}

/// The names of `kind` in `dir`; none where that is removed meanwhile.
pub(super) fn names(dir: BorrowedFd<'_>, kind: Type) -> sys::Result<Vec<CString>> {
    let again: sys::Result<OwnedFd> = open_below(dir, ".", fs::O_RDONLY | fs::O_DIRECTORY);
    let mut dir = match again.and_then(Dir::from_fd) {
        Err(Errno::ENOENT | Errno::ENODEV) => return Ok(Vec::new()),
        dir => dir?,
    };
    let mut names = Vec::new();
    for entry in dir.iter() {
        let entry = match entry {
            Err(Errno::ENOENT | Errno::ENODEV) => break,
            entry => entry?,
        };
        let name = entry.file_name();
        if entry.file_type() == Some(kind) && name != c"." && name != c".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}
