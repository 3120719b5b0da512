//! What `checkpoint` and `restore` are asked for, and how CRIU is told.

use super::field::{opts as field, page_server};
use super::rpc::Message;
use crate::config::annotation;
use crate::host;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// CRIU's most talkative level but one, as its log is all there is to go by.
const LOG_LEVEL: u64 = 4;

/// How much of the cgroups below the container's is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CgroupsMode {
    /// The settings of those that CRIU makes.
    Soft,
    /// All settings, also of those that are there.
    Full,
    /// All, and nothing may be there.
    Strict,
    Ignore,
}

/// How a network namespace is kept from answering while its connections are saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkLock {
    Iptables,
    Nftables,
    Skip,
}

/// What both are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Directory of the images.
    pub image_path: PathBuf,
    /// Directory of CRIU's log and statistics; none: the images'.
    pub work_path: Option<PathBuf>,
    /// Allow established TCP connections.
    pub tcp_established: bool,
    /// Allow unix sockets that are connected to something outside of the container.
    pub ext_unix_sk: bool,
    /// Allow processes that belong to the session of the caller's terminal.
    pub shell_job: bool,
    pub file_locks: bool,
    /// Leave memory where it is, and fetch a page when it is used (userfaultfd(2)).
    pub lazy_pages: bool,
    /// Drop from parent images what this dump replaces.
    pub auto_dedup: bool,
    /// What becomes of cgroups below the container's.
    pub manage_cgroups_mode: Option<CgroupsMode>,
    /// How connections are blocked during the dump; none: by iptables where that is installed, else
    /// by nftables.
    pub network_lock: Option<NetworkLock>,
}

/// What only a checkpoint is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DumpOptions {
    /// Images of an earlier --pre-dump, of whose memory only what has changed is saved; relative to
    /// --image-path.
    pub parent_path: Option<String>,
    /// Let the container go on.
    pub leave_running: bool,
    /// Save memory only, and let the container go on; the checkpoint that follows names the images
    /// with --parent-path.
    pub pre_dump: bool,
    /// Save memory on another machine, on which criu page-server listens.
    pub page_server: Option<(String, u16)>,
    /// Link deleted files that are still open to a name for the time of the dump.
    pub link_remap: bool,
    /// Leave out TCP connections that are being made.
    pub tcp_skip_in_flight: bool,
}

/// What only a restore is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestoreOptions {
    /// Restore established TCP connections as closed ones.
    pub tcp_close: bool,
    /// Put the processes under this profile, as apparmor:NAME or selinux:LABEL, in place of the one
    /// they had.
    pub lsm_profile: Option<String>,
    /// SELinux label of the files of restored mounts, in place of the one they had.
    pub lsm_mount_context: Option<String>,
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

    /// Add these options to a request for CRIU.
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

    /// Add these options to a request for CRIU.
    pub(super) fn tell(&self, message: &mut Message) {
        message
            .flag(field::LEAVE_RUNNING, self.leave_running)
            .optional(field::PARENT_IMAGE, self.parent_path.as_deref())
            .flag(field::TRACK_MEMORY, self.pre_dump || self.parent_path.is_some())
            .flag(field::LINK_REMAP, self.link_remap)
            .flag(field::TCP_SKIP_IN_FLIGHT, self.tcp_skip_in_flight);
        if let Some((address, port)) = &self.page_server {
            let mut server = Message::default();
            server.text(page_server::ADDRESS, address).number(page_server::PORT, (*port).into());
            message.message(field::PAGE_SERVER, &server);
        }
    }
}

impl RestoreOptions {
    /// Add these options to a request for CRIU.
    pub(super) fn tell(&self, message: &mut Message) {
        message
            .flag(field::TCP_CLOSE, self.tcp_close)
            .optional(field::LSM_PROFILE, self.lsm_profile.as_deref())
            .optional(field::LSM_MOUNT_CONTEXT, self.lsm_mount_context.as_deref());
    }
}

/// What CRIU's configuration file is: the one that the annotation names, none if that is empty, or
/// the machine's for runtimes.
pub(super) fn config_file(annotations: &BTreeMap<String, String>, message: &mut Message) {
    let machines = || MACHINES_CONFIG.into_iter().find(|file| Path::new(file).exists());
    let file = annotations.get(annotation::CRIU_CONFIG).map_or_else(machines, |file| Some(file.as_str()));
    message.optional(field::CONFIG_FILE, file.filter(|file| !file.is_empty()));
}

/// The second is what machines have that were set up for runc.
const MACHINES_CONFIG: [&str; 2] = ["/etc/criu/knarr.conf", "/etc/criu/runc.conf"];
