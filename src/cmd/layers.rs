//! `knarr layers`.

use super::print;
use crate::id::Id;
use crate::layer::store;
use crate::time::rfc3339;
use anyhow::{Context, Result};
use std::time::{Duration, UNIX_EPOCH};

#[derive(Debug, clap::Args)]
#[group(id = "layers")]
pub struct Args {
    /// Remove these in place of listing all
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub remove: Vec<Id>,
}

/// List the layers that `run --keep=NAME` has made, or remove some.
pub fn run(args: &Args) -> Result<u8> {
    for name in &args.remove {
        store::forget(name).with_context(|| format!("layers: remove {name}"))?;
    }
    if !args.remove.is_empty() {
        return Ok(0);
    }
    let kept = store::list().context("layers")?;
    let width = kept.iter().map(|layer| layer.name.len()).max().unwrap_or_default().max(4);
    let mut text = format!("{:width$}  {:20}  CHANGES\n", "NAME", "USED");
    for layer in kept {
        let at = UNIX_EPOCH + Duration::from_secs(layer.changed_s.max(0) as u64);
        let second = rfc3339(at);
        let second = second.split('.').next().unwrap_or_default();
        let count = store::find(layer.name.as_ref())
            .and_then(|path| crate::layer::read::Layer::open(&path)?.changes(&[]))
            .map_or("?".into(), |changes| changes.len().to_string());
        text.push_str(&format!("{:width$}  {second}Z  {count}\n", layer.name));
    }
    print(&text)
}
