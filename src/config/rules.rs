//! What the runtime specification demands of config.json, as a table of sections and checks.

use super::{Invalid, Namespace, Propagation, ensure, ids, scheduling};
use oci_spec::runtime::{Hook, Linux, LinuxNamespaceType, Spec};
use std::collections::HashSet;
use std::path::Path;

/// One demand.
pub struct Rule {
    /// Where it is written: document and heading of runtime-spec 1.3.
    pub section: &'static str,
    pub check: fn(&Spec) -> Result<(), Invalid>,
}

/// All demands, in the order in which they are checked.
pub const RULES: &[Rule] = &[
    Rule { section: "config.md: Specification version", check: version },
    Rule { section: "config.md: Root", check: root },
    Rule { section: "config.md: Process", check: process_args_and_cwd },
    Rule { section: "config.md: Process", check: process_env },
    Rule { section: "config.md: POSIX process", check: rlimits },
    Rule { section: "config.md: Linux Process", check: oom_score_adj },
    Rule { section: "config.md: Linux Process (scheduler)", check: scheduling::check_scheduler },
    Rule { section: "config.md: Linux Process (ioPriority)", check: scheduling::check_io_priority },
    Rule { section: "config.md, config-linux.md: lists of CPUs and nodes", check: scheduling::check_lists },
    Rule { section: "config.md: Mounts", check: mounts },
    Rule { section: "config.md: POSIX-platform Hooks", check: hooks },
    Rule { section: "config.md: Annotations", check: annotations },
    Rule { section: "config-linux.md: Namespaces", check: namespaces },
    Rule { section: "config-linux.md: Namespaces", check: private_mounts },
    Rule { section: "config-linux.md: User namespace mappings", check: ids::check_user_namespace },
    Rule { section: "config-linux.md: Offset for Time Namespace", check: time_offsets },
    Rule { section: "config.md: Hostname", check: host_names },
    Rule { section: "config-linux.md: Devices", check: devices },
    Rule { section: "config-linux.md: Network Devices", check: net_devices },
    Rule { section: "config-linux.md: Sysctl", check: sysctls },
    Rule { section: "config-linux.md: Rootfs Mount Propagation", check: rootfs_propagation },
    Rule { section: "config-linux.md: Masked Paths, Readonly Paths", check: path_lists },
    Rule { section: "config-linux.md: Control groups", check: cgroups_path },
    Rule { section: "config-linux.md: IntelRdt", check: super::rdt::check },
];

fn version(spec: &Spec) -> Result<(), Invalid> {
    let version = spec.version();
    let mut parts = version.splitn(3, '.');
    let number = |part: Option<&str>| {
        part.filter(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit())).is_some()
    };
    let (major, minor, patch) = (parts.next(), parts.next(), parts.next());
    let patch = patch.map(|p| p.split(['-', '+']).next().unwrap_or_default());
    let semver = number(major) && number(minor) && number(patch);
    ensure!(!version.is_empty(), "ociVersion", "missing; it must be a version like 1.3.0");
    ensure!(semver, "ociVersion", "\"{version}\" is not a version like 1.3.0");
    ensure!(major == Some("1"), "ociVersion", "\"{version}\" is not a 1.x version");
    Ok(())
}

fn root(spec: &Spec) -> Result<(), Invalid> {
    match spec.root() {
        None => Err(Invalid::new("root", "missing; it must name the root filesystem")),
        Some(root) => {
            ensure!(!root.path().as_os_str().is_empty(), "root.path", "empty");
            Ok(())
        }
    }
}

fn process_args_and_cwd(spec: &Spec) -> Result<(), Invalid> {
    let Some(process) = spec.process() else { return Ok(()) };
    let args = process.args().as_deref().unwrap_or_default();
    ensure!(!args.is_empty(), "process.args", "empty; it must name a program");
    for (i, arg) in args.iter().enumerate() {
        no_nul(arg, || format!("process.args[{i}]"))?;
    }
    let cwd = process.cwd();
    no_nul(&cwd.to_string_lossy(), || "process.cwd".into())?;
    ensure!(cwd.is_absolute(), "process.cwd", "{cwd:?} is not an absolute path");
    Ok(())
}

fn process_env(spec: &Spec) -> Result<(), Invalid> {
    let env = spec.process().as_ref().and_then(|p| p.env().as_deref()).unwrap_or_default();
    for (i, entry) in env.iter().enumerate() {
        let named = entry.find('=').is_some_and(|at| at > 0);
        ensure!(named, format!("process.env[{i}]"), "\"{entry}\" is not of the form NAME=value");
        no_nul(entry, || format!("process.env[{i}]"))?;
    }
    Ok(())
}

