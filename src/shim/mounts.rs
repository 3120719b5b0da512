//! The mounts that a snapshotter hands over for a root filesystem: made in the bundle before the
//! container, undone after it.

use super::api::Mount;
use crate::config::{IdMaps, IdRange};
use crate::parent::settle;
use crate::sys::blocks::{self, Access};
use crate::sys::mount::{self, Follow, Reach};
use crate::sys::{Errno, fs};
use anyhow::{Context, Result, bail};
use nix::mount::{MntFlags, MsFlags, umount2};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Options that are flags of mount(2): what each sets, and what it clears.
const FLAGS: [(&str, MsFlags, MsFlags); 20] = {
    const NONE: MsFlags = MsFlags::empty();
    [
        ("async", NONE, MsFlags::MS_SYNCHRONOUS),
        ("atime", NONE, MsFlags::MS_NOATIME),
        ("bind", MsFlags::MS_BIND, NONE),
        ("defaults", NONE, NONE),
        ("dev", NONE, MsFlags::MS_NODEV),
        ("diratime", NONE, MsFlags::MS_NODIRATIME),
        ("dirsync", MsFlags::MS_DIRSYNC, NONE),
        ("exec", NONE, MsFlags::MS_NOEXEC),
        ("noatime", MsFlags::MS_NOATIME, NONE),
        ("nodev", MsFlags::MS_NODEV, NONE),
        ("nodiratime", MsFlags::MS_NODIRATIME, NONE),
        ("noexec", MsFlags::MS_NOEXEC, NONE),
        ("nosuid", MsFlags::MS_NOSUID, NONE),
        ("rbind", MsFlags::MS_BIND.union(MsFlags::MS_REC), NONE),
        ("relatime", MsFlags::MS_RELATIME, NONE),
        ("ro", MsFlags::MS_RDONLY, NONE),
        ("rw", NONE, MsFlags::MS_RDONLY),
        ("strictatime", MsFlags::MS_STRICTATIME, NONE),
        ("suid", NONE, MsFlags::MS_NOSUID),
        ("sync", MsFlags::MS_SYNCHRONOUS, NONE),
    ]
};

/// The longest data of mount(2), in bytes: a page, with its end.
const DATA_MAX: usize = 4095;

/// The option of overlayfs that names its layers.
const LAYERS: &str = "lowerdir=";

/// What a mount's options ask for.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    flags: MsFlags,
    /// For the filesystem.
    data: String,
    /// How the ids of its files are mapped; empty where they are not.
    ids: IdMaps,
    /// Whether the source is a file in place of a block device.
    is_file: bool,
}

fn parsed(options: &[String]) -> Result<Asked> {
    let mut asked =
        Asked { flags: MsFlags::empty(), data: String::new(), ids: IdMaps::default(), is_file: false };
    let mut data = Vec::new();
    for option in options {
        if let Some((_, set, clear)) = FLAGS.iter().find(|(name, ..)| name == option) {
            asked.flags = (asked.flags | *set) - *clear;
        } else if let Some(ranges) = option.strip_prefix("uidmap=") {
            asked.ids.uids = id_ranges(ranges)?;
        } else if let Some(ranges) = option.strip_prefix("gidmap=") {
            asked.ids.gids = id_ranges(ranges)?;
        } else if option == "loop" {
            asked.is_file = true;
        } else if !option.starts_with("X-") && !option.starts_with("x-") {
            // Those are what the snapshotters keep for themselves.
            data.push(option.as_str());
        }
    }
    if asked.ids.uids.is_empty() != asked.ids.gids.is_empty() {
        bail!("uidmap and gidmap: one goes with the other");
    }
    asked.data = data.join(",");
    Ok(asked)
}

/// `CONTAINER:HOST:SIZE`, more of them after commas.
fn id_ranges(text: &str) -> Result<Vec<IdRange>> {
    let range = |text: &str| {
        let numbers: Vec<u32> = text.split(':').filter_map(|number| number.parse().ok()).collect();
        match numbers[..] {
            [container, host, size] => Ok(IdRange { container, host, size }),
            _ => bail!("{text:?} is not CONTAINER:HOST:SIZE"),
        }
    };
    text.split(',').map(range).collect()
}

