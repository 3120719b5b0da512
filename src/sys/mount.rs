//! fsopen(2) and its family, open_tree(2), move_mount(2), mount_setattr(2), pivot_root(2).

use super::{Errno, Result, c};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

/// Mount attributes for fsmount(2) and mount_setattr(2).
pub mod attr {
    pub use libc::{
        MOUNT_ATTR__ATIME as ATIME_MASK, MOUNT_ATTR_IDMAP as IDMAP, MOUNT_ATTR_NOATIME as NOATIME,
        MOUNT_ATTR_NODEV as NODEV, MOUNT_ATTR_NODIRATIME as NODIRATIME, MOUNT_ATTR_NOEXEC as NOEXEC,
        MOUNT_ATTR_NOSUID as NOSUID, MOUNT_ATTR_NOSYMFOLLOW as NOSYMFOLLOW, MOUNT_ATTR_RDONLY as RDONLY,
        MOUNT_ATTR_RELATIME as RELATIME, MOUNT_ATTR_STRICTATIME as STRICTATIME,
    };
}

/// Whether a call covers one mount or the whole tree below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    Top,
    /// The mount and all mounts below it (`AT_RECURSIVE`).
    Tree,
}

impl Reach {
    fn flag(self) -> libc::c_int {
        if self == Reach::Tree { libc::AT_RECURSIVE } else { 0 }
    }
}

fn fd_of(ret: libc::c_long) -> Result<OwnedFd> {
    let fd = Errno::result(ret)?;
    // SAFETY: the kernel has just returned this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// fsopen(2): a new filesystem context, close-on-exec.
pub fn fsopen(fstype: &str) -> Result<OwnedFd> {
    let name = c(fstype)?;
    // SAFETY: `name` is NUL-terminated and outlives the call.
    fd_of(unsafe { libc::syscall(libc::SYS_fsopen, name.as_ptr(), libc::FSOPEN_CLOEXEC) })
}

/// fsconfig(2) with a string value.
pub fn fsconfig_string(fs: BorrowedFd<'_>, key: &str, value: &str) -> Result<()> {
    let (key, value) = (c(key)?, c(value)?);
    fsconfig(fs, libc::FSCONFIG_SET_STRING, key.as_ptr(), value.as_ptr())
}

/// fsconfig(2) with a flag, an option without a value.
pub fn fsconfig_flag(fs: BorrowedFd<'_>, key: &str) -> Result<()> {
    let key = c(key)?;
    fsconfig(fs, libc::FSCONFIG_SET_FLAG, key.as_ptr(), std::ptr::null())
}

/// fsconfig(2): make the superblock.
pub fn fsconfig_create(fs: BorrowedFd<'_>) -> Result<()> {
    fsconfig(fs, libc::FSCONFIG_CMD_CREATE, std::ptr::null(), std::ptr::null())
}

fn fsconfig(
    fs: BorrowedFd<'_>,
    cmd: libc::c_uint,
    key: *const libc::c_char,
    value: *const libc::c_char,
) -> Result<()> {
    // SAFETY: `key` and `value` are null or NUL-terminated strings that the callers above keep
    // alive over the call.
    Errno::result(unsafe { libc::syscall(libc::SYS_fsconfig, fs.as_raw_fd(), cmd, key, value, 0) }).map(drop)
}

/// The messages that the kernel has left in a filesystem context, joined by `; `, without their
/// severity letter.
pub fn fs_log(fs: BorrowedFd<'_>) -> String {
    let mut text = String::new();
    let mut line = [0u8; 512];
    while let Ok(n) = nix::unistd::read(fs, &mut line) {
        let message = String::from_utf8_lossy(&line[..n]);
        let message = message.trim_end();
        let message = message.strip_prefix("e ").or_else(|| message.strip_prefix("w ")).unwrap_or(message);
        if n == 0 || message.is_empty() {
            break;
        }
        if !text.is_empty() {
            text.push_str("; ");
        }
        text.push_str(message);
    }
    text
}

/// fsmount(2): a detached mount of a created context, with mount attributes.
pub fn fsmount(fs: BorrowedFd<'_>, attrs: u64) -> Result<OwnedFd> {
    // SAFETY: no pointers are passed.
    fd_of(unsafe {
        libc::syscall(libc::SYS_fsmount, fs.as_raw_fd(), libc::FSMOUNT_CLOEXEC, attrs as libc::c_uint)
    })
}

/// Whether a symlink at the end of a path is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    Last,
    ToLast,
}

