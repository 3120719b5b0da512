//! What a checkpoint by CRIU needs beside its images: which mounts come from the host, and what
//! makes a container ready to take the processes of one.

use super::create::{CORE_SCHED, net_devices, trial, with_notify};
use super::mounts::{FirstMounts, Mounts};
use super::{
    Below, Keyring, MountStep, Plan, Planned, Request, RootStep, SessionKeyring, Settle, Source, Step, Tree,
    planned, process,
};
use crate::config::{Config, Invalid, Namespace, Place};
use crate::host::Host;
use crate::sys::mount::Reach;
use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

/// A mount of the host's in the container: CRIU neither saves nor makes it, but is told what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct External {
    /// In the container.
    pub target: String,
    /// What it is called in the images: what other runtimes call it too.
    pub key: String,
    /// On the host.
    pub source: PathBuf,
    /// One mount or all below.
    pub reach: Reach,
}

/// The container's mounts of the host's. One that CRIU could not make again as it was is an error.
/// `notify` is the folder of the socket that takes its notifications, if it has one.
pub fn externals(config: &Config, notify: Option<&Path>, host: &Host) -> Result<Vec<External>, Invalid> {
    if *config.namespaces.of(Namespace::Mount) != Place::New {
        let reason = "without a mount namespace of its own a container cannot be checkpointed";
        return Err(Invalid::new("linux.namespaces", reason));
    }
    if let Some(asked) = &config.overlay {
        return Err(overlay(&asked.field));
    }
    let config = &*with_notify(config, notify);
    let mut mounts = Mounts::plan(config, host, Vec::new(), None, FirstMounts::Hosts)?;
    let finish = mounts.finish()?;
    let mut found = Vec::new();
    let of_slot = |slot: usize, target: &str, key: &str, field: &str| {
        mounts.trees().get(slot).map(|tree| external(&tree.step, target, key, field)).transpose()
    };
    for Planned { step, field } in mounts.steps().iter().chain(&finish) {
        let Step::Root(step) = step else { continue };
        match step {
            RootStep::Mount(MountStep { target, source, .. }) => match source {
                Source::Tree(slot) | Source::TreeOrLink(slot) => {
                    found.extend(of_slot(*slot, target, target, field)?);
                }
                Source::Inside(_, tree) => found.push(external(tree, target, target, field)?),
                Source::New(_) => {}
            },
            RootStep::MaskPaths { paths, null, .. } => {
                for path in paths {
                    found.extend(of_slot(*null, path, NULL, field)?);
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

/// What covers masked files.
const NULL: &str = "/dev/null";

/// The error of a container whose root is an overlay that only it sees.
pub fn overlay(field: &str) -> Invalid {
    let reason = "the layers of an overlay that is made in the container cannot be checkpointed; \
                  mount it on the host and name that as root.path";
    Invalid::new(field, reason)
}

fn external(tree: &Tree, target: &str, key: &str, field: &str) -> Result<External, Invalid> {
    if tree.id_map.is_some() {
        let reason =
            "an id-mapped mount cannot be checkpointed: CRIU would make it again without its mapping";
        return Err(Invalid::new(field, reason));
    }
    let path = |path: &str| match path.trim_end_matches('/') {
        "" => "/".into(),
        path => path.into(),
    };
    Ok(External { target: path(target), key: path(key), source: tree.source.clone(), reach: tree.reach })
}

/// A namespace of the container that is somebody else's too, and outlives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub kind: Namespace,
    /// What it is called in the images; none where CRIU has no way to leave one of this kind out,
    /// and saves it.
    pub key: Option<&'static str>,
    /// A file like /proc/PID/ns/net.
    pub path: PathBuf,
}

/// The namespaces that the container joins.
pub fn kept(config: &Config) -> Vec<Kept> {
    let kept = |kind| match config.namespaces.of(kind) {
        Place::Joined { path, .. } => {
            let key = match kind {
                Namespace::Network => Some("extRootNetNS"),
                Namespace::Pid => Some("extRootPidNS"),
                _ => None,
            };
            Some(Kept { kind, key, path: path.clone() })
        }
        _ => None,
    };
    Namespace::ALL.into_iter().filter_map(kept).collect()
}

/// How a container is made for processes of a checkpoint.
#[derive(Debug)]
pub struct Restore {
    /// The container up to its mounts. It is thrown away: what stays are the targets of the mounts
    /// in the root filesystem, made or found by the rules that hold for every container.
    pub trial: Plan,
    /// The cgroup below the container's. It gets controllers when CRIU has put the process into its
    /// cgroups, after the steps of `settle`.
    pub below: Option<Below>,
    /// What CRIU puts in the place of the cgroup where the saved cgroup namespace begins; of the
    /// saved process's own, if it sees the machine's. None: what it was.
    pub cgroup_root: Option<String>,
    /// What is done for the restored process while it waits.
    pub settle: Vec<Planned<Settle>>,
    /// The session keyring that the processes get.
    pub keyring: Option<SessionKeyring>,
    /// Its mounts of the host's.
    pub externals: Vec<External>,
    /// Its namespaces that are there.
    pub kept: Vec<Kept>,
    /// Whether its network namespace is new.
    pub loopback: bool,
}

/// Decide what is done to restore a container. What CRIU's images say of the process is not done
/// again: its limits, labels, scheduling, terminal.
pub fn restore(config: &Config, request: &Request, host: &Host) -> Result<Restore, Invalid> {
    let trial = trial(config, request, host)?;
    let mut externals = externals(config, request.notify.as_deref(), host)?;
    // All masks are called the same.
    let mut keys = BTreeSet::new();
    externals.retain(|external| keys.insert(external.key.clone()));
    let keyring = (request.keyring == Keyring::New)
        .then(|| process::keyring(request.id.as_str(), config.process.as_ref()));
    let rdt = config.rdt.as_ref().map(|_| planned("linux.intelRdt", Settle::ResctrlGroup));
    // CRIU knows nothing of cookies. The processes to come are children of this one.
    let core = config.core_sched.clone().map(|core| planned(CORE_SCHED, Settle::Core(core)));
    let below = super::cgroup::below(config, request.cgroup_driver)?;
    let sees_machine = *config.namespaces.of(Namespace::Cgroup) == Place::Inherited;
    let cgroup_root = trial.cgroup.as_ref().map(|home| match &below {
        Some(below) if below.begins_namespace || sees_machine => format!("{}/{}", home.path, below.path),
        _ => home.path.clone(),
    });
    let into_it = below.clone().map(Below::step);
    let settle = rdt.into_iter().chain(into_it).chain(core).chain(net_devices(config)).collect();
    let loopback = *config.namespaces.of(Namespace::Network) == Place::New;
    Ok(Restore {
        trial,
        below,
        cgroup_root,
        settle,
        keyring: keyring.map(|planned| planned.step),
        externals,
        kept: kept(config),
        loopback,
    })
}

impl External {
    /// Where a mount below this one is from, where those below come along.
    pub fn below(&self, mount: &Path) -> Option<External> {
        let rest = mount.strip_prefix(&self.source).ok()?.to_str().filter(|rest| !rest.is_empty())?;
        let target = format!("{}/{rest}", self.target.trim_end_matches('/'));
        (self.reach == Reach::Tree).then(|| External {
            key: target.clone(),
            target,
            source: mount.into(),
            reach: self.reach,
        })
    }
}

impl Display for Restore {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "trial of the mounts: {}", self.trial)?;
        writeln!(f, "CRIU, in a mount namespace of its own:")?;
        if let Some(root) = &self.cgroup_root {
            writeln!(f, "  cgroups begin at {root}")?;
        }
        if let Some(keyring) = &self.keyring {
            writeln!(f, "  {keyring}")?;
        }
        for External { target, key, source, reach } in &self.externals {
            let tree = if *reach == Reach::Tree { ", and what is below" } else { "" };
            let what = if key == target { "mount" } else { "mask" };
            writeln!(f, "  {what} {key} is {}{tree}", source.display())?;
        }
        for Kept { kind, path, .. } in &self.kept {
            writeln!(f, "  {} namespace is {}", kind.name(), path.display())?;
        }
        writeln!(f, "parent, while the restored process waits:")?;
        if self.loopback {
            writeln!(f, "  lo up")?;
        }
        for Planned { step, field } in &self.settle {
            writeln!(f, "  {step}    # {field}")?;
        }
        let Some(Below { field, path, .. }) = &self.below else { return Ok(()) };
        writeln!(f, "  all controllers for cgroup {path}, once CRIU has moved it    # {field}")
    }
}
