//! `knarr restore`.

use super::Global;
use super::create::{self, Bundle, Common, Console, Fds, check_console, check_root, connect};
use super::criu::{Restore, Shared};
use crate::note::{self, Mark};
use crate::parent::create::CreateOrder;
use crate::parent::criu::{RestoreOrder, Restored, restore};
use crate::parent::delete;
use crate::parent::foreground::{Signals, attend};
use crate::parent::notify::Notify;
use crate::plan::{self, Keyring, Start};
use crate::sys::cred;
use anyhow::{Context, Result};

#[derive(Debug, clap::Args)]
#[group(id = "restore")]
pub struct Args {
    /// What create takes too; the bundle as it was
    #[command(flatten)]
    pub common: Common,
    /// Do not wait for the container
    #[arg(short, long)]
    pub detach: bool,
    /// Do not adopt orphans of a container without a pid namespace
    #[arg(long)]
    pub no_subreaper: bool,
    /// Accepted for compatibility: CRIU enters the root filesystem its own way
    #[arg(long)]
    pub no_pivot: bool,
    /// What checkpoint takes too
    #[command(flatten)]
    pub criu: Shared,
    /// What only a restore takes
    #[command(flatten)]
    pub restore: Restore,
}

/// Restore the container, and unless it is detached wait for it and delete it.
pub fn run(args: &Args, global: &Global) -> Result<u8> {
    run_container(args, global).with_context(|| format!("restore {}", args.common.id.escape_debug()))
}

fn run_container(args: &Args, global: &Global) -> Result<u8> {
    // First, before this program opens anything.
    let fds = Fds::take(0, global)?;
    let signals = if args.detach { None } else { Some(Signals::take()?) };
    let Restored { container, pidfd, terminal, notify } = make(args, global, fds)?;
    note::mark(Mark::Done);
    let pid = container.state.pid;
    let unlocked = container.unlock();
    let Some(signals) = signals else { return Ok(0) };
    if !args.no_subreaper {
        signals.adopt_orphans_of(pid)?;
    }
    let notify = notify.and_then(Notify::new);
    let exit = attend(&pidfd, &signals, terminal, notify.as_ref())?;
    // Somebody else may have deleted it meanwhile.
    if let Some(container) = unlocked.lock_again()? {
        for warning in delete::destroy(container)? {
            global.log().warning(&warning);
        }
    }
    Ok(exit.code() as u8)
}

fn make(args: &Args, global: &Global, fds: Fds) -> Result<Restored> {
    // No other process may look into this one or into what tries the mounts.
    cred::set_dumpable(false).context("prctl")?;
    let bundle = Bundle::read(&args.common.bundle, &args.common.config)?;
    let create = create::Args { common: args.common.clone(), ..create::Args::default() };
    let (loaded, host, request) = create::asked(&bundle, &create, global, Start::AtOnce, fds)?;
    let config = loaded.config;
    let plan = plan::restore::restore(&config, &request, &host)?;
    global.log().debug(&plan);
    let console = match (&args.common.console_socket, args.detach) {
        (Some(_), _) => Console::Socket,
        (None, false) => Console::Foreground,
        (None, true) => Console::None,
    };
    check_console(config.process.as_ref(), console)?;
    check_root(&config)?;
    let restored = restore(&RestoreOrder {
        container: CreateOrder {
            config: &config,
            plan: &plan.trial,
            host: &host,
            text: &bundle.text,
            bundle: &bundle.folder,
            store: &global.store(),
            keyring: Keyring::New,
            pid_file: args.common.pid_file.clone(),
            pidfd_socket: None,
            recorded: None,
            console: connect("--console-socket", args.common.console_socket.as_deref())?,
        },
        restore: &plan,
        program: &global.criu,
        options: &args.criu.options(),
        restore_options: &args.restore.options(),
    })?;
    let log = global.log();
    loaded.warnings.iter().chain(&plan.trial.warnings).for_each(|warning| log.warning(warning));
    Ok(restored)
}
