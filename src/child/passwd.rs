//! The home of a user, in the container's /etc/passwd.

use super::paths;
use crate::plan::Lookup;
use crate::proc::passwd::accounts;
use crate::sys::fs;
use std::os::fd::{AsFd, BorrowedFd};

/// The longest /etc/passwd of an image that is searched for a home, in bytes.
const PASSWD_LIMIT: usize = 1 << 20;

/// The length that no path has (limits.h), in bytes.
const PATH_MAX: usize = libc::PATH_MAX as usize;

/// The home of `uid` in the container's /etc/passwd. `/` if that is missing, not a regular file or
/// too large, or if the entry is not a usable path.
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
    let is_path = |home: &&[u8]| !home.is_empty() && home.len() < PATH_MAX && !home.contains(&0);
    let homes = accounts(&text).filter(|account| account.uid == uid).filter_map(|account| account.home);
    homes.into_iter().find(is_path).map(|home| String::from_utf8_lossy(home).into_owned())
}
