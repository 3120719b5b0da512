//! From oci-spec's types to this project's: defaults filled in, strings turned into numbers.

use super::seccomp::{Seccomp, Unknown};
use super::{
    Capabilities, Config, Device, Hook, HookEnv, Hooks, Init, Invalid, Mount, Namespace, Namespaces, Place,
    Process, Propagation, Rlimit, Root, TimeOffset, User, annotation, ids, mounts, resources, scheduling,
};
use crate::capability;
use oci_spec::runtime as oci;
use std::collections::BTreeMap;
use std::path::{Component, Path};

/// The configuration that a checked `spec` asks for.
pub(super) fn config(spec: &oci::Spec, bundle: &Path, warnings: &mut Vec<String>) -> Result<Config, Invalid> {
    let linux = spec.linux().clone().unwrap_or_else(empty_linux);
    let Some(root) = spec.root() else { return Err(Invalid::new("root", "missing")) };
    let mut root = Root { path: bundle.join(root.path()), readonly: root.readonly().unwrap_or(false) };
    let process = spec.process().as_ref().map(|p| process(p, warnings)).transpose()?;
    let device_rules = linux.resources().as_ref().and_then(|r| r.devices().as_deref()).unwrap_or_default();
    let namespaces = namespaces(linux.namespaces().as_deref().unwrap_or_default());
    let asked = spec.mounts().as_deref().unwrap_or_default();
    let mounts =
        asked.iter().enumerate().map(|(i, asked)| mounts::resolve(i, asked, bundle, &namespaces, warnings));
    let mut mounts = mounts.collect::<Result<Vec<Mount>, Invalid>>()?;
    if *namespaces.of(Namespace::Mount) != Place::New && !mounts.is_empty() {
        warnings.push("mounts: ignored, there is no new mount namespace in linux.namespaces".into());
        mounts.clear();
    }
    if *namespaces.of(Namespace::Mount) != Place::New && root.readonly {
        // It would be so for everybody in that namespace.
        warnings.push("root.readonly: ignored, there is no new mount namespace in linux.namespaces".into());
        root.readonly = false;
    }
    let annotations = spec.annotations().clone().unwrap_or_default().into_iter().collect();
    mounts::subset_of_proc(&annotations, &namespaces, &mut mounts)?;
    let overlay = super::overlay::resolve(&annotations, &mounts, asked, &mut root, bundle)?;
    let traced = is_wanted(&annotations, annotation::TRACE_HOOKS)?;
    let resources = linux.resources().as_ref().map(|r| resources::resolve(r, warnings)).transpose()?;
    warnings.extend(one_process(&linux));
    Ok(Config {
        oci_version: spec.version().clone(),
        root,
        overlay,
        init: init(&annotations)?,
        landlock: super::landlock::resolve(&annotations)?,
        core_sched: super::core_sched::resolve(&annotations)?,
        process,
        hostname: given(spec.hostname()),
        domainname: given(spec.domainname()),
        mounts,
        hooks: spec.hooks().as_ref().map(|asked| hooks(asked, traced)).unwrap_or_default(),
        seccomp: seccomp(&linux, &annotations)?,
        id_range: ids::range(&annotations)?,
        annotations,
        namespaces,
        id_maps: ids::resolve(linux.uid_mappings().as_ref(), linux.gid_mappings().as_ref()),
        time_offsets: time_offsets(linux.time_offsets().iter().flatten()),
        cgroups_path: linux.cgroups_path().as_ref().map(|p| text(p)).filter(|p| !p.is_empty()),
        resources: resources.unwrap_or_default(),
        devices: linux.devices().as_deref().unwrap_or_default().iter().map(device).collect(),
        sysctl: sysctl(linux.sysctl().iter().flatten()),
        personality: linux.personality().as_ref().map(scheduling::personality),
        net_devices: linux.net_devices().iter().flatten().map(net_device).collect(),
        rdt: linux.intel_rdt().as_ref().map(super::rdt::resolve),
        memory_policy: linux.memory_policy().as_ref().map(scheduling::memory_policy),
        mount_label: given(linux.mount_label()),
        rootfs_propagation: linux.rootfs_propagation().as_deref().and_then(Propagation::parse),
        device_rules: super::device_rules::resolve(device_rules)?,
        masked_paths: paths(linux.masked_paths()),
        readonly_paths: paths(linux.readonly_paths()),
    })
}

