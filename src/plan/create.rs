//! config.json and a request, on a machine, to a [`Plan`].

use super::mounts::{self, Rootfs};
use super::{
    Console, HostStep, Keyring, Launch, Pivot, Plan, Planned, Request, Start, Step, cgroup, devices, planned,
    process, resources,
};
use crate::config::{Config, Invalid, Mount, Namespace, Place};
use crate::host::Host;
use std::borrow::Cow;

/// Decide all that is done to make the container.
pub fn create(config: &Config, request: &Request, host: &Host) -> Result<Plan, Invalid> {
    let config = &*with_notify(config, request);
    let cgroup = cgroup::path(config, request, host)?;
    let mut parent = Vec::new();
    if request.notify.is_some() {
        parent.push(planned("", HostStep::NotifySocket));
    }
    let limits = resources::writes(&config.resources);
    let controllers = resources::controllers(&limits);
    parent.push(planned("linux.cgroupsPath", HostStep::Cgroup { path: cgroup.clone(), controllers }));
    parent.extend(limits.into_iter().map(|write| planned(write.field.clone(), HostStep::Limit(write))));
    let filter = devices::compile(&config.device_rules)?.unwrap_or_default();
    parent.push(planned("linux.resources.devices", HostStep::DeviceFilter(filter)));
    for kind in Namespace::ALL {
        if let Place::Joined { path, index } = config.namespaces.of(kind) {
            let field = format!("linux.namespaces[{index}] {}", kind.name());
            parent.push(planned(field, HostStep::OpenNamespace { kind, path: path.clone() }));
        }
    }
    let mut init = identity(config, request);
    if *config.namespaces.of(Namespace::Mount) == Place::New {
        let mut rootfs = Rootfs::plan(config, host)?;
        let mut finish = rootfs.finish();
        parent.append(&mut rootfs.trees);
        init.append(&mut rootfs.steps);
        init.append(&mut hooks(config));
        init.push(planned("", if request.pivot == Pivot::Root { Step::Pivot } else { Step::MoveRoot }));
        init.extend(terminal(config));
        init.append(&mut finish);
        init.extend(mounts::root_propagation(config.rootfs_propagation));
    } else {
        init.push(planned("root.path", Step::RootDirectory(config.root.path.clone())));
        init.append(&mut hooks(config));
        init.push(planned("", Step::Chroot));
    }
    init.append(&mut become_process(config, request, host)?);
    if request.start == Start::OnRequest {
        parent.push(planned("", HostStep::StartSocket));
    }
    let keep_fds = 3 + request.preserve_fds as i32;
    Ok(Plan { id: request.id.clone(), cgroup, keep_fds, host: parent, launch: launch(config), init })
}

/// With the folder of the notification socket among the mounts, and its place in the container among the variables. A container
/// without mounts of its own is ready when it has started: nobody could ask it.
fn with_notify<'a>(config: &'a Config, request: &Request) -> Cow<'a, Config> {
    let (Some(folder), Place::New) = (&request.notify, config.namespaces.of(Namespace::Mount)) else {
        return Cow::Borrowed(config);
    };
    let mut config = config.clone();
    config.mounts.push(Mount {
        destination: NOTIFY_FOLDER.into(),
        fstype: String::new(),
        source: folder.to_string_lossy().into_owned(),
        options: ["bind", "ro", "nosuid", "nodev", "noexec"].map(String::from).to_vec(),
    });
    if let Some(process) = &mut config.process {
        process.env.retain(|entry| !entry.starts_with("NOTIFY_SOCKET="));
        process.env.push(format!("NOTIFY_SOCKET={NOTIFY_FOLDER}/notify.sock"));
    }
    Cow::Owned(config)
}

/// Where the folder of the notification socket is in the container, as runc has it.
const NOTIFY_FOLDER: &str = "/run/notify";

fn launch(config: &Config) -> Launch {
    let mut launch = Launch { new: 0, joins_pid: false };
    for kind in Namespace::ALL {
        match config.namespaces.of(kind) {
            Place::New => launch.new |= kind.clone_flag() as u64,
            Place::Joined { .. } if kind == Namespace::Pid => launch.joins_pid = true,
            _ => {}
        }
    }
    launch
}

/// Namespaces to join and what they carry: names, kernel parameters, the loopback device. Host paths are valid here, and
/// nothing of the container's is mounted yet.
fn identity(config: &Config, request: &Request) -> Vec<Planned<Step>> {
    let mut steps = vec![planned("", Step::Session)];
    if request.keyring == Keyring::New {
        steps.push(planned("", Step::Keyring(format!("_ses.{}", request.id))));
    }
    if let Some(score) = config.process.as_ref().and_then(|p| p.oom_score_adj) {
        steps.push(planned("process.oomScoreAdj", Step::OomScoreAdj(score)));
    }
    for kind in Namespace::ALL {
        match config.namespaces.of(kind) {
            Place::Joined { index, .. } if !matches!(kind, Namespace::Pid | Namespace::Mount) => {
                steps.push(planned(format!("linux.namespaces[{index}] {}", kind.name()), Step::Join(kind)));
            }
            _ => {}
        }
    }
    if *config.namespaces.of(Namespace::Network) == Place::New {
        steps.push(planned("linux.namespaces", Step::Loopback));
    }
    if let Some(name) = &config.hostname {
        steps.push(planned("hostname", Step::Hostname(name.clone())));
    }
    if let Some(name) = &config.domainname {
        steps.push(planned("domainname", Step::Domainname(name.clone())));
    }
    for (name, value) in &config.sysctl {
        // In the resolved name dots part, and a slash is a dot of a part.
        let path = name
            .chars()
            .map(|c| {
                if c == '.' {
                    '/'
                } else if c == '/' {
                    '.'
                } else {
                    c
                }
            })
            .collect();
        steps.push(planned(format!("linux.sysctl.{name}"), Step::Sysctl { path, value: value.clone() }));
    }
    // Last: from here on /proc is that namespace's.
    if let Place::Joined { index, .. } = config.namespaces.of(Namespace::Mount) {
        steps.push(planned(format!("linux.namespaces[{index}] mount"), Step::Join(Namespace::Mount)));
    }
    steps
}

/// From a container with its mounts in place to execve(2), waiting for the record and for `start` on the way.
fn become_process(config: &Config, request: &Request, host: &Host) -> Result<Vec<Planned<Step>>, Invalid> {
    let Some(process) = &config.process else {
        let missing = planned("process", Step::NoProcess);
        return Ok(vec![planned("", Step::Ready), planned("", Step::AwaitStart), missing]);
    };
    let mut gate = vec![planned("", Step::Ready)];
    if request.start == Start::OnRequest {
        gate.push(planned("", Step::AwaitStart));
    }
    if !config.hooks.start_container.is_empty() {
        gate.push(planned("hooks.startContainer", Step::StartHooks(config.hooks.start_container.clone())));
    }
    let mut steps = vec![planned("process.cwd", Step::MakeCwd(process.cwd.clone()))];
    steps.append(&mut process::steps(config, process, gate, &request.listen_env, host)?);
    Ok(steps)
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

fn terminal(config: &Config) -> Option<Planned<Step>> {
    let process = config.process.as_ref().filter(|p| p.terminal)?;
    let (size, uid) = (process.console_size, process.user.uid);
    let step = Step::Terminal { size, uid, console: Console::Bound };
    Some(planned("process.terminal", step))
}
