//! Files as a container will see them: looked up in all layers at once, top first, as overlayfs
//! would merge them.

use super::tree::{is_directory, is_symlink, is_whiteout};
use crate::sys::{self, Errno, fs, xattr};
use crate::walk::Walk;
use std::os::fd::{AsFd, OwnedFd};

const NO_LINKS: u64 = fs::RESOLVE_BENEATH | fs::RESOLVE_NO_SYMLINKS | fs::RESOLVE_NO_XDEV;

/// The folders of one path in the layers that have it, top first.
type Folders = Vec<OwnedFd>;

/// What is at a path of which no part is a symlink.
pub(crate) enum Found {
    Nothing,
    Folders(Folders),
    /// Where a symlink leads, and the folder that it lies in.
    Link(Vec<u8>, OwnedFd),
    /// Anything else, and the folder that it lies in.
    Other(OwnedFd),
}

/// What a path leads to.
enum At {
    /// The folder of the topmost layer that has it: its owner and mode are what a container sees.
    Folder(OwnedFd),
    /// Anything else: the folder that it lies in, and its name.
    Other(OwnedFd, Vec<u8>),
}

/// Layers, top first.
#[derive(Debug)]
pub(crate) struct Merged<'a> {
    pub layers: &'a [OwnedFd],
    /// The attribute of an opaque folder.
    pub opaque: &'a str,
}

impl Merged<'_> {
    /// The regular file at `path`, at most `limit` bytes; none if there is nothing of that name. A
    /// symlink is followed inside.
    pub(crate) fn read(&self, path: &str, limit: usize) -> sys::Result<Option<Vec<u8>>> {
        match self.find(path)? {
            None => Ok(None),
            Some(At::Folder(_)) => Err(Errno::EISDIR),
            Some(At::Other(folder, name)) => read_in(&folder, &name, limit).map(Some),
        }
    }

    /// The folder at `path`; none if there is no folder of that name.
    pub(crate) fn folder(&self, path: &str) -> sys::Result<Option<libc::stat>> {
        match self.find(path) {
            Ok(Some(At::Folder(folder))) => fs::stat_fd(folder.as_fd()).map(Some),
            Ok(_) | Err(Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    fn find(&self, path: &str) -> sys::Result<Option<At>> {
        let roots = self.roots()?;
        let mut walk: Walk<Folders> = Walk::along(path.as_bytes());
        while let Some(name) = walk.next_name() {
            match self.step(walk.here().unwrap_or(&roots), &name)? {
                Found::Nothing => return Ok(None),
                Found::Folders(folders) => walk.enter(folders),
                Found::Link(target, _) => walk.follow(&target)?,
                Found::Other(_) if !walk.is_at_last() => return Err(Errno::ENOTDIR),
                Found::Other(folder) => return Ok(Some(At::Other(folder, name))),
            }
        }
        Ok(walk.end().unwrap_or(roots).into_iter().next().map(At::Folder))
    }

    /// What is at `names`, without following any symlink.
    pub(crate) fn at(&self, names: &[Vec<u8>]) -> sys::Result<Found> {
        let mut here = self.roots()?;
        for (number, name) in names.iter().enumerate() {
            match self.step(&here, name)? {
                Found::Folders(folders) => here = folders,
                found if number + 1 == names.len() => return Ok(found),
                _ => return Ok(Found::Nothing),
            }
        }
        Ok(Found::Folders(here))
    }

    fn roots(&self) -> sys::Result<Folders> {
        let mut roots = Vec::new();
        for layer in self.layers {
            roots.push(layer.try_clone().map_err(|_| Errno::EMFILE)?);
            if self.is_opaque(layer)? {
                break;
            }
        }
        Ok(roots)
    }

    pub(crate) fn is_opaque(&self, folder: &OwnedFd) -> sys::Result<bool> {
        Ok(xattr::get(folder.as_fd(), self.opaque)?.as_deref() == Some(b"y"))
    }

    fn step(&self, folders: &[OwnedFd], name: &[u8]) -> sys::Result<Found> {
        let mut found = Folders::new();
        for folder in folders {
            let stat = match fs::statat(folder.as_fd(), name) {
                Err(Errno::ENOENT) => continue,
                stat => stat?,
            };
            if is_directory(&stat) {
                let flags = fs::O_RDONLY | fs::O_DIRECTORY | fs::O_NOFOLLOW;
                let below = fs::openat2(folder.as_fd(), name, flags, 0, NO_LINKS)?;
                let opaque = self.is_opaque(&below)?;
                found.push(below);
                if opaque {
                    break;
                }
            } else if !found.is_empty() || is_whiteout(&stat) {
                break;
            } else if is_symlink(&stat) {
                let target = nix::fcntl::readlinkat(folder, name)?.into_encoded_bytes();
                return Ok(Found::Link(target, folder.try_clone().map_err(|_| Errno::EMFILE)?));
            } else {
                return Ok(Found::Other(folder.try_clone().map_err(|_| Errno::EMFILE)?));
            }
        }
        Ok(if found.is_empty() { Found::Nothing } else { Found::Folders(found) })
    }
}

fn read_in(folder: &OwnedFd, name: &[u8], limit: usize) -> sys::Result<Vec<u8>> {
    let flags = fs::O_RDONLY | fs::O_NOFOLLOW | fs::O_NONBLOCK | fs::O_NOCTTY;
    // Opening a device may do something.
    let stat = fs::statat(folder.as_fd(), name)?;
    if stat.st_mode & libc::S_IFMT != libc::S_IFREG {
        return Err(Errno::EINVAL);
    }
    let file = fs::openat2(folder.as_fd(), name, flags, 0, NO_LINKS)?;
    fs::read_all(file.as_fd(), limit)
}
