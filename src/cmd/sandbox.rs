//! `knarr run --host-root`: a bundle that is not there.

mod changes;
mod facts;
mod net;
mod places;

pub(super) use changes::Changes;
pub(super) use net::Net;

use super::create::{Bundle, Console};
use super::events::duration;
use super::update::bytes;
use crate::host;
use crate::plan::CgroupDriver;
use crate::template::sandbox::view::Part;
use crate::template::sandbox::{
    self, Caller, Limits, Network, Sandbox, Strictness, places::behind, view::is_own,
};
use anyhow::{Context, Result, bail};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Clone, Default, clap::Args)]
#[group(id = "sandbox")]
pub struct Args {
    /// Without a bundle: run COMMAND on this machine's own files, in namespaces of its own without
    /// a network. What it changes is gone when it ends, unless --overlay=DIR keeps it
    #[arg(long, conflicts_with = "bundle")]
    pub host_root: bool,
    /// When it has ended, list on standard error what it changed
    #[arg(long, requires = "host_root", help_heading = SANDBOX)]
    pub diff: bool,
    /// Network: none, the host's, or by HTTP: through a proxy at a socket, or to these hosts only
    #[arg(long, value_name = "none|host|proxy=SOCKET|allow=HOST[:PORT],...", requires = "host_root", help_heading = SANDBOX)]
    pub net: Option<String>,
    /// Let changes of this folder through to the host
    #[arg(long, value_name = "DIR", requires = "host_root", help_heading = SANDBOX)]
    pub write: Vec<String>,
    /// Show SRC at DST, an absolute path, and let changes through [default: at SRC]
    #[arg(long, value_name = "SRC[:DST]", requires = "host_root", help_heading = SANDBOX)]
    pub bind: Vec<String>,
    /// Show SRC at DST, read-only
    #[arg(long, value_name = "SRC[:DST]", requires = "host_root", help_heading = SANDBOX)]
    pub ro_bind: Vec<String>,
    /// Hide a file or folder
    #[arg(long, value_name = "PATH", requires = "host_root", help_heading = SANDBOX)]
    pub hide: Vec<String>,
    /// Show what is hidden by default: keys, passwords, histories
    #[arg(long, value_name = "PATH", requires = "host_root", help_heading = SANDBOX)]
    pub show: Vec<String>,
    /// Put an empty folder in memory there
    #[arg(long, value_name = "PATH", requires = "host_root", help_heading = SANDBOX)]
    pub tmpfs: Vec<String>,
    /// Working directory [default: the caller's, or /]
    #[arg(long, value_name = "DIR", requires = "host_root", help_heading = SANDBOX)]
    pub workdir: Option<String>,
    /// Set a variable, or take it over from the caller
    #[arg(long, value_name = "NAME[=VALUE]", requires = "host_root", help_heading = SANDBOX)]
    pub env: Vec<String>,
    /// Take none of the caller's variables over but those of --env
    #[arg(long, requires = "host_root", help_heading = SANDBOX)]
    pub clear_env: bool,
    /// Refuse ptrace, io_uring, bpf, keyrings and new namespaces, too
    #[arg(long, requires = "host_root", help_heading = SANDBOX)]
    pub strict: bool,
    /// Bound of memory and swap together
    #[arg(long, value_name = "SIZE", value_parser = bytes, requires = "host_root", help_heading = SANDBOX)]
    pub memory: Option<i64>,
    /// Bound of processes and threads
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..), requires = "host_root", help_heading = SANDBOX)]
    pub pids: Option<i64>,
    /// Bound of processors, as 1.5
    #[arg(long, value_name = "N", value_parser = cpu_us, requires = "host_root", help_heading = SANDBOX)]
    pub cpus: Option<u64>,
    /// End it after this time, as 10m, with the status 124
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "host_root", help_heading = SANDBOX)]
    pub timeout: Option<Duration>,
    /// User of the command, by name or number [default: root]
    #[arg(long, value_name = "USER[:GROUP]", requires = "host_root", help_heading = SANDBOX)]
    pub user: Option<String>,
}

impl Args {
    /// Who makes the cgroup of limits, unless the caller says so: systemd where an ordinary user
    /// has one.
    pub(super) fn cgroup_manager(&self) -> Option<CgroupDriver> {
        let is_limited = self.memory.is_some() || self.pids.is_some() || self.cpus.is_some();
        let session = std::env::var_os("XDG_RUNTIME_DIR").filter(|_| host::user() != 0 && is_limited)?;
        PathBuf::from(session).join("bus").exists().then_some(CgroupDriver::Systemd)
    }
}

