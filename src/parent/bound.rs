//! `--timeout`: a bound on the time of a command's own work.
//!
//! The command is a child of this process, which waits for it. When the time is over the child ends
//! with all that it has started, even if it hangs in a file system; and this process, which has
//! opened nothing that may hang, takes back what was made.

use super::foreground::{Signals, deliver};
use super::{delete, salvage};
use crate::host;
use crate::id::Id;
use crate::log;
use crate::note::{self, Mark};
use crate::proc::{cgroup::v2_path, stat};
use crate::state::{Found, Store};
use crate::sys::process::{self, Cloned};
use crate::sys::{Errno, cred};
use anyhow::{Context, Result, anyhow};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long what was killed may take to end, before it is left to itself.
const KILLED: Duration = Duration::from_secs(2);

/// What is to be taken back of a command that was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rescue {
    /// What it leaves can be left.
    Nothing,
    /// The container that it makes.
    Made(Id),
    /// The process that it lets go.
    Started(Id),
    /// That the container is frozen.
    Frozen(Id),
}

/// Do `work` within `time`; its status. What it waited for is the error.
pub fn within(time: Duration, store: &Store, rescue: &Rescue, work: impl FnOnce() -> u8) -> Result<u8> {
    note::open().context("mmap")?;
    let was_running = matches!(rescue, Rescue::Frozen(id) if !is_frozen(store, id));
    let (pid, worker) = match process::clone3(0, None).context("clone3")? {
        Cloned::Child => {
            let _ = cred::set_parent_death_signal(Signal::SIGKILL);
            process::exit_now(work().into())
        }
        Cloned::Parent { pid, pidfd } => (pid, pidfd),
    };
    let signals = Signals::take()?;
    if await_end(&worker, &signals, Instant::now() + time)? {
        return Ok(process::wait(worker.as_fd()).context("waitid")?.code() as u8);
    }
    let _ = process::pidfd_send_signal(worker.as_fd(), libc::SIGSTOP);
    let (what, others) = (note::last(), descendants(pid));
    let frozen = others.iter().find_map(|(pid, _)| frozen_cgroup(*pid));
    let mut trouble = end(pid, &worker, &others);
    let left = match rescue {
        Rescue::Made(id) if note::is_marked(Mark::Made) => take_back(store, id),
        Rescue::Started(id) if note::is_marked(Mark::LetGo) => stop(store, id, &what),
        Rescue::Frozen(id) if was_running => thaw(store, id),
        _ => Ok(Vec::new()),
    };
    trouble.extend(left.unwrap_or_else(|err| vec![log::message(&err)]));
    let what = if what.is_empty() { "itself".into() } else { what };
    let frozen = frozen.map(|path| format!("; cgroup {path} is frozen")).unwrap_or_default();
    let text = format!("not done within {time:?}: it waits for {what}{frozen}");
    Err(match trouble.as_slice() {
        [] => anyhow!(text),
        trouble => anyhow!("{text} [then, cleaning up: {}]", trouble.join("; ")),
    })
}

/// Whether the worker has ended before the deadline, which is none from when its work is done.
fn await_end(worker: &OwnedFd, signals: &Signals, deadline: Instant) -> Result<bool> {
    loop {
        let left = match deadline.checked_duration_since(Instant::now()) {
            _ if note::is_marked(Mark::Done) => PollTimeout::NONE,
            None => return Ok(false),
            Some(left) => PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX),
        };
        let mut fds = [worker.as_fd(), signals.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match poll(&mut fds, left) {
            Err(Errno::EINTR) => continue,
            result => result.context("poll")?,
        };
        if fds[0].any().unwrap_or(false) {
            return Ok(true);
        }
        while let Some((signal, _)) = signals.next()? {
            deliver(worker, signal);
        }
    }
}

/// A process as /proc shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    pid: i32,
    parent: i32,
    /// In clock ticks after boot.
    start: u64,
}

