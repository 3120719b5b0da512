//! When a container's process was let go, and how it ended, as far as that can be known.
//!
//! A process that has ended is told about to its parent alone. That is this program as long as it
//! waits in the foreground, and as containerd's shim. Of any other container it is known until its
//! parent has reaped it.

use super::Container;
use crate::host;
use crate::proc::stat;
use crate::sys::pidfd;
use crate::sys::process::Exit;
use crate::time;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, SystemTime};

/// How a container's process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// As of `run`: of a signal 128 and its number.
    pub status: i32,
    /// The signal that it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// When it was waited for, RFC 3339; none where nobody has done so yet.
    pub at: Option<String>,
}

impl Ended {
    /// It has just been waited for.
    pub fn now(exit: Exit) -> Ended {
        Ended::of(exit, Some(time::now()))
    }

    fn of(exit: Exit, at: Option<String>) -> Ended {
        Ended { status: exit.code(), signal: exit.signal(), at }
    }

    /// It was waited for at this time.
    pub fn at(status: i32, time: SystemTime) -> Ended {
        Ended { status, signal: None, at: Some(time::rfc3339(time)) }
    }
}

impl Container {
    /// When the process was let go, RFC 3339, of a container that does not wait for `start`.
    pub fn started(&self) -> Option<String> {
        self.state.started.clone().or_else(|| self.dir.start_mark().map(time::rfc3339))
    }

    /// Keep how its process ended, of a container that is locked.
    pub fn keep_end(&mut self, ended: Ended) -> Result<()> {
        self.state.ended = Some(ended);
        self.dir.save(&self.state)
    }

    /// How the process of a container that has stopped ended.
    pub fn ended(&self) -> Option<Ended> {
        self.state.ended.clone().or_else(|| self.unreaped())
    }

    fn unreaped(&self) -> Option<Ended> {
        if self.state.pid == 0 {
            return None;
        }
        exit_of_zombie(self.state.pid, self.state.pid_start).map(|exit| Ended::of(exit, None))
    }
}

/// What the kernel keeps of a process that its parent has not reaped.
fn exit_of_zombie(pid: i32, started: u64) -> Option<Exit> {
    let text = host::read(format!("/proc/{pid}/stat")).ok()?;
    let ours = stat::field(&text, stat::STARTTIME) == Some(started);
    let code = i32::try_from(stat::field(&text, stat::EXIT_CODE)?).ok()?;
    // To whom may not look into it the kernel says 0, whatever it was.
    if code == 0 && !nix::unistd::geteuid().is_root() {
        return None;
    }
    (ours && stat::has_ended(&text)).then(|| Exit::of_code(code))
}

/// How often a process is asked about, of which nothing can be told yet.
const ASKED: u32 = 10;

/// How a process ended, which has: as its parent sees it, or as the kernel keeps it once it is
/// reaped. None where that is not told: to an ordinary user of what nobody has reaped, and before
/// Linux 6.15 of what somebody has.
pub fn exit_of(pidfd: &OwnedFd, pid: i32, started: u64) -> Option<Exit> {
    for asked in 0..ASKED {
        let told = || pidfd::exit_of_reaped(pidfd.as_fd()).ok().flatten();
        // It may be reaped between the first and the second.
        if let Some(exit) = told().or_else(|| exit_of_zombie(pid, started)).or_else(told) {
            return Some(exit);
        }
        if asked + 1 < ASKED {
            std::thread::sleep(NAP);
        }
    }
    None
}

const NAP: Duration = Duration::from_millis(20);
