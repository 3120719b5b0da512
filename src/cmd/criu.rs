//! The options that `checkpoint` and `restore` take for CRIU.

use crate::parent::criu::{CgroupsMode, DumpOptions, NetworkLock, Options, RestoreOptions};
use clap::ValueEnum;
use clap::builder::PossibleValue;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[group(id = "criu")]
pub struct Shared {
    /// Directory of the images
    #[arg(long, value_name = "DIR", default_value = "checkpoint")]
    pub image_path: PathBuf,
    /// Directory of CRIU's log and statistics [default: the images']
    #[arg(long, value_name = "DIR")]
    pub work_path: Option<PathBuf>,
    /// Allow established TCP connections
    #[arg(long)]
    pub tcp_established: bool,
    /// Allow unix sockets that are connected to something outside of the container
    #[arg(long)]
    pub ext_unix_sk: bool,
    /// Allow processes that belong to the session of the caller's terminal
    #[arg(long)]
    pub shell_job: bool,
    /// Allow file locks
    #[arg(long)]
    pub file_locks: bool,
    /// Leave memory where it is, and fetch a page when it is used (userfaultfd(2))
    #[arg(long)]
    pub lazy_pages: bool,
    /// Drop from parent images what this dump replaces
    #[arg(long)]
    pub auto_dedup: bool,
    /// What becomes of cgroups below the container's [default: soft]
    #[arg(long, value_enum, value_name = "MODE")]
    pub manage_cgroups_mode: Option<CgroupsMode>,
    /// Accepted for compatibility: a network namespace is always restored without its devices,
    /// which hooks or engines make
    #[arg(long, value_enum, value_name = "NAMESPACE", hide_possible_values = true)]
    pub empty_ns: Vec<EmptyNamespace>,
    /// How connections are blocked during the dump [default: iptables if installed, else nftables]
    #[arg(long, value_enum, value_name = "METHOD")]
    pub network_lock: Option<NetworkLock>,
}

/// A namespace that is restored without what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EmptyNamespace {
    Network,
}

impl Shared {
    /// What CRIU is told.
    pub fn options(&self) -> Options {
        Options {
            image_path: self.image_path.clone(),
            work_path: self.work_path.clone(),
            tcp_established: self.tcp_established,
            ext_unix_sk: self.ext_unix_sk,
            shell_job: self.shell_job,
            file_locks: self.file_locks,
            lazy_pages: self.lazy_pages,
            auto_dedup: self.auto_dedup,
            manage_cgroups_mode: self.manage_cgroups_mode,
            network_lock: self.network_lock,
        }
    }
}

impl ValueEnum for CgroupsMode {
    fn value_variants<'a>() -> &'a [Self] {
        &[CgroupsMode::Soft, CgroupsMode::Full, CgroupsMode::Strict, CgroupsMode::Ignore]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            CgroupsMode::Soft => ("soft", "The settings of those that CRIU makes"),
            CgroupsMode::Full => ("full", "All settings, also of those that are there"),
            CgroupsMode::Strict => ("strict", "All, and nothing may be there"),
            CgroupsMode::Ignore => ("ignore", "None"),
        };
        Some(PossibleValue::new(name).help(help))
    }
}

impl ValueEnum for NetworkLock {
    fn value_variants<'a>() -> &'a [Self] {
        &[NetworkLock::Iptables, NetworkLock::Nftables, NetworkLock::Skip]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            NetworkLock::Iptables => ("iptables", "By iptables"),
            NetworkLock::Nftables => ("nftables", "By nftables"),
            NetworkLock::Skip => ("skip", "Not at all"),
        };
        Some(PossibleValue::new(name).help(help))
    }
}

#[derive(Debug, clap::Args)]
#[group(id = "criu-dump")]
pub struct Dump {
    /// Images of an earlier --pre-dump, of whose memory only what has changed is saved; relative to
    /// --image-path
    #[arg(long, value_name = "DIR")]
    pub parent_path: Option<String>,
    /// Let the container go on
    #[arg(long)]
    pub leave_running: bool,
    /// Save memory only, and let the container go on; the checkpoint that follows names the images
    /// with --parent-path
    #[arg(long)]
    pub pre_dump: bool,
    /// Save memory on another machine, on which criu page-server listens
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = page_server)]
    pub page_server: Option<(String, u16)>,
    /// Descriptor that gets a zero byte when --lazy-pages waits for requests
    #[arg(long, value_name = "FD", allow_negative_numbers = true)]
    pub status_fd: Option<i32>,
    /// Link deleted files that are still open to a name for the time of the dump
    #[arg(long)]
    pub link_remap: bool,
    /// Leave out TCP connections that are being made
    #[arg(long)]
    pub tcp_skip_in_flight: bool,
}

impl Dump {
    /// What CRIU is told.
    pub fn options(&self) -> DumpOptions {
        DumpOptions {
            parent_path: self.parent_path.clone(),
            leave_running: self.leave_running,
            pre_dump: self.pre_dump,
            page_server: self.page_server.clone(),
            link_remap: self.link_remap,
            tcp_skip_in_flight: self.tcp_skip_in_flight,
        }
    }
}

fn page_server(text: &str) -> Result<(String, u16), String> {
    let wrong = || format!("{text:?} is not of the form ADDRESS:PORT");
    let (address, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let address = address.trim_start_matches('[').trim_end_matches(']');
    let port = port.parse().map_err(|_| wrong())?;
    if address.is_empty() { Err(wrong()) } else { Ok((address.into(), port)) }
}

#[derive(Debug, clap::Args)]
#[group(id = "criu-restore")]
pub struct Restore {
    /// Restore established TCP connections as closed ones
    #[arg(long)]
    pub tcp_close: bool,
    /// Put the processes under this profile, as apparmor:NAME or selinux:LABEL, in place of the one
    /// they had
    #[arg(long, value_name = "TYPE:NAME")]
    pub lsm_profile: Option<String>,
    /// SELinux label of the files of restored mounts, in place of the one they had
    #[arg(long, value_name = "LABEL")]
    pub lsm_mount_context: Option<String>,
}

impl Restore {
    /// What CRIU is told.
    pub fn options(&self) -> RestoreOptions {
        RestoreOptions {
            tcp_close: self.tcp_close,
            lsm_profile: self.lsm_profile.clone(),
            lsm_mount_context: self.lsm_mount_context.clone(),
        }
    }
}
