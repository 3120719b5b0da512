//! The process: from a container with its mounts in place to execve(2).

use super::{
    AbstractNames, Computed, Groups, HardLimit, Planned, ProcessStep, SessionKeyring, Step, planned, seccomp,
};
use crate::capability::Set;
use crate::config::{Capabilities, Config, Hook, Init, Invalid, Landlock, Namespace, Process, annotation};
use crate::host::Host;
use caps::Capability;

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What differs between the process of config.json and one of `exec` on their way to execve(2).
pub(super) struct Way<'a> {
    /// The steps that wait for the parent. They come after the last one that needs the host's
    /// rights.
    pub(super) gate: Vec<Planned<Step>>,
    /// The startContainer hooks, which come after the gate.
    pub(super) hooks: Option<Planned<Step>>,
    /// Variables that announce descriptors to the process.
    pub(super) listen: &'a [String],
    /// The field that asks for an init, and which one.
    pub(super) init: Option<(&'static str, Init)>,
}

/// All steps that make a child that is in the container `process`: that of config.json, or one of
/// `exec`.
pub(super) fn steps(
    config: &Config,
    process: &Process,
    way: Way<'_>,
    host: &Host,
) -> Result<Vec<Planned<Step>>, Invalid> {
    let Way { gate, hooks, listen, init } = way;
    let mut steps = limits(config, process);
    let mut step = |field: &str, step: ProcessStep| steps.push(planned(field, step));
    step("process.cwd", ProcessStep::EarlyCwd(process.cwd.clone()));
    step("process.user.umask", ProcessStep::Umask(process.user.umask));
    if process.no_new_privileges {
        step("process.noNewPrivileges", ProcessStep::NoNewPrivileges);
    }
    // A user namespace gives all capabilities over what belongs to it, whatever the caller has.
    let available =
        if config.namespaces.own(Namespace::User) { host.known_capabilities } else { host.bounding };
    let sets = grantable(&process.capabilities, host.known_capabilities, available);
    let bounding = ProcessStep::Bounding { drop: available & !sets.bounding, keep: sets.bounding };
    step("process.capabilities.bounding", bounding);
    if !process.terminal {
        step("process.user", ProcessStep::StdioOwner(process.user.uid));
    }
    step("process.user", ids(config, process));
    let filter = config.seccomp.as_ref().map(seccomp::compile).transpose()?;
    // Without no_new_privs a filter takes CAP_SYS_ADMIN (seccomp(2)), so that stays until the
    // filter is in force. Hooks do not inherit it: it is in neither the bounding nor the ambient
    // set.
    let landlock = config.landlock.as_ref().map(|landlock| planned(LANDLOCK, walls(landlock, config)));
    let needs_right = (filter.is_some() || landlock.is_some()) && !process.no_new_privileges;
    let for_filter = if needs_right { available & Capability::CAP_SYS_ADMIN.into() } else { Set::default() };
    step("process.capabilities", capabilities(&sets, for_filter));
    step("process.cwd", ProcessStep::Cwd(process.cwd.clone()));
    if !matches!(init, Some((_, Init::Alone))) {
        step("process.args[0]", find(process));
    }
    for (field, label) in security_labels(process, host)? {
        step(field, label);
    }
    steps.extend(gate);
    let prepare = planned("process.args", prepare(process, listen));
    let filter = filter.map(|filter| planned("linux.seccomp", ProcessStep::Seccomp(filter)));
    let reduce = (!for_filter.is_empty())
        .then(|| planned("process.capabilities", capabilities(&sets, Set::default())));
    if hooks.is_some() {
        // Hooks execute what is the container's, so the filter is for them too.
        steps.extend(landlock.into_iter().chain(filter).chain(reduce).chain(hooks));
        steps.push(prepare);
    } else {
        // As late as can be: the fewer calls after it, the less a profile has to allow.
        steps.push(prepare);
        steps.extend(landlock.into_iter().chain(filter).chain(reduce));
    }
    steps.push(match init {
        Some((field, init)) => planned(field, ProcessStep::ExecInit(init)),
        None => planned("process.args", ProcessStep::Exec),
    });
    Ok(steps)
}

