//! `knarr list`.

use super::Global;
use super::print;
use super::state::Shown;
use crate::host;
use crate::log;
use crate::state::{Container, State, Status};
use anyhow::{Context, Result};

#[derive(Debug, clap::Args)]
#[group(id = "list")]
pub struct Args {
    /// Form of the list
    #[arg(short, long, value_enum, default_value = "table")]
    pub format: Format,
    /// Print ids only
    #[arg(short, long)]
    pub quiet: bool,
}

/// The form of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Aligned columns with a heading.
    Table,
    Json,
}

/// Print all containers.
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
    if args.quiet {
        return print(&found.map(|c| format!("{}\n", c.state.about.id)).collect::<String>());
    }
    let passwd = host::read("/etc/passwd").unwrap_or_default();
    let met: Vec<Met> = found
        .filter_map(|container| {
            let id = container.state.about.id.clone();
            Met::new(container, &passwd).inspect_err(|err| skip(&id, err)).ok()
        })
        .collect();
    let shown: Vec<Shown<'_>> = met.iter().map(|c| Shown::of(&c.state, c.status, &c.owner)).collect();
    match args.format {
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
}

impl Met {
    fn new(container: Container, passwd: &str) -> Result<Met> {
        let (status, owner) = (container.status()?, user_name(passwd, container.dir.owner()));
        Ok(Met { state: container.state, status, owner })
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
