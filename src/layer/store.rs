//! Layers that have a name: each a folder in the caller's data folder.

use super::remove::remove;
use crate::host;
use crate::id::Id;
use crate::sys::fs;
use anyhow::{Context, Result, bail};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Where they are, for root and for an ordinary user.
pub(crate) fn folder() -> Result<PathBuf> {
    if host::user() == 0 {
        return Ok("/var/lib/knarr/sandboxes".into());
    }
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = variable("XDG_DATA_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/share")));
    Ok(data
        .context("neither XDG_DATA_HOME nor HOME is set, below which layers are kept")?
        .join("knarr/sandboxes"))
}

/// The folder of the layer `name`, in a store that is made if it is missing.
pub(crate) fn make(name: &Id) -> Result<PathBuf> {
    let store = folder()?;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&store);
    made.with_context(|| format!("mkdir {}", store.display()))?;
    Ok(store.join(name.as_str()))
}

/// The layer that a word means: a folder, or else a name.
pub(crate) fn find(word: &Path) -> Result<PathBuf> {
    if word.join("upper").is_dir() {
        return Ok(word.into());
    }
    let name: Option<Id> = word.to_str().and_then(|name| name.parse().ok());
    match name.map(|name| folder().map(|store| store.join(name.as_str()))).transpose()? {
        Some(path) if path.join("upper").is_dir() => Ok(path),
        _ => bail!("no layer of a sandbox is there, and none has that name"),
    }
}

/// A layer that is kept.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) name: String,
    /// When it was last used, in seconds of the Unix epoch.
    pub(crate) changed_s: i64,
}

/// All that are kept, by name.
pub(crate) fn list() -> Result<Vec<Kept>> {
    let store = folder()?;
    let entries = match std::fs::read_dir(&store) {
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| store.display().to_string())?,
    };
    let mut kept = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| store.display().to_string())?;
        if let (Ok(about), Ok(name)) = (entry.path().join("work").metadata(), entry.file_name().into_string())
        {
            kept.push(Kept { name, changed_s: about.mtime() });
        }
    }
    kept.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(kept)
}

/// A layer that nobody else uses meanwhile.
#[derive(Debug)]
pub(crate) struct Lock {
    _folder: OwnedFd,
    /// Whether there was no such folder before.
    made: Option<PathBuf>,
}

/// Have a layer's folder, which is made where it is missing; none where it cannot be made, as
/// whoever makes the layer will say.
pub(crate) fn lock(path: &Path) -> Result<Option<Lock>> {
    let made = std::fs::DirBuilder::new().mode(0o700).create(path).is_ok();
    let Ok(folder) = fs::open(path, fs::O_RDONLY | fs::O_DIRECTORY, 0) else { return Ok(None) };
    if !fs::try_lock_exclusive(folder.as_fd()).context("flock")? {
        bail!("{}: another sandbox uses it", path.display());
    }
    Ok(Some(Lock { _folder: folder, made: made.then(|| path.into()) }))
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A sandbox that could not be made has put nothing there.
        if let Some(path) = &self.made {
            let _ = std::fs::remove_dir(path);
        }
    }
}

/// Forget a layer that nobody uses.
pub(crate) fn forget(name: &Id) -> Result<()> {
    let store = folder()?;
    let path = store.join(name.as_str());
    let _lock = if path.exists() { lock(&path)? } else { None };
    let open = fs::open(&store, fs::O_RDONLY | fs::O_DIRECTORY, 0);
    let removed = open.and_then(|store| remove(store.as_fd(), name.as_str().as_bytes()));
    removed.with_context(|| format!("{}/{name}", store.display()))
}
