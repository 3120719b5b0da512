//! Processes: clone3(2), pidfds, waiting, execution, descriptors.

use super::{Errno, Result, c};
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;

/// Linux 5.7; libc's constant is too narrow for it.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// The child or the parent after [`clone3`].
#[derive(Debug)]
pub enum Cloned {
    Child,
    Parent {
        /// The child's pid in the parent's pid namespace.
        pid: i32,
        /// A pidfd of the child.
        pidfd: OwnedFd,
    },
}

/// clone(2) as a fork, with `CLONE_PIDFD`: a filter of system calls that lets programs make
/// processes allows this, while clone3(2), whose flags a filter cannot see, is often refused.
///
/// Only for a process with one thread: the child goes on with a copy of its memory.
pub fn fork() -> Result<Cloned> {
    let mut pidfd: RawFd = -1;
    let flags = (libc::CLONE_PIDFD | libc::SIGCHLD) as libc::c_long;
    let stack: libc::c_long = 0;
    let (first, second) = if cfg!(target_arch = "s390x") { (stack, flags) } else { (flags, stack) };
    // SAFETY: as below. The pidfd is put where the third argument points; fourth and fifth are not
    // used without their flags.
    let ret = unsafe { libc::syscall(libc::SYS_clone, first, second, &raw mut pidfd, 0, 0) };
    // SAFETY: as below.
    unsafe { born(ret, pidfd) }
}

/// clone3(2) as a fork, with `CLONE_PIDFD`, the namespaces of `flags` and, where given, a birth
/// inside `cgroup`.
///
/// Only for a process with one thread: the child goes on with a copy of its memory.
pub fn clone3(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> Result<Cloned> {
    let (flags, cgroup) = match cgroup {
        Some(cgroup) => (flags | CLONE_INTO_CGROUP, cgroup.as_raw_fd() as u64),
        None => (flags, 0),
    };
    clone(flags, cgroup, libc::SIGCHLD as u64)
}

/// As [`clone3`], but the child is one of this process's own parent, which it signals as this
/// process would (`CLONE_PARENT`).
pub fn clone3_sibling(flags: u64) -> Result<Cloned> {
    clone(flags | libc::CLONE_PARENT as u64, 0, 0)
}

/// Go on as a child of this process's own parent, as [`clone3_sibling`] makes one, and end. Returns
/// in the child only, or with the error.
///
/// Memory is handed over, not copied: nothing is mapped twice or faulted in again.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
pub fn continue_as_sibling() -> Result<()> {
    let args = CloneArgs { flags: (libc::CLONE_PARENT | libc::CLONE_VM) as u64, ..CloneArgs::default() };
    let result: isize;
    // SAFETY: both processes have one memory and one stack from here on, which only the child uses:
    // the parent's next instructions end it, in registers only. There is one thread, and the C
    // library keeps nothing that tells its pid. `args` is live over the call, which reads it only.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jle 2f",
            "xor edi, edi",
            "mov eax, {exit}",
            "syscall",
            "ud2",
            "2:",
            exit = const libc::SYS_exit_group,
            inlateout("rax") libc::SYS_clone3 as isize => result,
            inlateout("rdi") &raw const args => _,
            in("rsi") size_of::<CloneArgs>(),
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
        #[cfg(target_arch = "aarch64")]
        std::arch::asm!(
            "svc #0",
            "cmp x0, #0",
            "b.le 2f",
            "mov x0, #0",
            "mov x8, #{exit}",
            "svc #0",
            "brk #1",
            "2:",
            exit = const libc::SYS_exit_group,
            inlateout("x0") &raw const args => result,
            in("x1") size_of::<CloneArgs>(),
            inlateout("x8") libc::SYS_clone3 => _,
            options(nostack),
        );
        #[cfg(target_arch = "riscv64")]
        std::arch::asm!(
            "ecall",
            "blez a0, 2f",
            "li a0, 0",
            "li a7, {exit}",
            "ecall",
            "unimp",
            "2:",
            exit = const libc::SYS_exit_group,
            inlateout("a0") &raw const args => result,
            in("a1") size_of::<CloneArgs>(),
            inlateout("a7") libc::SYS_clone3 => _,
            options(nostack),
        );
    }
    if result < 0 { Err(Errno::from_raw(-result as i32)) } else { Ok(()) }
}