/// A limit that most who write it mean otherwise.
fn one_process(linux: &oci::Linux) -> Option<String> {
    let pids = linux.resources().as_ref().and_then(|resources| *resources.pids())?;
    let reason = "0 allows one process, so nothing can be forked; -1 is no limit";
    (pids.limit() == 0).then(|| format!("linux.resources.pids.limit: {reason}"))
}

/// Each once, however it is written.
fn paths(list: &Option<Vec<String>>) -> Vec<String> {
    let mut paths: Vec<String> = Vec::new();
    for path in list.iter().flatten() {
        if !paths.iter().any(|there| Path::new(there) == Path::new(path)) {
            paths.push(path.clone());
        }
    }
    paths
}

fn seccomp(linux: &oci::Linux, annotations: &BTreeMap<String, String>) -> Result<Option<Seccomp>, Invalid> {
    let is_strict = is_wanted(annotations, annotation::SECCOMP_STRICT)?;
    let unknown = if is_strict { Unknown::Refused } else { Unknown::Skipped };
    let resolved = linux.seccomp().as_ref().map(super::seccomp::resolve).transpose()?;
    Ok(resolved.map(|profile| Seccomp { unknown, ..profile }))
}

fn is_wanted(annotations: &BTreeMap<String, String>, name: &str) -> Result<bool, Invalid> {
    match annotations.get(name).map_or("false", String::as_str) {
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(Invalid::new(
            format!("annotations.{name}"),
            format!("{other:?} is neither \"true\" nor \"false\""),
        )),
    }
}

fn init(annotations: &BTreeMap<String, String>) -> Result<Init, Invalid> {
    match annotations.get(annotation::INIT).map_or("false", String::as_str) {
        "false" => Ok(Init::None),
        "true" => Ok(Init::Parent),
        "pause" => Ok(Init::Alone),
        other => Err(Invalid::new(
            format!("annotations.{}", annotation::INIT),
            format!("{other:?} is none of \"true\", \"false\" and \"pause\""),
        )),
    }
}

/// oci-spec's `Linux::default()` asks for namespaces and masks; a config without `linux` asks for
/// nothing.
fn empty_linux() -> oci::Linux {
    serde_json::from_slice(b"{}").unwrap_or_default()
}

/// A text that is there and not empty.
fn given(text: &Option<String>) -> Option<String> {
    text.clone().filter(|text| !text.is_empty())
}

pub(super) fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The names of a path, with `.`, `..` and repeated slashes resolved as text; `..` at the top stays
/// there.
pub(super) fn names_of(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name.to_string_lossy().into_owned()),
            Component::ParentDir => drop(names.pop()),
            _ => {}
        }
    }
    names
}

fn time_offsets<'a>(
    offsets: impl Iterator<Item = (&'a String, &'a oci::LinuxTimeOffset)>,
) -> Vec<TimeOffset> {
    let mut offsets: Vec<TimeOffset> = offsets
        .map(|(clock, offset)| TimeOffset {
            clock: clock.clone(),
            seconds: offset.secs().unwrap_or(0),
            nanoseconds: offset.nanosecs().unwrap_or(0),
        })
        .collect();
    offsets.sort_by(|a, b| a.clock.cmp(&b.clock));
    offsets
}

/// Its name on the host and in the container.
pub(super) fn net_device((host, device): (&String, &oci::LinuxNetDevice)) -> (String, String) {
    (host.clone(), given(device.name()).unwrap_or_else(|| host.clone()))
}

/// Kernel parameters by their dotted names; of two spellings of one the last in alphabetical order
/// wins.
fn sysctl<'a>(entries: impl Iterator<Item = (&'a String, &'a String)>) -> BTreeMap<String, String> {
    let sorted: BTreeMap<&String, &String> = entries.collect();
    sorted.into_iter().map(|(name, value)| (dotted_sysctl(name), value.clone())).collect()
}

/// A kernel parameter's name with dots between its parts; a `/` may separate them too, and then
/// dots are part of names.
pub(super) fn dotted_sysctl(name: &str) -> String {
    match name.find(['.', '/']) {
        Some(at) if name.as_bytes()[at] == b'/' => name
            .chars()
            .map(|c| {
                if c == '/' {
                    '.'
                } else if c == '.' {
                    '/'
                } else {
                    c
                }
            })
            .collect(),
        _ => name.into(),
    }
}

