//! config.json and a request, on a machine, to a [`Plan`].

use super::mounts::{self, FirstMounts, Mounts};
use super::process::Way;
use super::{
    Console, EnterStep, Home, HostStep, Keyring, Launch, NetDevice, Pivot, Plan, Planned, ProcessStep,
    Request, RootStep, Settle, Start, Step, cgroup, devices, overlay, planned, process, resources, systemd,
};
use crate::config::bind_flags::Flags;
use crate::config::rules::sysctl_namespace;
use crate::config::{
    Config, CoreSched, IdMaps, Init, Invalid, Mount, MountSource, Namespace, Options, Place, ids,
};
use crate::host::{Host, IdRanges, NSRESOURCED};
use crate::sys::mount::{Change, Reach, attr};
use std::borrow::Cow;
use std::path::Path;

pub(super) const CORE_SCHED: &str = "annotations.org.knarr.core-sched";

/// Decide all that is done to make the container.
pub fn create(config: &Config, request: &Request, host: &Host) -> Result<Plan, Invalid> {
    plan_for(Purpose::Process, config, request, host)
}

/// Decide all that is done to make a container up to its mounts, for a process that comes from
/// elsewhere. What that process brings with it is left out: its keyring, its score, its hooks.
pub(super) fn trial(config: &Config, request: &Request, host: &Host) -> Result<Plan, Invalid> {
    plan_for(Purpose::Trial, config, request, host)
}

fn plan_for(purpose: Purpose, config: &Config, request: &Request, host: &Host) -> Result<Plan, Invalid> {
    let config = &*with_notify(config, request.notify.as_deref());
    let config = &*with_range(config, host)?;
    if config.core_sched.as_ref() == Some(&CoreSched::Shared(request.id.clone())) {
        return Err(Invalid::new(CORE_SCHED, format!("\"share:{}\" is this container itself", request.id)));
    }
    let cgroup = cgroup::home(config, request, host)?;
    let warnings = if cgroup.is_none() { without_cgroup(config, host)? } else { Vec::new() };
    let mut parent = before_mounts(config, cgroup.as_ref(), request, host)?;
    let Stages { copies, enter, root, hooks, pivot, finish } = Stages::of(purpose, config, request, host)?;
    parent.extend(copies);
    if request.start == Start::OnRequest {
        parent.push(planned("", HostStep::StartSocket));
    }
    let below = cgroup::below(config, request.cgroup_driver)?;
    if let Some(below) = below.as_ref().filter(|_| cgroup.is_none()) {
        return Err(Invalid::new(&below.field, "there is no cgroup to make it in"));
    }
    let below = below.filter(|_| purpose == Purpose::Process);
    let begins_below = below.as_ref().is_some_and(|below| below.begins_namespace);
    let below = below.map(cgroup::Below::step);
    let settle: Vec<_> = below.into_iter().chain(settle(purpose, config)).collect();
    let wait = (!settle.is_empty()).then(|| planned("", EnterStep::AwaitParent));
    let namespace = begins_below.then(|| planned("", EnterStep::New(Namespace::Cgroup)));
    let mut init: Vec<Planned<Step>> = wait.into_iter().chain(namespace).chain(enter).chain(root).collect();
    match purpose {
        Purpose::Process => {
            init.extend(hooks.into_iter().chain([pivot]).chain(finish));
            init.extend(become_process(config, request, host)?);
        }
        Purpose::Trial => init.push(planned("", ProcessStep::Ready)),
    }
    let mut launch = launch(config, host, cgroup.is_some(), first_mounts(purpose, config, request, host));
    if begins_below {
        launch.new &= !(Namespace::Cgroup.clone_flag() as u64);
    }
    let first_closed_fd = 3 + request.preserve_fds as i32;
    Ok(Plan { id: request.id.clone(), cgroup, first_closed_fd, host: parent, launch, settle, init, warnings })
}

/// What a container is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// For the process of config.json.
    Process,
    /// To find out whether its mounts can be made.
    Trial,
}

