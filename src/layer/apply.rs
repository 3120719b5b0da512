//! Changes of a layer, taken over to the machine.
//!
//! Each is made in the folder that its path names, opened with no symlink on the way. A file is
//! whole before it gets its name: it is written beside that and renamed.

use super::read::Layer;
use super::remove::remove;
use super::{About, Change, FOLDER, Kind, open};
use crate::sys::fs::{self, Unlink};
use crate::sys::{Errno, xattr};
use anyhow::{Context, Result, bail};
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What a change needs that is not chosen: the folders on the way to it that are new.
pub(crate) fn with_folders(all: Vec<Change>, chosen: &[PathBuf]) -> Vec<Change> {
    let is_chosen = |path: &Path| chosen.is_empty() || chosen.iter().any(|chosen| path.starts_with(chosen));
    let is_new = |change: &Change| match (change.before, change.after) {
        (Some(before), Some(after)) => after.kind == Kind::Folder && before.kind != Kind::Folder,
        (None, Some(after)) => after.kind == Kind::Folder,
        _ => false,
    };
    let wanted: Vec<PathBuf> =
        all.iter().filter(|change| is_chosen(&change.path)).map(|change| change.path.clone()).collect();
    let leads = |change: &Change| is_new(change) && wanted.iter().any(|path| path.starts_with(&change.path));
    all.into_iter().filter(|change| is_chosen(&change.path) || leads(change)).collect()
}

/// Whether a change can be taken over: no socket and no device.
pub(crate) fn can_be(change: &Change) -> bool {
    change.after.is_none_or(|after| !matches!(after.kind, Kind::Socket | Kind::Device))
}

/// Make one change on the machine.
pub(crate) fn apply(layer: &Layer, change: &Change) -> Result<()> {
    let (Some(parent), Some(name)) = (change.path.parent(), change.path.file_name()) else {
        bail!("the root itself");
    };
    let parent = open(layer.machine.as_fd(), parent, FOLDER).context("open its folder")?;
    let place = Place { folder: parent.as_fd(), name: name.as_bytes() };
    place.is_as_listed(change.before)?;
    let Some(after) = change.after else { return remove(place.folder, place.name).context("remove") };
    let source = Source { layer, change, after };
    match after.kind {
        Kind::Folder => place.folder(&source),
        Kind::File => place.written(&source, |temporary| source.copy_file(place.folder, temporary)),
        Kind::Symlink => place.written(&source, |temporary| source.copy_symlink(place.folder, temporary)),
        Kind::Fifo => place.written(&source, |temporary| {
            fs::mknodat(place.folder, temporary, libc::S_IFIFO, 0o600, 0).context("mknod")?;
            let made = fs::openat(place.folder, temporary, fs::O_PATH | fs::O_NOFOLLOW, 0).context("open")?;
            fs::chown_fd(made.as_fd(), after.uid, after.gid).context("chown")?;
            fs::chmodat(place.folder, temporary, after.mode).context("chmod")
        }),
        Kind::Socket | Kind::Device => bail!("sockets and devices are not taken over"),
    }
}

/// A name in a folder of the machine's.
struct Place<'a> {
    folder: BorrowedFd<'a>,
    name: &'a [u8],
}

