//! Which system calls are refused whatever they are asked, as by the seccomp filter of an outer
//! sandbox.

use super::Errno;

/// The calls without which a container is not made, entered or ended, and that such filters do not
/// know.
const CALLS: [(&str, libc::c_long); 17] = [
    ("close_range", libc::SYS_close_range),
    ("faccessat2", libc::SYS_faccessat2),
    ("fgetxattr", libc::SYS_fgetxattr),
    ("fsconfig", libc::SYS_fsconfig),
    ("fsetxattr", libc::SYS_fsetxattr),
    ("fsmount", libc::SYS_fsmount),
    ("fsopen", libc::SYS_fsopen),
    ("keyctl", libc::SYS_keyctl),
    ("mount_setattr", libc::SYS_mount_setattr),
    ("move_mount", libc::SYS_move_mount),
    ("openat2", libc::SYS_openat2),
    ("pidfd_open", libc::SYS_pidfd_open),
    ("pidfd_send_signal", libc::SYS_pidfd_send_signal),
    ("pivot_root", libc::SYS_pivot_root),
    ("seccomp", libc::SYS_seccomp),
    ("setns", libc::SYS_setns),
    ("statx", libc::SYS_statx),
];

/// The place among them of the first that answers ENOSYS or EPERM to arguments for which the kernel
/// has another answer. Called with all rights over a mount namespace, without which some say EPERM
/// to everybody.
pub fn first() -> Option<usize> {
    CALLS.iter().position(|(name, number)| {
        // SAFETY: no descriptor is -1 and no memory is at that address. Each of the calls takes one
        // of both, or an operation or flags that there are not. So none does anything but answer.
        let answer = unsafe { libc::syscall(*number, -1isize, -1isize, -1isize, -1isize, -1isize, -1isize) };
        match Errno::result(answer) {
            // A kernel without keyrings has none to share: nothing is missed.
            Err(Errno::ENOSYS) => *name != "keyctl",
            Err(Errno::EPERM) => true,
            _ => false,
        }
    })
}

/// The name of the call at a place.
pub fn name(place: usize) -> Option<&'static str> {
    CALLS.get(place).map(|(name, _)| *name)
}
