//! Mounts, masks, read-only paths, device nodes and links.

use super::Init;
use super::copy_up;
use super::paths::{self, Make};
use crate::acts::filesystem::new_filesystem;
use crate::acts::trees;
use crate::config::Device;
use crate::config::rules::may_cover_in_proc;
use crate::fault::{Call, Outcome, Refusal};
use crate::plan::{CopyUp, Filesystem, Lookup, MountStep, Source, Tree, below};
use crate::sys::mount::{self, Change, Reach, attr};
use crate::sys::{self, Errno, fs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

impl Init<'_> {
    /// The mount, unless a symlink was made in its place.
    pub(super) fn mount(&mut self, step: &MountStep) -> Outcome<Option<OwnedFd>> {
        let Some((onto, detached)) = self.detached(step)? else { return Ok(None) };
        attach(step, detached.as_fd(), onto.as_fd())?;
        Ok(Some(detached))
    }

    /// What a mount is put on, and the mount; none if a symlink was made in its place.
    pub(super) fn detached(&mut self, step: &MountStep) -> Outcome<Option<(OwnedFd, OwnedFd)>> {
        let MountStep { target, source, copy_up, .. } = step;
        let lookup = step.lookup;
        let (onto, detached) = match source {
            Source::Tree(slot) => {
                let tree = self.tree(*slot)?;
                (self.place_for(&tree, target, lookup)?, tree)
            }
            Source::TreeOrLink(slot) => {
                let tree = self.tree(*slot)?;
                if fs::is_symlink(tree.as_fd()) {
                    return self.copy_symlink(tree.as_fd(), target).map(|()| None);
                }
                (self.place_for(&tree, target, lookup)?, tree)
            }
            Source::Inside(path, tree) => {
                let copy = self.copy_inside(path, tree)?;
                (self.place_for(&copy, target, lookup)?, copy)
            }
            Source::New(filesystem) => {
                let mode = if filesystem.mode_from_target { self.mode_at(target, lookup)? } else { None };
                (self.target(target, Make::Directory, lookup)?, new_filesystem(filesystem, mode)?)
            }
        };
        refuse_inside_proc(onto.as_fd(), target)?;
        match copy_up {
            CopyUp::Nothing => {}
            CopyUp::Limited => copy_up::fill(target, onto.as_fd(), detached.as_fd(), &mut self.budget)?,
            CopyUp::Sized => {
                copy_up::fill(target, onto.as_fd(), detached.as_fd(), &mut copy_up::Budget(u64::MAX))?;
            }
        }
        Ok(Some((onto, detached)))
    }

    /// What a copy is attached to: a folder or a file, as it is one itself.
    fn place_for(&self, tree: &OwnedFd, target: &str, lookup: Lookup) -> Outcome<OwnedFd> {
        let directory = paths::is_directory(tree.as_fd()).call(|| "fstat".into())?;
        let make = if directory { Make::Directory } else { Make::File };
        let onto = self.target(target, make, lookup)?;
        if directory != paths::is_directory(onto.as_fd()).call(|| "fstat".into())? {
            return Err(Refusal::kernel(format!("mount on {target}"), Errno::ENOTDIR));
        }
        Ok(onto)
    }

    /// A copy of what is at `path` in the container's own root by now.
    fn copy_inside(&self, path: &str, tree: &Tree) -> Outcome<OwnedFd> {
        let shown = || format!("open_tree {}", tree.source.display());
        let from = paths::open(self.root()?, path, fs::O_PATH, Lookup::Follow).call(shown)?;
        let copy = mount::clone_tree_fd(from.as_fd(), tree.reach).call(shown)?;
        trees::change(tree, copy.as_fd())?;
        Ok(copy)
    }

    /// Make a symlink like the one that `link` refers to; one that is there must be the same.
    fn copy_symlink(&self, link: BorrowedFd<'_>, path: &str) -> Outcome {
        let leads_to = fs::readlinkat(link, "").call(|| "readlinkat".into())?;
        let (dir, name) =
            paths::parent_of(self.root()?, path, Lookup::Follow).call(|| format!("open parent of {path}"))?;
        match fs::symlinkat(&leads_to, dir.as_fd(), &name) {
            Err(Errno::EEXIST) if fs::readlinkat(dir.as_fd(), &name).as_ref() == Ok(&leads_to) => Ok(()),
            made => made.call(|| format!("symlink {path} to {leads_to}")),
        }
    }

    /// The mode of what is at `path`; none where it is yet to be made: the filesystem then has its
    /// own, 1777 of a tmpfs.
    fn mode_at(&self, path: &str, lookup: Lookup) -> Outcome<Option<u32>> {
        match paths::open(self.root()?, path, fs::O_PATH, lookup) {
            Ok(fd) => Ok(Some(fs::stat_fd(fd.as_fd()).call(|| "fstat".into())?.st_mode & 0o7777)),
            // What is wrong with it comes up when it is made.
            Err(_) => Ok(None),
        }
    }

    pub(super) fn target(&self, path: &str, make: Make, lookup: Lookup) -> Outcome<OwnedFd> {
        match paths::open_or_make(self.root()?, path, make, lookup) {
            Err(Errno::ELOOP) if lookup == Lookup::NoSymlinks => {
                let text = format!(
                    "{path} must be mounted on ordinary directory, and a part of its path is a symlink"
                );
                Err(Refusal::message(text))
            }
            target => target.call(|| format!("open target {path}")),
        }
    }

    pub(super) fn attributes(&self, target: &str, reach: Reach, change: Change) -> Outcome {
        let fd = self.look_again(target).call(|| format!("open {target}"))?;
        mount::mount_setattr(fd.as_fd(), reach, change).call(|| format!("mount_setattr {target}"))
    }

    /// What is at `path` by now. Where one of the mounts that are held is on the way, the search
    /// begins there: whoever shares the root filesystem may have moved what that is mounted on, and
    /// put something else in its place.
    fn look_again(&self, path: &str) -> sys::Result<OwnedFd> {
        let on_the_way = self.held.iter().filter_map(|(at, mount)| Some((at, mount, below(path, at)?)));
        // The deepest one, and of those at one place the uppermost.
        let Some((_, mount, rest)) = on_the_way.max_by_key(|(at, ..)| at.trim_end_matches('/').len()) else {
            return paths::open(
                self.root.as_ref().ok_or(Errno::EBADF)?.as_fd(),
                path,
                fs::O_PATH,
                Lookup::Follow,
            );
        };
        if rest.is_empty() {
            return mount.try_clone().map_err(|_| Errno::EMFILE);
        }
        match paths::open_beneath(mount.as_fd(), rest, fs::O_PATH) {
            // A symlink that leads out of the mount: what it names is no part of it.
            Err(Errno::EXDEV) => {
                paths::open(self.root.as_ref().ok_or(Errno::EBADF)?.as_fd(), path, fs::O_PATH, Lookup::Follow)
            }
            found => found,
        }
    }

    /// What is at `path`; none where it does not exist, as on kernels without that file.
    fn existing(&self, path: &str) -> Outcome<Option<OwnedFd>> {
        match self.look_again(path) {
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
            found => found.map(Some).call(|| format!("open {path}")),
        }
    }

    pub(super) fn readonly_paths(&self, list: &[String]) -> Outcome {
        for path in list {
            let Some(fd) = self.existing(path)? else { continue };
            let copy = mount::clone_tree_fd(fd.as_fd(), Reach::Tree).call(|| format!("open_tree {path}"))?;
            let change = Change { set: attr::RDONLY, ..Change::default() };
            mount::mount_setattr(copy.as_fd(), Reach::Tree, change)
                .call(|| format!("mount_setattr {path}"))?;
            mount::move_mount(copy.as_fd(), fd.as_fd()).call(|| format!("move_mount {path}"))?;
        }
        Ok(())
    }

    /// Cover each path: a directory with one empty tmpfs, any other file with the host's own
    /// /dev/null, never with a node of the container's.
    pub(super) fn mask_paths(&mut self, list: &[String], null: usize, empty: &Filesystem) -> Outcome {
        let null = self.tree(null)?;
        let (mut null, mut folder) = (Cover { mount: null, attached: false }, None);
        for path in list {
            let Some(fd) = self.existing(path)? else { continue };
            let cover = if paths::is_directory(fd.as_fd()).call(|| format!("fstat {path}"))? {
                match &mut folder {
                    Some(cover) => cover,
                    none => none.insert(Cover { mount: new_filesystem(empty, None)?, attached: false }),
                }
            } else {
                &mut null
            };
            cover.put_on(fd.as_fd()).call(|| format!("move_mount {path}"))?;
        }
        Ok(())
    }

    pub(super) fn node(&self, node: &Device) -> Outcome {
        let (dir, name) = paths::parent_of(self.root()?, &node.path, Lookup::Follow)
            .call(|| format!("open parent of {}", node.path))?;
        let rdev = if node.kind == libc::S_IFIFO { 0 } else { fs::makedev(node.major, node.minor) };
        match fs::mknodat(dir.as_fd(), &name, node.kind, node.mode, rdev) {
            Err(Errno::EEXIST) => {
                let found = fs::statat(dir.as_fd(), &name).call(|| format!("fstatat {}", node.path))?;
                let same = found.st_mode & libc::S_IFMT == node.kind
                    && (node.kind == libc::S_IFIFO || found.st_rdev == rdev);
                return if same {
                    Ok(())
                } else {
                    Err(Refusal::message(format!(
                        "{} exists and is not the device that was asked for",
                        node.path
                    )))
                };
            }
            made => made.call(|| format!("mknod {}", node.path))?,
        }
        if (node.uid, node.gid) == (0, 0) {
            return Ok(());
        }
        fs::chownat(dir.as_fd(), &name, node.uid, node.gid).call(|| format!("chown {}", node.path))
    }

    pub(super) fn link(&self, path: &str, target: &str) -> Outcome {
        let (dir, name) =
            paths::parent_of(self.root()?, path, Lookup::Follow).call(|| format!("open parent of {path}"))?;
        match fs::symlinkat(target, dir.as_fd(), &name) {
            Ok(()) | Err(Errno::EEXIST) => Ok(()),
            Err(errno) => Err(Refusal::kernel(format!("symlink {path}"), errno)),
        }
    }

    pub(super) fn ptmx(&self) -> Outcome {
        let (dir, name) =
            paths::parent_of(self.root()?, "/dev/ptmx", Lookup::Follow).call(|| "open /dev".into())?;
        match fs::unlinkat(dir.as_fd(), &name, fs::Unlink::File) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(Refusal::kernel("unlink /dev/ptmx", errno)),
        }
        fs::symlinkat("pts/ptmx", dir.as_fd(), &name).call(|| "symlink /dev/ptmx".into())
    }
}

