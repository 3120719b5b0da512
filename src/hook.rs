//! One hook: a process with the container's state on its standard input, an exact environment and a
//! time limit.

use crate::config::{Hook, HookEnv};
use crate::fault::{Call, Outcome, Refusal};
use crate::host;
use crate::note;
use crate::sys::process::{self as proc, Cloned, Exit};
use crate::sys::{self, Errno, describe, signal};
use crate::time;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a hook that was killed may take to end.
const KILLED: Duration = Duration::from_millis(300);

/// How much of a hook's output is kept for the error message, in bytes.
const OUTPUT_LIMIT: usize = 4096;

/// Run `hook` with `state` on its standard input, in directory `cwd`, and with the environment
/// `inherited` unless it has one of its own: that is asked for in the child, so that no copy of it
/// stays in this process. The refusal is the whole message.
pub fn run(hook: &Hook, state: &str, cwd: &Path, inherited: &dyn Fn() -> Vec<CString>) -> Outcome {
    // Scripts look for runc's words, "error running createRuntime hook #0".
    let named = hook.field.trim_start_matches("hooks.").replace('[', " hook #").replace(']', "");
    let place = |what: String| {
        Refusal::message(format!("{} {}: error running {named}: {what}", hook.field, hook.path))
    };
    let kernel = |call: &'static str| {
        move |errno: Errno| {
            let limit =
                if call == "clone" && errno == Errno::EAGAIN { " (linux.resources.pids.limit?)" } else { "" };
            place(format!("{call}: {}{limit}", describe(errno)))
        }
    };
    let input = state_file(state).map_err(kernel("memfd_create"))?;
    let (output, theirs) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(kernel("pipe2"))?;
    let env = match &hook.env {
        HookEnv::Inherited => Some(None),
        HookEnv::Exactly(env) if hook.traced => {
            let trace = host::trace().into_iter().map(|(name, value)| format!("{name}={value}"));
            strings(&env.iter().cloned().chain(trace).collect::<Vec<_>>()).map(Some)
        }
        HookEnv::Exactly(env) => strings(env).map(Some),
    };
    let args = strings(&hook.args);
    let (args, env) = args.zip(env).ok_or_else(|| place("an argument or variable contains a NUL".into()))?;
    let pidfd = match proc::fork().map_err(kernel("clone"))? {
        Cloned::Child => {
            become_hook(hook, &input, &theirs, cwd, &args, &env.unwrap_or_else(inherited));
        }
        Cloned::Parent { pidfd, pid } => (pidfd, pid),
    };
    drop((input, theirs));
    let (pidfd, pid) = pidfd;
    note::at(|| format!("{} {}", hook.field, hook.path));
    let began = Instant::now();
    let own = hook.timeout_s.and_then(|s| began.checked_add(Duration::from_secs(s)));
    let deadline = own.into_iter().chain(time::limit()).min();
    let mut said = Vec::new();
    let ended = wait_until(&pidfd, &output, deadline, &mut said).map_err(kernel("poll"))?;
    if !ended {
        kill_group(&pidfd, pid);
        let last = Some(Instant::now() + KILLED);
        if !wait_until(&pidfd, &output, last, &mut said).map_err(kernel("poll"))? {
            return Err(place(format!("process {pid} outlives SIGKILL")));
        }
    }
    let exit = proc::wait(pidfd.as_fd()).map_err(kernel("waitid"))?;
    let said = String::from_utf8_lossy(&said);
    let said = if said.trim().is_empty() { String::new() } else { format!(": {}", said.trim()) };
    match exit {
        _ if !ended => Err(place(format!("killed after {:.0} s{said}", began.elapsed().as_secs_f64()))),
        Exit::Status(0) => Ok(()),
        Exit::Status(status) => Err(place(format!("exit status {status}{said}"))),
        Exit::Signal(libc::SIGSYS) => Err(place(format!("ended by SIGSYS, bad system call{said}"))),
        Exit::Signal(signal) => Err(place(format!("ended by signal {signal}{said}"))),
    }
}

