//! The process: from a container with its mounts in place to execve(2).

use super::{Computed, Groups, HardLimit, Planned, Step, planned, seccomp};
use crate::config::{Capabilities, Config, Hook, Invalid, Namespace, Process, annotation, ids};
use crate::host::Host;

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// All steps that make a child that is in the container the process `process`: that of config.json, or one of `exec`. Between
/// the last one that the host's rights are needed for and the preparation of execve(2) come those of `gate`, in which it waits
/// for the parent, and the `hooks` of the start. `listen` are variables that announce descriptors to it.
pub(super) fn steps(
    config: &Config,
    process: &Process,
    gate: Vec<Planned<Step>>,
    hooks: Option<Planned<Step>>,
    listen: &[String],
    host: &Host,
) -> Result<Vec<Planned<Step>>, Invalid> {
    let mut steps = Vec::new();
    let mut step = |field: &str, step| steps.push(Planned { step, field: field.into() });
    for (i, limit) in process.rlimits.iter().enumerate() {
        let (name, resource) = (limit.name.clone(), limit.resource);
        let limit = Step::Rlimit { name, resource, soft: limit.soft, hard: limit.hard };
        step(&format!("process.rlimits[{i}]"), limit);
    }
    for (field, schedule) in schedule(config, process) {
        step(field, schedule);
    }
    step("process.cwd", Step::EarlyCwd(process.cwd.clone()));
    step("process.user.umask", Step::Umask(process.user.umask));
    if process.no_new_privileges {
        step("process.noNewPrivileges", Step::NoNewPrivileges);
    }
    // A user namespace gives all capabilities over what belongs to it, whatever the caller has.
    let available =
        if config.namespaces.own(Namespace::User) { host.known_capabilities } else { host.bounding };
    let sets = grantable(&process.capabilities, host.known_capabilities, available);
    let bounding = Step::Bounding { drop: available & !sets.bounding, keep: sets.bounding };
    step("process.capabilities.bounding", bounding);
    let user = &process.user;
    // The root of a user namespace has dropped the caller's already, where that is allowed at all.
    let as_they_are = groups(config) == Groups::Callers
        || (config.namespaces.own(Namespace::User) && user.additional_gids.is_empty());
    let groups = (!as_they_are).then(|| user.additional_gids.clone());
    if !process.terminal {
        step("process.user", Step::StdioOwner(user.uid));
    }
    step("process.user", Step::Ids { uid: user.uid, gid: user.gid, groups });
    let filter = config.seccomp.as_ref().map(seccomp::compile).transpose()?;
    // Without no_new_privs a filter takes CAP_SYS_ADMIN (seccomp(2)), so that stays until the filter is in force. Hooks do
    // not inherit it: it is in neither the bounding nor the ambient set.
    let for_filter = if filter.is_some() && !process.no_new_privileges { available & SYS_ADMIN } else { 0 };
    step("process.capabilities", capabilities(&sets, for_filter));
    step("process.cwd", Step::Cwd(process.cwd.clone()));
    step("process.args[0]", Step::Find { program: process.args[0].clone(), path: search_path(process) });
    for (field, label) in security_labels(process, host)? {
        step(field, label);
    }
    steps.extend(gate);
    let prepare = planned("process.args", prepare(process, listen));
    let filter = filter.map(|filter| planned("linux.seccomp", Step::Seccomp(filter)));
    let reduce = (for_filter != 0).then(|| planned("process.capabilities", capabilities(&sets, 0)));
    if hooks.is_some() {
        // Hooks execute what is the container's, so the filter is for them too.
        steps.extend(filter.into_iter().chain(reduce).chain(hooks));
        steps.push(prepare);
    } else {
        // As late as can be: the fewer calls after it, the less a profile has to allow.
        steps.push(prepare);
        steps.extend(filter.into_iter().chain(reduce));
    }
    steps.push(planned("process.args", Step::Exec));
    Ok(steps)
}

/// The ceilings of the process's limits, as steps. A user namespace has no right to raise them.
pub(super) fn ceilings<T>(process: &Process, step: fn(HardLimit) -> T) -> impl Iterator<Item = Planned<T>> {
    process.rlimits.iter().enumerate().map(move |(i, limit)| {
        let (name, resource) = (limit.name.clone(), limit.resource);
        planned(format!("process.rlimits[{i}]"), step(HardLimit { name, resource, hard: limit.hard }))
    })
}

/// The process's user as the host knows it, who is to own standard descriptors that are pipes. The root of a user namespace may not
/// give away what belongs to the host's.
pub(super) fn stdio_owner(config: &Config, process: &Process, host: &Host) -> Option<u32> {
    let needed = config.namespaces.own(Namespace::User) && host.is_root && !process.terminal;
    ids::outside(&config.id_maps.uids, process.user.uid).filter(|_| needed)
}

