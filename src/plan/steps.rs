//! The steps that plans are made of: the parent's before init exists, the launch, the parent's while init waits, and init's.

use super::{Planned, Symlink, bind, resources, seccomp, systemd};
use crate::config::{Device, Hook, IdMaps, MemoryPolicy, Namespace, NumberSet, Rdt, Scheduler, TimeOffset};
use crate::sys::mount::{Change, Reach};
use std::path::PathBuf;

/// What the parent does in the host's namespaces, before init exists.
#[derive(Debug, Clone, PartialEq)]
pub enum HostStep {
    /// Make the container's cgroup, or take an empty one, and open it.
    Cgroup {
        /// Relative to the root of the cgroup v2 tree.
        path: String,
        /// The controllers that the limits to come need, each with a field that asks for it.
        controllers: Vec<Planned<String>>,
    },
    /// Let systemd make the container's cgroup as a scope, and open it.
    Scope {
        /// The scope.
        scope: systemd::Scope,
        /// Where it is, relative to the root of the cgroup v2 tree.
        path: String,
        /// The controllers that the limits to come need; systemd does not know all.
        controllers: Vec<Planned<String>>,
    },
    /// Limit the container's cgroup.
    Limit(resources::Write),
    /// Give the cgroup to the root of the container's user namespace, for cgroups of its own below.
    Delegate {
        /// On the host.
        uid: u32,
        /// On the host.
        gid: u32,
    },
    /// Attach a device filter to the cgroup, in place of any that is there; an empty one allows everything.
    DeviceFilter(Vec<u64>),
    /// Make a folder for the changes of an overlay, with `upper` and `work` in it.
    OverlayFolder {
        /// The folder.
        path: PathBuf,
        /// The folder whose mode, and whose owner unless there is one, `upper` has: it becomes the root.
        like: PathBuf,
        /// The root of the container's user namespace, on the host.
        owner: Option<(u32, u32)>,
    },
    /// Open a namespace to join.
    OpenNamespace {
        /// Its kind.
        kind: Namespace,
        /// A file like /proc/PID/ns/net.
        path: PathBuf,
        /// What would change the host if that were the runtime's own; empty where nothing would.
        changed_by: String,
    },
    /// Take a detached copy of a host mount, and change it before the container can see it.
    CloneTree(Tree),
    /// Give standard descriptors that are pipes to this user of the host's, who is the process's outside of its user namespace.
    StdioOwner(u32),
    /// Take or make groups of resctrl, which a later step puts init into.
    ResctrlGroup(Rdt),
    /// Bind the socket that `knarr start` connects to.
    StartSocket,
    /// Bind the socket that takes the container's notifications.
    NotifySocket,
}

/// A detached copy of a host mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// Its number among the copies.
    pub slot: usize,
    /// The host path.
    pub source: PathBuf,
    /// What is done if the host path ends in a symlink.
    pub symlink: Symlink,
    /// One mount or all below.
    pub reach: Reach,
    /// What is changed on it, in order.
    pub changes: Vec<(Reach, Change)>,
    /// The flags of a bind mount that names any, before what is changed.
    pub flags: Option<bind::Flags>,
    /// Whether the flags of its source are not the container's to clear.
    pub locked: bool,
    /// How the ids of its files are mapped.
    pub id_map: Option<(Reach, IdSource)>,
    /// The device that it must be: type, major and minor number.
    pub device: Option<(u32, u32, u32)>,
}

/// The user namespace whose mappings an id-mapped mount takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdSource {
    /// One with these.
    Maps(IdMaps),
    /// The one that the container joins.
    Joined,
}

/// What the parent does for an init that exists and waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settle {
    /// Write its uid_map and gid_map.
    MapIds(IdMaps),
    /// Write its oom_score_adj, which a user namespace has no right to lower.
    OomScoreAdj(i32),
    /// Set its scheduling policy, which may take rights that a user namespace does not give.
    Scheduler(Scheduler),
    /// Set its I/O priority, for the same reason.
    IoPriority(u32),
    /// Raise the ceiling of one of its limits, for the same reason.
    HardLimit(HardLimit),
    /// Put it into the groups of resctrl.
    ResctrlGroup,
    /// Move a network device of the host into its network namespace.
    NetDevice(NetDevice),
}