fn no_nul(text: &str, field: impl Fn() -> String) -> Result<(), Invalid> {
    if text.contains('\0') { Err(Invalid::new(field(), "contains a NUL character")) } else { Ok(()) }
}

fn rlimits(spec: &Spec) -> Result<(), Invalid> {
    let limits = spec.process().as_ref().and_then(|p| p.rlimits().as_deref()).unwrap_or_default();
    let mut seen = HashSet::new();
    for (i, limit) in limits.iter().enumerate() {
        let (name, field) = (limit.typ().to_string(), format!("process.rlimits[{i}]"));
        ensure!(seen.insert(name.clone()), format!("{field}.type"), "{name} is set twice");
        let order = limit.soft() <= limit.hard();
        ensure!(order, field, "soft limit {} is above hard limit {}", limit.soft(), limit.hard());
    }
    Ok(())
}

fn oom_score_adj(spec: &Spec) -> Result<(), Invalid> {
    let Some(score) = spec.process().as_ref().and_then(oci_spec::runtime::Process::oom_score_adj) else {
        return Ok(());
    };
    let valid = (-1000..=1000).contains(&score);
    ensure!(valid, "process.oomScoreAdj", "{score} is not between -1000 and 1000");
    Ok(())
}

/// The files below /proc that may be covered by a mount: those that lxcfs and its like replace.
const COVERABLE: [&str; 10] = [
    "cpuinfo",
    "diskstats",
    "meminfo",
    "stat",
    "swaps",
    "uptime",
    "loadavg",
    "slabinfo",
    "sys/kernel/ns_last_pid",
    "sys/crypto/fips_enabled",
];

/// Whether a mount may cover `path`, given relative to the root of a procfs.
pub fn may_cover_in_proc(path: &str) -> bool {
    COVERABLE.contains(&path)
}

fn mounts(spec: &Spec) -> Result<(), Invalid> {
    for (i, mount) in spec.mounts().as_deref().unwrap_or_default().iter().enumerate() {
        let field = format!("mounts[{i}].destination");
        let destination = mount.destination();
        ensure!(!destination.as_os_str().is_empty(), &field, "empty");
        let names = super::resolve::names_of(destination);
        if names.is_empty() {
            let is_overlay = mount.typ().as_deref() == Some("overlay");
            let reason = "is the root filesystem itself, which only an overlay can be mounted as";
            ensure!(is_overlay, &field, "{destination:?} {reason}");
        } else if names[0] == "proc" && names.len() > 1 {
            let inside = names[1..].join("/");
            let reason = format!(
                "{destination:?} lies inside /proc, where only {} may be covered",
                COVERABLE.join(", ")
            );
            ensure!(may_cover_in_proc(&inside), &field, "{reason}");
        }
    }
    Ok(())
}

fn hooks(spec: &Spec) -> Result<(), Invalid> {
    let Some(hooks) = spec.hooks() else { return Ok(()) };
    #[allow(deprecated, reason = "engines still write what newer specifications have dropped")]
    let kinds = [
        ("prestart", hooks.prestart()),
        ("createRuntime", hooks.create_runtime()),
        ("createContainer", hooks.create_container()),
        ("startContainer", hooks.start_container()),
        ("poststart", hooks.poststart()),
        ("poststop", hooks.poststop()),
    ];
    for (kind, list) in kinds {
        for (i, hook) in list.as_deref().unwrap_or_default().iter().enumerate() {
            check_hook(hook, &format!("hooks.{kind}[{i}]"))?;
        }
    }
    Ok(())
}

fn check_hook(hook: &Hook, field: &str) -> Result<(), Invalid> {
    let path = hook.path();
    ensure!(path.is_absolute(), format!("{field}.path"), "{path:?} is not an absolute path");
    let valid = hook.timeout().is_none_or(|seconds| seconds > 0);
    ensure!(valid, format!("{field}.timeout"), "must be more than 0 seconds");
    Ok(())
}

fn annotations(spec: &Spec) -> Result<(), Invalid> {
    let annotations = spec.annotations().as_ref();
    let empty = annotations.is_some_and(|a| a.contains_key(""));
    ensure!(!empty, "annotations", "a key is empty");
    let kept = annotations.is_some_and(|a| a.contains_key(super::annotation::KEEP_ORIGINAL_GROUPS));
    let groups = spec.process().as_ref().and_then(|p| p.user().additional_gids().as_ref());
    let both = kept && groups.is_some_and(|groups| !groups.is_empty());
    ensure!(!both, "process.user.additionalGids", "given with the annotation run.oci.keep_original_groups");
    Ok(())
}

fn linux(spec: &Spec) -> Option<&Linux> {
    spec.linux().as_ref()
}

