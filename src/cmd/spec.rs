//! `knarr spec`.

use crate::config::spec::DEFAULT;
use anyhow::{Context, Result, bail};
use std::io::Write;
use std::path::PathBuf;

#[allow(missing_docs, reason = "clap would print it in place of the command's own text")]
#[derive(Debug, clap::Args)]
#[group(id = "spec")]
pub struct Args {
    /// Directory to write config.json to
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub bundle: PathBuf,
}

/// Write config.json unless there is one.
pub fn run(args: &Args) -> Result<u8> {
    let path = args.bundle.join("config.json");
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(&path);
    let mut file = match file {
        Err(err) if err.kind() == std::io::ErrorKind::AlreadyExists => {
            bail!("spec: file {} exists; remove it first", path.display())
        }
        file => file.with_context(|| format!("spec: {}", path.display()))?,
    };
    file.write_all(DEFAULT.as_bytes()).with_context(|| format!("spec: {}", path.display()))?;
    Ok(0)
}