/// The ceiling of a resource limit, which only the host's root may raise. The limit itself comes later: it could be too low for
/// what is to be done until then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HardLimit {
    /// As `RLIMIT_NOFILE`.
    pub name: String,
    /// The kernel's number.
    pub resource: u32,
    /// What it has to be at least.
    pub hard: u64,
}

/// A network device that moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetDevice {
    /// Its name on the host.
    pub host: String,
    /// Its name in the container.
    pub container: String,
}

/// How init is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The `CLONE_NEW…` flags of clone3(2).
    pub new: u64,
    /// Whether it is born in the container's cgroup.
    pub into_cgroup: bool,
    /// Whether the parent enters an existing pid namespace for the call, so that the child is born in it.
    pub joins_pid: bool,
    /// The namespaces that a process between parent and init joins, for what the parent must not enter and what init
    /// could not: a user namespace, and with one the others that are joined; a pid namespace without a way back.
    pub through: Vec<Namespace>,
    /// What the mappings of a joined user namespace must be; empty where nothing is said.
    pub expected_maps: IdMaps,
}

/// Which supplementary groups the process has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Groups {
    /// Those of config.json.
    Configured,
    /// The caller's (annotation `run.oci.keep_original_groups`).
    Callers,
}

/// Whether a new tmpfs starts with a copy of what it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyUp {
    /// It starts empty.
    Nothing,
    /// With a copy, of which there is a limit for the container.
    Limited,
    /// With a copy, for which config.json gives it a size of its own.
    Sized,
}

/// How the target of a mount is looked up inside the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// Symlinks are followed and stay inside the root.
    Follow,
    /// No part may be a symlink: /proc and /sys, which later steps rely on.
    NoSymlinks,
    /// As `Follow`, but one at the end is what is meant.
    FollowToLast,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The detached copy with this number.
    Tree(usize),
    /// The same; but where it is of a symlink, a symlink like it in its place.
    TreeOrLink(usize),
    /// A copy of what is in the container's own root by then, at this path: an earlier mount of the list may have brought it.
    Inside(String, Box<Tree>),
    /// A new filesystem.
    New(Filesystem),
}

/// A new filesystem, for fsopen(2) to fsmount(2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filesystem {
    /// Its type.
    pub fstype: String,
    /// The source that /proc/self/mountinfo shows.
    pub source: String,
    /// Its parameters: a key, and a value unless it is a flag.
    pub parameters: Vec<(String, Option<String>)>,
    /// Mount attributes.
    pub attrs: u64,
    /// Whether a tmpfs takes over the mode of the directory that it covers.
    pub mode_from_target: bool,
    /// The SELinux label of its root, where the filesystem takes none as a parameter.
    pub root_label: Option<String>,
}

/// Where the changes of an overlay go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Writable {
    /// To a tmpfs that nothing else sees.
    Memory,
    /// Into a copy of a mount of the host's.
    Tree {
        /// The number of the copy.
        slot: usize,
        /// Below it.
        upper: String,
        /// Below it.
        work: String,
    },
}

/// What a terminal is to the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Console {
    /// The container's: it is bound on /dev/console.
    Bound,
    /// That of one process among others.
    None,
}

/// A variable of the environment whose value is known only in the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Computed {
    /// HOME: the home of this user id in the container's /etc/passwd.
    Home(u32),
    /// LISTEN_PID: the process's own pid, as sd_listen_fds(3) compares it.
    ListenPid,
}

