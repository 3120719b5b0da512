//! The commands, one file each: arguments, the call, what is printed.

pub mod apply;
#[cfg(feature = "image")]
pub mod bundle;
pub mod check;
pub mod checkpoint;
pub mod create;
mod criu;
pub mod delete;
pub mod diff;
pub mod events;
pub mod exec;
pub mod features;
mod global;
pub mod kill;
pub mod layers;
pub mod list;
pub mod mounts;
pub mod pause;
pub mod plan;
pub mod profile;
pub mod ps;
pub mod restore;
pub mod run;
pub mod sandbox;
pub mod spec;
pub mod start;
pub mod state;
pub mod timings;
pub mod update;
mod watch;

pub use global::{Global, SPEC_VERSION, unnoted};

use anyhow::{Context, Result, bail};
use std::io::Write;

#[derive(Debug, clap::Args)]
pub struct IdArg {
    /// The container's id
    #[arg(value_name = "ID")]
    pub id: String,
}

/// An id that begins like an option is most often one that the command does not have, unless `--`
/// stands before it. This is for commands that take whatever follows the id as it is, so that the
/// parser of the command line cannot tell.
fn refuse_option(id: &str, hint: &str) -> Result<()> {
    let mut before = std::env::args_os().take_while(|arg| arg != id);
    match id.strip_prefix('-').and_then(|rest| rest.chars().next()) {
        None => Ok(()),
        Some(_) if before.any(|arg| arg == "--") => Ok(()),
        Some('-') => bail!("unknown option {id}{hint}"),
        Some(letter) => bail!("unknown option -{letter}{hint}"),
    }
}

/// Print to standard output; a reader that is gone is an error, not a panic.
pub fn print(text: &str) -> Result<u8> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("standard output")?;
    Ok(0)
}
