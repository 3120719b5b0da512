//! Facts about this machine, asked once. A literal in tests.

use crate::capability::{MOST, Set};
use crate::proc::{cgroup, mountinfo, passwd};
use crate::sys::mount::{CGROUP2_SUPER_MAGIC, SELINUX_MAGIC};
use crate::sys::{self, fs};
use anyhow::{Context, Result, bail};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What the plan needs to know about the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Where the cgroup v2 tree is mounted; empty if it is not, and need not be.
    pub cgroup_root: PathBuf,
    /// The runtime's own cgroup, as /proc/self/cgroup gives it; asked only where a relative path
    /// needs it.
    pub own_cgroup: String,
    /// Whether an ordinary user may make cgroups beside that and start processes there.
    pub delegated: bool,
    /// The runtime's effective user id.
    pub uid: u32,
    /// Whether the runtime is root with rights over the machine, and not of a user namespace.
    pub is_root: bool,
    /// The capabilities that the running kernel knows.
    pub known_capabilities: Set,
    /// The capabilities in the runtime's bounding set.
    pub bounding: Set,
    /// Whether AppArmor is enabled.
    pub apparmor: bool,
    /// Whether SELinux is enabled.
    pub selinux: bool,
    /// Whether the kernel can make a mount namespace that has nothing in it.
    pub empty_mounts: bool,
    /// Ids beside the caller's own, asked only where config.json leaves them to be found.
    pub id_ranges: IdRanges,
}

/// Ids that an ordinary user may have beside their own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdRanges {
    /// Those of /etc/subuid, where newuidmap(1) is there to map them: the first and how many.
    pub uids: Vec<(u32, u32)>,
    /// The same for groups.
    pub gids: Vec<(u32, u32)>,
    /// Whether systemd-nsresourced is there, which lends some.
    pub nsresourced: bool,
}

/// Where systemd-nsresourced is asked.
pub const NSRESOURCED: &str = "/run/systemd/io.systemd.NamespaceResource";

/// The first kernel that has `UNSHARE_EMPTY_MNTNS`.
const EMPTY_MOUNTS: (u32, u32) = (7, 1);

/// Whether the runtime's own cgroup matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OwnCgroup {
    /// A path is relative to it.
    Needed,
    /// Every path is absolute.
    #[default]
    NotNeeded,
    /// There need be no cgroup v2 tree at all.
    NoCgroup,
}

/// What a configuration makes worth asking for; by default nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    /// The runtime's own cgroup.
    pub own_cgroup: OwnCgroup,
    /// Which security modules are enabled.
    pub security_modules: bool,
    /// How a new mount namespace can be made.
    pub mounts: bool,
    /// Which ids the caller may have beside their own.
    pub id_ranges: bool,
}

/// Ask the machine.
pub fn probe(asked: Asked) -> Result<Host> {
    let (mut known, mut bounding) = (Set::default(), Set::default());
    for number in 0..MOST {
        let Some(is_in) = sys::cred::in_bounding_set(number) else { break };
        known = known.with(number);
        bounding = if is_in { bounding.with(number) } else { bounding };
    }
    let cgroup_root = match asked.own_cgroup {
        OwnCgroup::NoCgroup => cgroup_root().unwrap_or_default(),
        _ => cgroup_root()?,
    };
    let own_cgroup = if asked.own_cgroup == OwnCgroup::Needed { own_cgroup()? } else { String::new() };
    let uid = user();
    Ok(Host {
        delegated: uid != 0 && !own_cgroup.is_empty() && is_delegated(&cgroup_root, &own_cgroup),
        cgroup_root,
        own_cgroup,
        uid,
        is_root: sys::cred::is_root_of_host(),
        known_capabilities: known,
        bounding,
        apparmor: asked.security_modules && apparmor(),
        selinux: asked.security_modules && selinux(),
        empty_mounts: asked.mounts && at_least(&release(), EMPTY_MOUNTS) == Some(true),
        id_ranges: if asked.id_ranges { id_ranges_of_caller() } else { IdRanges::default() },
    })
}

/// The release of the running kernel, like `6.1.0-18-amd64`.
pub fn release() -> String {
    let names = nix::sys::utsname::uname();
    names.map(|names| names.release().to_string_lossy().into_owned()).unwrap_or_default()
}

/// Whether a release is at least this one; none if it is no release.
pub fn at_least(release: &str, oldest: (u32, u32)) -> Option<bool> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let (major, minor) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some((major, minor) >= oldest)
}

/// Whether the caller may make a cgroup beside `own`, and a process there: that takes rights to the
/// cgroup above both (cgroups(7)).
fn is_delegated(root: &Path, own: &str) -> bool {
    let Some(above) = Path::new(own.trim_start_matches('/')).parent() else { return false };
    let above = root.join(above);
    sys::fs::writable(&above).is_ok() && sys::fs::writable(&above.join("cgroup.procs")).is_ok()
}

/// The user of the machine that the runtime works for. A rootless engine calls it as root of a user
/// namespace of its own. Told by: uid 0, XDG_RUNTIME_DIR set, USER is not root.
pub fn user() -> u32 {
    let uid = nix::unistd::geteuid().as_raw();
    let in_session = std::env::var_os("XDG_RUNTIME_DIR").is_some();
    if uid != 0 || !in_session || std::env::var_os("USER").is_some_and(|name| name == "root") {
        return uid;
    }
    read("/proc/self/uid_map").ok().and_then(|map| root_outside(&map)).unwrap_or(uid)
}

