//! The layer of a sandbox: where it is, and what is told of it at the end.

use super::super::diff::list;
use super::super::run::Args;
use crate::id::Id;
use crate::layer::read::Layer;
use crate::layer::store;
use crate::sys;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;

/// The changes of one run.
pub(crate) struct Changes {
    /// `--overlay`.
    asked: Option<Option<PathBuf>>,
    /// A layer of the store's.
    named: Option<Named>,
    is_told: bool,
    lock: Option<store::Lock>,
}

struct Named {
    name: Id,
    folder: PathBuf,
    /// Whether it goes when the sandbox has ended.
    is_for_now: bool,
}

impl Changes {
    pub(crate) fn of(args: &Args) -> Result<Changes> {
        if args.sandbox.diff && args.detach {
            bail!("--diff: nobody waits for what is detached");
        }
        let asked = args.create.overlay.clone();
        let name = match (&args.keep, &asked) {
            (Some(Some(name)), Some(_)) => bail!("--keep={name}: --overlay says where changes go already"),
            (Some(Some(name)), None) => Some((name.clone(), false)),
            (_, Some(Some(_))) => None,
            _ if args.sandbox.diff => {
                let id: Id = args.create.common.id.parse()?;
                Some((format!("{id:.200}.{}.tmp", std::process::id()).parse()?, true))
            }
            _ => None,
        };
        let named = name.map(|(name, is_for_now)| {
            let folder = store::make(&name).with_context(|| format!("the layer {name}"))?;
            anyhow::Ok(Named { name, folder, is_for_now })
        });
        let mut changes =
            Changes { asked, named: named.transpose()?, is_told: args.sandbox.diff, lock: None };
        if let Some(folder) = changes.overlay().flatten() {
            changes.lock = store::lock(&folder)?;
        }
        Ok(changes)
    }

    /// What `--overlay` would have to be.
    pub(crate) fn overlay(&self) -> Option<Option<PathBuf>> {
        self.named.as_ref().map(|named| Some(named.folder.clone())).or_else(|| self.asked.clone())
    }

    /// When the sandbox has ended.
    pub(crate) fn tell_and_forget(mut self) -> Result<()> {
        let folder = self.overlay().flatten();
        // A sandbox that could not be made has none.
        let Some(folder) = folder.filter(|folder| folder.exists()) else { return Ok(()) };
        let told = if self.is_told {
            let changes = Layer::open(&folder).and_then(|layer| layer.changes(&[]));
            changes.map(|changes| sys::to_stderr(&list(&changes))).context("--diff")
        } else {
            Ok(())
        };
        drop(self.lock.take());
        match &self.named {
            Some(named) if named.is_for_now => store::forget(&named.name).and(told),
            _ => told,
        }
    }
}
