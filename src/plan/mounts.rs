//! `mounts`, devices and links of /dev, masked and read-only paths: config.json to steps.

use super::overlay;
use super::process;
use super::{
    CopyUp, Filesystem, HostStep, IdSource, Lookup, MountStep, Planned, RootStep, Source, Step, Tree, planned,
};
use crate::config::mount_options::reach_and_kind;
use crate::config::{
    Config, Device, Invalid, Mount, MountSource, Namespace, NewMount, Options, Overlay, Place, Propagation,
    Symlink, annotation,
};
use crate::host::Host;
use crate::sys::mount::{Change, Reach, attr};
use std::path::{Component, Path, PathBuf};

/// Parameters of any filesystem that label its files.
const CONTEXTS: [&str; 4] = ["context", "fscontext", "defcontext", "rootcontext"];

/// A parameter of a filesystem: a key, and a value unless it is a flag.
type Parameter = (String, Option<String>);

/// The lists that mounts turn into, while they grow.
pub(super) struct Mounts<'a> {
    pub(super) config: &'a Config,
    pub(super) host: &'a Host,
    /// What the parent does before it copies.
    before: Vec<Planned<HostStep>>,
    /// Copies of host mounts, by number.
    trees: Vec<Planned<Tree>>,
    /// What init does with them.
    steps: Vec<Planned<Step>>,
    /// Attributes that wait until everything below has been made.
    late: Vec<Planned<Step>>,
    /// The overlay that the root is.
    pub(super) overlay: Option<&'a Overlay>,
    /// What the new mount namespace has at first.
    first: FirstMounts,
}

/// What a new mount namespace has at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FirstMounts {
    /// A copy of the host's mounts, all of them, which pivot_root(2) leaves behind.
    Hosts,
    Nothing,
}

impl<'a> Mounts<'a> {
    /// None yet.
    pub(super) fn bare(config: &'a Config, host: &'a Host, overlay: Option<&'a Overlay>) -> Mounts<'a> {
        let (before, trees) = (Vec::new(), Vec::new());
        Mounts {
            config,
            host,
            before,
            trees,
            steps: Vec::new(),
            late: Vec::new(),
            overlay,
            first: FirstMounts::Hosts,
        }
    }

    /// What is done with mounts that are added: attributes come last.
    pub(super) fn into_added(self) -> Vec<Planned<Step>> {
        self.steps.into_iter().chain(self.late).collect()
    }

    /// All steps between a fresh mount namespace and pivot_root(2).
    pub(super) fn plan(
        config: &'a Config,
        host: &'a Host,
        after_root: Vec<Planned<Step>>,
        overlay: Option<&'a Overlay>,
        first: FirstMounts,
    ) -> Result<Mounts<'a>, Invalid> {
        let mut mounts = Mounts { first, ..Mounts::bare(config, host, overlay) };
        // As a peer of the host's it would carry the container's mounts there, and pivot_root(2)
        // refuses it; it becomes shared at the very end. What is mounted below it and volumes are
        // peers meanwhile.
        let own = match config.rootfs_propagation.map(|p| p.kind) {
            // Nor is what the host mounts below the root folder later for the container, unless
            // that is asked for.
            None | Some(libc::MS_SHARED) => {
                vec![(Reach::Top, Change { propagation: libc::MS_PRIVATE, ..Change::default() })]
            }
            _ => Vec::new(),
        };
        let tree = mounts.copy(&config.root.path, Reach::Tree, own);
        let slot = mounts.add("root.path", tree);
        let place = if first == FirstMounts::Nothing { Path::new("/") } else { &config.root.path };
        mounts.step("root.path", RootStep::Root { slot, path: place.into() });
        // Only now: the way to the root filesystem may be closed to the container's root.
        mounts.steps.extend(after_root);
        overlay.map_or(Ok(()), |overlay| mounts.stack(overlay))?;
        // What is on / is the root itself: that overlay.
        for (i, mount) in config.mounts.iter().enumerate().filter(|(_, mount)| mount.destination != "/") {
            mounts.mount(mount, &format!("mounts[{i}]"))?;
        }
        mounts.dev();
        Ok(mounts)
    }

