//! The config.json of a sandbox for a command on the host's own files, with no bundle.

use super::{docker, spec};
use crate::config::annotation;
use crate::proc::mountinfo::{Mount, mounts};
use serde_json::{Value, json};

/// What the sandbox is for.
#[derive(Debug, Clone)]
pub struct Sandbox<'a> {
    /// The command.
    pub args: &'a [String],
    /// Its environment.
    pub env: &'a [String],
    /// Its working directory.
    pub cwd: &'a str,
    /// Whether it has a terminal.
    pub terminal: bool,
    /// What is seen of the host.
    pub view: View<'a>,
}

/// What a sandbox sees of the host's files.
#[derive(Debug, Clone)]
pub enum View<'a> {
    /// `/` under a layer for changes, and these disks below it.
    Root(&'a [Disk]),
    /// For an ordinary user with these ids, to whom the kernel does not give what lies under other
    /// mounts: the folders and symlinks of `/`, in an empty root.
    Folders(u32, u32, &'a [String]),
}

/// A disk of the host's, as it is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Where.
    pub path: String,
    /// Its filesystem.
    pub fstype: String,
}

/// Its config.json: `/` under a layer for changes, all other file systems read-only, namespaces of
/// its own, no network. The process may what Docker's may. /run and /tmp are empty. Elsewhere
/// nobody listens behind a socket, as the files are those of overlays. Only the folders of an
/// ordinary user are bound as they are.
pub fn config(sandbox: &Sandbox<'_>) -> anyhow::Result<String> {
    let (base, seen): (String, Vec<Value>) = match sandbox.view {
        View::Root(disks) => (spec::DEFAULT.to_string(), disks.iter().map(disk).collect()),
        View::Folders(uid, gid, names) => {
            let options = ["rbind", "rro", "copy-symlink"];
            (spec::rootless(uid, gid)?, names.iter().map(|path| bind(path, &options)).collect())
        }
    };
    let mut config: Value = serde_json::from_str(&base)?;
    docker::confine(&mut config)?;
    config["root"] = json!({ "path": "/", "readonly": false });
    config["hostname"] = "sandbox".into();
    config["annotations"] = json!({ annotation::OVERLAY: "ephemeral", annotation::INIT: "true" });
    if let View::Folders(..) = sandbox.view {
        config["annotations"][annotation::OVERLAY_LOWER] = "".into();
    }
    let process = &mut config["process"];
    process["args"] = json!(sandbox.args);
    process["env"] = json!(sandbox.env);
    process["cwd"] = sandbox.cwd.into();
    process["terminal"] = sandbox.terminal.into();
    if let Some(namespaces) = config["linux"]["namespaces"].as_array_mut()
        && namespaces.iter().all(|namespace| namespace["type"] != "network")
    {
        namespaces.push(json!({ "type": "network" }));
    }
    let empty = ["/run", "/tmp"].map(|path| {
        let mode = if path == "/tmp" { "mode=1777" } else { "mode=755" };
        let options = ["nosuid", "nodev", mode];
        json!({ "destination": path, "type": "tmpfs", "source": "tmpfs", "options": options })
    });
    if let Some(mounts) = config["mounts"].as_array_mut() {
        let others = std::mem::take(mounts);
        mounts.extend(seen.into_iter().chain(empty).chain(others));
    }
    Ok(format!("{config:#}\n"))
}

fn bind(path: &str, options: &[&str]) -> Value {
    json!({ "destination": path, "type": "bind", "source": path, "options": options })
}

/// A disk, of which only the files are seen. What has neither sockets nor FIFOs cannot be a layer
/// either.
fn disk(disk: &Disk) -> Value {
    if WITHOUT_SOCKETS.contains(&disk.fstype.as_str()) {
        return bind(&disk.path, &["bind", "ro"]);
    }
    let lower = disk.path.replace('\\', "\\\\").replace(':', "\\:");
    let options = [format!("lowerdir={lower}"), "ro".into()];
    json!({ "destination": disk.path, "type": "overlay", "source": "overlay", "options": options })
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

/// Whether a container has its own files at a path.
pub fn is_own(path: &str) -> bool {
    let own = ["/proc", "/sys", "/dev", "/run", "/tmp"];
    own.iter().any(|own| path.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

/// Filesystems of disks that have neither sockets nor FIFOs, and names that overlayfs cannot
/// compare.
const WITHOUT_SOCKETS: [&str; 5] = ["vfat", "msdos", "exfat", "iso9660", "udf"];

/// Filesystems of disks whose source is no device of this machine.
const SOURCELESS_DISKS: [&str; 7] = ["zfs", "btrfs", "bcachefs", "nfs", "nfs4", "9p", "virtiofs"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_are_told_from_the_rest() {
        let mountinfo = "\
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
";
        let paths: Vec<String> = disks(mountinfo).into_iter().map(|disk| disk.path).collect();
        assert_eq!(paths, ["/home", "/home/a b", "/srv", "/runner"]);
    }
}
