//! Mounts of a container that is there: adding them, and taking them away.

use super::mounts::attach;
use super::{Init, paths};
use crate::channel::FromInit;
use crate::fault::{Call, Outcome, Refusal};
use crate::plan::{Lookup, MountStep};
use crate::proc::mountinfo;
use crate::sys::mount::{self, MountId};
use crate::sys::{Errno, fs};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// The longest mountinfo that is read, in bytes.
const MOUNTINFO_LIMIT: usize = 64 << 20;

impl Init<'_> {
    /// The parent records the mount before it is attached. If both are killed between the two there
    /// is a record of no mount, which does no harm, and not a mount without a record.
    pub(super) fn add(&mut self, step: &MountStep) -> Outcome {
        let Some((onto, detached)) = self.detached(step)? else { return Ok(()) };
        let copy = detached.try_clone().map_err(|_| Errno::EMFILE).call(|| "dup".into())?;
        let channel = &self.inherited.channel;
        channel.tell(&FromInit::Mount(copy)).call(|| "sendmsg".into())?;
        channel.await_done().call(|| "recvmsg".into())?;
        attach(step, detached.as_fd(), onto.as_fd())?;
        self.held.push((step.target.clone(), detached));
        Ok(())
    }

    /// Unmount what was added on `target`. The container may have unmounted it, or moved it, and
    /// may have mounted something of its own in its place, which stays.
    pub(super) fn remove(&self, target: &str, id: &MountId) -> Outcome {
        // The name may lead into it by now, and not to it.
        if let Some((mount, found)) = self.mount_at(target)?
            && found.is(id)
            && mount::is_root(mount.as_fd()).call(|| "statx".into())?
        {
            return self.unmount(mount.as_fd(), target);
        }
        let Some(place) = self.place_of(id)? else { return Ok(()) };
        match self.mount_at(&place)? {
            Some((mount, found)) if found.is(id) => self.unmount(mount.as_fd(), target),
            // It is gone, and another mount of the container's has got its number.
            Some((_, found)) if found.number == id.number => Ok(()),
            _ => {
                let call = format!("{target} is covered by another mount of the container's");
                Err(Refusal::kernel(call, Errno::EBUSY))
            }
        }
    }

    pub(super) fn vacant(&self, path: &str) -> Outcome {
        match paths::open(self.root()?, path, fs::O_PATH, Lookup::FollowToLast) {
            Err(Errno::ENOENT) => Ok(()),
            Ok(_) => Err(Refusal::kernel(format!("mknod {path}"), Errno::EEXIST)),
            Err(errno) => Err(Refusal::kernel(format!("open {path}"), errno)),
        }
    }

    /// Unlink what was added, and nothing else: the container may have put something in its place.
    pub(super) fn remove_node(&self, path: &str, kind: u32, device: (u32, u32)) -> Outcome {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = if parent.is_empty() { "/" } else { parent };
        let gone = |errno| matches!(errno, Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP);
        let folder = match paths::open(self.root()?, parent, fs::O_PATH | fs::O_DIRECTORY, Lookup::Follow) {
            Err(errno) if gone(errno) => return Ok(()),
            folder => folder.call(|| format!("open {parent}"))?,
        };
        let found = match fs::statat(folder.as_fd(), name) {
            Err(errno) if gone(errno) => return Ok(()),
            found => found.call(|| format!("fstatat {path}"))?,
        };
        let is_same = match kind {
            libc::S_IFREG => found.st_size == 0,
            _ => found.st_rdev == fs::makedev(device.0, device.1),
        };
        if found.st_mode & libc::S_IFMT != kind || !is_same {
            return Ok(());
        }
        fs::unlinkat(folder.as_fd(), name, fs::Unlink::File).call(|| format!("unlink {path}"))
    }

    /// The uppermost mount at `path`, if there is such a path.
    fn mount_at(&self, path: &str) -> Outcome<Option<(OwnedFd, MountId)>> {
        match paths::open(self.root()?, path, fs::O_PATH, Lookup::FollowToLast) {
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::EACCES) => Ok(None),
            found => {
                let found = found.call(|| format!("open {path}"))?;
                let id = MountId::of(found.as_fd()).call(|| "statx".into())?;
                Ok(Some((found, id)))
            }
        }
    }

    /// Where the mount with this number is by now; none if it is gone.
    fn place_of(&self, id: &MountId) -> Outcome<Option<String>> {
        let name = "../mountinfo";
        let file = fs::openat(self.descriptors()?, name, fs::O_RDONLY, 0).call(|| "open mountinfo".into())?;
        let text = fs::read_all(file.as_fd(), MOUNTINFO_LIMIT).call(|| "read mountinfo".into())?;
        let text = String::from_utf8_lossy(&text);
        Ok(mountinfo::mounts(&text).find(|mount| mount.id == id.number).map(|mount| mount.target))
    }

    /// By the host's /proc, as no name of the container's need lead there.
    fn unmount(&self, mount: BorrowedFd<'_>, target: &str) -> Outcome {
        nix::unistd::fchdir(self.descriptors()?).call(|| "fchdir".into())?;
        mount::detach_of_descriptor(mount.as_raw_fd()).call(|| format!("umount2 {target}"))
    }

    fn descriptors(&self) -> Outcome<BorrowedFd<'_>> {
        let own = self.descriptors.as_ref().map(AsFd::as_fd);
        own.ok_or_else(|| Refusal::message("/proc/self/fd was not opened"))
    }
}
