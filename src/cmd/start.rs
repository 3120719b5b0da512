//! `knarr start`.

use super::Global;
use super::Id;
use crate::run::start;
use anyhow::{Context, Result};

/// Start the container.
pub fn run(args: &Id, global: &Global) -> Result<u8> {
    let container = global.store().open_locked(&args.id);
    container.and_then(start::start).with_context(|| format!("start {}", args.id.escape_debug()))?;
    Ok(0)
}
