//! What the parent does in the host's namespaces, before init exists.

use super::Tree;
use crate::config::{Namespace, Rdt};
use crate::plan::{Planned, resources, systemd};
use std::fmt::{self, Display, Formatter};
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
    /// Attach a device filter to the cgroup, in place of any that is there; an empty one allows
    /// everything.
    DeviceFilter(Vec<u64>),
    /// Make a folder for the changes of an overlay, with `upper` and `work` in it.
    OverlayFolder {
        path: PathBuf,
        /// The folder whose mode, and whose owner unless there is one, `upper` has: it becomes the
        /// root.
        like: PathBuf,
        /// The root of the container's user namespace, on the host.
        owner: Option<(u32, u32)>,
    },
    /// Open a namespace to join.
    OpenNamespace {
        kind: Namespace,
        /// A file like /proc/PID/ns/net.
        path: PathBuf,
        /// What would change the host if that were the runtime's own; empty where nothing would.
        changed_by: String,
    },
    /// Take a detached copy of a host mount, and change it before the container can see it.
    CloneTree(Tree),
    /// Give standard descriptors that are pipes to this user of the host's, who is the process's
    /// outside of its user namespace.
    StdioOwner(u32),
    /// Take or make groups of resctrl, which a later step puts init into.
    ResctrlGroup(Rdt),
    /// Bind the socket that `knarr start` connects to.
    StartSocket,
    /// Bind the socket that takes the container's notifications.
    NotifySocket,
}

impl Display for HostStep {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            HostStep::Cgroup { path, controllers } if controllers.is_empty() => write!(f, "cgroup /{path}"),
            HostStep::Cgroup { path, controllers } => {
                let names: Vec<&str> =
                    controllers.iter().map(|controller| controller.step.as_str()).collect();
                write!(f, "cgroup /{path} with {}", names.join(" "))
            }
            HostStep::Scope { scope, path, controllers } => {
                let cgroup = HostStep::Cgroup { path: path.clone(), controllers: controllers.clone() };
                write!(f, "{cgroup} as {scope}")
            }
            HostStep::Limit(write) => write!(f, "limit {write}"),
            HostStep::Delegate { uid, gid } => write!(f, "cgroup delegated to {uid}:{gid}"),
            HostStep::DeviceFilter(insns) if insns.is_empty() => write!(f, "no device filter"),
            HostStep::DeviceFilter(insns) => write!(f, "device filter of {} instructions", insns.len()),
            HostStep::OpenNamespace { kind, path, changed_by } => {
                write!(f, "open {} namespace {}", kind.name(), path.display())?;
                if changed_by.is_empty() {
                    Ok(())
                } else {
                    write!(f, ", not the runtime's own for {changed_by}")
                }
            }
            HostStep::CloneTree(tree) => write!(f, "{tree}"),
            HostStep::OverlayFolder { path, like, owner } => {
                write!(f, "make {0}/upper like {1} and {0}/work", path.display(), like.display())?;
                owner.map_or(Ok(()), |(uid, gid)| write!(f, ", of {uid}:{gid}"))
            }
            HostStep::ResctrlGroup(rdt) => {
                let group = rdt.group.as_deref().unwrap_or("of the container's own");
                write!(f, "resctrl group {group} with {:?}", [&rdt.compared[..], &rdt.written].concat())?;
                if rdt.monitoring { write!(f, ", monitored") } else { Ok(()) }
            }
            HostStep::StdioOwner(uid) => write!(f, "standard pipes belong to {uid}"),
            HostStep::NotifySocket => write!(f, "take notifications"),
            HostStep::StartSocket => write!(f, "listen for start"),
        }
    }
}
