//! Unpacking one layer, entry by entry (image-spec, layer.md).

use super::below::{CHUNK, OVERLAY, SELINUX};
use super::tarball::{Entry, Kind, Reader};
use super::tree::{Folder, Owner, Tree, names_of};
use crate::sys::{fs, xattr};
use anyhow::{Context, Result, bail};
use nix::sys::stat::{Mode, UtimensatFlags, fchmod, futimens, utimensat};
use nix::sys::time::TimeSpec;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::rc::Rc;

/// What a layer asked for and did not get, as an ordinary user cannot give it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Omitted {
    pub devices: u64,
    pub attributes: u64,
}

/// Unpacks layers into a tree.
#[derive(Debug)]
pub(crate) struct Unpacker {
    tree: Tree,
    /// Mode and time of each folder, set in the end: what is made in it changes its time, and may
    /// not be allowed by its mode.
    folders: BTreeMap<Vec<u8>, (Mode, TimeSpec)>,
    buffer: Vec<u8>,
    pub omitted: Omitted,
}

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// What aufs kept for itself.
const AUFS: &[u8] = b".wh..wh.";

impl Unpacker {
    pub(crate) fn new(tree: Tree) -> Unpacker {
        Unpacker { tree, folders: BTreeMap::new(), buffer: vec![0; CHUNK], omitted: Omitted::default() }
    }

    /// Unpack the layer whose archive `reader` reads.
    pub(crate) fn layer<R: Read>(&mut self, reader: &mut Reader<R>) -> Result<()> {
        self.tree.next_layer();
        self.folders.clear();
        while let Some(entry) = reader.next_entry()? {
            self.entry(&entry, reader)
                .with_context(|| format!("entry {:?}", String::from_utf8_lossy(&entry.name)))?;
        }
        self.settle_folders()
    }

    fn entry<R: Read>(&mut self, entry: &Entry, reader: &mut Reader<R>) -> Result<()> {
        let names = names_of(&entry.name)?;
        let Some((name, parents)) = names.split_last() else {
            if entry.kind != Kind::Directory {
                bail!("the layer's root is not a folder");
            }
            let root = Rc::clone(&self.tree.root);
            return self.finish_folder(root.fd.as_fd(), Vec::new(), entry);
        };
        if let Some(deleted) = name.strip_prefix(WHITEOUT) {
            return self.whiteout(parents, name, deleted);
        }
        let parent = self.tree.folder(parents)?;
        match &entry.kind {
            Kind::File { size, pieces } => self.file(&parent, name, entry, (*size, pieces), reader),
            Kind::Directory => {
                let fd = self.tree.make_folder(&parent, name)?;
                self.finish_folder(fd.as_fd(), names.join(&b'/'), entry)
            }
            Kind::HardLink(target) => {
                let target = names_of(target).context("hard link")?;
                self.tree.link(&parent, name, &target)
            }
            Kind::Symlink(target) => {
                self.tree.replace(&parent, name, "symlinkat", |at| {
                    nix::unistd::symlinkat(target.as_slice(), at, *name)
                })?;
                self.finish_node(&parent, name, entry)
            }
            Kind::CharDevice(major, minor) => {
                self.node(&parent, name, libc::S_IFCHR, (*major, *minor), entry)
            }
            Kind::BlockDevice(major, minor) => {
                self.node(&parent, name, libc::S_IFBLK, (*major, *minor), entry)
            }
            Kind::Fifo => self.node(&parent, name, libc::S_IFIFO, (0, 0), entry),
        }
    }

    fn whiteout(&mut self, parents: &[&[u8]], name: &[u8], deleted: &[u8]) -> Result<()> {
        match deleted {
            _ if name.starts_with(AUFS) && name != OPAQUE => return Ok(()),
            b"" | b"." | b".." => bail!("a whiteout of no name"),
            _ => {}
        }
        match self.tree.folder_below(parents)? {
            None => Ok(()),
            Some(folder) if name == OPAQUE => self.tree.delete_all(&folder),
            Some(folder) => self.tree.delete(&folder, deleted),
        }
    }

    fn file<R: Read>(
        &mut self,
        parent: &Folder,
        name: &[u8],
        entry: &Entry,
        (size, pieces): (u64, &[(u64, u64)]),
        reader: &mut Reader<R>,
    ) -> Result<()> {
        let flags = fs::O_WRONLY | fs::O_CREAT | fs::O_EXCL | fs::O_NOFOLLOW;
        let fd = self.tree.replace(parent, name, "openat", |at| fs::openat(at, name, flags, 0o600))?;
        let file = File::from(fd);
        let mut written = 0;
        for (offset, length) in pieces {
            written = self.piece(&file, *offset, *length, reader)?.max(written);
        }
        if written < size {
            file.set_len(size).context("ftruncate")?;
        }
        let fd = OwnedFd::from(file);
        self.own(fd.as_fd(), entry)?;
        fchmod(&fd, mode(entry)).context("fchmod")?;
        self.attributes(fd.as_fd(), entry)?;
        futimens(&fd, &time(entry), &time(entry)).context("futimens")
    }

