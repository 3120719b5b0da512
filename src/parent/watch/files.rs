//! Files that a process of a container names, found from outside: by its root, without a right to
//! use them (`O_PATH`).

use crate::proc::mountinfo::mounts;
use crate::sys::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// A device that is there, as `c 1:3`.
    Device(String),
    /// Something else on a mount that can be written, which need not be there yet; both paths are
    /// the container's.
    File { mount: String, path: String },
}

/// What `path` leads the thread to from the folder, a descriptor of its or `AT_FDCWD`.
pub(super) fn find(thread: i32, folder: i32, path: &str) -> Option<Found> {
    let start = match folder {
        _ if path.starts_with('/') => String::new(),
        libc::AT_FDCWD => link(&format!("/proc/{thread}/cwd"))?,
        fd => link(&format!("/proc/{thread}/fd/{fd}"))?,
    };
    let root = fs::open(format!("/proc/{thread}/root"), fs::O_PATH | fs::O_DIRECTORY, 0).ok()?;
    let whole = format!("{start}/{path}");
    let open = |path: &str| fs::openat2(root.as_fd(), path, fs::O_PATH, 0, fs::RESOLVE_IN_ROOT).ok();
    if let Some(there) = open(&whole) {
        let stat = fs::stat_fd(there.as_fd()).ok()?;
        let kind = match stat.st_mode & libc::S_IFMT {
            libc::S_IFCHR => 'c',
            libc::S_IFBLK => 'b',
            _ => return on_mount(thread, real(&there)?),
        };
        let (major, minor) = (libc::major(stat.st_rdev), libc::minor(stat.st_rdev));
        return Some(Found::Device(format!("{kind} {major}:{minor}")));
    }
    let (above, name) = whole.trim_end_matches('/').rsplit_once('/')?;
    let above = open(if above.is_empty() { "/" } else { above })?;
    on_mount(thread, format!("{}/{name}", real(&above)?.trim_end_matches('/')))
}

/// On the last mount above the path, unless that is read-only.
fn on_mount(thread: i32, path: String) -> Option<Found> {
    let mountinfo = std::fs::read_to_string(format!("/proc/{thread}/mountinfo")).ok()?;
    let is_above = |target: &str| {
        let rest = path.strip_prefix(target.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let above = mounts(&mountinfo).filter(|mount| is_above(&mount.target));
    // Of two at one place the later one is seen.
    let mount = above.max_by_key(|mount| mount.target.len())?;
    let is_readonly = |options: &str| options.split(',').any(|option| option == "ro");
    let is_writable = !is_readonly(mount.flags) && !is_readonly(mount.options);
    is_writable.then_some(Found::File { mount: mount.target, path })
}

/// The path of what is open, in its own mount namespace.
fn real(fd: &OwnedFd) -> Option<String> {
    link(&format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

fn link(path: &str) -> Option<String> {
    std::fs::read_link(path).ok()?.into_os_string().into_string().ok()
}
