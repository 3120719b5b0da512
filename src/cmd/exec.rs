//! `knarr exec`.

use super::Global;
use super::create::{Console, Fds, check_console, connect, read_config};
use super::refuse_option;
use crate::capability;
use crate::cgroup;
use crate::config::{self, Config, Invalid, Process};
use crate::host::{self, Asked};
use crate::id::Id;
use crate::note::{self, Mark};
use crate::parent::exec::{ExecOrder, Target, Wait, WhenPaused, exec};
use crate::parent::foreground::attend;
use crate::plan::{self, ExecCgroup, ExecRequest, Keyring};
use crate::state::Event;
use crate::sys::cred;
use anyhow::{Context, Result, anyhow, bail};
use std::path::{Component, Path, PathBuf};

#[derive(Debug, clap::Args)]
#[group(id = "exec")]
#[command(
    override_usage = "knarr exec [OPTIONS] ID COMMAND [ARG]...\n       knarr exec [OPTIONS] --process FILE ID"
)]
pub struct Args {
    /// The container's id, the program and its arguments
    #[arg(value_name = "ID COMMAND", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
    /// File with the whole process in JSON, like `process` in config.json; without it the process
    /// is that of config.json with another command
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
    /// Run the process in this cgroup below the container's, which must be there; / is the
    /// container's own
    #[arg(long, value_name = "PATH")]
    pub cgroup: Option<String>,
    /// Also in a paused container; the process runs when it is resumed
    #[arg(long)]
    pub ignore_paused: bool,
}

#[derive(Debug, clap::Args)]
#[group(id = "changes", multiple = true)]
pub struct Changes {
    /// User and group by number
    #[arg(short, long, value_name = "UID[:GID]")]
    pub user: Option<String>,
    /// Supplementary group by number, beside those of config.json; may be repeated
    #[arg(short = 'g', long, value_name = "GID")]
    pub additional_gids: Vec<String>,
    /// Working directory
    #[arg(long, value_name = "PATH")]
    pub cwd: Option<String>,
    /// Variable of the environment, beside those of config.json; may be repeated
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Capability in the bounding, effective, permitted and, where it is inheritable, ambient set;
    /// may be repeated
    #[arg(short, long, value_name = "CAP")]
    pub cap: Vec<String>,
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

impl Changes {
    /// The first flag that is given, if any is.
    fn given(&self) -> Option<&'static str> {
        let given = [
            ("--user", self.user.is_some()),
            ("--additional-gids", !self.additional_gids.is_empty()),
            ("--cwd", self.cwd.is_some()),
            ("--env", !self.env.is_empty()),
            ("--cap", !self.cap.is_empty()),
            ("--apparmor", self.apparmor.is_some()),
            ("--process-label", self.process_label.is_some()),
            ("--no-new-privs", self.no_new_privs),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(flag, _)| flag)
    }

    /// `process`, changed.
    fn apply(&self, mut process: Process) -> Result<Process, Invalid> {
        if let Some(user) = &self.user {
            let (uid, gid) =
                user.split_once(':').map_or((user.as_str(), None), |(uid, gid)| (uid, Some(gid)));
            process.user.uid = id("--user", uid)?;
            process.user.gid = gid.map_or(Ok(process.user.gid), |gid| id("--user", gid))?;
        }
        for gid in &self.additional_gids {
            process.user.additional_gids.push(id("--additional-gids", gid)?);
        }
        if let Some(cwd) = &self.cwd {
            if !cwd.starts_with('/') {
                return Err(Invalid::new("--cwd", format!("{cwd:?} is not an absolute path")));
            }
            process.cwd.clone_from(cwd);
        }
        if let Some(entry) = self.env.iter().find(|entry| entry.find('=').is_none_or(|at| at == 0)) {
            return Err(Invalid::new("--env", format!("{entry:?} is not of the form NAME=value")));
        }
        process.env.extend(self.env.iter().cloned());
        process.env = config::last_wins(&process.env);
        let add = |set: capability::Set, name: &String| Ok(set.with(number_of(name)?));
        let caps = self.cap.iter().try_fold(capability::Set::default(), add)?;
        let sets = &mut process.capabilities;
        // Ambient takes effect only for what is inheritable too, and nothing is made that here
        // (CVE-2022-29162).
        for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted, &mut sets.ambient] {
            *set = *set | caps;
        }
        process.no_new_privileges |= self.no_new_privs;
        for (change, to) in [
            (&self.apparmor, &mut process.apparmor_profile),
            (&self.process_label, &mut process.selinux_label),
        ] {
            // An empty one is what a script has for none to give, not a way out of the container's.
            if let Some(label) = change.as_ref().filter(|label| !label.is_empty()) {
                *to = Some(label.clone());
            }
        }
        Ok(process)
    }
}