/// Make `mounts` at `root`, one upon the other or where each says. Of a failing one none stays.
///
/// Only for a child: it changes the working directory.
pub fn make(mounts: &[Mount], root: &Path) -> Result<()> {
    for (i, one) in mounts.iter().enumerate() {
        let target = target(one, root)?;
        let made = mount_one(one, &target)
            .with_context(|| format!("rootfs[{i}]: {} at {}", one.kind, target.display()));
        if let Err(cause) = made {
            return Err(match undo(&mounts[..i], root) {
                Ok(()) => cause,
                Err(err) => cause.context(format!("[then, cleaning up: {}]", crate::log::message(&err))),
            });
        }
    }
    Ok(())
}

fn target(mount: &Mount, root: &Path) -> Result<PathBuf> {
    let below = Path::new(mount.target.trim_start_matches('/'));
    if below.components().any(|part| part == std::path::Component::ParentDir) {
        bail!("rootfs: the target {:?} leads out of the root", mount.target);
    }
    Ok(root.join(below))
}

fn mount_one(one: &Mount, target: &Path) -> Result<()> {
    let Asked { flags, data, ids, is_file } = parsed(&one.options)?;
    if flags.contains(MsFlags::MS_BIND) {
        return bind(&one.source, target, flags, &ids);
    }
    if one.kind == "overlay" && !ids.is_empty() {
        return overlay_of_mapped(target, flags, &data, &ids);
    }
    if !ids.is_empty() {
        bail!("uidmap: ids are mapped of overlays and of bind mounts only");
    }
    let device = if is_file { Some(loop_device(&one.source, flags)?) } else { None };
    let source = device.as_ref().map_or(one.source.as_str(), |(_, path)| path);
    let data = if one.kind == "overlay" && data.len() > DATA_MAX { shortened(&data)? } else { data };
    mount::mount(source, target, &one.kind, flags, &data).with_context(|| format!("mount {}", one.kind))
}

/// A block device that is the file, as long as it is open or mounted.
fn loop_device(file: &str, flags: MsFlags) -> Result<(OwnedFd, String)> {
    let access = if flags.contains(MsFlags::MS_RDONLY) { Access::ReadOnly } else { Access::ReadWrite };
    let mode = if access == Access::ReadOnly { fs::O_RDONLY } else { libc::O_RDWR };
    let backing = fs::open(file, mode, 0).with_context(|| format!("open {file}"))?;
    blocks::loop_device(backing.as_fd(), access).with_context(|| format!("loop device of {file}"))
}

fn bind(source: &str, target: &Path, flags: MsFlags, ids: &IdMaps) -> Result<()> {
    let recursive = flags & MsFlags::MS_REC;
    if ids.is_empty() {
        mount::mount(source, target, "", MsFlags::MS_BIND | recursive, "").context("mount bind")?;
    } else {
        let reach = if recursive.is_empty() { Reach::Top } else { Reach::Tree };
        attach(&mapped(Path::new(source), reach, parent_namespace(ids)?.as_fd())?, target)?;
    }
    let rest = flags - MsFlags::MS_BIND - MsFlags::MS_REC;
    if rest.is_empty() {
        return Ok(());
    }
    // The flags of a bind mount are those of its source, until it is mounted again.
    let again = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | rest;
    mount::mount("", target, "", again, "").context("mount remount,bind")
}

fn parent_namespace(ids: &IdMaps) -> Result<OwnedFd> {
    settle::user_namespace(ids).map_err(|refusal| anyhow::Error::new(refusal.of("uidmap")))
}

/// A detached copy of what is mounted at `path`, with its files' ids mapped.
fn mapped(path: &Path, reach: Reach, namespace: BorrowedFd<'_>) -> Result<OwnedFd> {
    let context = |call: &str| format!("{call} {}", path.display());
    let copy = mount::clone_tree(path, reach, Follow::Last).with_context(|| context("open_tree"))?;
    mount::map_ids(copy.as_fd(), reach, namespace).with_context(|| context("mount_setattr idmap"))?;
    Ok(copy)
}

fn attach(what: &OwnedFd, target: &Path) -> Result<()> {
    let onto =
        fs::open(target, fs::O_PATH | fs::O_DIRECTORY, 0).with_context(|| target.display().to_string())?;
    mount::move_mount(what.as_fd(), onto.as_fd()).context("move_mount")
}