/// The steps up to a container with its mounts in place, in the order in which they are taken.
struct Stages {
    /// The parent makes what init attaches: folders for changes, copies of host mounts.
    copies: Vec<Planned<HostStep>>,
    /// init is in the namespaces. Host paths are valid, and nothing of the container's is mounted
    /// yet.
    enter: Vec<Planned<Step>>,
    /// init has the root filesystem with its mounts.
    root: Vec<Planned<Step>>,
    /// Hooks of the host's.
    hooks: Vec<Planned<Step>>,
    /// The root becomes `/`. From here no host path is valid.
    pivot: Planned<Step>,
    /// What has to be `/` first: terminal, working directory, what is read-only or masked.
    finish: Vec<Planned<Step>>,
}

impl Stages {
    fn of(purpose: Purpose, config: &Config, request: &Request, host: &Host) -> Result<Stages, Invalid> {
        let mut enter = enter(purpose, config, request, host);
        let mut owner = namespace_owner(purpose, config, request);
        let overlay = overlay::asked(config, request)?;
        let hooks = hooks(config);
        if *config.namespaces.of(Namespace::Mount) == Place::New {
            let first = first_mounts(purpose, config, request, host);
            if first == FirstMounts::Nothing {
                enter.append(&mut owner);
            }
            let mut mounts = Mounts::plan(config, host, owner, overlay.as_ref(), first)?;
            let last = mounts.finish()?;
            let (copies, root) = mounts.into_steps();
            let pivot = match (first, request.pivot) {
                (FirstMounts::Nothing, _) => RootStep::Chroot,
                (FirstMounts::Hosts, Pivot::Root) => RootStep::Pivot,
                (FirstMounts::Hosts, Pivot::Move) => RootStep::MoveRoot,
            };
            let terminal = terminal(config).or_else(|| mounts::own_null(config));
            // The working directory is made before the root is read-only.
            let finish = terminal.into_iter().chain(working_directory(config)).chain(last);
            let finish = finish.chain(mounts::root_propagation(config.rootfs_propagation)).collect();
            return Ok(Stages { copies, enter, root, hooks, pivot: planned("", pivot), finish });
        }
        let mut root = owner;
        // Last: from here on /proc is that namespace's.
        if let Place::Joined { index, .. } = config.namespaces.of(Namespace::Mount) {
            root.push(planned(format!("linux.namespaces[{index}] mount"), EnterStep::Join(Namespace::Mount)));
        }
        root.push(planned("root.path", RootStep::RootDirectory(config.root.path.clone())));
        let finish = working_directory(config).into_iter().collect();
        Ok(Stages { copies: Vec::new(), enter, root, hooks, pivot: planned("", RootStep::Chroot), finish })
    }
}

/// New filesystems that nothing of the host's goes into: no folder, no disk.
const OF_THE_KERNEL: [&str; 7] = ["proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2"];

/// A copy of the host's mounts costs the more the more there are, and is needed for little: hooks
/// and new filesystems find host paths there. In a user namespace the kernel mounts a new /proc
/// only where it sees the host's.
fn first_mounts(purpose: Purpose, config: &Config, request: &Request, host: &Host) -> FirstMounts {
    let mut fstypes = config.mounts.iter().filter_map(Mount::new_fstype);
    let names_host_paths =
        fstypes.any(|fstype| !OF_THE_KERNEL.contains(&fstype)) || !hooks(config).is_empty();
    let is_plain = purpose == Purpose::Process && request.pivot == Pivot::Root && !names_host_paths;
    let has_rights = host.is_root && !config.namespaces.own(Namespace::User);
    if host.empty_mounts && has_rights && is_plain { FirstMounts::Nothing } else { FirstMounts::Hosts }
}

/// What the parent does before it copies mounts: the cgroup, then what it opens.
fn before_mounts(
    config: &Config,
    cgroup: Option<&Home>,
    request: &Request,
    host: &Host,
) -> Result<Vec<Planned<HostStep>>, Invalid> {
    let mut steps = cgroup.map(|home| limits(config, home, request, host)).transpose()?.unwrap_or_default();
    if request.notify.is_some() {
        steps.push(planned("", HostStep::NotifySocket));
    }
    steps.extend(Namespace::ALL.into_iter().filter_map(|kind| opened(config, kind)));
    let stdio = config.process.as_ref().and_then(|process| process::stdio_owner(config, process, host));
    steps.extend(stdio.map(|uid| planned("process.user", HostStep::StdioOwner(uid))));
    steps.extend(config.rdt.iter().map(|rdt| planned("linux.intelRdt", HostStep::ResctrlGroup(rdt.clone()))));
    Ok(steps)
}