/// Whose supplementary groups the process has: engines say by an annotation that the caller's are to be kept.
pub(super) fn groups(config: &Config) -> Groups {
    match config.annotations.get(annotation::KEEP_ORIGINAL_GROUPS).map(String::as_str) {
        Some("1" | "true") => Groups::Callers,
        _ => Groups::Configured,
    }
}

/// How the process gets processors, disks and memory. With a user namespace the parent has the rights to the first two,
/// and has done them.
fn schedule(config: &Config, process: &Process) -> Vec<(&'static str, Step)> {
    let mut steps = Vec::new();
    let owner = !config.namespaces.own(Namespace::User);
    if let Some(scheduler) = process.scheduler.filter(|_| owner) {
        steps.push(("process.scheduler", Step::Scheduler(scheduler)));
    }
    if let Some(priority) = process.io_priority.filter(|_| owner) {
        steps.push(("process.ioPriority", Step::IoPriority(priority)));
    }
    if let Some(policy) = &config.memory_policy {
        steps.push(("linux.memoryPolicy", Step::MemoryPolicy(policy.clone())));
    }
    if let Some(domain) = config.personality {
        steps.push(("linux.personality", Step::Personality(domain)));
    }
    steps
}

/// The labels that execve(2) gives. They are set before the container is ready, so that one that does not exist is an error
/// of `create`.
fn security_labels(process: &Process, host: &Host) -> Result<Vec<(&'static str, Step)>, Invalid> {
    let mut steps = Vec::new();
    if let Some(profile) = &process.apparmor_profile {
        if !host.apparmor {
            let reason = format!("\"{profile}\": AppArmor is not enabled on this machine");
            return Err(Invalid::new("process.apparmorProfile", reason));
        }
        // "unconfined" is a profile to the kernel too: it leads out of that of the engine.
        steps.push(("process.apparmorProfile", Step::AppArmor(profile.clone())));
    }
    if let Some(label) = &process.selinux_label {
        selinux(host, "process.selinuxLabel", label)?;
        steps.push(("process.selinuxLabel", Step::SelinuxLabel(label.clone())));
    }
    Ok(steps)
}

/// The session keyring of the container's processes. It has the process's label, or the process could not use it.
pub(super) fn keyring(id: &str, process: Option<&Process>) -> Planned<Step> {
    let label = process.and_then(|process| process.selinux_label.clone());
    let field = if label.is_some() { "process.selinuxLabel" } else { "" };
    planned(field, Step::Keyring { name: format!("_ses.{id}"), label })
}

/// A label means something only to SELinux.
pub(super) fn selinux(host: &Host, field: &str, label: &str) -> Result<(), Invalid> {
    if host.selinux {
        return Ok(());
    }
    Err(Invalid::new(field, format!("\"{label}\": SELinux is not enabled on this machine")))
}

/// The bit of CAP_SYS_ADMIN.
const SYS_ADMIN: u64 = 1 << 21;

fn capabilities(sets: &Capabilities, beside: u64) -> Step {
    Step::Capabilities {
        effective: sets.effective | beside,
        permitted: sets.permitted | beside,
        inheritable: sets.inheritable,
        ambient: sets.ambient,
    }
}

/// The startContainer hooks. They are the container's own programs, so they may know what its process does.
pub(super) fn start_hooks(hooks: &[Hook], process: &Process) -> Planned<Step> {
    let (env, computed) = environment(process);
    planned("hooks.startContainer", Step::StartHooks { hooks: hooks.to_vec(), env, computed })
}

/// The variables of the process, and those that only the child can compute.
fn environment(process: &Process) -> (Vec<String>, Vec<Computed>) {
    let home = process.env.iter().find_map(|entry| entry.strip_prefix("HOME="));
    let mut env = process.env.clone();
    env.retain(|entry| entry != "HOME=");
    let computed = home.is_none_or(str::is_empty).then_some(Computed::Home(process.user.uid));
    (env, computed.into_iter().collect())
}

fn prepare(process: &Process, listen: &[String]) -> Step {
    let (mut env, mut computed) = environment(process);
    if !listen.is_empty() {
        // What the image or the caller says of other descriptors, or of another process, is not so here.
        env.retain(|entry| !entry.starts_with("LISTEN_"));
        env.extend(listen.iter().cloned());
        computed.push(Computed::ListenPid);
    }
    Step::Prepare { args: process.args.clone(), env, computed }
}

/// The sets, without what this kernel does not know. A capability outside the permitted set cannot be in force, and one
/// that is not both permitted and inheritable cannot be ambient (capabilities(7)).
fn grantable(sets: &Capabilities, known: u64, available: u64) -> Capabilities {
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
