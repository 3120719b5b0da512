//! `knarr mounts`.

use super::Global;
use super::create::read_config;
use super::print;
use crate::config::added::{Added, Asked, Written, load_mounts};
use crate::config::{self, Config};
use crate::host;
use crate::parent::mounts;
use crate::plan::added;
use crate::state::{Command, Container};
use crate::sys::cred;
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
#[group(id = "mounts")]
pub struct Args {
    #[command(subcommand)]
    pub what: What,
}

/// What is done with the mounts of a container.
#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// Mount something into a container that is there
    Add(AddArgs),
    /// Take away what was added
    Remove(RemoveArgs),
    /// Print what was added
    List(ListArgs),
}

#[derive(Debug, clap::Args)]
#[group(id = "mounts_add")]
#[command(override_usage = "knarr mounts add ID FILE\n       knarr mounts add [OPTIONS] --target PATH ID")]
pub struct AddArgs {
    /// The container's id
    #[arg(value_name = "ID")]
    pub id: String,
    /// File with a list as mounts of config.json, - for standard input
    #[arg(value_name = "FILE", required_unless_present = "target", conflicts_with_all = ["target", "source", "kind", "options"])]
    pub file: Option<PathBuf>,
    /// Where it is mounted in the container; what is missing is made
    #[arg(long, value_name = "PATH")]
    pub target: Option<PathBuf>,
    /// What is mounted
    #[arg(long, value_name = "PATH")]
    pub source: Option<PathBuf>,
    /// The type of the filesystem
    #[arg(long = "type", value_name = "TYPE", default_value = "bind")]
    pub kind: String,
    /// Options as in config.json, with commas between
    #[arg(long, value_name = "OPTION,...", value_delimiter = ',')]
    pub options: Vec<String>,
}

#[derive(Debug, clap::Args)]
#[group(id = "mounts_remove")]
pub struct RemoveArgs {
    /// The container's id
    #[arg(value_name = "ID")]
    pub id: String,
    /// File with a list as for add, of which only the destinations count
    #[arg(value_name = "FILE", required_unless_present_any = ["target", "all"])]
    pub file: Option<PathBuf>,
    /// Where it was mounted in the container; may be repeated
    #[arg(long, value_name = "PATH", conflicts_with = "file")]
    pub target: Vec<String>,
    /// All that was added
    #[arg(long, conflicts_with_all = ["file", "target"])]
    pub all: bool,
}

#[derive(Debug, clap::Args)]
#[group(id = "mounts_list")]
pub struct ListArgs {
    /// The container's id
    #[arg(value_name = "ID")]
    pub id: String,
    /// Form of the list
    #[arg(short, long, value_enum, default_value = "table")]
    pub format: super::list::Format,
}

/// Add, remove or list mounts.
pub fn run(args: &Args, global: &Global) -> Result<u8> {
    match &args.what {
        What::Add(args) => add(args, global).with_context(|| named("add", &args.id)),
        What::Remove(args) => remove(args, global).with_context(|| named("remove", &args.id)),
        What::List(args) => list(args, global).with_context(|| named("list", &args.id)),
    }
}

fn named(what: &str, id: &str) -> String {
    format!("mounts {what} {}", id.escape_debug())
}

/// The container, locked, with the config.json that it was made from.
fn open(id: &str, global: &Global) -> Result<(Container, Config)> {
    // No other process may look into this one or its child.
    cred::set_dumpable(false).context("prctl")?;
    let container = global.store().open_locked(&id.parse()?)?;
    container.allow(Command::Mounts)?;
    let config = config::load(&container.dir.load_config()?, &container.state.about.bundle)?.config;
    Ok((container, config))
}

fn add(args: &AddArgs, global: &Global) -> Result<u8> {
    let (mut container, config) = open(&args.id, global)?;
    let (asked, warnings) = asked(args, &container, &config)?;
    let host = host::probe(host::Asked {
        security_modules: config.mount_label.is_some(),
        ..host::Asked::default()
    })?;
    let list: Vec<_> = asked.iter().map(|asked| &asked.mount).collect();
    let addition = added::add(&config, &host, &list)?;
    global.log().debug(&addition);
    let written = asked.into_iter().map(|asked| asked.written).collect();
    mounts::add(&mut container, &config, &addition, written)?;
    warnings.iter().for_each(|warning| global.log().warning(warning));
    Ok(0)
}

/// What FILE asks for, or the options of the command line, in the same words.
fn asked(args: &AddArgs, container: &Container, config: &Config) -> Result<(Vec<Asked>, Vec<String>)> {
    let (Some(target), None) = (&args.target, &args.file) else {
        let file = args.file.as_deref().unwrap_or(Path::new("-"));
        return read(file, &container.state.about.bundle, config);
    };
    let source = args.source.clone().unwrap_or_else(|| PathBuf::from(&args.kind));
    let text = json!([{"destination": target, "type": args.kind, "source": source, "options": args.options}]);
    let here = std::env::current_dir().context("getcwd")?;
    load_mounts(text.to_string().as_bytes(), "the command line", &here, config)
}

fn read(file: &Path, folder: &Path, config: &Config) -> Result<(Vec<Asked>, Vec<String>)> {
    let path = if file == Path::new("-") { Path::new("/dev/stdin") } else { file };
    let name = file.display().to_string();
    load_mounts(&read_config(path).with_context(|| name.clone())?, &name, folder, config)
}

fn remove(args: &RemoveArgs, global: &Global) -> Result<u8> {
    let (mut container, config) = open(&args.id, global)?;
    let bundle = &container.state.about.bundle;
    let places: Vec<usize> = match &args.file {
        _ if args.all => (0..container.state.mounts.len()).collect(),
        Some(file) => {
            let (asked, _) = read(file, bundle, &config)?;
            let targets = asked.iter().map(|asked| asked.written.destination.as_str());
            places_of(&container.state.mounts, targets)?
        }
        None => places_of(&container.state.mounts, args.target.iter().map(String::as_str))?,
    };
    mounts::remove(&mut container, &config, &places)?;
    Ok(0)
}

/// Where in the record the mounts on these targets are, in its order. Of some on one target it is
/// the last one that is not chosen yet.
fn places_of<'a>(added: &[Added], targets: impl Iterator<Item = &'a str>) -> Result<Vec<usize>> {
    let mut places = Vec::new();
    for target in targets {
        let is_it = |at: &usize| !places.contains(at) && added[*at].written.destination == target;
        match (0..added.len()).rev().find(is_it) {
            Some(at) => places.push(at),
            None => bail!("{target}: was not added"),
        }
    }
    places.sort_unstable();
    Ok(places)
}

fn list(args: &ListArgs, global: &Global) -> Result<u8> {
    let container = global.store().open(&args.id.parse()?)?;
    let written: Vec<&Written> = container.state.mounts.iter().map(|added| &added.written).collect();
    match args.format {
        super::list::Format::Json => print(&format!("{}\n", serde_json::to_string(&written)?)),
        super::list::Format::Table => print(&written.iter().map(|mount| line(mount)).collect::<String>()),
    }
}

/// As /proc/mounts has it: what, where, type, options.
fn line(mount: &Written) -> String {
    let options = if mount.options.is_empty() { "-".to_string() } else { mount.options.join(",") };
    let kind = if mount.kind.is_empty() { "-" } else { &mount.kind };
    format!("{} {} {kind} {options}\n", mount.source.display(), mount.destination)
}