/// The container's cgroup and what limits it.
fn limits(
    config: &Config,
    home: &Home,
    request: &Request,
    host: &Host,
) -> Result<Vec<Planned<HostStep>>, Invalid> {
    let path = home.path.clone();
    let rounded = home.unit.as_ref().map(|_| systemd::rounded(&config.resources));
    let resources = rounded.as_ref().unwrap_or(&config.resources);
    let mut limits = resources::writes(resources);
    let controllers = resources::controllers(&limits);
    let cgroup = match &home.unit {
        None => HostStep::Cgroup { path, controllers },
        Some(unit) => {
            let scope = systemd::scope(config, unit, resources, request.id.as_str())?;
            if !scope.later.is_empty() {
                limits.retain(|write| write.file != "pids.max");
            }
            HostStep::Scope { scope, path, controllers }
        }
    };
    let mut steps = vec![planned("linux.cgroupsPath", cgroup)];
    steps.extend(limits.into_iter().map(|write| planned(write.field.clone(), HostStep::Limit(write))));
    let filter = devices::compile(&config.device_rules)?.unwrap_or_default();
    // An ordinary user cannot load one, and can make no device either.
    if host.is_root {
        steps.push(planned("linux.resources.devices", HostStep::DeviceFilter(filter)));
    }
    steps.extend(cgroup::delegation(config));
    Ok(steps)
}

/// With the folder of the notification socket among the mounts, and its place in the container
/// among the variables. A container without mounts of its own is ready when it has started: nobody
/// could ask it.
pub(super) fn with_notify<'a>(config: &'a Config, folder: Option<&Path>) -> Cow<'a, Config> {
    let (Some(folder), Place::New) = (folder, config.namespaces.of(Namespace::Mount)) else {
        return Cow::Borrowed(config);
    };
    let mut config = config.clone();
    let set = attr::RDONLY | attr::NOSUID | attr::NODEV | attr::NOEXEC;
    let top = Change { set, ..Change::default() };
    let named = libc::MS_RDONLY | libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    let flags = Flags { set: named, cleared: 0 };
    config.mounts.push(Mount {
        destination: NOTIFY_FOLDER.into(),
        source: MountSource::Bind { path: folder.into(), reach: Reach::Top },
        options: Options { top, flags: Some(flags), ..Options::default() },
        id_maps: IdMaps::default(),
    });
    if let Some(process) = &mut config.process {
        process.env.retain(|entry| !entry.starts_with("NOTIFY_SOCKET="));
        process.env.push(format!("NOTIFY_SOCKET={NOTIFY_FOLDER}/notify.sock"));
    }
    Cow::Owned(config)
}

/// With the first range of the caller's own in which there are as many ids as config.json leaves to
/// be found. Without one they are lent when the user namespace is there.
fn with_range<'a>(config: &'a Config, host: &Host) -> Result<Cow<'a, Config>, Invalid> {
    let Some(size) = config.id_range else { return Ok(Cow::Borrowed(config)) };
    let IdRanges { uids, gids, nsresourced } = &host.id_ranges;
    let first =
        |ranges: &[(u32, u32)]| ranges.iter().find(|(_, count)| *count >= size).map(|(first, _)| *first);
    match (first(uids), first(gids)) {
        (Some(uid), Some(gid)) => {
            let id_maps = ids::from_zero(uid, gid, size);
            Ok(Cow::Owned(Config { id_maps, ..config.clone() }))
        }
        _ if *nsresourced => Ok(Cow::Borrowed(config)),
        _ if host.uid == 0 => {
            let reason = "is for an ordinary user: root names its ids in linux.uidMappings and gidMappings";
            Err(Invalid::new(ids::range_field(), reason))
        }
        _ => {
            let reason = format!(
                "nobody gives this user {size} ids: no range of /etc/subuid and /etc/subgid has them with newuidmap(1) \
                 and newgidmap(1) to map it, and there is no systemd-nsresourced ({NSRESOURCED})"
            );
            Err(Invalid::new(ids::range_field(), reason))
        }
    }
}

