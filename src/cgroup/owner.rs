//! Whose a cgroup is: the path alone does not tell, as it may be made anew, or taken over when it
//! is empty, by another container.

use super::Cgroup;
use crate::fault::{Call, Outcome};
use crate::sys::{self, Errno, fs, xattr};
use serde::{Deserialize, Serialize};
use std::os::fd::BorrowedFd;

/// The attribute of a cgroup's directory that names its owner. Only root can change one that is
/// trusted; an ordinary user has the other one alone.
const MARKS: [&str; 2] = ["trusted.knarr", "user.knarr"];

/// A container, as cgroups are marked with it: device and inode of its directory, which no other
/// container that is there has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner(String);

impl Owner {
    /// The container whose directory `dir` is.
    pub fn of(dir: BorrowedFd<'_>) -> sys::Result<Owner> {
        let stat = fs::stat_fd(dir)?;
        Ok(Owner(format!("{}:{}", stat.st_dev, stat.st_ino)))
    }
}

impl Cgroup {
    /// Mark it as `owner`'s from now on.
    pub fn mark(&self, owner: &Owner) -> Outcome {
        let mark = |name| xattr::set(self.as_fd(), name, owner.0.as_bytes());
        let marked = match mark(MARKS[0]) {
            Err(Errno::EPERM) => mark(MARKS[1]),
            marked => marked,
        };
        marked.call(|| format!("fsetxattr {}", self.path().display()))
    }

    /// Whether it was marked as `owner`'s, and by nobody after that.
    pub(super) fn is_of(&self, owner: &Owner) -> sys::Result<bool> {
        for name in MARKS {
            if let Some(mark) = xattr::get(self.as_fd(), name)? {
                return Ok(mark == owner.0.as_bytes());
            }
        }
        Ok(false)
    }
}