/// The same by a copy of the memory.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
pub fn continue_as_sibling() -> Result<()> {
    match clone3_sibling(0)? {
        Cloned::Child => Ok(()),
        Cloned::Parent { .. } => exit_now(0),
    }
}

/// `struct clone_args`, which libc does not have for every machine: linux/sched.h.
#[derive(Default)]
#[repr(C)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

fn clone(flags: u64, cgroup: u64, exit_signal: u64) -> Result<Cloned> {
    let mut pidfd: RawFd = -1;
    let args = CloneArgs {
        flags: flags | libc::CLONE_PIDFD as u64,
        pidfd: &raw mut pidfd as u64,
        exit_signal,
        cgroup,
        ..CloneArgs::default()
    };
    // SAFETY: without CLONE_VM and with a zero stack this is fork(2): parent and child have memory
    // of their own. `args` and `pidfd` outlive the call. There is one thread, so no lock of the C
    // library or of std can be left held.
    let ret = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
    // SAFETY: `CLONE_PIDFD` is among the flags.
    unsafe { born(ret, pidfd) }
}

/// Who this is, by what a call with `CLONE_PIDFD` has answered.
// SAFETY: for the caller to see to: in the parent, `pidfd` is what the kernel has just put there
// for it alone.
unsafe fn born(ret: libc::c_long, pidfd: RawFd) -> Result<Cloned> {
    match Errno::result(ret)? {
        0 => Ok(Cloned::Child),
        // SAFETY: the caller's promise.
        pid => Ok(Cloned::Parent { pid: pid as i32, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } }),
    }
}

/// pidfd_open(2).
pub fn pidfd_open(pid: i32) -> Result<OwnedFd> {
    pidfd(pid, 0)
}

/// pidfd_open(2) of a thread; EINVAL before Linux 6.9.
pub fn pidfd_open_thread(id: i32) -> Result<OwnedFd> {
    // Linux 6.9: PIDFD_THREAD is O_EXCL.
    pidfd(id, libc::O_EXCL)
}

fn pidfd(id: i32, flags: i32) -> Result<OwnedFd> {
    // SAFETY: integers only; the kernel returns a descriptor that is ours alone.
    unsafe {
        let fd = Errno::result(libc::syscall(libc::SYS_pidfd_open, id, flags))?;
        Ok(OwnedFd::from_raw_fd(fd as RawFd))
    }
}

/// pidfd_getfd(2): a copy of descriptor `number` of another process.
pub fn pidfd_getfd(pidfd: BorrowedFd<'_>, number: RawFd) -> Result<OwnedFd> {
    // SAFETY: integers only; the kernel returns a descriptor that is ours alone.
    unsafe {
        let fd = Errno::result(libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), number, 0))?;
        Ok(OwnedFd::from_raw_fd(fd as RawFd))
    }
}

/// pidfd_send_signal(2). Signal 0 only asks whether the process is there.
pub fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> Result<()> {
    // SAFETY: the siginfo pointer may be null.
    Errno::result(unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    })
    .map(drop)
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It called exit with this status.
    Status(i32),
    /// This signal ended it.
    Signal(i32),
}

impl Exit {
    /// From what waitid(2) for WEXITED has filled.
    pub(super) fn of(info: &libc::siginfo_t) -> Exit {
        // SAFETY: the kernel has set si_status, or left the zeroes of a child that is not there.
        let status = unsafe { info.si_status() };
        if info.si_code == libc::CLD_EXITED { Exit::Status(status) } else { Exit::Signal(status) }
    }

