//! What a sandbox needs to know of this machine.

use crate::host;
use crate::proc::passwd;
use crate::sys::{self, Errno, directory, fs};
use crate::template::sandbox::Caller;
use crate::template::sandbox::secrets::{Names, by_folder};
use crate::template::sandbox::view::{self, Disk, Entry, EntryKind, Part, is_own};
use anyhow::{Context, Result, bail};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The disks below `/`. A single file of one, mounted on another, is left out: the one below it is
/// seen.
pub(super) fn disks() -> Result<Vec<Disk>> {
    let mut disks = view::disks(&host::read("/proc/self/mountinfo")?);
    disks.retain(|disk| Path::new(&disk.path).is_dir());
    Ok(disks)
}

/// The parts that an ordinary user sees of `/`: its folders and symlinks.
pub(super) fn folders() -> Result<Vec<Part>> {
    let mountinfo = host::read("/proc/self/mountinfo")?;
    let mut parts = Vec::new();
    for entry in entries("/").context("/")? {
        match entry.kind {
            _ if is_own(&entry.path) => {}
            EntryKind::Folder => {
                // What cannot be listed may have mounts that cannot be told from it.
                view::spread(&entry.path, &mountinfo, &|path| entries(path).unwrap_or_default(), &mut parts);
            }
            EntryKind::File if Path::new(&entry.path).is_symlink() => parts.push(Part::Bound(entry.path)),
            _ => {}
        }
    }
    Ok(parts)
}

fn entries(folder: &str) -> Result<Vec<Entry>> {
    let mut entries: Vec<Entry> = listed(folder)?
        .into_iter()
        .filter_map(|entry| {
            let kind = match entry.kind {
                libc::S_IFDIR => EntryKind::Folder,
                libc::S_IFREG | libc::S_IFLNK => EntryKind::File,
                _ => EntryKind::Other,
            };
            let name = String::from_utf8(entry.name).ok()?;
            Some(Entry { path: format!("{}/{name}", folder.trim_end_matches('/')), kind })
        })
        .collect();
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

fn listed(folder: impl AsRef<Path>) -> sys::Result<Vec<directory::Entry>> {
    directory::entries(fs::open(folder, fs::O_RDONLY | fs::O_DIRECTORY, 0)?.as_fd())
}

/// The path without symlinks of what is there.
pub(super) fn real(path: &str) -> Result<String> {
    text(std::fs::canonicalize(path)?)
}

/// The path without symlinks of what need not be there.
pub(super) fn resolved(path: &str) -> Result<String> {
    let absolute = std::path::absolute(path)?;
    if absolute.components().any(|part| part == std::path::Component::ParentDir) {
        return real(path);
    }
    let mut missing = Vec::new();
    for above in absolute.ancestors() {
        match std::fs::canonicalize(above) {
            Ok(found) => return text(missing.iter().rev().fold(found, |path, name| path.join(name))),
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => {
                missing.extend(above.file_name());
            }
            Err(err) => return Err(err.into()),
        }
    }
    bail!("not a path")
}

fn text(path: PathBuf) -> Result<String> {
    path.into_os_string().into_string().ok().context("not UTF-8")
}

/// What of the list of secrets is there, without symlinks.
pub(super) fn secrets() -> Result<Vec<String>> {
    let homes = homes();
    let mut found = Vec::new();
    // Layers of other sandboxes, wherever the caller's data are.
    if let Ok(layers) = crate::layer::store::folder() {
        found.extend(real_if_there(&layers));
    }
    for (folder, names) in by_folder(&homes) {
        let path = Path::new(&folder);
        match if names.are_few() { None } else { secrets_in(path, &names) } {
            Some(secrets) => found.extend(secrets),
            // What may not be listed may still be looked into.
            None => found.extend(names.plain.iter().filter_map(|name| real_if_there(&path.join(name)))),
        }
    }
    found.retain(|path| path != "/");
    Ok(found)
}

/// The secrets in a folder that can be listed; none where it cannot be told what it holds.
fn secrets_in(folder: &Path, names: &Names) -> Option<Vec<String>> {
    let opened = match fs::open(folder, fs::O_RDONLY | fs::O_DIRECTORY, 0) {
        Err(errno) => return (errno == Errno::ENOENT).then(Vec::new),
        Ok(opened) => opened,
    };
    let mut secrets = Vec::new();
    // Most have none, and the way to one is looked up once.
    let mut real_folder = None;
    for entry in directory::entries(opened.as_fd()).ok()? {
        let Ok(name) = String::from_utf8(entry.name) else { continue };
        if !names.have(&name) {
            continue;
        }
        match real_folder.get_or_insert_with(|| real_of(&opened, folder)) {
            Some(real) if !matches!(entry.kind, libc::S_IFLNK | 0) => {
                secrets.push(format!("{}/{name}", real.trim_end_matches('/')));
            }
            _ => secrets.extend(real_if_there(&folder.join(name))),
        }
    }
    Some(secrets)
}

/// The path without symlinks of what may be there. Most is not, which one call tells.
fn real_if_there(path: &Path) -> Option<String> {
    real_of(&fs::open(path, fs::O_PATH, 0).ok()?, path)
}

/// The path without symlinks of what was opened at `path`. If it was replaced since, that of what
/// is there now: the kernel adds a word to the old one.
fn real_of(opened: &OwnedFd, path: &Path) -> Option<String> {
    match host::path_of(opened) {
        Some(real) if !real.ends_with(" (deleted)") => Some(real),
        _ => text(std::fs::canonicalize(path).ok()?).ok(),
    }
}

/// The homes of root and of people, and the caller's.
fn homes() -> Vec<String> {
    let passwd = std::fs::read("/etc/passwd").unwrap_or_default();
    let is_person = |uid: u32| uid == 0 || (1000..65534).contains(&uid);
    let people = passwd::accounts(&passwd).filter(|account| is_person(account.uid));
    let homes = people.filter_map(|account| String::from_utf8(account.home?.to_vec()).ok());
    let mut homes: Vec<String> = homes.chain(std::env::var("HOME").ok()).collect();
    homes.retain(|home| home.starts_with('/') && home != "/");
    homes.sort();
    homes.dedup();
    homes
}

/// The ids that `--user` names. An ordinary user is root in the sandbox, and nobody else.
pub(super) fn user(text: &str, caller: Caller) -> Result<(u32, u32)> {
    let passwd = std::fs::read("/etc/passwd").unwrap_or_default();
    let (name, group) = text.split_once(':').map_or((text, None), |(name, group)| (name, Some(group)));
    let number = passwd::id(name.as_bytes());
    let account = passwd::accounts(&passwd)
        .find(|account| number.map_or(account.name == name.as_bytes(), |uid| account.uid == uid));
    let uid = match (number, &account) {
        (Some(uid), _) => uid,
        (None, Some(account)) => account.uid,
        (None, None) => bail!("--user {text}: no such user in /etc/passwd"),
    };
    let gid = match group {
        Some(group) => passwd::id(group.as_bytes())
            .or_else(|| group_id(group))
            .with_context(|| format!("--user {text}: no such group in /etc/group"))?,
        None => account.and_then(|account| account.gid).unwrap_or(uid),
    };
    if let Caller::User(..) = caller
        && (uid, gid) != (0, 0)
    {
        bail!("--user {text}: an ordinary user is root in the sandbox, and nobody else");
    }
    Ok((uid, gid))
}

fn group_id(name: &str) -> Option<u32> {
    let text = std::fs::read("/etc/group").ok()?;
    passwd::groups(&text).find(|(group, ..)| *group == name.as_bytes()).map(|(_, gid, _)| gid)
}