/// open_tree(2) with `OPEN_TREE_CLONE`: a detached copy of the mount at `path`.
pub fn clone_tree(path: &Path, reach: Reach, follow: Follow) -> Result<OwnedFd> {
    let last = if follow == Follow::ToLast { libc::AT_SYMLINK_NOFOLLOW } else { 0 };
    open_tree(None, path, libc::OPEN_TREE_CLONE | (reach.flag() | last) as libc::c_uint)
}

/// As [`clone_tree`] of the file that `fd` refers to.
pub fn clone_tree_fd(fd: BorrowedFd<'_>, reach: Reach) -> Result<OwnedFd> {
    let flags = libc::OPEN_TREE_CLONE | (reach.flag() | libc::AT_EMPTY_PATH) as libc::c_uint;
    open_tree(Some(fd), Path::new(""), flags)
}

fn open_tree(dir: Option<BorrowedFd<'_>>, path: &Path, flags: libc::c_uint) -> Result<OwnedFd> {
    let path = c(path.as_os_str().as_encoded_bytes())?;
    let dir = dir.map_or(libc::AT_FDCWD, |d| d.as_raw_fd());
    // SAFETY: `path` is NUL-terminated and outlives the call.
    fd_of(unsafe { libc::syscall(libc::SYS_open_tree, dir, path.as_ptr(), flags | libc::OPEN_TREE_CLOEXEC) })
}

/// move_mount(2): attach the mount `what` on top of the file that `onto` refers to.
pub fn move_mount(what: BorrowedFd<'_>, onto: BorrowedFd<'_>) -> Result<()> {
    let flags = libc::MOVE_MOUNT_F_EMPTY_PATH | libc::MOVE_MOUNT_T_EMPTY_PATH;
    // SAFETY: both paths are the empty literal, both fds are borrowed for the call.
    Errno::result(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            what.as_raw_fd(),
            c"".as_ptr(),
            onto.as_raw_fd(),
            c"".as_ptr(),
            flags,
        )
    })
    .map(drop)
}

/// What mount_setattr(2) changes. `propagation` is 0 (leave it) or one of `MS_SHARED`, `MS_SLAVE`,
/// `MS_PRIVATE`, `MS_UNBINDABLE`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Change {
    pub set: u64,
    pub clear: u64,
    /// The propagation type, or 0.
    pub propagation: u64,
}

/// mount_setattr(2) on the mount that `fd` refers to.
pub fn mount_setattr(fd: BorrowedFd<'_>, reach: Reach, change: Change) -> Result<()> {
    let attr = libc::mount_attr {
        attr_set: change.set,
        attr_clr: change.clear,
        propagation: change.propagation,
        userns_fd: 0,
    };
    set_attributes(fd, reach, &attr)
}

fn set_attributes(fd: BorrowedFd<'_>, reach: Reach, attr: &libc::mount_attr) -> Result<()> {
    let flags = libc::AT_EMPTY_PATH | reach.flag();
    // SAFETY: `attr` is a live struct of the size that is passed; the path is the empty literal.
    Errno::result(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(attr),
            size_of::<libc::mount_attr>(),
        )
    })
    .map(drop)
}

/// mount_setattr(2) `MOUNT_ATTR_IDMAP`: map the ids of a detached mount's files as the user
/// namespace does.
pub fn map_ids(fd: BorrowedFd<'_>, reach: Reach, user_namespace: BorrowedFd<'_>) -> Result<()> {
    let attr = libc::mount_attr {
        attr_set: attr::IDMAP,
        attr_clr: 0,
        propagation: 0,
        userns_fd: user_namespace.as_raw_fd() as u64,
    };
    set_attributes(fd, reach, &attr)
}

/// pivot_root(".", "."): the working directory becomes the root, and the old root is stacked on top
/// of it.
pub fn pivot_root_here() -> Result<()> {
    nix::unistd::pivot_root(".", ".")
}

/// umount2(".", MNT_DETACH): drop what is mounted over the working directory.
pub fn detach_here() -> Result<()> {
    nix::mount::umount2(".", nix::mount::MntFlags::MNT_DETACH)
}

/// umount2(2) with MNT_DETACH of the mount whose root the descriptor with this number is. The
/// working directory is /proc/self/fd.
pub fn detach_of_descriptor(number: RawFd) -> Result<()> {
    nix::mount::umount2(number.to_string().as_str(), nix::mount::MntFlags::MNT_DETACH)
}

/// mount(2) with MS_MOVE of the working directory onto `/`.
pub fn move_here_to_root() -> Result<()> {
    nix::mount::mount(Some("."), "/", None::<&str>, nix::mount::MsFlags::MS_MOVE, None::<&str>)
}

/// By which a mount is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct MountId {
    /// As /proc/self/mountinfo has it: another mount may get it when this one is gone.
    pub number: u64,
    /// One that no other mount gets (Linux 6.8).
    pub unique: Option<u64>,
}

