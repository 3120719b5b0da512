//! A copy of the shim that goes on where the shim is killed, if `ShimGroup` asks for one shim for
//! many containers.
//!
//! It is a child by clone3(2) that waits for the shim's end, and is made anew after each turn in
//! which something has changed. So it has the shim's memory and all of its descriptors: containerd
//! sees no connection end. Only what the last turn did is not in it; the calls of that turn the
//! shim has noted before.

use super::api::Options;
use super::job::Undone;
use super::lifecycle::Task;
use super::process::{Caller, Container, Ended, Key, Process, UNKNOWN};
use super::server::{Pending, Shim};
use super::stdio::Stdio;
use super::wire::{Refused, code};
use crate::log::say;
use crate::protobuf::{Declared, declare};
use crate::sys::process::{self, Cloned};
use crate::sys::{Errno, describe, fs, pidfd, signal};
use anyhow::{Context, Result};
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant, SystemTime};

/// One shim after the other that is killed at once would be no use.
const LIFE_MIN: Duration = Duration::from_secs(1);

/// How long who has got an orphan may take to reap it.
pub(super) const REAPING: Duration = Duration::from_secs(1);

/// What a pipe holds (pipe(7)).
const NOTES_MAX: usize = 64 << 10;

declare! {
    /// A call that the copy does not know of; of a container that it makes, where that is.
    struct Note { connection: i64 = 1, stream: u32 = 2, id: String = 3, bundle: String = 4, root: String = 5 }
}

impl Note {
    /// Of a call.
    pub fn of(caller: Caller) -> Note {
        Note { connection: caller.connection as i64, stream: caller.stream, ..Note::default() }
    }

    fn caller(&self) -> Caller {
        Caller { connection: self.connection as u64, stream: self.stream }
    }
}

/// A pipe whose ends stay in one process.
#[derive(Debug)]
struct Notes {
    read: OwnedFd,
    write: OwnedFd,
}

impl Notes {
    fn new() -> Result<Notes> {
        let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).context("pipe2")?;
        Ok(Notes { read, write })
    }
}

/// What a shim has ready for its own end.
#[derive(Debug)]
pub struct Understudy {
    /// Refers to the shim.
    shim: OwnedFd,
    since: Instant,
    /// One byte: whoever gets it goes on.
    token: Notes,
    /// The calls of which the copy does not know.
    notes: Notes,
    copy: Option<(i32, OwnedFd)>,
    /// Copies that were sent away, until they are reaped.
    retired: Vec<i32>,
}

impl Understudy {
    /// Of this process; the copy is made later.
    pub fn new() -> Result<Understudy> {
        let token = Notes::new()?;
        fs::write_once(token.write.as_fd(), &[0]).context("write to a pipe")?;
        Ok(Understudy {
            shim: process::pidfd_open(nix::unistd::getpid().as_raw()).context("pidfd_open")?,
            since: Instant::now(),
            token,
            notes: Notes::new()?,
            copy: None,
            retired: Vec::new(),
        })
    }

    /// Note a call, before it is done; and once more what it makes, before that is begun.
    pub fn note(&self, note: &Note) {
        let data = note.encode();
        let mut framed = (data.len() as u32).to_le_bytes().to_vec();
        framed.extend_from_slice(&data);
        // Whole or not at all (pipe(7)). Of a full pipe: the calls that do not fit are not answered
        // if the shim is killed now.
        let _ = fs::write_once(self.notes.write.as_fd(), &framed);
    }

    fn noted(&self) -> Vec<Note> {
        let mut data = vec![0; NOTES_MAX];
        let length = nix::unistd::read(&self.notes.read, &mut data).unwrap_or(0);
        let (mut rest, mut notes) = (&data[..length], Vec::new());
        while let Some((length, after)) = rest.split_first_chunk()
            && let Some((note, after)) = after.split_at_checked(u32::from_le_bytes(*length) as usize)
        {
            notes.extend(Note::decode(note));
            rest = after;
        }
        notes
    }

    /// Whether a child that has ended was a copy. If it was the one that is there, another is
    /// wanted.
    pub fn is_copy(&mut self, pid: i32) -> bool {
        if self.copy.as_ref().is_some_and(|(copy, _)| *copy == pid) {
            self.copy = None;
            return true;
        }
        let count = self.retired.len();
        self.retired.retain(|retired| *retired != pid);
        self.retired.len() != count
    }

    /// Whether there is one.
    pub fn is_there(&self) -> bool {
        self.copy.is_some()
    }

    /// Send the copy away.
    pub fn retire(&mut self) {
        if let Some((pid, pidfd)) = self.copy.take() {
            let _ = process::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL);
            self.retired.push(pid);
        }
    }

    /// In the copy: wait until the shim is gone. Of several that wait one returns.
    fn wait(&self) {
        let mut fds = [PollFd::new(self.shim.as_fd(), PollFlags::POLLIN)];
        while poll(&mut fds, PollTimeout::NONE) == Err(Errno::EINTR) {}
        if nix::unistd::read(&self.token.read, &mut [0]) != Ok(1) {
            process::exit_now(0);
        }
        std::thread::sleep(LIFE_MIN.saturating_sub(self.since.elapsed()));
    }
}

