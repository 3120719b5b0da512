//! `knarr spec`.

use crate::template::spec::{Changes, DEFAULT, changed, rootless};
use anyhow::{Context, Result, bail};
use std::io::Write;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[group(id = "spec")]
pub struct Args {
    /// Directory to write config.json to
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub bundle: PathBuf,
    /// For an ordinary user: in a user namespace in which the caller is root
    #[arg(long)]
    pub rootless: bool,
    /// For a process without a terminal, whose output goes where the caller's does
    #[arg(long)]
    pub no_terminal: bool,
    /// With a root filesystem that can be written
    #[arg(long)]
    pub writable: bool,
    /// The command [default: sh]
    #[arg(value_name = "COMMAND", last = true)]
    pub command: Vec<String>,
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
    let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let text = if args.rootless { rootless(uid, gid)? } else { DEFAULT.into() };
    let text = changed(
        text,
        &Changes { no_terminal: args.no_terminal, writable: args.writable, command: &args.command },
    )?;
    file.write_all(text.as_bytes()).with_context(|| format!("spec: {}", path.display()))?;
    Ok(0)
}
