//! Programs that are called, and the files that they read.

use super::{Caller, Finding, Verdict};
use crate::fault::Call;
use crate::host::{self, NSRESOURCED};
use crate::nsresourced;
use crate::placeholder::Placeholder;
use crate::sys::{self, fs, xattr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

pub(super) fn all(caller: Caller) -> Vec<Finding> {
    let mut findings = Vec::new();
    for program in ["newuidmap", "newgidmap"] {
        findings.push(mapper(program));
    }
    if caller == Caller::User {
        findings.push(ranges("/etc/subuid"));
        findings.push(ranges("/etc/subgid"));
        findings.push(lender());
    }
    findings.push(criu(caller));
    findings
}

/// A program that maps ids for ordinary users; that takes a right of its own.
fn mapper(program: &str) -> Finding {
    let effect = "a container of an ordinary user has no ids but their own";
    let Some(place) = host::program(program) else {
        return Finding::lacks(program, "not in PATH", effect, "install it: package uidmap or shadow-utils");
    };
    let shown = place.display().to_string();
    let setuid = place.metadata().is_ok_and(|found| found.permissions().mode() & 0o4000 != 0);
    let capable = fs::open(&place, fs::O_RDONLY, 0)
        .and_then(|file| xattr::list(file.as_fd()))
        .is_ok_and(|names| names.iter().any(|name| name == b"security.capability"));
    if setuid || capable {
        return Finding::ok(program, shown);
    }
    let remedy = format!("chmod u+s {shown}");
    Finding::lacks(program, format!("{shown}, neither setuid nor with capabilities"), effect, &remedy)
}

/// The ranges of ids that a file gives to the caller.
fn ranges(file: &str) -> Finding {
    let mine = host::own_id_ranges(file);
    if mine.is_empty() {
        let uid = nix::unistd::getuid().as_raw();
        let passwd = host::read("/etc/passwd").unwrap_or_default();
        let who = host::user_name(&passwd, uid).map_or_else(|| uid.to_string(), String::from);
        let option = if file.ends_with("uid") { "--add-subuids" } else { "--add-subgids" };
        let remedy = format!("usermod {option} 100000-165535 {who}");
        let effect = "a container of this user has no ids but their own";
        return Finding::lacks(file, format!("nothing for {who}"), effect, &remedy);
    }
    let shown = mine.iter().map(|(first, count)| format!("{first}:{count}"));
    Finding::ok(file, shown.collect::<Vec<_>>().join(", "))
}

/// systemd-nsresourced, which lends ranges to who has none. It is asked for one, for a user
/// namespace that is gone at once.
fn lender() -> Finding {
    let name = "systemd-nsresourced";
    if fs::writable(Path::new(NSRESOURCED)).is_err() {
        let effect = "no ids are lent: org.knarr.id-range takes a range of /etc/subuid";
        let remedy = "package systemd-container; systemctl enable --now systemd-nsresourced.socket";
        return Finding::new(name, Verdict::None, "not there").with(effect, remedy);
    }
    let namespace = || -> sys::Result<(Placeholder, OwnedFd)> {
        let inside = Placeholder::new(libc::CLONE_NEWUSER)?;
        let namespace = fs::open(format!("/proc/{}/ns/user", inside.pid), fs::O_RDONLY, 0)?;
        Ok((inside, namespace))
    };
    let lent = namespace().call(|| "clone3 new-user".into());
    match lent.and_then(|(_inside, namespace)| nsresourced::map_ids(namespace.as_fd(), 65536)) {
        Ok(()) => Finding::ok(name, "lends 65536 ids"),
        Err(refusal) => {
            let effect = "no ids are lent: org.knarr.id-range takes a range of /etc/subuid";
            Finding::lacks(name, refusal.to_string(), effect, "journalctl --unit systemd-nsresourced")
        }
    }
}

/// CRIU, and whether it can do with this kernel; only root has it do anything.
#[allow(clippy::disallowed_methods, reason = "no hook: a short-lived helper that is waited for at once")]
fn criu(caller: Caller) -> Finding {
    let effect = "no checkpoint, no restore";
    let Some(place) = host::program("criu") else {
        return Finding::new("criu", Verdict::None, "not in PATH").with(effect, "install it: package criu");
    };
    let shown = place.display().to_string();
    if caller == Caller::User {
        return Finding::new("criu", Verdict::None, shown)
            .with("no checkpoint, no restore: only for root", "");
    }
    match std::process::Command::new(&place).arg("check").output() {
        Ok(tried) if tried.status.success() => Finding::ok("criu", shown),
        Ok(tried) => {
            let said = String::from_utf8_lossy(&tried.stderr);
            let error = said.lines().find(|line| line.contains("Error")).unwrap_or("criu check fails");
            Finding::lacks(
                "criu",
                format!("{shown}: {error}"),
                effect,
                "criu check; a newer one for a newer kernel",
            )
        }
        Err(err) => Finding::lacks("criu", format!("{shown}: {err}"), effect, ""),
    }
}
