//! Signals of a process that waits for them, and the children that it then reaps.

use super::process::Exit;
use super::{Errno, Result};
use nix::sys::signal::SigSet;

/// The first real-time signal as programs know it, by glibc. musl keeps that one for itself, in
/// processes that have threads.
pub const RTMIN: i32 = 34;

/// The last one (signal(7)).
pub const RTMAX: i32 = 64;

/// Every signal, also those that the C library keeps for itself.
pub fn all() -> SigSet {
    // SAFETY: sigset_t is plain data, for which all ones is a value.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        std::ptr::write_bytes(&raw mut set, 0xff, 1);
        SigSet::from_sigset_t_unchecked(set)
    }
}

/// Block every signal that can be blocked.
pub fn block_all() -> Result<()> {
    all().thread_set_mask()
}

/// Those that by default end no process (signal(7)), that no process can do anything about, and the
/// one that this program's own writes may raise.
const OTHERS: [i32; 10] = [
    libc::SIGPIPE,
    libc::SIGCHLD,
    libc::SIGCONT,
    libc::SIGURG,
    libc::SIGWINCH,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGKILL,
    libc::SIGSTOP,
];

/// Have each signal whose default is to end a process end this one, also one that its caller
/// blocked or ignored. PID 1 needs a handler for that (pid_namespaces(7)). execve(2) ends it.
pub fn end_by_default() -> Result<()> {
    for signal in (1..=RTMAX).filter(|number| !OTHERS.contains(number)) {
        set_action(signal, end)?;
    }
    SigSet::empty().thread_set_mask()
}

/// The kernel's `struct sigaction`, linux/signal.h.
#[repr(C)]
struct Action {
    handler: usize,
    flags: libc::c_ulong,
    #[cfg(not(any(target_arch = "riscv64", target_arch = "loongarch64")))]
    restorer: usize,
    mask: u64,
}

/// `SA_RESTORER`, where the kernel has it.
const RESTORER: libc::c_ulong =
    if cfg!(any(target_arch = "riscv64", target_arch = "loongarch64")) { 0 } else { 0x0400_0000 };

/// rt_sigaction(2) with a handler that does not return. A raw system call, since the C library's
/// wrapper refuses the signals that it keeps for itself.
fn set_action(signal: i32, handler: extern "C" fn(libc::c_int) -> !) -> Result<()> {
    let handler = handler as *const () as usize;
    let action = Action {
        handler,
        flags: RESTORER,
        #[cfg(not(any(target_arch = "riscv64", target_arch = "loongarch64")))]
        restorer: handler,
        mask: 0,
    };
    // SAFETY: `action` is live over the call, laid out as the kernel has it, with a set of the size
    // that is passed. The handler makes nothing but a system call, at whatever instruction it
    // interrupts. It does not return, so nothing comes to the restorer.
    let set = unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            signal,
            &raw const action,
            std::ptr::null_mut::<Action>(),
            size_of::<u64>(),
        )
    };
    Errno::result(set).map(drop)
}

extern "C" fn end(signal: libc::c_int) -> ! {
    super::process::exit_now(128 + signal)
}

/// Give every signal its default action and unblock all, as a fresh process has it.
pub fn reset_signals() -> Result<()> {
    default_actions();
    SigSet::empty().thread_set_mask()
}

/// Give every signal its default action. Rust's start-up code ignores SIGPIPE, and an ignored
/// signal stays ignored over execve.
pub fn default_actions() {
    // Real-time signals are not among them: nothing ignores those.
    for signal in 1..=libc::SIGSYS {
        // SAFETY: SIG_DFL installs no code. Signals that may not be changed answer EINVAL, which is
        // as wanted.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Have children that end wait to be reaped, also where the caller of this program ignores SIGCHLD.
pub fn keep_zombies() {
    // SAFETY: SIG_DFL installs no code.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// sigwaitinfo(2) for any signal: the number of the next one, real-time signals too. A raw system
/// call, since the C library's wrapper is pages of code away.
pub fn next() -> Result<i32> {
    let all = u64::MAX; // one bit a signal, as the kernel has it
    let none = std::ptr::null::<u8>();
    loop {
        // SAFETY: the set is live over the call and of the size that is passed; no information and
        // no timeout are given.
        let signal =
            unsafe { libc::syscall(libc::SYS_rt_sigtimedwait, &raw const all, none, none, size_of::<u64>()) };
        match Errno::result(signal) {
            Err(Errno::EINTR) => {}
            signal => return signal.map(|number| number as i32),
        }
    }
}

/// kill(2) of a child of this process that it has not reaped: until then the pid is nobody else's.
/// A pidfd would do too, but not under every filter of system calls.
#[allow(clippy::disallowed_methods, reason = "the pid of a child that is not reaped cannot be another's")]
pub fn send(pid: i32, signal: i32) -> Result<()> {
    // SAFETY: integers only.
    Errno::result(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// fork(2): the child's pid, or none in the child. Unlike clone3(2) every filter of system calls
/// knows it.
pub fn fork() -> Result<Option<i32>> {
    // SAFETY: there is one thread, so no lock of the C library or of std can be left held in the
    // child.
    match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Parent { child } => Ok(Some(child.as_raw())),
        nix::unistd::ForkResult::Child => Ok(None),
    }
}

/// waitid(2) for any child that has ended: its pid and how. None: no child has.
pub fn reap() -> Result<Option<(i32, Exit)>> {
    ended(libc::P_ALL, 0, 0)
}

fn ended(kind: libc::idtype_t, id: libc::id_t, flags: i32) -> Result<Option<(i32, Exit)>> {
    // SAFETY: siginfo_t is plain data, for which all zeroes is a value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: `info` is live over the call.
    let ret = unsafe { libc::waitid(kind, id, &raw mut info, libc::WEXITED | libc::WNOHANG | flags) };
    match Errno::result(ret) {
        Err(Errno::ECHILD) => return Ok(None),
        other => other?,
    };
    // SAFETY: after a successful waitid the kernel has filled it, with zero if no child has ended.
    let pid = unsafe { info.si_pid() };
    Ok((pid != 0).then(|| (pid, Exit::of(&info))))
}

/// Reap the children that have ended, as far as `child` is not the first of them.
pub fn reap_all_but(child: i32) -> Result<()> {
    while let Some((pid, _)) = ended(libc::P_ALL, 0, libc::WNOWAIT)?
        && pid != child
    {
        ended(libc::P_PID, pid as libc::id_t, 0)?;
    }
    Ok(())
}

/// prctl(2) `PR_SET_CHILD_SUBREAPER`: have the orphans among this process's descendants as
/// children.
pub fn adopt_orphans() -> Result<()> {
    nix::sys::prctl::set_child_subreaper(true)
}