impl Place<'_> {
    /// What was listed is still there, and nothing else.
    fn is_as_listed(&self, before: Option<About>) -> Result<()> {
        let now = match fs::statat(self.folder, self.name) {
            Ok(stat) => Some(About::of(&stat)),
            Err(Errno::ENOENT) => None,
            Err(errno) => return Err(errno).context("fstatat"),
        };
        let identity = |about: Option<About>| about.map(|about| (about.kind, about.device, about.inode));
        // A folder is new where another change of this list has made it.
        let is_new_folder = before.is_none() && now.is_some_and(|now| now.kind == Kind::Folder);
        if identity(now) != identity(before) && !is_new_folder {
            bail!("it has changed on the machine meanwhile");
        }
        Ok(())
    }

    fn folder(&self, source: &Source<'_>) -> Result<()> {
        let open = || fs::openat2(self.folder, self.name, FOLDER, 0, super::NO_LINKS);
        if source.change.before.is_some_and(|before| before.kind != Kind::Folder) {
            fs::unlinkat(self.folder, self.name, Unlink::File).context("unlink")?;
        }
        match fs::mkdirat(self.folder, self.name, 0o700) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(errno).context("mkdir"),
        }
        let made = open().context("open")?;
        source.give_attributes(&made, &source.open(fs::O_RDONLY)?)
    }

    /// Have `write` make a file of another name, and put it in its place at once.
    fn written(&self, source: &Source<'_>, write: impl Fn(&str) -> Result<()>) -> Result<()> {
        let temporary = temporary_name();
        let done = write(&temporary).and_then(|()| {
            if source.change.before.is_some_and(|before| before.kind == Kind::Folder) {
                remove(self.folder, self.name).context("remove")?;
            }
            nix::fcntl::renameat(
                self.folder,
                temporary.as_str(),
                self.folder,
                std::ffi::OsStr::from_bytes(self.name),
            )
            .context("rename")
        });
        if done.is_err() {
            let _ = fs::unlinkat(self.folder, &temporary, Unlink::File);
        }
        done
    }
}

/// One that nobody can have made before.
fn temporary_name() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!(".knarr-{}-{}", std::process::id(), now.as_nanos())
}

/// What a change is of, in the layer.
struct Source<'a> {
    layer: &'a Layer,
    change: &'a Change,
    after: About,
}

impl Source<'_> {
    fn open(&self, flags: i32) -> Result<OwnedFd> {
        let folder = self.layer.folders[self.change.layer].1.as_fd();
        open(folder, &self.change.inside, flags).context("open in the layer")
    }

    fn copy_file(&self, folder: BorrowedFd<'_>, name: &str) -> Result<()> {
        let from = self.open(fs::O_RDONLY | fs::O_NONBLOCK)?;
        let flags = fs::O_WRONLY | fs::O_CREAT | fs::O_EXCL | fs::O_NOFOLLOW;
        let to = fs::openat(folder, name, flags, 0o600).context("create")?;
        let (mut reader, mut writer) = (File::from(from), File::from(to));
        std::io::copy(&mut reader, &mut writer).context("copy")?;
        let (from, to) = (OwnedFd::from(reader), OwnedFd::from(writer));
        self.give_attributes(&to, &from)?;
        nix::unistd::fsync(&to).context("fsync")
    }

    fn copy_symlink(&self, folder: BorrowedFd<'_>, name: &str) -> Result<()> {
        let link = self.open(fs::O_PATH)?;
        let target = nix::fcntl::readlinkat(&link, "").context("readlinkat")?;
        nix::unistd::symlinkat(target.as_os_str(), folder, name).context("symlink")?;
        fs::chownat(folder, name, self.after.uid, self.after.gid).context("chown")
    }

    /// Owner, extended attributes, mode and times, in an order in which none undoes another.
    fn give_attributes(&self, to: &OwnedFd, from: &OwnedFd) -> Result<()> {
        let About { uid, gid, mode, .. } = self.after;
        fs::chown_fd(to.as_fd(), uid, gid).context("chown")?;
        for name in xattr::list(from.as_fd()).context("listxattr")? {
            let is_overlays =
                [&b"trusted.overlay."[..], b"user.overlay."].iter().any(|p| name.starts_with(p));
            let is_users = name.starts_with(b"user.") || crate::host::user() == 0;
            if !is_overlays
                && is_users
                && let Some(value) = xattr::get(from.as_fd(), &name).context("getxattr")?
            {
                xattr::set(to.as_fd(), &name, &value).context("setxattr")?;
            }
        }
        nix::sys::stat::fchmod(to, nix::sys::stat::Mode::from_bits_truncate(mode)).context("chmod")?;
        let stat = fs::stat_fd(from.as_fd()).context("fstat")?;
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(to));
        let modified = TimeSpec::new(stat.st_mtime, stat.st_mtime_nsec);
        utimensat(
            nix::fcntl::AT_FDCWD,
            path.as_str(),
            &TimeSpec::UTIME_OMIT,
            &modified,
            UtimensatFlags::FollowSymlink,
        )
        .context("utimensat")
    }
}
