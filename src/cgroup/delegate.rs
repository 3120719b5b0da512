//! A cgroup handed to the root of a user namespace, which then makes cgroups of its own below
//! (cgroups(7): delegation).

use super::{Cgroup, FILE_LIMIT};
use crate::fault::{Call, Outcome, Refusal};
use crate::sys::{Errno, fs};
use std::os::fd::AsFd;
use std::path::Path;

/// The files that are delegated by a kernel that does not say which.
const FILES: &str = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n";

impl Cgroup {
    /// Make the cgroup `path` below this one, move the process there, and hand it over.
    pub fn take_below(&self, root: &Path, path: &str, owner: Option<(u32, u32)>, pid: i32) -> Outcome {
        let below = self.make_below(path)?;
        let procs = || format!("write {pid} to {}/cgroup.procs", below.path().display());
        below.put("cgroup.procs", &pid.to_string()).call(procs)?;
        below.hand_over(root, owner)
    }

    /// Make the cgroup `path` below this one.
    pub fn make_below(&self, path: &str) -> Outcome<Cgroup> {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for name in ends.map(|end| &path[..end]) {
            match fs::mkdirat(self.as_fd(), name, 0o755) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(errno) => {
                    return Err(Refusal::kernel(
                        format!("mkdir {}", self.path().join(name).display()),
                        errno,
                    ));
                }
            }
        }
        self.below(path).map_err(|err| Refusal::message(format!("{err:#}")))
    }

    /// Move the processes of this cgroup, but not of those below, to that one.
    pub fn empty_into(&self, there: &Cgroup) -> Outcome {
        let list = self.list("cgroup.procs")?;
        for pid in list.lines() {
            match there.put("cgroup.procs", pid) {
                // It has ended.
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => {
                    let call = format!("write {pid} to {}/cgroup.procs", there.path().display());
                    return Err(Refusal::kernel(call, errno));
                }
            }
        }
        Ok(())
    }

    /// Enable all controllers here that the tree below `root` has, and give it to `owner`. No
    /// cgroup above may have processes of its own by then.
    pub fn hand_over(&self, root: &Path, owner: Option<(u32, u32)>) -> Outcome {
        if let Some(path) = self.path().strip_prefix(root).ok().and_then(Path::to_str) {
            self.enable_rest(root, path);
        }
        owner.map_or(Ok(()), |(uid, gid)| self.delegate(uid, gid))
    }

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