fn namespaces(spec: &Spec) -> Result<(), Invalid> {
    let mut seen = HashSet::new();
    let list = linux(spec).and_then(|l| l.namespaces().as_deref()).unwrap_or_default();
    for (i, namespace) in list.iter().enumerate() {
        let kind = super::resolve::namespace(namespace.typ()).name();
        let field = format!("linux.namespaces[{i}]");
        ensure!(seen.insert(kind), format!("{field}.type"), "\"{kind}\" is listed twice");
        let Some(path) = namespace.path().as_deref().filter(|p| !p.as_os_str().is_empty()) else { continue };
        ensure!(path.is_absolute(), format!("{field}.path"), "{kind} {path:?} is not an absolute path");
    }
    Ok(())
}

/// Whether the container has a `kind` namespace other than the runtime's.
fn has(spec: &Spec, kind: LinuxNamespaceType) -> bool {
    linux(spec)
        .and_then(|l| l.namespaces().as_deref())
        .is_some_and(|list| list.iter().any(|n| n.typ() == kind))
}

/// Whether the container gets a new `kind` namespace.
fn is_new(spec: &Spec, kind: LinuxNamespaceType) -> bool {
    let list = linux(spec).and_then(|l| l.namespaces().as_deref()).unwrap_or_default();
    let joined = |path: &Option<std::path::PathBuf>| path.as_ref().is_some_and(|p| !p.as_os_str().is_empty());
    list.iter().any(|n| n.typ() == kind && !joined(n.path()))
}

/// Offsets belong to a new time namespace, whose clocks are these two (time_namespaces(7)).
fn time_offsets(spec: &Spec) -> Result<(), Invalid> {
    let offsets = linux(spec).and_then(|l| l.time_offsets().as_ref()).into_iter().flatten();
    for (clock, offset) in offsets {
        let field = format!("linux.timeOffsets.{clock}");
        let known = clock == "monotonic" || clock == "boottime";
        ensure!(known, &field, "is not a clock with an offset: those are monotonic and boottime");
        let nanoseconds = offset.nanosecs().unwrap_or(0);
        let reason = format!("{nanoseconds} is not less than a second");
        ensure!(nanoseconds < 1_000_000_000, format!("{field}.nanosecs"), "{reason}");
        ensure!(
            is_new(spec, LinuxNamespaceType::Time),
            field,
            "needs a new time namespace in linux.namespaces"
        );
    }
    Ok(())
}

/// In a joined mount namespace masks and read-only paths would change it for everybody, so they are
/// errors. `mounts` are left out, with a warning.
fn private_mounts(spec: &Spec) -> Result<(), Invalid> {
    if is_new(spec, LinuxNamespaceType::Mount) {
        return Ok(());
    }
    let asks = |list: Option<&Vec<String>>| list.is_some_and(|l| !l.is_empty());
    let needs = [
        ("linux.devices", linux(spec).is_some_and(|l| l.devices().as_ref().is_some_and(|d| !d.is_empty()))),
        ("linux.maskedPaths", linux(spec).is_some_and(|l| asks(l.masked_paths().as_ref()))),
        ("linux.readonlyPaths", linux(spec).is_some_and(|l| asks(l.readonly_paths().as_ref()))),
        ("process.terminal", spec.process().as_ref().is_some_and(|p| p.terminal() == Some(true))),
    ];
    for (field, asked) in needs {
        ensure!(!asked, field, "needs a new mount namespace in linux.namespaces");
    }
    Ok(())
}

fn host_names(spec: &Spec) -> Result<(), Invalid> {
    for (field, name) in [("hostname", spec.hostname()), ("domainname", spec.domainname())] {
        let Some(name) = name.as_deref().filter(|n| !n.is_empty()) else { continue };
        ensure!(has(spec, LinuxNamespaceType::Uts), field, "needs a uts namespace in linux.namespaces");
        ensure!(name.len() <= 64, field, "\"{name}\" is longer than 64 bytes");
    }
    Ok(())
}

fn devices(spec: &Spec) -> Result<(), Invalid> {
    use oci_spec::runtime::LinuxDeviceType::A;
    for (i, device) in linux(spec).and_then(|l| l.devices().as_deref()).unwrap_or_default().iter().enumerate()
    {
        let field = format!("linux.devices[{i}]");
        let path = device.path();
        ensure!(path.is_absolute(), format!("{field}.path"), "{path:?} is not an absolute path");
        ensure!(!matches!(device.typ(), A), format!("{field}.type"), "\"a\" is no type of a node");
        let number = |n: i64| u32::try_from(n).is_ok();
        ensure!(number(device.major()), format!("{field}.major"), "{} is out of range", device.major());
        ensure!(number(device.minor()), format!("{field}.minor"), "{} is out of range", device.minor());
    }
    Ok(())
}