fn id(flag: &str, text: &str) -> Result<u32, Invalid> {
    // setresuid(2) takes -1 as "leave it": it would keep root. A name is not looked up in files of
    // the container's.
    let id = text.parse().ok().filter(|id| *id != u32::MAX);
    id.ok_or_else(|| Invalid::new(flag, format!("{text:?} is not the number of an id")))
}

fn number_of(text: &str) -> Result<u32, Invalid> {
    let name = text.to_ascii_uppercase();
    let name = if name.starts_with("CAP_") { name } else { format!("CAP_{name}") };
    capability::number(&name).ok_or_else(|| Invalid::new("--cap", format!("unknown capability {text:?}")))
}

/// Run the process, and unless it is detached wait for it. The exit status is the process's.
pub fn run(args: &Args, global: &Global) -> Result<u8> {
    let id = args.words[0].escape_debug();
    // What Docker calls -i is how it is here always.
    let hint = if id.to_string().starts_with("-i") {
        ": standard input is passed on always, and -t gives a terminal"
    } else {
        ""
    };
    refuse_option(&args.words[0], hint).context("exec")?;
    run_process(args, global).with_context(|| format!("exec failed: {id}"))
}

fn run_process(args: &Args, global: &Global) -> Result<u8> {
    // First, before this program opens anything.
    let fds = Fds::take(args.preserve_fds, global)?;
    // Until execve(2) no other process may look into this one or its children.
    cred::set_dumpable(false).context("prctl")?;
    let paused = if args.ignore_paused { WhenPaused::Wait } else { WhenPaused::Refuse };
    let id: Id = args.words[0].parse()?;
    let target = Target::new(global.store().open(&id)?, paused)?;
    let container = target.container();
    let config = config::load(&container.dir.load_config()?, &container.state.about.bundle)?.config;
    let (process, warnings) = asked(args, &config)?;
    let labelled = process.apparmor_profile.is_some() || process.selinux_label.is_some();
    let host = host::probe(Asked { security_modules: labelled, ..Asked::default() })?;
    let request = ExecRequest {
        id,
        keyring: if container.state.private_keyring { Keyring::New } else { Keyring::Callers },
        preserve_fds: fds.count,
        listen_env: fds.env,
        cgroup: args.cgroup.as_deref().map_or(Ok(ExecCgroup::Containers), below)?,
        cgroup_driver: cgroup::Record::driver(container.state.cgroup.as_ref()),
    };
    let plan = plan::exec(&config, &process, &request, &host)?;
    global.log().debug(&plan);
    let console = match (&args.console_socket, args.detach) {
        (Some(_), _) => Console::Socket,
        (None, false) => Console::Foreground,
        (None, true) => Console::None,
    };
    check_console(Some(&process), console)?;
    let order = ExecOrder {
        target,
        plan: &plan,
        host: &host,
        pid_file: args.pid_file.clone(),
        console: connect("--console-socket", args.console_socket.as_deref())?,
        pidfd_socket: connect("--pidfd-socket", args.pidfd_socket.as_deref())?,
        wait: if args.detach { Wait::Detached } else { Wait::Foreground },
    };
    let running = exec(&order)?;
    note::mark(Mark::Done);
    warnings.iter().for_each(|warning| global.log().warning(warning));
    let dir = &order.target.container().dir;
    let begun = Event::exec(order.target.container().id(), running.pid, &process.args[0]);
    let Some(signals) = running.signals else {
        global.noted(dir.note(&begun.detached()));
        return Ok(0);
    };
    let journal = dir.journal().and_then(|journal| journal.append(&begun).map(|()| journal));
    let exit = attend(&running.pidfd, &signals, running.terminal, None)?;
    let ended = Event::exec_exit(order.target.container().id(), running.pid, exit);
    global.noted(journal.and_then(|journal| journal.close(&ended)));
    Ok(exit.code() as u8)
}

