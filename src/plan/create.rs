//! config.json and a request, on a machine, to a [`Plan`].

use super::mounts::{self, Rootfs};
use super::{
    HostStep, Keyring, Launch, Pivot, Plan, Planned, Request, Start, Step, cgroup, devices, process,
    resources,
};
use crate::config::{Config, Invalid, Namespace, Place};
use crate::host::Host;

/// Decide all that is done to make the container.
pub fn create(config: &Config, request: &Request, host: &Host) -> Result<Plan, Invalid> {
    let cgroup = cgroup::path(config, request, host)?;
    let mut warnings = Vec::new();
    let mut parent = match &cgroup {
        Some(path) => limits(config, path)?,
        None => {
            warnings.extend(without_cgroup(config)?);
            Vec::new()
        }
    };
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
    init.append(&mut process::steps(config, request, host)?);
    if request.start == Start::OnRequest {
        parent.push(planned("", HostStep::StartSocket));
    }
    let keep_fds = 3 + request.preserve_fds as i32;
    let launch = launch(config, cgroup.is_some());
    Ok(Plan { id: request.id.clone(), cgroup, keep_fds, host: parent, launch, init, warnings })
}

/// The container's cgroup and what limits it.
fn limits(config: &Config, path: &str) -> Result<Vec<Planned<HostStep>>, Invalid> {
    let limits = resources::writes(&config.resources);
    let controllers = resources::controllers(&limits);
    let mut steps = vec![planned("linux.cgroupsPath", HostStep::Cgroup { path: path.into(), controllers })];
    steps.extend(limits.into_iter().map(|write| planned(write.field.clone(), HostStep::Limit(write))));
    let filter = devices::compile(&config.device_rules)?.unwrap_or_default();
    steps.push(planned("linux.resources.devices", HostStep::DeviceFilter(filter)));
    Ok(steps)
}

/// Without a cgroup a limit is an error. Every engine's config.json has rules for devices, and who asks for no cgroup cannot
/// have them: a warning.
fn without_cgroup(config: &Config) -> Result<Option<String>, Invalid> {
    if let Some(write) = resources::writes(&config.resources).first() {
        return Err(Invalid::new(
            &write.field,
            "needs a cgroup, and there is none (--cgroup-manager disabled)",
        ));
    }
    let rules = !config.device_rules.is_empty();
    Ok(rules
        .then(|| "linux.resources.devices: ignored, there is no cgroup (--cgroup-manager disabled)".into()))
}

fn planned<T>(field: impl Into<String>, step: T) -> Planned<T> {
    Planned { step, field: field.into() }
}

fn launch(config: &Config, into_cgroup: bool) -> Launch {
    let mut launch = Launch { new: 0, into_cgroup, joins_pid: false };
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
    let step = Step::Terminal { size: process.console_size, uid: process.user.uid };
    Some(planned("process.terminal", step))
}