    /// The steps that make things read-only or hide them, for after pivot_root(2).
    pub(super) fn finish(&mut self) -> Result<Vec<Planned<Step>>, Invalid> {
        let covers = if self.config.masked_paths.is_empty() {
            None
        } else {
            let null = self.copy(Path::new("/dev/null"), Reach::Top, of_the_hosts());
            let null = self.add("linux.maskedPaths", null);
            Some((null, self.empty_tmpfs()?))
        };
        let mut steps = std::mem::take(&mut self.late);
        let mut step = |field: &str, step: RootStep| steps.push(planned(field, step));
        if self.config.root.readonly {
            let change = Change { set: attr::RDONLY, ..Change::default() };
            step("root.readonly", RootStep::Attributes { target: "/".into(), reach: Reach::Top, change });
        }
        if !self.config.readonly_paths.is_empty() {
            step("linux.readonlyPaths", RootStep::ReadonlyPaths(self.config.readonly_paths.clone()));
        }
        if let Some((null, empty)) = covers {
            let paths = self.config.masked_paths.clone();
            step("linux.maskedPaths", RootStep::MaskPaths { paths, null, empty });
        }
        Ok(steps)
    }

    /// What covers folders that are masked.
    fn empty_tmpfs(&self) -> Result<Filesystem, Invalid> {
        let parameters = [("nr_blocks", "1"), ("nr_inodes", "1"), ("mode", "0555")];
        let parameters = parameters.map(|(key, value)| (key.to_string(), Some(value.to_string())));
        let (label, root_label) = self.label("tmpfs")?;
        Ok(Filesystem {
            fstype: "tmpfs".into(),
            source: "tmpfs".into(),
            parameters: parameters.into_iter().chain(label).collect(),
            attrs: attr::RDONLY | attr::NOSUID | attr::NODEV | attr::NOEXEC,
            mode_from_target: false,
            root_label,
        })
    }

    /// What the parent does, and what init does. An ordinary user copies mounts in the new
    /// namespace only.
    pub(super) fn into_steps(self) -> (Vec<Planned<HostStep>>, Vec<Planned<Step>>) {
        let Mounts { before: mut parent, trees, steps, host, first, .. } = self;
        let first = if first == FirstMounts::Nothing { RootStep::EmptyMounts } else { RootStep::Slave };
        let mut init = vec![planned("linux.namespaces", first)];
        if host.uid == 0 {
            parent.extend(trees.into_iter().map(|tree| planned(tree.field, HostStep::CloneTree(tree.step))));
        } else {
            init.extend(trees.into_iter().map(|tree| planned(tree.field, RootStep::CloneTree(tree.step))));
        }
        init.extend(steps);
        (parent, init)
    }

    /// The copies of host mounts, by number.
    pub(super) fn trees(&self) -> &[Planned<Tree>] {
        &self.trees
    }

    /// What init does but for the copies.
    pub(super) fn steps(&self) -> &[Planned<Step>] {
        &self.steps
    }

    /// A step of the parent's before any copy is made.
    pub(super) fn before_copies(&mut self, field: &str, step: HostStep) {
        self.before.push(Planned { step, field: field.into() });
    }

    pub(super) fn step(&mut self, field: impl Into<String>, step: RootStep) {
        self.steps.push(planned(field, step));
    }

    /// A copy of a host mount, with the propagation that the container's mounts have by default and
    /// then `changes`.
    pub(super) fn copy(&self, source: &Path, reach: Reach, mut changes: Vec<(Reach, Change)>) -> Tree {
        // runc(8): a container's mounts are slaves of the host's unless rootfsPropagation says
        // otherwise.
        let default = match self.config.rootfs_propagation.map(|p| p.kind) {
            None => libc::MS_SLAVE,
            // What is unbindable cannot be copied, as masks and read-only paths are; the root
            // becomes so at the very end.
            Some(libc::MS_UNBINDABLE) => libc::MS_PRIVATE,
            Some(kind) => kind,
        };
        if default != libc::MS_SHARED {
            changes.insert(0, (Reach::Tree, Change { propagation: default, ..Change::default() }));
        }
        Tree {
            slot: self.trees.len(),
            source: source.into(),
            symlink: Symlink::Followed,
            reach,
            changes,
            flags: None,
            locked: false,
            id_map: None,
            device: None,
        }
    }

    /// Have the copy made, and give its number.
    fn add(&mut self, field: &str, tree: Tree) -> usize {
        let slot = tree.slot;
        self.trees.push(Planned { step: tree, field: field.into() });
        slot
    }

    /// A copy of one mount, to be a layer of an overlay.
    pub(super) fn layer(&mut self, field: &str, path: &Path) -> usize {
        let tree = self.copy(path, Reach::Top, Vec::new());
        self.add(field, tree)
    }

