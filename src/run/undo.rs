//! What a failing command takes back, in reverse.

use super::net_devices::Moved;
use super::rdt;
use crate::cgroup::{Cgroup, systemd};
use crate::config::Hook;
use crate::hook;
use crate::plan::Unit;
use crate::state::About;
use crate::state::Dir;
use crate::sys::process;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

/// The side effects of a `create` that has not succeeded yet.
#[derive(Debug, Default)]
pub(super) struct Undo {
    /// The container's directory.
    pub(super) dir: Option<Dir>,
    /// The container's cgroup, and how many directories were made for it.
    pub(super) cgroup: Option<(Cgroup, usize)>,
    /// The scope that systemd made of it.
    pub(super) scope: Option<Unit>,
    /// Init.
    pub(super) init: Option<OwnedFd>,
    /// Network devices that were moved into the container.
    pub(super) moved: Option<Moved>,
    /// Folders that were made, parents first.
    pub(super) folders: Vec<PathBuf>,
    /// Groups of resctrl.
    pub(super) resctrl: rdt::Groups,
    /// The hooks to run when hooks of create had begun.
    pub(super) poststop: Option<(Vec<Hook>, About)>,
}

impl Undo {
    /// Take everything back. What cannot be taken back is appended to the cause, never put in its place.
    pub(super) fn roll_back(self, cause: anyhow::Error) -> anyhow::Error {
        let mut trouble: Vec<String> = Vec::new();
        trouble.extend(self.moved.map(Moved::give_back).unwrap_or_default());
        if let Some(init) = self.init {
            // ESRCH: it has ended by itself, and is only to be reaped.
            let _ = process::pidfd_send_signal(init.as_fd(), libc::SIGKILL);
            if let Err(errno) = process::wait(init.as_fd()) {
                trouble.push(format!("waiting for init: {}", crate::sys::describe(errno)));
            }
        }
        trouble.extend(self.resctrl.take_back());
        // One that is not empty any more has become somebody's.
        self.folders.iter().rev().for_each(|folder| drop(std::fs::remove_dir(folder)));
        if let Some((cgroup, depth)) = self.cgroup
            && let Err(err) = cgroup.remove(depth)
        {
            trouble.push(crate::log::message(&err));
        }
        if let Some(unit) = self.scope
            && let Err(err) = systemd::stop(&unit)
        {
            trouble.push(crate::log::message(&err));
        }
        if let Some((hooks, about)) = self.poststop {
            trouble.extend(run_poststop(&hooks, &about));
        }
        if let Some(dir) = self.dir
            && let Err(err) = dir.remove()
        {
            trouble.push(crate::log::message(&err));
        }
        if trouble.is_empty() {
            cause
        } else {
            cause.context(format!("[then, cleaning up: {}]", trouble.join("; ")))
        }
    }
}

/// Run all poststop hooks; a failing one is a warning and does not keep the others from running.
pub(super) fn run_poststop(hooks: &[Hook], about: &About) -> Vec<String> {
    let state = about.json("stopped", None);
    let run = |hook: &Hook| hook::run(hook, &state, &about.bundle, &hook::environment).err();
    hooks.iter().filter_map(run).map(|refusal| refusal.to_string()).collect()
}
