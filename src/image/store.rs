//! Layers, each unpacked once: `STORE/layers/sha256/DIFF_ID`.
//!
//! A layer is unpacked in `STORE/tmp` and moved to its place when it is whole and written to the disk, so what is there is
//! whole whenever unpacking was interrupted. Who unpacks a layer holds flock(2) on its folder in `tmp`; others wait, and find
//! it done. What nobody holds there is left over from somebody who was killed.

use super::tree;
use crate::sys::{Errno, fs};
use anyhow::{Context, Result, bail};
use nix::fcntl::RenameFlags;
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

/// A layer that is being unpacked; its folder's descriptor holds the lock.
#[derive(Debug)]
pub(crate) struct Unfinished {
    pub folder: OwnedFd,
    diff_id: String,
}

impl Store {
    /// Open the store at `path`, made if it is missing. Nobody but its owner gets into it: it holds setuid programs of images.
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
            bail!("{}: a store belongs to the caller, with mode 0700", path.display());
        }
        Ok(Store { layers: open(&path.join("layers/sha256"))?, tmp: open(&path.join("tmp"))?, path })
    }

    /// The folder of a layer, which need not be there.
    pub(crate) fn layer_path(&self, diff_id: &str) -> PathBuf {
        self.path.join("layers/sha256").join(diff_id)
    }

    /// The folder of a layer; none if it is not there.
    pub(crate) fn layer(&self, diff_id: &str) -> Result<Option<OwnedFd>> {
        match fs::openat(self.layers.as_fd(), diff_id, FOLDER, 0) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(errno).with_context(|| self.layer_path(diff_id).display().to_string()),
        }
    }

    /// Begin to unpack a layer, when nobody else does; none if it is there, or has come meanwhile.
    pub(crate) fn begin(&self, diff_id: &str) -> Result<Option<Unfinished>> {
        let context = || format!("{}/tmp/{diff_id}", self.path.display());
        loop {
            if self.layer(diff_id)?.is_some() {
                return Ok(None);
            }
            match fs::mkdirat(self.tmp.as_fd(), diff_id, 0o700) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(errno) => return Err(errno).with_context(context),
            }
            let folder = match fs::openat(self.tmp.as_fd(), diff_id, FOLDER, 0) {
                Err(Errno::ENOENT) => continue,
                folder => folder.with_context(context)?,
            };
            fs::lock_exclusive(folder.as_fd()).with_context(context)?;
            // Whoever held the lock may have moved it to its place, or removed it.
            if !self.is_at(&folder, diff_id) {
                continue;
            }
            // It may have come between the look and the lock; while that is held it cannot.
            if self.layer(diff_id)?.is_some() {
                tree::remove(self.tmp.as_fd(), diff_id.as_bytes()).with_context(context)?;
                return Ok(None);
            }
            for name in tree::entries(folder.as_fd()).with_context(context)? {
                tree::remove(folder.as_fd(), &name).with_context(context)?;
            }
            return Ok(Some(Unfinished { folder, diff_id: diff_id.into() }));
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
        for layer in layers {
            let name = layer.diff_id.as_str();
            let moved =
                nix::fcntl::renameat2(&self.tmp, name, &self.layers, name, RenameFlags::RENAME_NOREPLACE);
            moved.with_context(|| format!("rename to {}", self.layer_path(name).display()))?;
        }
        Ok(())
    }

    /// Remove what was begun.
    pub(crate) fn abandon(&self, layers: Vec<Unfinished>) {
        for layer in layers {
            let _ = tree::remove(self.tmp.as_fd(), layer.diff_id.as_bytes());
        }
    }

    /// Remove what others began and did not finish, as they are gone.
    pub(crate) fn sweep(&self) {
        for name in tree::entries(self.tmp.as_fd()).unwrap_or_default() {
            let Ok(folder) = fs::openat(self.tmp.as_fd(), &name, FOLDER, 0) else { continue };
            if fs::try_lock_exclusive(folder.as_fd()) && self.is_at(&folder, &String::from_utf8_lossy(&name))
            {
                let _ = tree::remove(self.tmp.as_fd(), &name);
            }
        }
    }
}
