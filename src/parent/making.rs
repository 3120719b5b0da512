//! A container while it is made: what there is of it by now, and how that is taken back.

use super::create::CreateOrder;
use super::hooks::run_poststop;
use super::net_devices::Moved;
use super::rdt;
use super::record::{first_state, write_pid_file};
use super::scope::Started;
use crate::cgroup::{self, systemd};
use crate::note::{self, Mark};
use crate::plan::{HostStep, Unit};
use crate::state::{About, Container, Dir, State, process_start};
use crate::sys::process;
use anyhow::{Context, Result};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

/// What has been made.
pub(super) struct Making<'a> {
    /// What is asked for.
    pub(super) order: &'a CreateOrder<'a>,
    pub(super) state: State,
    pub(super) dir: Dir,
    pub(super) cgroup: Option<cgroup::Made>,
    /// The scope that systemd made of it.
    pub(super) scope: Option<Unit>,
    /// The same, until init is in it.
    pub(super) started: Option<Started<'a>>,
    /// Network devices that were moved into the container.
    pub(super) moved: Option<Moved>,
    /// Folders that were made, parents first.
    pub(super) folders: Vec<PathBuf>,
    pub(super) resctrl: rdt::Groups,
    /// Whether hooks of create may have begun, so that the poststop hooks are run.
    pub(super) began_hooks: bool,
}

impl<'a> Making<'a> {
    /// Make and lock the container's directory.
    pub(super) fn begin(order: &'a CreateOrder<'a>) -> Result<Making<'a>> {
        let state = first_state(order);
        let dir = order.store.make(&order.plan.id)?;
        note::mark(Mark::Made);
        Ok(Making {
            order,
            state,
            dir,
            cgroup: None,
            scope: None,
            started: None,
            moved: None,
            folders: Vec::new(),
            resctrl: rdt::Groups::default(),
            began_hooks: false,
        })
    }

    /// What hooks are told.
    pub(super) fn about(&self) -> &'_ About {
        &self.state.about
    }

    /// The container's cgroup. Every plan makes it before it does anything to it.
    pub(super) fn cgroup(&self) -> Result<&cgroup::Made> {
        self.cgroup.as_ref().context("the plan makes no cgroup")
    }

    /// Init is in its scope, whose place is held no longer.
    pub(super) fn settle_scope(&mut self) -> Result<()> {
        let Some(started) = self.started.take() else { return Ok(()) };
        started.settle(&self.cgroup()?.cgroup)
    }

    /// Make the container's process known.
    pub(super) fn record(&mut self, pid: i32) -> Result<()> {
        self.state.pid = pid;
        self.state.pid_start = process_start(pid)?.context("init has ended before it was recorded")?;
        let waits = self.order.plan.host.iter().any(|planned| planned.step == HostStep::StartSocket);
        self.state.started = (!waits).then(crate::time::now);
        self.dir.save(&self.state)?;
        self.order.pid_file.as_deref().map_or(Ok(()), |path| write_pid_file(path, pid))
    }

    /// The container, which is made.
    pub(super) fn finish(self) -> Container {
        Container { dir: self.dir, state: self.state }
    }

    /// Take everything back, `init` too if there is one by then. What cannot be taken back is
    /// appended to the cause, never put in its place.
    pub(super) fn roll_back(self, init: Option<OwnedFd>, cause: anyhow::Error) -> anyhow::Error {
        let mut trouble: Vec<String> = Vec::new();
        drop(self.started);
        trouble.extend(self.moved.map(Moved::give_back).unwrap_or_default());
        if let Some(init) = init {
            // ESRCH: it has ended by itself, and is only to be reaped.
            let _ = process::pidfd_send_signal(init.as_fd(), libc::SIGKILL);
            if let Err(errno) = process::wait(init.as_fd()) {
                trouble.push(format!("waiting for init: {}", crate::sys::describe(errno)));
            }
        }
        trouble.extend(self.resctrl.take_back());
        // One that is not empty any more has become somebody's.
        self.folders.iter().rev().for_each(|folder| drop(std::fs::remove_dir(folder)));
        if let Some(made) = self.cgroup
            && let Err(err) = made.cgroup.remove(made.depth)
        {
            trouble.push(crate::log::message(&err));
        }
        if let Some(unit) = self.scope
            && let Err(err) = systemd::stop(&unit)
        {
            trouble.push(crate::log::message(&err));
        }
        if self.began_hooks {
            trouble.extend(run_poststop(&self.order.config.hooks.poststop, &self.state.about));
        }
        if let Err(err) = self.dir.remove() {
            trouble.push(crate::log::message(&err));
        }
        if trouble.is_empty() {
            cause
        } else {
            cause.context(format!("[then, cleaning up: {}]", trouble.join("; ")))
        }
    }
}