/// An overlay whose layers have their files' ids mapped. The kernel takes layers by their paths, so
/// they are mounted beside the root until the overlay is there.
fn overlay_of_mapped(target: &Path, flags: MsFlags, data: &str, ids: &IdMaps) -> Result<()> {
    let layers = data.split(',').find_map(|option| option.strip_prefix(LAYERS)).unwrap_or_default();
    let beside = target.with_file_name("mapped");
    let (mut made, mut names) = (Vec::new(), Vec::new());
    let mut mount = || -> Result<()> {
        let namespace = parent_namespace(ids)?;
        for (n, layer) in layers.split(':').enumerate() {
            let place = beside.join(n.to_string());
            std::fs::create_dir_all(&place).with_context(|| format!("mkdir {}", place.display()))?;
            let copy = mapped(Path::new(layer), Reach::Top, namespace.as_fd())?;
            attach(&copy, &place)?;
            made.push(place);
            names.push(n.to_string());
        }
        nix::unistd::chdir(&beside).with_context(|| format!("chdir {}", beside.display()))?;
        let data = data.replacen(layers, &names.join(":"), 1);
        mount::mount("overlay", target, "overlay", flags, &data).context("mount overlay")
    };
    let mounted = mount();
    let _ = nix::unistd::chdir("/");
    for place in &made {
        let _ = umount2(place, MntFlags::MNT_DETACH);
    }
    // Only empty folders are removed.
    for n in 0..=made.len() {
        let _ = std::fs::remove_dir(beside.join(n.to_string()));
    }
    let _ = std::fs::remove_dir(&beside);
    mounted
}

/// Many layers, by names that are relative to the folder that all are in, which becomes the working
/// directory.
fn shortened(data: &str) -> Result<String> {
    let layers = data.split(',').find_map(|option| option.strip_prefix(LAYERS)).unwrap_or_default();
    let mut common = Path::new(layers.split(':').next().unwrap_or_default());
    while !layers.split(':').all(|layer| Path::new(layer).starts_with(common)) {
        common = common.parent().context("the layers are in no common folder")?;
    }
    let relative = |layer: &str| -> String {
        Path::new(layer).strip_prefix(common).unwrap_or(Path::new(layer)).display().to_string()
    };
    let names: Vec<String> = layers.split(':').map(relative).collect();
    nix::unistd::chdir(common).with_context(|| format!("chdir {}", common.display()))?;
    Ok(data.replacen(layers, &names.join(":"), 1))
}

/// Unmount all that is mounted at `root`, the last first.
pub fn undo(mounts: &[Mount], root: &Path) -> Result<()> {
    for one in mounts.iter().rev() {
        unmount(&target(one, root)?)?;
    }
    Ok(())
}

/// Unmount whatever is mounted at `path`.
pub fn unmount(path: &Path) -> Result<()> {
    // What a process of another mount namespace still holds goes with it.
    for flags in [MntFlags::UMOUNT_NOFOLLOW, MntFlags::UMOUNT_NOFOLLOW | MntFlags::MNT_DETACH] {
        loop {
            match umount2(path, flags) {
                Ok(()) => {}
                Err(Errno::EINVAL | Errno::ENOENT) => return Ok(()),
                Err(Errno::EBUSY) => break,
                Err(errno) => return Err(errno).with_context(|| format!("umount {}", path.display())),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(options: &[&str]) -> Result<Asked> {
        parsed(&options.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_flags_or_data() {
        let read =
            of(&["rbind", "ro", "noexec", "exec", "X-containerd.x=1", "index=off", "upperdir=/u"]).unwrap();
        assert_eq!(read.flags, MsFlags::MS_BIND | MsFlags::MS_REC | MsFlags::MS_RDONLY);
        assert_eq!((read.data.as_str(), read.is_file), ("index=off,upperdir=/u", false));
        assert!(of(&["ro", "loop"]).unwrap().is_file);
    }

    #[test]
    fn ids_are_mapped_by_ranges() {
        let read = of(&["uidmap=0:100000:65536", "gidmap=0:1:2,2:7:1"]).unwrap();
        assert_eq!(read.ids.uids, [IdRange { container: 0, host: 100_000, size: 65536 }]);
        assert_eq!(read.ids.gids[1], IdRange { container: 2, host: 7, size: 1 });
        for options in [&["uidmap=0:1:1"][..], &["uidmap=0:1", "gidmap=0:1:1"], &["uidmap=", "gidmap=a:b:c"]]
        {
            assert!(of(options).is_err(), "{options:?}");
        }
    }

    #[test]
    fn targets_are_in_the_root() {
        let at = |target: &str| target_of(target).map(|path| path.display().to_string()).ok();
        fn target_of(name: &str) -> Result<PathBuf> {
            target(&Mount { target: name.into(), ..Mount::default() }, Path::new("/b/rootfs"))
        }
        assert_eq!(at("").as_deref(), Some("/b/rootfs/"));
        assert_eq!(at("/data").as_deref(), Some("/b/rootfs/data"));
        assert_eq!(at("../x"), None);
    }
}
