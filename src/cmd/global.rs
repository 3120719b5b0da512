//! The options before the command, and what they stand for.

use crate::host;
use crate::log::{Format, Level, Log};
use crate::plan::CgroupDriver;
use crate::state::Store;
use clap::ValueEnum;
use clap::builder::PossibleValue;
use std::path::PathBuf;
use std::time::Duration;

/// Where containers are recorded unless `--root` says otherwise.
const DEFAULT_ROOT: &str = "/run/knarr";

/// The version of the runtime specification that is followed.
pub const SPEC_VERSION: &str = "1.3.0";

/// Options before the command.
#[derive(Debug, Clone, clap::Args)]
pub struct Global {
    /// Directory in which containers are recorded [default: /run/knarr, of an ordinary user
    /// $XDG_RUNTIME_DIR/knarr]
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// File to append a record to when a command fails: a path, or file:PATH
    #[arg(long, value_name = "FILE", value_parser = crate::log::file)]
    pub log: Option<PathBuf>,
    /// Form of the records
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    pub log_format: Format,
    /// Report what is done, step by step, in the log or on standard error
    #[arg(long)]
    pub debug: bool,
    /// What is reported beside errors; debug is the same as --debug
    #[arg(long, value_enum, value_name = "LEVEL", default_value = "warning")]
    pub log_level: Level,
    /// The same as --cgroup-manager systemd
    #[arg(long)]
    pub systemd_cgroup: bool,
    /// Who makes cgroups; with systemd linux.cgroupsPath is slice:prefix:name [default: cgroupfs]
    #[arg(long, value_enum, value_name = "MANAGER")]
    pub cgroup_manager: Option<CgroupDriver>,
    /// CRIU, which checkpoints and restores
    #[arg(long, value_name = "FILE", default_value = "criu")]
    pub criu: PathBuf,
    /// How long the command's own work may take, as 30s; when it is over all is taken back. What
    /// runs in the container is not bounded
    #[arg(long, value_name = "TIME", value_parser = super::events::duration)]
    pub timeout: Option<Duration>,
    /// File to append to where the time of the command has gone, in JSON lines; - is a table on
    /// standard error
    #[arg(long, value_name = "FILE")]
    pub timings: Option<PathBuf>,
    /// Accepted for compatibility
    #[arg(long, value_name = "true|false|auto", num_args = 1)]
    pub rootless: Option<String>,
    /// Print the version
    #[arg(short = 'v', long)]
    pub version: bool,
    /// The process that was called, where another one does the work (`--timeout`)
    #[arg(skip)]
    pub called: Option<u32>,
}

/// An ordinary user records containers where their session has its files.
fn default_root() -> PathBuf {
    let session = std::env::var_os("XDG_RUNTIME_DIR").filter(|_| host::user() != 0);
    session.map_or_else(|| DEFAULT_ROOT.into(), |folder| PathBuf::from(folder).join("knarr"))
}

/// The warning of what was done and could not be noted in the container's journal.
pub fn unnoted(noted: anyhow::Result<()>) -> Option<String> {
    noted.err().map(|err| format!("not among the events: {}", crate::log::message(&err)))
}

impl Global {
    /// The store that `--root` names.
    pub fn store(&self) -> Store {
        Store::new(self.root.clone().unwrap_or_else(default_root))
    }

    /// The log that `--log` and `--log-format` name.
    pub fn log(&self) -> Log {
        let level = if self.debug { Level::Debug } else { self.log_level };
        Log { file: self.log.clone(), format: self.log_format, level }
    }

    /// Warn of what was done and could not be noted in the container's journal.
    pub fn noted(&self, noted: anyhow::Result<()>) {
        if let Some(warning) = unnoted(noted) {
            self.log().warning(&warning);
        }
    }

    /// The driver that `--cgroup-manager` chooses, or `--systemd-cgroup`.
    pub fn cgroup_driver(&self) -> CgroupDriver {
        let default = if self.systemd_cgroup { CgroupDriver::Systemd } else { CgroupDriver::Cgroupfs };
        self.cgroup_manager.unwrap_or(default)
    }
}

impl ValueEnum for CgroupDriver {
    fn value_variants<'a>() -> &'a [Self] {
        &[CgroupDriver::Cgroupfs, CgroupDriver::Systemd, CgroupDriver::Disabled]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            CgroupDriver::Cgroupfs => ("cgroupfs", "knarr, at a path in the cgroup tree"),
            CgroupDriver::Systemd => ("systemd", "systemd, as the scope that slice:prefix:name names"),
            CgroupDriver::Disabled => ("disabled", "Nobody"),
        };
        Some(PossibleValue::new(name).help(help))
    }
}

impl ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Self] {
        &[Format::Text, Format::Json]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Format::Text => ("text", "time=\"…\" level=error msg=\"…\""),
            Format::Json => ("json", "One JSON object a line"),
        };
        Some(PossibleValue::new(name).help(help))
    }
}

impl ValueEnum for Level {
    fn value_variants<'a>() -> &'a [Self] {
        &[Level::Error, Level::Warning, Level::Info, Level::Debug]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Level::Error => ("error", "Nothing"),
            Level::Warning => ("warning", "What was tolerated"),
            Level::Info => ("info", "The same: there is nothing in between"),
            Level::Debug => ("debug", "Each step as well"),
        };
        Some(PossibleValue::new(name).help(help))
    }
}