fn find(process: &Process) -> ProcessStep {
    ProcessStep::Find { program: process.args[0].clone(), path: search_path(process) }
}

const LANDLOCK: &str = "annotations.org.knarr.landlock";

fn walls(landlock: &Landlock, config: &Config) -> ProcessStep {
    match landlock {
        Landlock::Outside => ProcessStep::Landlock(abstract_names(config)),
        Landlock::Rules(rules) => ProcessStep::LandlockRules(rules.clone()),
    }
}

/// Those of a network namespace of the container's own are nobody else's.
fn abstract_names(config: &Config) -> AbstractNames {
    if config.namespaces.own(Namespace::Network) { AbstractNames::Open } else { AbstractNames::Closed }
}

fn ids(config: &Config, process: &Process) -> ProcessStep {
    let user = &process.user;
    // The root of a user namespace has dropped the caller's already, where that is allowed at all.
    let as_they_are = groups(config) == Groups::Callers
        || (config.namespaces.own(Namespace::User) && user.additional_gids.is_empty());
    let groups = (!as_they_are).then(|| user.additional_gids.clone());
    ProcessStep::Ids { uid: user.uid, gid: user.gid, groups }
}

/// The ceilings of the process's limits, as steps. A user namespace has no right to raise them.
pub(super) fn ceilings<T>(process: &Process, step: fn(HardLimit) -> T) -> impl Iterator<Item = Planned<T>> {
    process.rlimits.iter().enumerate().map(move |(i, limit)| {
        let (name, resource) = (limit.name.clone(), limit.resource);
        Planned {
            field: format!("process.rlimits[{i}]"),
            step: step(HardLimit { name, resource, hard: limit.hard }),
        }
    })
}

/// The process's user as the host knows it, who is to own standard descriptors that are pipes. The
/// root of a user namespace may not give away what belongs to the host's.
pub(super) fn stdio_owner(config: &Config, process: &Process, host: &Host) -> Option<u32> {
    let needed = config.namespaces.own(Namespace::User) && host.is_root && !process.terminal;
    crate::config::ids::outside(&config.id_maps.uids, process.user.uid).filter(|_| needed)
}

/// Whose supplementary groups the process has: engines say by an annotation that the caller's are
/// to be kept.
pub(super) fn groups(config: &Config) -> Groups {
    match config.annotations.get(annotation::KEEP_ORIGINAL_GROUPS).map(String::as_str) {
        Some("1" | "true") => Groups::Callers,
        _ => Groups::Configured,
    }
}

/// The limits of the process, and how it is scheduled.
fn limits(config: &Config, process: &Process) -> Vec<Planned<Step>> {
    let mut steps = Vec::new();
    let mut step = |field: &str, step: ProcessStep| steps.push(planned(field, step));
    for (i, limit) in process.rlimits.iter().enumerate() {
        let (name, resource) = (limit.name.clone(), limit.resource);
        let limit = ProcessStep::Rlimit { name, resource, soft: limit.soft, hard: limit.hard };
        step(&format!("process.rlimits[{i}]"), limit);
    }
    for (field, schedule) in schedule(config, process) {
        step(field, schedule);
    }
    steps
}

/// How the process gets processors, disks and memory. With a user namespace the parent has the
/// rights to the first two, and has done them.
fn schedule(config: &Config, process: &Process) -> Vec<(&'static str, ProcessStep)> {
    let mut steps = Vec::new();
    let owner = !config.namespaces.own(Namespace::User);
    if let Some(scheduler) = process.scheduler.filter(|_| owner) {
        steps.push(("process.scheduler", ProcessStep::Scheduler(scheduler)));
    }
    if let Some(priority) = process.io_priority.filter(|_| owner) {
        steps.push(("process.ioPriority", ProcessStep::IoPriority(priority)));
    }
    if let Some(policy) = &config.memory_policy {
        steps.push(("linux.memoryPolicy", ProcessStep::MemoryPolicy(policy.clone())));
    }
    if let Some(domain) = config.personality {
        steps.push(("linux.personality", ProcessStep::Personality(domain)));
    }
    steps
}

