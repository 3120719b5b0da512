//! config.json and a request, on a machine, to a [`Plan`].

use super::mounts::{self, Rootfs};
use super::{
    Console, Home, HostStep, Keyring, Launch, NetDevice, Options, Pivot, Plan, Planned, Request, Settle,
    Start, Step, cgroup, devices, overlay, planned, process, resources, systemd,
};
use crate::config::rules::sysctl_namespace;
use crate::config::{Config, IdMaps, Invalid, Mount, Namespace, Place};
use crate::host::Host;
use std::borrow::Cow;
use std::path::Path;

/// Decide all that is done to make the container.
pub fn create(config: &Config, request: &Request, host: &Host) -> Result<Plan, Invalid> {
    let config = &*with_notify(config, request.notify.as_deref());
    let cgroup = cgroup::home(config, request, host)?;
    let mut warnings = Vec::new();
    let mut parent = match &cgroup {
        Some(home) => limits(config, home, request, host)?,
        None => {
            warnings.extend(without_cgroup(config, host)?);
            Vec::new()
        }
    };
    if request.notify.is_some() {
        parent.push(planned("", HostStep::NotifySocket));
    }
    parent.extend(Namespace::ALL.into_iter().filter_map(|kind| opened(config, kind)));
    let stdio = config.process.as_ref().and_then(|process| process::stdio_owner(config, process, host));
    parent.extend(stdio.map(|uid| planned("process.user", HostStep::StdioOwner(uid))));
    let mut settle = Vec::new();
    if let Some(rdt) = &config.rdt {
        parent.push(planned("linux.intelRdt", HostStep::ResctrlGroup(rdt.clone())));
        settle.push(planned("linux.intelRdt", Settle::ResctrlGroup));
    }
    let mut init = identity(config, host, &mut settle);
    let own = namespace_owner(config, request);
    let overlay = overlay::asked(config, request)?;
    if *config.namespaces.of(Namespace::Mount) == Place::New {
        let mut rootfs = Rootfs::plan(config, host, own, overlay.as_ref())?;
        let mut finish = rootfs.finish()?;
        let (mut trees, mut steps) = rootfs.into_steps(host);
        parent.append(&mut trees);
        init.append(&mut steps);
        init.append(&mut hooks(config));
        init.push(planned("", if request.pivot == Pivot::Root { Step::Pivot } else { Step::MoveRoot }));
        init.extend(terminal(config).or_else(|| mounts::own_null(config)));
        // Before the root is read-only.
        init.extend(working_directory(config));
        init.append(&mut finish);
        init.extend(mounts::root_propagation(config.rootfs_propagation));
    } else {
        init.extend(own);
        // Last: from here on /proc is that namespace's.
        if let Place::Joined { index, .. } = config.namespaces.of(Namespace::Mount) {
            init.push(planned(format!("linux.namespaces[{index}] mount"), Step::Join(Namespace::Mount)));
        }
        init.push(planned("root.path", Step::RootDirectory(config.root.path.clone())));
        init.append(&mut hooks(config));
        init.push(planned("", Step::Chroot));
        init.extend(working_directory(config));
    }
    init.append(&mut become_process(config, request, host)?);
    if let Some(field) = init_field(config, request) {
        below_init(&mut init, field);
    }
    if request.start == Start::OnRequest {
        parent.push(planned("", HostStep::StartSocket));
    }
    if !settle.is_empty() {
        init.insert(0, planned("", Step::AwaitParent));
    }
    let keep_fds = 3 + request.preserve_fds as i32;
    let launch = launch(config, host, cgroup.is_some());
    Ok(Plan { id: request.id.clone(), cgroup, keep_fds, host: parent, launch, settle, init, warnings })
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
            let scope = systemd::scope(config, unit, resources, &request.id)?;
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
    steps.extend(delegation(config)?);
    Ok(steps)
}

/// With the folder of the notification socket among the mounts, and its place in the container among the variables. A container
/// without mounts of its own is ready when it has started: nobody could ask it.
pub(super) fn with_notify<'a>(config: &'a Config, folder: Option<&Path>) -> Cow<'a, Config> {
    let (Some(folder), Place::New) = (folder, config.namespaces.of(Namespace::Mount)) else {
        return Cow::Borrowed(config);
    };
    let mut config = config.clone();
    config.mounts.push(Mount {
        destination: NOTIFY_FOLDER.into(),
        fstype: String::new(),
        source: folder.to_string_lossy().into_owned(),
        options: ["bind", "ro", "nosuid", "nodev", "noexec"].map(String::from).to_vec(),
        id_maps: IdMaps::default(),
    });
    if let Some(process) = &mut config.process {
        process.env.retain(|entry| !entry.starts_with("NOTIFY_SOCKET="));
        process.env.push(format!("NOTIFY_SOCKET={NOTIFY_FOLDER}/notify.sock"));
    }
    Cow::Owned(config)
}