    /// From the kernel's own form, as of wait(2).
    pub fn of_code(code: i32) -> Exit {
        match code & 0x7f {
            0 => Exit::Status(code >> 8 & 0xff),
            signal => Exit::Signal(signal),
        }
    }

    /// The signal that ended it, if one did.
    pub fn signal(self) -> Option<i32> {
        match self {
            Exit::Status(_) => None,
            Exit::Signal(signal) => Some(signal),
        }
    }

    /// The status as a shell gives it: the process's own, or 128 + the signal.
    pub fn code(self) -> i32 {
        match self {
            Exit::Status(status) => status,
            Exit::Signal(signal) => 128 + signal,
        }
    }
}

/// waitid(2) for the child that `pidfd` refers to; reaps it.
pub fn wait(pidfd: BorrowedFd<'_>) -> Result<Exit> {
    wait_with(pidfd, libc::WEXITED)
}

/// The same, and leaves it to be reaped.
pub fn wait_and_leave(pidfd: BorrowedFd<'_>) -> Result<Exit> {
    wait_with(pidfd, libc::WEXITED | libc::WNOWAIT)
}

fn wait_with(pidfd: BorrowedFd<'_>, options: libc::c_int) -> Result<Exit> {
    // SAFETY: siginfo_t is plain data, for which all zeroes is a value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let id = pidfd.as_raw_fd() as libc::id_t;
    loop {
        // SAFETY: `info` is live over the call.
        let ret = unsafe { libc::waitid(libc::P_PIDFD, id, &raw mut info, options) };
        match Errno::result(ret) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
            Ok(_) => break,
        }
    }
    Ok(Exit::of(&info))
}

/// execve(2). Returns only on failure.
pub fn execve(path: &str, args: &[CString], env: &[CString]) -> Errno {
    super::rlimit::give_stack_back();
    match c(path) {
        Ok(path) => match nix::unistd::execve(&path, args, env) {
            Err(errno) => errno,
        },
        Err(errno) => errno,
    }
}

/// execveat(2) of the file that `fd` refers to, with the arguments and the environment that are
/// given. Returns only on failure.
pub fn exec_fd(fd: BorrowedFd<'_>, args: &[CString], env: &[CString]) -> Errno {
    super::rlimit::give_stack_back();
    let empty = c"";
    match nix::unistd::execveat(fd, empty, args, env, nix::fcntl::AtFlags::AT_EMPTY_PATH) {
        Err(errno) => errno,
    }
}

/// close_range(2): close every descriptor from `first` on.
pub fn close_from(first: RawFd) -> Result<()> {
    // SAFETY: a child calls it, whose owners of descriptors in that range were its parent's: init
    // at its birth, where it keeps what it holds below `first`; before execve(2); and the init of
    // `--init`, which has none and uses none.
    Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) }).map(drop)
}

/// close_range(2): close the descriptors from `first` up to but without `end`.
pub fn close_between(first: RawFd, end: RawFd) -> Result<()> {
    if first >= end {
        return Ok(());
    }
    // SAFETY: as for close_from.
    Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, end - 1, 0) }).map(drop)
}

/// Standard input, for a command. The init of `--init` closes it, and does not ask for it.
pub fn stdin() -> BorrowedFd<'static> {
    // SAFETY: no command closes descriptor 0.
    unsafe { BorrowedFd::borrow_raw(0) }
}

/// Standard output, for a command. The init of `--init` closes it, and does not ask for it.
pub fn stdout() -> BorrowedFd<'static> {
    // SAFETY: no command closes descriptor 1.
    unsafe { BorrowedFd::borrow_raw(1) }
}

/// Standard error.
pub fn stderr() -> BorrowedFd<'static> {
    // SAFETY: no code of this program closes descriptor 2.
    unsafe { BorrowedFd::borrow_raw(2) }
}

