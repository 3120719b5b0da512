//! `knarr list`.

use super::Global;
use super::print;
use super::state::Shown;
use crate::host;
use crate::log;
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
    let mut containers = Vec::new();
    if let Some(root) = &global.root {
        // Where nobody has made a container yet there is none; a folder that was named is meant to
        // be there.
        std::fs::metadata(root).with_context(|| format!("list: --root {}", root.display()))?;
    }
    for (id, container) in global.store().list()? {
        match container {
            Ok(container) => containers.push(container),
            Err(err) => skip(id.as_str(), &err),
        }
    }
    if args.quiet {
        let ids: String = containers.iter().map(|c| format!("{}\n", c.state.about.id)).collect();
        return print(&ids);
    }
    let passwd = host::read("/etc/passwd").unwrap_or_default();
    let shown =
        |c| Shown::of(c, user_name(&passwd, c.dir.owner())).inspect_err(|err| skip(&c.state.about.id, err));
    let shown: Vec<Shown<'_>> = containers.iter().filter_map(|c| shown(c).ok()).collect();
    match args.format {
        Format::Json => print(&format!("{}\n", serde_json::to_string(&shown)?)),
        Format::Table => print(&table(&shown)),
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
        [c.id.into(), c.pid.to_string(), c.status.to_string(), bundle, c.created.into(), c.owner.clone()]
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
