//! `knarr checkpoint`, and what it shares with `knarr restore`.

use super::Global;
use super::criu::{Dump, Shared};
use crate::config;
use crate::host::{self, Asked};
use crate::id::Id;
use crate::parent::criu::{Checkpoint, checkpoint};
use crate::parent::delete;
use crate::plan::restore::externals;
use crate::state::Command;
use crate::sys::process;
use anyhow::{Context, Result, bail};
use std::os::fd::OwnedFd;

#[derive(Debug, clap::Args)]
#[group(id = "checkpoint")]
pub struct Args {
    /// The container's id
    #[arg(value_name = "ID")]
    pub id: String,
    /// What restore takes too
    #[command(flatten)]
    pub criu: Shared,
    /// What only a dump takes
    #[command(flatten)]
    pub dump: Dump,
}

/// Save the container's processes; unless they go on, the container is deleted.
pub fn run(args: &Args, global: &Global) -> Result<u8> {
    // First, before this program opens anything.
    let status_fd = args.dump.status_fd.filter(|fd| *fd >= 0).map(descriptor).transpose();
    let saved = status_fd.and_then(|status_fd| save(args, global, status_fd));
    saved.with_context(|| format!("checkpoint {}", args.id.escape_debug()))?;
    Ok(0)
}

/// A descriptor of the caller's.
fn descriptor(number: i32) -> Result<OwnedFd> {
    match process::copy_of_callers(number) {
        Ok(copy) if number > 2 => Ok(copy),
        _ => bail!("--status-fd: descriptor {number} is not open, or a standard one"),
    }
}

fn save(args: &Args, global: &Global, status_fd: Option<OwnedFd>) -> Result<()> {
    let id: Id = args.id.parse()?;
    let store = global.store();
    let container = store.open_locked(&id)?;
    container.allow(Command::Checkpoint)?;
    if let Some(added) = container.state.mounts.first() {
        let place = &added.written.destination;
        bail!("mounts: {place} was added, and what is restored would not have it (mounts remove)");
    }
    if let Some(added) = container.state.devices.first() {
        let path = &added.node.path;
        bail!("devices: {path} was added, and what is restored would not have it (update --device-remove)");
    }
    let config = config::load(&container.dir.load_config()?, &container.state.about.bundle)?.config;
    let host = host::probe(Asked { security_modules: config.wants_labels(), ..Asked::default() })?;
    let notify = container.dir.takes_notifications().then(|| store.notify_folder(&id));
    let request = Checkpoint {
        container: &container,
        config: &config,
        externals: &externals(&config, notify.as_deref(), &host)?,
        program: &global.criu,
        options: &args.criu.options(),
        dump: &args.dump.options(),
        status_fd,
    };
    checkpoint(&request)?;
    if !args.dump.leave_running && !args.dump.pre_dump {
        for warning in delete::destroy(container)? {
            global.log().warning(&warning);
        }
    }
    Ok(())
}
