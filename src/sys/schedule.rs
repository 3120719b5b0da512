//! How processes get processors, disks and memory.

use super::{Errno, Result};

/// `struct sched_attr` of sched_setattr(2), as Linux 3.14 has it, without its size.
#[derive(Debug, Clone, Copy)]
pub struct SchedAttr {
    /// `SCHED_…`.
    pub policy: u32,
    /// `SCHED_FLAG_…`.
    pub flags: u64,
    /// −20 to 19.
    pub nice: i32,
    /// 0 to 99.
    pub priority: u32,
    /// Nanoseconds, as the two that follow.
    pub runtime: u64,
    /// Before when the runtime is had.
    pub deadline: u64,
    /// How often.
    pub period: u64,
}

/// sched_setattr(2) of process `pid`, 0 for this one.
pub fn set_scheduler(pid: i32, attr: SchedAttr) -> Result<()> {
    #[repr(C)]
    struct Sized {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime: u64,
        deadline: u64,
        period: u64,
    }
    let SchedAttr { policy, flags, nice, priority, runtime, deadline, period } = attr;
    let size = size_of::<Sized>() as u32;
    let attr = Sized { size, policy, flags, nice, priority, runtime, deadline, period };
    // SAFETY: `attr` is live over the call and holds its own size.
    Errno::result(unsafe { libc::syscall(libc::SYS_sched_setattr, pid, &raw const attr, 0) }).map(drop)
}

/// ioprio_set(2) of process `pid`, 0 for this one; class and level as <linux/ioprio.h> packs them.
pub fn set_io_priority(pid: i32, priority: u32) -> Result<()> {
    const IOPRIO_WHO_PROCESS: i32 = 1;
    // SAFETY: integers only.
    Errno::result(unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, pid, priority) }).map(drop)
}

/// set_mempolicy(2); bit n of the words is node n.
pub fn set_memory_policy(mode: i32, nodes: &[u64]) -> Result<()> {
    // The kernel takes one bit less than it is told.
    let (mask, bits) =
        if nodes.is_empty() { (std::ptr::null(), 0) } else { (nodes.as_ptr(), nodes.len() * 64 + 1) };
    // SAFETY: the mask is null with no bits, or live over the call with a word for every bit that
    // the kernel reads.
    Errno::result(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, mask, bits) }).map(drop)
}

/// personality(2).
pub fn set_personality(domain: u32) -> Result<()> {
    // SAFETY: an integer only.
    Errno::result(unsafe { libc::personality(domain.into()) }).map(drop)
}

/// sched_setaffinity(2) of this process; bit n of the words is processor n.
pub fn set_affinity(cpus: &[u64]) -> Result<()> {
    // SAFETY: the mask is live over the call and as long as is passed.
    Errno::result(unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, size_of_val(cpus), cpus.as_ptr()) })
        .map(drop)
}

const PR_SCHED_CORE: libc::c_int = 62;

/// What an answer of it says of the machine; empty where it says nothing.
pub fn without_cores(errno: Errno) -> &'static str {
    match errno {
        Errno::ENODEV => "no core scheduling: the processors have no SMT",
        Errno::EINVAL => "no core scheduling: the kernel is built without it (CONFIG_SCHED_CORE)",
        _ => "",
    }
}

/// `PR_SCHED_CORE_SCOPE_…`: whom a cookie is for.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub enum CoreScope {
    Process = 1,
    ProcessGroup = 2,
}

/// prctl(2) `PR_SCHED_CORE`: a new cookie for this process or its group, so that only they and
/// their children share a core (Linux 5.14).
pub fn own_core(scope: CoreScope) -> Result<()> {
    const CREATE: libc::c_ulong = 1;
    // SAFETY: integers only.
    Errno::result(unsafe { libc::prctl(PR_SCHED_CORE, CREATE, 0, scope as libc::c_ulong, 0) }).map(drop)
}

/// The cookie of the main thread of process `pid`, as a number that tells it from others; 0 is
/// none.
pub fn core_of(pid: i32) -> Result<u64> {
    const GET: libc::c_ulong = 0;
    const THREAD: libc::c_ulong = 0;
    let mut cookie: u64 = 0;
    // SAFETY: the kernel writes 64 bits to `cookie`, which is aligned to them and lives over the
    // call.
    Errno::result(unsafe { libc::prctl(PR_SCHED_CORE, GET, pid as libc::c_ulong, THREAD, &raw mut cookie) })?;
    Ok(cookie)
}

/// Give this thread the cookie of process `pid`.
pub fn share_core_of(pid: i32) -> Result<()> {
    const SHARE_FROM: libc::c_ulong = 3;
    const THREAD: libc::c_ulong = 0;
    // SAFETY: integers only.
    Errno::result(unsafe { libc::prctl(PR_SCHED_CORE, SHARE_FROM, pid as libc::c_ulong, THREAD, 0) })
        .map(drop)
}

/// Give process `pid` the cookie of this thread.
pub fn share_core_with(pid: i32) -> Result<()> {
    const SHARE_TO: libc::c_ulong = 2;
    // SAFETY: integers only.
    Errno::result(unsafe {
        libc::prctl(PR_SCHED_CORE, SHARE_TO, pid as libc::c_ulong, CoreScope::Process as libc::c_ulong, 0)
    })
    .map(drop)
}