impl Seen {
    fn of(pid: i32) -> Option<Seen> {
        let text = host::read(format!("/proc/{pid}/stat")).ok()?;
        let parent = i32::try_from(stat::field(&text, stat::PARENT)?).ok()?;
        Some(Seen { pid, parent, start: stat::field(&text, stat::STARTTIME)? })
    }

    /// None where the number has become another process's since. A parent may have ended.
    fn open(self) -> Option<(i32, OwnedFd)> {
        let pidfd = process::pidfd_open(self.pid).ok()?;
        (Seen::of(self.pid)?.start == self.start).then_some((self.pid, pidfd))
    }
}

/// All that has come of process `pid`, parents first.
fn descendants(pid: i32) -> Vec<(i32, OwnedFd)> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let all: Vec<Seen> = pids.filter_map(Seen::of).collect();
    let mut found: Vec<Seen> = all.iter().filter(|seen| seen.parent == pid).copied().collect();
    let mut at = 0;
    while at < found.len() {
        let parent = found[at].pid;
        found.extend(all.iter().filter(|seen| seen.parent == parent));
        at += 1;
    }
    found.into_iter().filter_map(Seen::open).collect()
}

/// Kill the worker and all that has come of it; what outlives that.
fn end(pid: i32, worker: &OwnedFd, others: &[(i32, OwnedFd)]) -> Vec<String> {
    let all = || std::iter::once((pid, worker)).chain(others.iter().map(|(pid, fd)| (*pid, fd)));
    for (_, pidfd) in all() {
        let _ = process::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL);
    }
    let deadline = Instant::now() + KILLED;
    let outlives = |(pid, pidfd): (i32, &OwnedFd)| {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let ended = poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], left);
        let place = host::read(format!("/proc/{pid}/wchan")).unwrap_or_default();
        (ended == Ok(0)).then(|| format!("process {pid} outlives SIGKILL, in {place}"))
    };
    let trouble: Vec<String> = all().filter_map(outlives).collect();
    if trouble.is_empty() {
        let _ = process::wait(worker.as_fd());
    }
    trouble
}

/// The cgroup that a process is in, if that is frozen.
pub(super) fn frozen_cgroup(pid: i32) -> Option<String> {
    let text = host::read(format!("/proc/{pid}/cgroup")).ok()?;
    let path = v2_path(&text)?.to_string();
    let events = host::cgroup_root().ok()?.join(path.trim_start_matches('/')).join("cgroup.events");
    host::read(events).ok()?.lines().any(|line| line == "frozen 1").then_some(path)
}

fn is_frozen(store: &Store, id: &Id) -> bool {
    let container = store.find(id).ok().flatten();
    let cgroup = container.and_then(|container| container.state.open_cgroup().ok().flatten());
    cgroup.is_some_and(|cgroup| cgroup.is_frozen())
}

/// As `delete --force` of what a killed command has left.
fn take_back(store: &Store, id: &Id) -> Result<Vec<String>> {
    match store.open_by_force(id)? {
        None => Ok(Vec::new()),
        Some(Found::Container(container)) => delete::destroy(*container),
        Some(Found::Remains(dir, why)) => salvage::clear(dir, id, &why),
    }
}

/// End a process whose start was not done; a poststart hook that fails destroys its container.
fn stop(store: &Store, id: &Id, what: &str) -> Result<Vec<String>> {
    let container = store.open_locked(id)?;
    if what.contains("hooks.poststart") {
        return delete::destroy(container);
    }
    if let Some(init) = container.pidfd()? {
        delete::kill_and_wait(&init, &container.state)?;
    }
    Ok(Vec::new())
}

fn thaw(store: &Store, id: &Id) -> Result<Vec<String>> {
    if let Some(cgroup) = store.open_locked(id)?.state.open_cgroup()?
        && cgroup.is_frozen()
    {
        cgroup.thaw()?;
    }
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_another_process_has_by_now_is_left_alone() {
        let own = Seen::of(std::process::id() as i32).unwrap();
        assert!(own.start > 0 && own.open().is_some());
        assert!(Seen { start: own.start - 1, ..own }.open().is_none());
    }
}