/// The labels that execve(2) gives. They are set before the container is ready, so that one that
/// does not exist is an error of `create`.
fn security_labels(process: &Process, host: &Host) -> Result<Vec<(&'static str, ProcessStep)>, Invalid> {
    let mut steps = Vec::new();
    if let Some(profile) = &process.apparmor_profile {
        if !host.apparmor {
            let reason = format!("\"{profile}\": AppArmor is not enabled on this machine");
            return Err(Invalid::new("process.apparmorProfile", reason));
        }
        // "unconfined" is a profile to the kernel too: it leads out of that of the engine.
        steps.push(("process.apparmorProfile", ProcessStep::AppArmor(profile.clone())));
    }
    if let Some(label) = &process.selinux_label {
        selinux(host, "process.selinuxLabel", label)?;
        steps.push(("process.selinuxLabel", ProcessStep::SelinuxLabel(label.clone())));
    }
    Ok(steps)
}

/// The session keyring of the container's processes. It has the process's label, or the process
/// could not use it.
pub(super) fn keyring(id: &str, process: Option<&Process>) -> Planned<SessionKeyring> {
    let label = process.and_then(|process| process.selinux_label.clone());
    let field = if label.is_some() { "process.selinuxLabel" } else { "" };
    planned(field, SessionKeyring { name: format!("_ses.{id}"), label })
}

/// A label means something only to SELinux.
pub(super) fn selinux(host: &Host, field: &str, label: &str) -> Result<(), Invalid> {
    if host.selinux {
        return Ok(());
    }
    Err(Invalid::new(field, format!("\"{label}\": SELinux is not enabled on this machine")))
}

fn capabilities(sets: &Capabilities, beside: Set) -> ProcessStep {
    ProcessStep::Capabilities {
        effective: sets.effective | beside,
        permitted: sets.permitted | beside,
        inheritable: sets.inheritable,
        ambient: sets.ambient,
    }
}

/// The startContainer hooks. They are the container's own programs, so they may know what its
/// process does.
pub(super) fn start_hooks(hooks: &[Hook], process: &Process) -> Planned<Step> {
    let (env, computed) = environment(process);
    planned("hooks.startContainer", ProcessStep::StartHooks { hooks: hooks.to_vec(), env, computed })
}

/// The variables of the process, and those that only the child can compute.
fn environment(process: &Process) -> (Vec<String>, Vec<Computed>) {
    let home = process.env.iter().find_map(|entry| entry.strip_prefix("HOME="));
    let mut env = process.env.clone();
    env.retain(|entry| entry != "HOME=");
    let computed = home.is_none_or(str::is_empty).then_some(Computed::Home(process.user.uid));
    (env, computed.into_iter().collect())
}

fn prepare(process: &Process, listen: &[String]) -> ProcessStep {
    let (mut env, mut computed) = environment(process);
    if !listen.is_empty() {
        // What the image or the caller says of other descriptors, or of another process, is not so
        // here.
        env.retain(|entry| !entry.starts_with("LISTEN_"));
        env.extend(listen.iter().cloned());
        computed.push(Computed::ListenPid);
    }
    ProcessStep::Prepare { args: process.args.clone(), env, computed }
}

/// The sets, without what this kernel does not know. A capability outside the permitted set cannot
/// be in force, and one that is not both permitted and inheritable cannot be ambient
/// (capabilities(7)).
fn grantable(sets: &Capabilities, known: Set, available: Set) -> Capabilities {
    let granted = known & available;
    Capabilities {
        bounding: sets.bounding & known,
        permitted: sets.permitted & granted,
        effective: sets.effective & sets.permitted & granted,
        inheritable: sets.inheritable & granted,
        ambient: sets.ambient & sets.permitted & sets.inheritable & granted,
    }
}

fn search_path(process: &Process) -> Vec<String> {
    let path = process.env.iter().find_map(|entry| entry.strip_prefix("PATH="));
    path.unwrap_or(DEFAULT_PATH)
        .split(':')
        .map(|dir| if dir.is_empty() { "." } else { dir }.to_string())
        .collect()
}
