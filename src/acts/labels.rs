//! What execve(2) makes of the process for a security module: an AppArmor profile, a SELinux label;
//! and that of its keys.
//!
//! Asked for by writing to a file of /proc/self/attr. That /proc may be the container's, so it must
//! prove to be one.

use crate::fault::{Call, Outcome, Refusal};
use crate::sys::{self, Errno, fs, mount};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Have execve(2) put this process under an AppArmor profile.
pub fn apparmor(profile: &str) -> Outcome {
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

/// Have execve(2) give this process a SELinux label.
pub fn selinux(label: &str) -> Outcome {
    let file = attribute("exec")?;
    fs::write_once(file.as_fd(), label.as_bytes())
        .call(|| format!("write \"{label}\" to /proc/self/attr/exec"))
}

/// The label of keyrings that this process makes, until execve(2) takes it back.
pub fn keys(label: &str) -> Outcome {
    let file = attribute("keycreate")?;
    fs::write_once(file.as_fd(), label.as_bytes())
        .call(|| format!("write \"{label}\" to /proc/self/attr/keycreate"))
}

/// Open one of this process's attributes; no part of the path may be mounted over.
fn attribute(name: &str) -> Outcome<OwnedFd> {
    let proc =
        fs::open("/proc", fs::O_PATH | fs::O_DIRECTORY | fs::O_NOFOLLOW, 0).call(|| "open /proc".into())?;
    if mount::fs_magic(proc.as_fd()).call(|| "fstatfs /proc".into())? != mount::PROC_SUPER_MAGIC {
        return Err(Refusal::message("/proc in the container is not a procfs, so the label cannot be set"));
    }
    let path = format!("self/attr/{name}");
    open_same_mount(proc.as_fd(), &path, fs::O_WRONLY).call(|| format!("open /proc/{path}"))
}

/// Open what is at `path` below a directory of the kernel's, if it is on the same mount.
fn open_same_mount(dir: BorrowedFd<'_>, path: &str, flags: i32) -> sys::Result<OwnedFd> {
    let resolve = fs::RESOLVE_BENEATH | fs::RESOLVE_NO_XDEV | fs::RESOLVE_NO_MAGICLINKS;
    fs::openat2(dir, path, flags, 0, resolve)
}
