//! The way into a container whose process has lost its main thread, which has no namespaces any
//! more: by another of its threads.

use crate::sys::process::{has_ended, pidfd_open_thread, setns};
use crate::sys::{Errno, Result, fs};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

/// setns(2) to the namespaces of the process `init`, all of `flags` at once: those of any thread
/// that has not ended.
pub(super) fn enter(init: BorrowedFd<'_>, flags: i32) -> Result<()> {
    match setns(init, flags) {
        Err(Errno::ESRCH) => {}
        entered => return entered,
    }
    let threads = format!("/proc/{}/task", pid_of(init)?);
    for entry in std::fs::read_dir(&threads).map_err(|err| errno(&err))? {
        let name = entry.map_err(|err| errno(&err))?.file_name();
        let id = name.to_str().and_then(|name| name.parse().ok()).ok_or(Errno::EINVAL)?;
        // Before Linux 6.9 there is no descriptor of a thread, but EINVAL.
        let Ok(thread) = pidfd_open_thread(id) else { continue };
        // Asked after the descriptor is open: the thread is this process's, unless it has ended,
        // and then setns(2) refuses it.
        if has_ended(init)? || !Path::new(&threads).join(&name).exists() {
            continue;
        }
        match setns(thread.as_fd(), flags) {
            Err(Errno::ESRCH) => {}
            entered => return entered,
        }
    }
    Err(Errno::ESRCH)
}

/// The pid of a process that has not been reaped, in the pid namespace of /proc.
fn pid_of(pidfd: BorrowedFd<'_>) -> Result<i32> {
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
    let file = fs::open(Path::new(&path), fs::O_RDONLY, 0)?;
    let text = fs::read_all(file.as_fd(), 4096)?;
    let text = String::from_utf8_lossy(&text);
    let pid = text.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
    pid.filter(|pid| *pid > 0).ok_or(Errno::ESRCH)
}

fn errno(err: &std::io::Error) -> Errno {
    Errno::from_raw(err.raw_os_error().unwrap_or(libc::EIO))
}
