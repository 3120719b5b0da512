//! A process for a container that is there: config.json, the process that is asked for and a request, to an [`Exec`].

use super::{Console, Keyring, Planned, Step, mounts, planned, process};
use crate::config::{Config, ExecAffinity, Invalid, Namespace, NumberSet, Place, Process};
use crate::host::Host;

/// What the caller of `exec` asks beside the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecRequest {
    /// The container's id.
    pub id: String,
    /// Whether the container's processes have a session keyring of their own.
    pub keyring: Keyring,
    /// How many descriptors after standard error the process keeps.
    pub preserve_fds: u32,
    /// Variables that announce such descriptors (sd_listen_fds(3)).
    pub listen_env: Vec<String>,
    /// Where the process is counted and limited.
    pub cgroup: ExecCgroup,
}

/// The cgroup of a process of `exec`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecCgroup {
    /// The container's or, where that takes no processes, the one that init has moved to.
    Containers,
    /// One below the container's, which must be there (`--cgroup`).
    Below(String),
}

/// All that will be done to run a process in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    /// The container's id.
    pub id: String,
    /// The number of the first descriptor that the process does not keep.
    pub keep_fds: i32,
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
        self.steps.iter().any(|planned| matches!(planned.step, Step::Terminal { .. }))
    }
}

/// Decide all that is done to run `process` in the container that `config` describes.
///
/// What enters the namespaces is a child of the runtime that has closed everything of the host's, and what enters the pid
/// namespace is that child's child: when a process of the container's can see it first, its root, its working directory and
/// its descriptors are the container's already.
pub fn exec(config: &Config, process: &Process, request: &ExecRequest, host: &Host) -> Result<Exec, Invalid> {
    let mut steps = Vec::new();
    // The host's /proc is in reach until the namespaces are entered. The caller's own score, often one that spares it, is not
    // for the container.
    if let Some(score) = process.oom_score_adj {
        steps.push(planned("process.oomScoreAdj", Step::OomScoreAdj(score)));
    }
    // Rights that a user namespace does not give.
    let in_user_namespace = config.namespaces.own(Namespace::User);
    if let Some(scheduler) = process.scheduler.filter(|_| in_user_namespace) {
        steps.push(planned("process.scheduler", Step::Scheduler(scheduler)));
    }
    if let Some(priority) = process.io_priority.filter(|_| in_user_namespace) {
        steps.push(planned("process.ioPriority", Step::IoPriority(priority)));
    }
    if in_user_namespace {
        steps.extend(process::ceilings(process, Step::HardLimit));
    }
    if let Some(uid) = process::stdio_owner(config, process, host) {
        steps.push(planned("process.user", Step::StdioOwner(uid)));
    }
    match &process.exec_affinity {
        ExecAffinity { last: Some(cpus), .. } => {
            steps.push(planned("process.execCPUAffinity.final", Step::Affinity(cpus.clone())));
        }
        ExecAffinity { initial: None, .. } => steps.push(planned("", Step::AllProcessors)),
        ExecAffinity { initial: Some(_), .. } => {}
    }
    let own: Vec<Namespace> =
        Namespace::ALL.into_iter().filter(|kind| config.namespaces.own(*kind)).collect();
    if !own.is_empty() {
        steps.push(planned("linux.namespaces", Step::Enter(own)));
    }
    // The root of a new mount namespace is the container's. Elsewhere only a chroot(2) makes it that.
    if *config.namespaces.of(Namespace::Mount) != Place::New {
        steps.push(planned("root.path", Step::RootDirectory(config.root.path.clone())));
        steps.push(planned("", Step::Chroot));
    }
    steps.push(planned("", Step::Fork));
    if in_user_namespace {
        let groups = process::groups(config);
        steps.push(planned("linux.namespaces", Step::NamespaceRoot { groups }));
    }
    steps.push(planned("", Step::Session));
    if request.keyring == Keyring::New {
        steps.push(process::keyring(&request.id, Some(process)));
    }
    if process.terminal {
        let (size, uid) = (process.console_size, process.user.uid);
        steps.push(planned("process.terminal", Step::RootDirectory("/".into())));
        steps.push(planned("process.terminal", Step::Terminal { size, uid, console: Console::None }));
    } else {
        steps.extend(mounts::own_null(config));
    }
    let gate = vec![planned("", Step::AwaitRecord)];
    steps.append(&mut process::steps(config, process, gate, None, &request.listen_env, host)?);
    let keep_fds = 3 + request.preserve_fds as i32;
    let initial_cpus = process.exec_affinity.initial.clone();
    Ok(Exec { id: request.id.clone(), keep_fds, cgroup: request.cgroup.clone(), initial_cpus, steps })
}
