//! What a seccomp filter tells its listener: seccomp_unotify(2).

use super::{Errno, Result};
use std::os::fd::{AsRawFd, BorrowedFd};

/// A call that waits for an answer.
#[derive(Debug, Clone, Copy)]
pub struct Notification {
    /// What it is answered by.
    pub id: u64,
    /// The thread, in this process's pid namespace; 0 where it is not there.
    pub thread: i32,
    pub number: u32,
    /// `AUDIT_ARCH_*`
    pub arch: u32,
    pub instruction: u64,
    pub args: [u64; 6],
}

/// What becomes of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The kernel makes it.
    Goes,
    /// It fails with this errno; 0 is success.
    Fails(u16),
}

/// `SECCOMP_IOCTL_NOTIF_RECV`: the next call that waits. ENOENT: its thread has ended meanwhile.
pub fn receive(listener: BorrowedFd<'_>) -> Result<Notification> {
    // SAFETY: seccomp_notif is plain integers, for which all zeroes is a value, and what the kernel
    // asks for.
    let mut told: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: `told` is a live struct of the size that the request names.
    Errno::result(unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut told)
    })?;
    let libc::seccomp_data { nr, arch, instruction_pointer, args } = told.data;
    let (number, thread) = (nr as u32, told.pid as i32);
    Ok(Notification { id: told.id, thread, number, arch, instruction: instruction_pointer, args })
}

/// `SECCOMP_IOCTL_NOTIF_SEND`. ENOENT: its thread has ended meanwhile.
pub fn answer(listener: BorrowedFd<'_>, id: u64, answer: Answer) -> Result<()> {
    let (error, flags) = match answer {
        Answer::Goes => (0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32),
        Answer::Fails(errno) => (-i32::from(errno), 0),
    };
    let response = libc::seccomp_notif_resp { id, val: 0, error, flags };
    // SAFETY: `response` is a live struct of the size that the request names.
    Errno::result(unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw const response)
    })
    .map(drop)
}

/// `SECCOMP_IOCTL_NOTIF_ID_VALID`: whether the call still waits, so that its thread's number is
/// still its own.
pub fn waits(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: `id` is a live integer of the size that the request names.
    let ret = unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const id) };
    ret == 0
}
