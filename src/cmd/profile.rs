//! `knarr profile`.

use super::create::read_config;
use super::print;
use crate::template::profile::{self, Runtime};
use crate::template::recording::{Recording, VERSION};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
#[group(id = "profile")]
pub struct Args {
    /// What to print: a patch of config.json, Docker's file for --security-opt seccomp=, or a
    /// securityContext of Kubernetes
    #[arg(long, value_enum, value_name = "config|docker|kubernetes", default_value = "config")]
    pub format: Format,
    /// Recordings of `run --record`
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
}

/// `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A merge patch of config.json
    Config,
    /// A filter of system calls alone
    Docker,
    /// What a pod's specification has, beside the filter of `docker`
    Kubernetes,
}

/// Print what the recordings need together.
pub fn run(args: &Args) -> Result<u8> {
    let all = merged(&args.files).context("profile")?;
    let json = |value: &serde_json::Value| format!("{value:#}\n");
    print(&match args.format {
        Format::Config => json(&profile::patch(&all)),
        Format::Docker => json(&profile::seccomp(&all, Runtime::Any)),
        Format::Kubernetes => profile::kubernetes(&all, &profile_name(&args.files)),
    })
}

fn merged(files: &[PathBuf]) -> Result<Recording> {
    let mut all: Option<Recording> = None;
    for path in files {
        let read = recording(path).with_context(|| path.display().to_string())?;
        match &mut all {
            None => all = Some(read),
            Some(all) => all.merge(read),
        }
    }
    all.context("no recording is named")
}

fn recording(path: &Path) -> Result<Recording> {
    let recording: Recording = serde_json::from_slice(&read_config(path)?)?;
    if recording.version != VERSION {
        bail!("version: {} is not {VERSION}", recording.version);
    }
    if !recording.syscalls.contains_key("execve") && !recording.syscalls.contains_key("execveat") {
        bail!("syscalls: no program was executed");
    }
    Ok(recording)
}

/// Where the kubelet is to find the filter: a name that comes from the first recording's.
fn profile_name(files: &[PathBuf]) -> String {
    let stem = files.first().and_then(|path| path.file_stem());
    format!("profiles/{}.json", stem.map(|stem| stem.to_string_lossy()).unwrap_or_default())
}
