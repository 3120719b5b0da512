//! What `run` is told of a container's system calls.

use super::Global;
use super::run::Args;
use crate::config::seccomp::{FLAG_WAIT_KILLABLE_RECV, Seccomp, Watch};
use crate::config::{Config, Invalid};
use crate::parent::start::to_agent;
use crate::parent::watch::{Blame, Explain, Watcher, Watching};
use crate::state::State;
use crate::sys::bpf::has_seccomp_flags;
use crate::template::sandbox::STRICT;
use anyhow::Result;
use std::os::fd::OwnedFd;

/// What the command line asks for.
pub(super) fn of(args: &Args) -> Watch {
    if args.explain { Watch::Refusals } else { Watch::Nothing }
}

/// Have the filter of a container be watched; a warning where there is none.
pub(super) fn prepare(config: &mut Config, watch: Watch) -> Result<Option<String>, Invalid> {
    let Some(filter) = config.seccomp.as_mut().filter(|_| watch != Watch::Nothing) else {
        let warning = "--explain: linux.seccomp is missing: no system call is refused by a filter";
        return Ok((watch == Watch::Refusals).then(|| warning.into()));
    };
    if filter.listener.is_some() {
        let reason = "there is an agent already, and the kernel has one listener for a process";
        return Err(Invalid::new("linux.seccomp.listenerPath", reason));
    }
    filter.watch = watch;
    // A call that the listener has heard of is not interrupted, as one that is refused is not.
    if has_seccomp_flags(FLAG_WAIT_KILLABLE_RECV | libc::SECCOMP_FILTER_FLAG_NEW_LISTENER as u32) {
        filter.flags |= FLAG_WAIT_KILLABLE_RECV;
    }
    Ok(None)
}

/// What is said once.
const UNSEEN: &str = "explain: told are system calls that the filter answers with an error; not seen are those that \
                      the kernel refuses for capabilities, permissions of files, read-only mounts, devices, Landlock \
                      and other security modules, and processes that a filter ends";

/// Who takes the notification descriptor.
pub(super) struct Heir {
    watching: Option<Watching>,
    watcher: Option<Watcher>,
}

impl Heir {
    pub(super) fn new(args: &Args, watched: Option<Seccomp>, global: &Global) -> Heir {
        let blame = match (args.sandbox.host_root, args.sandbox.strict) {
            (false, _) => Blame::Config,
            (true, false) => Blame::Sandbox,
            (true, true) => Blame::Strict(&STRICT),
        };
        let explain = args.explain.then(|| Explain::new(blame));
        let watching = watched.map(|profile| Watching { profile, log: global.log(), explain });
        Heir { watching, watcher: None }
    }

    pub(super) fn take(&mut self, state: &State, listener: &OwnedFd) -> Result<()> {
        let Some(watching) = self.watching.take() else { return to_agent(state, listener) };
        if watching.explain.is_some() {
            watching.log.told(UNSEEN);
        }
        self.watcher = Some(Watcher::start(listener, watching)?);
        Ok(())
    }

    /// Wait for what is still to be told.
    pub(super) fn wait(&self) {
        if let Some(watcher) = &self.watcher {
            watcher.wait();
        }
    }
}