impl Shim {
    /// Have a copy that knows all that has happened until now. It returns in the copy, too, once
    /// that is the shim.
    pub(super) fn rehearse(&mut self) -> Result<()> {
        self.is_changed = false;
        let Some(understudy) = &mut self.understudy else { return Ok(()) };
        let before = std::mem::replace(&mut understudy.notes, Notes::new()?);
        match process::clone3(0, None) {
            Ok(Cloned::Parent { pid, pidfd }) => {
                understudy.retire();
                understudy.copy = Some((pid, pidfd));
            }
            Ok(Cloned::Child) => {
                drop(before);
                understudy.wait();
                self.take_over()?;
            }
            Err(errno) => {
                understudy.notes = before;
                say(&format!("clone3 of the understudy: {}", describe(errno)));
            }
        }
        Ok(())
    }

    /// The shim was killed: go on in its place.
    fn take_over(&mut self) -> Result<()> {
        say("the shim was killed; its copy goes on");
        let lost = self.understudy.take().map_or(Vec::new(), |understudy| understudy.noted());
        self.understudy = Some(Understudy::new()?);
        self.is_changed = true;
        signal::adopt_orphans().context("PR_SET_CHILD_SUBREAPER")?;
        for process in self.processes.values_mut().filter(|process| process.pid != 0) {
            process.is_foreign = true;
        }
        self.pending.values_mut().for_each(|pending| pending.is_foreign = true);
        self.publisher.begin_anew();
        let (made, calls): (Vec<Note>, Vec<Note>) = lost.into_iter().partition(|note| !note.id.is_empty());
        for note in calls.iter().filter(|note| made.iter().all(|made| made.caller() != note.caller())) {
            let text = "the shim was killed; whether this was done is not known";
            self.reply(note.caller(), Err(Refused::new(code::UNAVAILABLE, text)));
        }
        made.into_iter().for_each(|note| self.unmake(note));
        Ok(())
    }

    /// Take away what a job has made of a container of which nobody knows.
    fn unmake(&mut self, note: Note) {
        let asker = note.caller();
        let key = self.number();
        self.processes.insert(key, Process::new(&note.id, "", Stdio::default()));
        let mut container = Container::new(&note.bundle, Options::default(), note.root.into(), key);
        (container.asker, container.is_abandoned) = (Some(asker), true);
        self.containers.insert(note.id, container);
        self.begin_deletion(key, Caller::NOBODY);
    }

    /// What a job of the shim that was killed has made is nobody's child here.
    pub(super) fn look_after(&mut self, key: Key) {
        let Some(process) = self.processes.get_mut(&key).filter(|process| process.pid != 0) else { return };
        process.is_foreign = true;
        if process.pidfd.is_none() && process.ended.is_none() {
            process.ended = Some(Ended { status: UNKNOWN, at: SystemTime::now() });
        }
    }

    /// A process that is nobody's child here has ended. Who has got it reaps it; only then the
    /// kernel tells how it ended.
    pub(super) fn take_end(&mut self, key: Key) {
        let Some(process) = self.processes.get_mut(&key) else { return };
        let Some(pidfd) = process.pidfd.as_ref().filter(|_| process.ended.is_none()) else { return };
        let at = SystemTime::now();
        let status = match pidfd::exit_of_reaped(pidfd.as_fd()) {
            Ok(Some(exit)) => exit.code() as u32,
            Ok(None) if process.reaped_until.is_none_or(|until| Instant::now() < until) => {
                process.reaped_until.get_or_insert_with(|| Instant::now() + REAPING);
                return;
            }
            Ok(None) | Err(_) => UNKNOWN,
        };
        process.ended = Some(Ended { status, at });
        self.tell_end(key);
    }

    /// Go on without those that reap nothing.
    pub(super) fn take_late_ends(&mut self) {
        let now = Instant::now();
        let is_late = |until: Option<Instant>| until.is_some_and(|until| until <= now);
        let late = self.processes.iter().filter(|(_, process)| process.waits_for_reaping());
        let keys: Vec<Key> =
            late.filter(|(_, process)| is_late(process.reaped_until)).map(|(key, _)| *key).collect();
        keys.into_iter().for_each(|key| self.take_end(key));
    }

    /// A job was killed, by whomever: what it had made goes, or, if it was taking something away,
    /// another goes on. True if that is all there is to do.
    pub(super) fn mend(&mut self, pending: &Pending, undone: Option<&Undone>) -> bool {
        let Some(Undone::Killed) = undone else { return false };
        match &pending.task {
            Task::Create(request) => {
                let Some(container) = self.containers.get_mut(&request.id) else { return false };
                let init = container.init;
                container.is_abandoned = true;
                container.asker = Some(pending.caller);
                self.begin_deletion(init, Caller::NOBODY);
                true
            }
            Task::Delete(key) if pending.is_foreign => {
                self.begin_deletion(*key, pending.caller);
                true
            }
            _ => false,
        }
    }
}
