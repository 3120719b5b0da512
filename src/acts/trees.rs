//! Copies of mounts, and what becomes of the mounts of a new namespace.

use crate::config::{Symlink, bind_flags};
use crate::fault::{Call, Outcome, Refusal};
use crate::plan::Tree;
use crate::sys::mount::{self, Change, Follow, Reach};
use crate::sys::{Errno, fs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Make every mount of this namespace a slave, so that nothing done here reaches the host.
pub fn slave() -> Outcome {
    let root = fs::open("/", fs::O_PATH | fs::O_DIRECTORY, 0).call(|| "open /".into())?;
    let change = Change { propagation: libc::MS_SLAVE, ..Change::default() };
    mount::mount_setattr(root.as_fd(), Reach::Tree, change).call(|| "mount_setattr /".into())
}

/// A detached copy of a host mount, changed before anybody can see it, but for the mapping of ids.
/// A symlink that is to be copied comes as it is.
pub fn clone_tree(tree: &Tree) -> Outcome<OwnedFd> {
    let source = tree.source.display();
    let follow = if tree.symlink == Symlink::Followed { Follow::Last } else { Follow::ToLast };
    let copy = mount::clone_tree(&tree.source, tree.reach, follow).call(|| format!("open_tree {source}"))?;
    if tree.symlink == Symlink::Copied && fs::is_symlink(copy.as_fd()) {
        return Ok(copy);
    }
    if let Some((kind, major, minor)) = tree.device {
        let stat = fs::stat_fd(copy.as_fd()).call(|| format!("fstat {source}"))?;
        if stat.st_mode & libc::S_IFMT != kind || stat.st_rdev != fs::makedev(major, minor) {
            let call = format!("the host's {source} is not the device {major}:{minor}");
            return Err(Refusal::kernel(call, Errno::ENODEV));
        }
    }
    change(tree, copy.as_fd())?;
    Ok(copy)
}

/// Change a copy as its mount asks.
pub fn change(tree: &Tree, copy: BorrowedFd<'_>) -> Outcome {
    set_flags(tree, copy)?;
    for (reach, change) in &tree.changes {
        mount::mount_setattr(copy, *reach, *change)
            .call(|| format!("mount_setattr {}", tree.source.display()))?;
    }
    Ok(())
}

/// Give a bind mount the flags that it names, and refuse what its user namespace may not have.
/// Without rights over the host, as in another container, the kernel locks them too.
fn set_flags(tree: &Tree, copy: BorrowedFd<'_>) -> Outcome {
    let source = tree.source.display();
    let set = |change| mount::mount_setattr(copy, Reach::Top, change);
    let call = || format!("mount_setattr {source}");
    if let Some(flags) = tree.flags.filter(|_| !tree.locked) {
        match set(flags.exactly()) {
            Err(Errno::EPERM) => {}
            set => return set.call(call),
        }
    }
    if tree.flags.is_none() && !tree.locked {
        return Ok(());
    }
    let locked =
        |names| Refusal::kernel(format!("{source} is {names}, which its user namespace locks"), Errno::EPERM);
    let has = mount::flags(copy).call(|| format!("fstatvfs {source}"))?;
    let has = match tree.flags {
        None => has,
        Some(flags) => {
            set(flags.within(has).map_err(locked)?).call(call)?;
            mount::flags(copy).call(|| format!("fstatvfs {source}"))?
        }
    };
    let refused = if tree.locked { bind_flags::refused_of_tree(&tree.changes, has) } else { None };
    refused.map_or(Ok(()), |names| Err(locked(names)))
}
