//! Who a process is: ids, capabilities, no_new_privs, keyrings.

use super::{Errno, Result, c};
use nix::sys::signal::Signal;

/// A set of capabilities, bit n for capability number n (capabilities(7)).
pub type CapSet = u64;

fn prctl(op: libc::c_int, a: libc::c_ulong, b: libc::c_ulong) -> Result<libc::c_int> {
    // SAFETY: the operations used in this module take integers only.
    Errno::result(unsafe { libc::prctl(op, a, b, 0, 0) })
}

/// Whether capability `n` is in the bounding set; none if the running kernel does not know it
/// (`PR_CAPBSET_READ`; asked of the kernel, never of a mounted /proc).
pub fn in_bounding_set(n: u32) -> Option<bool> {
    prctl(libc::PR_CAPBSET_READ, n.into(), 0).ok().map(|is| is == 1)
}

/// Drop capability `n` from the bounding set.
pub fn drop_bounding(n: u32) -> Result<()> {
    prctl(libc::PR_CAPBSET_DROP, n.into(), 0).map(drop)
}

/// Keep permitted capabilities over a change of uid, or stop keeping them (`PR_SET_KEEPCAPS`).
pub fn keep_caps(keep: bool) -> Result<()> {
    nix::sys::prctl::set_keepcaps(keep)
}

/// Raise capability `n` in the ambient set.
pub fn raise_ambient(n: u32) -> Result<()> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as libc::c_ulong, n.into()).map(drop)
}

/// Empty the ambient set.
pub fn clear_ambient() -> Result<()> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong, 0).map(drop)
}

/// no_new_privs, for good (`PR_SET_NO_NEW_PRIVS`).
pub fn no_new_privs() -> Result<()> {
    nix::sys::prctl::set_no_new_privs()
}

/// Whether other processes of the same user may trace this one and open its /proc files
/// (`PR_SET_DUMPABLE`).
pub fn set_dumpable(dumpable: bool) -> Result<()> {
    nix::sys::prctl::set_dumpable(dumpable)
}

/// The signal that this process gets when its parent thread ends (`PR_SET_PDEATHSIG`).
pub fn set_parent_death_signal(signal: impl Into<Option<Signal>>) -> Result<()> {
    nix::sys::prctl::set_pdeathsig(signal)
}

#[repr(C)]
struct CapHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Default, Clone, Copy)]
struct CapData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

/// Whether this process is root with rights over the host: not that of a user namespace.
pub fn is_root_of_host() -> bool {
    /// `PROC_USER_INIT_INO`, linux/proc_ns.h: the number of the first user namespace.
    const INITIAL: u64 = 0xefff_fffd;
    let namespace = || nix::sys::stat::stat("/proc/self/ns/user").map(|stat| stat.st_ino);
    nix::unistd::geteuid().is_root() && namespace().is_ok_and(|inode| inode == INITIAL)
}

/// capset(2) of this thread.
pub fn capset(effective: CapSet, permitted: CapSet, inheritable: CapSet) -> Result<()> {
    let header = CapHeader { version: CAPABILITY_VERSION_3, pid: 0 };
    let half = |shift: u32| CapData {
        effective: (effective >> shift) as u32,
        permitted: (permitted >> shift) as u32,
        inheritable: (inheritable >> shift) as u32,
    };
    let data = [half(0), half(32)];
    // SAFETY: version 3 takes a header and two data structs, both live over the call.
    Errno::result(unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) }).map(drop)
}

/// setgroups(2).
pub fn set_groups(groups: &[u32]) -> Result<()> {
    // The raw calls here and below: glibc's would signal other threads, and there are none.
    // SAFETY: `groups` is a live slice of the length that is passed; gid_t is u32.
    Errno::result(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) }).map(drop)
}

/// setresgid(2), all three ids.
pub fn set_gid(gid: u32) -> Result<()> {
    // SAFETY: integers only.
    Errno::result(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) }).map(drop)
}

/// setresuid(2), all three ids.
pub fn set_uid(uid: u32) -> Result<()> {
    // SAFETY: integers only.
    Errno::result(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) }).map(drop)
}

/// keyctl(2) `KEYCTL_SETPERM`.
pub fn set_key_permissions(serial: i32, permissions: u32) -> Result<()> {
    // SAFETY: integers only.
    Errno::result(unsafe {
        libc::syscall(libc::SYS_keyctl, libc::KEYCTL_SETPERM as libc::c_long, serial, permissions)
    })
    .map(drop)
}

/// keyctl(2) `KEYCTL_JOIN_SESSION_KEYRING`: the session keyring of that name, a new one if there is
/// none that may be found. Returns its serial number.
pub fn join_session_keyring(name: &str) -> Result<i32> {
    let name = c(name)?;
    // SAFETY: `name` is NUL-terminated and outlives the call.
    Errno::result(unsafe {
        libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING as libc::c_long, name.as_ptr())
    })
    .map(|serial| serial as i32)
}