/// Where the folder of the notification socket is in the container, as runc has it.
const NOTIFY_FOLDER: &str = "/run/notify";

/// config-linux.md: Cgroup ownership. A container that sees its cgroup as the root of a namespace of its own, and can write
/// there, gets it; what root of the host owns is the host root's anyway.
fn delegation(config: &Config) -> Result<Option<Planned<HostStep>>, Invalid> {
    let Some((uid, gid)) = config.id_maps.root().filter(|root| *root != (0, 0)) else { return Ok(None) };
    if *config.namespaces.of(Namespace::Cgroup) != Place::New {
        return Ok(None);
    }
    for (i, mount) in config.mounts.iter().enumerate() {
        if matches!(mount.fstype.as_str(), "cgroup" | "cgroup2") && !mount.is_bind() {
            let field = format!("mounts[{i}]");
            if !Options::parse(&mount.options, &field)?.read_only() {
                return Ok(Some(planned(field, HostStep::Delegate { uid, gid })));
            }
        }
    }
    Ok(None)
}

/// Without a cgroup a limit is an error. Every engine's config.json has rules for devices, and who asks for no cgroup cannot
/// have them: a warning.
fn without_cgroup(config: &Config, host: &Host) -> Result<Option<String>, Invalid> {
    if let Some(write) = resources::writes(&config.resources).first() {
        return Err(Invalid::new(
            &write.field,
            "needs a cgroup, and there is none (--cgroup-manager disabled)",
        ));
    }
    let rules = !config.device_rules.is_empty() && host.is_root;
    Ok(rules
        .then(|| "linux.resources.devices: ignored, there is no cgroup (--cgroup-manager disabled)".into()))
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

fn launch(config: &Config, host: &Host, into_cgroup: bool) -> Launch {
    let through = through(config, host);
    let mut launch =
        Launch { new: 0, into_cgroup, joins_pid: false, through, expected_maps: IdMaps::default() };
    for kind in Namespace::ALL {
        match config.namespaces.of(kind) {
            // A process that is born in its time namespace can set no offsets there.
            Place::New if kind == Namespace::Time && !config.time_offsets.is_empty() => {}
            Place::New if kind == Namespace::Ipc && config.namespaces.own(Namespace::User) => {}
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

/// With a user namespace, the others that are joined belong to another one as often as not. They are joined while there
/// still are the rights of the parent over them; the mount namespace not, as paths of the host are needed after that. The
/// root of a user namespace may enter the pid namespaces of that one, but has no right to come back to the machine's.
fn through(config: &Config, host: &Host) -> Vec<Namespace> {
    let goes = |kind: Namespace| match config.namespaces.own(Namespace::User) {
        true => kind != Namespace::Mount,
        false => kind == Namespace::Pid && !host.is_root,
    };
    let joined = |kind: &Namespace| matches!(config.namespaces.of(*kind), Place::Joined { .. });
    Namespace::ALL.into_iter().filter(|kind| goes(*kind)).filter(joined).collect()
}

/// Namespaces to join and what they carry: names, clocks, the loopback device. Host paths are valid here, and nothing of
/// the container's is mounted yet. What init has no right to in a new user namespace is for the parent to `settle`.
fn identity(config: &Config, host: &Host, settle: &mut Vec<Planned<Settle>>) -> Vec<Planned<Step>> {
    let mut steps = vec![planned("", Step::Session), planned("", Step::AllProcessors)];
    let of = |kind| config.namespaces.of(kind);
    if *of(Namespace::User) == Place::New {
        settle.push(planned("linux.uidMappings", Settle::MapIds(config.id_maps.clone())));
    }
    if let Some(score) = config.process.as_ref().and_then(|p| p.oom_score_adj) {
        let field = "process.oomScoreAdj";
        if config.namespaces.own(Namespace::User) {
            settle.push(planned(field, Settle::OomScoreAdj(score)));
        } else {
            steps.push(planned(field, Step::OomScoreAdj(score)));
        }
    }
    if let Some(process) = config.process.as_ref().filter(|_| config.namespaces.own(Namespace::User)) {
        if let Some(scheduler) = process.scheduler {
            settle.push(planned("process.scheduler", Settle::Scheduler(scheduler)));
        }
        if let Some(priority) = process.io_priority {
            settle.push(planned("process.ioPriority", Settle::IoPriority(priority)));
        }
        settle.extend(process::ceilings(process, Settle::HardLimit));
    }
    for (host, container) in &config.net_devices {
        let device = NetDevice { host: host.clone(), container: container.clone() };
        settle.push(planned(format!("linux.netDevices.{host}"), Settle::NetDevice(device)));
    }
    let through = through(config, host);
    for kind in Namespace::ALL {
        match of(kind) {
            Place::Joined { index, .. }
                if !matches!(kind, Namespace::Pid | Namespace::Mount) && !through.contains(&kind) =>
            {
                steps.push(planned(format!("linux.namespaces[{index}] {}", kind.name()), Step::Join(kind)));
            }
            _ => {}
        }
    }
    if !config.time_offsets.is_empty() {
        steps.push(planned("linux.timeOffsets", Step::Time(config.time_offsets.clone())));
    }
    if *of(Namespace::Network) == Place::New {
        steps.push(planned("linux.namespaces", Step::Loopback));
    }
    if let Some(name) = &config.hostname {
        steps.push(planned("hostname", Step::Hostname(name.clone())));
    }
    if let Some(name) = &config.domainname {
        steps.push(planned("domainname", Step::Domainname(name.clone())));
    }
    steps
}

/// What has to be done by the root of the user namespace, where there is one. Host paths are still valid.
fn namespace_owner(config: &Config, request: &Request) -> Vec<Planned<Step>> {
    let mut steps = Vec::new();
    if config.namespaces.own(Namespace::User) {
        steps.push(planned("linux.namespaces", Step::NamespaceRoot { groups: process::groups(config) }));
        // The filesystem of its message queues is made with it, and belongs to who makes it.
        if *config.namespaces.of(Namespace::Ipc) == Place::New {
            steps.push(planned("linux.namespaces", Step::New(Namespace::Ipc)));
        }
    }
    if request.keyring == Keyring::New {
        steps.push(process::keyring(&request.id, config.process.as_ref()));
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
            "kernel.domainname" => Step::Domainname(value.clone()),
            name => Step::Sysctl { path: name.chars().map(swap).collect(), value: value.clone() },
        };
        steps.push(planned(format!("linux.sysctl.{name}"), step));
    }
    steps
}

/// From a container with its mounts in place to execve(2), waiting for the record and for `start` on the way.
fn become_process(config: &Config, request: &Request, host: &Host) -> Result<Vec<Planned<Step>>, Invalid> {
    let Some(process) = &config.process else {
        return Ok(on_request().into_iter().chain([planned("process", Step::NoProcess)]).collect());
    };
    let gate = match request.start {
        Start::OnRequest => on_request().to_vec(),
        Start::AtOnce => vec![planned("", Step::Ready)],
    };
    let hooks = &config.hooks.start_container;
    let hooks = (!hooks.is_empty()).then(|| process::start_hooks(hooks, process));
    process::steps(config, process, gate, hooks, &request.listen_env, host)
}

/// Ready, and waiting for `start`; before anybody can know of it a signal ends it.
fn on_request() -> [Planned<Step>; 3] {
    [Step::EndBySignals, Step::Ready, Step::AwaitStart].map(|step| planned("", step))
}

fn working_directory(config: &Config) -> Option<Planned<Step>> {
    let cwd = config.process.as_ref()?.cwd.clone();
    Some(planned("process.cwd", Step::MakeCwd(cwd)))
}

fn hooks(config: &Config) -> Vec<Planned<Step>> {
    let mut steps = Vec::new();
    if !config.hooks.prestart.is_empty() || !config.hooks.create_runtime.is_empty() {
        steps.push(planned("hooks", Step::HostHooks));
    }
    if !config.hooks.create_container.is_empty() {
        steps.push(planned("hooks", Step::ContainerHooks(config.hooks.create_container.clone())));
    }
    steps
}

/// The process becomes a child of this program's init.
fn below_init(steps: &mut Vec<Planned<Step>>, field: &str) {
    steps.insert(0, planned(field, Step::OpenSelf));
    for step in steps.iter_mut().filter(|planned| planned.step == Step::Exec) {
        *step = planned(field, Step::ExecInit);
    }
}

/// Who asks for an init that reaps, if anybody does.
fn init_field(config: &Config, request: &Request) -> Option<&'static str> {
    match (config.init, request.init) {
        (_, true) => Some("--init"),
        (true, _) => Some("annotations.org.knarr.init"),
        _ => None,
    }
}

fn terminal(config: &Config) -> Option<Planned<Step>> {
    let process = config.process.as_ref().filter(|p| p.terminal)?;
    let (size, uid) = (process.console_size, process.user.uid);
    let step = Step::Terminal { size, uid, console: Console::Bound };
    Some(planned("process.terminal", step))
}
