//! Files that a process of a container names, found from outside: by its root, without a right to
//! use them (`O_PATH`).

use super::victim::Victim;
use crate::host;
use crate::plan::seccomp::judge::Call;
use crate::plan::seccomp::touches::{Named, Touch};
use crate::proc::mountinfo::mounts;
use crate::sys::fs;
use std::os::fd::AsFd;

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// A device that is there: `c` or `b`, major, minor.
    Device(char, u32, u32),
    /// Something else, which need not be there.
    File(Place),
}

/// Where a file is; both paths are the container's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) mount: String,
    pub(super) path: String,
    /// Whether the mount is.
    pub(super) is_readonly: bool,
    pub(super) is_there: bool,
}

/// A use of a file by a call.
#[derive(Debug)]
pub(super) struct Use {
    /// As the process names it.
    pub(super) path: String,
    pub(super) access: Access,
    pub(super) found: Found,
}

/// What is done with a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Access {
    pub(super) reads: bool,
    pub(super) writes: bool,
    /// Whether it is made where it is not there.
    pub(super) makes: bool,
    /// Whether it is changed where it is there.
    pub(super) changes: bool,
}

impl Access {
    /// None where only a handle is asked for.
    fn of(victim: &Victim<'_>, call: &Call, touch: Touch) -> Option<Access> {
        let changes = Access { reads: true, writes: true, makes: false, changes: true };
        let flags = match touch {
            Touch::Makes => return Some(Access { makes: true, changes: false, ..changes }),
            Touch::Changes => return Some(changes),
            Touch::Replaces => return Some(Access { makes: true, ..changes }),
            Touch::Opens(at) => call.args[at],
            Touch::OpensHow(at) => victim.word(call.args[at])?,
        };
        let flags = flags as i32;
        let mode = flags & libc::O_ACCMODE;
        let makes = flags & libc::O_CREAT != 0;
        let changes = mode != libc::O_RDONLY || flags & libc::O_TRUNC != 0;
        let access = Access {
            reads: mode != libc::O_WRONLY,
            writes: changes || makes,
            makes,
            changes: changes && flags & libc::O_EXCL == 0,
        };
        (flags & libc::O_PATH == 0).then_some(access)
    }

    /// `r` and `w`.
    pub(super) fn letters(self) -> impl Iterator<Item = char> {
        [(self.reads, 'r'), (self.writes, 'w')]
            .into_iter()
            .filter(|(is_so, _)| *is_so)
            .map(|(_, letter)| letter)
    }
}

/// The use of a file that a call asks for, where it is of a device or changes something.
pub(super) fn look(victim: &Victim<'_>, call: &Call, named: &Named) -> Option<Use> {
    let access = Access::of(victim, call, named.touch)?;
    let path = victim.path(call.args[named.path]).filter(|path| !path.is_empty())?;
    let is_near_devices = !path.starts_with('/') || path.starts_with("/dev");
    if !access.writes && !is_near_devices {
        return None;
    }
    let folder = named.folder.map_or(libc::AT_FDCWD, |at| call.args[at] as i32);
    // The thread's number may be another process's by now, and what was found that one's.
    let found = victim.still(find(victim.thread, folder, &path)?)?;
    let opens = matches!(named.touch, Touch::Opens(_) | Touch::OpensHow(_));
    (opens || matches!(found, Found::File(_))).then_some(Use { path, access, found })
}

/// What `path` leads the thread to from the folder, a descriptor of its or `AT_FDCWD`.
fn find(thread: i32, folder: i32, path: &str) -> Option<Found> {
    let start = match folder {
        _ if path.starts_with('/') => String::new(),
        libc::AT_FDCWD => link(&format!("/proc/{thread}/cwd"))?,
        fd => link(&format!("/proc/{thread}/fd/{fd}"))?,
    };
    let mountinfo = std::fs::read_to_string(format!("/proc/{thread}/mountinfo")).ok()?;
    // Who serves it may be one whose calls wait for this process: the two would wait for each
    // other.
    let has_server = |fstype: &str| matches!(fstype, "fuse" | "fuseblk") || fstype.starts_with("fuse.");
    if mounts(&mountinfo).any(|mount| has_server(mount.fstype)) {
        return None;
    }
    let root = fs::open(format!("/proc/{thread}/root"), fs::O_PATH | fs::O_DIRECTORY, 0).ok()?;
    let whole = format!("{start}/{path}");
    let open = |path: &str| fs::openat2(root.as_fd(), path, fs::O_PATH, 0, fs::RESOLVE_IN_ROOT).ok();
    if let Some(there) = open(&whole) {
        let stat = fs::stat_fd(there.as_fd()).ok()?;
        let kind = match stat.st_mode & libc::S_IFMT {
            libc::S_IFCHR => 'c',
            libc::S_IFBLK => 'b',
            _ => return on_mount(&mountinfo, host::path_of(&there)?, true),
        };
        return Some(Found::Device(kind, libc::major(stat.st_rdev), libc::minor(stat.st_rdev)));
    }
    let (above, name) = whole.trim_end_matches('/').rsplit_once('/')?;
    let above = open(if above.is_empty() { "/" } else { above })?;
    on_mount(&mountinfo, format!("{}/{name}", host::path_of(&above)?.trim_end_matches('/')), false)
}

/// On the last mount above the path.
fn on_mount(mountinfo: &str, path: String, is_there: bool) -> Option<Found> {
    let is_above = |target: &str| {
        let rest = path.strip_prefix(target.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let above = mounts(mountinfo).filter(|mount| is_above(&mount.target));
    // Of two at one place the later one is seen.
    let mount = above.max_by_key(|mount| mount.target.len())?;
    let is_readonly = |options: &str| options.split(',').any(|option| option == "ro");
    let is_readonly = is_readonly(mount.flags) || is_readonly(mount.options);
    Some(Found::File(Place { mount: mount.target, path, is_readonly, is_there }))
}

fn link(path: &str) -> Option<String> {
    std::fs::read_link(path).ok()?.into_os_string().into_string().ok()
}
