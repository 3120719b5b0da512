//! `knarr start`.

use super::Global;
use super::IdArg;
use crate::parent::start;
use anyhow::{Context, Result};

/// Start the container.
pub fn run(args: &IdArg, global: &Global) -> Result<u8> {
    let open = || global.store().open_locked(&args.id.parse()?);
    open().and_then(start::start).with_context(|| format!("start {}", args.id.escape_debug()))?;
    Ok(0)
}