/// Where the folder of the notification socket is in the container, as runc has it.
const NOTIFY_FOLDER: &str = "/run/notify";

/// Without a cgroup a limit is an error. Every engine's config.json has rules for devices, and who
/// asks for no cgroup cannot have them: a warning.
fn without_cgroup(config: &Config, host: &Host) -> Result<Vec<String>, Invalid> {
    if let Some(write) = resources::writes(&config.resources).first() {
        return Err(Invalid::new(
            &write.field,
            "needs a cgroup, and there is none (--cgroup-manager disabled)",
        ));
    }
    let rules = !config.device_rules.is_empty() && host.is_root;
    let warning = "linux.resources.devices: ignored, there is no cgroup (--cgroup-manager disabled)";
    Ok(rules.then(|| warning.into()).into_iter().collect())
}

/// The step that opens a namespace, if it is to be joined.
fn opened(config: &Config, kind: Namespace) -> Option<Planned<HostStep>> {
    let Place::Joined { path, index } = config.namespaces.of(kind) else { return None };
    let field = format!("linux.namespaces[{index}] {}", kind.name());
    let changed_by = changed_by(config, kind);
    Some(planned(field, HostStep::OpenNamespace { kind, path: path.clone(), changed_by }))
}

/// The field that writes to a namespace of this kind, if there is one.
fn changed_by(config: &Config, kind: Namespace) -> String {
    let name = |name: &Option<String>, field: &str| name.as_ref().map(|_| field.to_string());
    let names = match kind {
        Namespace::Uts => {
            name(&config.hostname, "hostname").or_else(|| name(&config.domainname, "domainname"))
        }
        _ => None,
    };
    let sysctl = config.sysctl.keys().find(|name| sysctl_namespace(name) == Some(kind));
    names.or_else(|| Some(format!("linux.sysctl.{}", sysctl?))).unwrap_or_default()
}

fn launch(config: &Config, host: &Host, into_cgroup: bool, first: FirstMounts) -> Launch {
    let through = through(config, host);
    let mut launch =
        Launch { new: 0, into_cgroup, joins_pid: false, through, expected_maps: IdMaps::default() };
    for kind in Namespace::ALL {
        match config.namespaces.of(kind) {
            // A process that is born in its time namespace can set no offsets there.
            Place::New if kind == Namespace::Time && !config.time_offsets.is_empty() => {}
            Place::New if kind == Namespace::Ipc && config.namespaces.own(Namespace::User) => {}
            // init makes an empty one itself.
            Place::New if kind == Namespace::Mount && first == FirstMounts::Nothing => {}
            Place::New => launch.new |= kind.clone_flag() as u64,
            Place::Joined { .. } if kind == Namespace::Pid => launch.joins_pid = launch.through.is_empty(),
            _ => {}
        }
    }
    if launch.through.contains(&Namespace::User) {
        launch.expected_maps = config.id_maps.clone();
    }
    launch
}

/// Namespaces joined beside a user namespace often belong to another one, so they are joined while
/// the parent's rights last. The mount namespace is not: host paths are needed after that. The root
/// of a user namespace may enter the pid namespaces of that one, but has no right to come back to
/// the machine's.
fn through(config: &Config, host: &Host) -> Vec<Namespace> {
    let goes = |kind: Namespace| match config.namespaces.own(Namespace::User) {
        true => kind != Namespace::Mount,
        false => kind == Namespace::Pid && !host.is_root,
    };
    let joined = |kind: &Namespace| matches!(config.namespaces.of(*kind), Place::Joined { .. });
    Namespace::ALL.into_iter().filter(|kind| goes(*kind)).filter(joined).collect()
}

