//! `knarr apply`.

use super::diff::{absolute, list};
use super::print;
use crate::layer::read::Layer;
use crate::layer::{Change, apply, shown, store};
use crate::log::say;
use anyhow::{Context, Result, bail};
use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[group(id = "apply")]
pub struct Args {
    /// The folder of run --overlay=DIR, or the name of run --keep=NAME
    #[arg(value_name = "LAYER")]
    pub layer: PathBuf,
    /// What to take over [default: all]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// Take changes of a layer over to the machine.
pub fn run(args: &Args) -> Result<u8> {
    take_over(args).with_context(|| format!("apply {}", args.layer.display()))
}

fn take_over(args: &Args) -> Result<u8> {
    let layer = Layer::open(&store::find(&args.layer)?)?;
    let chosen = absolute(&args.paths)?;
    for path in &chosen {
        if layer.changes(std::slice::from_ref(path))?.is_empty() {
            bail!("{}: the layer changes nothing there", shown(path));
        }
    }
    let all = apply::with_folders(layer.changes(&[])?, &chosen);
    let (changes, left): (Vec<Change>, Vec<Change>) = all.into_iter().partition(apply::can_be);
    print(&list(&changes))?;
    for change in &left {
        say(&format!("warning: {}: sockets and devices are not taken over", shown(&change.path)));
    }
    if changes.is_empty() || (!args.yes && !is_agreed(changes.len())?) {
        return Ok(u8::from(!changes.is_empty()));
    }
    for change in &changes {
        apply::apply(&layer, change).with_context(|| shown(&change.path))?;
    }
    Ok(0)
}

/// Ask on the terminal.
fn is_agreed(count: usize) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("there is no terminal to ask on: --yes takes them over without a question");
    }
    let mut out = std::io::stdout().lock();
    write!(out, "Take over these {count} changes? [y/N] ")
        .and_then(|()| out.flush())
        .context("standard output")?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context("standard input")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
