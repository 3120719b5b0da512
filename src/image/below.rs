//! What a layer takes from those below it: the folders that its names lead through, and files that
//! it gives other names.
//!
//! An archive need not have an entry for a folder that is there. Unpacked onto the layers below
//! such an entry finds it, or the symlink in its place; a layer of the store is a folder of its
//! own, so it is given what is below, as overlayfs would show it.

use super::merged::{Found, Merged};
use super::tree::{Deletions, FOLDER, Folder, NO_LINKS, Owner, Tree, below, is_whiteout};
use crate::sys::{Errno, fs, xattr};
use anyhow::{Context, Result};
use nix::sys::time::TimeSpec;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::rc::Rc;

/// What is read and written at once; that much of zeroes becomes a hole.
pub(crate) const CHUNK: usize = 64 << 10;

/// Attributes that tell overlayfs something.
pub(crate) const OVERLAY: [&[u8]; 2] = [b"trusted.overlay.", b"user.overlay."];
/// A label, which is the machine's.
pub(crate) const SELINUX: &[u8] = b"security.selinux";

impl Tree {
    /// What `name` in `here` is in the layers below, as far as this one does not hide it.
    pub(super) fn lower(&mut self, here: &Folder, name: &[u8]) -> Result<Found> {
        if self.deletions == Deletions::Done {
            return Ok(Found::Nothing);
        }
        self.leans = true;
        let merged = Merged { layers: &self.below, opaque: self.owner.opaque() };
        for depth in 0..=here.names.len() {
            let path = if depth == 0 { b".".to_vec() } else { here.names[..depth].join(&b'/') };
            let above = fs::openat2(self.root.fd.as_fd(), path, FOLDER, 0, NO_LINKS).context("openat2")?;
            if merged.is_opaque(&above)? {
                return Ok(Found::Nothing);
            }
        }
        merged.at(&below(here, name)).context("the layers below")
    }

    /// Make the folder `name` in `here` as it is below: overlayfs shows the mode, the owner and the
    /// attributes of the upper one alone.
    pub(super) fn like(&mut self, here: &Folder, name: &[u8], lower: BorrowedFd<'_>) -> Result<Rc<Folder>> {
        let made = self.new_folder(here, name, 0o700)?;
        let stat = fs::stat_fd(lower)?;
        self.take_over(lower, made.fd.as_fd(), &stat).context("its folder as it is below")?;
        self.implied.push((made.names.join(&b'/'), stat.st_mode & 0o7777));
        Ok(made)
    }

    /// Owner and attributes of what is below.
    fn take_over(&self, lower: BorrowedFd<'_>, upper: BorrowedFd<'_>, stat: &libc::stat) -> Result<()> {
        if self.owner == Owner::Image {
            fs::chown_fd(upper, stat.st_uid, stat.st_gid).context("fchown")?;
        }
        for name in xattr::list(lower).context("listxattr")? {
            let own = OVERLAY.iter().any(|prefix| name.starts_with(prefix)) || name == SELINUX;
            if own || (self.owner == Owner::Caller && !name.starts_with(b"user.")) {
                continue;
            }
            if let Some(value) = xattr::get(lower, &name).context("getxattr")? {
                xattr::set(upper, &name, &value).context("setxattr")?;
            }
        }
        Ok(())
    }

    /// A file that is to get another name must be in this layer, as overlayfs has it: one that is
    /// below only is copied.
    pub(super) fn have_file(&mut self, at: &Folder, name: &[u8]) -> Result<()> {
        match fs::statat(at.fd.as_fd(), name) {
            Ok(stat) if is_whiteout(&stat) => return Err(Errno::ENOENT).context("statat"),
            Ok(_) => return Ok(()),
            Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno).context("statat"),
        }
        match self.lower(at, name)? {
            Found::Nothing => Err(Errno::ENOENT).context("linkat"),
            Found::Folders(_) => Err(Errno::EPERM).context("linkat"),
            Found::Link(target, lower) => {
                nix::unistd::symlinkat(target.as_slice(), &at.fd, name).context("symlinkat")?;
                self.copy_node(&lower, at, name)
            }
            Found::Other(lower) => self.copy_up(&lower, at, name).context("copy what is below"),
        }
    }

    fn copy_up(&mut self, lower: &OwnedFd, at: &Folder, name: &[u8]) -> Result<()> {
        let stat = fs::statat(lower.as_fd(), name)?;
        if stat.st_mode & libc::S_IFMT != libc::S_IFREG {
            fs::mknodat(
                at.fd.as_fd(),
                name,
                stat.st_mode & libc::S_IFMT,
                stat.st_mode & 0o7777,
                stat.st_rdev,
            )
            .context("mknodat")?;
            return self.copy_node(lower, at, name);
        }
        let flags = fs::O_RDONLY | fs::O_NOFOLLOW;
        let from = fs::openat2(lower.as_fd(), name, flags, 0, NO_LINKS).context("openat2")?;
        let flags = fs::O_WRONLY | fs::O_CREAT | fs::O_EXCL | fs::O_NOFOLLOW;
        let to = fs::openat(at.fd.as_fd(), name, flags, 0o600).context("openat")?;
        let (from, to) = (File::from(from), File::from(to));
        copy_data(&from, &to, stat.st_size as u64).context("copy")?;
        self.take_over(from.as_fd(), to.as_fd(), &stat)?;
        let mode = nix::sys::stat::Mode::from_bits_truncate(stat.st_mode);
        nix::sys::stat::fchmod(&to, mode).context("fchmod")?;
        let (accessed, modified) = times(&stat);
        nix::sys::stat::futimens(&to, &accessed, &modified).context("futimens")
    }

    /// Owner and times of a symlink or node, as they are below.
    fn copy_node(&mut self, lower: &OwnedFd, at: &Folder, name: &[u8]) -> Result<()> {
        let stat = fs::statat(lower.as_fd(), name)?;
        if self.owner == Owner::Image {
            fs::chownat(at.fd.as_fd(), name, stat.st_uid, stat.st_gid).context("fchownat")?;
        }
        let (accessed, modified) = times(&stat);
        let nofollow = nix::sys::stat::UtimensatFlags::NoFollowSymlink;
        nix::sys::stat::utimensat(&at.fd, name, &accessed, &modified, nofollow).context("utimensat")
    }
}

fn times(stat: &libc::stat) -> (TimeSpec, TimeSpec) {
    (TimeSpec::new(stat.st_atime, stat.st_atime_nsec), TimeSpec::new(stat.st_mtime, stat.st_mtime_nsec))
}

/// Copy `size` bytes, holes as holes.
fn copy_data(from: &File, to: &File, size: u64) -> std::io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    let mut offset = 0;
    loop {
        match from.read_at(&mut buffer, offset)? {
            0 => return to.set_len(size),
            n => {
                if buffer[..n].iter().any(|byte| *byte != 0) {
                    to.write_all_at(&buffer[..n], offset)?;
                }
                offset += n as u64;
            }
        }
    }
}