    fn mount(&mut self, mount: &Mount, field: &str) -> Result<(), Invalid> {
        let options = &mount.options;
        let named = format!("{field} {}", mount.destination);
        let source = match &mount.source {
            MountSource::Remount => {
                self.remount(&mount.destination, options, &named);
                return Ok(());
            }
            MountSource::Bind { path, reach } => self.bound(&named, mount, path, *reach),
            MountSource::New(new) => {
                if let Some(layer) = overlay::only_layer(&new.fstype, options) {
                    return self.glass(named, mount, &layer);
                }
                self.new_or_hosts(&named, mount, new)?
            }
        };
        let fstype = mount.new_fstype().unwrap_or_default();
        let lookup = lookup(mount);
        let copy_up = if fstype == "tmpfs" { copy_up(options) } else { CopyUp::Nothing };
        let propagation = if mount.is_bind() { Vec::new() } else { options.propagation.clone() };
        let held = self.is_gone_on_from(&mount.destination);
        let target = mount.destination.clone();
        self.step(named, RootStep::Mount(MountStep { target, lookup, source, propagation, copy_up, held }));
        Ok(())
    }

    /// A filesystem of the container's own, or the host's where there can be none.
    fn new_or_hosts(&mut self, field: &str, mount: &Mount, new: &NewMount) -> Result<Source, Invalid> {
        let Some((source, reach)) = self.host_tree(&new.fstype) else {
            return Ok(Source::New(self.filesystem(mount, new, field)?));
        };
        let changes = mount.options.changes().into_iter().map(|(_, change)| (reach, change)).collect();
        let tree = self.copy(&source, reach, changes);
        Ok(Source::Tree(self.add(field, tree)))
    }

    /// A bind mount's source, which the parent copies; or init does in its turn, where it lies in
    /// the container's own root.
    fn bound(&mut self, field: &str, mount: &Mount, source: &Path, reach: Reach) -> Source {
        let tree = self.bind(mount, source, reach);
        if let Some(path) = self.inside(mount, source) {
            // What the container has mounted is its own, and not locked.
            return Source::Inside(path, Box::new(Tree { locked: false, ..tree }));
        }
        let slot = self.add(field, tree);
        if mount.options.source == Symlink::Copied { Source::TreeOrLink(slot) } else { Source::Tree(slot) }
    }

    /// The path in the container of a source that lies in its root folder. That of an overlay is
    /// only a layer; and only the parent can map ids.
    pub(super) fn inside(&self, mount: &Mount, source: &Path) -> Option<String> {
        let options = &mount.options;
        let path = source.strip_prefix(&self.config.root.path).ok()?;
        let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        let maps = options.id_map.is_some() || !mount.id_maps.is_empty();
        let is_parents = self.overlay.is_some() || maps || options.source != Symlink::Followed;
        (is_plain && !is_parents && !path.as_os_str().is_empty()).then(|| format!("/{}", path.display()))
    }

    /// Whether a later step changes the mount at `destination`, or looks for something below it.
    fn is_gone_on_from(&self, destination: &str) -> bool {
        let Config { masked_paths, readonly_paths, mounts, .. } = self.config;
        let is_late = self
            .late
            .iter()
            .any(|planned| matches!(&planned.step, Step::Root(RootStep::Attributes { target, .. }) if target == destination));
        let remounted = mounts.iter().filter(|mount| mount.source == MountSource::Remount);
        let mut paths =
            masked_paths.iter().chain(readonly_paths).chain(remounted.map(|mount| &mount.destination));
        is_late || paths.any(|path| below(path, destination).is_some())
    }

    /// Change the attributes of a mount that is there already.
    fn remount(&mut self, target: &str, options: &Options, field: &str) {
        for (reach, change) in options.changes() {
            self.step(field, RootStep::Attributes { target: target.into(), reach, change });
        }
    }

