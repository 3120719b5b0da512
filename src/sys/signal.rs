//! Signals of a process that waits for them, and the children that it then reaps.

use super::process::Exit;
use super::{Errno, Result};

/// Block every signal that can be blocked.
pub fn block_all() -> Result<()> {
    nix::sys::signal::SigSet::all().thread_set_mask()
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
    let numbers = (1..=libc::SIGRTMAX()).filter(|n| !OTHERS.contains(n));
    // Two real-time signals are the C library's.
    for signal in numbers.filter(|n| *n <= libc::SIGSYS || *n >= libc::SIGRTMIN()) {
        // SAFETY: `end` makes nothing but a system call, at whatever instruction it interrupts.
        let old = unsafe { libc::signal(signal, end as *const () as libc::sighandler_t) };
        if old == libc::SIG_ERR {
            return Err(Errno::last());
        }
    }
    nix::sys::signal::SigSet::empty().thread_set_mask()
}

extern "C" fn end(signal: libc::c_int) {
    super::process::exit_now(128 + signal)
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