/// Standard input, output or error by its number; EBADF answers every call where the caller of this
/// program has closed it.
pub fn standard(number: RawFd) -> BorrowedFd<'static> {
    debug_assert!((0..3).contains(&number));
    // SAFETY: 0 to 2 are owned by no OwnedFd of this program, and init closes none of them.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// Have the free number `fd` taken until execve(2), so that nothing else gets it. All numbers from
/// 3 on that are below it are taken.
pub fn plug(fd: i32) -> Result<()> {
    let plug = super::fs::open("/dev/null", super::fs::O_PATH, 0)?;
    if plug.as_raw_fd() != fd {
        // A standard descriptor that the caller has closed comes first.
        return copy_from(plug.as_fd(), fd).map(std::mem::forget);
    }
    let _ = plug.into_raw_fd();
    Ok(())
}

/// The kind of a namespace by the file that names it, a `CLONE_NEW…` flag (ioctl_ns(2)).
pub fn namespace_kind(fd: BorrowedFd<'_>) -> Result<i32> {
    // SAFETY: NS_GET_NSTYPE takes no argument.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), libc::NS_GET_NSTYPE) })
}

/// The user namespace that a namespace belongs to (ioctl_ns(2)).
pub fn owner_of_namespace(fd: BorrowedFd<'_>) -> Result<OwnedFd> {
    // SAFETY: NS_GET_USERNS takes no argument; what it returns is a descriptor of ours alone.
    unsafe {
        let owner = Errno::result(libc::ioctl(fd.as_raw_fd(), libc::NS_GET_USERNS))?;
        Ok(OwnedFd::from_raw_fd(owner))
    }
}

/// A copy of a descriptor that the caller of this program opened, close-on-exec as that one is from
/// here on, too. EBADF when it is not open.
pub fn copy_of_callers(fd: RawFd) -> Result<OwnedFd> {
    // SAFETY: F_DUPFD_CLOEXEC and F_SETFD take integers; a descriptor that is not open is EBADF.
    let copy = unsafe {
        let copy = Errno::result(libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3))?;
        Errno::result(libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC))?;
        copy
    };
    // SAFETY: the kernel has just returned this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// close_range(2) with `CLOSE_RANGE_CLOEXEC`: mark every descriptor from `first` on close-on-exec.
pub fn cloexec_from(first: RawFd) -> Result<()> {
    // SAFETY: no descriptor is closed.
    Errno::result(unsafe {
        libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC)
    })
    .map(drop)
}

/// Clear close-on-exec on a descriptor that the caller of this program opened. EBADF when it is not
/// open.
pub fn keep_over_exec(fd: RawFd) -> Result<()> {
    // SAFETY: F_SETFD takes an integer; a descriptor that is not open is EBADF.
    Errno::result(unsafe { libc::fcntl(fd, libc::F_SETFD, 0) }).map(drop)
}

/// Whether descriptor `fd` is open.
pub fn is_open(fd: RawFd) -> bool {
    // SAFETY: F_GETFD takes no argument; a descriptor that is not open is EBADF.
    unsafe { libc::fcntl(fd, libc::F_GETFD) >= 0 }
}

/// fcntl(2) `F_DUPFD_CLOEXEC`: a copy of `fd` with the lowest free number from `first` on.
pub fn copy_from(fd: BorrowedFd<'_>, first: RawFd) -> Result<OwnedFd> {
    let copy = nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_DUPFD_CLOEXEC(first))?;
    // SAFETY: the kernel has just returned this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// dup2(2) of `fd` onto standard input, output or error.
pub fn replace_stdio(fd: BorrowedFd<'_>, number: RawFd) -> Result<()> {
    // SAFETY: 0 to 2 are owned by no OwnedFd of this program.
    Errno::result(unsafe { libc::dup2(fd.as_raw_fd(), number) }).map(drop)
}

