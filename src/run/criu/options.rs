//! What `checkpoint` and `restore` are asked for, and how CRIU is told.

use super::rpc::Message;
use crate::config::annotation;
use crate::host;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Numbers of fields of CRIU's `criu_opts`.
pub(super) mod field {
    pub(in super::super) const IMAGES_DIR_FD: u32 = 1;
    pub(in super::super) const PID: u32 = 2;
    pub(in super::super) const LEAVE_RUNNING: u32 = 3;
    pub(super) const EXT_UNIX_SK: u32 = 4;
    pub(super) const TCP_ESTABLISHED: u32 = 5;
    pub(in super::super) const EVASIVE_DEVICES: u32 = 6;
    pub(super) const SHELL_JOB: u32 = 7;
    pub(super) const FILE_LOCKS: u32 = 8;
    pub(super) const LOG_LEVEL: u32 = 9;
    pub(super) const LOG_FILE: u32 = 10;
    pub(super) const PAGE_SERVER: u32 = 11;
    pub(super) const NOTIFY_SCRIPTS: u32 = 12;
    pub(in super::super) const ROOT: u32 = 13;
    pub(super) const PARENT_IMAGE: u32 = 14;
    pub(super) const TRACK_MEMORY: u32 = 15;
    pub(super) const AUTO_DEDUP: u32 = 16;
    pub(in super::super) const WORK_DIR_FD: u32 = 17;
    pub(super) const LINK_REMAP: u32 = 18;
    pub(super) const MANAGE_CGROUPS: u32 = 24;
    pub(in super::super) const CGROUP_ROOT: u32 = 25;
    pub(in super::super) const RESTORE_SIBLING: u32 = 26;
    pub(in super::super) const INHERIT_FD: u32 = 27;
    pub(super) const MANAGE_CGROUPS_MODE: u32 = 34;
    pub(in super::super) const EXTERNAL: u32 = 37;
    pub(in super::super) const EMPTY_NAMESPACES: u32 = 38;
    pub(in super::super) const JOIN_NAMESPACE: u32 = 39;
    pub(in super::super) const FREEZE_CGROUP: u32 = 44;
    pub(super) const TCP_SKIP_IN_FLIGHT: u32 = 46;
    pub(super) const LAZY_PAGES: u32 = 48;
    pub(super) const ORPHAN_PTS_MASTER: u32 = 50;
    pub(super) const CONFIG_FILE: u32 = 51;
    pub(super) const TCP_CLOSE: u32 = 52;
    pub(super) const LSM_PROFILE: u32 = 53;
    pub(in super::super) const CGROUP_YARD: u32 = 60;
    pub(super) const LSM_MOUNT_CONTEXT: u32 = 63;
    pub(super) const NETWORK_LOCK: u32 = 64;
}

/// CRIU's most talkative level but one, as its log is all there is to go by.
const LOG_LEVEL: u64 = 4;

/// How much of the cgroups below the container's is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum CgroupsMode {
    /// The settings of those that CRIU makes
    Soft,
    /// All settings, also of those that are there
    Full,
    /// All, and nothing may be there
    Strict,
    /// None
    Ignore,
}

/// How a network namespace is kept from answering while its connections are saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum NetworkLock {
    /// By iptables
    Iptables,
    /// By nftables
    Nftables,
    /// Not at all
    Skip,
}

/// A namespace that is restored without what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum EmptyNamespace {
    /// The only one
    Network,
}

#[allow(missing_docs, reason = "clap would print it in place of the command's own text")]
#[derive(Debug, clap::Args)]
#[group(id = "criu")]
pub struct Options {
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
    /// Free in the images of a --parent-path what newer ones replace
    #[arg(long)]
    pub auto_dedup: bool,
    /// What becomes of cgroups below the container's [default: soft]
    #[arg(long, value_enum, value_name = "MODE")]
    pub manage_cgroups_mode: Option<CgroupsMode>,
    /// Accepted for compatibility: a network namespace is always restored without its devices, which hooks or engines make
    #[arg(long, value_enum, value_name = "NAMESPACE")]
    pub empty_ns: Vec<EmptyNamespace>,
    /// How the network is kept still meanwhile [default: iptables, without iptables-restore(8) nftables]
    #[arg(long, value_enum, value_name = "METHOD")]
    pub network_lock: Option<NetworkLock>,
}

/// CRIU calls the programs of iptables, which not every machine has; for nftables it needs none.
fn usual_lock() -> NetworkLock {
    if host::program("iptables-restore").is_some() { NetworkLock::Iptables } else { NetworkLock::Nftables }
}

impl Options {
    /// Where the images are.
    pub(super) fn images(&self) -> &Path {
        &self.image_path
    }

    /// Where CRIU's log goes.
    pub(super) fn work(&self) -> &Path {
        self.work_path.as_deref().unwrap_or(&self.image_path)
    }

