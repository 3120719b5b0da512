//! `knarr start`.

use super::Global;
use super::{IdArg, watch};
use crate::parent::start;
use anyhow::{Context, Result};

/// Start the container.
pub fn run(args: &IdArg, global: &Global) -> Result<u8> {
    let start = || {
        let container = global.store().open_locked(&args.id.parse()?)?;
        let mut watch = watch::Heir::of_created(&container, global)?;
        start::start(container, &mut |state, fd| watch.take(state, fd))
    };
    start().with_context(|| format!("start {}", args.id.escape_debug()))?;
    Ok(0)
}
