//! `knarr list`.

mod choice;

use super::Global;
use super::print;
use super::state::{Past, Shown};
use crate::host;
use crate::log;
use crate::state::{Container, State, Status};
use anyhow::{Context, Result};
use choice::{Filter, Key};

#[derive(Debug, clap::Args)]
#[group(id = "list")]
pub struct Args {
    /// Form of the list
    #[arg(short, long, value_enum, default_value = "table")]
    pub format: Format,
    /// Print ids only
    #[arg(short, long)]
    pub quiet: bool,
    /// Only those of which this is so: status=STATUS or annotation=KEY[=VALUE]; one of each kind
    /// that is given
    #[arg(long, value_name = "WHAT=VALUE")]
    pub filter: Vec<Filter>,
    /// What the list is sorted by
    #[arg(long, value_enum, value_name = "KEY", default_value = "id")]
    pub sort: Key,
    /// The last one first
    #[arg(long)]
    pub reverse: bool,
}

/// The form of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Aligned columns with a heading.
    Table,
    Json,
}

/// Print all containers, or those that are chosen.
pub fn run(args: &Args, global: &Global) -> Result<u8> {
    let skip = |id: &str, err: &anyhow::Error| log::say(&format!("list: {id}: {}", log::message(err)));
    if let Some(root) = &global.root {
        // Where nobody has made a container yet there is none; a folder that was named is meant to
        // be there.
        std::fs::metadata(root).with_context(|| format!("list: --root {}", root.display()))?;
    }
    let store = global.store();
    let found = store.list()?;
    let found = found.filter_map(|(id, found)| found.inspect_err(|err| skip(id.as_str(), err)).ok());
    if args.quiet && args.filter.is_empty() && args.sort == Key::Id && !args.reverse {
        return print(&found.map(|c| format!("{}\n", c.state.about.id)).collect::<String>());
    }
    let passwd = host::read("/etc/passwd").unwrap_or_default();
    let met = found.filter_map(|container| {
        let id = container.state.about.id.clone();
        Met::new(container, &passwd, args).inspect_err(|err| skip(&id, err)).ok()
    });
    let chosen = |met: &Met| choice::all(&args.filter, met.status, &met.state.about.annotations);
    let mut met: Vec<Met> = met.filter(chosen).collect();
    // By id they are already.
    match args.sort {
        Key::Id => {}
        Key::Created => met.sort_by(|a, b| a.state.created.cmp(&b.state.created)),
        Key::Started => met.sort_by(|a, b| a.past.started.cmp(&b.past.started)),
        Key::Status => met.sort_by_key(|met| met.status),
    }
    if args.reverse {
        met.reverse();
    }
    let shown = met.iter().map(|met| Shown::of(&met.state, met.status, &met.owner, &met.past));
    let shown: Vec<Shown<'_>> = shown.collect();
    match args.format {
        _ if args.quiet => print(&shown.iter().map(|c| format!("{}\n", c.id)).collect::<String>()),
        Format::Json => print(&format!("{}\n", serde_json::to_string(&shown)?)),
        Format::Table => print(&table(&shown)),
    }
}

/// A container as it was found. Its directory is not kept open: of a thousand that would be more
/// descriptors than a process has by default.
struct Met {
    state: State,
    status: Status,
    owner: String,
    past: Past,
}

impl Met {
    fn new(container: Container, passwd: &str, args: &Args) -> Result<Met> {
        let (status, owner) = (container.status()?, user_name(passwd, container.dir.owner()));
        let asked = args.format == Format::Json || args.sort == Key::Started;
        let past = if asked { Past::of(&container, status) } else { Past::default() };
        Ok(Met { state: container.state, status, owner, past })
    }
}

/// The name of `uid`, or its number.
fn user_name(passwd: &str, uid: u32) -> String {
    host::user_name(passwd, uid).map_or_else(|| uid.to_string(), String::from)
}

fn table(containers: &[Shown<'_>]) -> String {
    let heading = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(String::from);
    let rows = containers.iter().map(|c| {
        let bundle = c.bundle.display().to_string();
        [c.id.into(), c.pid.to_string(), c.status.to_string(), bundle, c.created.into(), c.owner.into()]
    });
    let rows: Vec<[String; 6]> = std::iter::once(heading).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0).max(9) + 3;
    let widths: [usize; 6] = std::array::from_fn(width);
    let line = |row: &[String; 6]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<String>().trim_end())
    };
    rows.iter().map(line).collect()
}
