//! The loop: one thread that waits for everything at once, and for nothing else.

use super::api::{Options, Request, SANDBOX_SERVICE, TASK_SERVICES};
use super::connection::Connection;
use super::job::Job;
use super::lifecycle::Task;
use super::process::{Caller, Container, Ended, Key, Process};
use super::publisher::Publisher;
use super::understudy::{Note, Understudy};
use super::wire::{Frame, PAYLOAD_MAX, Refused, code, kind, response};
use crate::protobuf::Declared;
use crate::sys::{Errno, describe, signal, socket};
use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

/// How long the last events and answers may take.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How long a shim that is many containers' waits for another one, which may be about to come: its
/// `start` has answered with this shim's address.
const IDLE: Duration = Duration::from_secs(3);

/// What poll(2) waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Listener,
    Signals,
    Connection(u64),
    Publisher,
    Job(u64),
    /// Of a process, by its place.
    Pump(Key, usize),
    /// Processes killed for memory, of the container whose first process this is.
    Kills(Key),
    /// The end of a process that is nobody's child here.
    End(Key),
}

/// A child at work, for what and for whom.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) job: Job,
    pub(super) task: Task,
    pub(super) caller: Caller,
    /// Whether a shim has begun it that was killed.
    pub(super) is_foreign: bool,
}

/// A process that is to be forgotten as soon as its output has gone where it goes.
#[derive(Debug)]
pub(super) struct Deletion {
    pub(super) process: Key,
    pub(super) caller: Caller,
    pub(super) deadline: Instant,
}

/// A shim at work.
#[derive(Debug)]
pub struct Shim {
    /// containerd's namespace.
    pub(super) namespace: String,
    /// What it was started with: those of a sandbox, which has no others.
    pub(super) options: Options,
    /// Where clients connect, and what is removed at the end.
    listener: OwnedFd,
    path: PathBuf,
    signals: SignalFd,
    connections: BTreeMap<u64, Connection>,
    pub(super) pending: BTreeMap<u64, Pending>,
    pub(super) deletions: Vec<Deletion>,
    pub(super) containers: BTreeMap<String, Container>,
    pub(super) processes: BTreeMap<Key, Process>,
    pub(super) publisher: Publisher,
    /// Processes that have ended while a job may be about to say that it has made them.
    pub(super) strays: BTreeMap<i32, Ended>,
    /// The last number that was given.
    last: u64,
    /// When to end if nothing comes until then.
    idle_until: Option<Instant>,
    /// Until when what is left to say may take.
    pub(super) ending: Option<Instant>,
    /// Who goes on if it is killed; none unless that is asked for.
    pub(super) understudy: Option<Understudy>,
    /// Whether something has happened that this one does not know.
    pub(super) is_changed: bool,
}

/// The signals that a shim hears of. What is a fault of its own ends it.
fn hear_signals() -> Result<SignalFd> {
    let mut set = signal::all();
    for own in
        [Signal::SIGKILL, Signal::SIGSTOP, Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGILL, Signal::SIGFPE]
    {
        set.remove(own);
    }
    set.thread_block().context("sigprocmask")?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).context("signalfd")
}

impl Shim {
    /// One that serves `listener`, which is bound to `path`.
    pub fn new(listener: OwnedFd, path: PathBuf, publisher: Publisher, options: Options) -> Result<Shim> {
        signal::adopt_orphans().context("PR_SET_CHILD_SUBREAPER")?;
        Ok(Shim {
            namespace: publisher.namespace().into(),
            options,
            listener,
            path,
            signals: hear_signals()?,
            connections: BTreeMap::new(),
            pending: BTreeMap::new(),
            deletions: Vec::new(),
            containers: BTreeMap::new(),
            processes: BTreeMap::new(),
            publisher,
            strays: BTreeMap::new(),
            last: 0,
            idle_until: None,
            ending: None,
            understudy: None,
            is_changed: true,
        })
    }

    /// Have somebody who goes on if this process is killed.
    pub fn with_understudy(self) -> Result<Shim> {
        Ok(Shim { understudy: Some(Understudy::new()?), ..self })
    }

    /// Serve until there is nothing left to do.
    pub fn serve(&mut self) -> Result<()> {
        let served = self.turns();
        self.understudy.as_mut().into_iter().for_each(Understudy::retire);
        // At its proper end it was removed when that began, and may be the next one's by now.
        if self.ending.is_none() {
            let _ = std::fs::remove_file(&self.path);
        }
        served
    }

