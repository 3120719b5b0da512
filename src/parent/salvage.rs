//! `delete --force` of a container whose record cannot be read: what can be known of it goes, and
//! what cannot is said.

use crate::cgroup::Record;
use crate::host;
use crate::id::Id;
use crate::log;
use crate::state::Dir;
use crate::sys::Errno;
use anyhow::Result;
use std::path::{Component, Path, PathBuf};

/// Kill what is in the container's cgroup, remove that and the directory. `why` says what is wrong
/// with the record. Returns what is left to be said.
pub fn clear(dir: Dir, id: &Id, why: &anyhow::Error) -> Result<Vec<String>> {
    // A `create` that was killed before it recorded anything has made nothing else.
    let never_recorded = why.downcast_ref() == Some(&Errno::ENOENT) && dir.load_config().is_err();
    let mut notes = Vec::new();
    if !never_recorded {
        let owner = dir.as_owner()?;
        let mut found = false;
        for path in candidates(&dir, id)? {
            let record = Record { path, depth: 1, owner: Some(owner.clone()), unit: None };
            match record.open() {
                Ok(Some(_)) => {
                    record.remove()?;
                    found = true;
                }
                // What is there may be anybody's, and anything but a cgroup. What cannot be looked
                // at is no answer.
                Err(err) if is_want(&err) => return Err(err),
                Ok(None) | Err(_) => {}
            }
        }
        notes.push(format!(
            "{}: the record cannot be read; {}, and what else it said is not undone: hooks, a scope of systemd, groups of resctrl",
            log::message(why),
            if found { "its cgroup was removed with all in it" } else { "no cgroup of it was found, nor any process" },
        ));
    }
    dir.remove()?;
    Ok(notes)
}

/// Where the cgroup may be: where the record or config.json say, as far as they can be read, or
/// where it is by default. Which of them is the container's its mark tells.
fn candidates(dir: &Dir, id: &Id) -> Result<Vec<PathBuf>> {
    let root = match host::cgroup_root() {
        Err(err) if is_want(&err) => return Err(err),
        Err(_) => return Ok(Vec::new()),
        Ok(root) => root,
    };
    let sibling = host::own_cgroup().ok().and_then(|own| Some(Path::new(&own).parent()?.join(id)));
    let told = dir.load_damaged().into_iter().chain(sibling);
    let below_root = |path: PathBuf| match path.strip_prefix(&root) {
        Ok(below) => root.join(below),
        Err(_) => root.join(path.strip_prefix("/").unwrap_or(&path)),
    };
    let plain = told.filter(|path| !path.components().any(|part| part == Component::ParentDir));
    Ok(plain.map(below_root).collect())
}

/// Whether this command lacks something, so that it has learnt nothing.
fn is_want(err: &anyhow::Error) -> bool {
    matches!(err.downcast_ref(), Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EIO))
}