/// A number of processors, in microseconds of each 100 ms.
fn cpu_us(text: &str) -> Result<u64, String> {
    let number: Option<f64> = text.parse().ok().filter(|number| (0.01..=65536.0).contains(number));
    number.map(|number| (number * 100_000.0) as u64).ok_or("not a number of processors like 1.5".into())
}

const SANDBOX: &str = "Options of --host-root";

/// The bundle of a sandbox for `command`, on the files of this machine.
pub(super) fn bundle(args: &Args, command: &[String], console: Console) -> Result<Bundle> {
    let variable = |name: &str| std::env::var(name).ok();
    let shell = [variable("SHELL").unwrap_or_else(|| "sh".into())];
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let caller = if uid.is_root() { Caller::Root } else { Caller::User(uid.as_raw(), gid.as_raw()) };
    let parts = match caller {
        Caller::Root => facts::disks()?.iter().map(Part::of_disk).collect(),
        Caller::User(..) => facts::folders()?,
    };
    let net = Net::of(args.net.as_deref())?;
    let placed = places::placed(args, &net)?;
    let config = sandbox::config(&Sandbox {
        args: if command.is_empty() { &shell } else { command },
        env: &environment(args, &net, caller, variable)?,
        cwd: &working_directory(args, &placed)?,
        terminal: console != Console::None
            && std::io::stdin().is_terminal()
            && std::io::stdout().is_terminal(),
        caller,
        user: args.user.as_deref().map_or(Ok((0, 0)), |user| facts::user(user, caller))?,
        network: if matches!(net, Net::Host) { Network::Hosts } else { Network::Own },
        strictness: if args.strict { Strictness::Strict } else { Strictness::AsDocker },
        limits: Limits { memory: args.memory, pids: args.pids, cpu_us: args.cpus },
        parts: &parts,
        placed: &placed,
    })?;
    Ok(Bundle { folder: "/".into(), text: config.into_bytes() })
}

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What of the caller's environment says how to show things, and what is asked for.
fn environment(
    args: &Args,
    net: &Net,
    caller: Caller,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Vec<String>> {
    let mut env = vec![PATH.to_string()];
    let kept: &[&str] = match (args.clear_env, caller) {
        (true, _) => &[],
        (false, Caller::Root) => &["TERM", "COLORTERM", "LANG", "LC_ALL", "TZ"],
        // Inside, the user is root, whose home would be another.
        (false, Caller::User(..)) => &["TERM", "COLORTERM", "LANG", "LC_ALL", "TZ", "HOME"],
    };
    let take = |name: &str| Some(format!("{name}={}", variable(name)?));
    env.extend(kept.iter().filter_map(|name| take(name)));
    env.extend(net.variables());
    for asked in &args.env {
        let (name, entry) = match asked.split_once('=') {
            Some((name, _)) => (name, asked.clone()),
            None => (asked.as_str(), take(asked).with_context(|| format!("--env {asked}: not set"))?),
        };
        if name.is_empty() {
            bail!("--env {asked:?}: a name is missing");
        }
        env.retain(|entry| entry.split_once('=').is_none_or(|(other, _)| other != name));
        env.push(entry);
    }
    Ok(env)
}

/// The one that is asked for, which must be there; or the caller's, if it can be seen.
fn working_directory(args: &Args, placed: &[sandbox::places::Placed]) -> Result<String> {
    let is_folder = |path: &str| match behind(path, placed, is_own) {
        Some(host) => PathBuf::from(host).is_dir(),
        None => placed.iter().any(|place| place.path == path) || sandbox::view::OWN.contains(&path),
    };
    if let Some(asked) = &args.workdir {
        let path = facts::resolved(asked).with_context(|| format!("--workdir {asked}"))?;
        if !is_folder(&path) {
            bail!("--workdir {asked}: there is no such folder in the sandbox");
        }
        return Ok(path);
    }
    let own = std::env::current_dir().ok().and_then(|path| path.into_os_string().into_string().ok());
    Ok(own.filter(|path| behind(path, placed, is_own).is_some()).unwrap_or_else(|| "/".into()))
}
