//! `knarr exec`.

use super::create::{Console, Fds, check_console, connect};
use crate::cli::Global;
use crate::config::{self, Config, Invalid, Process, capability};
use crate::host::{self, OwnCgroup};
use crate::plan::{self, ExecCgroup, ExecRequest, Keyring};
use crate::run::exec::{Order, Target, Wait, WhenPaused, exec};
use crate::run::foreground::attend;
use crate::sys::{cred, fs};
use anyhow::{Context, Result, anyhow, bail};
use std::os::fd::AsFd;
use std::path::{Component, Path, PathBuf};

#[allow(missing_docs, reason = "clap would print it in place of the command's own text")]
#[derive(Debug, clap::Args)]
#[group(id = "exec")]
#[command(
    override_usage = "knarr exec [OPTIONS] ID COMMAND [ARG]...\n       knarr exec [OPTIONS] --process FILE ID"
)]
pub struct Args {
    /// The container's id, the program and its arguments
    #[arg(value_name = "ID COMMAND", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
    /// File with the whole process in JSON, like `process` in config.json; without it the process is that of config.json with another
    /// command
    #[arg(short, long, value_name = "FILE")]
    pub process: Option<PathBuf>,
    /// Give the process a terminal
    #[arg(short, long)]
    pub tty: bool,
    /// Unix socket that receives the other end of the terminal
    #[arg(long, value_name = "SOCKET")]
    pub console_socket: Option<PathBuf>,
    /// Do not wait for the process
    #[arg(short, long)]
    pub detach: bool,
    /// File to write the process's pid to
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    /// Unix socket that receives a pidfd of the process
    #[arg(long, value_name = "SOCKET")]
    pub pidfd_socket: Option<PathBuf>,
    #[command(flatten)]
    pub changes: Changes,
    /// Pass this many descriptors after standard error on to the process
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub preserve_fds: u32,
    /// Run the process in this cgroup below the container's, which must be there; / is the container's own
    #[arg(long, value_name = "PATH")]
    pub cgroup: Option<String>,
    /// Also in a paused container; the process runs when it is resumed
    #[arg(long)]
    pub ignore_paused: bool,
}

#[allow(missing_docs, reason = "clap would print it in place of the command's own text")]
#[derive(Debug, clap::Args)]
#[group(id = "changes", multiple = true, conflicts_with_all = ["process"])]
pub struct Changes {
    /// User and group by number
    #[arg(short, long, value_name = "UID[:GID]", value_parser = user)]
    pub user: Option<(u32, Option<u32>)>,
    /// Supplementary group by number, beside those of config.json; may be repeated
    #[arg(short = 'g', long, value_name = "GID", value_parser = id)]
    pub additional_gids: Vec<u32>,
    /// Working directory
    #[arg(long, value_name = "PATH")]
    pub cwd: Option<String>,
    /// Variable of the environment, beside those of config.json; may be repeated
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = variable)]
    pub env: Vec<String>,
    /// Capability in the bounding, effective, permitted and, where it is inheritable, ambient set; may be repeated
    #[arg(short, long, value_name = "CAP", value_parser = capability)]
    pub cap: Vec<u32>,
    /// AppArmor profile
    #[arg(long, value_name = "PROFILE")]
    pub apparmor: Option<String>,
    /// SELinux label
    #[arg(long, value_name = "LABEL")]
    pub process_label: Option<String>,
    /// Never let the process gain privileges by execve(2)
    #[arg(long)]
    pub no_new_privs: bool,
}

fn id(text: &str) -> Result<u32, String> {
    // setresuid(2) takes -1 as "leave it": it would keep root.
    text.parse().ok().filter(|id| *id != u32::MAX).ok_or_else(|| format!("\"{text}\" is no id by number"))
}

fn user(text: &str) -> Result<(u32, Option<u32>), String> {
    match text.split_once(':') {
        Some((uid, gid)) => Ok((id(uid)?, Some(id(gid)?))),
        None => Ok((id(text)?, None)),
    }
}

fn variable(text: &str) -> Result<String, String> {
    let named = text.find('=').is_some_and(|at| at > 0);
    if named { Ok(text.into()) } else { Err(format!("\"{text}\" is not of the form NAME=value")) }
}

fn capability(text: &str) -> Result<u32, String> {
    let name = text.to_ascii_uppercase();
    let name = if name.starts_with("CAP_") { name } else { format!("CAP_{name}") };
    capability::number(&name).ok_or_else(|| format!("unknown capability \"{text}\""))
}

/// Run the process, and unless it is detached wait for it. The exit status is the process's.
pub fn run(args: &Args, global: &Global) -> Result<u8> {
    let id = args.words[0].escape_debug();
    run_process(args, global).with_context(|| format!("exec failed: {id}"))
}

