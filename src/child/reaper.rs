//! The init that a container may ask for: PID 1 that starts the process as its child, passes
//! signals on to it, reaps orphans and ends as the child does.
//!
//! It is this program, executed anew: nothing of the command that made the container is left in its
//! memory. It has the process's own user, capabilities, labels and filter, and no descriptor.

use crate::sys::process as proc;
use crate::sys::{Errno, describe, image, signal, to_stderr};
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStringExt;

/// The name by which this program is called to be an init. The path of the process and its
/// arguments follow; nothing does where there is no process, and the container is for others to
/// join.
pub const NAME: &CStr = c"knarr-init";

/// What stands before the reason that execve(2) will have for failing, where that is foreseen. No
/// path is so called: each has a slash.
pub const WHY: &CStr = c"why";

/// Statuses of a process that could not be executed, as of a shell.
const NOT_FOUND: i32 = 127;
const NOT_EXECUTABLE: i32 = 126;

/// Be the init, if this program was called so.
pub fn main() {
    let mut args = std::env::args_os();
    if args.next().is_none_or(|name| name.as_encoded_bytes() != NAME.to_bytes()) {
        return;
    }
    let words: Vec<CString> = args.filter_map(|word| CString::new(word.into_vec()).ok()).collect();
    let (why, words) = match words.as_slice() {
        [mark, why, words @ ..] if mark.as_c_str() == WHY => (why.to_string_lossy(), words),
        words => ("".into(), words),
    };
    let ended = signal::block_all().and_then(|()| match words.split_first() {
        Some((path, args)) => attend(path, args, &why),
        None => pause(),
    });
    match ended {
        Ok(status) => proc::exit_now(status),
        Err(errno) => {
            to_stderr(&format!("knarr-init: {}\n", describe(errno)));
            proc::exit_now(NOT_EXECUTABLE)
        }
    }
}

/// Start the process and stay until it has ended; its status.
fn attend(path: &CString, args: &[CString], why: &str) -> Result<i32, Errno> {
    let own = std::process::id();
    if own != 1 {
        // Without a pid namespace orphans are somebody else's, unless one says so.
        signal::adopt_orphans()?;
    }
    let Some(pid) = signal::fork()? else { become_process(path, args, own, why) };
    // Whoever waits for the end of the container's output must not wait for this.
    proc::close_from(0)?;
    loop {
        // It may wait for long, and needs next to none of its code meanwhile.
        image::forget_code();
        match signal::next()? {
            libc::SIGCHLD => {
                while let Some((child, exit)) = signal::reap()? {
                    if child == pid {
                        return Ok(exit.code());
                    }
                }
            }
            // The terminal stops whoever uses it in the background. That is not this process.
            libc::SIGTTIN | libc::SIGTTOU => {}
            number => match signal::send(pid, number) {
                Ok(()) | Err(Errno::ESRCH | Errno::EPERM) => {}
                Err(errno) => return Err(errno),
            },
        }
    }
}

/// Reap orphans, until a signal asks for the end.
fn pause() -> Result<i32, Errno> {
    proc::close_from(0)?;
    loop {
        image::forget_code();
        match signal::next()? {
            libc::SIGCHLD => while signal::reap()?.is_some() {},
            libc::SIGTERM | libc::SIGINT => return Ok(0),
            _ => {}
        }
    }
}

/// In the child: have the terminal, if there is one, and execute the process.
fn become_process(path: &CString, args: &[CString], parent: u32, why: &str) -> ! {
    crate::sys::tty::take_foreground();
    let mut env = proc::environment();
    // sd_listen_fds(3): for whom the descriptors are.
    let (ours, its) = [parent, std::process::id()].map(|pid| format!("LISTEN_PID={pid}").into_bytes()).into();
    for entry in env.iter_mut().filter(|entry| entry.as_bytes() == ours) {
        *entry = CString::new(its.clone()).unwrap_or_default();
    }
    let refused = signal::reset_signals().map_or_else(|errno| errno, |()| execute(path, args, &env));
    let fits = !why.is_empty() && matches!(refused, Errno::ENOENT | Errno::ENOEXEC | Errno::ELIBBAD);
    let why = if fits { format!(": {why}") } else { String::new() };
    to_stderr(&format!("knarr-init: exec: {path:?}{why}: {}\n", describe(refused)));
    proc::exit_now(if refused == Errno::ENOENT { NOT_FOUND } else { NOT_EXECUTABLE })
}

fn execute(path: &CString, args: &[CString], env: &[CString]) -> Errno {
    match nix::unistd::execve(path, args, env) {
        Err(errno) => errno,
    }
}
