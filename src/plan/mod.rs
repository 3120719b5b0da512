//! What will be done, decided before anything is done. Pure: no I/O, no environment, no clock.
//!
//! A [`Plan`] is three lists: what the parent does in the host's namespaces, how it launches init,
//! and the steps that init then takes in order. Each step carries the field of config.json that
//! asked for it, so that whoever runs it can name that field when the kernel refuses. `Display` is
//! what `knarr plan` prints and what the golden tests compare.

pub mod added;
mod cgroup;
mod create;
pub mod devices;
pub mod ebpf;
mod exec;
pub mod gvariant;
mod mounts;
pub mod overlay;
mod process;
pub mod resources;
pub mod restore;
pub mod seccomp;
mod steps;
pub mod systemd;
pub mod update;

pub use cgroup::Below;
pub(crate) use cgroup::unit_of;
pub use create::create;
pub use exec::{Exec, ExecCgroup, ExecRequest, exec};
pub(crate) use mounts::below;
pub use steps::{
    AbstractNames, Computed, Console, CopyUp, EnterStep, Filesystem, GlassStep, Groups, HardLimit, HostStep,
    IdSource, Launch, Lookup, MountStep, NetDevice, OverlayStep, ProcessStep, RootStep, SessionKeyring,
    Settle, Source, Step, Tree, Writable,
};

use crate::config::Upper;
use crate::id::Id;
use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

/// What the caller asks beside config.json.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Have init listen on this port of its own loopback device for the parent.
    pub listen: Option<u16>,
    pub id: Id,
    /// When the process starts.
    pub start: Start,
    /// How the new root is entered.
    pub pivot: Pivot,
    /// Whether the process gets a session keyring of its own.
    pub keyring: Keyring,
    /// How many descriptors after standard error the process keeps.
    pub preserve_fds: u32,
    /// Variables that announce such descriptors (sd_listen_fds(3)).
    pub listen_env: Vec<String>,
    /// Who makes its cgroup.
    pub cgroup_driver: CgroupDriver,
    /// Where changes of the root filesystem go (`--overlay`); none: where config.json says.
    pub overlay: Option<Upper>,
    /// Whether PID 1 is to be an init that reaps (`--init`).
    pub init: bool,
    /// The folder on the host whose socket takes the container's notifications (sd_notify(3)),
    /// where somebody waits for them.
    pub notify: Option<PathBuf>,
}

/// When the container's process starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// When `knarr start` says so.
    OnRequest,
    /// As soon as the container is made (`knarr run`).
    AtOnce,
}

/// How the new root is entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pivot {
    /// pivot_root(2).
    Root,
    /// MS_MOVE and chroot(2), for a root on a ramfs (`--no-pivot`).
    Move,
}

/// Whether the process gets a session keyring of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keyring {
    /// A new one, called `_ses.ID`.
    New,
    /// The caller's (`--no-new-keyring`).
    Callers,
}

/// Who makes the container's cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CgroupDriver {
    /// This program, at a path in the cgroup tree.
    Cgroupfs,
    /// systemd, as the scope that `slice:prefix:name` names.
    Systemd,
    Disabled,
}

/// A step and the field of config.json that asked for it; empty where nothing there did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned<T> {
    pub step: T,
    pub field: String,
}

fn planned<T>(field: impl Into<String>, step: impl Into<T>) -> Planned<T> {
    Planned { step: step.into(), field: field.into() }
}

/// The step, and behind it the field.
impl<T: Display> Display for Planned<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.step)?;
        if self.field.is_empty() { Ok(()) } else { write!(f, "    # {}", self.field) }
    }
}

/// Where the container's processes are counted and limited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// Relative to the root of the cgroup v2 tree, without a leading slash.
    pub path: String,
    /// The scope that it is, where systemd makes it.
    pub unit: Option<Unit>,
}

/// A unit of systemd.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Unit {
    #[serde(rename = "manager")]
    pub instance: systemd::Instance,
    /// As `docker-ID.scope`.
    pub name: String,
    /// The slice that it is in.
    pub slice: String,
}

/// All that will be done to make a container.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub id: Id,
    /// The container's cgroup; none if it has none.
    pub cgroup: Option<Home>,
    /// The number of the first descriptor that the process does not keep: standard ones and what
    /// the caller passes on.
    pub first_closed_fd: i32,
    /// What the parent does first.
    pub host: Vec<Planned<HostStep>>,
    /// How the parent makes init.
    pub launch: Launch,
    /// What the parent does for init while that waits in [`EnterStep::AwaitParent`].
    pub settle: Vec<Planned<Settle>>,
    /// What init does then.
    pub init: Vec<Planned<Step>>,
    /// What was asked for and is not done.
    pub warnings: Vec<String>,
}

impl Display for Plan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "container {}, descriptors 0 to {}", self.id, self.first_closed_fd - 1)?;
        writeln!(f, "parent, in the host's namespaces:")?;
        numbered(f, &self.host)?;
        writeln!(f, "launch:\n  {}", self.launch)?;
        if !self.settle.is_empty() {
            writeln!(f, "parent, while init waits:")?;
            numbered(f, &self.settle)?;
        }
        writeln!(f, "init, in the container's namespaces:")?;
        numbered(f, &self.init)
    }
}

/// One step a line, counted from 1.
fn numbered<T: Display>(f: &mut Formatter<'_>, steps: &[Planned<T>]) -> fmt::Result {
    steps.iter().enumerate().try_for_each(|(i, planned)| writeln!(f, "{:>4}  {planned}", i + 1))
}
