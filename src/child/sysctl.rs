//! Kernel parameters of the container's own namespaces.
//!
//! They are files below /proc/sys of whoever is in those namespaces. The host's /proc does, unless
//! /proc/sys is read-only there, as to a service or in another container, or covered by something
//! that shows its own; then it is that of a procfs made for this alone.

use crate::acts::filesystem::new_filesystem;
use crate::fault::{Call, Outcome, Refusal};
use crate::plan::Filesystem;
use crate::sys::{Errno, fs, mount};
use std::os::fd::{AsFd, OwnedFd};

/// Write `value` to the parameter at `path` below /proc/sys.
pub(super) fn set(path: &str, value: &str) -> Outcome {
    let shown = format!("/proc/sys/{path}");
    let hosts = fs::open(&shown, fs::O_WRONLY, 0);
    let is_procfs = |fd: &OwnedFd| mount::fs_magic(fd).is_ok_and(|magic| magic == mount::PROC_SUPER_MAGIC);
    let file = match hosts {
        Ok(file) if is_procfs(&file) => file,
        // What covers it may stand for the kernel where that shows no procfs of its own.
        Ok(file) => in_own(path).unwrap_or(file),
        Err(Errno::EROFS) => {
            in_own(path).map_err(|_| Refusal::kernel(format!("open {shown}"), Errno::EROFS))?
        }
        Err(errno) => return Err(Refusal::kernel(format!("open {shown}"), errno)),
    };
    fs::write_once(file.as_fd(), value.as_bytes()).call(|| format!("write {value:?} to {shown}"))
}

/// The same in a new procfs that nobody else sees.
fn in_own(path: &str) -> Outcome<OwnedFd> {
    let procfs = Filesystem { fstype: "proc".into(), source: "proc".into(), ..Filesystem::default() };
    let procfs = new_filesystem(&procfs, None)?;
    fs::openat(procfs.as_fd(), format!("sys/{path}"), fs::O_WRONLY, 0).call(|| format!("open sys/{path}"))
}