    /// What a filesystem that shows a namespace is where the container has no such namespace of its
    /// own: the host's. The kernel mounts a new one only for the namespace's owner, which a user
    /// namespace is not.
    pub(super) fn host_tree(&self, fstype: &str) -> Option<(PathBuf, Reach)> {
        let (shows, source, reach) = match fstype {
            "cgroup" | "cgroup2" => (Namespace::Cgroup, self.host.cgroup_root.as_path(), Reach::Top),
            "proc" => (Namespace::Pid, Path::new("/proc"), Reach::Tree),
            "sysfs" => (Namespace::Network, Path::new("/sys"), Reach::Tree),
            "mqueue" => (Namespace::Ipc, Path::new("/dev/mqueue"), Reach::Tree),
            _ => return None,
        };
        let foreign = shows == Namespace::Cgroup || self.config.namespaces.own(Namespace::User);
        (foreign && !self.config.namespaces.own(shows)).then(|| (source.into(), reach))
    }

    /// The copy that a bind mount attaches. The ids of its files are mapped as the mount says, or
    /// else as the container's user namespace does.
    pub(super) fn bind(&self, mount: &Mount, source: &Path, reach: Reach) -> Tree {
        let options = &mount.options;
        let mapped = options.id_map.or(if mount.id_maps.is_empty() { None } else { Some(Reach::Top) });
        let maps = if mount.id_maps.is_empty() { &self.config.id_maps } else { &mount.id_maps };
        let ids = if maps.is_empty() { IdSource::Joined } else { IdSource::Maps(maps.clone()) };
        Tree {
            id_map: mapped.map(|reach| (reach, ids)),
            flags: options.flags,
            locked: self.config.namespaces.own(Namespace::User),
            symlink: options.source,
            ..self.copy(source, reach, options.of_bind())
        }
    }

    pub(super) fn filesystem(
        &mut self,
        mount: &Mount,
        new: &NewMount,
        field: &str,
    ) -> Result<Filesystem, Invalid> {
        let (options, fstype) = (&mount.options, new.fstype.as_str());
        let mut attrs = options.top.set | options.tree.set;
        // What lies below a tmpfs or /dev is made by later steps, so these turn read-only last.
        if attrs & attr::RDONLY != 0 && (fstype == "tmpfs" || mount.destination.starts_with("/dev")) {
            attrs &= !attr::RDONLY;
            let change = Change { set: attr::RDONLY, ..Change::default() };
            let step = RootStep::Attributes { target: mount.destination.clone(), reach: Reach::Top, change };
            self.late.push(planned(field, step));
        }
        let fstype = if fstype == "cgroup" { "cgroup2" } else { fstype };
        let mut parameters = options.parameters.clone();
        let (label, root_label) = match parameters.iter().any(|(key, _)| CONTEXTS.contains(&key.as_str())) {
            true => (None, None),
            false => self.label(fstype)?,
        };
        parameters.extend(label);
        let mode_given = options.parameters.iter().any(|(key, _)| key == "mode");
        Ok(Filesystem {
            fstype: fstype.into(),
            source: if new.device.is_empty() { fstype.into() } else { new.device.clone() },
            parameters,
            attrs,
            mode_from_target: fstype == "tmpfs" && !mode_given,
            root_label,
        })
    }

    /// The label of a new filesystem's files: as a parameter, or as an attribute of its root. The
    /// files of the kernel's own filesystems have theirs by policy, and the one of message queues
    /// is there already, with the namespace.
    pub(super) fn label(&self, fstype: &str) -> Result<(Option<Parameter>, Option<String>), Invalid> {
        let Some(label) = &self.config.mount_label else { return Ok((None, None)) };
        process::selinux(self.host, "linux.mountLabel", label)?;
        match fstype {
            "proc" | "sysfs" | "cgroup2" => return Ok((None, None)),
            "mqueue" => {
                let own = self.config.namespaces.own(Namespace::Ipc);
                return Ok((None, own.then(|| label.clone())));
            }
            _ => {}
        }
        let asked = self.config.annotations.get(annotation::MOUNT_CONTEXT_TYPE).map(String::as_str);
        match CONTEXTS.iter().find(|kind| **kind == asked.unwrap_or("context")) {
            Some(kind) => Ok((Some((kind.to_string(), Some(label.clone()))), None)),
            None => Err(Invalid::new(
                format!("annotations.{}", annotation::MOUNT_CONTEXT_TYPE),
                format!("\"{}\" is not one of {}", asked.unwrap_or_default(), CONTEXTS.join(", ")),
            )),
        }
    }