/// The process of `--process`, or that of config.json with what the command line changes.
fn asked(args: &Args, config: &Config) -> Result<(Process, Vec<String>)> {
    let command = &args.words[1..];
    if let Some(path) = &args.process {
        let beside = if command.is_empty() { args.changes.given() } else { Some("a command") };
        // As with runc, --tty beside a file is nothing: the file says whether there is a terminal.
        if let Some(beside) = beside {
            bail!("--process: the file is the whole process, {beside} cannot change it");
        }
        let file = path.display().to_string();
        let text = read_config(path).with_context(|| format!("--process {file}"))?;
        return config::load_process(&text, &file, config.process.as_ref());
    }
    if command.is_empty() {
        bail!("no command: name one after the id, or a file with --process");
    }
    let process = config.process.clone();
    let process =
        process.context("config.json has no process to take the rest from; give the whole with --process")?;
    let changed = args.changes.apply(process)?;
    Ok((Process { args: command.to_vec(), terminal: args.tty, ..changed }, Vec::new()))
}

/// `--cgroup`: a path below the container's cgroup.
fn below(path: &str) -> Result<ExecCgroup> {
    if Path::new(path).components().any(|part| part == Component::ParentDir) {
        return Err(anyhow!("--cgroup: bad sub cgroup path: {path} is not a sub cgroup path"));
    }
    let path = path.trim_start_matches('/');
    Ok(ExecCgroup::Below(if path.is_empty() { ".".into() } else { path.into() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn asked_by(line: &str) -> Result<Process, String> {
        let config = config::load(crate::template::spec::DEFAULT.as_bytes(), Path::new("/")).unwrap().config;
        let words = std::iter::once("exec").chain(line.split(' '));
        let line = Line::try_parse_from(words).map_err(|err| err.to_string())?;
        asked(&line.args, &config).map(|(process, _)| process).map_err(|err| format!("{err:#}"))
    }

    #[test]
    fn flags_change_the_process_of_the_config() {
        let plain = asked_by("c true").unwrap();
        assert_eq!((plain.args, plain.terminal), (vec!["true".to_string()], false));
        let process =
            asked_by("-t -u 7:8 -g 9 -g 10 --cwd /x -e A=1 --env A=2 -e TERM= c ls -l -t --user 3").unwrap();
        assert_eq!(process.args, ["ls", "-l", "-t", "--user", "3"]);
        assert!(process.terminal);
        assert_eq!((process.user.uid, process.user.gid), (7, 8));
        assert_eq!(process.user.additional_gids, [9, 10]);
        assert_eq!(process.cwd, "/x");
        assert_eq!(process.env[1..], ["TERM=", "A=2"]);
        assert_eq!(asked_by("-u 7 c true").unwrap().user.gid, 0);
        let sets = asked_by("-c sys_admin -c CAP_CHOWN c true").unwrap().capabilities;
        let added = capability::Set::from_bits(1 << 21 | 1);
        for set in [sets.bounding, sets.effective, sets.permitted, sets.ambient] {
            assert_eq!(set & added, added);
        }
        assert!(sets.inheritable.is_empty());
    }

    #[test]
    fn flags_are_checked() {
        for (line, says) in [
            ("c", "no command: name one after the id"),
            ("-u root c true", "--user: \"root\" is not the number of an id"),
            ("-u 0:4294967295 c true", "--user: \"4294967295\" is not"),
            ("-u -1 c true", "-1"),
            ("-g x c true", "--additional-gids: \"x\""),
            ("--cwd x c true", "--cwd: \"x\" is not an absolute path"),
            ("-e A c true", "--env: \"A\" is not of the form NAME=value"),
            ("-c frob c true", "--cap: unknown capability \"frob\""),
            ("--process f c true", "--process: the file is the whole process, a command cannot change it"),
            ("--process f --env A=1 c", "--env cannot change it"),
            ("--process /nonexistent c", "--process /nonexistent: ENOENT"),
        ] {
            let said = asked_by(line).unwrap_err();
            assert!(said.contains(says), "{line}: {said}");
        }
    }

    #[test]
    fn a_cgroup_is_below_the_containers() {
        assert_eq!(below("/").unwrap(), ExecCgroup::Below(".".into()));
        assert_eq!(below("/a/b").unwrap(), ExecCgroup::Below("a/b".into()));
        for path in ["..", "a/../../b", "/.."] {
            assert!(below(path).is_err());
        }
    }
}
