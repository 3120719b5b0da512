//! What execve(2) makes of the process for a security module: an AppArmor profile, a SELinux label; and that of its keys.
//!
//! Asked for by writing to a file of /proc/self/attr. That /proc may be the container's, so it must prove to be one.

use super::paths;
use crate::fault::{Call, Outcome, Refusal};
use crate::sys::{Errno, fs, mount};
use std::os::fd::{AsFd, OwnedFd};

pub(super) fn apparmor(profile: &str) -> Outcome {
    let file = match attribute("apparmor/exec") {
        // Before Linux 5.8 all modules share one file.
        Err(refusal) if refusal.errno == Some(Errno::ENOENT) => attribute("exec")?,
        found => found?,
    };
    match fs::write_once(file.as_fd(), format!("exec {profile}").as_bytes()) {
        Err(Errno::ENOENT) => {
            let text = format!("there is no AppArmor profile \"{profile}\" in the kernel");
            Err(Refusal::message(text))
        }
        written => written.call(|| format!("write \"exec {profile}\" to /proc/self/attr/apparmor/exec")),
    }
}

pub(super) fn selinux(label: &str) -> Outcome {
    let file = attribute("exec")?;
    fs::write_once(file.as_fd(), label.as_bytes())
        .call(|| format!("write \"{label}\" to /proc/self/attr/exec"))
}

/// The label of keyrings that this process makes, until execve(2) takes it back.
pub(super) fn keys(label: &str) -> Outcome {
    let file = attribute("keycreate")?;
    fs::write_once(file.as_fd(), label.as_bytes())
        .call(|| format!("write \"{label}\" to /proc/self/attr/keycreate"))
}

/// Open one of this process's attributes; no part of the path may be mounted over.
fn attribute(name: &str) -> Outcome<OwnedFd> {
    let proc =
        fs::open("/proc", fs::O_PATH | fs::O_DIRECTORY | fs::O_NOFOLLOW, 0).call(|| "open /proc".into())?;
    if mount::fs_magic(proc.as_fd()).call(|| "fstatfs /proc".into())? != mount::PROC_SUPER_MAGIC {
        return Err(Refusal::message("/proc of the container is no procfs, through which labels are set"));
    }
    let path = format!("self/attr/{name}");
    paths::open_same_mount(proc.as_fd(), &path, fs::O_WRONLY).call(|| format!("open /proc/{path}"))
}
