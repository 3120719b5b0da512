//! The mount namespace that CRIU works in, and its cgroup yard: a folder with every cgroup tree.
//!
//! Without one CRIU mounts cgroup2 once more, without options, and to the kernel that is a change of what all mounts of it have:
//! `nsdelegate` and the others would be gone for the machine.

use crate::host;
use crate::sys::mount::{self, Change, Reach};
use crate::sys::{Errno, describe, fs, process};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

type Attempt<T = ()> = std::result::Result<T, String>;

fn failed(call: &str) -> impl FnOnce(Errno) -> String {
    let call = call.to_string();
    move |errno| format!("{call}: {}", describe(errno))
}

/// Enter a mount namespace: what is mounted from here on is not seen outside, and gone with it.
pub(super) fn enter() -> Attempt {
    process::unshare(libc::CLONE_NEWNS).map_err(failed("unshare of a mount namespace"))?;
    let slave = Change { propagation: libc::MS_SLAVE, ..Change::default() };
    let host = fs::open("/", fs::O_PATH | fs::O_DIRECTORY, 0).map_err(failed("open /"))?;
    mount::mount_setattr(host.as_fd(), Reach::Tree, slave).map_err(failed("mount_setattr /"))
}

/// Put the cgroup trees into the folder `yard`, under the names that CRIU looks for.
pub(super) fn lay_out(yard: &Path, cgroup_root: &Path) -> Attempt {
    let top = new_mount("tmpfs", &[])?;
    attach(&top, &fs::open(yard, fs::O_PATH | fs::O_DIRECTORY, 0).map_err(failed("open the cgroup yard"))?)?;
    let trees = host::read("/proc/self/cgroup").map_err(|err| format!("{err:#}"))?;
    for tree in trees.lines().filter_map(Tree::of) {
        let name = tree.folder();
        let copy = match tree {
            Tree::V2 => mount::clone_tree(cgroup_root, Reach::Top, mount::Follow::Last)
                .map_err(failed(&format!("open_tree {}", cgroup_root.display())))?,
            Tree::V1(controllers) => new_mount("cgroup", &controllers)?,
        };
        fs::mkdirat(top.as_fd(), &name, 0o700).map_err(failed("mkdir in the cgroup yard"))?;
        let place = fs::openat(top.as_fd(), &name, fs::O_PATH | fs::O_DIRECTORY, 0);
        attach(&copy, &place.map_err(failed("open in the cgroup yard"))?)?;
    }
    Ok(())
}

fn new_mount(fstype: &str, controllers: &[&str]) -> Attempt<OwnedFd> {
    let make = || -> Result<OwnedFd, Errno> {
        let new = mount::fsopen(fstype)?;
        for controller in controllers {
            match controller.strip_prefix("name=") {
                Some(name) => {
                    mount::fsconfig_flag(new.as_fd(), "none")?;
                    mount::fsconfig_string(new.as_fd(), "name", name)?;
                }
                None => mount::fsconfig_flag(new.as_fd(), controller)?,
            }
        }
        mount::fsconfig_create(new.as_fd())?;
        mount::fsmount(new.as_fd(), 0)
    };
    make().map_err(failed(&format!("mount of {fstype} {}", controllers.join(","))))
}

fn attach(what: &OwnedFd, onto: &OwnedFd) -> Attempt {
    mount::move_mount(what.as_fd(), onto.as_fd()).map_err(failed("move_mount"))
}

/// A cgroup tree of this machine.
#[derive(Debug, PartialEq, Eq)]
enum Tree<'a> {
    V2,
    /// By its controllers, or `name=` where it has none.
    V1(Vec<&'a str>),
}

impl Tree<'_> {
    /// From a line of /proc/PID/cgroup, cgroups(7).
    fn of(line: &str) -> Option<Tree<'_>> {
        match line.split(':').nth(1)? {
            "" => Some(Tree::V2),
            controllers => Some(Tree::V1(controllers.split(',').collect())),
        }
    }

    fn folder(&self) -> String {
        match self {
            Tree::V2 => "unified".into(),
            Tree::V1(controllers) => controllers.join(",").replace("name=", ""),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_have_the_names_that_criu_looks_for() {
        let named = |line| Tree::of(line).map(|tree| tree.folder());
        assert_eq!(named("0::/user.slice").as_deref(), Some("unified"));
        assert_eq!(named("4:cpu,cpuacct:/").as_deref(), Some("cpu,cpuacct"));
        assert_eq!(named("1:name=systemd:/x").as_deref(), Some("systemd"));
        assert_eq!(Tree::of("4:cpu,cpuacct:/"), Some(Tree::V1(vec!["cpu", "cpuacct"])));
        assert_eq!(named(""), None);
    }
}
