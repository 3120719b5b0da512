//! What the parent does for an init that exists and waits.

use super::text::{hard_limit_text, io_priority_text, scheduler_text};
use crate::config::{CoreSched, IdMaps, Scheduler};
use std::fmt::{self, Display, Formatter};

/// What the parent does for an init that exists and waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settle {
    /// Write its uid_map and gid_map.
    MapIds(IdMaps),
    /// Have systemd-nsresourced map this many ids into its user namespace, from 0 on.
    LendIds { size: u32 },
    /// Write its oom_score_adj, which a user namespace has no right to lower.
    OomScoreAdj(i32),
    /// Set its scheduling policy, which may take rights that a user namespace does not give.
    Scheduler(Scheduler),
    /// Set its I/O priority, for the same reason.
    IoPriority(u32),
    /// Raise the ceiling of one of its limits, for the same reason.
    HardLimit(HardLimit),
    /// Make this cgroup below the container's, with all controllers, and move it there.
    CgroupBelow {
        path: String,
        /// The root of the container's user namespace, who gets that cgroup.
        owner: Option<(u32, u32)>,
    },
    /// Give it a core scheduling cookie.
    Core(CoreSched),
    /// Put it into the groups of resctrl.
    ResctrlGroup,
    /// Move a network device of the host into its network namespace.
    NetDevice(NetDevice),
}

/// The ceiling of a resource limit, which only the host's root may raise. The limit itself comes
/// later: it could be too low for what is to be done until then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HardLimit {
    /// As `RLIMIT_NOFILE`.
    pub name: String,
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

impl Display for Settle {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Settle::MapIds(maps) => write!(f, "map {maps}"),
            Settle::LendIds { size } => write!(f, "map {size} ids from 0 on that systemd-nsresourced lends"),
            Settle::OomScoreAdj(score) => write!(f, "oom_score_adj {score}"),
            Settle::Scheduler(scheduler) => scheduler_text(f, scheduler),
            Settle::CgroupBelow { path, owner } => {
                write!(f, "move to cgroup {path} of the container's")?;
                owner.map_or(Ok(()), |(uid, gid)| write!(f, ", of {uid}:{gid}"))
            }
            Settle::Core(CoreSched::Own) => write!(f, "a core scheduling cookie of its own"),
            Settle::Core(CoreSched::Shared(id)) => write!(f, "the core scheduling cookie of container {id}"),
            Settle::ResctrlGroup => write!(f, "enter the resctrl group"),
            Settle::NetDevice(device) => {
                write!(f, "move network device {} in as {}", device.host, device.container)
            }
            Settle::IoPriority(priority) => io_priority_text(f, *priority),
            Settle::HardLimit(ceiling) => hard_limit_text(f, ceiling),
        }
    }
}