    /// Write one piece of a file; the end of what was written.
    fn piece<R: Read>(
        &mut self,
        file: &File,
        mut offset: u64,
        mut length: u64,
        reader: &mut Reader<R>,
    ) -> Result<u64> {
        let mut end = 0;
        while length > 0 {
            let most = length.min(CHUNK as u64) as usize;
            let mut filled = 0;
            while filled < most {
                match reader.read_data(&mut self.buffer[filled..most])? {
                    0 => bail!("the archive ends in the middle of a file"),
                    n => filled += n,
                }
            }
            let chunk = &self.buffer[..filled];
            if filled < CHUNK || chunk.iter().any(|byte| *byte != 0) {
                file.write_all_at(chunk, offset).context("write")?;
                end = offset + filled as u64;
            }
            offset += filled as u64;
            length -= filled as u64;
        }
        Ok(end)
    }

    fn node(
        &mut self,
        parent: &Folder,
        name: &[u8],
        kind: u32,
        (major, minor): (u32, u32),
        entry: &Entry,
    ) -> Result<()> {
        if kind != libc::S_IFIFO && self.tree.owner == Owner::Caller {
            self.omitted.devices += 1;
            return Ok(());
        }
        let device = fs::makedev(major, minor);
        self.tree.replace(parent, name, "mknodat", |at| fs::mknodat(at, name, kind, entry.mode, device))?;
        self.finish_node(parent, name, entry)
    }

    /// Owner, attributes and time of a link or node.
    fn finish_node(&mut self, parent: &Folder, name: &[u8], entry: &Entry) -> Result<()> {
        let at = parent.fd.as_fd();
        if self.tree.owner == Owner::Image {
            fs::chownat(at, name, entry.uid, entry.gid).context("fchownat")?;
        }
        for (attribute, value) in self.wanted(entry) {
            xattr::set_at(at, name, attribute, value).with_context(|| named("setxattr", attribute))?;
        }
        utimensat(at, name, &time(entry), &time(entry), UtimensatFlags::NoFollowSymlink).context("utimensat")
    }

    fn finish_folder(&mut self, fd: BorrowedFd<'_>, path: Vec<u8>, entry: &Entry) -> Result<()> {
        for attribute in xattr::list(fd).context("listxattr")? {
            // What a lower layer has given it.
            let own = OVERLAY.iter().any(|prefix| attribute.starts_with(prefix));
            if !own && (self.tree.owner == Owner::Image || attribute.starts_with(b"user.")) {
                xattr::remove(fd, &attribute).with_context(|| named("removexattr", &attribute))?;
            }
        }
        self.own(fd, entry)?;
        self.attributes(fd, entry)?;
        self.folders.insert(path, (mode(entry), time(entry)));
        Ok(())
    }

    fn settle_folders(&mut self) -> Result<()> {
        let said = |(path, _): &(Vec<u8>, u32)| !self.folders.contains_key(path);
        self.tree.implied.retain(said);
        for (path, (mode, time)) in std::mem::take(&mut self.folders).into_iter().rev() {
            let names = names_of(&path)?;
            // It may have given way to something else.
            let Ok(fd) = self.tree.find(&names, fs::O_RDONLY | fs::O_DIRECTORY) else { continue };
            let set = fchmod(&fd, mode).and_then(|()| futimens(&fd, &time, &time));
            set.with_context(|| format!("entry {:?}: mode and time", String::from_utf8_lossy(&path)))?;
        }
        for (path, mode) in std::mem::take(&mut self.tree.implied) {
            let Ok(fd) = self.tree.find(&names_of(&path)?, fs::O_RDONLY | fs::O_DIRECTORY) else { continue };
            fchmod(&fd, Mode::from_bits_truncate(mode)).context("fchmod")?;
        }
        Ok(())
    }

    /// Whether anything of the layer is so because of the layers below.
    pub(crate) fn leans(&self) -> bool {
        self.tree.leans
    }

    /// The folders of the layers below, given back.
    pub(crate) fn into_below(self) -> Vec<OwnedFd> {
        self.tree.below
    }

    fn own(&self, fd: BorrowedFd<'_>, entry: &Entry) -> Result<()> {
        if self.tree.owner == Owner::Caller {
            return Ok(());
        }
        fs::chown_fd(fd, entry.uid, entry.gid).context("fchown")
    }

    fn attributes(&mut self, fd: BorrowedFd<'_>, entry: &Entry) -> Result<()> {
        for (attribute, value) in self.wanted(entry) {
            xattr::set(fd, attribute, value).with_context(|| named("setxattr", attribute))?;
        }
        Ok(())
    }

    /// The attributes that a file shall have. Those of overlayfs are the store's own, labels the
    /// machine's.
    fn wanted<'a>(&mut self, entry: &'a Entry) -> Vec<&'a (Vec<u8>, Vec<u8>)> {
        let (owner, omitted) = (self.tree.owner, &mut self.omitted.attributes);
        let foreign = |name: &[u8]| name == SELINUX || OVERLAY.iter().any(|prefix| name.starts_with(prefix));
        let known = entry.xattrs.iter().filter(|(name, _)| !foreign(name));
        let (wanted, not): (Vec<_>, Vec<_>) =
            known.partition(|(name, _)| owner == Owner::Image || name.starts_with(b"user."));
        *omitted += not.len() as u64;
        wanted
    }
}

fn named(call: &str, attribute: &[u8]) -> String {
    format!("{call} {}", String::from_utf8_lossy(attribute).escape_debug())
}

fn mode(entry: &Entry) -> Mode {
    Mode::from_bits_truncate(entry.mode)
}

fn time(entry: &Entry) -> TimeSpec {
    TimeSpec::new(entry.mtime.0, entry.mtime.1)
}
