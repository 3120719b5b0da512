//! Programs that are called, and the files that they read.

use super::{Caller, Finding, Verdict};
use crate::sys::{fs, xattr};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

pub(super) fn all(caller: Caller) -> Vec<Finding> {
    let mut findings = Vec::new();
    for program in ["newuidmap", "newgidmap"] {
        findings.push(mapper(program));
    }
    if caller == Caller::User {
        findings.push(ranges("/etc/subuid"));
        findings.push(ranges("/etc/subgid"));
    }
    findings.push(criu());
    findings
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut places = std::env::split_paths(&path).map(|folder| folder.join(program));
    places.find(|place| place.metadata().is_ok_and(|found| found.is_file() && found.mode() & 0o111 != 0))
}

/// A program that maps ids for ordinary users; that takes a right of its own.
fn mapper(program: &str) -> Finding {
    let effect = "a container of an ordinary user has no ids but their own";
    let Some(place) = find(program) else {
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
    let uid = nix::unistd::getuid();
    let name = nix::unistd::User::from_uid(uid).ok().flatten().map(|user| user.name);
    let is_mine = |owner: &str| owner == uid.to_string() || name.as_deref() == Some(owner);
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let mine: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split_once(':').filter(|(owner, _)| is_mine(owner)).map(|(_, range)| range))
        .collect();
    if mine.is_empty() {
        let who = name.unwrap_or_else(|| uid.to_string());
        let option = if file.ends_with("uid") { "--add-subuids" } else { "--add-subgids" };
        let remedy = format!("usermod {option} 100000-165535 {who}");
        let effect = "a container of this user has no ids but their own";
        return Finding::lacks(file, format!("nothing for {who}"), effect, &remedy);
    }
    Finding::ok(file, mine.join(", "))
}

fn criu() -> Finding {
    match find("criu") {
        Some(place) => Finding::ok("criu", place.display().to_string()),
        None => {
            let effect = "containers cannot be checkpointed and restored";
            Finding::new("criu", Verdict::None, "not in PATH").with(effect, "install the package criu")
        }
    }
}
