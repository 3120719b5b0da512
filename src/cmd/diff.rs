//! `knarr diff`, and what `run --diff` tells.

use super::print;
use crate::layer::{Change, compare, read::Layer, store, text};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
#[group(id = "diff")]
pub struct Args {
    /// The folder of run --overlay=DIR, or the name of run --keep=NAME
    #[arg(value_name = "LAYER")]
    pub layer: PathBuf,
    /// What to compare, with the differences of texts [default: all, without]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

/// Print what a layer changes.
pub fn run(args: &Args) -> Result<u8> {
    let text =
        differences(&args.layer, &args.paths).with_context(|| format!("diff {}", args.layer.display()))?;
    print(&text)
}

fn differences(layer: &Path, paths: &[PathBuf]) -> Result<String> {
    let layer = Layer::open(&store::find(layer)?)?;
    let mut text = String::new();
    for change in layer.changes(&absolute(paths)?)? {
        text.push_str(&format!("{}\n", compare::line(&change)));
        if !paths.is_empty() {
            text.push_str(
                &text::difference(&layer, &change).with_context(|| crate::layer::shown(&change.path))?,
            );
        }
    }
    Ok(text)
}

/// Paths as the caller means them, without `.` and `..`; their symlinks are not followed.
pub(super) fn absolute(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for path in paths {
        let mut whole = PathBuf::from("/");
        for part in std::path::absolute(path).with_context(|| path.display().to_string())?.components() {
            match part {
                std::path::Component::Normal(name) => whole.push(name),
                std::path::Component::ParentDir => drop(whole.pop()),
                _ => {}
            }
        }
        all.push(whole);
    }
    Ok(all)
}

/// A list of changes, a line each.
pub(super) fn list(changes: &[Change]) -> String {
    changes.iter().map(|change| format!("{}\n", compare::line(change))).collect()
}