pub(super) fn namespace(kind: oci::LinuxNamespaceType) -> Namespace {
    match kind {
        oci::LinuxNamespaceType::Mount => Namespace::Mount,
        oci::LinuxNamespaceType::Cgroup => Namespace::Cgroup,
        oci::LinuxNamespaceType::Uts => Namespace::Uts,
        oci::LinuxNamespaceType::Ipc => Namespace::Ipc,
        oci::LinuxNamespaceType::User => Namespace::User,
        oci::LinuxNamespaceType::Pid => Namespace::Pid,
        oci::LinuxNamespaceType::Network => Namespace::Network,
        oci::LinuxNamespaceType::Time => Namespace::Time,
    }
}

fn namespaces(list: &[oci::LinuxNamespace]) -> Namespaces {
    let mut places = Namespaces::default();
    for (index, entry) in list.iter().enumerate() {
        let place = match entry.path().clone().filter(|p| !p.as_os_str().is_empty()) {
            Some(path) => Place::Joined { path, index },
            None => Place::New,
        };
        places.set(namespace(entry.typ()), place);
    }
    places
}

pub(super) fn process(process: &oci::Process, warnings: &mut Vec<String>) -> Result<Process, Invalid> {
    let size = process.console_size().map(|b| (clamp(b.height()), clamp(b.width())));
    let sets = process.capabilities().as_ref();
    Ok(Process {
        terminal: process.terminal().unwrap_or(false),
        console_size: size.unwrap_or((0, 0)),
        args: process.args().clone().unwrap_or_default(),
        env: last_wins(process.env().as_deref().unwrap_or_default()),
        cwd: text(process.cwd()),
        user: user(process.user())?,
        capabilities: sets.map(|sets| capabilities(sets, warnings)).unwrap_or_default(),
        rlimits: process.rlimits().as_deref().unwrap_or_default().iter().map(rlimit).collect(),
        no_new_privileges: process.no_new_privileges().unwrap_or(false),
        oom_score_adj: process.oom_score_adj(),
        apparmor_profile: given(process.apparmor_profile()),
        selinux_label: given(process.selinux_label()),
        scheduler: process.scheduler().as_ref().map(scheduling::scheduler),
        io_priority: process.io_priority().as_ref().map(scheduling::io_priority),
        exec_affinity: process.exec_cpu_affinity().as_ref().map(scheduling::affinity).unwrap_or_default(),
    })
}

fn clamp(length: u64) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

/// `env` with only the last entry of each name, in place of its first.
pub fn last_wins(env: &[String]) -> Vec<String> {
    let name = |entry: &str| entry.split('=').next().unwrap_or_default().to_string();
    let mut seen = std::collections::HashMap::new();
    let mut kept: Vec<String> = Vec::with_capacity(env.len());
    for entry in env {
        match seen.entry(name(entry)) {
            std::collections::hash_map::Entry::Occupied(at) => kept[*at.get()] = entry.clone(),
            std::collections::hash_map::Entry::Vacant(at) => {
                at.insert(kept.len());
                kept.push(entry.clone());
            }
        }
    }
    kept
}

fn user(user: &oci::User) -> Result<User, Invalid> {
    // -1 means "leave it" to setresuid(2): it would keep root.
    for (field, id) in [("process.user.uid", user.uid()), ("process.user.gid", user.gid())] {
        if id == u32::MAX {
            return Err(Invalid::new(field, "4294967295 is no id"));
        }
    }
    let umask = user.umask().unwrap_or(0o022);
    if umask > 0o7777 {
        return Err(Invalid::new("process.user.umask", format!("{umask} is not a file mode mask")));
    }
    Ok(User {
        uid: user.uid(),
        gid: user.gid(),
        additional_gids: user.additional_gids().clone().unwrap_or_default(),
        umask,
    })
}

