//! What is asked: config.json, loaded, checked against the runtime specification and resolved.
//!
//! Only this room and image/ name oci-spec. What leaves it has no `Option` that stands for a
//! default.

pub mod added;
pub mod annotation;
pub mod bind_flags;
pub mod core_sched;
pub mod device_rules;
pub mod features;
pub mod ids;
pub mod landlock;
pub mod load;
mod locate;
pub mod mount_options;
mod mounts;
pub mod overlay;
pub mod rdt;
mod resolve;
pub mod resources;
pub mod rules;
pub mod scheduling;
pub mod seccomp;
pub mod unknown;
pub mod update;
mod words;

pub use core_sched::CoreSched;
pub use ids::{IdMaps, IdRange};
pub use landlock::Landlock;
pub use load::{Loaded, load, load_process};
pub use mount_options::{NAMES as MOUNT_OPTIONS, Options, Symlink};
pub use mounts::{Mount, MountSource, NewMount};
pub use overlay::{Overlay, Upper};
pub use rdt::Rdt;
pub use resolve::last_wins;
pub use scheduling::{ExecAffinity, MemoryPolicy, NumberSet, Scheduler};

use crate::capability::Set;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// A value in config.json that the runtime specification forbids, or that this runtime cannot
/// honour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The place in config.json, as `mounts[2].destination`.
    pub field: String,
    /// What is wrong with it: lower case, no full stop, with the value quoted.
    pub reason: String,
}

impl Invalid {
    /// An invalid value at `field`.
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Invalid { field: field.into(), reason: reason.into() }
    }
}

/// Return that the value at a field is invalid, unless a condition holds. What says so is written
/// only then.
macro_rules! ensure {
    ($holds:expr, $field:expr, $($reason:tt)+) => {
        if !$holds {
            return Err(crate::config::Invalid::new($field, format!($($reason)+)));
        }
    };
}
use ensure;

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.reason)
    }
}

impl std::error::Error for Invalid {}

/// Whether the first process is this program's init.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Init {
    /// It is the process of config.json.
    None,
    /// It reaps, and the process is its child.
    Parent,
    /// It reaps, and has no process of its own: the container is there for others to join.
    Alone,
}

/// config.json, resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The version of the specification that the bundle follows.
    pub oci_version: String,
    pub root: Root,
    /// What the root filesystem is stacked of, where it is an overlay.
    pub overlay: Option<Overlay>,
    /// Whether an init stands before the process, or in its place.
    pub init: Init,
    /// What landlock(7) keeps the process from, if anything.
    pub landlock: Option<Landlock>,
    /// With whom processes share the threads of a core, unless with all.
    pub core_sched: Option<CoreSched>,
    /// The process to start. Without one, `create` works and `start` is an error.
    pub process: Option<Process>,
    /// The host name to set in the UTS namespace.
    pub hostname: Option<String>,
    /// The NIS domain name to set in the UTS namespace.
    pub domainname: Option<String>,
    /// Mounts, in order.
    pub mounts: Vec<Mount>,
    /// Hooks of all six kinds.
    pub hooks: Hooks,
    /// Free-form labels, copied into the state.
    pub annotations: BTreeMap<String, String>,
    /// Which namespaces are new, joined or inherited.
    pub namespaces: Namespaces,
    /// How ids are mapped into the user namespace; empty without one, and where a joined one is
    /// taken as it is.
    pub id_maps: IdMaps,
    /// How many ids the user namespace has, from 0 on, where those of the machine are left to be
    /// found. `id_maps` is empty then.
    pub id_range: Option<u32>,
    /// Offsets of the clocks of a new time namespace.
    pub time_offsets: Vec<TimeOffset>,
    /// `linux.cgroupsPath`, as given.
    pub cgroups_path: Option<String>,
    /// `linux.resources`, without its devices.
    pub resources: resources::Resources,
    /// Device nodes beside the default ones.
    pub devices: Vec<Device>,
    /// Kernel parameters, by their dotted name.
    pub sysctl: BTreeMap<String, String>,
    /// The execution domain for personality(2); none leaves it alone.
    pub personality: Option<u32>,
    /// Network devices of the host that move into the container: their names there, and here.
    pub net_devices: BTreeMap<String, String>,
    /// The group of resctrl that it belongs to.
    pub rdt: Option<Rdt>,
    /// From which nodes the process gets memory; none leaves it alone.
    pub memory_policy: Option<MemoryPolicy>,
    /// The SELinux label of the files of new mounts.
    pub mount_label: Option<String>,
    /// `linux.rootfsPropagation`.
    pub rootfs_propagation: Option<Propagation>,
    /// Which devices may be used, in order; the last rule that matches an access decides.
    pub device_rules: Vec<device_rules::DeviceRule>,
    /// The system call filter.
    pub seccomp: Option<seccomp::Seccomp>,
    /// Paths that the container shall not read.
    pub masked_paths: Vec<String>,
    /// Paths that the container shall not write.
    pub readonly_paths: Vec<String>,
}

