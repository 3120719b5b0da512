//! Mounts that are added to a container that is there, and taken away again.

use super::mounts::{Mounts, copy_up, lookup, of_the_hosts};
use super::{
    CopyUp, EnterStep, Filesystem, Lookup, MountStep, Planned, ProcessStep, RootStep, Source, Step, Tree,
};
use super::{numbered, planned, process};
use crate::config::added::AddedDevice;
use crate::config::{Config, Device, Invalid, Mount, MountSource, Namespace, Place, Symlink};
use crate::host::Host;
use crate::sys::mount::{MountId, Reach};
use std::fmt::{self, Display, Formatter};
use std::path::{Component, Path, PathBuf};

/// Filesystems that show what the container has, or that belong to its user namespace: the child
/// makes them. All others are of something of the host's, and only there its names lead to it.
const OF_CONTAINER: [&str; 7] = ["cgroup2", "devpts", "mqueue", "proc", "ramfs", "sysfs", "tmpfs"];

/// All that is done to add mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addition {
    /// What the parent takes on the host, by number.
    pub taken: Vec<Planned<Taken>>,
    /// What the child does with it, in the container.
    pub steps: Vec<Planned<Step>>,
}

/// A detached mount that the parent takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// A copy of one of the host's.
    Tree(Tree),
    /// A new filesystem of something of the host's.
    New(Filesystem),
}

impl Display for Taken {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Taken::Tree(tree) => write!(f, "{tree}"),
            Taken::New(filesystem) => write!(f, "{filesystem}"),
        }
    }
}

impl Display for Addition {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "parent, on the host:")?;
        numbered(f, &self.taken)?;
        writeln!(f, "child, in the container's namespaces:")?;
        numbered(f, &self.steps)
    }
}

/// Decide all that is done to add `list` to the container that `config` describes.
pub fn add(config: &Config, host: &Host, list: &[&Mount]) -> Result<Addition, Invalid> {
    private(config)?;
    let mut mounts = Mounts::bare(config, host, None);
    let mut taken: Vec<Planned<Taken>> = Vec::new();
    let mut needs_pid_namespace = false;
    for (index, mount) in list.iter().enumerate() {
        let field = format!("mounts[{index}] {}", mount.destination);
        check(mount, &field)?;
        let source = match source(&mut mounts, mount, &field, taken.len())? {
            (Some(take), source) => {
                taken.push(planned_taken(&field, take));
                source
            }
            (None, source) => source,
        };
        // A procfs shows the pid namespace of who makes it.
        needs_pid_namespace |= matches!(&source, Source::New(new) if new.fstype == "proc");
        let fstype = mount.new_fstype().unwrap_or_default();
        let step = MountStep {
            target: mount.destination.clone(),
            lookup: lookup(mount),
            source,
            propagation: if mount.is_bind() { Vec::new() } else { mount.options.propagation.clone() },
            copy_up: if fstype == "tmpfs" { copy_up(&mount.options) } else { CopyUp::Nothing },
            held: true,
        };
        mounts.step(field, RootStep::Add(step));
    }
    addition(config, host, taken, mounts.into_added(), needs_pid_namespace)
}

/// What is done with what is taken, and the way to it.
fn addition(
    config: &Config,
    host: &Host,
    taken: Vec<Planned<Taken>>,
    work: Vec<Planned<Step>>,
    needs_pid_namespace: bool,
) -> Result<Addition, Invalid> {
    let mut steps = Vec::new();
    // What an ordinary user may copy is what the container's user namespace may.
    let taken = if host.uid == 0 {
        taken
    } else {
        steps.extend(copies(config, taken)?);
        Vec::new()
    };
    let has_user = !steps.is_empty();
    steps.extend(inside(config, has_user, needs_pid_namespace));
    steps.extend(work);
    steps.push(planned("", ProcessStep::Ready));
    Ok(Addition { taken, steps })
}

/// What the child does to take mounts away: each by the place that it was put on, and by its id.
pub fn remove(config: &Config, list: &[(&str, MountId)]) -> Result<Vec<Planned<Step>>, Invalid> {
    private(config)?;
    let mut steps = vec![planned("", EnterStep::OpenDescriptors)];
    steps.extend(inside(config, false, false));
    for (target, id) in list {
        steps.push(planned("", RootStep::Remove { target: (*target).into(), id: *id }));
    }
    steps.push(planned("", ProcessStep::Ready));
    Ok(steps)
}

/// Decide all that is done to add a device: a node or, in a user namespace, where the kernel makes
/// none, the host's.
pub fn add_device(config: &Config, host: &Host, device: &AddedDevice) -> Result<Addition, Invalid> {
    private(config)?;
    let mut work = vec![planned("", RootStep::Vacant(device.node.path.clone()))];
    if makes_nodes(config, host) {
        work.push(planned("", RootStep::Node(device.node.clone())));
        return addition(config, host, Vec::new(), work, false);
    }
    let mounts = Mounts::bare(config, host, None);
    let tree = Tree {
        slot: 0,
        device: Some((device.node.kind, device.node.major, device.node.minor)),
        ..mounts.copy(&device.source, Reach::Top, of_the_hosts())
    };
    let step = MountStep {
        target: device.node.path.clone(),
        lookup: Lookup::Follow,
        source: Source::Tree(0),
        propagation: Vec::new(),
        copy_up: CopyUp::Nothing,
        held: true,
    };
    work.push(planned("", RootStep::Add(step)));
    addition(config, host, vec![planned_taken("", Taken::Tree(tree))], work, false)
}