/// Put a mount in its place.
pub(super) fn attach(step: &MountStep, detached: BorrowedFd<'_>, onto: BorrowedFd<'_>) -> Outcome {
    mount::move_mount(detached, onto).call(|| format!("move_mount {}", step.target))?;
    for (reach, kind) in &step.propagation {
        let change = Change { propagation: *kind, ..Change::default() };
        mount::mount_setattr(detached, *reach, change).call(|| "mount_setattr".into())?;
    }
    Ok(())
}

/// A mount that is put on several places: the first time it is attached itself, after that copies
/// of it are, since kernels before 6.15 copy only attached mounts.
struct Cover {
    mount: OwnedFd,
    attached: bool,
}

impl Cover {
    fn put_on(&mut self, onto: BorrowedFd<'_>) -> sys::Result<()> {
        if self.attached {
            let copy = mount::clone_tree_fd(self.mount.as_fd(), Reach::Top)?;
            return mount::move_mount(copy.as_fd(), onto);
        }
        self.attached = true;
        mount::move_mount(self.mount.as_fd(), onto)
    }
}

/// config.json was checked for destinations inside /proc by name; a symlink of the image may still
/// lead there.
fn refuse_inside_proc(onto: BorrowedFd<'_>, target: &str) -> Outcome {
    let inside = target.strip_prefix("/proc/").unwrap_or_default();
    if may_cover_in_proc(inside)
        || mount::fs_magic(onto).call(|| "fstatfs".into())? != mount::PROC_SUPER_MAGIC
    {
        return Ok(());
    }
    Err(Refusal::message(format!("{target} leads into /proc")))
}