/// What init does, in the container's namespaces. The order of the variants is about the order in a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Wait until the parent has done what it does for init.
    AwaitParent,
    /// setns(2) into a namespace that the parent opened.
    Join(Namespace),
    /// A new time namespace with these offsets, and into it.
    Time(Vec<TimeOffset>),
    /// A new namespace of this kind, and into it.
    New(Namespace),
    /// Become root of the user namespace.
    NamespaceRoot {
        /// Whether the caller's supplementary groups are kept.
        groups: Groups,
    },
    /// setns(2) into these namespaces of the container's init, all in one call.
    Enter(Vec<Namespace>),
    /// Go on as a child, which is born in the pid namespace that was entered, and tell the parent who that is.
    Fork,
    /// setsid(2), so that no signal or terminal of the caller's reaches the container.
    Session,
    /// A new session keyring.
    Keyring {
        /// Its name.
        name: String,
        /// Its SELinux label, unless that is this process's own.
        label: Option<String>,
    },
    /// Bring up `lo` of a new network namespace.
    Loopback,
    /// sethostname(2).
    Hostname(String),
    /// setdomainname(2).
    Domainname(String),
    /// Write a kernel parameter of one of the container's namespaces, through the host's /proc.
    Sysctl {
        /// Below /proc/sys, with slashes.
        path: String,
        /// The value.
        value: String,
    },
    /// Write /proc/self/oom_score_adj, through the host's /proc.
    OomScoreAdj(i32),
    /// Make every mount of the new mount namespace a slave: nothing done here reaches the host.
    Slave,
    /// As [`HostStep::CloneTree`], where the parent has no right to and init, as root of its user namespace, has.
    CloneTree(Tree),
    /// Attach the copy of the root filesystem at its own host path and go on inside it.
    Root {
        /// The number of the copy.
        slot: usize,
        /// The host path.
        path: PathBuf,
    },
    /// Stack copies on each other over the root filesystem, and go on inside what comes of it.
    Overlay {
        /// The numbers of the copies that are only read, the top one first.
        lower: Vec<usize>,
        /// Where changes go.
        upper: Option<Writable>,
        /// Parameters of the filesystem.
        parameters: Vec<String>,
        /// Whether the root of the new filesystem belongs to whom the top layer's does, and not to the container's root.
        keeps_owner: bool,
    },
    /// Mount an overlay of one layer, read-only, on a target: its files, but neither its sockets nor its FIFOs.
    Glass {
        /// In the container.
        target: String,
        /// The number of the copy.
        slot: usize,
        /// Its attributes.
        attrs: u64,
    },
    /// Go on inside a root filesystem without a mount namespace.
    RootDirectory(PathBuf),
    /// Mount on a target, which is made if it is missing.
    Mount {
        /// In the container.
        target: String,
        /// How it is looked up.
        lookup: Lookup,
        /// What is mounted.
        source: Source,
        /// Propagation types to set on it, in order.
        propagation: Vec<(Reach, u64)>,
        /// Whether the files that it covers are copied into it.
        copy_up: CopyUp,
        /// Whether a later step goes on from it: it is found by its descriptor then, wherever its name leads by that time.
        held: bool,
    },
    /// Change the mount at a target, after everything below it has been made.
    Attributes {
        /// In the container.
        target: String,
        /// One mount or all below.
        reach: Reach,
        /// The change.
        change: Change,
    },
    /// Make a device node or FIFO.
    Node(Device),
    /// Make a symlink unless something is there.
    Link {
        /// In the container.
        path: String,
        /// What it points to.
        target: String,
    },
    /// Replace /dev/ptmx by a link to the container's own pts/ptmx.
    Ptmx,
    /// Let the parent run the prestart and createRuntime hooks.
    HostHooks,
    /// Run the createContainer hooks.
    ContainerHooks(Vec<Hook>),
    /// pivot_root(2) into the root filesystem and drop the old root. From here no host path is valid.
    Pivot,
    /// Move the root filesystem over `/` and chroot(2). From here no host path is valid.
    MoveRoot,
    /// chroot(2) alone, without a mount namespace. From here no host path is valid.
    Chroot,
    /// Set the propagation type of the new root.
    RootPropagation(Reach, u64),
    /// Open a terminal of the container's devpts and hand its other end to the parent.
    Terminal {
        /// Lines and characters; zero leaves them alone.
        size: (u16, u16),
        /// Owner of the terminal.
        uid: u32,
        /// What it is to the container.
        console: Console,
    },
    /// Where standard input, output or error is a null device, make it the container's own.
    OwnNull,
    /// Make paths read-only that exist.
    ReadonlyPaths(Vec<String>),
    /// Cover paths that exist: files with the host's /dev/null, directories with an empty read-only tmpfs.
    MaskPaths {
        /// In the container.
        paths: Vec<String>,
        /// The number of the copy of the host's /dev/null.
        null: usize,
        /// The tmpfs.
        empty: Filesystem,
    },
    /// Make the working directory if it is missing.
    MakeCwd(String),
    /// Raise the ceiling of a limit before a user namespace is entered.
    HardLimit(HardLimit),
    /// setrlimit(2).
    Rlimit {
        /// As `RLIMIT_NOFILE`.
        name: String,
        /// The kernel's number.
        resource: u32,
        /// In force.
        soft: u64,
        /// Ceiling.
        hard: u64,
    },
    /// sched_setattr(2).
    Scheduler(Scheduler),
    /// ioprio_set(2).
    IoPriority(u32),
    /// set_mempolicy(2).
    MemoryPolicy(MemoryPolicy),
    /// personality(2).
    Personality(u32),
    /// sched_setaffinity(2).
    Affinity(NumberSet),
    /// Be on all processors that the cgroup allows, not on those of the caller alone.
    AllProcessors,
    /// Have execve(2) put the process under this AppArmor profile.
    AppArmor(String),
    /// Have execve(2) give the process this SELinux label.
    SelinuxLabel(String),
    /// umask(2).
    Umask(u32),
    /// prctl(2) PR_SET_NO_NEW_PRIVS.
    NoNewPrivileges,
    /// Drop all but these capabilities from the bounding set.
    Bounding {
        /// To drop, by number.
        drop: u64,
        /// What stays, for the reader.
        keep: u64,
    },
    /// Give standard descriptors that are pipes to this user, who could not open them by name otherwise.
    StdioOwner(u32),
    /// setgroups(2), setresgid(2), setresuid(2), keeping permitted capabilities.
    Ids {
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
        /// Supplementary groups; none leaves them as they are.
        groups: Option<Vec<u32>>,
    },
    /// capset(2) and the ambient set.
    Capabilities {
        /// In force.
        effective: u64,
        /// May be put in force.
        permitted: u64,
        /// Kept over execve.
        inheritable: u64,
        /// Kept over execve without file capabilities.
        ambient: u64,
    },
    /// chdir(2), and check that it is inside the root; with rights that the process's user may not have, so a refusal is none yet.
    EarlyCwd(String),
    /// The same as the process's user, unless it has been done.
    Cwd(String),
    /// Look the program up, in the PATH of the environment where its name has no slash.
    Find {
        /// As given in args.
        program: String,
        /// The directories.
        path: Vec<String>,
    },
    /// Tell the parent that the container is ready, and wait until it has recorded it.
    Ready,
    /// Wait until the parent has made the pid known.
    AwaitRecord,
    /// Have any signal whose default is to end a process end this one, as it would if it were not PID 1.
    EndBySignals,
    /// Wait for `knarr start`.
    AwaitStart,
    /// The process is missing in config.json: `start` is an error.
    NoProcess,
    /// Run the startContainer hooks.
    StartHooks {
        /// The hooks.
        hooks: Vec<Hook>,
        /// The environment of those that have none of their own: the process's.
        env: Vec<String>,
        /// Variables whose values only the child knows.
        computed: Vec<Computed>,
    },
    /// Prepare for execve(2) all that needs other system calls: arguments, environment, descriptors, signals.
    Prepare {
        /// Arguments, with argument zero.
        args: Vec<String>,
        /// Environment.
        env: Vec<String>,
        /// Variables whose values only the child knows.
        computed: Vec<Computed>,
    },
    /// seccomp(2); from here on the filter decides which calls are made.
    Seccomp(seccomp::Filter),
    /// execve(2) the program.
    Exec,
    /// Open this program's own file, while the host's /proc is there.
    OpenSelf,
    /// Execute this program as an init, which executes the program of the process in a child.
    ExecInit,
}
