//! `knarr pause` and `knarr resume`.

use super::Global;
use super::IdArg;
use crate::state::Command;
use anyhow::{Context, Result};

/// Stop all its processes where they are.
pub fn pause(args: &IdArg, global: &Global) -> Result<u8> {
    let pause = || {
        let container = global.store().open_locked(&args.id.parse()?)?;
        container.allow(Command::Pause)?;
        container.cgroup()?.freeze()
    };
    pause().with_context(|| format!("pause {}", args.id.escape_debug()))?;
    Ok(0)
}

/// Let them go on.
pub fn resume(args: &IdArg, global: &Global) -> Result<u8> {
    let resume = || {
        let container = global.store().open_locked(&args.id.parse()?)?;
        container.allow(Command::Resume)?;
        container.cgroup()?.thaw()
    };
    resume().with_context(|| format!("resume {}", args.id.escape_debug()))?;
    Ok(0)
}