fn run_process(args: &Args, global: &Global) -> Result<u8> {
    // First, before this program opens anything.
    let fds = Fds::take(args.preserve_fds)?;
    // Until execve(2) no other process may look into this one or its children.
    cred::set_dumpable(false).context("prctl")?;
    let paused = if args.ignore_paused { WhenPaused::Wait } else { WhenPaused::Refuse };
    let target = Target::new(global.store().open(&args.words[0])?, paused)?;
    let container = target.container();
    let config = config::load(&container.dir.load_config()?, &container.state.about.bundle)?.config;
    let (process, warnings) = asked(args, &config)?;
    let host = host::probe(OwnCgroup::NotNeeded)?;
    let request = ExecRequest {
        id: container.state.about.id.clone(),
        keyring: if container.state.private_keyring { Keyring::New } else { Keyring::Callers },
        preserve_fds: fds.count,
        listen_env: fds.env,
        cgroup: args.cgroup.as_deref().map_or(Ok(ExecCgroup::Containers), below)?,
    };
    let plan = plan::exec(&config, &process, &request, &host)?;
    let console = match (&args.console_socket, args.detach) {
        (Some(_), _) => Console::Socket,
        (None, false) => Console::Foreground,
        (None, true) => Console::None,
    };
    check_console(process.terminal, console)?;
    let running = exec(&Order {
        target,
        plan: &plan,
        host: &host,
        pid_file: args.pid_file.clone(),
        console: args.console_socket.as_deref().map(|path| connect("--console-socket", path)).transpose()?,
        pidfd_socket: args.pidfd_socket.as_deref().map(|path| connect("--pidfd-socket", path)).transpose()?,
        wait: if args.detach { Wait::Detached } else { Wait::Foreground },
    })?;
    warnings.iter().for_each(|warning| global.log().warning(warning));
    match running.signals {
        Some(signals) => Ok(attend(&running.pidfd, &signals, running.terminal)?.code() as u8),
        None => Ok(0),
    }
}

/// The process of `--process`, or that of config.json with what the command line changes.
fn asked(args: &Args, config: &Config) -> Result<(Process, Vec<String>)> {
    let command = &args.words[1..];
    if let Some(path) = &args.process {
        if !command.is_empty() {
            bail!("--process: the file names the command, there can be none beside it");
        }
        let file = path.display().to_string();
        let text =
            fs::open(path, fs::O_RDONLY, 0).and_then(|fd| fs::read_all(fd.as_fd(), config::load::LIMIT));
        return config::load_process(&text.with_context(|| format!("--process {file}"))?, &file);
    }
    if command.is_empty() {
        bail!("no command: name one after the id, or a file with --process");
    }
    let process = config.process.clone();
    let process =
        process.context("config.json has no process to take the rest from; give the whole with --process")?;
    let changed = change(process, &args.changes)?;
    Ok((Process { args: command.to_vec(), terminal: args.tty, ..changed }, Vec::new()))
}

fn change(mut process: Process, changes: &Changes) -> Result<Process> {
    for (flag, asked, what) in [
        ("--apparmor", &changes.apparmor, "an AppArmor profile"),
        ("--process-label", &changes.process_label, "a SELinux label"),
    ] {
        if asked.as_ref().is_some_and(|value| !value.is_empty()) {
            return Err(Invalid::new(flag, format!("{what} is not supported by this version")).into());
        }
    }
    if let Some((uid, gid)) = changes.user {
        process.user.uid = uid;
        process.user.gid = gid.unwrap_or(process.user.gid);
    }
    process.user.additional_gids.extend(&changes.additional_gids);
    if let Some(cwd) = &changes.cwd {
        if !cwd.starts_with('/') {
            bail!("--cwd: {cwd:?} is not an absolute path");
        }
        process.cwd.clone_from(cwd);
    }
    process.env.extend(changes.env.iter().cloned());
    process.env = config::last_wins(&process.env);
    let caps = changes.cap.iter().fold(0, |set, number| set | 1u64 << number);
    let sets = &mut process.capabilities;
    // Ambient takes effect only for what is inheritable too, and nothing is made that here (CVE-2022-29162).
    for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted, &mut sets.ambient] {
        *set |= caps;
    }
    process.no_new_privileges |= changes.no_new_privs;
    Ok(process)
}

/// `--cgroup`: a path below the container's cgroup.
fn below(path: &str) -> Result<ExecCgroup> {
    if Path::new(path).components().any(|part| part == Component::ParentDir) {
        return Err(anyhow!("--cgroup: {path:?} is not below the container's cgroup"));
    }
    let path = path.trim_start_matches('/');
    Ok(ExecCgroup::Below(if path.is_empty() { ".".into() } else { path.into() }))
}
