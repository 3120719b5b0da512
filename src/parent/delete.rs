//! `delete`, and the end of `run`.

use super::hooks::run_poststop;
use super::rdt;
use crate::host;
use crate::note;
use crate::state::{Container, State};
use crate::sys::{Errno, process};
use crate::time;
use anyhow::{Context, Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// How long init may take to go after SIGKILL.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// Kill what runs, remove the cgroup, run the poststop hooks, forget the container. Returns the
/// hooks' failures, which are warnings (runtime.md: Lifecycle).
pub fn destroy(container: Container) -> Result<Vec<String>> {
    let init = container.pidfd()?;
    destroy_with(container, init.as_ref())
}

/// The same for who has made the container, and knows its init by `init`; none if that has ended.
pub fn destroy_with(container: Container, init: Option<&OwnedFd>) -> Result<Vec<String>> {
    if let Some(pidfd) = init {
        kill_and_wait(pidfd, &container.state)?;
    }
    let untold = container.say_farewell().err();
    // Processes that outlive init, in a pid namespace that is not their own, are in the cgroup.
    container.state.remove_cgroup()?;
    let Container { dir, state } = container;
    let mut warnings = rdt::remove(&state.resctrl);
    warnings.extend(untold.map(|err| crate::log::message(&err)));
    warnings.extend(run_poststop(&state.poststop, &state.about));
    dir.remove()?;
    Ok(warnings)
}

pub(super) fn kill_and_wait(pidfd: &OwnedFd, state: &State) -> Result<()> {
    note::at(|| format!("the end of process {}", state.pid));
    match process::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL) {
        Err(Errno::ESRCH) => return Ok(()),
        sent => sent.context("SIGKILL to init")?,
    }
    // A pidfd is readable when its process has ended, also if its parent has not reaped it yet.
    let limit = PollTimeout::try_from(time::at_most(KILL_TIMEOUT)).unwrap_or(PollTimeout::MAX);
    match poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], limit) {
        Ok(0) => bail!(
            "init outlives SIGKILL{}; its cgroup and its record are left, for another try",
            unreaped(state).or_else(|| hanging(state)).unwrap_or_default()
        ),
        _ => Ok(()),
    }
}

/// Which process of the container hangs in the kernel, and where. It takes no signal there.
fn hanging(state: &State) -> Option<String> {
    let cgroup = state.open_cgroup().ok().flatten();
    let others = cgroup.and_then(|cgroup| cgroup.processes().ok()).unwrap_or_default();
    let hangs = |pid: &i32| {
        host::read(format!("/proc/{pid}/stat"))
            .is_ok_and(|text| text.rsplit(") ").next().is_some_and(|s| s.starts_with('D')))
    };
    let pid = std::iter::once(state.pid).chain(others).find(hangs)?;
    let place = host::read(format!("/proc/{pid}/wchan")).unwrap_or_default();
    Some(format!(": process {pid} hangs in the kernel, in {place}"))
}

/// Who keeps the init of a pid namespace from ending: it waits until all others are reaped, and
/// those that `exec` has left behind are for their parent outside of the container to reap
/// (pid_namespaces(7)).
fn unreaped(state: &State) -> Option<String> {
    let place = host::read(format!("/proc/{}/cgroup", state.pid)).ok()?;
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let of = |file: &str| host::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let status = of("status");
        let value = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        if pid == state.pid || !value("State:").is_some_and(|s| s.starts_with('Z')) || of("cgroup") != place {
            continue;
        }
        let parent = value("PPid:")?;
        let comm = host::read(format!("/proc/{parent}/comm")).unwrap_or_default();
        return Some(format!(
            ": it waits for process {pid}, which has ended, and which its parent {parent} ({}) has to reap",
            comm.trim()
        ));
    }
    None
}
