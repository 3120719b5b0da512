//! What init does to be in the container's namespaces.

use super::text::names;
use crate::config::{Namespace, TimeOffset};
use std::fmt::{self, Display, Formatter};

/// Which supplementary groups the process has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Groups {
    /// Those of config.json.
    Configured,
    /// The caller's (annotation `run.oci.keep_original_groups`).
    Callers,
}

/// A new session keyring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionKeyring {
    pub name: String,
    /// Its SELinux label, unless that is the maker's own.
    pub label: Option<String>,
}

impl Display for SessionKeyring {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "session keyring {}", self.name)?;
        self.label.iter().try_for_each(|label| write!(f, " with SELinux label {label}"))
    }
}

/// What init does to be in the container's namespaces, with what these carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnterStep {
    /// Wait until the parent has done what it does for init.
    AwaitParent,
    /// Open this program's own file, while the host's /proc is there.
    OpenSelf,
    /// Open the folder of this process's own descriptors, while the host's /proc is there.
    OpenDescriptors,
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
    /// prctl(2) `PR_SCHED_CORE`: only this process and what comes of it are on the threads of a
    /// core at once.
    OwnCore,
    /// Take the core scheduling cookie of the container's init, while the host's pids are in reach.
    CoreOfInit,
    /// setns(2) into these namespaces of the container's init, all in one call.
    OfInit(Vec<Namespace>),
    /// Go on as a child, which is born in the pid namespace that was entered, and tell the parent
    /// who that is.
    Fork,
    /// setsid(2), so that no signal or terminal of the caller's reaches the container.
    Session,
    /// A new session keyring.
    Keyring(SessionKeyring),
    /// Bring up `lo` of a new network namespace.
    Loopback,
    /// Listen on this port of `lo`, and give the socket to the parent.
    Listen(u16),
    /// sethostname(2).
    Hostname(String),
    /// setdomainname(2).
    Domainname(String),
    /// Write a kernel parameter of one of the container's namespaces, through the host's /proc.
    Sysctl {
        /// Below /proc/sys, with slashes.
        path: String,
        value: String,
    },
    /// Write /proc/self/oom_score_adj, through the host's /proc.
    OomScoreAdj(i32),
}

impl Display for EnterStep {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            EnterStep::AwaitParent => write!(f, "wait for the parent"),
            EnterStep::NamespaceRoot { groups: Groups::Configured } => {
                write!(f, "become root of the user namespace")
            }
            EnterStep::NamespaceRoot { groups: Groups::Callers } => {
                write!(f, "become root of the user namespace with the caller's groups")
            }
            EnterStep::Time(offsets) => {
                let offsets: Vec<String> = offsets
                    .iter()
                    .map(|o| format!("{} {}.{:09}", o.clock, o.seconds, o.nanoseconds))
                    .collect();
                write!(f, "time namespace with offsets {}", offsets.join(", "))
            }
            EnterStep::New(kind) => write!(f, "new {} namespace", kind.name()),
            EnterStep::Join(kind) => write!(f, "join {} namespace", kind.name()),
            EnterStep::OwnCore => write!(f, "a core scheduling cookie of its own"),
            EnterStep::CoreOfInit => write!(f, "the core scheduling cookie of init"),
            EnterStep::OfInit(kinds) => write!(f, "enter {} of init", names(kinds)),
            EnterStep::Fork => write!(f, "fork and tell the parent"),
            EnterStep::Session => write!(f, "new session"),
            EnterStep::Keyring(keyring) => write!(f, "{keyring}"),
            EnterStep::Loopback => write!(f, "loopback up"),
            EnterStep::Listen(port) => write!(f, "listen on 127.0.0.1:{port} for the parent"),
            EnterStep::Hostname(name) => write!(f, "hostname {name}"),
            EnterStep::Domainname(name) => write!(f, "domainname {name}"),
            EnterStep::Sysctl { path, value } => write!(f, "/proc/sys/{path} = {value}"),
            EnterStep::OomScoreAdj(score) => write!(f, "oom_score_adj {score}"),
            EnterStep::OpenDescriptors => write!(f, "open /proc/self/fd"),
            EnterStep::OpenSelf => write!(f, "open this program"),
        }
    }
}