/// Whom root is outside of the user namespace with this uid_map.
fn root_outside(map: &str) -> Option<u32> {
    map.lines().find_map(|line| {
        let mut ids = line.split_whitespace();
        (ids.next()? == "0").then(|| ids.next()?.parse().ok())?
    })
}

/// As the kernel's module says.
pub fn apparmor() -> bool {
    read("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with('Y'))
}

/// Whether its filesystem is mounted, which an enabled SELinux needs.
pub fn selinux() -> bool {
    let root = fs::open("/sys/fs/selinux", fs::O_PATH | fs::O_DIRECTORY, 0);
    root.and_then(sys::mount::fs_magic) == Ok(SELINUX_MAGIC)
}

/// The cgroup v2 mount: the usual place, the usual place of a hybrid host, or wherever
/// /proc/self/mountinfo says.
pub fn cgroup_root() -> Result<PathBuf> {
    for path in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
        let magic = fs::open(path, fs::O_PATH | fs::O_DIRECTORY, 0).and_then(sys::mount::fs_magic);
        if magic == Ok(CGROUP2_SUPER_MAGIC) {
            return Ok(path.into());
        }
    }
    let mounts = read("/proc/self/mountinfo")?;
    match mountinfo::mounts(&mounts).find(|mount| mount.fstype == "cgroup2") {
        Some(mount) => Ok(PathBuf::from(mount.target)),
        None => bail!("cgroup v2 is not mounted anywhere; mount it: mount -t cgroup2 none /sys/fs/cgroup"),
    }
}

/// This process's place in the cgroup v2 tree.
pub fn own_cgroup() -> Result<String> {
    let text = read("/proc/self/cgroup")?;
    match cgroup::v2_path(&text) {
        Some(path) => Ok(path.to_string()),
        None => bail!("/proc/self/cgroup: no cgroup v2 entry"),
    }
}

/// Where an open file is, without symlinks, in this process's mount namespace. The kernel knows it.
pub fn path_of(file: &OwnedFd) -> Option<String> {
    let link = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
    link.into_os_string().into_string().ok()
}

/// The whole of a file of the kernel.
pub fn read(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    let fd = fs::open(path, fs::O_RDONLY, 0).map_err(anyhow::Error::from);
    let data = fd.and_then(|fd| Ok(fs::read_all(std::os::fd::AsFd::as_fd(&fd), 64 << 20)?));
    let data = data.with_context(|| path.display().to_string())?;
    Ok(String::from_utf8_lossy(&data).into_owned())
}

/// The name of a user in the text of /etc/passwd.
pub fn user_name(passwd: &str, uid: u32) -> Option<&str> {
    let account = passwd::accounts(passwd.as_bytes()).find(|account| account.uid == uid)?;
    std::str::from_utf8(account.name).ok()
}

/// The ranges of ids that the text of /etc/subuid or /etc/subgid gives to a user, by name or by
/// number: the first and how many.
pub fn id_ranges(text: &str, name: Option<&str>, uid: u32) -> Vec<(u32, u32)> {
    let range = |line: &str| {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?;
        let (first, count) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let mine = Some(owner) == name || owner.parse() == Ok(uid);
        Some((first, count)).filter(|_| mine && count > 0)
    };
    text.lines().filter_map(range).collect()
}

/// The ranges that `file` gives to the caller.
pub fn own_id_ranges(file: &str) -> Vec<(u32, u32)> {
    let passwd = read("/etc/passwd").unwrap_or_default();
    let uid = nix::unistd::getuid().as_raw();
    id_ranges(&read(file).unwrap_or_default(), user_name(&passwd, uid), uid)
}

/// What an ordinary user may have; root, also that of a user namespace, names ids itself.
pub fn id_ranges_of_caller() -> IdRanges {
    if nix::unistd::geteuid().is_root() {
        return IdRanges::default();
    }
    let mapped = ["newuidmap", "newgidmap"].iter().all(|name| program(name).is_some());
    let ranges = |file| if mapped { own_id_ranges(file) } else { Vec::new() };
    IdRanges {
        uids: ranges("/etc/subuid"),
        gids: ranges("/etc/subgid"),
        nsresourced: sys::fs::writable(Path::new(NSRESOURCED)).is_ok(),
    }
}

/// Where a program is, in the folders of `PATH`.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut places = std::env::split_paths(&path).map(|folder| folder.join(name));
    places.find(|place| place.metadata().is_ok_and(|found| found.is_file() && found.mode() & 0o111 != 0))
}

/// What the caller is traced by: `TRACEPARENT` and `TRACESTATE` of W3C's Trace Context, where the
/// first has its form. Others are not passed on.
pub fn trace() -> Vec<(&'static str, String)> {
    let variable = |name| std::env::var(name).ok();
    let Some(parent) = variable("TRACEPARENT").filter(|text| is_traceparent(text)) else { return Vec::new() };
    let plain = |text: &String| text.len() <= 512 && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let state = variable("TRACESTATE").filter(plain);
    std::iter::once(("TRACEPARENT", parent)).chain(state.map(|state| ("TRACESTATE", state))).collect()
}

/// `version-trace-span-flags`, in lower-case hexadecimal.
fn is_traceparent(text: &str) -> bool {
    let lengths = [2, 32, 16, 2];
    let parts: Vec<&str> = text.split('-').collect();
    let is_hex = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    parts.len() == lengths.len()
        && parts.iter().zip(lengths).all(|(part, length)| part.len() == length && is_hex(part))
}

#[cfg(test)]
mod tests {
    use super::is_traceparent;

    #[test]
    fn a_traceparent_has_four_parts() {
        assert!(is_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        for text in ["", "00", "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", "a-b-c-d"] {
            assert!(!is_traceparent(text), "{text}");
        }
    }
}
