//! What a shim knows of its containers and their processes.

use super::api::{Options, StateResponse, Timestamp, status};
use super::stdio::{Stdio, Streams};
use crate::cgroup::{Cgroup, Kills};
use crate::state::Dir;
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

/// A process, by a number that is never used again.
pub type Key = u64;

/// Who has asked: a connection, and the call on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The connection.
    pub connection: u64,
    /// The call.
    pub stream: u32,
}

impl Caller {
    /// Of what the shim does unasked.
    pub const NOBODY: Caller = Caller { connection: 0, stream: 0 };
}

/// The exit status of a process of which nobody knows how it has ended, containerd's
/// `UnknownExitStatus`.
pub const UNKNOWN: u32 = 255;

/// How and when a process has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// As a shell gives it.
    pub status: u32,
    /// When it was reaped.
    pub at: SystemTime,
}

impl Ended {
    /// The time, as it is told.
    pub fn time(&self) -> Option<Timestamp> {
        Some(self.at.into())
    }
}

/// How far a process has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It is asked for; a container's waits in it.
    Made,
    /// A job starts it. If it ends meanwhile, that is told after it has started.
    Starting,
    /// It runs, or has ended.
    Started,
}

/// A container's first process, or one of `exec`.
#[derive(Debug)]
pub struct Process {
    /// The container.
    pub container: String,
    /// Empty for the first one.
    pub exec_id: String,
    /// 0 until there is one.
    pub pid: i32,
    /// Refers to it.
    pub pidfd: Option<OwnedFd>,
    /// How far it has come.
    pub phase: Phase,
    /// Its end, once it is seen.
    pub ended: Option<Ended>,
    /// Whether it is the child of a shim that was killed.
    pub is_foreign: bool,
    /// Of such a one that has ended: until when somebody else may take to reap it.
    pub reaped_until: Option<Instant>,
    /// Whether its end is told.
    pub is_told: bool,
    /// Who waits for its end.
    pub waiting: Vec<Caller>,
    /// Who has asked to forget it while that was under way.
    pub forgetting: Vec<Caller>,
    /// Who has had it killed and waits for its end: `StopSandbox`.
    pub stopping: Vec<Caller>,
    /// Where its input comes from and its output goes.
    pub stdio: Stdio,
    /// The same, open.
    pub streams: Streams,
    /// The other end of its terminal.
    pub terminal: Option<OwnedFd>,
    /// Of `exec`: the process, in JSON.
    pub spec: Vec<u8>,
}

impl Process {
    /// One that is asked for.
    pub fn new(container: &str, exec_id: &str, stdio: Stdio) -> Process {
        Process {
            container: container.into(),
            exec_id: exec_id.into(),
            pid: 0,
            pidfd: None,
            phase: Phase::Made,
            ended: None,
            is_foreign: false,
            reaped_until: None,
            is_told: false,
            waiting: Vec::new(),
            forgetting: Vec::new(),
            stopping: Vec::new(),
            stdio,
            streams: Streams::default(),
            terminal: None,
            spec: Vec::new(),
        }
    }

    /// Whether it has ended and is somebody else's to reap.
    pub fn waits_for_reaping(&self) -> bool {
        self.reaped_until.is_some() && self.ended.is_none()
    }

    /// Its end, if that is told.
    pub fn end(&self) -> Option<Ended> {
        self.ended.filter(|_| self.is_told)
    }

    /// Whether it is there: it was made, and nobody was told that it has ended.
    pub fn is_alive(&self) -> bool {
        self.pid != 0 && !self.is_told
    }

    /// What `State` answers, but for a pause.
    pub fn state(&self, bundle: &str) -> StateResponse {
        let Stdio { stdin, stdout, stderr, terminal } = self.stdio.clone();
        let end = self.end();
        let status = match (end, self.phase) {
            (Some(_), _) => status::STOPPED,
            (None, Phase::Started) => status::RUNNING,
            (None, Phase::Made | Phase::Starting) => status::CREATED,
        };
        StateResponse {
            id: if self.exec_id.is_empty() { self.container.clone() } else { self.exec_id.clone() },
            bundle: bundle.into(),
            pid: self.pid as u32,
            status,
            stdin,
            stdout,
            stderr,
            terminal,
            exit_status: end.map_or(0, |end| end.status),
            exited_at: end.and_then(|end| end.time()),
            exec_id: self.exec_id.clone(),
        }
    }
}

/// A container.
#[derive(Debug)]
pub struct Container {
    /// Its bundle.
    pub bundle: String,
    /// What the engine asks of the runtime.
    pub options: Options,
    /// Where it is recorded.
    pub root: PathBuf,
    /// Its first process.
    pub init: Key,
    /// Its other processes, by the names that the engine gives them.
    pub execs: BTreeMap<String, Key>,
    /// Its cgroup; none if it has none.
    pub cgroup: Option<Cgroup>,
    /// Where its events are noted.
    pub dir: Option<Dir>,
    /// What the kernel has killed there for memory.
    pub kills: Option<Kills>,
    /// Whether all others end with the first process, as that is PID 1 of a namespace of its own.
    pub private_pids: bool,
    /// The files that it is restored from when it is started; empty for one that is not.
    pub checkpoint: String,
    /// Whether a job changes it, so that another must not.
    pub is_busy: bool,
    /// Whether who has asked for it is gone, and who came after that wants none.
    pub is_abandoned: bool,
    /// Who is told that it was not made, once it is gone.
    pub asker: Option<Caller>,
    /// What it is to its pod, if it is a sandbox.
    pub sandbox: Option<Sandbox>,
}

/// A container that is a pod's sandbox. No event tells of it.
#[derive(Debug)]
pub struct Sandbox {
    /// When it was made.
    pub created: SystemTime,
    /// Whether the cgroup above its own is its pod's.
    pub has_cgroup: bool,
}

impl Container {
    /// One that is asked for.
    pub fn new(bundle: &str, options: Options, root: PathBuf, init: Key) -> Container {
        Container {
            bundle: bundle.into(),
            options,
            root,
            init,
            execs: BTreeMap::new(),
            cgroup: None,
            dir: None,
            kills: None,
            private_pids: true,
            checkpoint: String::new(),
            is_busy: true,
            is_abandoned: false,
            asker: None,
            sandbox: None,
        }
    }
}
