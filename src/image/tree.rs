//! The folder that a layer is unpacked into: the one place that looks paths up in it.
//!
//! No path leaves it, whatever symlinks the image holds and whoever renames things meanwhile: every
//! lookup is openat2(2) from the root's descriptor, and what is made is made by name in the
//! descriptor of its parent.

use super::merged::Found;
pub(crate) use crate::layer::remove::{entries, remove_if_there as remove};
use crate::sys::{self, Errno, fs, xattr};
use crate::walk::Walk;
use anyhow::{Context, Result, bail};
use nix::fcntl::AtFlags;
use std::collections::HashSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

/// How deep folders may nest. Removing them takes a descriptor for each.
const DEPTH_LIMIT: usize = 512;

/// Whose files are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The owner whom the image says, by root.
    Image,
    /// The caller, an ordinary user.
    Caller,
}

impl Owner {
    /// The attribute that makes a folder opaque to overlayfs; without rights over the host it is
    /// mounted with `userxattr`.
    pub(crate) fn opaque(self) -> &'static str {
        match self {
            Owner::Image => "trusted.overlay.opaque",
            Owner::Caller => "user.overlay.opaque",
        }
    }
}

/// What becomes of whiteouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deletions {
    /// They are kept as overlayfs knows them: the folder is one layer.
    Kept,
    /// What they name is deleted: the folder holds all layers below too.
    Done,
}

/// A folder inside, and its inode's number.
#[derive(Debug)]
pub(crate) struct Folder {
    pub fd: OwnedFd,
    inode: u64,
    /// The way to it from the root, none of which is a symlink.
    pub(super) names: Vec<Vec<u8>>,
}

/// The folder that is filled.
#[derive(Debug)]
pub(crate) struct Tree {
    pub root: Rc<Folder>,
    pub owner: Owner,
    pub(super) deletions: Deletions,
    /// The folder that was asked for last: most entries lie in the same one.
    last: Option<(Vec<u8>, Rc<Folder>)>,
    /// The folders of the layers below, the top one first, where they are not in this one.
    pub below: Vec<OwnedFd>,
    /// Whether anything here is so because of what those have: names of which this layer has no
    /// folder, or no file to link to.
    pub leans: bool,
    /// The modes of folders that were made as they are below, to be set when all is in them.
    pub implied: Vec<(Vec<u8>, u32)>,
    /// What the current layer has made, where deletions are done: by its folder's inode and its
    /// name.
    made: HashSet<(u64, Vec<u8>)>,
}

pub(super) const FOLDER: i32 = fs::O_RDONLY | fs::O_DIRECTORY | fs::O_NOFOLLOW;
const IN_ROOT: u64 = fs::RESOLVE_IN_ROOT | fs::RESOLVE_NO_MAGICLINKS | fs::RESOLVE_NO_XDEV;
pub(super) const NO_LINKS: u64 = fs::RESOLVE_BENEATH | fs::RESOLVE_NO_SYMLINKS | fs::RESOLVE_NO_XDEV;

/// The names in a path of an archive. A leading slash means the layer's root; `..` has no place in
/// it.
pub(crate) fn names_of(path: &[u8]) -> Result<Vec<&[u8]>> {
    let names: Vec<&[u8]> =
        path.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".").collect();
    if names.contains(&b"..".as_slice()) {
        bail!("the name leads out of the layer");
    }
    if names.len() > DEPTH_LIMIT {
        bail!("the name is more than {DEPTH_LIMIT} folders deep");
    }
    Ok(names)
}

pub(super) fn folder(fd: OwnedFd, names: Vec<Vec<u8>>) -> sys::Result<Folder> {
    let inode = fs::stat_fd(fd.as_fd())?.st_ino;
    Ok(Folder { fd, inode, names })
}

pub(super) fn below(folder: &Folder, name: &[u8]) -> Vec<Vec<u8>> {
    folder.names.iter().cloned().chain([name.to_vec()]).collect()
}

fn owned(names: &[&[u8]]) -> Vec<Vec<u8>> {
    names.iter().map(|name| name.to_vec()).collect()
}

pub(crate) fn is_directory(stat: &libc::stat) -> bool {
    stat.st_mode & libc::S_IFMT == libc::S_IFDIR
}

pub(crate) fn is_symlink(stat: &libc::stat) -> bool {
    stat.st_mode & libc::S_IFMT == libc::S_IFLNK
}

