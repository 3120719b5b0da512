//! A cgroup handed to the root of a user namespace, which then makes cgroups of its own below
//! (cgroups(7): delegation).

use super::{Cgroup, FILE_LIMIT};
use crate::fault::{Call, Outcome, Refusal};
use crate::sys::{Errno, fs};
use std::os::fd::AsFd;

/// The files that are delegated by a kernel that does not say which.
const FILES: &str = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n";

impl Cgroup {
    /// Give the directory, and the files that the kernel lists for this, to `uid` and `gid`. Limits
    /// are not among them.
    pub fn delegate(&self, uid: u32, gid: u32) -> Outcome {
        let listed = fs::open("/sys/kernel/cgroup/delegate", fs::O_RDONLY, 0)
            .and_then(|fd| fs::read_all(fd.as_fd(), FILE_LIMIT));
        let listed = listed.map_or_else(|_| FILES.into(), |list| String::from_utf8_lossy(&list).into_owned());
        for name in listed.lines().filter(|name| !name.contains('/')) {
            match fs::chownat(self.as_fd(), name, uid, gid) {
                // Of a controller that is not enabled, or not of this cgroup's type.
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(errno) => return Err(Refusal::kernel(format!("chown {name}"), errno)),
            }
        }
        fs::chown_fd(self.as_fd(), uid, gid).call(|| format!("chown {}", self.path().display()))
    }
}
