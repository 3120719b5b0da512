//! The mounts that a snapshotter hands over for a root filesystem: made in the bundle before the
//! container, undone after it.

use super::api::Mount;
use crate::sys::{Errno, mount};
use anyhow::{Context, Result, bail};
use nix::mount::{MntFlags, MsFlags, umount2};
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

/// Flags and data of a mount's options.
fn parsed(options: &[String]) -> Result<(MsFlags, String)> {
    let (mut flags, mut data) = (MsFlags::empty(), Vec::new());
    for option in options {
        match FLAGS.iter().find(|(name, ..)| name == option) {
            Some((_, set, clear)) => flags = (flags | *set) - *clear,
            None if option == "loop" || option.starts_with("uidmap=") || option.starts_with("gidmap=") => {
                bail!("the option {option:?} is not known")
            }
            // What the snapshotters keep for themselves.
            None if option.starts_with("X-") || option.starts_with("x-") => {}
            None => data.push(option.as_str()),
        }
    }
    Ok((flags, data.join(",")))
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
    let (flags, data) = parsed(&one.options)?;
    if flags.contains(MsFlags::MS_BIND) {
        let recursive = flags & MsFlags::MS_REC;
        mount::mount(&one.source, target, "", MsFlags::MS_BIND | recursive, "").context("mount bind")?;
        let rest = flags - MsFlags::MS_BIND - MsFlags::MS_REC;
        if rest.is_empty() {
            return Ok(());
        }
        // The flags of a bind mount are those of its source, until it is mounted again.
        let again = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | rest;
        return mount::mount("", target, "", again, "").context("mount remount,bind");
    }
    let data = if one.kind == "overlay" && data.len() > DATA_MAX { shortened(&data)? } else { data };
    mount::mount(&one.source, target, &one.kind, flags, &data).with_context(|| format!("mount {}", one.kind))
}

/// Many layers, by names that are relative to the folder that all are in, which becomes the working
/// directory.
fn shortened(data: &str) -> Result<String> {
    const LAYERS: &str = "lowerdir=";
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

    fn of(options: &[&str]) -> Result<(MsFlags, String)> {
        parsed(&options.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_flags_or_data() {
        let read =
            of(&["rbind", "ro", "noexec", "exec", "X-containerd.x=1", "index=off", "upperdir=/u"]).unwrap();
        let flags = MsFlags::MS_BIND | MsFlags::MS_REC | MsFlags::MS_RDONLY;
        assert_eq!(read, (flags, "index=off,upperdir=/u".into()));
        assert!(of(&["loop"]).is_err());
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
