//! landlock(7): rules that a process puts on itself, and on all that come of it.

use super::{Errno, Result};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// What can be done to files, and with which version of the interface that is known.
pub mod access {
    pub const EXECUTE: u64 = 1;
    pub const WRITE_FILE: u64 = 1 << 1;
    pub const READ_FILE: u64 = 1 << 2;
    /// Listing a folder.
    pub const READ_DIR: u64 = 1 << 3;
    /// Removing and making, of each kind.
    pub const ENTRIES: u64 = 0b1_1111_1111 << 4;
    /// Linking and renaming across folders, since version 2.
    pub const REFER: u64 = 1 << 13;
    /// Truncating, since version 3.
    pub const TRUNCATE: u64 = 1 << 14;
    /// ioctl(2) on devices, since version 5.
    pub const IOCTL_DEV: u64 = 1 << 15;
    /// What can be done to a file that is no folder.
    pub const OF_FILES: u64 = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV;
}

/// What can be done with ports of TCP, since version 4.
pub mod port {
    pub const BIND_TCP: u64 = 1;
    pub const CONNECT_TCP: u64 = 1 << 1;
}

/// What processes outside can be reached by, since version 6.
pub mod scope {
    /// Sockets with abstract names.
    pub const ABSTRACT_UNIX_SOCKET: u64 = 1;
    /// Signals.
    pub const SIGNAL: u64 = 1 << 1;
}

#[repr(C)]
struct RulesetAttr {
    handled_access_fs: u64,
    handled_access_net: u64,
    scoped: u64,
}

#[repr(C, packed)]
struct PathBeneathAttr {
    allowed_access: u64,
    parent_fd: i32,
}

#[repr(C)]
struct NetPortAttr {
    allowed_access: u64,
    port: u64,
}

/// The version of the interface; none where the kernel has none, or is told not to use it.
pub fn version() -> Option<u32> {
    const VERSION: u32 = 1;
    let attr = std::ptr::null::<RulesetAttr>();
    // SAFETY: with this flag the kernel reads no attributes; the pointer is null and the size 0.
    let ret = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, attr, 0usize, VERSION) };
    u32::try_from(ret).ok().filter(|version| *version > 0)
}

/// landlock_create_ruleset(2): rules about these kinds of access, none of which is allowed yet.
pub fn ruleset(of_files: u64, of_ports: u64, scoped: u64) -> Result<OwnedFd> {
    let attr = RulesetAttr { handled_access_fs: of_files, handled_access_net: of_ports, scoped };
    let size = size_of::<RulesetAttr>();
    // SAFETY: `attr` is a live struct of the size that is passed; the kernel takes one that is
    // longer than it knows if the rest is zero.
    let ret = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, &raw const attr, size, 0u32) };
    let fd = Errno::result(ret)?;
    // SAFETY: the kernel has just returned this descriptor to us alone; it is close-on-exec.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// landlock_add_rule(2): allow `access` to a file, or to what lies below a folder.
pub fn allow(ruleset: BorrowedFd<'_>, below: BorrowedFd<'_>, access: u64) -> Result<()> {
    const PATH_BENEATH: u32 = 1;
    let attr = PathBeneathAttr { allowed_access: access, parent_fd: below.as_raw_fd() };
    // SAFETY: `attr` is a live struct of the type that the kind of rule says.
    unsafe { add_rule(ruleset, PATH_BENEATH, (&raw const attr).cast()) }
}

/// landlock_add_rule(2): allow `access` to a port.
pub fn allow_port(ruleset: BorrowedFd<'_>, port: u16, access: u64) -> Result<()> {
    const NET_PORT: u32 = 2;
    let attr = NetPortAttr { allowed_access: access, port: port.into() };
    // SAFETY: as above.
    unsafe { add_rule(ruleset, NET_PORT, (&raw const attr).cast()) }
}

/// # Safety
/// `attr` is a live struct of the type that the kind of rule says.
unsafe fn add_rule(ruleset: BorrowedFd<'_>, kind: u32, attr: *const libc::c_void) -> Result<()> {
    let ruleset = ruleset.as_raw_fd();
    // SAFETY: the caller's promise.
    Errno::result(unsafe { libc::syscall(libc::SYS_landlock_add_rule, ruleset, kind, attr, 0u32) }).map(drop)
}

/// landlock_restrict_self(2). It takes no_new_privs or CAP_SYS_ADMIN.
pub fn restrict_self(ruleset: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: no pointers are passed.
    Errno::result(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0u32) })
        .map(drop)
}
