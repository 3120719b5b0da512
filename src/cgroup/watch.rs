//! What happens in a container, as it happens: processes killed for memory, and its end.

use super::stats::keyed;
use super::{Cgroup, open_below, reread};
use crate::sys::{self, Errno, fs};
use anyhow::Result;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// A container that is being watched.
///
/// Its end is that of init, by its pidfd: of a cgroup that is removed at once `populated 0` may
/// never be told.
#[derive(Debug)]
pub struct Watch {
    init: OwnedFd,
    /// memory.events; none where the memory controller is not.
    memory: Option<OwnedFd>,
    kills: u64,
}

/// What was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// The kernel has killed processes, because memory was short.
    Oom,
    /// Init has ended.
    Ended,
    /// Nothing, in the time that was given.
    None,
}

impl Watch {
    /// Watch `cgroup` and the process of the pidfd `init` from now on.
    pub fn new(cgroup: &Cgroup, init: OwnedFd) -> Result<Watch> {
        let memory = match open_below(cgroup.as_fd(), "memory.events", fs::O_RDONLY) {
            Err(Errno::ENOENT) => None,
            opened => Some(opened.map_err(|errno| cgroup.refused("open", "memory.events", errno))?),
        };
        let mut watch = Watch { init, memory, kills: 0 };
        watch.kills = watch.count_kills().unwrap_or(0);
        Ok(watch)
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
            fds.extend(self.memory.as_ref().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLPRI)));
            let _ = poll(&mut fds, timeout);
            let ended = fds[0].any().unwrap_or(false);
            // The one that was killed may have been init: first things first.
            let kills = self.count_kills().unwrap_or(self.kills);
            if kills > std::mem::replace(&mut self.kills, kills) {
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

    /// Reading the file makes poll(2) report the next change of it.
    fn count_kills(&self) -> sys::Result<u64> {
        let Some(memory) = &self.memory else { return Ok(0) };
        Ok(keyed(&reread(memory)?).get("oom_kill").copied().unwrap_or(0))
    }
}
