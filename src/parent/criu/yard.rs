//! The mount namespace that CRIU works in, and its cgroup yard: a folder with every cgroup tree.
//!
//! Without one CRIU mounts cgroup2 once more, without options, and to the kernel that is a change
//! of what all mounts of it have: `nsdelegate` and the others would be gone for the machine.

use crate::acts::trees;
use crate::fault::{Call, Outcome, Refusal};
use crate::host;
use crate::proc::cgroup::{Place, places};
use crate::sys::mount::{self, Follow, Reach};
use crate::sys::{self, fs, process};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Enter a mount namespace: what is mounted from here on is not seen outside, and gone with it.
pub(super) fn enter() -> Outcome {
    process::unshare(libc::CLONE_NEWNS).call(|| "unshare of a mount namespace".into())?;
    trees::slave()
}

/// Put the cgroup trees into the folder `yard`, under the names that CRIU looks for.
pub(super) fn lay_out(yard: &Path, cgroup_root: &Path) -> Outcome {
    let top = new_mount("tmpfs", &[])?;
    let place = fs::open(yard, fs::O_PATH | fs::O_DIRECTORY, 0);
    attach(&top, &place.call(|| format!("open {}", yard.display()))?)?;
    let trees = host::read("/proc/self/cgroup").map_err(|err| Refusal::message(format!("{err:#}")))?;
    for Place { controllers, .. } in places(&trees) {
        let name = folder(&controllers);
        let copy = if controllers.is_empty() {
            mount::clone_tree(cgroup_root, Reach::Top, Follow::Last)
                .call(|| format!("open_tree {}", cgroup_root.display()))?
        } else {
            new_mount("cgroup", &controllers)?
        };
        fs::mkdirat(top.as_fd(), &name, 0o700).call(|| format!("mkdir {name} in the cgroup yard"))?;
        let place = fs::openat(top.as_fd(), &name, fs::O_PATH | fs::O_DIRECTORY, 0);
        attach(&copy, &place.call(|| format!("open {name} in the cgroup yard"))?)?;
    }
    Ok(())
}

fn new_mount(fstype: &str, controllers: &[&str]) -> Outcome<OwnedFd> {
    let make = || -> sys::Result<OwnedFd> {
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
    make().call(|| format!("mount of {fstype} {}", controllers.join(",")))
}

fn attach(what: &OwnedFd, onto: &OwnedFd) -> Outcome {
    mount::move_mount(what.as_fd(), onto.as_fd()).call(|| "move_mount".into())
}

/// What CRIU calls the tree with these controllers.
fn folder(controllers: &[&str]) -> String {
    if controllers.is_empty() { "unified".into() } else { controllers.join(",").replace("name=", "") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_have_the_names_that_criu_looks_for() {
        let text = "0::/user.slice\n4:cpu,cpuacct:/\n1:name=systemd:/x\n";
        let names: Vec<String> = places(text).map(|place| folder(&place.controllers)).collect();
        assert_eq!(names, ["unified", "cpu,cpuacct", "systemd"]);
    }
}
