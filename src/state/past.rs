//! When a container's process was let go, and how it ended, as far as that can be known.
//!
//! A process that has ended is told about to its parent alone. That is this program as long as it
//! waits in the foreground, and as containerd's shim. Of any other container it is known until its
//! parent has reaped it.

use super::Container;
use crate::host;
use crate::proc::stat;
use crate::sys::process::Exit;
use crate::time;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::time::SystemTime;

/// How a container's process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// As of `run`: of a signal 128 and its number.
    pub status: i32,
    /// When it was waited for, RFC 3339; none where nobody has done so yet.
    pub at: Option<String>,
}

impl Ended {
    /// It has just been waited for.
    pub fn now(exit: Exit) -> Ended {
        Ended { status: exit.code(), at: Some(time::now()) }
    }

    /// It was waited for at this time.
    pub fn at(status: i32, time: SystemTime) -> Ended {
        Ended { status, at: Some(time::rfc3339(time)) }
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

    /// What the kernel keeps of a process that its parent has not reaped.
    fn unreaped(&self) -> Option<Ended> {
        if self.state.pid == 0 {
            return None;
        }
        let text = host::read(format!("/proc/{}/stat", self.state.pid)).ok()?;
        let ours = stat::field(&text, stat::STARTTIME) == Some(self.state.pid_start);
        let code = i32::try_from(stat::field(&text, stat::EXIT_CODE)?).ok()?;
        // To whom may not look into it the kernel says 0, whatever it was.
        if code == 0 && !nix::unistd::geteuid().is_root() {
            return None;
        }
        let exit = match code & 0x7f {
            0 => Exit::Status(code >> 8 & 0xff),
            signal => Exit::Signal(signal),
        };
        (ours && stat::has_ended(&text)).then(|| Ended { status: exit.code(), at: None })
    }
}
