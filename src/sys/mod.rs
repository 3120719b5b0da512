//! The only unsafe code: one function a system call, owned and borrowed fds in and out, no policy.
//!
//! What nix already wraps is called through nix; this module holds what it lacks (the mount API of
//! Linux 5.2, clone3, pidfds with a signal, seccomp, capset and a few prctls). Every function
//! returns the kernel's answer as an [`Errno`] and decides nothing.
#![allow(unsafe_code)]

pub mod blocks;
pub mod bpf;
pub mod cred;
pub mod directory;
pub mod fs;
pub mod image;
pub mod landlock;
pub mod memory;
pub mod mount;
pub mod net;
pub mod netlink;
pub mod notification;
pub mod pidfd;
pub mod process;
pub mod refusals;
pub mod rlimit;
pub mod schedule;
pub mod signal;
pub mod socket;
pub mod time;
pub mod tty;
pub mod xattr;

pub use nix::errno::Errno;

/// The result of a system call.
pub type Result<T> = std::result::Result<T, Errno>;

/// A C string from a Rust one. A NUL inside is EINVAL, as the kernel would see a shorter name.
pub(crate) fn c(s: impl AsRef<[u8]>) -> Result<std::ffi::CString> {
    std::ffi::CString::new(s.as_ref()).map_err(|_| Errno::EINVAL)
}

/// Write to standard error. Where that takes nothing there is nobody to tell; the macros would end
/// the process instead.
pub fn to_stderr(text: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
}

/// `errno`'s text in this project's style: lower case, with the name, as `no such file or directory
/// (ENOENT)`.
pub fn describe(errno: Errno) -> String {
    let text = errno.desc();
    let mut chars = text.chars();
    let first = chars.next().unwrap_or_default();
    // An abbreviation, as in "I/O error", stays as it is.
    let word = chars.as_str().starts_with(|c: char| c.is_ascii_lowercase());
    let first = if word { first.to_ascii_lowercase() } else { first };
    format!("{first}{} ({errno:?})", chars.as_str())
}
