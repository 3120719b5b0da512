//! What init does to become the container's process.

use super::HardLimit;
use super::text::{hard_limit_text, io_priority_text, limit, scheduler_text};
use crate::capability::Set;
use crate::config::landlock::Rules;
use crate::config::{Hook, Init, MemoryPolicy, NumberSet, Scheduler};
use crate::plan::seccomp;
use std::fmt::{self, Display, Formatter};

/// A variable of the environment whose value is known only in the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Computed {
    /// HOME: the home of this user id in the container's /etc/passwd.
    Home(u32),
    /// LISTEN_PID: the process's own pid, as sd_listen_fds(3) compares it.
    ListenPid,
}

/// Whether abstract names of sockets outside can be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AbstractNames {
    /// They cannot, where the kernel knows how: they are the host's.
    Closed,
    /// There are none but those of a network namespace of the container's own.
    Open,
}

impl Display for AbstractNames {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == AbstractNames::Closed { ", no abstract names" } else { "" })
    }
}

/// What init does to become the container's process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessStep {
    /// Raise the ceiling of a limit before a user namespace is entered.
    HardLimit(HardLimit),
    /// setrlimit(2).
    Rlimit {
        /// As `RLIMIT_NOFILE`.
        name: String,
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
        /// To drop.
        drop: Set,
        /// What stays, for the reader.
        keep: Set,
    },
    /// Give standard descriptors that are pipes to this user, who could not open them by name
    /// otherwise.
    StdioOwner(u32),
    /// setgroups(2), setresgid(2), setresuid(2), keeping permitted capabilities.
    Ids {
        uid: u32,
        gid: u32,
        /// Supplementary groups; none leaves them as they are.
        groups: Option<Vec<u32>>,
    },
    /// capset(2) and the ambient set.
    Capabilities {
        /// In force.
        effective: Set,
        /// May be put in force.
        permitted: Set,
        /// Kept over execve.
        inheritable: Set,
        /// Kept over execve without file capabilities.
        ambient: Set,
    },
    /// chdir(2), and check that it is inside the root; with rights that the process's user may not
    /// have, so a refusal is none yet.
    EarlyCwd(String),
    /// The same as the process's user, unless it has been done.
    Cwd(String),
    /// Look the program up, in the PATH of the environment where its name has no slash.
    Find {
        /// As given in args.
        program: String,
        path: Vec<String>,
    },
    /// Tell the parent that the container is ready, and wait until it has recorded it.
    Ready,
    /// Wait until the parent has made the pid known.
    AwaitRecord,
    /// Have any signal whose default is to end a process end this one, as it would if it were not
    /// PID 1.
    EndBySignals,
    /// Wait for `knarr start`.
    AwaitStart,
    /// The process is missing in config.json: `start` is an error.
    NoProcess,
    /// Run the startContainer hooks.
    StartHooks {
        hooks: Vec<Hook>,
        /// The environment of those that have none of their own: the process's.
        env: Vec<String>,
        /// Variables whose values only the child knows.
        computed: Vec<Computed>,
    },
    /// Prepare for execve(2) all that needs other system calls: arguments, environment,
    /// descriptors, signals.
    Prepare {
        /// Arguments, with argument zero.
        args: Vec<String>,
        env: Vec<String>,
        /// Variables whose values only the child knows.
        computed: Vec<Computed>,
    },
    /// landlock(7), where the kernel has it: nothing outside of the root can be written.
    Landlock(AbstractNames),
    /// landlock(7) with the rules of an annotation, all of which hold.
    LandlockRules(Rules),
    /// seccomp(2); from here on the filter decides which calls are made.
    Seccomp(seccomp::Filter),
    /// execve(2) the program.
    Exec,
    /// Execute this program as an init, which executes the program of the process in a child, if it
    /// is not alone.
    ExecInit(Init),
}

fn beside(init: Init) -> &'static str {
    if init == Init::Alone { "no process" } else { "the process as its child" }
}

impl Display for ProcessStep {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            ProcessStep::HardLimit(ceiling) => hard_limit_text(f, ceiling),
            ProcessStep::Rlimit { name, soft, hard, .. } => {
                write!(f, "rlimit {name} {} {}", limit(*soft), limit(*hard))
            }
            ProcessStep::Scheduler(scheduler) => scheduler_text(f, scheduler),
            ProcessStep::IoPriority(priority) => io_priority_text(f, *priority),
            ProcessStep::MemoryPolicy(policy) => {
                write!(f, "memory policy {:#x} nodes \"{}\"", policy.mode, policy.nodes.list)
            }
            ProcessStep::Personality(domain) => write!(f, "personality {domain:#x}"),
            ProcessStep::AllProcessors => write!(f, "all processors"),
            ProcessStep::Affinity(cpus) => write!(f, "processors {}", cpus.list),
            ProcessStep::AppArmor(profile) => write!(f, "AppArmor profile {profile} on execve"),
            ProcessStep::SelinuxLabel(label) => write!(f, "SELinux label {label} on execve"),
            ProcessStep::Umask(mask) => write!(f, "umask {mask:04o}"),
            ProcessStep::NoNewPrivileges => write!(f, "no new privileges"),
            ProcessStep::Bounding { keep, .. } => write!(f, "bounding set {keep}"),
            ProcessStep::StdioOwner(uid) => write!(f, "standard pipes belong to {uid}"),
            ProcessStep::Ids { uid, gid, groups: Some(groups) } => {
                write!(f, "ids {uid}:{gid} groups {groups:?}")
            }
            ProcessStep::Ids { uid, gid, groups: None } => write!(f, "ids {uid}:{gid}, groups as they are"),
            ProcessStep::Capabilities { effective, permitted, inheritable, ambient } => {
                let sets = [
                    ("effective", effective),
                    ("permitted", permitted),
                    ("inheritable", inheritable),
                    ("ambient", ambient),
                ];
                let sets: Vec<String> = sets.iter().map(|(name, set)| format!("{name} {set}")).collect();
                write!(f, "capabilities {}", sets.join("; "))
            }
            ProcessStep::EarlyCwd(path) => write!(f, "working directory {path}"),
            ProcessStep::Cwd(path) => write!(f, "working directory {path} at the latest"),
            ProcessStep::Find { program, .. } => write!(f, "find {program}"),
            ProcessStep::Ready => write!(f, "tell the parent: ready"),
            ProcessStep::AwaitRecord => write!(f, "await record"),
            ProcessStep::EndBySignals => write!(f, "end by any signal that ends a process"),
            ProcessStep::AwaitStart => write!(f, "await start"),
            ProcessStep::NoProcess => write!(f, "no process: start is an error"),
            ProcessStep::StartHooks { hooks, .. } => write!(f, "{} startContainer hooks", hooks.len()),
            ProcessStep::Prepare { args, env, computed } => {
                write!(f, "prepare {args:?} with {} variables", env.len())?;
                computed.iter().try_for_each(|variable| match variable {
                    Computed::Home(_) => write!(f, " and HOME"),
                    Computed::ListenPid => write!(f, " and LISTEN_PID"),
                })
            }
            ProcessStep::Landlock(names) => write!(f, "landlock: nothing is written but below /{names}"),
            ProcessStep::LandlockRules(rules) => write!(f, "landlock {rules}"),
            ProcessStep::Seccomp(filter) => {
                write!(f, "seccomp filter of {} instructions, flags {}", filter.insns.len(), filter.flags)
            }
            ProcessStep::Exec => write!(f, "execve"),
            ProcessStep::ExecInit(init) => write!(f, "execve this program as init, and {}", beside(*init)),
        }
    }
}
