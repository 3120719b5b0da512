//! The freezer: all processes of a cgroup stopped, where no signal but SIGKILL reaches them.

use super::walk::Stop;
use super::{Cgroup, wait_for};
use crate::sys::Errno;
use anyhow::{Result, bail};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// How long processes may take to stop or to go on: one in a system call that cannot be interrupted
/// stops after it.
const FREEZE_TIMEOUT: Duration = Duration::from_secs(10);

impl Cgroup {
    /// Whether all its processes are stopped by the freezer.
    pub fn is_frozen(&self) -> bool {
        self.read("cgroup.events").is_ok_and(|text| text.lines().any(|line| line == "frozen 1"))
    }

    /// Stop every process in it and below, and wait until they are. If that takes too long they all
    /// go on.
    pub fn freeze(&self) -> Result<()> {
        let deadline = Instant::now() + FREEZE_TIMEOUT;
        self.write("cgroup.freeze", "1")?;
        let frozen = self.wait_frozen(deadline);
        if !matches!(frozen, Ok(true)) {
            self.write("cgroup.freeze", "0")?;
        }
        if !frozen? {
            bail!("cgroup {}: not frozen within {FREEZE_TIMEOUT:?}; thawed again", self.path().display());
        }
        Ok(())
    }

    /// Let them go on.
    pub fn thaw(&self) -> Result<()> {
        self.write("cgroup.freeze", "0")?;
        if !self.wait_for("frozen 0", Instant::now() + FREEZE_TIMEOUT)? {
            bail!("cgroup {}: still frozen, by a cgroup above it", self.path().display());
        }
        Ok(())
    }

    /// The kernel says `frozen 1` of a cgroup as soon as its own processes have stopped, whatever
    /// those below it still do: each is asked (cgroup_update_frozen(), Linux 5.2 to 6.18).
    fn wait_frozen(&self, deadline: Instant) -> Result<bool> {
        if !self.wait_for("frozen 1", deadline)? {
            return Ok(false);
        }
        let mut frozen = true;
        let ask = |below: BorrowedFd<'_>| {
            frozen = match wait_for(below, "frozen 1", deadline) {
                Err(Errno::ENOENT | Errno::ENODEV) => true,
                answer => answer?,
            };
            Ok(if frozen { Stop::No } else { Stop::Here })
        };
        self.walk(ask, |_, _| Ok(())).map_err(|errno| self.refused("openat2", "(below)", errno))?;
        Ok(frozen)
    }
}
