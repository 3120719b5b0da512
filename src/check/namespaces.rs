//! Namespaces, and what can be mounted in them.

use super::{Caller, Finding, apart};
use crate::config::Namespace;
use crate::placeholder::Placeholder;
use crate::sys::mount::{self, Follow, Reach};
use crate::sys::process;
use crate::sys::{self, Errno, cred, fs};
use nix::mount::MsFlags;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

pub(super) fn all(caller: Caller) -> Vec<Finding> {
    let mut findings = vec![user(caller)];
    // An ordinary user has the others only in a user namespace.
    let others = Namespace::ALL.into_iter().filter(|kind| *kind != Namespace::User);
    findings.extend(others.map(|kind| namespace(caller, kind)));
    if caller == Caller::Root {
        findings.push(users_of_others());
        findings.push(id_mapped());
    }
    findings.extend(overlays(caller));
    findings
}

fn with_user(caller: Caller) -> i32 {
    if caller == Caller::User { libc::CLONE_NEWUSER } else { 0 }
}

fn namespace(caller: Caller, kind: Namespace) -> Finding {
    let name = kind.name();
    // Time namespaces are not for who makes them, but for their children.
    let tried = apart(with_user(caller), || process::unshare(kind.clone_flag()));
    let title = format!("{name} namespace");
    let effect = format!("a config.json that asks for a new one is refused: linux.namespaces, type {name}");
    let (found, remedy) = ("can be made", why(tried.err(), kind));
    let finding = Finding::tried(&title, tried, found, &effect, &remedy);
    if kind == Namespace::Mount { finding.needed() } else { finding }
}

fn why(errno: Option<Errno>, kind: Namespace) -> String {
    match errno {
        Some(Errno::ENOSPC) => format!("sysctl user.max_{}_namespaces is too low", kind.file()),
        Some(Errno::EINVAL) => format!("a kernel with {} namespaces", kind.name()),
        Some(_) => "run it with CAP_SYS_ADMIN, and without a seccomp filter that forbids unshare(2)".into(),
        None => String::new(),
    }
}

fn user(caller: Caller) -> Finding {
    let ids = own_ids();
    let tried = apart(libc::CLONE_NEWUSER, || be_root(ids));
    let effect = match caller {
        Caller::Root => "a config.json with a user namespace is refused, and ids of mounts cannot be mapped",
        Caller::User => "no container of an ordinary user runs",
    };
    let remedy = tried.err().map(|errno| user_remedy(errno, caller)).unwrap_or_default();
    let finding = Finding::tried("user namespace", tried, "can be made", effect, &remedy);
    if caller == Caller::User { finding.needed() } else { finding }
}

/// The settings that forbid it, those that are known.
fn user_remedy(errno: Errno, caller: Caller) -> String {
    let is = |path: &str, value: &str| crate::host::read(path).is_ok_and(|text| text.trim() == value);
    let sysctl = |name: &str, value: &str| format!("sysctl -w {name}={value}");
    if is("/proc/sys/user/max_user_namespaces", "0") || errno == Errno::ENOSPC {
        sysctl("user.max_user_namespaces", "15000")
    } else if caller == Caller::User && is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        sysctl("kernel.unprivileged_userns_clone", "1")
    } else if caller == Caller::User && is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        sysctl("kernel.apparmor_restrict_unprivileged_userns", "0")
    } else if errno == Errno::EINVAL {
        "a kernel with CONFIG_USER_NS".into()
    } else {
        "an LSM or a seccomp filter forbids it".into()
    }
}

/// In a user namespace that the caller has just made: be root of it. The ids are theirs outside.
fn be_root((uid, gid): (u32, u32)) -> sys::Result<()> {
    let write = |name: &str, text: &str| {
        let file = fs::open(format!("/proc/self/{name}"), fs::O_WRONLY, 0)?;
        fs::write_once(file.as_fd(), text.as_bytes())
    };
    write("setgroups", "deny")?;
    write("uid_map", &format!("0 {uid} 1"))?;
    write("gid_map", &format!("0 {gid} 1"))
}

