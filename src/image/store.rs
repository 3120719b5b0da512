//! Layers, each unpacked once: `STORE/layers/sha256/DIFF_ID`, or `…/DIFF_ID-CHAIN_ID` for one that
//! takes something from those below it.
//!
//! A layer is unpacked in `STORE/tmp` and moved to its place when it is whole and written to the
//! disk. So what has a place is whole, whenever unpacking was interrupted. Who unpacks a layer
//! holds flock(2) on its folder in `tmp`; others wait, and find it done. What nobody holds there is
//! left over from somebody who was killed.

use super::blob::digest;
use super::tree;
use crate::sys::{Errno, fs};
use anyhow::{Context, Result, bail};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

const FOLDER: i32 = fs::O_RDONLY | fs::O_DIRECTORY | fs::O_NOFOLLOW;

/// The store of one folder.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    layers: OwnedFd,
    tmp: OwnedFd,
}

/// What a layer is known by (image-spec, config.md).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    /// The digest of its archive.
    pub diff_id: String,
    /// That of it and all layers below it in its image.
    pub chain_id: String,
}

impl Key {
    /// Those of an image's layers, the lowest first.
    pub(crate) fn of<'a>(diff_ids: impl Iterator<Item = &'a str>) -> Vec<Key> {
        let mut keys: Vec<Key> = Vec::new();
        for diff_id in diff_ids {
            let chain_id = match keys.last() {
                None => diff_id.to_string(),
                Some(below) => digest(format!("sha256:{} sha256:{diff_id}", below.chain_id).as_bytes()),
            };
            keys.push(Key { diff_id: diff_id.into(), chain_id });
        }
        keys
    }

    /// The name of its folder, which says what its content depends on.
    pub(crate) fn name(&self, content: Content) -> String {
        match content {
            Content::Own => self.diff_id.clone(),
            Content::LeansOnLower => format!("{}-{}", self.diff_id, self.chain_id),
        }
    }
}

/// What the content of an unpacked layer depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// On the layer alone.
    Own,
    /// On the layers below it too: a name in it leads through one of theirs.
    LeansOnLower,
}

/// A layer that is being unpacked; its folder's descriptor holds the lock.
#[derive(Debug)]
pub(crate) struct Unfinished {
    pub folder: OwnedFd,
    /// Its name in `tmp`.
    tmp: String,
    /// What it is to be called, once it is whole; none if it is not needed.
    pub name: Option<String>,
}

impl Store {
    /// Open the store at `path`, made if it is missing. Nobody but its owner gets into it: it holds
    /// setuid programs of images.
    pub(crate) fn open(path: &Path) -> Result<Store> {
        let mut make = std::fs::DirBuilder::new();
        make.recursive(true).mode(0o755);
        if let Some(above) = path.parent() {
            make.create(above).with_context(|| format!("mkdir {}", above.display()))?;
        }
        make.mode(0o700);
        for folder in [path, &path.join("layers/sha256"), &path.join("tmp")] {
            make.create(folder).with_context(|| format!("mkdir {}", folder.display()))?;
        }
        let path = path.canonicalize().with_context(|| path.display().to_string())?;
        let open =
            |path: &Path| fs::open(path, FOLDER, 0).with_context(|| format!("open {}", path.display()));
        let top = fs::stat_fd(open(&path)?.as_fd())?;
        if top.st_uid != nix::unistd::geteuid().as_raw() || top.st_mode & 0o077 != 0 {
            bail!("{}: the store must be yours and have mode 0700", path.display());
        }
        Ok(Store { layers: open(&path.join("layers/sha256"))?, tmp: open(&path.join("tmp"))?, path })
    }

    /// The folder of a layer, which need not be there.
    pub(crate) fn layer_path(&self, name: &str) -> PathBuf {
        self.path.join("layers/sha256").join(name)
    }