impl MountId {
    /// That of the mount that `fd` lies on.
    pub fn of(fd: BorrowedFd<'_>) -> Result<MountId> {
        // <linux/stat.h>; a kernel that does not know it leaves it out of the answer.
        const STATX_MNT_ID_UNIQUE: u32 = 0x4000;
        let found = statx(fd, STATX_MNT_ID_UNIQUE)?;
        let unique = (found.stx_mask & STATX_MNT_ID_UNIQUE != 0).then_some(found.stx_mnt_id);
        Ok(MountId { number: id(fd)?, unique })
    }

    /// Whether both are of one mount.
    pub fn is(&self, other: &MountId) -> bool {
        match (self.unique, other.unique) {
            (Some(own), Some(other)) => own == other,
            _ => self.number == other.number,
        }
    }
}

/// Whether `fd` is the root of a mount, and not something inside of one (Linux 5.8).
pub fn is_root(fd: BorrowedFd<'_>) -> Result<bool> {
    Ok(statx(fd, 0)?.stx_attributes & libc::STATX_ATTR_MOUNT_ROOT as u64 != 0)
}

/// The number of the mount that `fd` lies on, unique while that exists (statx(2) `STATX_MNT_ID`,
/// Linux 5.8).
pub fn id(fd: BorrowedFd<'_>) -> Result<u64> {
    Ok(statx(fd, libc::STATX_MNT_ID)?.stx_mnt_id)
}

fn statx(fd: BorrowedFd<'_>, mask: u32) -> Result<libc::statx> {
    // SAFETY: statx is plain data, for which all zeroes is a value.
    let mut found: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: the path is the empty literal, and `found` is live over the call.
    Errno::result(unsafe {
        libc::statx(fd.as_raw_fd(), c"".as_ptr(), libc::AT_EMPTY_PATH, mask, &raw mut found)
    })?;
    Ok(found)
}

/// mount(2) of a new overlayfs at `target` with options as mount(8) writes them: the call that
/// takes layers by names that are relative to the working directory, any number of them, on every
/// kernel.
pub fn overlay(target: &str, options: &str) -> Result<()> {
    nix::mount::mount(Some("overlay"), target, Some("overlay"), nix::mount::MsFlags::empty(), Some(options))
}

/// mount(2) on a path of the host's, as engines ask for it.
pub fn mount(
    source: &str,
    target: &Path,
    fstype: &str,
    flags: nix::mount::MsFlags,
    data: &str,
) -> Result<()> {
    let [source, fstype, data] =
        [source, fstype, data].map(|text| Some(text).filter(|text| !text.is_empty()));
    nix::mount::mount(source, target, fstype, flags, data)
}

/// The flags of the mount that `fd` lies on, as `MS_…` bits.
pub fn flags(fd: impl AsFd) -> Result<u64> {
    // SAFETY: statvfs is plain data, for which all zeroes is a value.
    let mut stat: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: `stat` is live over the call.
    Errno::result(unsafe { libc::fstatvfs(fd.as_fd().as_raw_fd(), &raw mut stat) })?;
    // <linux/statfs.h>: but for these the bits are the same.
    const ST_RELATIME: u64 = 0x1000;
    let same = libc::MS_RDONLY | libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    let same = same | libc::MS_NOATIME | libc::MS_NODIRATIME;
    let times = match stat.f_flag {
        bits if bits & ST_RELATIME != 0 => libc::MS_RELATIME,
        bits if bits & libc::MS_NOATIME != 0 => 0,
        _ => libc::MS_STRICTATIME,
    };
    Ok(stat.f_flag & same | times)
}

/// Types of filesystems, for [`fs_magic`]: <linux/magic.h>.
pub const PROC_SUPER_MAGIC: i64 = 0x9fa0;
/// cgroup v2.
pub const CGROUP2_SUPER_MAGIC: i64 = 0x6367_7270;
/// The terminals of a container.
pub const DEVPTS_SUPER_MAGIC: i64 = 0x1cd1;
/// resctrl.
pub const RDTGROUP_SUPER_MAGIC: i64 = 0x0765_5821;
/// overlayfs.
pub const OVERLAYFS_SUPER_MAGIC: i64 = 0x794c_7630;
/// selinuxfs.
pub const SELINUX_MAGIC: i64 = 0xf97c_ff8c;

/// The type of the filesystem that `fd` lies on, a `*_SUPER_MAGIC` number of statfs(2).
pub fn fs_magic(fd: impl AsFd) -> Result<i64> {
    Ok(nix::sys::statfs::fstatfs(fd)?.filesystem_type().0 as i64)
}
