//! The numbers of fields and kinds in CRIU's protocol (CRIU's images/rpc.proto), by message.

/// `criu_req_type`: what is asked for, or comes unasked.
pub(super) mod kind {
    pub(in super::super) const DUMP: u64 = 1;
    pub(in super::super) const RESTORE: u64 = 2;
    pub(in super::super) const PRE_DUMP: u64 = 4;
    pub(in super::super) const NOTIFY: u64 = 6;
    pub(in super::super) const VERSION: u64 = 10;
}

/// `criu_req`.
pub(super) mod req {
    pub(in super::super) const TYPE: u32 = 1;
    pub(in super::super) const OPTS: u32 = 2;
    pub(in super::super) const NOTIFY_SUCCESS: u32 = 3;
}

/// `criu_resp`.
pub(super) mod resp {
    pub(in super::super) const TYPE: u32 = 1;
    pub(in super::super) const SUCCESS: u32 = 2;
    pub(in super::super) const RESTORE: u32 = 4;
    pub(in super::super) const NOTIFY: u32 = 5;
    pub(in super::super) const ERRNO: u32 = 7;
    pub(in super::super) const ERROR_MESSAGE: u32 = 9;
    pub(in super::super) const VERSION: u32 = 10;
}

/// `criu_restore_resp`.
pub(super) mod restore_resp {
    pub(in super::super) const PID: u32 = 1;
}

/// `criu_notify`.
pub(super) mod notify {
    pub(in super::super) const SCRIPT: u32 = 1;
    pub(in super::super) const PID: u32 = 2;
}

/// `criu_version`.
pub(super) mod version {
    pub(in super::super) const MAJOR: u32 = 1;
    pub(in super::super) const MINOR: u32 = 2;
}

/// `criu_page_server_info`.
pub(super) mod page_server {
    pub(in super::super) const ADDRESS: u32 = 1;
    pub(in super::super) const PORT: u32 = 2;
}

/// `cgroup_root`.
pub(super) mod cgroup_root {
    pub(in super::super) const CONTROLLER: u32 = 1;
    pub(in super::super) const PATH: u32 = 2;
}

/// `inherit_fd`.
pub(super) mod inherit_fd {
    pub(in super::super) const KEY: u32 = 1;
    pub(in super::super) const FD: u32 = 2;
}

/// `join_namespace`.
pub(super) mod join_namespace {
    pub(in super::super) const KIND: u32 = 1;
    pub(in super::super) const FILE: u32 = 2;
}

/// `criu_opts`.
pub(super) mod opts {
    pub(in super::super) const IMAGES_DIR_FD: u32 = 1;
    pub(in super::super) const PID: u32 = 2;
    pub(in super::super) const LEAVE_RUNNING: u32 = 3;
    pub(in super::super) const EXT_UNIX_SK: u32 = 4;
    pub(in super::super) const TCP_ESTABLISHED: u32 = 5;
    pub(in super::super) const EVASIVE_DEVICES: u32 = 6;
    pub(in super::super) const SHELL_JOB: u32 = 7;
    pub(in super::super) const FILE_LOCKS: u32 = 8;
    pub(in super::super) const LOG_LEVEL: u32 = 9;
    pub(in super::super) const LOG_FILE: u32 = 10;
    pub(in super::super) const PAGE_SERVER: u32 = 11;
    pub(in super::super) const NOTIFY_SCRIPTS: u32 = 12;
    pub(in super::super) const ROOT: u32 = 13;
    pub(in super::super) const PARENT_IMAGE: u32 = 14;
    pub(in super::super) const TRACK_MEMORY: u32 = 15;
    pub(in super::super) const AUTO_DEDUP: u32 = 16;
    pub(in super::super) const WORK_DIR_FD: u32 = 17;
    pub(in super::super) const LINK_REMAP: u32 = 18;
    pub(in super::super) const MANAGE_CGROUPS: u32 = 24;
    pub(in super::super) const CGROUP_ROOT: u32 = 25;
    pub(in super::super) const RESTORE_SIBLING: u32 = 26;
    pub(in super::super) const INHERIT_FD: u32 = 27;
    pub(in super::super) const MANAGE_CGROUPS_MODE: u32 = 34;
    pub(in super::super) const EXTERNAL: u32 = 37;
    pub(in super::super) const EMPTY_NAMESPACES: u32 = 38;
    pub(in super::super) const JOIN_NAMESPACE: u32 = 39;
    pub(in super::super) const FREEZE_CGROUP: u32 = 44;
    pub(in super::super) const TCP_SKIP_IN_FLIGHT: u32 = 46;
    pub(in super::super) const LAZY_PAGES: u32 = 48;
    pub(in super::super) const ORPHAN_PTS_MASTER: u32 = 50;
    pub(in super::super) const CONFIG_FILE: u32 = 51;
    pub(in super::super) const TCP_CLOSE: u32 = 52;
    pub(in super::super) const LSM_PROFILE: u32 = 53;
    pub(in super::super) const CGROUP_YARD: u32 = 60;
    pub(in super::super) const LSM_MOUNT_CONTEXT: u32 = 63;
    pub(in super::super) const NETWORK_LOCK: u32 = 64;
}