/// What the parent does for an init that waits: what takes rights that a new user namespace does
/// not give.
fn settle(purpose: Purpose, config: &Config) -> Vec<Planned<Settle>> {
    let maps = match config.id_range.filter(|_| config.id_maps.is_empty()) {
        Some(size) => planned(ids::range_field(), Settle::LendIds { size }),
        None if config.id_range.is_some() => {
            planned(ids::range_field(), Settle::MapIds(config.id_maps.clone()))
        }
        None => planned("linux.uidMappings", Settle::MapIds(config.id_maps.clone())),
    };
    let maps = (*config.namespaces.of(Namespace::User) == Place::New).then_some(maps);
    if purpose == Purpose::Trial {
        return maps.into_iter().collect();
    }
    let rdt = config.rdt.as_ref().map(|_| planned("linux.intelRdt", Settle::ResctrlGroup));
    let shared = config.core_sched.as_ref().filter(|core| **core != CoreSched::Own);
    let shared = shared.map(|core| planned(CORE_SCHED, Settle::Core(core.clone())));
    let mut steps: Vec<_> = rdt.into_iter().chain(shared).chain(maps).collect();
    if let Some(process) = config.process.as_ref().filter(|_| config.namespaces.own(Namespace::User)) {
        if let Some(score) = process.oom_score_adj {
            steps.push(planned("process.oomScoreAdj", Settle::OomScoreAdj(score)));
        }
        if let Some(scheduler) = process.scheduler {
            steps.push(planned("process.scheduler", Settle::Scheduler(scheduler)));
        }
        if let Some(priority) = process.io_priority {
            steps.push(planned("process.ioPriority", Settle::IoPriority(priority)));
        }
        steps.extend(process::ceilings(process, Settle::HardLimit));
    }
    steps.extend(net_devices(config));
    steps
}

/// The network devices that move into the container.
pub(super) fn net_devices(config: &Config) -> impl Iterator<Item = Planned<Settle>> {
    config.net_devices.iter().map(|(host, container)| {
        let device = NetDevice { host: host.clone(), container: container.clone() };
        planned(format!("linux.netDevices.{host}"), Settle::NetDevice(device))
    })
}

/// Namespaces to join and what they carry: names, clocks, the loopback device. Host paths are valid
/// here, and nothing of the container's is mounted yet.
fn enter(purpose: Purpose, config: &Config, request: &Request, host: &Host) -> Vec<Planned<Step>> {
    let mut steps = Vec::new();
    if let Some(field) = init_field(config, request).filter(|_| purpose == Purpose::Process) {
        steps.push(planned(field, EnterStep::OpenSelf));
    }
    steps.push(planned("", EnterStep::Session));
    steps.push(planned("", ProcessStep::AllProcessors));
    if config.core_sched == Some(CoreSched::Own) && purpose == Purpose::Process {
        steps.push(planned(CORE_SCHED, EnterStep::OwnCore));
    }
    let of = |kind| config.namespaces.of(kind);
    let score = config.process.as_ref().and_then(|process| process.oom_score_adj);
    let is_inits = purpose == Purpose::Process && !config.namespaces.own(Namespace::User);
    if let Some(score) = score.filter(|_| is_inits) {
        steps.push(planned("process.oomScoreAdj", EnterStep::OomScoreAdj(score)));
    }
    let through = through(config, host);
    for kind in Namespace::ALL {
        match of(kind) {
            Place::Joined { index, .. }
                if !matches!(kind, Namespace::Pid | Namespace::Mount) && !through.contains(&kind) =>
            {
                steps.push(planned(
                    format!("linux.namespaces[{index}] {}", kind.name()),
                    EnterStep::Join(kind),
                ));
            }
            _ => {}
        }
    }
    if !config.time_offsets.is_empty() {
        steps.push(planned("linux.timeOffsets", EnterStep::Time(config.time_offsets.clone())));
    }
    if *of(Namespace::Network) == Place::New {
        steps.push(planned("linux.namespaces", EnterStep::Loopback));
        steps.extend(request.listen.map(|port| planned("--net", EnterStep::Listen(port))));
    }
    if let Some(name) = &config.hostname {
        steps.push(planned("hostname", EnterStep::Hostname(name.clone())));
    }
    if let Some(name) = &config.domainname {
        steps.push(planned("domainname", EnterStep::Domainname(name.clone())));
    }
    steps
}