    /// Devices and links in /dev, unless the whole of /dev is the host's.
    fn dev(&mut self) {
        if !has_own_dev(self.config) {
            return;
        }
        for (path, minor) in [("null", 3), ("zero", 5), ("full", 7), ("random", 8), ("urandom", 9)] {
            self.default_node(path, 1, minor);
        }
        self.default_node("tty", 5, 0);
        // The host's /dev/ptmx makes terminals of the host. An engine that gives all devices gives
        // it, too.
        let devices = self.config.devices.iter().enumerate().filter(|(_, device)| device.path != "/dev/ptmx");
        for (i, device) in devices {
            self.device(format!("linux.devices[{i}]"), device.clone());
        }
        let links = [
            ("fd", "/proc/self/fd"),
            ("stdin", "/proc/self/fd/0"),
            ("stdout", "/proc/self/fd/1"),
            ("stderr", "/proc/self/fd/2"),
            ("core", "/proc/kcore"),
        ];
        for (name, target) in links {
            self.step("", RootStep::Link { path: format!("/dev/{name}"), target: target.into() });
        }
        self.step("", RootStep::Ptmx);
    }

    fn default_node(&mut self, name: &str, major: u32, minor: u32) {
        let path = format!("/dev/{name}");
        if self.config.devices.iter().all(|device| device.path != path) {
            let node = Device { path, kind: libc::S_IFCHR, major, minor, mode: 0o666, uid: 0, gid: 0 };
            self.device("", node);
        }
    }

    /// A node; in a user namespace, where the kernel makes none, and where that is the runtime's
    /// own, the host's of the same path.
    fn device(&mut self, field: impl Into<String>, device: Device) {
        let field = field.into();
        let may_make = self.host.is_root && !self.config.namespaces.own(Namespace::User);
        if may_make || device.kind == libc::S_IFIFO {
            return self.step(field, RootStep::Node(device));
        }
        let tree = Tree {
            device: Some((device.kind, device.major, device.minor)),
            ..self.copy(Path::new(&device.path), Reach::Top, of_the_hosts())
        };
        let slot = self.add(&field, tree);
        let step = MountStep {
            target: device.path,
            lookup: Lookup::Follow,
            source: Source::Tree(slot),
            propagation: Vec::new(),
            copy_up: CopyUp::Nothing,
            held: false,
        };
        self.step(field, RootStep::Mount(step));
    }
}

/// How the place of a mount is looked up.
pub(super) fn lookup(mount: &Mount) -> Lookup {
    match mount.new_fstype() {
        Some("proc" | "sysfs") => Lookup::NoSymlinks,
        _ if mount.options.target == Symlink::Meant => Lookup::FollowToLast,
        _ => Lookup::Follow,
    }
}

/// A size in bytes is somebody's decision about memory. A share of the machine's is not: there may
/// be many of such.
pub(super) fn copy_up(options: &Options) -> CopyUp {
    let is_size = |(key, value): &(String, Option<String>)| {
        key == "size" && value.as_ref().is_some_and(|value| !value.ends_with('%') && value != "0")
    };
    match (options.copy_up, options.parameters.iter().any(is_size)) {
        (false, _) => CopyUp::Nothing,
        (true, false) => CopyUp::Limited,
        (true, true) => CopyUp::Sized,
    }
}

/// The part of `path` below `folder`, empty for the folder itself.
pub(crate) fn below<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(folder.trim_end_matches('/'))?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }
}

/// What the mount of a node of the host's is changed to. A device can be written to through a
/// read-only mount; its mode, owner and times, which are those of the host's node, cannot be
/// changed through one.
pub(super) fn of_the_hosts() -> Vec<(Reach, Change)> {
    let set = attr::RDONLY | attr::NOSUID | attr::NOEXEC;
    vec![(Reach::Top, Change { set, ..Change::default() })]
}

/// Whether the devices of /dev are made for the container.
fn has_own_dev(config: &Config) -> bool {
    let is_hosts = |mount: &Mount| mount.destination == "/dev" && mount.is_bind();
    *config.namespaces.of(Namespace::Mount) == Place::New && !config.mounts.iter().any(is_hosts)
}

/// The step that exchanges the caller's /dev/null as standard input, output or error for the
/// container's.
pub(super) fn own_null(config: &Config) -> Option<Planned<Step>> {
    has_own_dev(config).then(|| planned("", RootStep::OwnNull))
}

/// The step that gives the new root the propagation type that was asked for.
pub(super) fn root_propagation(propagation: Option<Propagation>) -> Option<Planned<Step>> {
    let (reach, kind) = reach_and_kind(propagation?);
    Some(planned("linux.rootfsPropagation", RootStep::RootPropagation(reach, kind)))
}
