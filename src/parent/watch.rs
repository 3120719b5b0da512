//! A listener of this program's own for the calls of a container: it answers each as the filter
//! would have, and tells of it.
//!
//! It is a process of its own: calls wait for it, and it must outlive a command that is killed. It
//! ends when the last process under the filter has.

mod capabilities;
mod explain;
mod files;
mod places;
mod record;
mod victim;

pub use explain::{Blame, Explain};
pub use places::{DeviceFilter, Places};
pub use record::Record;

use crate::config::seccomp::{Action, Seccomp};
use crate::log::Log;
use crate::plan::seccomp::judge::{Call, Judge};
use crate::sys::notification::{self, Answer, Notification};
use crate::sys::process::{self, Cloned};
use crate::sys::{Errno, describe};
use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::BTreeSet;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use victim::Victim;

/// What is watched, and for whom.
#[derive(Debug)]
pub struct Watching {
    /// The container's filter.
    pub profile: Seccomp,
    pub log: Log,
    /// Tells of refusals.
    pub explain: Option<Explain>,
    /// Writes down what is used.
    pub record: Option<Record>,
    /// Whether the caller waits for the container. What it has as standard error is left to it
    /// otherwise: engines read that to its end.
    pub is_awaited: bool,
}

/// The process that listens.
#[derive(Debug)]
pub struct Watcher {
    pidfd: OwnedFd,
}

/// How long it may take to tell the last of what it knows, in milliseconds.
const LAST_WORDS_MS: u16 = 5000;

impl Watcher {
    /// Answer what comes to `listener`.
    pub fn start(listener: &OwnedFd, watching: Watching) -> Result<Watcher> {
        let judge = Judge::new(&watching.profile)?;
        match process::clone3(0, None).context("clone3 of the listener")? {
            Cloned::Child => {
                // Whoever reads what the container writes waits for it alone.
                let record = watching.record.as_ref().map(Record::descriptor);
                let stderr = watching.is_awaited.then_some(2);
                let _ = close_all_but(record.into_iter().chain(stderr).chain([listener.as_raw_fd()]));
                let log = watching.log.anywhere();
                let _ = stderr.map_or_else(apart, |_| Ok(()));
                serve(listener.as_fd(), &judge, Watching { log, ..watching });
                process::exit_now(0)
            }
            Cloned::Parent { pidfd, .. } => Ok(Watcher { pidfd }),
        }
    }

    /// Wait until it has told all, if the container's processes have ended; whether it has.
    pub fn wait(&self) -> bool {
        let mut ended = [PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN)];
        loop {
            match poll(&mut ended, LAST_WORDS_MS) {
                Err(Errno::EINTR) => {}
                count => return count.is_ok_and(|count| count > 0),
            }
        }
    }
}

/// Without the caller's standard error, and in no folder that somebody may want to unmount. Nor in
/// a session that ends with the caller: without a listener the kernel refuses every call that it is
/// to hear of.
fn apart() -> crate::sys::Result<()> {
    nix::unistd::setsid()?;
    nix::unistd::chdir("/")?;
    process::plug(2)
}

fn close_all_but(kept: impl Iterator<Item = RawFd>) -> crate::sys::Result<()> {
    let mut next = 0;
    for fd in kept.collect::<BTreeSet<RawFd>>() {
        process::close_between(next, fd)?;
        next = fd + 1;
    }
    process::close_from(next)
}

fn serve(listener: BorrowedFd<'_>, judge: &Judge, mut watching: Watching) {
    loop {
        let mut fds = [PollFd::new(listener, PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            Err(_) => break,
            Ok(_) => {}
        }
        let events = fds[0].revents().unwrap_or(PollFlags::POLLHUP);
        if events.contains(PollFlags::POLLIN) {
            match notification::receive(listener) {
                Ok(told) => take(listener, judge, &mut watching, &told),
                Err(Errno::ENOENT | Errno::EINTR) => {}
                Err(errno) => {
                    watching.log.warning(&format!("the listener of system calls: {}", describe(errno)));
                    break;
                }
            }
        } else if events.intersects(PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL) {
            break;
        }
    }
    if let Some(explain) = &watching.explain {
        explain.end(&watching.log);
    }
    if let Some(Err(err)) = watching.record.as_mut().map(Record::write) {
        watching.log.warning(&crate::log::message(&err));
    }
}

/// Answer one call, and tell of it first: who is refused may be about to end.
fn take(listener: BorrowedFd<'_>, judge: &Judge, watching: &mut Watching, told: &Notification) {
    let Notification { id, thread, number, arch, instruction, args } = *told;
    let call = Call { number, arch, instruction, args };
    let action = judge.action(&call);
    let victim = Victim { thread, id, listener };
    match (&mut watching.explain, action.refusal()) {
        (Some(explain), Some(_)) => explain.tell(&victim, &call, action, judge, &watching.log),
        (Some(explain), None) => explain.tell_of_files(&victim, &call, &watching.log),
        (None, _) => {}
    }
    if let Some(record) = &mut watching.record {
        record.note(&victim, &call, action);
    }
    // One that has ended needs no answer.
    let _ = notification::answer(listener, id, answer(action));
}

fn answer(action: Action) -> Answer {
    action.refusal().map_or(Answer::Goes, Answer::Fails)
}
