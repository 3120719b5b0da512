//! What is set for a process, by itself or by its parent.

use super::labels;
use crate::config::{IdMaps, Scheduler, ids};
use crate::fault::{Call, Outcome, Refusal};
use crate::plan::{HardLimit, SessionKeyring};
use crate::sys::schedule::SchedAttr;
use crate::sys::{self, Errno, cred, fs, process as proc, rlimit, schedule};
use std::os::fd::AsFd;

/// Who may do what with a session keyring: its possessor all, its owner what the kernel gives
/// (view, read, link), and find it by name.
const SESSION_KEYRING: u32 = 0x3f1b_0000;

/// Set how process `pid` gets processors, 0 for this one.
pub fn set_scheduler(pid: i32, scheduler: &Scheduler) -> Result<(), Errno> {
    let Scheduler { policy, flags, nice, priority, runtime, deadline, period } = *scheduler;
    schedule::set_scheduler(pid, SchedAttr { policy, flags, nice, priority, runtime, deadline, period })
}

/// Give standard descriptors that are pipes to `uid`, the group stays. Where the file system takes
/// no owner, or this process may not give it, they stay whose they are: a process that only reads
/// and writes them misses nothing.
pub fn give_stdio(uid: u32) -> Outcome {
    for (fd, name) in [(proc::stdin(), "input"), (proc::stdout(), "output"), (proc::stderr(), "error")] {
        let is_anothers_pipe =
            |stat: libc::stat| stat.st_mode & libc::S_IFMT == libc::S_IFIFO && stat.st_uid != uid;
        if !fs::stat_fd(fd).is_ok_and(is_anothers_pipe) {
            continue;
        }
        match fs::chown_fd(fd, uid, u32::MAX) {
            Ok(()) | Err(Errno::EPERM | Errno::EROFS | Errno::EINVAL) => {}
            Err(errno) => return Err(Refusal::kernel(format!("chown {uid} of standard {name}"), errno)),
        }
    }
    Ok(())
}

/// Let a process have a limit that is above its ceiling. Without the right to raise that, it is for
/// setrlimit(2) to say so.
pub fn raise_hard_limit(pid: i32, ceiling: &HardLimit) -> Result<(), Errno> {
    let raise = || match rlimit::get(pid, ceiling.resource)? {
        (soft, hard) if hard < ceiling.hard => rlimit::set(pid, ceiling.resource, soft, ceiling.hard),
        _ => Ok(()),
    };
    match raise() {
        Err(Errno::EPERM) => Ok(()),
        done => done,
    }
}

/// The session keyring of this name, which is made if it is not there, so that who comes later
/// finds it. A kernel without keyrings has none to share, so there is nothing to refuse.
pub fn keyring(keyring: &SessionKeyring) -> Outcome {
    keyring.label.as_deref().map_or(Ok(()), labels::keys)?;
    match cred::join_session_keyring(&keyring.name) {
        Ok(serial) => cred::set_key_permissions(serial, SESSION_KEYRING).call(|| "keyctl".into()),
        Err(Errno::ENOSYS) => Ok(()),
        Err(Errno::EDQUOT) => Err(Refusal::kernel(
            "keyctl: a session keyring of the container's own is more than this user may have \
             (kernel.keys.maxkeys, kernel.keys.maxbytes; --no-new-keyring makes none)",
            Errno::EDQUOT,
        )),
        Err(errno) => Err(Refusal::kernel("keyctl", errno)),
    }
}

/// What the kernel has answered to a call for a core scheduling cookie.
pub fn core_refusal(call: &str, errno: Errno) -> Refusal {
    Refusal::kernel(format!("prctl PR_SCHED_CORE {call}"), errno).with_text(schedule::without_cores(errno))
}

/// Whether this process's user namespace maps ids as `maps` says.
pub fn has_maps(maps: &IdMaps) -> sys::Result<bool> {
    for (path, ranges) in [("/proc/self/uid_map", &maps.uids), ("/proc/self/gid_map", &maps.gids)] {
        let fd = fs::open(path, fs::O_RDONLY, 0)?;
        let text = fs::read_all(fd.as_fd(), 1 << 16)?;
        let numbers = |text: &str| text.split_whitespace().map(String::from).collect::<Vec<_>>();
        if numbers(&String::from_utf8_lossy(&text)) != numbers(&ids::map_file(ranges)) {
            return Ok(false);
        }
    }
    Ok(true)
}