/// Have copies of `fds` as the descriptors from `first` on, kept over execve(2), and nothing after
/// them: for a child that is about to execute.
pub fn hand_over_from(first: RawFd, fds: &[BorrowedFd<'_>]) -> Result<()> {
    let end = first + fds.len() as RawFd;
    let copies: Vec<OwnedFd> = fds.iter().map(|fd| copy_from(*fd, end)).collect::<Result<_>>()?;
    cloexec_from(first)?;
    for (number, copy) in (first..).zip(&copies) {
        // SAFETY: what owned that number is used by nobody any more: the child executes next.
        Errno::result(unsafe { libc::dup2(copy.as_raw_fd(), number) })?;
    }
    Ok(())
}

/// Take a variable out of this process's environment.
pub fn forget_variable(name: &str) {
    // SAFETY: there is one thread, so nobody reads the environment meanwhile.
    unsafe { std::env::remove_var(name) };
}

/// setns(2).
pub fn setns(fd: BorrowedFd<'_>, kind: i32) -> Result<()> {
    // SAFETY: integers only; one thread.
    Errno::result(unsafe { libc::setns(fd.as_raw_fd(), kind) }).map(drop)
}

/// `UNSHARE_EMPTY_MNTNS` of unshare(2), which libc does not name yet.
const UNSHARE_EMPTY_MNTNS: i32 = 0x0010_0000;

/// unshare(2): a mount namespace of its own with nothing in it but an empty folder that nobody can
/// write to. Linux 7.1.
pub fn unshare_empty_mounts() -> Result<()> {
    unshare(UNSHARE_EMPTY_MNTNS)
}

/// unshare(2) of namespaces that a process with one thread may leave.
pub fn unshare(flags: i32) -> Result<()> {
    // SAFETY: integers only; one thread.
    Errno::result(unsafe { libc::unshare(flags) }).map(drop)
}

/// setdomainname(2).
pub fn set_domainname(name: &str) -> Result<()> {
    // SAFETY: the kernel reads exactly `len` bytes.
    Errno::result(unsafe { libc::setdomainname(name.as_ptr().cast(), name.len()) }).map(drop)
}

/// This process's environment, as execve(2) takes it.
pub fn environment() -> Vec<CString> {
    let variables = std::env::vars_os().map(|(name, value)| [name.as_bytes(), value.as_bytes()].join(&b'='));
    variables.filter_map(|entry| CString::new(entry).ok()).collect()
}

unsafe extern "C" {
    static mut environ: *mut *mut libc::c_char;
}

/// Overwrite the strings of this process's environment, and have none from here on: for a child of
/// [`clone3`], whose memory is a copy. What the program has read before it has copied.
pub fn wipe_environment() {
    // SAFETY: there is one thread, and nothing in this program holds a pointer into the
    // environment: std::env copies. `environ` is null or a list that ends with null, of
    // NUL-terminated strings in writable memory (execve(2)); nothing sets variables.
    unsafe {
        let mut next = environ;
        while !next.is_null() && !(*next).is_null() {
            let length = libc::strlen(*next);
            libc::explicit_bzero((*next).cast(), length);
            *next = std::ptr::null_mut();
            next = next.add(1);
        }
    }
}

/// Whether all threads of the process of a pidfd have ended (poll(2)), also if nobody has reaped it
/// yet.
pub fn has_ended(pidfd: BorrowedFd<'_>) -> Result<bool> {
    let mut fds = [nix::poll::PollFd::new(pidfd, nix::poll::PollFlags::POLLIN)];
    loop {
        match nix::poll::poll(&mut fds, nix::poll::PollTimeout::ZERO) {
            Err(Errno::EINTR) => {}
            ready => return Ok(ready? > 0),
        }
    }
}

/// End this process at once, without unwinding or flushing: for the child of [`clone3`].
pub fn exit_now(status: i32) -> ! {
    // SAFETY: _exit takes an integer and does not return.
    unsafe { libc::_exit(status) }
}
