//! The options of the cgroup v2 tree. CRIU mounts it once more without any, and to the kernel that is a change of what all mounts
//! of it have: `nsdelegate` and the others would be gone for the machine.

use crate::config::mountinfo;
use crate::host;
use crate::sys::{Errno, mount};
use anyhow::Result;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// What the tree's options were.
pub(super) struct CgroupFlags {
    root: PathBuf,
    flags: Vec<String>,
}

impl CgroupFlags {
    /// As they are now.
    pub(super) fn now() -> Result<CgroupFlags> {
        let root = host::cgroup_root()?;
        let flags = flags(&root)?;
        Ok(CgroupFlags { root, flags })
    }

    /// Have them again, if they have changed.
    pub(super) fn put_back(self) -> Result<()> {
        if flags(&self.root)? == self.flags {
            return Ok(());
        }
        let reconfigure = || -> Result<(), Errno> {
            let tree = mount::fspick(&self.root)?;
            for flag in &self.flags {
                mount::fsconfig_flag(tree.as_fd(), flag)?;
            }
            mount::fsconfig_reconfigure(tree.as_fd())
        };
        let failed = |errno| {
            let flags = self.flags.join(",");
            anyhow::anyhow!(
                "CRIU has changed the options of {}, which should be {flags}: {}",
                self.root.display(),
                crate::sys::describe(errno)
            )
        };
        reconfigure().map_err(failed)
    }
}

fn flags(root: &Path) -> Result<Vec<String>> {
    Ok(flags_in(&host::read("/proc/self/mountinfo")?, root))
}

/// The options of the filesystem at `root`, but for `rw` and `ro`, which are the mount's here.
fn flags_in(mountinfo: &str, root: &Path) -> Vec<String> {
    let options = mountinfo::filesystem_options(mountinfo, &root.to_string_lossy()).unwrap_or_default();
    options.split(',').filter(|option| !["", "rw", "ro"].contains(option)).map(String::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_of_the_tree_are_found() {
        let mountinfo = "\
30 25 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
31 25 0:27 / /sys/fs/bpf rw - bpf bpf rw,mode=700
";
        assert_eq!(flags_in(mountinfo, Path::new("/sys/fs/cgroup")), ["nsdelegate", "memory_recursiveprot"]);
        assert!(flags_in(mountinfo, Path::new("/nowhere")).is_empty());
    }
}