fn capabilities(sets: &oci::LinuxCapabilities, warnings: &mut Vec<String>) -> Capabilities {
    let mut bits = |set: &Option<oci::Capabilities>| {
        let mut bits = capability::Set::default();
        for capability in set.iter().flatten() {
            match capability::number(&format!("CAP_{capability}")) {
                Some(number) => bits = bits.with(number),
                None => {
                    warnings.push(format!("process.capabilities: unknown capability {capability} ignored"));
                }
            }
        }
        bits
    };
    Capabilities {
        bounding: bits(sets.bounding()),
        effective: bits(sets.effective()),
        inheritable: bits(sets.inheritable()),
        permitted: bits(sets.permitted()),
        ambient: bits(sets.ambient()),
    }
}

#[allow(clippy::unnecessary_cast, reason = "the type of the numbers is that of the C library: i32 in musl")]
fn rlimit(limit: &oci::PosixRlimit) -> Rlimit {
    let name = limit.typ().to_string();
    let resource = match limit.typ() {
        oci::PosixRlimitType::RlimitCpu => libc::RLIMIT_CPU,
        oci::PosixRlimitType::RlimitFsize => libc::RLIMIT_FSIZE,
        oci::PosixRlimitType::RlimitData => libc::RLIMIT_DATA,
        oci::PosixRlimitType::RlimitStack => libc::RLIMIT_STACK,
        oci::PosixRlimitType::RlimitCore => libc::RLIMIT_CORE,
        oci::PosixRlimitType::RlimitRss => libc::RLIMIT_RSS,
        oci::PosixRlimitType::RlimitNproc => libc::RLIMIT_NPROC,
        oci::PosixRlimitType::RlimitNofile => libc::RLIMIT_NOFILE,
        oci::PosixRlimitType::RlimitMemlock => libc::RLIMIT_MEMLOCK,
        oci::PosixRlimitType::RlimitAs => libc::RLIMIT_AS,
        oci::PosixRlimitType::RlimitLocks => libc::RLIMIT_LOCKS,
        oci::PosixRlimitType::RlimitSigpending => libc::RLIMIT_SIGPENDING,
        oci::PosixRlimitType::RlimitMsgqueue => libc::RLIMIT_MSGQUEUE,
        oci::PosixRlimitType::RlimitNice => libc::RLIMIT_NICE,
        oci::PosixRlimitType::RlimitRtprio => libc::RLIMIT_RTPRIO,
        oci::PosixRlimitType::RlimitRttime => libc::RLIMIT_RTTIME,
    };
    Rlimit { name, resource: resource as u32, soft: limit.soft(), hard: limit.hard() }
}

fn device(device: &oci::LinuxDevice) -> Device {
    let kind = match device.typ() {
        oci::LinuxDeviceType::B => libc::S_IFBLK,
        oci::LinuxDeviceType::P => libc::S_IFIFO,
        _ => libc::S_IFCHR,
    };
    Device {
        path: format!("/{}", names_of(device.path()).join("/")),
        kind,
        major: device.major() as u32,
        minor: device.minor() as u32,
        mode: device.file_mode().unwrap_or(0o666) & 0o7777,
        uid: device.uid().unwrap_or(0),
        gid: device.gid().unwrap_or(0),
    }
}

fn hooks(hooks: &oci::Hooks, traced: bool) -> Hooks {
    let list = |kind: &str, hooks: &Option<Vec<oci::Hook>>| -> Vec<Hook> {
        let hooks = hooks.as_deref().unwrap_or_default().iter().enumerate();
        let traced = traced && kind != "startContainer";
        hooks.map(|(i, h)| Hook { traced, ..hook(format!("hooks.{kind}[{i}]"), h) }).collect()
    };
    #[allow(deprecated, reason = "engines still write what newer specifications have dropped")]
    let prestart = list("prestart", hooks.prestart());
    Hooks {
        prestart,
        create_runtime: list("createRuntime", hooks.create_runtime()),
        create_container: list("createContainer", hooks.create_container()),
        start_container: list("startContainer", hooks.start_container()),
        poststart: list("poststart", hooks.poststart()),
        poststop: list("poststop", hooks.poststop()),
    }
}

fn hook(field: String, hook: &oci::Hook) -> Hook {
    let path = text(hook.path());
    let args = hook.args().clone().filter(|a| !a.is_empty()).unwrap_or_else(|| vec![path.clone()]);
    Hook {
        field,
        path,
        args,
        env: hook.env().clone().map_or(HookEnv::Inherited, HookEnv::Exactly),
        traced: false,
        timeout_s: hook.timeout().and_then(|s| u64::try_from(s).ok()),
    }
}
