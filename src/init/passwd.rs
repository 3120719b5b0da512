//! The home of a user, in the container's /etc/passwd.

use super::paths;
use crate::plan::Lookup;
use crate::sys::fs;
use std::os::fd::{AsFd, BorrowedFd};

/// The longest /etc/passwd of an image that is searched for a home, in bytes.
const PASSWD_LIMIT: usize = 1 << 20;

/// The length that no path has (limits.h), in bytes.
const PATH_MAX: usize = libc::PATH_MAX as usize;

/// The home of `uid` in the container's /etc/passwd, or `/`. A file that is none, or a huge one, has no home to give, nor has one
/// whose entry is no path that execve(2) would take.
pub(super) fn home(uid: u32) -> String {
    let found = || -> Option<String> {
        let root = fs::open("/", fs::O_PATH | fs::O_DIRECTORY, 0).ok()?;
        let flags = fs::O_RDONLY | fs::O_NONBLOCK | fs::O_NOCTTY;
        let passwd = paths::open(root.as_fd(), "/etc/passwd", flags, Lookup::Follow).ok()?;
        home_in(passwd.as_fd(), uid)
    };
    found().unwrap_or_else(|| "/".into())
}

fn home_in(passwd: BorrowedFd<'_>, uid: u32) -> Option<String> {
    if fs::stat_fd(passwd).ok()?.st_mode & libc::S_IFMT != libc::S_IFREG {
        return None;
    }
    let text = fs::read_all(passwd, PASSWD_LIMIT).ok()?;
    let text = String::from_utf8_lossy(&text);
    text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let is_path = |home: &str| !home.is_empty() && home.len() < PATH_MAX && !home.contains('\0');
        let home = fields.get(5).filter(|home| is_path(home))?;
        (fields.get(2)?.parse() == Ok(uid)).then(|| home.to_string())
    })
}