/// What has to be done by the root of the user namespace, where there is one. Host paths are still
/// valid.
fn namespace_owner(purpose: Purpose, config: &Config, request: &Request) -> Vec<Planned<Step>> {
    let mut steps = Vec::new();
    if config.namespaces.own(Namespace::User) {
        steps.push(planned("linux.namespaces", EnterStep::NamespaceRoot { groups: process::groups(config) }));
        // The filesystem of its message queues is made with it, and belongs to who makes it.
        if *config.namespaces.of(Namespace::Ipc) == Place::New {
            steps.push(planned("linux.namespaces", EnterStep::New(Namespace::Ipc)));
        }
    }
    if request.keyring == Keyring::New && purpose == Purpose::Process {
        let keyring = process::keyring(request.id.as_str(), config.process.as_ref());
        steps.push(planned(keyring.field, EnterStep::Keyring(keyring.step)));
    }
    for (name, value) in &config.sysctl {
        // In the resolved name dots part, and a slash is a dot of a part.
        let swap = |c| match c {
            '.' => '/',
            '/' => '.',
            other => other,
        };
        let step = match name.as_str() {
            // The root of a user namespace has the call, but may not write the file.
            "kernel.domainname" => EnterStep::Domainname(value.clone()),
            name => EnterStep::Sysctl { path: name.chars().map(swap).collect(), value: value.clone() },
        };
        steps.push(planned(format!("linux.sysctl.{name}"), step));
    }
    steps
}

/// From a container with its mounts in place to execve(2), waiting for the record and for `start`
/// on the way.
fn become_process(config: &Config, request: &Request, host: &Host) -> Result<Vec<Planned<Step>>, Invalid> {
    let Some(process) = &config.process else {
        return Ok(on_request().into_iter().chain([planned("process", ProcessStep::NoProcess)]).collect());
    };
    let gate = match request.start {
        Start::OnRequest => on_request().to_vec(),
        Start::AtOnce => vec![planned("", ProcessStep::Ready)],
    };
    let hooks = &config.hooks.start_container;
    let hooks = (!hooks.is_empty()).then(|| process::start_hooks(hooks, process));
    let init = init_field(config, request).map(|field| (field, config.init));
    let way = Way { gate, hooks, listen: &request.listen_env, init };
    process::steps(config, process, way, host)
}

/// Ready, and waiting for `start`; before anybody can know of it a signal ends it.
fn on_request() -> [Planned<Step>; 3] {
    [ProcessStep::EndBySignals, ProcessStep::Ready, ProcessStep::AwaitStart].map(|step| planned("", step))
}

fn working_directory(config: &Config) -> Option<Planned<Step>> {
    let cwd = config.process.as_ref()?.cwd.clone();
    Some(planned("process.cwd", RootStep::MakeCwd(cwd)))
}

fn hooks(config: &Config) -> Vec<Planned<Step>> {
    let mut steps = Vec::new();
    if !config.hooks.prestart.is_empty() || !config.hooks.create_runtime.is_empty() {
        steps.push(planned("hooks", RootStep::HostHooks));
    }
    if !config.hooks.create_container.is_empty() {
        steps.push(planned("hooks", RootStep::ContainerHooks(config.hooks.create_container.clone())));
    }
    steps
}

/// Who asks for an init that reaps, if anybody does.
fn init_field(config: &Config, request: &Request) -> Option<&'static str> {
    match (config.init, request.init) {
        (Init::None, false) => None,
        (Init::None | Init::Parent, true) => Some("--init"),
        (Init::Parent | Init::Alone, _) => Some("annotations.org.knarr.init"),
    }
}

fn terminal(config: &Config) -> Option<Planned<Step>> {
    let process = config.process.as_ref().filter(|p| p.terminal)?;
    let (size, uid) = (process.console_size, process.user.uid);
    let step = RootStep::Terminal { size, uid, console: Console::Bound };
    Some(planned("process.terminal", step))
}
