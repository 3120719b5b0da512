//! `delete`, and the end of `run`.

use super::rdt;
use super::undo::run_poststop;
use crate::state::Container;
use crate::sys::{Errno, process};
use anyhow::{Context, Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, OwnedFd};

/// How long init may take to go after SIGKILL, in milliseconds.
const KILL_TIMEOUT_MS: u16 = 10_000;

/// Kill what runs, remove the cgroup, run the poststop hooks, forget the container. Returns the hooks' failures, which are
/// warnings (runtime.md: Lifecycle).
pub fn destroy(container: Container) -> Result<Vec<String>> {
    if let Some(pidfd) = container.pidfd()? {
        kill_and_wait(&pidfd)?;
    }
    // Processes that outlive init, in a pid namespace that is not their own, are in the cgroup.
    container.state.remove_cgroup()?;
    let Container { dir, state } = container;
    let mut warnings = rdt::remove(&state.resctrl);
    warnings.extend(run_poststop(&state.poststop, &state.about));
    dir.remove()?;
    Ok(warnings)
}

fn kill_and_wait(pidfd: &OwnedFd) -> Result<()> {
    match process::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL) {
        Err(Errno::ESRCH) => return Ok(()),
        sent => sent.context("SIGKILL to init")?,
    }
    // A pidfd is readable when its process has ended, also if its parent has not reaped it yet.
    match poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], PollTimeout::from(KILL_TIMEOUT_MS)) {
        Ok(0) => bail!("init outlives SIGKILL"),
        _ => Ok(()),
    }
}
