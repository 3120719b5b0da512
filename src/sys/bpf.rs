//! bpf(2) and seccomp(2): programs that the kernel runs.

use super::{Errno, Result};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_MAP_LOOKUP_ELEM: libc::c_int = 1;
const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_DETACH: libc::c_int = 9;
const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;
const BPF_PROG_QUERY: libc::c_int = 16;
const BPF_RAW_TRACEPOINT_OPEN: libc::c_int = 17;
const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_MAP_TYPE_CGROUP_ARRAY: u32 = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_PROG_TYPE_RAW_TRACEPOINT: u32 = 17;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;

#[repr(C)]
#[derive(Default)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct AttachAttr {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: u32,
}

fn bpf<T>(command: libc::c_int, attr: &T) -> Result<libc::c_long> {
    // SAFETY: `attr` is a live struct that starts with the fields of `command`, of the size that is
    // passed; the kernel takes what a shorter one lacks as zero.
    Errno::result(unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attr), size_of::<T>()) })
}

/// Load a program that decides about the use of devices.
pub fn load_device_filter(insns: &[u64]) -> Result<OwnedFd> {
    load(BPF_PROG_TYPE_CGROUP_DEVICE, insns)
}

fn load(prog_type: u32, insns: &[u64]) -> Result<OwnedFd> {
    let attr = LoadAttr {
        prog_type,
        insn_cnt: insns.len() as u32,
        insns: insns.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        ..LoadAttr::default()
    };
    descriptor(BPF_PROG_LOAD, &attr)
}

/// What a command makes.
fn descriptor<T>(command: libc::c_int, attr: &T) -> Result<OwnedFd> {
    let fd = bpf(command, attr)?;
    // SAFETY: the kernel has just returned this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Run a program whenever the kernel comes to this tracepoint, until what is returned is closed.
pub fn trace(name: &std::ffi::CStr, insns: &[u64]) -> Result<OwnedFd> {
    let program = load(BPF_PROG_TYPE_RAW_TRACEPOINT, insns)?;
    descriptor(BPF_RAW_TRACEPOINT_OPEN, &[name.as_ptr() as u64, program.as_raw_fd() as u64])
}

/// `bpf_attr` of an element of a map.
#[repr(C)]
#[derive(Default)]
struct ElementAttr {
    map_fd: u64,
    key: u64,
    value: u64,
    flags: u64,
}

/// An array of so many numbers of 64 bits, all zero.
pub fn array(length: u32) -> Result<OwnedFd> {
    descriptor(BPF_MAP_CREATE, &[BPF_MAP_TYPE_ARRAY, 4, 8, length, 0])
}

/// The number at this place of an array.
pub fn element(array: BorrowedFd<'_>, at: u32) -> Result<u64> {
    let mut value = 0u64;
    let (key, out) = (&raw const at as u64, &raw mut value as u64);
    let map_fd = array.as_raw_fd() as u64;
    bpf(BPF_MAP_LOOKUP_ELEM, &ElementAttr { map_fd, key, value: out, flags: 0 })?;
    Ok(value)
}

/// An array of one cgroup, for programs to ask about.
pub fn cgroup_array(cgroup: BorrowedFd<'_>) -> Result<OwnedFd> {
    let array = descriptor(BPF_MAP_CREATE, &[BPF_MAP_TYPE_CGROUP_ARRAY, 4, 4, 1, 0])?;
    let (at, fd) = (0u32, cgroup.as_raw_fd());
    let (key, value) = (&raw const at as u64, &raw const fd as u64);
    bpf(BPF_MAP_UPDATE_ELEM, &ElementAttr { map_fd: array.as_raw_fd() as u64, key, value, flags: 0 })?;
    Ok(array)
}

/// Attach a device filter to a cgroup, beside those of the cgroups above it.
pub fn attach_device_filter(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<()> {
    let attr = AttachAttr {
        target_fd: cgroup.as_raw_fd() as u32,
        attach_bpf_fd: program.as_raw_fd() as u32,
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: BPF_F_ALLOW_MULTI,
        replace_bpf_fd: 0,
    };
    bpf(BPF_PROG_ATTACH, &attr).map(drop)
}

/// How many programs one cgroup can have: `BPF_CGROUP_MAX_PROGS`, kernel/bpf/cgroup.c.
const MAX_PROGRAMS: usize = 64;

#[repr(C)]
#[derive(Default)]
struct QueryAttr {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
}

/// The device filters that are attached to the cgroup itself.
pub fn device_filters(cgroup: BorrowedFd<'_>) -> Result<Vec<OwnedFd>> {
    let mut ids = [0u32; MAX_PROGRAMS];
    let mut attr = QueryAttr {
        target_fd: cgroup.as_raw_fd() as u32,
        attach_type: BPF_CGROUP_DEVICE,
        prog_ids: ids.as_mut_ptr() as u64,
        prog_cnt: MAX_PROGRAMS as u32,
        ..QueryAttr::default()
    };
    // SAFETY: `attr` is a live struct that starts with the fields of the command and is written
    // back to; `ids` has the room that it promises.
    Errno::result(unsafe {
        libc::syscall(libc::SYS_bpf, BPF_PROG_QUERY, &raw mut attr, size_of::<QueryAttr>())
    })?;
    let open = |id: &u32| {
        let fd = bpf(BPF_PROG_GET_FD_BY_ID, &[*id, 0, 0])?;
        // SAFETY: the kernel has just returned this descriptor to us alone.
        Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
    };
    ids.iter().take(attr.prog_cnt as usize).map(open).collect()
}

/// Detach a device filter from a cgroup.
pub fn detach_device_filter(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<()> {
    let attr = AttachAttr {
        target_fd: cgroup.as_raw_fd() as u32,
        attach_bpf_fd: program.as_raw_fd() as u32,
        attach_type: BPF_CGROUP_DEVICE,
        ..AttachAttr::default()
    };
    bpf(BPF_PROG_DETACH, &attr).map(drop)
}

/// seccomp(2) `SECCOMP_SET_MODE_FILTER`. With `SECCOMP_FILTER_FLAG_NEW_LISTENER` the notification
/// descriptor comes back.
pub fn set_seccomp_filter(insns: &[libc::sock_filter], flags: u32) -> Result<Option<OwnedFd>> {
    let len = u16::try_from(insns.len()).map_err(|_| Errno::EINVAL)?;
    // The kernel only reads through the pointer.
    let program = libc::sock_fprog { len, filter: insns.as_ptr().cast_mut() };
    // SAFETY: `program` and the instructions that it points to are live over the call.
    let fd = Errno::result(unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    })?;
    let listens = u64::from(flags) & libc::SECCOMP_FILTER_FLAG_NEW_LISTENER != 0;
    // SAFETY: the kernel has just returned this descriptor to us alone, as the flag asks for one.
    Ok(listens.then(|| unsafe { OwnedFd::from_raw_fd(fd as RawFd) }))
}

/// Whether the kernel has seccomp filters with these flags: without a program the answer is EFAULT
/// where it has.
pub fn has_seccomp_flags(flags: u32) -> bool {
    let no_program = std::ptr::null::<libc::sock_fprog>();
    // SAFETY: a null program is refused, after the flags have been looked at.
    let ret = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, no_program) };
    Errno::result(ret) == Err(Errno::EFAULT)
}
