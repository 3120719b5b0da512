//! A process for a container that is there: config.json, the process that is asked for and a
//! request, to an [`Exec`].

use super::create::CORE_SCHED;
use super::{
    CgroupDriver, Console, EnterStep, Keyring, Planned, ProcessStep, RootStep, Step, cgroup, mounts,
    numbered, planned, process,
};
use crate::config::{Config, ExecAffinity, Invalid, Namespace, NumberSet, Place, Process};
use crate::host::Host;
use crate::id::Id;
use std::fmt::{self, Display, Formatter};

/// What the caller of `exec` asks beside the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecRequest {
    pub id: Id,
    /// Whether the container's processes have a session keyring of their own.
    pub keyring: Keyring,
    /// How many descriptors after standard error the process keeps.
    pub preserve_fds: u32,
    /// Variables that announce such descriptors (sd_listen_fds(3)).
    pub listen_env: Vec<String>,
    /// Where the process is counted and limited.
    pub cgroup: ExecCgroup,
    /// Who made the container's cgroup.
    pub cgroup_driver: CgroupDriver,
}

/// The cgroup of a process of `exec`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecCgroup {
    /// The container's or, where that takes no processes, the one that init has moved to.
    Containers,
    /// The one that init is in: the container's is to have no processes of its own.
    Inits,
    /// One below the container's, which must be there (`--cgroup`).
    Below(String),
}

/// All that will be done to run a process in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    pub id: Id,
    /// The number of the first descriptor that the process does not keep.
    pub first_closed_fd: i32,
    /// Where the child is born.
    pub cgroup: ExecCgroup,
    /// The processors that the runtime is on until the child is in the container's cgroup.
    pub initial_cpus: Option<NumberSet>,
    /// What the child does.
    pub steps: Vec<Planned<Step>>,
}

impl Exec {
    /// Whether the process has a terminal of its own.
    pub fn gives_terminal(&self) -> bool {
        self.steps.iter().any(|planned| matches!(planned.step, Step::Root(RootStep::Terminal { .. })))
    }
}

/// Decide all that is done to run `process` in the container that `config` describes.
///
/// Two children. The first closes all host descriptors and enters the namespaces; its child is born
/// in the pid namespace. So the container first sees a process whose root, working directory and
/// descriptors are the container's.
pub fn exec(config: &Config, process: &Process, request: &ExecRequest, host: &Host) -> Result<Exec, Invalid> {
    let in_user_namespace = config.namespaces.own(Namespace::User);
    let mut steps = with_the_hosts_rights(config, process, host);
    let own: Vec<Namespace> =
        Namespace::ALL.into_iter().filter(|kind| config.namespaces.own(*kind)).collect();
    if !own.is_empty() {
        steps.push(planned("linux.namespaces", EnterStep::OfInit(own)));
    }
    // The root of a new mount namespace is the container's. Elsewhere only a chroot(2) makes it
    // that.
    if *config.namespaces.of(Namespace::Mount) != Place::New {
        steps.push(planned("root.path", RootStep::RootDirectory(config.root.path.clone())));
        steps.push(planned("", RootStep::Chroot));
    }
    steps.push(planned("", EnterStep::Fork));
    if in_user_namespace {
        let groups = process::groups(config);
        steps.push(planned("linux.namespaces", EnterStep::NamespaceRoot { groups }));
    }
    steps.push(planned("", EnterStep::Session));
    if request.keyring == Keyring::New {
        let keyring = process::keyring(request.id.as_str(), Some(process));
        steps.push(planned(keyring.field, EnterStep::Keyring(keyring.step)));
    }
    if process.terminal {
        let (size, uid) = (process.console_size, process.user.uid);
        steps.push(planned("process.terminal", RootStep::RootDirectory("/".into())));
        steps.push(planned("process.terminal", RootStep::Terminal { size, uid, console: Console::None }));
    } else {
        steps.extend(mounts::own_null(config));
    }
    let way = process::Way {
        gate: vec![planned("", ProcessStep::AwaitRecord)],
        hooks: None,
        listen: &request.listen_env,
        init: None,
    };
    steps.append(&mut process::steps(config, process, way, host)?);
    let first_closed_fd = 3 + request.preserve_fds as i32;
    let initial_cpus = process.exec_affinity.initial.clone();
    let cgroup = match (&request.cgroup, cgroup::below(config, request.cgroup_driver)?) {
        (ExecCgroup::Containers, Some(_)) => ExecCgroup::Inits,
        (asked, _) => asked.clone(),
    };
    Ok(Exec { id: request.id.clone(), first_closed_fd, cgroup, initial_cpus, steps })
}

/// What is done before the namespaces are entered: the host's /proc is in reach, and its rights
/// hold.
fn with_the_hosts_rights(config: &Config, process: &Process, host: &Host) -> Vec<Planned<Step>> {
    let mut steps = Vec::new();
    // The caller's own score, often one that spares it, is not for the container.
    if let Some(score) = process.oom_score_adj {
        steps.push(planned("process.oomScoreAdj", EnterStep::OomScoreAdj(score)));
    }
    // Rights that a user namespace does not give.
    let in_user_namespace = config.namespaces.own(Namespace::User);
    if let Some(scheduler) = process.scheduler.filter(|_| in_user_namespace) {
        steps.push(planned("process.scheduler", ProcessStep::Scheduler(scheduler)));
    }
    if let Some(priority) = process.io_priority.filter(|_| in_user_namespace) {
        steps.push(planned("process.ioPriority", ProcessStep::IoPriority(priority)));
    }
    if in_user_namespace {
        steps.extend(process::ceilings(process, |ceiling| ProcessStep::HardLimit(ceiling).into()));
    }
    if let Some(uid) = process::stdio_owner(config, process, host) {
        steps.push(planned("process.user", ProcessStep::StdioOwner(uid)));
    }
    // A child of the caller's has the caller's.
    steps.extend(config.core_sched.as_ref().map(|_| planned(CORE_SCHED, EnterStep::CoreOfInit)));
    match &process.exec_affinity {
        ExecAffinity { last: Some(cpus), .. } => {
            steps.push(planned("process.execCPUAffinity.final", ProcessStep::Affinity(cpus.clone())));
        }
        ExecAffinity { initial: None, .. } => steps.push(planned("", ProcessStep::AllProcessors)),
        ExecAffinity { initial: Some(_), .. } => {}
    }
    steps
}

impl Display for Exec {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "process in container {}, descriptors 0 to {}", self.id, self.first_closed_fd - 1)?;
        if let Some(cpus) = &self.initial_cpus {
            writeln!(f, "parent:\n  processors {}    # process.execCPUAffinity.initial", cpus.list)?;
        }
        match &self.cgroup {
            ExecCgroup::Containers => {
                writeln!(f, "launch:\n  clone3 into the container's cgroup, or init's")?;
            }
            ExecCgroup::Inits => writeln!(f, "launch:\n  clone3 into the cgroup that init is in")?,
            ExecCgroup::Below(path) => {
                writeln!(f, "launch:\n  clone3 into cgroup {path} of the container's")?;
            }
        }
        writeln!(f, "child:")?;
        numbered(f, &self.steps)
    }
}
