//! What happens in a container, as it happens: processes killed for memory, and its end.

use super::stats::keyed;
use super::{Cgroup, open_below, reread};
use crate::sys::{Errno, fs};
use anyhow::Result;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How many processes of a cgroup the kernel has killed for memory.
#[derive(Debug)]
pub struct Kills {
    /// memory.events; none where the memory controller is not.
    memory: Option<OwnedFd>,
    counts: Counts,
}

/// Of memory.events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// How often memory was short.
    pub oom: u64,
    /// How many processes were killed for it.
    pub oom_kill: u64,
}

impl Kills {
    /// Those of `cgroup`, from now on.
    pub fn new(cgroup: &Cgroup) -> Result<Kills> {
        let memory = match open_below(cgroup.as_fd(), "memory.events", fs::O_RDONLY) {
            Err(Errno::ENOENT) => None,
            opened => Some(opened.map_err(|errno| cgroup.refused("open", "memory.events", errno))?),
        };
        let mut kills = Kills { memory, counts: Counts::default() };
        kills.have_come();
        Ok(kills)
    }

    /// The file of which poll(2) reports each change by `POLLPRI`, until it is read.
    pub fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.memory.as_ref().map(AsFd::as_fd)
    }

    /// Whether more have come since this was last asked. Reading the file makes poll(2) report the
    /// next change of it.
    pub fn have_come(&mut self) -> bool {
        let before = self.counts;
        self.read().oom_kill > before.oom_kill
    }

    /// How many there are by now, as have_come does.
    pub fn read(&mut self) -> Counts {
        match self.memory.as_ref().map(reread) {
            None => {}
            Some(Ok(text)) => {
                let events = keyed(&text);
                let count = |key: &str| events.get(key).copied().unwrap_or(0);
                self.counts = Counts { oom: count("oom"), oom_kill: count("oom_kill") };
            }
            // The cgroup is gone, which poll(2) would report for ever.
            Some(Err(_)) => self.memory = None,
        }
        self.counts
    }
}

/// A container that is being watched.
///
/// Its end is that of init, by its pidfd: of a cgroup that is removed at once `populated 0` may
/// never be told.
#[derive(Debug)]
pub struct Watch {
    init: OwnedFd,
    kills: Kills,
}

/// What was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// The kernel has killed processes, because memory was short.
    Oom,
    Ended,
    /// Nothing, in the time that was given.
    None,
}

impl Watch {
    /// Watch `cgroup` and the process of the pidfd `init` from now on.
    pub fn new(cgroup: &Cgroup, init: OwnedFd) -> Result<Watch> {
        Ok(Watch { init, kills: Kills::new(cgroup)? })
    }

    /// Wait for news, at most until `deadline`.
    pub fn wait(&mut self, deadline: Instant) -> News {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // Rounded up to milliseconds, or the last one would be spent polling.
            let timeout = match left.is_zero() {
                true => PollTimeout::ZERO,
                false => PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX),
            };
            let mut fds = vec![PollFd::new(self.init.as_fd(), PollFlags::POLLIN)];
            fds.extend(self.kills.as_fd().map(|fd| PollFd::new(fd, PollFlags::POLLPRI)));
            let _ = poll(&mut fds, timeout);
            let ended = fds[0].any().unwrap_or(false);
            // The one that was killed may have been init: first things first.
            if self.kills.have_come() {
                return News::Oom;
            }
            if ended {
                return News::Ended;
            }
            if left.is_zero() {
                return News::None;
            }
        }
    }
}