/// Network devices need a network namespace, and names that the kernel takes and that are not given
/// twice.
fn net_devices(spec: &Spec) -> Result<(), Invalid> {
    let devices = linux(spec).and_then(|l| l.net_devices().as_ref()).into_iter().flatten();
    let mut seen = HashSet::new();
    for (host, device) in devices {
        let field = format!("linux.netDevices.{host}");
        let needs = "needs a network namespace in linux.namespaces";
        ensure!(has(spec, LinuxNamespaceType::Network), &field, "{needs}");
        let (_, name) = super::resolve::net_device((host, device));
        // The kernel puts a number in place of %d.
        for name in [host, &name.replacen("%d", "0", 1)] {
            let plain = (1..=15).contains(&name.len())
                && !matches!(name.as_str(), "." | "..")
                && !name.contains(|c: char| matches!(c, '/' | ':' | '%' | '\0') || c.is_whitespace());
            ensure!(plain, &field, "\"{name}\" is not the name of a network device");
        }
        let taken = !name.contains('%') && !seen.insert(name.clone());
        ensure!(!taken, field, "\"{name}\" is given to two devices");
    }
    Ok(())
}

/// Which namespace a kernel parameter belongs to; none for one of the whole machine.
pub fn sysctl_namespace(name: &str) -> Option<Namespace> {
    const IPC: [&str; 8] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    if IPC.contains(&name) || name.starts_with("fs.mqueue.") {
        Some(Namespace::Ipc)
    } else if name.starts_with("net.") {
        Some(Namespace::Network)
    } else if name == "kernel.domainname" {
        Some(Namespace::Uts)
    } else if name.starts_with("user.") {
        Some(Namespace::User)
    } else {
        None
    }
}

fn sysctls(spec: &Spec) -> Result<(), Invalid> {
    for (name, value) in linux(spec).and_then(|l| l.sysctl().as_ref()).into_iter().flatten() {
        let field = format!("linux.sysctl.{name}");
        // net.ipv4.conf.eth0/1 and net/ipv4/ip_forward are both in use; a dot after a slash is a
        // dot of the name.
        let dotted = super::resolve::dotted_sysctl(name);
        let plain =
            !name.is_empty() && !name.contains("..") && !name.contains("//") && !name.starts_with(['/', '.']);
        ensure!(plain && !name.contains('\0'), &field, "is not the name of a kernel parameter");
        ensure!(dotted != "kernel.hostname", &field, "is set by hostname");
        let other =
            spec.domainname().as_ref().filter(|given| dotted == "kernel.domainname" && *given != value);
        ensure!(other.is_none(), &field, "is \"{value}\", and domainname is another");
        let Some(kind) = sysctl_namespace(&dotted) else {
            return Err(Invalid::new(field, "belongs to no namespace, it would change the host"));
        };
        let list = linux(spec).and_then(|l| l.namespaces().as_deref()).unwrap_or_default();
        let own = list.iter().any(|n| super::resolve::namespace(n.typ()) == kind);
        ensure!(own, field, "needs a {} namespace in linux.namespaces", kind.name());
    }
    Ok(())
}

fn rootfs_propagation(spec: &Spec) -> Result<(), Invalid> {
    let Some(name) = linux(spec).and_then(|l| l.rootfs_propagation().as_deref()) else { return Ok(()) };
    let known = name.is_empty() || Propagation::parse(name).is_some();
    ensure!(known, "linux.rootfsPropagation", "\"{name}\" is not shared, slave, private or unbindable");
    Ok(())
}

fn path_lists(spec: &Spec) -> Result<(), Invalid> {
    let Some(linux) = linux(spec) else { return Ok(()) };
    for (list, paths) in [("maskedPaths", linux.masked_paths()), ("readonlyPaths", linux.readonly_paths())] {
        for (i, path) in paths.as_deref().unwrap_or_default().iter().enumerate() {
            let absolute = Path::new(path).is_absolute();
            ensure!(absolute, format!("linux.{list}[{i}]"), "\"{path}\" is not an absolute path");
        }
    }
    Ok(())
}

fn cgroups_path(spec: &Spec) -> Result<(), Invalid> {
    let Some(path) = linux(spec).and_then(|l| l.cgroups_path().as_deref()) else { return Ok(()) };
    let field = "linux.cgroupsPath";
    if path.as_os_str().is_empty() {
        return Ok(());
    }
    let climbs = path.components().any(|c| matches!(c, std::path::Component::ParentDir));
    ensure!(!climbs, field, "{path:?} contains \"..\"");
    let named = !super::resolve::names_of(path).is_empty();
    ensure!(named, field, "{path:?} would be the root cgroup");
    Ok(())
}
