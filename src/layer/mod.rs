//! What a sandbox changed: the folder of an overlay's changes, compared with the files of this
//! machine, and taken over to them.
//!
//! A layer is what a program wrote that nobody trusts. Each of its paths is walked name by name and
//! by descriptors, so is each path of the machine: no symlink in either is ever followed.

pub(crate) mod apply;
pub(crate) mod compare;
pub(crate) mod read;
pub(crate) mod remove;
pub(crate) mod store;
pub(crate) mod text;

use crate::sys::{self, fs};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// Nothing of that name is on the machine.
    Added,
    /// It is another, or has another mode, owner or content.
    Changed,
    /// It is gone in the layer.
    Removed,
}

/// What kind of file something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Folder,
    File,
    Symlink,
    Fifo,
    Socket,
    Device,
}

/// What is told of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct About {
    pub kind: Kind,
    /// Permissions, with those of setuid, setgid and the sticky bit.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// In bytes.
    pub size: u64,
    pub inode: u64,
    pub device: u64,
}

/// One difference between a layer and the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub what: What,
    /// On the machine.
    pub path: PathBuf,
    /// The layer's folder that it is in, and where in it.
    pub layer: usize,
    pub inside: PathBuf,
    /// On the machine.
    pub before: Option<About>,
    /// In the layer.
    pub after: Option<About>,
    /// Whether the content is another.
    pub content: Content,
}

/// Whether what is in a file is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Same,
    /// Text on both sides that are there.
    Text,
    Binary,
}

impl About {
    fn of(stat: &libc::stat) -> About {
        let kind = match stat.st_mode & libc::S_IFMT {
            libc::S_IFDIR => Kind::Folder,
            libc::S_IFREG => Kind::File,
            libc::S_IFLNK => Kind::Symlink,
            libc::S_IFIFO => Kind::Fifo,
            libc::S_IFSOCK => Kind::Socket,
            _ => Kind::Device,
        };
        About {
            kind,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: stat.st_size as u64,
            inode: stat.st_ino,
            device: stat.st_dev,
        }
    }

    fn owner(&self) -> (u32, u32) {
        (self.uid, self.gid)
    }
}

/// What a path below a folder may be looked up by: no symlink is followed, and nothing leaves it.
const NO_LINKS: u64 = fs::RESOLVE_BENEATH | fs::RESOLVE_NO_SYMLINKS;
const FOLDER: i32 = fs::O_RDONLY | fs::O_DIRECTORY | fs::O_NOFOLLOW;

/// Open what is at `path` below `root`, not following any symlink.
fn open(root: BorrowedFd<'_>, path: &Path, flags: i32) -> sys::Result<OwnedFd> {
    let below = path.strip_prefix("/").unwrap_or(path).as_os_str().as_bytes();
    let below = if below.is_empty() { b"." } else { below };
    fs::openat2(root, below, flags | fs::O_NOFOLLOW, 0, NO_LINKS)
}

/// The root of this machine.
fn machine() -> sys::Result<OwnedFd> {
    fs::open("/", fs::O_PATH | fs::O_DIRECTORY, 0)
}

/// A path as it may be printed: nothing in it reaches a terminal as a command.
pub(crate) fn shown(path: &Path) -> String {
    path.to_string_lossy()
        .chars()
        .flat_map(|c| {
            let plain = !c.is_control() && !matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            let escaped = (!plain).then(|| c.escape_default().collect::<Vec<_>>());
            escaped.unwrap_or_else(|| vec![c])
        })
        .collect()
}