    fn turns(&mut self) -> Result<()> {
        while !self.is_over() {
            while self.is_changed {
                self.rehearse()?;
            }
            self.turn()?;
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        let is_said = || self.publisher.is_idle() && self.connections.values().all(Connection::is_flushed);
        self.ending.is_some_and(|until| is_said() || Instant::now() >= until)
    }

    /// End, unless there is a container or may soon be one.
    pub(super) fn end(&mut self) {
        if self.understudy.is_some() {
            self.idle_until = Some(Instant::now() + IDLE);
        } else {
            self.end_now();
        }
    }

    fn end_if_idle(&mut self) {
        if self.idle_until.is_none_or(|until| Instant::now() < until) {
            return;
        }
        self.idle_until = None;
        if self.connections.is_empty() {
            self.end_now();
        } else if self.containers.is_empty() {
            self.end();
        }
    }

    fn end_now(&mut self) {
        if self.containers.is_empty() && self.ending.is_none() {
            // Who starts the next one does not find this one.
            let _ = std::fs::remove_file(&self.path);
            self.ending = Some(Instant::now() + LAST_WORDS);
        }
    }

    /// A number that is not used yet.
    pub(super) fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Wait for something, and do it.
    fn turn(&mut self) -> Result<()> {
        let timeout = self.timeout();
        let ready: Vec<(Source, PollFlags)> = {
            let (sources, mut fds): (Vec<_>, Vec<_>) = self
                .watched()
                .into_iter()
                .map(|(source, fd, flags)| (source, PollFd::new(fd, flags)))
                .unzip();
            match poll(&mut fds, timeout) {
                Err(Errno::EINTR) => return Ok(()),
                polled => polled.context("poll")?,
            };
            let flags = fds.iter().map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
            sources.into_iter().zip(flags).filter(|(_, flags)| !flags.is_empty()).collect()
        };
        for (source, flags) in ready {
            self.attend(source, flags)?;
        }
        self.publisher.advance();
        self.take_late_ends();
        self.end_if_idle();
        self.delete_drained();
        Ok(())
    }

    fn timeout(&self) -> PollTimeout {
        let deadlines = self.deletions.iter().map(|deletion| deletion.deadline);
        let late = self.processes.values().filter(|process| process.waits_for_reaping());
        let late = late.filter_map(|process| process.reaped_until);
        let next = deadlines.chain(self.publisher.deadline()).chain(self.ending).chain(self.idle_until);
        let next = next.chain(late).min();
        next.map_or(PollTimeout::NONE, |at| {
            // Rounded up to milliseconds, or the last one would be spent polling.
            let left = at.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        })
    }

    fn watched(&self) -> Vec<(Source, BorrowedFd<'_>, PollFlags)> {
        let mut all = vec![(Source::Signals, self.signals.as_fd(), PollFlags::POLLIN)];
        if self.ending.is_none() {
            all.push((Source::Listener, self.listener.as_fd(), PollFlags::POLLIN));
        }
        for (number, connection) in &self.connections {
            let (fd, flags) = connection.interest();
            all.push((Source::Connection(*number), fd, flags));
        }
        all.extend(self.publisher.interest().map(|(fd, flags)| (Source::Publisher, fd, flags)));
        all.extend(self.pending.iter().map(|(n, p)| (Source::Job(*n), p.job.as_fd(), PollFlags::POLLIN)));
        for (key, process) in &self.processes {
            let pumps = process.streams.pumps.iter().enumerate();
            all.extend(pumps.filter_map(|(n, pump)| {
                pump.interest().map(|(fd, flags)| (Source::Pump(*key, n), fd, flags))
            }));
        }
        for (key, process) in self.processes.iter().filter(|(_, process)| process.is_foreign) {
            // Once it has ended: when it is reaped, which POLLHUP tells, that is always waited for.
            let flags = if process.reaped_until.is_some() { PollFlags::empty() } else { PollFlags::POLLIN };
            let pidfd = process.pidfd.as_ref().filter(|_| process.ended.is_none());
            all.extend(pidfd.map(|pidfd| (Source::End(*key), pidfd.as_fd(), flags)));
        }
        for container in self.containers.values() {
            let kills = container.kills.as_ref().and_then(crate::cgroup::Kills::as_fd);
            all.extend(kills.map(|fd| (Source::Kills(container.init), fd, PollFlags::POLLPRI)));
        }
        all
    }

    fn attend(&mut self, source: Source, flags: PollFlags) -> Result<()> {
        self.is_changed |= matches!(
            source,
            Source::Listener | Source::Connection(_) | Source::Job(_) | Source::End(_) | Source::Kills(_)
        );
        match source {
            Source::Listener => self.accept(),
            Source::Signals => self.take_signals()?,
            Source::Connection(number) => self.hear(number, flags),
            Source::Publisher => self.publisher.attend(flags),
            Source::Job(number) => self.hear_job(number),
            Source::Pump(key, n) => {
                let pump = self.processes.get_mut(&key).and_then(|process| process.streams.pumps.get_mut(n));
                if let Some(pump) = pump {
                    pump.go();
                    // A copy that has a fifo open keeps it from ending.
                    self.is_changed |= pump.is_done();
                }
            }
            Source::Kills(init) => self.tell_kills(init),
            Source::End(key) => self.take_end(key),
        }
        Ok(())
    }

    fn accept(&mut self) {
        match socket::accept_without_waiting(self.listener.as_fd()) {
            Ok(fd) => {
                let number = self.number();
                self.connections.insert(number, Connection::new(fd));
            }
            // Whoever was there has gone.
            Err(Errno::EAGAIN | Errno::ECONNABORTED) => {}
            Err(errno) => {
                crate::log::say(&format!("accept: {}", describe(errno)));
                // For want of descriptors or memory: others are served meanwhile.
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }

    fn take_signals(&mut self) -> Result<()> {
        while let Some(info) = self.signals.read_signal().context("read signalfd")? {
            if [libc::SIGTERM, libc::SIGINT].contains(&(info.ssi_signo as i32)) {
                self.end();
            }
        }
        self.reap()
    }

    /// Reap all that has ended. Processes of `exec` are told of before the first one of their
    /// container.
    pub(super) fn reap(&mut self) -> Result<()> {
        let mut seen = Vec::new();
        while let Some((pid, exit)) = signal::reap().context("waitid")? {
            if let Some(understudy) = &mut self.understudy
                && understudy.is_copy(pid)
            {
                self.is_changed |= !understudy.is_there();
                continue;
            }
            let ended = Ended { status: exit.code() as u32, at: SystemTime::now() };
            match self.processes.iter_mut().find(|(_, process)| process.pid == pid && process.ended.is_none())
            {
                Some((key, process)) => {
                    process.ended = Some(ended);
                    seen.push((process.exec_id.is_empty(), *key));
                    self.is_changed = true;
                }
                None => drop(self.strays.insert(pid, ended)),
            }
        }
        if self.pending.is_empty() {
            self.strays.clear();
        }
        seen.sort_unstable();
        seen.into_iter().for_each(|(_, key)| self.tell_end(key));
        Ok(())
    }

    fn hear(&mut self, number: u64, flags: PollFlags) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let mut is_open = connection.flush();
        if flags.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
            is_open &= connection.read();
        }
        while let Some(frame) =
            self.connections.get_mut(&number).and_then(|connection| connection.inbox.take())
        {
            self.take_frame(number, frame);
        }
        if !is_open {
            self.forget_connection(number);
        }
    }

    fn take_frame(&mut self, connection: u64, frame: Frame) {
        let (stream, answer) = match frame {
            Frame::Oversized { stream, length } => {
                let text = format!("message length {length} exceeds the maximum of {PAYLOAD_MAX}");
                (stream, Err(Refused::new(code::RESOURCE_EXHAUSTED, text)))
            }
            // Data of a stream, which no call here has.
            Frame::Whole { kind, .. } if kind != kind::REQUEST => return,
            Frame::Whole { stream, .. } if stream % 2 == 0 => {
                (stream, Err(Refused::new(code::INVALID_ARGUMENT, "the number of a client's stream is odd")))
            }
            Frame::Whole { stream, payload, .. } => {
                let caller = Caller { connection, stream };
                self.understudy.iter().for_each(|understudy| understudy.note(&Note::of(caller)));
                let answer = match Request::decode(&payload) {
                    None => Err(Refused::new(code::INVALID_ARGUMENT, "the request is not well formed")),
                    Some(request) => self.route(caller, &request),
                };
                match answer {
                    Ok(None) => return,
                    Ok(Some(answer)) => (stream, Ok(answer)),
                    Err(refused) => (stream, Err(refused)),
                }
            }
        };
        self.reply(Caller { connection, stream }, answer);
    }

    fn route(&mut self, caller: Caller, request: &Request) -> std::result::Result<Option<Vec<u8>>, Refused> {
        match request.service.as_str() {
            service if TASK_SERVICES.contains(&service) => {
                self.call(caller, &request.method, &request.payload)
            }
            SANDBOX_SERVICE => self.call_sandbox(caller, &request.method, &request.payload),
            service => Err(Refused::new(code::UNIMPLEMENTED, format!("service {service}"))),
        }
    }

    /// Answer a call. Who has gone is not told.
    pub(super) fn reply(&mut self, caller: Caller, answer: std::result::Result<Vec<u8>, Refused>) {
        let Some(connection) = self.connections.get_mut(&caller.connection) else { return };
        if !connection.send(&response(caller.stream, answer)) {
            self.forget_connection(caller.connection);
        }
    }

    /// Whether a caller is still there.
    pub(super) fn is_connected(&self, caller: Caller) -> bool {
        self.connections.contains_key(&caller.connection)
    }

    fn forget_connection(&mut self, number: u64) {
        self.connections.remove(&number);
        for process in self.processes.values_mut() {
            process.waiting.retain(|caller| caller.connection != number);
            process.stopping.retain(|caller| caller.connection != number);
        }
    }
}