impl Config {
    /// Whether anything is labelled for a security module.
    pub fn wants_labels(&self) -> bool {
        let process = self.process.as_ref();
        self.mount_label.is_some()
            || process.is_some_and(|p| p.apparmor_profile.is_some() || p.selinux_label.is_some())
    }
}

/// One of `linux.timeOffsets`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeOffset {
    /// As `monotonic`.
    pub clock: String,
    /// Whole seconds.
    pub seconds: i64,
    /// Nanoseconds, less than a second.
    pub nanoseconds: u32,
}

/// `root`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Absolute.
    pub path: PathBuf,
    /// Whether the container sees it read-only.
    pub readonly: bool,
}

/// `process`, for create and for exec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Whether a pseudo-terminal is its standard input, output and error.
    pub terminal: bool,
    /// Rows and columns of that terminal; (0, 0) leaves the size alone.
    pub console_size: (u16, u16),
    /// The program and its arguments; never empty.
    pub args: Vec<String>,
    /// The environment, each `NAME=value`, no name twice.
    pub env: Vec<String>,
    /// Absolute.
    pub cwd: String,
    /// Ids and file mode mask.
    pub user: User,
    /// The five capability sets.
    pub capabilities: Capabilities,
    /// Resource limits, no resource twice.
    pub rlimits: Vec<Rlimit>,
    /// Whether it may never gain privileges by execve (prctl(2) PR_SET_NO_NEW_PRIVS).
    pub no_new_privileges: bool,
    /// The oom_score_adj to set; none leaves it alone.
    pub oom_score_adj: Option<i32>,
    /// The AppArmor profile that execve puts it under.
    pub apparmor_profile: Option<String>,
    /// The SELinux label that execve gives it.
    pub selinux_label: Option<String>,
    /// How it gets processors; none leaves it alone.
    pub scheduler: Option<Scheduler>,
    /// How it gets disks, as ioprio_set(2) takes it; none leaves it alone.
    pub io_priority: Option<u32>,
    /// On which processors `exec` puts it.
    pub exec_affinity: ExecAffinity,
}

/// `process.user`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// User id in the container.
    pub uid: u32,
    /// Group id in the container.
    pub gid: u32,
    pub additional_gids: Vec<u32>,
    /// File mode creation mask.
    pub umask: u32,
}

/// `process.capabilities`: each a set of bits, bit n for capability number n.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// What execve can ever give.
    pub bounding: Set,
    /// In force.
    pub effective: Set,
    /// Kept over execve of a file with inheritable capabilities.
    pub inheritable: Set,
    /// What may be put in force.
    pub permitted: Set,
    /// Kept over execve of a file without capabilities.
    pub ambient: Set,
}

/// One of `process.rlimits`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rlimit {
    /// As `RLIMIT_NOFILE`.
    pub name: String,
    pub resource: u32,
    /// The limit in force.
    pub soft: u64,
    /// The ceiling of the soft limit.
    pub hard: u64,
}

/// The kinds of namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
pub enum Namespace {
    /// User and group ids, capabilities.
    User,
    Mount,
    Pid,
    Network,
    /// System V IPC and POSIX message queues.
    Ipc,
    /// Host and domain name.
    Uts,
    Cgroup,
    /// Boot and monotonic clocks.
    Time,
}

impl Namespace {
    /// All kinds, in the order in which they are joined: a user namespace first, for the rights it
    /// gives over the others.
    pub const ALL: [Namespace; 8] = [
        Namespace::User,
        Namespace::Pid,
        Namespace::Network,
        Namespace::Ipc,
        Namespace::Uts,
        Namespace::Cgroup,
        Namespace::Time,
        Namespace::Mount,
    ];

