//! The command line: what runc's users type, parsed and dispatched.

mod go;
mod usage;

use crate::cmd::{self, Global, SPEC_VERSION};
use crate::id::Id;
use crate::log::{self, Format, Level, Log};
use crate::note;
use crate::parent::bound::{self, Rescue};
use crate::sys;
use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// knarr runs containers from OCI bundles: a config.json and a root filesystem.
#[derive(Debug, Parser)]
// As with runc, whoever repeats an option means the last: Podman gives some twice.
#[command(name = "knarr", disable_version_flag = true, args_override_self = true)]
pub struct Cli {
    /// Options before the command
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Option<Cmd>,
}

/// The commands.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum Cmd {
    /// Make a container; its process waits for `start`
    Create(cmd::create::Args),
    /// Let a created container's process run
    Start(cmd::IdArg),
    /// Print a container's state in JSON
    State(cmd::IdArg),
    /// Send a signal to a container's process
    Kill(cmd::kill::Args),
    /// Remove a container
    Delete(cmd::delete::Args),
    /// Make a container, start it and wait for it
    Run(cmd::run::Args),
    /// Run another process in a container
    Exec(cmd::exec::Args),
    /// List containers
    List(cmd::list::Args),
    /// Stop all processes of a container where they are
    Pause(cmd::IdArg),
    /// Let the processes of a paused container go on
    Resume(cmd::IdArg),
    /// List the processes of a container
    Ps(cmd::ps::Args),
    /// Print what a container uses, and when the kernel kills a process of it for memory
    Events(cmd::events::Args),
    /// Mount something into a container that is there, and take it away again
    Mounts(cmd::mounts::Args),
    /// Save the processes of a container to files, by CRIU
    Checkpoint(Box<cmd::checkpoint::Args>),
    /// Make a container of the files of a checkpoint
    Restore(Box<cmd::restore::Args>),
    /// Change the limits of a container
    Update(Box<cmd::update::Args>),
    /// Write a config.json to start from
    Spec(cmd::spec::Args),
    /// Make a bundle of an image
    #[cfg(feature = "image")]
    Bundle(cmd::bundle::Args),
    /// Print what config.json may ask for, in JSON
    Features,
    /// Print what a sandbox changed
    Diff(cmd::diff::Args),
    /// Take changes of a sandbox over to the machine
    Apply(cmd::apply::Args),
    /// List the layers of sandboxes that are kept, or remove some
    Layers(cmd::layers::Args),
    /// Print the smallest profile that recordings of containers need
    Profile(cmd::profile::Args),
    /// Print what this machine offers and lacks for containers
    Check(cmd::check::Args),
    /// Print what `create` would do, step by step, without doing it
    Plan(cmd::plan::Args),
    /// Print the version
    Version,
}

impl Cmd {
    fn run(&self, global: &Global) -> anyhow::Result<u8> {
        match self {
            Cmd::Create(args) => cmd::create::run(args, global),
            Cmd::Start(args) => cmd::start::run(args, global),
            Cmd::State(args) => cmd::state::run(args, global),
            Cmd::Kill(args) => cmd::kill::run(args, global),
            Cmd::Delete(args) => cmd::delete::run(args, global),
            Cmd::Run(args) => cmd::run::run(args, global),
            Cmd::Exec(args) => cmd::exec::run(args, global),
            Cmd::List(args) => cmd::list::run(args, global),
            Cmd::Pause(args) => cmd::pause::pause(args, global),
            Cmd::Resume(args) => cmd::pause::resume(args, global),
            Cmd::Ps(args) => cmd::ps::run(args, global),
            Cmd::Events(args) => cmd::events::run(args, global),
            Cmd::Mounts(args) => cmd::mounts::run(args, global),
            Cmd::Checkpoint(args) => cmd::checkpoint::run(args, global),
            Cmd::Restore(args) => cmd::restore::run(args, global),
            Cmd::Update(args) => cmd::update::run(args, global),
            Cmd::Spec(args) => cmd::spec::run(args),
            #[cfg(feature = "image")]
            Cmd::Bundle(args) => cmd::bundle::run(args, global),
            Cmd::Features => cmd::features::run(),
            Cmd::Diff(args) => cmd::diff::run(args),
            Cmd::Apply(args) => cmd::apply::run(args),
            Cmd::Layers(args) => cmd::layers::run(args),
            Cmd::Profile(args) => cmd::profile::run(args),
            Cmd::Check(args) => cmd::check::run(args, global),
            Cmd::Plan(args) => cmd::plan::run(args, global),
            Cmd::Version => cmd::print(&version()),
        }
    }

    /// What errors begin with, and the container that is dealt with.
    fn of_container(&self) -> (&'static str, Option<&str>) {
        match self {
            Cmd::Create(args) => ("create", Some(&args.common.id)),
            Cmd::Run(args) => ("run", Some(&args.create.common.id)),
            Cmd::Restore(args) => ("restore", Some(&args.common.id)),
            Cmd::Start(args) => ("start", Some(&args.id)),
            Cmd::Checkpoint(args) => ("checkpoint", Some(&args.id)),
            Cmd::Delete(args) => ("delete", Some(&args.id)),
            Cmd::Exec(args) => ("exec failed:", args.words.first().map(String::as_str)),
            _ => ("", None),
        }
    }

    /// Whether the command makes a process that enters a container.
    fn enters(&self) -> bool {
        match self {
            Cmd::Create(_) | Cmd::Run(_) | Cmd::Exec(_) | Cmd::Mounts(_) | Cmd::Restore(_) => true,
            Cmd::Update(args) => !args.device_add.is_empty() || !args.device_remove.is_empty(),
            _ => false,
        }
    }
}

