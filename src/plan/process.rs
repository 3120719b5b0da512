//! The process: from a container with its mounts in place to execve(2).

use super::{Computed, Planned, Step, seccomp};
use crate::config::{Capabilities, Config, Invalid, Process};
use crate::host::Host;

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// All steps that make a child that is in the container the process `process`: that of config.json, or one of `exec`. Between
/// the last one that the host's rights are needed for and the preparation of execve(2) come those of `gate`, in which it waits
/// for the parent. `listen` are variables that announce descriptors to it.
pub(super) fn steps(
    config: &Config,
    process: &Process,
    gate: Vec<Planned<Step>>,
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
    step("process.user.umask", Step::Umask(process.user.umask));
    if process.no_new_privileges {
        step("process.noNewPrivileges", Step::NoNewPrivileges);
    }
    let sets = grantable(&process.capabilities, host);
    step(
        "process.capabilities.bounding",
        Step::Bounding { drop: host.bounding & !sets.bounding, keep: sets.bounding },
    );
    let user = &process.user;
    step("process.user", Step::Ids { uid: user.uid, gid: user.gid, groups: user.additional_gids.clone() });
    let filter = config.seccomp.as_ref().map(seccomp::compile).transpose()?;
    // Without no_new_privs a filter takes CAP_SYS_ADMIN (seccomp(2)), so that stays until the filter is in force. Hooks do
    // not inherit it: it is in neither the bounding nor the ambient set.
    let for_filter =
        if filter.is_some() && !process.no_new_privileges { host.bounding & SYS_ADMIN } else { 0 };
    step("process.capabilities", capabilities(&sets, for_filter));
    step("process.cwd", Step::Cwd(process.cwd.clone()));
    step("process.args[0]", Step::Find { program: process.args[0].clone(), path: search_path(process) });
    steps.extend(gate);
    let mut step = |field: &str, step| steps.push(Planned { step, field: field.into() });
    step("process.args", prepare(process, listen));
    if let Some(filter) = filter {
        step("linux.seccomp", Step::Seccomp(filter));
    }
    if for_filter != 0 {
        step("process.capabilities", capabilities(&sets, 0));
    }
    step("process.args", Step::Exec);
    Ok(steps)
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

fn prepare(process: &Process, listen: &[String]) -> Step {
    let home = process.env.iter().find_map(|entry| entry.strip_prefix("HOME="));
    let mut env = process.env.clone();
    env.retain(|entry| entry != "HOME=");
    let mut computed = Vec::new();
    if home.is_none_or(str::is_empty) {
        computed.push(Computed::Home(process.user.uid));
    }
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
fn grantable(sets: &Capabilities, host: &Host) -> Capabilities {
    let known = host.known_capabilities;
    Capabilities {
        bounding: sets.bounding & known,
        permitted: sets.permitted & known & host.bounding,
        effective: sets.effective & sets.permitted & known & host.bounding,
        inheritable: sets.inheritable & known & host.bounding,
        ambient: sets.ambient & sets.permitted & sets.inheritable & known & host.bounding,
    }
}

fn search_path(process: &Process) -> Vec<String> {
    let path = process.env.iter().find_map(|entry| entry.strip_prefix("PATH="));
    path.unwrap_or(DEFAULT_PATH)
        .split(':')
        .map(|dir| if dir.is_empty() { "." } else { dir }.to_string())
        .collect()
}
