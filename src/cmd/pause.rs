//! `knarr pause` and `knarr resume`.

use super::Global;
use super::IdArg;
use crate::state::{Command, Event, What};
use anyhow::{Context, Result};

/// Stop all its processes where they are.
pub fn pause(args: &IdArg, global: &Global) -> Result<u8> {
    let pause = || -> Result<()> {
        let container = global.store().open_locked(&args.id.parse()?)?;
        container.allow(Command::Pause)?;
        container.cgroup()?.freeze()?;
        global.noted(container.dir.note(&Event::now(What::Pause, &args.id)));
        Ok(())
    };
    pause().with_context(|| format!("pause {}", args.id.escape_debug()))?;
    Ok(0)
}

/// Let them go on.
pub fn resume(args: &IdArg, global: &Global) -> Result<u8> {
    let resume = || -> Result<()> {
        let container = global.store().open_locked(&args.id.parse()?)?;
        container.allow(Command::Resume)?;
        container.cgroup()?.thaw()?;
        global.noted(container.dir.note(&Event::now(What::Resume, &args.id)));
        Ok(())
    };
    resume().with_context(|| format!("resume {}", args.id.escape_debug()))?;
    Ok(0)
}