    /// The `CLONE_NEW…` flag.
    pub fn clone_flag(self) -> i32 {
        match self {
            Namespace::User => libc::CLONE_NEWUSER,
            Namespace::Mount => libc::CLONE_NEWNS,
            Namespace::Pid => libc::CLONE_NEWPID,
            Namespace::Network => libc::CLONE_NEWNET,
            Namespace::Ipc => libc::CLONE_NEWIPC,
            Namespace::Uts => libc::CLONE_NEWUTS,
            Namespace::Cgroup => libc::CLONE_NEWCGROUP,
            Namespace::Time => 0x80,
        }
    }

    /// Its name in /proc/PID/ns.
    pub fn file(self) -> &'static str {
        match self {
            Namespace::Mount => "mnt",
            Namespace::Network => "net",
            other => other.name(),
        }
    }

    /// Its name in config.json.
    pub fn name(self) -> &'static str {
        match self {
            Namespace::User => "user",
            Namespace::Mount => "mount",
            Namespace::Pid => "pid",
            Namespace::Network => "network",
            Namespace::Ipc => "ipc",
            Namespace::Uts => "uts",
            Namespace::Cgroup => "cgroup",
            Namespace::Time => "time",
        }
    }
}

/// What happens to one kind of namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Place {
    #[default]
    Inherited,
    New,
    /// The one that a file like /proc/PID/ns/net names.
    Joined {
        path: PathBuf,
        /// Its place in `linux.namespaces`.
        index: usize,
    },
}

/// What happens to each kind of namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Namespaces([Place; 8]);

impl Namespaces {
    /// What happens to `kind`.
    pub fn of(&self, kind: Namespace) -> &Place {
        &self.0[kind as usize]
    }

    /// Whether the container gets a `kind` that the runtime is not in, new or joined.
    pub fn own(&self, kind: Namespace) -> bool {
        *self.of(kind) != Place::Inherited
    }

    fn set(&mut self, kind: Namespace, place: Place) {
        self.0[kind as usize] = place;
    }
}

/// One of `linux.devices`, or a default device: a node or FIFO.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Device {
    /// Absolute, in the container.
    pub path: String,
    /// `S_IFCHR`, `S_IFBLK` or `S_IFIFO`.
    pub kind: u32,
    pub major: u32,
    pub minor: u32,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
}

/// A propagation type, mount_namespaces(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Propagation {
    /// `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE` or `MS_UNBINDABLE`.
    pub kind: u64,
    /// Whether mounts below are changed too.
    pub recursive: bool,
}

impl Propagation {
    /// The type that an option like `rslave` names.
    pub fn parse(option: &str) -> Option<Propagation> {
        let (recursive, name) = match option.strip_prefix('r') {
            Some(rest) => (true, rest),
            None => (false, option),
        };
        let kind = match name {
            "shared" => libc::MS_SHARED,
            "slave" => libc::MS_SLAVE,
            "private" => libc::MS_PRIVATE,
            "unbindable" => libc::MS_UNBINDABLE,
            _ => return None,
        };
        Some(Propagation { kind, recursive })
    }
}

/// `hooks`, by kind, each in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hooks {
    /// Runtime namespaces, in create. Deprecated.
    pub prestart: Vec<Hook>,
    /// Runtime namespaces, in create, after prestart.
    pub create_runtime: Vec<Hook>,
    /// Container namespaces, in create, before pivot_root(2).
    pub create_container: Vec<Hook>,
    /// Container namespaces and root, in start, before the process.
    pub start_container: Vec<Hook>,
    /// Runtime namespaces, in start, after the process has started.
    pub poststart: Vec<Hook>,
    /// Runtime namespaces, in delete, after the container's resources are gone.
    pub poststop: Vec<Hook>,
}

/// The environment of a hook.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum HookEnv {
    /// That of whoever runs it: the runtime, or in the container the process.
    Inherited,
    /// Nothing but this.
    Exactly(Vec<String>),
}

/// One hook.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Hook {
    /// Its place in config.json, as `hooks.poststop[0]`.
    pub field: String,
    /// Absolute.
    pub path: String,
    /// With argument zero.
    pub args: Vec<String>,
    pub env: HookEnv,
    /// Seconds until it is killed; none waits for ever.
    pub timeout_s: Option<u64>,
    /// Whether its environment also has what the caller is traced by.
    #[serde(default)]
    pub traced: bool,
}