    /// What CRIU is told.
    pub(super) fn tell(&self, message: &mut Message, log: &str) {
        message
            .flag(field::EXT_UNIX_SK, self.ext_unix_sk)
            .flag(field::TCP_ESTABLISHED, self.tcp_established)
            .flag(field::SHELL_JOB, self.shell_job)
            .flag(field::FILE_LOCKS, self.file_locks)
            .number(field::LOG_LEVEL, LOG_LEVEL)
            .text(field::LOG_FILE, log)
            .flag(field::NOTIFY_SCRIPTS, true)
            .flag(field::AUTO_DEDUP, self.auto_dedup)
            .flag(field::MANAGE_CGROUPS, true)
            .flag(field::LAZY_PAGES, self.lazy_pages)
            .flag(field::ORPHAN_PTS_MASTER, true);
        if let Some(mode) = self.manage_cgroups_mode {
            let number = match mode {
                CgroupsMode::Ignore => 0,
                CgroupsMode::Soft => 3,
                CgroupsMode::Full => 4,
                CgroupsMode::Strict => 5,
            };
            message.number(field::MANAGE_CGROUPS_MODE, number);
        }
        let number = match self.network_lock.unwrap_or_else(usual_lock) {
            NetworkLock::Iptables => 1,
            NetworkLock::Nftables => 2,
            NetworkLock::Skip => 3,
        };
        message.number(field::NETWORK_LOCK, number);
    }
}

#[allow(missing_docs, reason = "clap would print it in place of the command's own text")]
#[derive(Debug, clap::Args)]
#[group(id = "criu-dump")]
pub struct DumpOptions {
    /// Images of an earlier --pre-dump, of whose memory only what has changed is saved; relative to --image-path
    #[arg(long, value_name = "DIR")]
    pub parent_path: Option<String>,
    /// Let the container go on
    #[arg(long)]
    pub leave_running: bool,
    /// Save memory only, and let the container go on; the checkpoint that follows names the images with --parent-path
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

fn page_server(text: &str) -> Result<(String, u16), String> {
    let wrong = || format!("{text:?} is not of the form ADDRESS:PORT");
    let (address, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let address = address.trim_start_matches('[').trim_end_matches(']');
    let port = port.parse().map_err(|_| wrong())?;
    if address.is_empty() { Err(wrong()) } else { Ok((address.into(), port)) }
}

impl DumpOptions {
    /// Check what depends on files.
    pub(super) fn check(&self, images: &Path) -> Result<()> {
        if let Some(parent) = &self.parent_path {
            if Path::new(parent).is_absolute() {
                bail!("--parent-path {parent}: must be relative to --image-path");
            }
            let path = images.join(parent);
            let place = || format!("--parent-path {parent}: {}", path.display());
            if !path.metadata().with_context(place)?.is_dir() {
                bail!("{}: not a directory", place());
            }
        }
        Ok(())
    }

    /// What CRIU is told.
    pub(super) fn tell(&self, message: &mut Message) {
        message
            .flag(field::LEAVE_RUNNING, self.leave_running)
            .optional(field::PARENT_IMAGE, self.parent_path.as_deref())
            .flag(field::TRACK_MEMORY, self.pre_dump || self.parent_path.is_some())
            .flag(field::LINK_REMAP, self.link_remap)
            .flag(field::TCP_SKIP_IN_FLIGHT, self.tcp_skip_in_flight);
        if let Some((address, port)) = &self.page_server {
            let mut server = Message::default();
            server.text(1, address).number(2, (*port).into());
            message.message(field::PAGE_SERVER, &server);
        }
    }
}

#[allow(missing_docs, reason = "clap would print it in place of the command's own text")]
#[derive(Debug, clap::Args)]
#[group(id = "criu-restore")]
pub struct RestoreOptions {
    /// Restore established TCP connections as closed ones
    #[arg(long)]
    pub tcp_close: bool,
    /// Put the processes under this profile, as apparmor:NAME or selinux:LABEL, in place of the one they had
    #[arg(long, value_name = "TYPE:NAME")]
    pub lsm_profile: Option<String>,
    /// SELinux label of the files of restored mounts, in place of the one they had
    #[arg(long, value_name = "LABEL")]
    pub lsm_mount_context: Option<String>,
}

impl RestoreOptions {
    /// What CRIU is told.
    pub(super) fn tell(&self, message: &mut Message) {
        message
            .flag(field::TCP_CLOSE, self.tcp_close)
            .optional(field::LSM_PROFILE, self.lsm_profile.as_deref())
            .optional(field::LSM_MOUNT_CONTEXT, self.lsm_mount_context.as_deref());
    }
}

/// What CRIU's configuration file is: the one that the annotation names, none if that is empty, or the machine's for runtimes.
pub(super) fn config_file(annotations: &BTreeMap<String, String>, message: &mut Message) {
    let machines = || MACHINES_CONFIG.into_iter().find(|file| Path::new(file).exists());
    let file = annotations.get(annotation::CRIU_CONFIG).map_or_else(machines, |file| Some(file.as_str()));
    message.optional(field::CONFIG_FILE, file.filter(|file| !file.is_empty()));
}

/// The second is what machines have that were set up for runc.
const MACHINES_CONFIG: [&str; 2] = ["/etc/criu/knarr.conf", "/etc/criu/runc.conf"];
