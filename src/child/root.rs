//! The root filesystem: attaching it and making it `/`.

use super::paths::{self, Make};
use super::{Init, null};
use crate::acts::trees;
use crate::fault::{Call, Outcome, Refusal};
use crate::plan::{Lookup, RootStep, Tree};
use crate::sys::mount::{self, Change, Reach};
use crate::sys::{Errno, fs, process as proc};
use std::os::fd::AsFd;
use std::path::Path;

/// How many mounts may be stacked on the root of the host, with those that init put there.
const STACK_LIMIT: usize = 100;

impl Init<'_> {
    pub(super) fn take_root_step(&mut self, step: &RootStep) -> Outcome {
        match step {
            RootStep::Slave => trees::slave(),
            RootStep::EmptyMounts => proc::unshare_empty_mounts().call(|| "unshare mount".into()),
            RootStep::CloneTree(tree) => self.clone_tree(tree),
            RootStep::Root { slot, path } => self.attach_root(*slot, path),
            RootStep::Overlay(overlay) => self.overlay(overlay),
            RootStep::Glass(glass) => self.glass(glass),
            RootStep::RootDirectory(path) => self.enter_directory(path),
            RootStep::Mount(step) => {
                let mount = self.mount(step)?;
                self.held.extend(mount.filter(|_| step.held).map(|mount| (step.target.clone(), mount)));
                Ok(())
            }
            RootStep::Add(step) => self.add(step),
            RootStep::Vacant(path) => self.vacant(path),
            RootStep::RemoveNode { path, kind, major, minor } => {
                self.remove_node(path, *kind, (*major, *minor))
            }
            RootStep::Remove { target, id } => self.remove(target, id),
            RootStep::Attributes { target, reach, change } => self.attributes(target, *reach, *change),
            RootStep::Node(node) => self.node(node),
            RootStep::Link { path, target } => self.link(path, target),
            RootStep::Ptmx => self.ptmx(),
            RootStep::HostHooks => self.ask_for_hooks(),
            RootStep::ContainerHooks(hooks) => self.container_hooks(hooks),
            RootStep::Pivot => self.pivot(),
            RootStep::MoveRoot => self.move_root(),
            RootStep::Chroot => self.chroot(),
            RootStep::RootPropagation(reach, kind) => self.root_propagation(*reach, *kind),
            RootStep::Terminal { size, uid, console } => self.terminal(*size, *uid, *console),
            RootStep::OwnNull => null::own(),
            RootStep::ReadonlyPaths(paths) => self.readonly_paths(paths),
            RootStep::MaskPaths { paths, null, empty } => self.mask_paths(paths, *null, empty),
            RootStep::MakeCwd(path) => self.make_cwd(path),
        }
    }

    fn clone_tree(&mut self, tree: &Tree) -> Outcome {
        if tree.id_map.is_some() {
            return Err(Refusal::message("only root can map the ids of a mount"));
        }
        self.inherited.trees.push(Some(trees::clone_tree(tree)?));
        Ok(())
    }

    pub(super) fn attach_root(&mut self, slot: usize, path: &Path) -> Outcome {
        let tree = self.tree(slot)?;
        let onto =
            fs::open(path, fs::O_PATH | fs::O_DIRECTORY, 0).call(|| format!("open {}", path.display()))?;
        mount::move_mount(tree.as_fd(), onto.as_fd()).call(|| format!("move_mount {}", path.display()))?;
        self.root = Some(tree);
        // Device nodes and directories get exactly the modes of the plan.
        self.callers_umask = Some(nix::sys::stat::umask(nix::sys::stat::Mode::empty()));
        Ok(())
    }

    pub(super) fn enter_directory(&mut self, path: &Path) -> Outcome {
        let root =
            fs::open(path, fs::O_PATH | fs::O_DIRECTORY, 0).call(|| format!("open {}", path.display()))?;
        self.root = Some(root);
        Ok(())
    }

    pub(super) fn pivot(&self) -> Outcome {
        nix::unistd::fchdir(self.root()?).call(|| "fchdir".into())?;
        mount::pivot_root_here().call(|| "pivot_root".into())?;
        self.detach_old_root()?;
        nix::unistd::chdir("/").call(|| "chdir /".into())
    }

    /// The old root is now stacked on the new one, which the working directory is. What was mounted
    /// on the very top of the old root is stacked on that in turn, and umount2(2) takes the
    /// uppermost only: whatever stays would be where a later `..` or setns(2) leads.
    fn detach_old_root(&self) -> Outcome {
        let own = mount::id(self.root()?).call(|| "statx".into())?;
        for _ in 0..STACK_LIMIT {
            mount::detach_here().call(|| "umount2 of the old root".into())?;
            let uppermost = fs::open("..", fs::O_PATH | fs::O_DIRECTORY, 0).call(|| "open ..".into())?;
            if mount::id(uppermost.as_fd()).call(|| "statx".into())? == own {
                return Ok(());
            }
        }
        Err(Refusal::message("too many mounts are stacked on the host's root"))
    }

    pub(super) fn move_root(&self) -> Outcome {
        nix::unistd::fchdir(self.root()?).call(|| "fchdir".into())?;
        self.uncover_host_files()?;
        mount::move_here_to_root().call(|| "move_mount to /".into())?;
        self.chroot()
    }

    /// Without pivot_root(2) the old root stays mounted underneath. A process that gets out of the
    /// chroot(2) would find the host's proc and sysfs there in full, so they go first.
    fn uncover_host_files(&self) -> Outcome {
        for path in ["/proc", "/sys"] {
            match nix::mount::umount2(path, nix::mount::MntFlags::MNT_DETACH) {
                Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
                Err(errno) => return Err(Refusal::kernel(format!("umount2 {path}"), errno)),
            }
        }
        Ok(())
    }

    pub(super) fn chroot(&self) -> Outcome {
        nix::unistd::fchdir(self.root()?).call(|| "fchdir".into())?;
        nix::unistd::chroot(".").call(|| "chroot".into())?;
        nix::unistd::chdir("/").call(|| "chdir /".into())
    }

    pub(super) fn root_propagation(&self, reach: Reach, kind: u64) -> Outcome {
        let change = Change { propagation: kind, ..Change::default() };
        mount::mount_setattr(self.root()?, reach, change).call(|| "mount_setattr /".into())
    }

    fn make_cwd(&self, path: &str) -> Outcome {
        if path == "/" {
            return Ok(());
        }
        let cwd = paths::open_or_make(self.root()?, path, Make::Directory, Lookup::Follow);
        match cwd {
            // The process's own user may still be able to enter it.
            Ok(_) | Err(Errno::EACCES) => Ok(()),
            Err(errno) => Err(Refusal::kernel(format!("mkdir {path}"), errno)),
        }
    }
}
