//! Files as a container will see them: looked up in all layers at once, top first, as overlayfs
//! would merge them.

use super::tree::{is_directory, is_symlink, is_whiteout};
use crate::sys::{self, Errno, fs, xattr};
use std::os::fd::{AsFd, OwnedFd};

/// How many symlinks one path may lead through, as in the kernel (path_resolution(7)).
const LINK_LIMIT: usize = 40;

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
    /// Their folders.
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
        let mut links = 0;
        let mut way: Vec<Folders> = vec![self.roots()?];
        let mut names: Vec<Vec<u8>> = split(path.as_bytes());
        while let Some(name) = names.pop() {
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    way.truncate(way.len().saturating_sub(1).max(1));
                    continue;
                }
                _ => {}
            }
            match self.step(way.last().map_or(&[], Vec::as_slice), &name)? {
                Found::Nothing => return Ok(None),
                Found::Folders(folders) => way.push(folders),
                Found::Link(target, _) => {
                    links += 1;
                    if links > LINK_LIMIT {
                        return Err(Errno::ELOOP);
                    }
                    if target.starts_with(b"/") {
                        way.truncate(1);
                    }
                    names.extend(split(&target));
                }
                Found::Other(_) if !names.is_empty() => return Err(Errno::ENOTDIR),
                Found::Other(folder) => return Ok(Some(At::Other(folder, name))),
            }
        }
        Ok(way.pop().and_then(|folders| folders.into_iter().next()).map(At::Folder))
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

fn split(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec).collect()
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