/// A deletion as overlayfs knows it.
pub(crate) fn is_whiteout(stat: &libc::stat) -> bool {
    stat.st_mode & libc::S_IFMT == libc::S_IFCHR && stat.st_rdev == 0
}

impl Tree {
    pub(crate) fn new(root: OwnedFd, owner: Owner, deletions: Deletions) -> Result<Tree> {
        let root = Rc::new(folder(root, Vec::new())?);
        let (below, implied) = (Vec::new(), Vec::new());
        Ok(Tree { root, owner, deletions, last: None, below, leans: false, implied, made: HashSet::new() })
    }

    /// What follows is another layer.
    pub(crate) fn next_layer(&mut self) {
        self.made.clear();
    }

    /// The folder that `names` lead to. Symlinks are followed inside, and what is missing is made.
    pub(crate) fn folder(&mut self, names: &[&[u8]]) -> Result<Rc<Folder>> {
        if names.is_empty() {
            return Ok(Rc::clone(&self.root));
        }
        let path = names.join(&b'/');
        if let Some((last, folder)) = &self.last
            && *last == path
        {
            return Ok(Rc::clone(folder));
        }
        let found = match fs::openat2(self.root.fd.as_fd(), &path, FOLDER, 0, NO_LINKS) {
            Ok(fd) => Rc::new(folder(fd, owned(names))?),
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => self.walk(&path)?,
            Err(errno) => return Err(errno).context("openat2 of its folder"),
        };
        self.last = Some((path, Rc::clone(&found)));
        Ok(found)
    }

    /// What is at `names`, without following the last of them; nothing is made.
    pub(crate) fn find(&self, names: &[&[u8]], flags: i32) -> sys::Result<OwnedFd> {
        let path = if names.is_empty() { b".".to_vec() } else { names.join(&b'/') };
        fs::openat2(self.root.fd.as_fd(), path, flags | fs::O_NOFOLLOW, 0, IN_ROOT)
    }