    /// The folder of a layer, and its name; none if it is not there.
    pub(crate) fn layer(&self, key: &Key) -> Result<Option<(OwnedFd, String)>> {
        for name in [Content::Own, Content::LeansOnLower].map(|content| key.name(content)) {
            match fs::openat(self.layers.as_fd(), &name, FOLDER, 0) {
                Ok(fd) => return Ok(Some((fd, name))),
                Err(Errno::ENOENT) => {}
                Err(errno) => {
                    return Err(errno).with_context(|| self.layer_path(&name).display().to_string());
                }
            }
        }
        Ok(None)
    }

    /// Begin to unpack a layer as `name` in `tmp`, when nobody else does; none if it is there, or
    /// has come meanwhile.
    pub(crate) fn begin(&self, key: &Key, name: &str) -> Result<Option<Unfinished>> {
        let context = || format!("{}/tmp/{name}", self.path.display());
        loop {
            if self.layer(key)?.is_some() {
                return Ok(None);
            }
            match fs::mkdirat(self.tmp.as_fd(), name, 0o700) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(errno) => return Err(errno).with_context(context),
            }
            let folder = match fs::openat(self.tmp.as_fd(), name, FOLDER, 0) {
                Err(Errno::ENOENT) => continue,
                folder => folder.with_context(context)?,
            };
            fs::lock_exclusive(folder.as_fd()).with_context(context)?;
            // Whoever held the lock may have moved it to its place, or removed it.
            if !self.is_at(&folder, name) {
                continue;
            }
            // It may have come between the look and the lock; while that is held it cannot.
            if self.layer(key)?.is_some() {
                tree::remove(self.tmp.as_fd(), name.as_bytes()).with_context(context)?;
                return Ok(None);
            }
            for entry in tree::entries(folder.as_fd()).with_context(context)? {
                tree::remove(folder.as_fd(), &entry).with_context(context)?;
            }
            return Ok(Some(Unfinished { folder, tmp: name.into(), name: None }));
        }
    }

    fn is_at(&self, folder: &OwnedFd, name: &str) -> bool {
        let same = |there: OwnedFd| fs::same_file(folder.as_fd(), there.as_fd());
        fs::openat(self.tmp.as_fd(), name, FOLDER, 0).is_ok_and(same)
    }

    /// Move whole layers to their places, after all of them is on the disk.
    pub(crate) fn finish(&self, layers: Vec<Unfinished>) -> Result<()> {
        if !layers.is_empty() {
            fs::syncfs(self.tmp.as_fd()).context("syncfs")?;
        }
        let mut idle = Vec::new();
        for layer in layers {
            let Some(name) = layer.name.as_deref() else {
                idle.push(layer);
                continue;
            };
            match fs::rename_unless_there(self.tmp.as_fd(), &layer.tmp, self.layers.as_fd(), name) {
                Ok(()) => {}
                // Of the same content: an image may have a layer twice.
                Err(Errno::EEXIST) => idle.push(layer),
                Err(errno) => {
                    let path = self.layer_path(name);
                    return Err(errno).with_context(|| format!("rename to {}", path.display()));
                }
            }
        }
        self.abandon(idle);
        Ok(())
    }

    /// Remove what was begun.
    pub(crate) fn abandon(&self, layers: Vec<Unfinished>) {
        for layer in layers {
            let _ = tree::remove(self.tmp.as_fd(), layer.tmp.as_bytes());
        }
    }

    /// Remove what others began and did not finish, as they are gone.
    pub(crate) fn sweep(&self) {
        for name in tree::entries(self.tmp.as_fd()).unwrap_or_default() {
            let Ok(folder) = fs::openat(self.tmp.as_fd(), &name, FOLDER, 0) else { continue };
            if fs::try_lock_exclusive(folder.as_fd()).unwrap_or(false)
                && self.is_at(&folder, &String::from_utf8_lossy(&name))
            {
                let _ = tree::remove(self.tmp.as_fd(), &name);
            }
        }
    }
}