/// Do what the command says; its status, or that of its failure, which is told.
fn attempt(command: &Cmd, global: &Global, sealed: anyhow::Result<()>) -> u8 {
    let sealed = if command.enters() { sealed } else { Ok(()) };
    if global.timings.is_some()
        && let Err(errno) = note::keep()
    {
        global.log().warning(&format!("--timings: mmap: {}", sys::describe(errno)));
    }
    let status = sealed.and_then(|()| command.run(global)).unwrap_or_else(|err| {
        global.log().error(&err);
        failure(Some(command))
    });
    if let Some(file) = &global.timings
        && let Err(err) = cmd::timings::write(file)
    {
        global.log().warning(&format!("--timings {}: {}", file.display(), log::message(&err)));
    }
    status
}

/// The same within a time, by a process of its own.
fn attempt_within(
    time: Duration,
    command: &Cmd,
    global: &Global,
    sealed: anyhow::Result<()>,
) -> anyhow::Result<u8> {
    let (name, id) = command.of_container();
    let id = id.map(str::parse::<Id>).transpose().ok().flatten();
    let rescue = match (command, &id) {
        (Cmd::Create(_) | Cmd::Run(_) | Cmd::Restore(_), Some(id)) => Rescue::Made(id.clone()),
        (Cmd::Start(_), Some(id)) => Rescue::Started(id.clone()),
        (Cmd::Checkpoint(_), Some(id)) => Rescue::Frozen(id.clone()),
        _ => Rescue::Nothing,
    };
    let global = &Global { called: Some(std::process::id()), ..global.clone() };
    let named = || id.as_ref().map_or(name.to_string(), |id| format!("{name} {id}"));
    bound::within(time, &global.store(), &rescue, || attempt(command, global, sealed)).with_context(named)
}

/// The verbs of [`Cmd::enters`], looked for before anything is parsed; and what the options begin
/// with that make `update` one.
const ENTERING: [&str; 5] = ["create", "run", "exec", "mounts", "restore"];
const ENTERING_OPTIONS: &str = "--device-";

fn may_enter(arg: &OsString) -> bool {
    ENTERING.iter().any(|verb| arg == verb) || arg.as_encoded_bytes().starts_with(ENTERING_OPTIONS.as_bytes())
}

/// The exit status of a failing command. That of `exec` is one that few programs have.
fn failure(command: Option<&Cmd>) -> u8 {
    if matches!(command, Some(Cmd::Exec(_))) { 255 } else { 1 }
}

/// Parse the command line, run the command, report its error. The exit status is 0, 1, 255 of a
/// failing `exec` or, of `run` and `exec`, the process's.
pub fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    #[cfg(feature = "shim")]
    if args.first().is_some_and(|program| crate::shim::is_called(program)) {
        return crate::shim::main(args.into_iter().skip(1).map(|arg| arg.to_string_lossy().into_owned()));
    }
    sys::signal::keep_zombies();
    // Sealing comes first, so that the work is done once, by the sealed copy.
    let sealed = if args.iter().any(may_enter) { crate::parent::seal::enter() } else { Ok(()) };
    let cli = match parse(&args) {
        Ok(cli) => cli,
        Err(err) => {
            complain(&args, &err);
            return ExitCode::from(u8::from(err.use_stderr()));
        }
    };
    let global = &cli.global;
    if let Err(err) = global.log().check() {
        log::say(&log::message(&err));
        return ExitCode::from(failure(cli.command.as_ref()));
    }
    let result = match &cli.command {
        _ if global.version => cmd::print(&version()),
        None => cmd::print(&Cli::command().render_help().to_string()),
        Some(command) => match global.timeout {
            None => Ok(attempt(command, global, sealed)),
            Some(time) => attempt_within(time, command, global, sealed),
        },
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(err) => {
            global.log().error(&err);
            ExitCode::from(failure(cli.command.as_ref()))
        }
    }
}

/// As usual or else as in Go: containerd's shim writes `-no-subreaper`.
fn parse(args: &[OsString]) -> Result<Cli, clap::Error> {
    let parsed = Cli::try_parse_from(args);
    if parsed.as_ref().is_err_and(clap::Error::use_stderr) {
        let spelt = go::respelt(args, Cli::command());
        return if spelt == args { parsed } else { Cli::try_parse_from(spelt) };
    }
    parsed
}

/// A wrong command line: one line says what is wrong, as for all errors, and what would be right
/// stands below. Where a log is asked for, the line is a record in it. Help that was asked for goes
/// to standard output.
fn complain(args: &[OsString], err: &clap::Error) {
    if !err.use_stderr() {
        let _ = err.print();
        return;
    }
    let spelt = go::respelt(args, Cli::command());
    let found = Cli::command().ignore_errors(true).try_get_matches_from(spelt).ok();
    let option = |name| found.as_ref().and_then(|found| found.get_one::<PathBuf>(name).cloned());
    let format = found.as_ref().and_then(|found| found.get_one::<Format>("log_format").copied());
    let log = Log { file: option("log"), format: format.unwrap_or(Format::Text), level: Level::Warning };
    let command = found.as_ref().and_then(|found| found.subcommand_name());
    let verb = command.map(|name| format!("{name}: ")).unwrap_or_default();
    log.error(&anyhow::anyhow!("{verb}{}", usage::message(err, &Cli::command())));
    sys::to_stderr(&usage::advice(err));
}

/// The lines that engines parse. `commit` is known where the build was told by KNARR_COMMIT.
fn version() -> String {
    let commit = option_env!("KNARR_COMMIT").map(|commit| format!("commit: {commit}\n"));
    let (version, commit) = (env!("CARGO_PKG_VERSION"), commit.unwrap_or_default());
    format!("knarr version {version}\n{commit}spec: {SPEC_VERSION}\n")
}