    /// The folder that `names` lead to in lower layers, for a whiteout: a symlink of that name has
    /// taken its place, with all that was in it, and so has a file.
    pub(crate) fn folder_below(&mut self, names: &[&[u8]]) -> Result<Option<Rc<Folder>>> {
        let path = if names.is_empty() { b".".to_vec() } else { names.join(&b'/') };
        match fs::openat2(self.root.fd.as_fd(), &path, FOLDER, 0, NO_LINKS) {
            Ok(fd) => return Ok(Some(Rc::new(folder(fd, owned(names))?))),
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) if self.deletions == Deletions::Done => {
                return Ok(None);
            }
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => {}
            Err(errno) => return Err(errno).context("openat2 of its folder"),
        }
        let mut here = Rc::clone(&self.root);
        for name in names {
            match self.step(&here, name)? {
                Step::Folder(folder) => here = folder,
                Step::Nothing | Step::Link(_) | Step::Other => return Ok(None),
            }
        }
        Ok(Some(here))
    }

    fn walk(&mut self, path: &[u8]) -> Result<Rc<Folder>> {
        let root = Rc::clone(&self.root);
        let mut walk: Walk<Rc<Folder>> = Walk::along(path);
        while let Some(name) = walk.next_name() {
            let here = Rc::clone(walk.here().unwrap_or(&root));
            match self.step(&here, &name)? {
                Step::Folder(folder) => walk.enter(folder),
                Step::Nothing => walk.enter(self.new_folder(&here, &name, 0o755)?),
                Step::Other => return Err(Errno::ENOTDIR).context("its folder"),
                Step::Link(target) => walk.follow(&target).context("its folder")?,
            }
            if walk.depth() > DEPTH_LIMIT {
                return Err(Errno::ELOOP).context("its folder");
            }
        }
        Ok(walk.end().unwrap_or(root))
    }

    /// What `name` in `here` is, in this layer or below, if one can go on from there. A folder that
    /// is below only is made here too.
    fn step(&mut self, here: &Rc<Folder>, name: &[u8]) -> Result<Step> {
        match fs::openat2(here.fd.as_fd(), name, FOLDER, 0, NO_LINKS) {
            Ok(fd) => return Ok(Step::Folder(Rc::new(folder(fd, below(here, name))?))),
            Err(Errno::ENOENT) => {}
            Err(Errno::ENOTDIR | Errno::ELOOP) => {
                let stat = fs::statat(here.fd.as_fd(), name)?;
                if is_symlink(&stat) {
                    let target = nix::fcntl::readlinkat(&here.fd, name).context("readlinkat")?;
                    return Ok(Step::Link(target.into_encoded_bytes()));
                }
                let is_deleted = is_whiteout(&stat) && self.deletions == Deletions::Kept;
                return Ok(if is_deleted { Step::Nothing } else { Step::Other });
            }
            Err(errno) => return Err(errno).context("openat2 of its folder"),
        }
        match self.lower(here, name)? {
            Found::Nothing => Ok(Step::Nothing),
            Found::Link(target, _) => Ok(Step::Link(target)),
            Found::Other(_) => Ok(Step::Other),
            Found::Folders(folders) => match folders.first() {
                Some(top) => self.like(here, name, top.as_fd()).map(Step::Folder),
                None => Ok(Step::Nothing),
            },
        }
    }

    pub(super) fn new_folder(&mut self, here: &Folder, name: &[u8], mode: u32) -> Result<Rc<Folder>> {
        let fd = self.make_folder(here, name)?;
        let mode = nix::sys::stat::Mode::from_bits_truncate(mode);
        nix::sys::stat::fchmod(&fd, mode).context("fchmod of its folder")?;
        Ok(Rc::new(folder(fd, below(here, name))?))
    }

    /// The folder `name` in `parent`, mode 0700 if it is new. One that is there stays; anything
    /// else gives way to it.
    pub(crate) fn make_folder(&mut self, parent: &Folder, name: &[u8]) -> Result<OwnedFd> {
        let at = parent.fd.as_fd();
        let mut opaque = false;
        match fs::mkdirat(at, name, 0o700) {
            Ok(()) => {}
            Err(Errno::EEXIST) => {
                let stat = fs::statat(at, name)?;
                if !is_directory(&stat) {
                    opaque = self.deletions == Deletions::Kept && is_whiteout(&stat);
                    self.remove(parent, name)?;
                    fs::mkdirat(at, name, 0o700).context("mkdirat")?;
                }
            }
            Err(errno) => return Err(errno).context("mkdirat"),
        }
        self.note(parent, name);
        let fd = fs::openat2(at, name, FOLDER, 0, NO_LINKS).context("openat2")?;
        if opaque {
            self.set_opaque(fd.as_fd())?;
        }
        Ok(fd)
    }

    /// Make something that is no folder as `name` in `parent`, in place of what is there.
    pub(crate) fn replace<T>(
        &mut self,
        parent: &Folder,
        name: &[u8],
        call: &'static str,
        make: impl Fn(BorrowedFd<'_>) -> sys::Result<T>,
    ) -> Result<T> {
        let mut made = make(parent.fd.as_fd());
        if matches!(made, Err(Errno::EEXIST)) {
            self.remove(parent, name)?;
            made = make(parent.fd.as_fd());
        }
        let made = made.context(call)?;
        self.note(parent, name);
        Ok(made)
    }

    fn note(&mut self, parent: &Folder, name: &[u8]) {
        if self.deletions == Deletions::Done {
            self.made.insert((parent.inode, name.to_vec()));
        }
    }

    /// Remove whatever `name` in `parent` is.
    fn remove(&mut self, parent: &Folder, name: &[u8]) -> Result<()> {
        // A path that was looked up before may lead elsewhere now.
        self.last = None;
        remove(parent.fd.as_fd(), name).context("remove what was there before")
    }

    /// A deletion of `name` in `parent`, as far as it comes from a lower layer.
    pub(crate) fn delete(&mut self, parent: &Folder, name: &[u8]) -> Result<()> {
        let at = parent.fd.as_fd();
        if self.deletions == Deletions::Done {
            self.last = None;
            return self.delete_lower(at, parent.inode, name, 0).context("delete what a whiteout names");
        }
        // Of a folder that is not merged overlayfs shows whiteouts: names that lead to nothing.
        if xattr::get(at, self.owner.opaque())?.is_some() {
            return Ok(());
        }
        match fs::mknodat(at, name, libc::S_IFCHR, 0, 0) {
            Err(Errno::EEXIST) => {
                // The layer has it itself. What a lower one has under that name is hidden by it,
                // unless both are folders.
                match fs::openat2(at, name, FOLDER, 0, NO_LINKS) {
                    Ok(fd) => self.set_opaque(fd.as_fd()),
                    Err(Errno::ENOTDIR | Errno::ELOOP) => Ok(()),
                    Err(errno) => Err(errno).context("openat2"),
                }
            }
            made => made.context("mknodat of a whiteout"),
        }
    }

    /// A deletion of all that lower layers have in `folder`.
    pub(crate) fn delete_all(&mut self, folder: &Folder) -> Result<()> {
        if self.deletions == Deletions::Kept {
            for name in entries(folder.fd.as_fd())? {
                if is_whiteout(&fs::statat(folder.fd.as_fd(), &name)?) {
                    fs::unlinkat(folder.fd.as_fd(), &name, fs::Unlink::File).context("unlinkat")?;
                }
            }
            return self.set_opaque(folder.fd.as_fd());
        }
        self.last = None;
        for name in entries(folder.fd.as_fd())? {
            self.delete_lower(folder.fd.as_fd(), folder.inode, &name, 0)
                .context("delete what an opaque whiteout hides")?;
        }
        Ok(())
    }

    fn set_opaque(&self, fd: BorrowedFd<'_>) -> Result<()> {
        xattr::set(fd, self.owner.opaque(), b"y")
            .with_context(|| format!("setxattr {}", self.owner.opaque()))?;
        // For containers in user namespaces too. Some filesystems have no such attributes.
        match xattr::set(fd, Owner::Caller.opaque(), b"y") {
            Err(Errno::ENOTSUP) => Ok(()),
            set => set.with_context(|| format!("setxattr {}", Owner::Caller.opaque())),
        }
    }

    /// Remove `name` and what is below, but not what this layer has made.
    fn delete_lower(&self, at: BorrowedFd<'_>, inode: u64, name: &[u8], depth: usize) -> sys::Result<()> {
        let own = self.made.contains(&(inode, name.to_vec()));
        if depth > DEPTH_LIMIT {
            return Err(Errno::ELOOP);
        }
        let below = match fs::openat2(at, name, FOLDER, 0, NO_LINKS) {
            Ok(fd) => folder(fd, Vec::new())?,
            Err(Errno::ENOENT) => return Ok(()),
            Err(_) if own => return Ok(()),
            Err(Errno::ENOTDIR | Errno::ELOOP) => return fs::unlinkat(at, name, fs::Unlink::File),
            Err(errno) => return Err(errno),
        };
        for name in entries(below.fd.as_fd())? {
            self.delete_lower(below.fd.as_fd(), below.inode, &name, depth + 1)?;
        }
        if own {
            return Ok(());
        }
        match fs::unlinkat(at, name, fs::Unlink::Dir) {
            Err(Errno::ENOTEMPTY | Errno::EEXIST) => Ok(()),
            removed => removed,
        }
    }

    /// Make `name` in `parent` another name of what is at `target`.
    pub(crate) fn link(&mut self, parent: &Folder, name: &[u8], target: &[&[u8]]) -> Result<()> {
        let Some((last, folder)) = target.split_last() else { bail!("a hard link to the layer's root") };
        let shown = || format!("hard link to {:?}", String::from_utf8_lossy(&target.join(&b'/')));
        if self.deletions == Deletions::Done {
            let from = self.find_folder(folder).with_context(shown)?;
            return self.link_from(from.as_fd(), last, parent, name).with_context(shown);
        }
        let from = self.folder(folder).with_context(shown)?;
        self.have_file(&from, last).with_context(shown)?;
        self.link_from(from.fd.as_fd(), last, parent, name).with_context(shown)
    }

    fn link_from(&mut self, from: BorrowedFd<'_>, last: &[u8], parent: &Folder, name: &[u8]) -> Result<()> {
        self.replace(parent, name, "linkat", |at| nix::unistd::linkat(from, last, at, name, AtFlags::empty()))
    }

    fn find_folder(&self, names: &[&[u8]]) -> sys::Result<OwnedFd> {
        let path = if names.is_empty() { b".".to_vec() } else { names.join(&b'/') };
        fs::openat2(self.root.fd.as_fd(), path, fs::O_PATH | fs::O_DIRECTORY, 0, IN_ROOT)
    }
}

enum Step {
    /// Neither here nor below.
    Nothing,
    Folder(Rc<Folder>),
    Link(Vec<u8>),
    /// Nothing that leads on.
    Other,
}
