//! What of the host's files a sandbox is made of.

use crate::plan::below;
use crate::proc::mountinfo::{Mount, mounts};
use serde_json::{Value, json};

/// A part of the host's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A folder with nothing mounted below it, or a disk: under a layer for changes.
    Layered(String),
    /// A file or symlink, or a disk that can be no layer: as it is, read-only.
    Bound(String),
}

/// A mount of the host's that holds files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Where.
    pub path: String,
    /// Its filesystem.
    pub fstype: String,
}

/// What is in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its whole path.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
}

/// What an entry of a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A folder.
    Folder,
    /// A file or a symlink.
    File,
    /// A socket, a FIFO, a device.
    Other,
}

impl Part {
    /// Where it is.
    pub(super) fn path(&self) -> &str {
        let (Part::Layered(path) | Part::Bound(path)) = self;
        path
    }

    /// The part that a disk is.
    pub fn of_disk(disk: &Disk) -> Part {
        // What has neither sockets nor FIFOs cannot be a layer either.
        match WITHOUT_SOCKETS.contains(&disk.fstype.as_str()) {
            true => Part::Bound(disk.path.clone()),
            false => Part::Layered(disk.path.clone()),
        }
    }

    pub(super) fn mount(&self) -> Value {
        let (path, kind, options) = match self {
            Part::Bound(path) => {
                let options = ["rbind", "rro", "copy-symlink"].map(str::to_string).to_vec();
                (path, "bind", options)
            }
            Part::Layered(path) => {
                let lower = path.replace('\\', "\\\\").replace(':', "\\:");
                (path, "overlay", vec![format!("lowerdir={lower}"), "changes".into()])
            }
        };
        let source = if kind == "bind" { path } else { kind };
        json!({ "destination": path, "type": kind, "source": source, "options": options })
    }
}

/// The mounts in a /proc/self/mountinfo that hold a disk's files, parents first: not `/`, nothing
/// that the kernel makes up, and nothing where a container has its own.
pub fn disks(mountinfo: &str) -> Vec<Disk> {
    let mut disks: Vec<Disk> = Vec::new();
    for Mount { target: path, fstype, source, .. } in mounts(mountinfo) {
        // What is mounted later on the same place covers what was there.
        disks.retain(|other| other.path != path);
        if path != "/"
            && !is_own(&path)
            && (source.starts_with("/dev/") || SOURCELESS_DISKS.contains(&fstype))
        {
            disks.push(Disk { path, fstype: fstype.into() });
        }
    }
    disks
}

/// The parts that `folder` is seen in by an ordinary user, to whom the kernel does not give what
/// lies under other mounts: the folder itself if nothing is mounted below it, else what is in it.
pub fn spread(folder: &str, mountinfo: &str, list: &impl Fn(&str) -> Vec<Entry>, parts: &mut Vec<Part>) {
    let targets: Vec<String> = mounts(mountinfo).map(|mount| mount.target).collect();
    Spread { targets, disks: disks(mountinfo), list }.of(folder, parts);
}

struct Spread<'a, L> {
    targets: Vec<String>,
    disks: Vec<Disk>,
    list: &'a L,
}

impl<L: Fn(&str) -> Vec<Entry>> Spread<'_, L> {
    fn of(&self, folder: &str, parts: &mut Vec<Part>) {
        if self.targets.iter().any(|target| target == folder) {
            match self.disks.iter().find(|disk| disk.path == folder).map(Part::of_disk) {
                // The kernel's own, or one that is asked for when it is looked at.
                None => return,
                Some(part @ Part::Bound(_)) => return parts.push(part),
                Some(Part::Layered(_)) => {}
            }
        }
        let is_below = |target: &String| below(target, folder).is_some_and(|rest| !rest.is_empty());
        if !self.targets.iter().any(is_below) {
            return parts.push(Part::Layered(folder.into()));
        }
        for Entry { path, kind } in (self.list)(folder) {
            match kind {
                EntryKind::Folder => self.of(&path, parts),
                EntryKind::File => parts.push(Part::Bound(path)),
                EntryKind::Other => {}
            }
        }
    }
}

/// Whether a container has its own files at a path.
pub fn is_own(path: &str) -> bool {
    OWN.iter().any(|own| below(path, own).is_some())
}

/// Where a container has its own files.
pub const OWN: [&str; 5] = ["/proc", "/sys", "/dev", "/run", "/tmp"];

/// Filesystems of disks that have neither sockets nor FIFOs, and names that overlayfs cannot
/// compare.
const WITHOUT_SOCKETS: [&str; 5] = ["vfat", "msdos", "exfat", "iso9660", "udf"];

/// Filesystems of disks whose source is no device of this machine.
const SOURCELESS_DISKS: [&str; 7] = ["zfs", "btrfs", "bcachefs", "nfs", "nfs4", "9p", "virtiofs"];

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTINFO: &str = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:21 / /proc rw - proc proc rw
24 22 8:2 / /home rw - xfs /dev/sda2 rw
25 24 8:3 / /home/a\\040b rw - ext4 /dev/sda3 rw
26 22 0:30 / /run rw - tmpfs tmpfs rw
27 26 8:4 / /run/media/disk rw - vfat /dev/sdb1 rw
28 22 0:31 / /srv rw - nfs4 server:/srv rw
29 22 8:5 / /old rw - ext4 /dev/sda5 rw
30 29 0:32 / /old rw - tmpfs tmpfs rw
31 22 8:6 / /runner rw - ext4 /dev/sda6 rw
32 22 8:7 / /boot/efi rw - vfat /dev/sda7 rw
";

    #[test]
    fn disks_are_told_from_the_rest() {
        let paths: Vec<String> = disks(MOUNTINFO).into_iter().map(|disk| disk.path).collect();
        assert_eq!(paths, ["/home", "/home/a b", "/srv", "/runner", "/boot/efi"]);
    }

    #[test]
    fn a_folder_with_mounts_below_it_is_seen_in_parts() {
        let list = |folder: &str| {
            let kinds = [("x", EntryKind::Folder), ("file", EntryKind::File), ("socket", EntryKind::Other)];
            let mounts = [("/home", "a b"), ("/boot", "efi")];
            let mount =
                mounts.iter().find(|(of, _)| *of == folder).map(|(_, name)| (*name, EntryKind::Folder));
            let entries = kinds.into_iter().chain(mount);
            entries.map(|(name, kind)| Entry { path: format!("{folder}/{name}"), kind }).collect()
        };
        let parts = |folder| {
            let mut parts = Vec::new();
            spread(folder, MOUNTINFO, &list, &mut parts);
            parts
        };
        let (layered, bound) =
            (|path: &str| Part::Layered(path.into()), |path: &str| Part::Bound(path.into()));
        assert_eq!(parts("/usr"), [layered("/usr")]);
        assert_eq!(parts("/srv"), [layered("/srv")]);
        assert_eq!(parts("/old"), []);
        assert_eq!(parts("/boot"), [layered("/boot/x"), bound("/boot/file"), bound("/boot/efi")]);
        assert_eq!(parts("/home"), [layered("/home/x"), bound("/home/file"), layered("/home/a b")]);
    }
}
