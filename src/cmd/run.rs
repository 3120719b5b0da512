//! `knarr run`.

use super::Global;
use super::create::{self, Bundle, Console, Fds, make};
use super::sandbox;
use crate::parent::create::Made;
use crate::parent::foreground::{Signals, attend};
use crate::parent::notify::Notify;
use crate::parent::{delete, start};
use crate::plan::Start;
use anyhow::{Context, Result, bail};
use std::os::fd::AsFd;

#[derive(Debug, clap::Args)]
#[group(id = "run")]
pub struct Args {
    /// What create takes too
    #[command(flatten)]
    pub create: create::Args,
    /// Do not wait for the container
    #[arg(short, long)]
    pub detach: bool,
    /// Do not delete the container when it has ended
    #[arg(long)]
    pub keep: bool,
    /// Do not adopt orphans of a container without a pid namespace
    #[arg(long)]
    pub no_subreaper: bool,
    /// Without a bundle: run COMMAND on this machine's own files, in namespaces of its own without
    /// a network. What it changes is gone when it ends, unless --overlay=DIR keeps it
    #[arg(long, conflicts_with = "bundle")]
    pub host_root: bool,
    /// The command of --host-root [default: $SHELL, or sh]
    #[arg(value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Make the container, start it, and unless it is detached wait for it and delete it.
pub fn run(args: &Args, global: &Global) -> Result<u8> {
    run_container(args, global).with_context(|| format!("run {}", args.create.common.id.escape_debug()))
}

fn bundle(args: &Args, console: Console) -> Result<Bundle> {
    if args.host_root {
        return sandbox::bundle(&args.command, console);
    }
    if let Some(argument) = args.command.first() {
        bail!("unexpected argument {argument:?}: a command goes with --host-root only");
    }
    Bundle::read(&args.create.common.bundle, &args.create.common.config)
}

fn run_container(args: &Args, global: &Global) -> Result<u8> {
    // First, before this program opens anything.
    let fds = Fds::take(args.create.preserve_fds)?;
    let signals = if args.detach { None } else { Some(Signals::take()?) };
    let reaper = signals.as_ref().filter(|_| !args.no_subreaper);
    reaper.map_or(Ok(()), Signals::adopt_orphans)?;
    let console = if args.detach { Console::None } else { Console::Foreground };
    let Made { container, pidfd, channel, terminal, notify } =
        make(bundle(args, console)?, &args.create, global, Start::AtOnce, console, fds)?;
    let id = container.state.about.id.clone();
    let notify = notify.and_then(Notify::new);
    let container = match start::finish(container, &channel) {
        Ok(container) => container,
        Err(cause) => {
            // A container that could not start is not kept either.
            if let Ok(container) = global.store().open_locked(&id.parse()?) {
                for warning in
                    delete::destroy_with(container, Some(&pidfd)).context(format!("after: {cause:#}"))?
                {
                    global.log().warning(&warning);
                }
            }
            return Err(cause);
        }
    };
    let pid = container.state.pid;
    let unlocked = container.unlock();
    if let Some(signals) = reaper {
        signals.reap_all_but(pid);
    }
    let Some(signals) = signals else {
        notify.map_or(Ok(()), |notify| notify.until_ready(pid, pidfd.as_fd()))?;
        return Ok(0);
    };
    let exit = attend(&pidfd, &signals, terminal, notify.as_ref());
    // What cannot be waited for is not left to itself.
    if !args.keep || exit.is_err() {
        // Somebody else may have deleted it meanwhile.
        if let Some(container) = unlocked.lock_again()? {
            for warning in delete::destroy_with(container, exit.is_err().then_some(&pidfd))? {
                global.log().warning(&warning);
            }
        }
    }
    Ok(exit?.code() as u8)
}
