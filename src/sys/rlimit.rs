//! Limits of processes, getrlimit(2), and this program's own stack.

use super::{Errno, Result};

/// A soft and a hard limit by prlimit(2), by the number of the resource; pid 0 is the caller.
pub fn get(pid: i32, resource: u32) -> Result<(u64, u64)> {
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    prlimit(pid, resource, std::ptr::null(), &raw mut limit)?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// Set the soft and the hard limit, by prlimit(2); pid 0 is the caller.
pub fn set(pid: i32, resource: u32, soft: u64, hard: u64) -> Result<()> {
    let limit = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    prlimit(pid, resource, &raw const limit, std::ptr::null_mut())
}

fn prlimit(pid: i32, resource: u32, new: *const libc::rlimit64, old: *mut libc::rlimit64) -> Result<()> {
    // SAFETY: both callers pass null or a pointer to a local of theirs that is live over the call.
    Errno::result(unsafe { libc::syscall(libc::SYS_prlimit64, pid, resource, new, old) }).map(drop)
}

/// The soft and the hard limit of the stack that the caller of this program has set, and those that
/// it goes on with.
static CALLERS_STACK: std::sync::OnceLock<[(u64, u64); 2]> = std::sync::OnceLock::new();

/// The kernel's number of the resource.
#[allow(clippy::unnecessary_cast, reason = "the type of the numbers is that of the C library: i32 in musl")]
const RLIMIT_STACK: u32 = libc::RLIMIT_STACK as u32;

/// What this program's stack may grow to at the least, in bytes: it takes 100 kB.
const STACK: u64 = 1 << 20;

/// Have a stack that is large enough, as far as the kernel allows it: it looks at the limit
/// whenever the stack grows.
pub fn widen_stack() {
    let Ok((soft, hard)) = get(0, RLIMIT_STACK) else { return };
    if soft >= STACK {
        return;
    }
    for wider in [(STACK, hard.max(STACK)), (hard.min(STACK), hard)] {
        if set(0, RLIMIT_STACK, wider.0, wider.1).is_ok() {
            let _ = CALLERS_STACK.set([(soft, hard), wider]);
            return;
        }
    }
}

/// Before execve(2): what the next program's stack may grow to is what the caller says, unless
/// config.json has said it.
pub(super) fn give_stack_back() {
    if let Some([(soft, hard), wider]) = CALLERS_STACK.get()
        && get(0, RLIMIT_STACK).as_ref() == Ok(wider)
    {
        let _ = set(0, RLIMIT_STACK, *soft, *hard);
    }
}