fn own_ids() -> (u32, u32) {
    (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw())
}

/// Another user than root: what they may not, an engine without root may not.
const NOBODY: u32 = 65534;

fn users_of_others() -> Finding {
    let tried = apart(0, || {
        cred::set_groups(&[])?;
        cred::set_gid(NOBODY)?;
        cred::set_uid(NOBODY)?;
        process::unshare(libc::CLONE_NEWUSER)
    });
    let remedy = tried.err().map(|errno| user_remedy(errno, Caller::User)).unwrap_or_default();
    let effect = "no container of an ordinary user runs";
    Finding::tried("user namespace of an ordinary user", tried, "can be made", effect, &remedy)
}

/// A user namespace with one id, and nobody in it.
fn user_namespace() -> sys::Result<OwnedFd> {
    let inside = Placeholder::new(libc::CLONE_NEWUSER)?;
    let open = |name: &str, flags| fs::open(format!("/proc/{}/{name}", inside.pid), flags, 0);
    for name in ["uid_map", "gid_map"] {
        fs::write_once(open(name, fs::O_WRONLY)?.as_fd(), b"0 1000 1")?;
    }
    open("ns/user", fs::O_RDONLY)
}

fn id_mapped() -> Finding {
    let map = || {
        let namespace = user_namespace()?;
        apart(libc::CLONE_NEWNS, || {
            let tree = mount::clone_tree(Path::new("/"), Reach::Top, Follow::Last)?;
            mount::map_ids(tree.as_fd(), Reach::Top, namespace.as_fd())
        })
    };
    let effect = "idmap and ridmap, and uidMappings of a mount, are refused for files of this filesystem";
    let remedy = "a filesystem that can do it: ext4, xfs, btrfs, or tmpfs since Linux 6.3";
    Finding::tried("id-mapped mounts of /", map(), "can be made", effect, remedy)
}

/// Mount an overlay with an upper layer on a tmpfs, in a mount namespace of its own.
fn overlay(options: &str) -> sys::Result<()> {
    let none: Option<&str> = None;
    nix::mount::mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    // Any folder that is there on every machine: nobody else sees what is mounted on it.
    nix::mount::mount(Some("none"), "/proc", Some("tmpfs"), MsFlags::empty(), none)?;
    let top = fs::open("/proc", fs::O_PATH | fs::O_DIRECTORY, 0)?;
    for name in ["lower", "upper", "work", "merged"] {
        fs::mkdirat(top.as_fd(), name, 0o755)?;
    }
    let options = format!("lowerdir=/proc/lower,upperdir=/proc/upper,workdir=/proc/work{options}");
    nix::mount::mount(Some("none"), "/proc/merged", Some("overlay"), MsFlags::empty(), Some(options.as_str()))
}

fn overlays(caller: Caller) -> Vec<Finding> {
    let effect = "--overlay, org.knarr.overlay and bundles of layers (bundle without --copy) do not work";
    let remedy = "modprobe overlay, or a kernel with CONFIG_OVERLAY_FS";
    let ids = own_ids();
    let in_user = apart(libc::CLONE_NEWUSER | libc::CLONE_NEWNS, || {
        be_root(ids)?;
        overlay(",userxattr")
    });
    let mut findings = Vec::new();
    if caller == Caller::Root {
        let here = apart(libc::CLONE_NEWNS, || overlay(""));
        findings.push(Finding::tried("overlay", here, "can be mounted", effect, remedy));
    }
    let effect = "in a user namespace: ".to_string() + effect;
    findings.push(Finding::tried(
        "overlay in a user namespace",
        in_user,
        "can be mounted",
        &effect,
        "Linux 5.11 or later, with the module overlay loaded",
    ));
    findings
}
