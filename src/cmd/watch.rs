//! What `run` is told of a container's system calls.

use super::run::Args;
use super::{Global, create};
use crate::config::seccomp::{FLAG_WAIT_KILLABLE_RECV, Seccomp, Watch};
use crate::config::{self, Config, Invalid};
use crate::log::Log;
use crate::parent::create::Watched;
use crate::parent::start::to_agent;
use crate::parent::watch::{Blame, DeviceFilter, Explain, Record, Watcher, Watching};
use crate::state::{Container, State};
use crate::sys::bpf::has_seccomp_flags;
use crate::template::sandbox::STRICT;
use anyhow::{Context, Result};
use std::os::fd::OwnedFd;
use std::path::Path;

/// What the command line of `create` asks for.
pub(super) fn of_create(args: &create::Args) -> Watch {
    if args.record.is_some() { Watch::Calls } else { Watch::Nothing }
}

/// What that of `run` asks for.
pub(super) fn of_run(args: &Args) -> Watch {
    match of_create(&args.create) {
        Watch::Nothing if args.explain => Watch::Refusals,
        watch => watch,
    }
}

/// An error if what is recorded cannot be written to this file.
pub(super) fn check(record: Option<&Path>) -> Result<()> {
    record.map(Record::new).transpose().context("--record").map(drop)
}

/// Have the filter of a container be watched; a warning where there is none.
pub(super) fn prepare(config: &mut Config, watch: Watch) -> Result<Option<String>, Invalid> {
    if watch == Watch::Calls && config.process.is_some() {
        config.seccomp.get_or_insert_with(Seccomp::open);
    }
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
const UNSEEN: &str = "explain: told are system calls that the filter answers with an error, and files and devices \
                      that config.json refuses; not seen is what the kernel refuses for capabilities, permissions of \
                      files, Landlock and other security modules, and what a filter ends";

/// Who takes the notification descriptor.
pub(super) struct Heir {
    log: Log,
    explain: Option<Explain>,
    record: Option<Record>,
    watched: Option<Watched>,
    watcher: Option<Watcher>,
    /// Whether somebody waits for the container.
    is_awaited: bool,
}

impl Heir {
    pub(super) fn new(args: &Args, global: &Global) -> Result<Heir> {
        let blame = match (args.sandbox.host_root, args.sandbox.strict) {
            (false, _) => Blame::Config,
            (true, false) => Blame::Sandbox,
            (true, true) => Blame::Strict(&STRICT),
        };
        let explain = args.explain.then(|| Explain::new(blame));
        let record = args.create.record.as_deref().map(Record::new).transpose().context("--record")?;
        Ok(Heir {
            log: global.log(),
            explain,
            record,
            watched: None,
            watcher: None,
            is_awaited: !args.detach,
        })
    }

    /// For a container that was created with `--record`, or with an agent of its own, or neither.
    pub(super) fn of_created(container: &Container, global: &Global) -> Result<Heir> {
        let (mut record, mut watched) = (None, None);
        if let Some(file) = &container.state.recorded {
            record = Some(Record::new(file).context("--record")?);
            let text = container.dir.load_config()?;
            let mut config = config::load(&text, &container.state.about.bundle)?.config;
            prepare(&mut config, Watch::Calls)?;
            watched = Watched::of(&config, DeviceFilter::None);
        }
        Ok(Heir { log: global.log(), explain: None, record, watched, watcher: None, is_awaited: false })
    }

    /// What of the container is watched, once it is made.
    pub(super) fn give(&mut self, watched: Option<Watched>) {
        self.watched = watched;
    }

    pub(super) fn take(&mut self, state: &State, listener: &OwnedFd) -> Result<()> {
        let Some(Watched { filter: profile, permitted, places }) = self.watched.take() else {
            return to_agent(state, listener);
        };
        if self.explain.is_some() {
            self.log.told(UNSEEN);
        }
        let cgroup = state.cgroup.as_ref().map(|cgroup| cgroup.path.as_path());
        let record = self.record.take().map(|record| record.of_process(cgroup, permitted));
        let explain = self.explain.take().map(|explain| explain.of(places));
        let is_awaited = self.is_awaited;
        let watching = Watching { profile, log: self.log.clone(), explain, record, is_awaited };
        self.watcher = Some(Watcher::start(listener, watching)?);
        Ok(())
    }

    /// Wait for what is still to be told.
    pub(super) fn wait(&self) {
        if self.watcher.as_ref().is_some_and(|watcher| !watcher.wait()) {
            let rest = "what they do is still told of, and recorded when the last of them ends";
            self.log.warning(&format!("processes of the container go on: {rest}"));
        }
    }
}