/// A file to read the state from: unlike a pipe it never makes the writer wait for a hook that does
/// not read.
fn state_file(state: &str) -> sys::Result<OwnedFd> {
    let fd = nix::sys::memfd::memfd_create(c"state", nix::sys::memfd::MFdFlags::MFD_CLOEXEC)?;
    sys::fs::write_once(fd.as_fd(), state.as_bytes())?;
    nix::unistd::lseek(&fd, 0, nix::unistd::Whence::SeekSet)?;
    Ok(fd)
}

fn strings(list: &[String]) -> Option<Vec<CString>> {
    list.iter().map(|s| CString::new(s.as_str()).ok()).collect()
}

/// In the child: stdio, a session of its own, no other descriptor, execve(2).
fn become_hook(
    hook: &Hook,
    input: &OwnedFd,
    output: &OwnedFd,
    cwd: &Path,
    args: &[CString],
    env: &[CString],
) -> ! {
    let prepare = || -> Outcome {
        nix::unistd::setsid().call(|| "setsid".into())?;
        nix::unistd::chdir(cwd).call(|| "chdir".into())?;
        proc::replace_stdio(input.as_fd(), 0).call(|| "dup2".into())?;
        proc::replace_stdio(output.as_fd(), 1).call(|| "dup2".into())?;
        proc::replace_stdio(output.as_fd(), 2).call(|| "dup2".into())?;
        proc::cloexec_from(3).call(|| "close_range".into())?;
        signal::reset_signals().call(|| "sigprocmask".into())?;
        Err(Refusal::kernel("execve", proc::execve(&hook.path, args, env)))
    };
    if let Err(refusal) = prepare() {
        // Standard error is the pipe to the parent by now, or the caller's.
        let _ = sys::fs::write_once(output.as_fd(), refusal.to_string().as_bytes());
    }
    proc::exit_now(127)
}

/// Collect output until the hook ends; false if the deadline came first.
fn wait_until(
    pidfd: &OwnedFd,
    output: &OwnedFd,
    deadline: Option<Instant>,
    said: &mut Vec<u8>,
) -> sys::Result<bool> {
    let mut open = true;
    loop {
        let left = match deadline {
            None => PollTimeout::NONE,
            Some(at) => match at.checked_duration_since(Instant::now()) {
                None => return Ok(false),
                Some(left) => {
                    PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
                }
            },
        };
        let mut fds = vec![PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
        if open {
            fds.push(PollFd::new(output.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut fds, left) {
            Err(Errno::EINTR) => continue,
            result => result?,
        };
        let ready = |fd: &PollFd<'_>| fd.revents().is_some_and(|r| !r.is_empty());
        let (ended, speaks) = (ready(&fds[0]), fds.get(1).is_some_and(ready));
        if speaks {
            open = take_output(output.as_fd(), said)?;
        }
        // A child that the hook left behind may hold the pipe open, and write to it, for as long as
        // it likes.
        if ended && (!speaks || said.len() == OUTPUT_LIMIT) {
            return Ok(true);
        }
    }
}

/// Read once; false at the end. What exceeds the limit is read and dropped, so that the hook never
/// blocks on it.
fn take_output(output: BorrowedFd<'_>, said: &mut Vec<u8>) -> sys::Result<bool> {
    let mut chunk = [0; OUTPUT_LIMIT];
    let n = nix::unistd::read(output, &mut chunk)?;
    let room = OUTPUT_LIMIT - said.len();
    said.extend_from_slice(&chunk[..n.min(room)]);
    Ok(n > 0)
}

/// The hook leads a session and with it a process group; its pid cannot be reused before it is
/// reaped.
fn kill_group(pidfd: &OwnedFd, pid: i32) {
    let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    let _ = proc::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL);
}
