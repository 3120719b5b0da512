//! `knarr run --host-root`: a bundle that is not there.

use super::create::{Bundle, Console};
use crate::host;
use crate::template::sandbox::{self, Disk, Sandbox, View};
use anyhow::{Context, Result};
use std::io::IsTerminal;

/// The bundle of a sandbox for `command`, on the files of this machine.
pub(super) fn bundle(command: &[String], console: Console) -> Result<Bundle> {
    let variable = |name: &str| std::env::var(name).ok();
    let shell = [variable("SHELL").unwrap_or_else(|| "sh".into())];
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let (disks, folders) = match uid.is_root() {
        true => (disks()?, Vec::new()),
        false => (Vec::new(), folders()?),
    };
    let config = sandbox::config(&Sandbox {
        args: if command.is_empty() { &shell } else { command },
        env: &environment(variable),
        cwd: &working_directory().unwrap_or_else(|| "/".into()),
        terminal: console != Console::None
            && std::io::stdin().is_terminal()
            && std::io::stdout().is_terminal(),
        view: if uid.is_root() {
            View::Root(&disks)
        } else {
            View::Folders(uid.as_raw(), gid.as_raw(), &folders)
        },
    })?;
    Ok(Bundle { folder: "/".into(), text: config.into_bytes() })
}

/// The disks below `/`. A single file of one, mounted on another, is left out: the one below it is
/// seen.
fn disks() -> Result<Vec<Disk>> {
    let mut disks = sandbox::disks(&host::read("/proc/self/mountinfo")?);
    disks.retain(|disk| std::path::Path::new(&disk.path).is_dir());
    Ok(disks)
}

/// The folders and symlinks of `/`.
fn folders() -> Result<Vec<String>> {
    let mut folders = Vec::new();
    for entry in std::fs::read_dir("/").context("/")? {
        let entry = entry.context("/")?;
        let kind = entry.file_type().context("/")?;
        if let Some(path) = entry.path().to_str()
            && (kind.is_dir() || kind.is_symlink())
            && !sandbox::is_own(path)
        {
            folders.push(path.to_string());
        }
    }
    folders.sort();
    Ok(folders)
}

/// What of the caller's environment says how to show things, and no more.
fn environment(variable: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut env = vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_string()];
    let kept = ["TERM", "COLORTERM", "LANG", "LC_ALL", "TZ"];
    env.extend(kept.iter().filter_map(|name| Some(format!("{name}={}", variable(name)?))));
    env
}

/// The caller's, if it can be seen in the sandbox.
fn working_directory() -> Option<String> {
    let path = std::env::current_dir().ok()?.into_os_string().into_string().ok()?;
    (!sandbox::is_own(&path)).then_some(path)
}
