//! `knarr delete`.

use super::Global;
use crate::id::Id;
use crate::parent::{delete, salvage};
use crate::state::{Command, Found};
use crate::time;
use anyhow::{Context, Result};
use std::time::Duration;

#[derive(Debug, clap::Args)]
#[group(id = "delete")]
pub struct Args {
    /// The container's id
    #[arg(value_name = "ID")]
    pub id: String,
    /// Kill what still runs; a container that does not exist is no error
    #[arg(short, long)]
    pub force: bool,
}

/// How long `--force` waits in all, so that it is done within ten seconds.
const FORCED: Duration = Duration::from_millis(9_600);

/// Delete the container.
pub fn run(args: &Args, global: &Global) -> Result<u8> {
    let warnings = delete(args, global).with_context(|| format!("delete {}", args.id.escape_debug()))?;
    warnings.iter().for_each(|warning| global.log().warning(warning));
    Ok(0)
}

fn delete(args: &Args, global: &Global) -> Result<Vec<String>> {
    let id: Id = args.id.parse()?;
    if args.force {
        time::bound_waiting(FORCED);
        return match global.store().open_by_force(&id)? {
            None => Ok(Vec::new()),
            Some(Found::Container(container)) => delete::destroy(*container),
            Some(Found::Remains(dir, why)) => salvage::clear(dir, &id, &why),
        };
    }
    let container = global.store().open_locked(&id)?;
    container.allow(Command::Delete)?;
    delete::destroy(container)
}