/// What the child does to take a device away.
pub fn remove_device(
    config: &Config,
    host: &Host,
    device: &AddedDevice,
) -> Result<Vec<Planned<Step>>, Invalid> {
    let Device { kind, major, minor, .. } = device.node;
    let path = device.node.path.clone();
    let mounted: Vec<_> = device.mount.iter().map(|id| (path.as_str(), *id)).collect();
    let mut steps = remove(config, &mounted)?;
    let kind = if makes_nodes(config, host) { kind } else { libc::S_IFREG };
    let last = steps.len() - 1;
    steps.insert(
        last,
        planned("", RootStep::RemoveNode { path: device.node.path.clone(), kind, major, minor }),
    );
    Ok(steps)
}

fn makes_nodes(config: &Config, host: &Host) -> bool {
    host.is_root && !config.namespaces.own(Namespace::User)
}

/// In a mount namespace that is not the container's alone mounts would be there for others, and
/// stay when it is gone.
fn private(config: &Config) -> Result<(), Invalid> {
    match config.namespaces.of(Namespace::Mount) {
        Place::New => Ok(()),
        Place::Inherited | Place::Joined { .. } => {
            Err(Invalid::new("linux.namespaces", "the container has no mount namespace of its own"))
        }
    }
}

fn check(mount: &Mount, field: &str) -> Result<(), Invalid> {
    let refused = |reason| Err(Invalid::new(field, reason));
    match &mount.source {
        _ if mount.destination == "/" => refused("is the root filesystem itself, which is there already"),
        MountSource::Remount => refused("remount adds no mount"),
        MountSource::Bind { .. } if mount.options.source == Symlink::Copied => {
            refused("a symlink is no mount, and is not added")
        }
        MountSource::Bind { .. } | MountSource::New(_) => Ok(()),
    }
}

/// What a mount attaches; and what the parent takes for it, as the copy with this number.
fn source(
    mounts: &mut Mounts<'_>,
    mount: &Mount,
    field: &str,
    slot: usize,
) -> Result<(Option<Taken>, Source), Invalid> {
    let new = match &mount.source {
        MountSource::Bind { path, reach } => {
            let tree = Tree { slot, ..mounts.bind(mount, path, *reach) };
            // The container may have put a symlink there since it began.
            if let Some(path) = mounts.inside(mount, path) {
                return Ok((None, Source::Inside(path, Box::new(Tree { locked: false, ..tree }))));
            }
            if leads_into(path, &mounts.config.root.path) {
                let reason = "its source lies in the container's own root: it is looked up there, and can then have neither \
                              mapped ids nor an option about symlinks nor `..` in its name";
                return Err(Invalid::new(field, reason));
            }
            return Ok((Some(Taken::Tree(tree)), Source::Tree(slot)));
        }
        MountSource::Remount => return Err(Invalid::new(field, "remount adds no mount")),
        MountSource::New(new) => new,
    };
    if let Some((path, reach)) = mounts.host_tree(&new.fstype) {
        let changes = mount.options.changes().into_iter().map(|(_, change)| (reach, change)).collect();
        let tree = Tree { slot, ..mounts.copy(&path, reach, changes) };
        return Ok((Some(Taken::Tree(tree)), Source::Tree(slot)));
    }
    let filesystem = mounts.filesystem(mount, new, field)?;
    if OF_CONTAINER.contains(&filesystem.fstype.as_str()) {
        return Ok((None, Source::New(filesystem)));
    }
    Ok((Some(Taken::New(filesystem)), Source::Tree(slot)))
}

/// Whether a path is below the folder, by its name.
fn leads_into(path: &Path, folder: &Path) -> bool {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(clean.pop()),
            Component::CurDir => {}
            part => clean.push(part),
        }
    }
    clean.starts_with(folder) || path.starts_with(folder)
}

fn planned_taken(field: &str, step: Taken) -> Planned<Taken> {
    Planned { step, field: field.into() }
}

/// The copies that the child makes itself, in a mount namespace that is the host's but for its
/// owner.
fn copies(config: &Config, taken: Vec<Planned<Taken>>) -> Result<Vec<Planned<Step>>, Invalid> {
    if taken.is_empty() {
        return Ok(Vec::new());
    }
    if !config.namespaces.own(Namespace::User) {
        let reason = "an ordinary user can copy mounts in the container's user namespace only";
        return Err(Invalid::new(&taken[0].field, reason));
    }
    let mut steps = vec![
        planned("", EnterStep::OfInit(vec![Namespace::User])),
        planned("", EnterStep::NamespaceRoot { groups: process::groups(config) }),
        planned("", EnterStep::New(Namespace::Mount)),
        planned("", RootStep::Slave),
    ];
    for Planned { step, field } in taken {
        match step {
            Taken::Tree(tree) => steps.push(planned(field, RootStep::CloneTree(tree))),
            Taken::New(filesystem) => {
                let reason = format!("only root can mount {}", filesystem.fstype);
                return Err(Invalid::new(field, reason));
            }
        }
    }
    Ok(steps)
}

/// Into the namespaces of the container; not into its user namespace where the child is in it.
fn inside(config: &Config, has_user: bool, needs_pid_namespace: bool) -> Vec<Planned<Step>> {
    let own = |kind: &Namespace| config.namespaces.own(*kind);
    let in_user_namespace = config.namespaces.own(Namespace::User);
    let enters_user = in_user_namespace && !has_user;
    let kinds = Namespace::ALL.into_iter().filter(own);
    let kinds = kinds.filter(|kind| *kind != Namespace::User || enters_user).collect();
    let mut steps = vec![planned("linux.namespaces", EnterStep::OfInit(kinds))];
    if needs_pid_namespace {
        steps.push(planned("linux.namespaces", EnterStep::Fork));
    }
    if enters_user {
        let groups = process::groups(config);
        steps.push(planned("linux.namespaces", EnterStep::NamespaceRoot { groups }));
    }
    steps.push(planned("", RootStep::RootDirectory("/".into())));
    steps
}
