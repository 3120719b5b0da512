//! `knarr run`.

use super::Global;
use super::create::{self, Bundle, Console, Fds, make};
use super::sandbox::{self, Changes, Net};
use super::watch;
use crate::id::Id;
use crate::note::{self, Mark};
use crate::parent::create::Made;
use crate::parent::foreground::{Signals, attend};
use crate::parent::notify::Notify;
use crate::parent::timer::Timer;
use crate::parent::{delete, start};
use crate::plan::Start;
use crate::state::Ended;
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
    /// Do not delete the container when it has ended; with NAME, of a sandbox: keep its changes by
    /// that name
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true)]
    pub keep: Option<Option<Id>>,
    /// Do not adopt orphans of a container without a pid namespace
    #[arg(long)]
    pub no_subreaper: bool,
    /// Tell of each system call that is refused: who made it, what refused it, what would allow it
    #[arg(long, conflicts_with = "detach")]
    pub explain: bool,
    /// The options of a sandbox
    #[command(flatten)]
    pub sandbox: sandbox::Args,
    /// The command of --host-root [default: $SHELL, or sh]
    #[arg(value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Make the container, start it, and unless it is detached wait for it and delete it.
pub fn run(args: &Args, global: &Global) -> Result<u8> {
    run_container(args, global).with_context(|| format!("run {}", args.create.common.id.escape_debug()))
}

/// The exit status of what took longer than it may, as that of timeout(1).
const LATE: u8 = 124;

fn bundle(args: &Args, console: Console) -> Result<Bundle> {
    if args.sandbox.host_root {
        return sandbox::bundle(&args.sandbox, &args.command, console);
    }
    if let Some(argument) = args.command.first() {
        bail!("unexpected argument {argument:?}: a command goes with --host-root only");
    }
    Bundle::read(&args.create.common.bundle, &args.create.common.config)
}

/// What becomes of the container when it has ended.
fn is_kept(args: &Args) -> bool {
    match &args.keep {
        None => false,
        Some(None) => true,
        Some(Some(name)) => !args.sandbox.host_root && name.as_str() == "true",
    }
}

fn run_container(args: &Args, global: &Global) -> Result<u8> {
    if !args.sandbox.host_root {
        if let Some(Some(name)) = &args.keep
            && !["true", "false"].contains(&name.as_str())
        {
            bail!("--keep={name}: a name goes with --host-root only");
        }
        let create = create::Args { watch: watch::of_run(args), ..args.create.clone() };
        return run_with(args, &create, &Net::Nothing, global);
    }
    let changes = Changes::of(args)?;
    let net = Net::of(args.sandbox.net.as_deref())?;
    if args.sandbox.timeout.is_some() && args.detach {
        bail!("--timeout: nobody waits for what is detached");
    }
    if net.port().is_some() && args.detach {
        bail!("--net: the proxy ends with this command, which --detach does not wait with");
    }
    let create = create::Args {
        overlay: changes.overlay(),
        listen: net.port(),
        watch: watch::of_run(args),
        ..args.create.clone()
    };
    let mut global = global.clone();
    if !global.systemd_cgroup && global.cgroup_manager.is_none() {
        global.cgroup_manager = args.sandbox.cgroup_manager();
    }
    let exit = run_with(args, &create, &net, &global);
    changes.tell_and_forget().and(exit)
}

fn run_with(args: &Args, create: &create::Args, net: &Net, global: &Global) -> Result<u8> {
    // First, before this program opens anything.
    let fds = Fds::take(create.preserve_fds, global)?;
    let mut watch = watch::Heir::new(args, global)?;
    let signals = if args.detach { None } else { Some(Signals::take()?) };
    let reaper = signals.as_ref().filter(|_| !args.no_subreaper);
    reaper.map_or(Ok(()), Signals::adopt_orphans)?;
    let console = if args.detach { Console::None } else { Console::Foreground };
    let Made { container, pidfd, channel, terminal, notify, proxy, watched } =
        make(bundle(args, console)?, create, global, Start::AtOnce, console, fds)?;
    let id = container.state.about.id.clone();
    let notify = notify.and_then(Notify::new);
    let _proxy = proxy.map(|listener| net.serve(listener, &global.log())).transpose()?;
    watch.give(watched);
    let container = match start::finish(container, &channel, &mut |state, fd| watch.take(state, fd)) {
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
    reaper.into_iter().for_each(|signals| signals.reap_all_but(pid));
    let Some(signals) = signals else {
        notify.map_or(Ok(()), |notify| notify.until_ready(pid, pidfd.as_fd()))?;
        note::mark(Mark::Done);
        return Ok(0);
    };
    note::mark(Mark::Done);
    let timer = args.sandbox.timeout.map(|time| Timer::start(&pidfd, time)).transpose()?;
    let exit = attend(&pidfd, &signals, terminal, notify.as_ref());
    let is_late = timer.as_ref().is_some_and(Timer::is_over);
    drop(timer);
    // What cannot be waited for is not left to itself.
    if let (true, Ok(exit)) = (is_kept(args), &exit) {
        if let Some(mut container) = unlocked.lock_again()? {
            container.keep_end(Ended::now(*exit))?;
        }
    } else {
        // Somebody else may have deleted it meanwhile.
        if let Some(mut container) = unlocked.lock_again()? {
            container.state.ended = exit.as_ref().ok().map(|exit| Ended::now(*exit));
            for warning in delete::destroy_with(container, exit.is_err().then_some(&pidfd))? {
                global.log().warning(&warning);
            }
        }
    }
    watch.wait();
    let status = exit?.code() as u8;
    Ok(if is_late { LATE } else { status })
}
