//! The process: from a container with its mounts in place to execve(2).

use super::{Planned, Request, Start, Step};
use crate::config::{Capabilities, Config, Process};
use crate::host::Host;

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// All steps that make init the process of config.json.
pub(super) fn steps(config: &Config, request: &Request, host: &Host) -> Vec<Planned<Step>> {
    let mut steps = Vec::new();
    let mut step = |field: &str, step| steps.push(Planned { step, field: field.into() });
    let Some(process) = &config.process else {
        step("", Step::Ready);
        step("", Step::AwaitStart);
        step("process", Step::NoProcess);
        return steps;
    };
    step("process.cwd", Step::MakeCwd(process.cwd.clone()));
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
    step("process.capabilities.bounding", Step::Bounding { drop: host.bounding & !sets.bounding, keep: sets.bounding });
    let user = &process.user;
    step("process.user", Step::Ids { uid: user.uid, gid: user.gid, groups: user.additional_gids.clone() });
    step(
        "process.capabilities",
        Step::Capabilities {
            effective: sets.effective,
            permitted: sets.permitted,
            inheritable: sets.inheritable,
            ambient: sets.ambient,
        },
    );
    step("process.cwd", Step::Cwd(process.cwd.clone()));
    step("process.args[0]", Step::Find { program: process.args[0].clone(), path: search_path(process) });
    step("", Step::Ready);
    if request.start == Start::OnRequest {
        step("", Step::AwaitStart);
    }
    if !config.hooks.start_container.is_empty() {
        step("hooks.startContainer", Step::StartHooks(config.hooks.start_container.clone()));
    }
    let home = process.env.iter().find_map(|entry| entry.strip_prefix("HOME="));
    let mut env = process.env.clone();
    env.retain(|entry| entry != "HOME=");
    env.extend(request.listen_env.iter().cloned());
    step(
        "process.args",
        Step::Exec {
            args: process.args.clone(),
            env,
            home_of: home.is_none_or(str::is_empty).then_some(process.user.uid),
        },
    );
    steps
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
    path.unwrap_or(DEFAULT_PATH).split(':').map(|dir| if dir.is_empty() { "." } else { dir }.to_string()).collect()
}
