//! The calls of the task service. What may take its time becomes a job; all else is answered at
//! once.

use super::api::{
    Any, CheckpointOptions, CheckpointTaskRequest, CloseIoRequest, ConnectResponse, CreateTaskRequest,
    ExecProcessRequest, KillRequest, Options, PidsResponse, ProcessDetails, ProcessInfo, ProcessRequest,
    ResizePtyRequest, StatsResponse, TaskExecAdded, UpdateTaskRequest, status,
};
use super::job::{Done, Job, Standard};
use super::lifecycle::{Task, waited};
use super::metrics;
use super::pod::Pod;
use super::process::{Caller, Container, Key, Phase, Process, Sandbox};
use super::server::{Deletion, Pending, Shim};
use super::stdio::{self, Ends, Logger, Owner, Stdio};
use super::understudy::Note;
use super::wire::{Refused, code};
use super::work::{self, Membership, Restoration};
use crate::cmd::kill::{self, Whom};
use crate::protobuf::Declared;
use crate::sys::{self, Errno, process, tty};
use anyhow::Context;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// How long the output of a process that is to be forgotten may take to go where it goes.
const DRAIN: Duration = Duration::from_secs(2);

/// The answer to a call; none: it comes later.
pub(super) type Answer = Result<Option<Vec<u8>>, Refused>;

/// What a call answers that has nothing to tell.
pub(super) const NOTHING: Answer = Ok(Some(Vec::new()));

pub(super) fn decoded<T: Declared>(payload: &[u8]) -> Result<T, Refused> {
    T::decode(payload).ok_or_else(|| Refused::new(code::INVALID_ARGUMENT, "the message is not well formed"))
}

pub(super) fn now(answer: &impl Declared) -> Answer {
    Ok(Some(answer.encode()))
}

pub(super) fn not_found(what: &str, name: &str) -> Refused {
    Refused::new(code::NOT_FOUND, format!("{what} {name}: not found"))
}

fn precondition(message: impl Into<String>) -> Refused {
    Refused::new(code::FAILED_PRECONDITION, message)
}

fn has_ended() -> Refused {
    Refused::new(code::NOT_FOUND, "process already finished")
}

impl Shim {
    /// Do what is asked.
    pub(super) fn call(&mut self, caller: Caller, method: &str, payload: &[u8]) -> Answer {
        match method {
            "State" => self.state(&decoded(payload)?),
            "Create" => self.create(caller, decoded(payload)?),
            "Start" => self.start(caller, &decoded(payload)?),
            "Delete" => self.delete(caller, &decoded(payload)?),
            "Pids" => self.pids(&decoded(payload)?),
            "Pause" => self.pause(caller, &decoded(payload)?),
            "Resume" => self.resume(caller, &decoded(payload)?),
            "Checkpoint" => self.checkpoint(caller, decoded(payload)?),
            "Kill" => self.kill(&decoded(payload)?),
            "Exec" => self.exec(decoded(payload)?),
            "ResizePty" => self.resize(&decoded(payload)?),
            "CloseIO" => self.close_io(&decoded(payload)?),
            "Update" => self.update(caller, decoded(payload)?),
            "Wait" => self.wait(caller, &decoded(payload)?),
            "Stats" => self.stats(&decoded(payload)?),
            "Connect" => self.connect(&decoded(payload)?),
            "Shutdown" => {
                self.abandon(None);
                self.end();
                NOTHING
            }
            _ => Err(Refused::new(code::UNIMPLEMENTED, format!("method {method}"))),
        }
    }

    /// A container that was made.
    pub(super) fn container(&self, id: &str) -> Result<&Container, Refused> {
        let is_made = |container: &&Container| {
            let is_there = self.processes.get(&container.init).is_some_and(|init| init.pid != 0);
            is_there || !container.checkpoint.is_empty()
        };
        self.containers.get(id).filter(is_made).ok_or_else(|| not_found("container", id))
    }

    fn key(&self, id: &str, exec_id: &str) -> Result<Key, Refused> {
        let container = self.container(id)?;
        match exec_id {
            "" => Ok(container.init),
            exec_id => container.execs.get(exec_id).copied().ok_or_else(|| not_found("process", exec_id)),
        }
    }

    pub(super) fn process(&self, id: &str, exec_id: &str) -> Result<&Process, Refused> {
        let key = self.key(id, exec_id)?;
        self.processes.get(&key).ok_or_else(|| not_found("process", exec_id))
    }

    pub(super) fn process_mut(&mut self, id: &str, exec_id: &str) -> Result<&mut Process, Refused> {
        let key = self.key(id, exec_id)?;
        self.processes.get_mut(&key).ok_or_else(|| not_found("process", exec_id))
    }

    /// Have a job done, and answer when it is.
    pub(super) fn later(
        &mut self,
        caller: Caller,
        task: Task,
        ends: Option<&Ends>,
        work: impl FnOnce(OwnedFd) -> anyhow::Result<Done>,
    ) -> Answer {
        let standard = ends.map_or(Standard::Shims, |Ends { stdin, stdout, stderr, .. }| {
            Standard::Processes([stdin, stdout, stderr].map(|end| end.as_ref().map(AsFd::as_fd)))
        });
        let job = Job::begin(&standard, work)
            .map_err(|errno| Refused::new(code::UNKNOWN, format!("clone3: {}", sys::describe(errno))))?;
        let number = self.number();
        self.pending.insert(number, Pending { job, task, caller, is_foreign: false });
        Ok(None)
    }

    /// A job on a container that has nothing to do with its streams.
    fn later_on(
        &mut self,
        caller: Caller,
        id: &str,
        task: Task,
        work: impl FnOnce(&crate::cmd::Global) -> anyhow::Result<Done>,
    ) -> Answer {
        let container = self.container(id)?;
        let (root, options) = (container.root.clone(), container.options.clone());
        self.later(caller, task, None, move |_| work(&work::global(&root, &options)))
    }

    fn create(&mut self, caller: Caller, request: CreateTaskRequest) -> Answer {
        let options = Options::read(request.options.as_ref())?;
        self.make(caller, request, options, None)
    }

    /// Make a container, or the sandbox of a pod.
    pub(super) fn make(
        &mut self,
        caller: Caller,
        request: CreateTaskRequest,
        options: Options,
        pod: Option<Pod>,
    ) -> Answer {
        let id = request.id.clone();
        if self.containers.contains_key(&id) {
            return Err(Refused::new(code::ALREADY_EXISTS, format!("container {id}: already exists")));
        }
        let root = options.root(&self.namespace);
        work::remember(Path::new(&request.bundle), &root)?;
        let stdio = Stdio {
            stdin: request.stdin.clone(),
            stdout: request.stdout.clone(),
            stderr: request.stderr.clone(),
            terminal: request.terminal,
        };
        let mut init = Process::new(&id, "", stdio);
        let is_restored = !request.checkpoint.is_empty();
        let mut ends = Ends::default();
        if !is_restored {
            (ends, init.streams) = stdio::open(&init.stdio, owner(&options))?;
        }
        let key = self.number();
        self.processes.insert(key, init);
        let mut container = Container::new(&request.bundle, options.clone(), root.clone(), key);
        container.checkpoint.clone_from(&request.checkpoint);
        container.sandbox =
            pod.as_ref().map(|pod| Sandbox { created: SystemTime::now(), has_cgroup: pod.has_cgroup() });
        self.understudy.iter().for_each(|understudy| {
            let (id, bundle, root) = (id.clone(), request.bundle.clone(), root.display().to_string());
            understudy.note(&Note { id, bundle, root, ..Note::of(caller) });
        });
        self.containers.insert(id.clone(), container);
        let logger = self.logger(&mut ends, &id);
        let asked = request.clone();
        let task = Task::Create(Box::new(request));
        let pods = self.pods();
        let begun = self.later(caller, task, Some(&ends), move |console| {
            let console = Some(console).filter(|_| asked.terminal);
            work::create(&root, &options, &asked, &Membership { pod, pods }, logger, console)
        });
        if begun.is_err() {
            self.containers.remove(&id);
            self.processes.remove(&key);
        }
        begun
    }

    /// The program that takes the log, which is told of whom.
    fn logger(&self, ends: &mut Ends, id: &str) -> Option<Logger> {
        let variables = [format!("CONTAINER_ID={id}"), format!("CONTAINER_NAMESPACE={}", self.namespace)];
        ends.logger.take().map(|logger| Logger { variables: variables.into(), ..logger })
    }

    pub(super) fn start(&mut self, caller: Caller, request: &ProcessRequest) -> Answer {
        let (id, key) = (request.id.clone(), self.key(&request.id, &request.exec_id)?);
        let container = self.container(&id)?;
        let (root, options, bundle) =
            (container.root.clone(), container.options.clone(), container.bundle.clone());
        let (checkpoint, init) = (container.checkpoint.clone(), container.init);
        if key != init && self.processes.get(&init).is_some_and(|init| init.ended.is_some()) {
            return Err(precondition(format!("container {id}: its first process is not running")));
        }
        let process = self.process_mut(&id, &request.exec_id)?;
        if process.phase != Phase::Made || process.is_told {
            return Err(precondition("the process has been started already"));
        }
        let mut ends = Ends::default();
        // The streams of a container's process are open since it was made.
        let is_born = key != init || !checkpoint.is_empty();
        if is_born {
            (ends, process.streams) = stdio::open(&process.stdio, owner(&options))?;
        }
        process.phase = Phase::Starting;
        let (spec, terminal) = (process.spec.clone(), process.stdio.terminal);
        let logger = self.logger(&mut ends, if key == init { &id } else { &request.exec_id });
        let begun = self.later(caller, Task::Start(key), is_born.then_some(&ends), move |console| {
            let global = work::global(&root, &options);
            match (key == init, checkpoint.as_str()) {
                (false, _) => work::exec(&global, &id, &spec, logger, Some(console).filter(|_| terminal)),
                (true, "") => work::start(&global, &id),
                (true, checkpoint) => {
                    let order = Restoration {
                        id: &id,
                        bundle: Path::new(&bundle),
                        checkpoint: Path::new(checkpoint),
                    };
                    work::restore(&root, &options, &order, logger, Some(console))
                }
            }
        });
        if begun.is_err() {
            self.processes.get_mut(&key).into_iter().for_each(|process| process.phase = Phase::Made);
        }
        begun
    }

    fn delete(&mut self, caller: Caller, request: &ProcessRequest) -> Answer {
        if request.exec_id.is_empty() {
            self.abandon(Some(&request.id));
        }
        let key = self.key(&request.id, &request.exec_id)?;
        let process = self.process(&request.id, &request.exec_id)?;
        if process.phase == Phase::Starting || (process.phase == Phase::Started && process.is_alive()) {
            return Err(precondition("cannot delete a running process"));
        }
        if self.is_forgetting(key) {
            // A containerd that was killed meanwhile asks once more.
            self.process_mut(&request.id, &request.exec_id)?.forgetting.push(caller);
            return Ok(None);
        }
        if self.container(&request.id)?.is_busy {
            return Err(precondition("the container is being made"));
        }
        self.deletions.push(Deletion { process: key, caller, deadline: Instant::now() + DRAIN });
        Ok(None)
    }

    /// Forget a container whose first process has nothing more to say.
    pub(super) fn begin_deletion(&mut self, key: Key, caller: Caller) {
        let Some(id) = self.processes.get(&key).map(|process| process.container.clone()) else { return };
        let Some(container) = self.containers.get_mut(&id) else { return };
        container.is_busy = true;
        let bundle = PathBuf::from(&container.bundle);
        let (name, root, options) = (id.clone(), container.root.clone(), container.options.clone());
        let work = move |_| work::forget(&work::global(&root, &options), &name, &bundle);
        let begun = self.later(caller, Task::Delete(key), None, work);
        if let Err(refused) = begun {
            self.containers.get_mut(&id).into_iter().for_each(|container| container.is_busy = false);
            self.reply(caller, Err(refused));
        }
    }

    fn exec(&mut self, request: ExecProcessRequest) -> Answer {
        let ExecProcessRequest { id, exec_id, terminal, stdin, stdout, stderr, spec } = request;
        let container = self.container(&id)?;
        if exec_id.is_empty() || container.execs.contains_key(&exec_id) {
            return Err(Refused::new(code::ALREADY_EXISTS, format!("id {exec_id}")));
        }
        let mut process = Process::new(&id, &exec_id, Stdio { stdin, stdout, stderr, terminal });
        process.spec = spec.unwrap_or_default().value;
        let key = self.number();
        self.processes.insert(key, process);
        self.containers.get_mut(&id).and_then(|container| container.execs.insert(exec_id.clone(), key));
        let event = TaskExecAdded { container_id: id, exec_id };
        self.publisher.publish("/tasks/exec-added", "TaskExecAdded", &event);
        NOTHING
    }

    fn state(&self, request: &ProcessRequest) -> Answer {
        let container = self.container(&request.id)?;
        let mut state = self.process(&request.id, &request.exec_id)?.state(&container.bundle);
        let is_frozen = || container.cgroup.as_ref().is_some_and(crate::cgroup::Cgroup::is_frozen);
        if state.status == status::RUNNING && request.exec_id.is_empty() && is_frozen() {
            state.status = status::PAUSED;
        }
        now(&state)
    }

    fn pids(&self, request: &ProcessRequest) -> Answer {
        let container = self.container(&request.id)?;
        let mut pids = container.cgroup.as_ref().map_or(Ok(Vec::new()), crate::cgroup::Cgroup::processes)?;
        // Those of a pid namespace that this process does not see into are listed as 0.
        pids.retain(|pid| *pid != 0);
        pids.sort_unstable();
        let execs: Vec<&Process> =
            container.execs.values().filter_map(|key| self.processes.get(key)).collect();
        let info = |pid: i32| {
            let exec = execs.iter().find(|process| process.pid == pid)?;
            let details = ProcessDetails { exec_id: exec.exec_id.clone() };
            Some(Any::pack("containerd.runc.v1.ProcessDetails", &details))
        };
        let processes =
            pids.into_iter().map(|pid| ProcessInfo { pid: pid as u32, info: info(pid) }).collect();
        now(&PidsResponse { processes })
    }

    fn pause(&mut self, caller: Caller, request: &ProcessRequest) -> Answer {
        let id = request.id.clone();
        self.later_on(caller, &request.id, Task::Pause(id.clone()), move |global| work::pause(global, &id))
    }

    fn resume(&mut self, caller: Caller, request: &ProcessRequest) -> Answer {
        let id = request.id.clone();
        self.later_on(caller, &request.id, Task::Resume(id.clone()), move |global| work::resume(global, &id))
    }

    fn update(&mut self, caller: Caller, request: UpdateTaskRequest) -> Answer {
        let resources = request.resources.unwrap_or_default().value;
        let id = request.id.clone();
        self.later_on(caller, &request.id, Task::Update, move |global| work::update(global, &id, &resources))
    }

    fn checkpoint(&mut self, caller: Caller, request: CheckpointTaskRequest) -> Answer {
        let options = CheckpointOptions::read(request.options.as_ref())?;
        let container = self.container(&request.id)?;
        let given = &container.options.criu_work_path;
        let work = if given.is_empty() { Path::new(&container.bundle).join("work") } else { given.into() };
        let (id, path) = (request.id.clone(), request.path.clone());
        self.later_on(
            caller,
            &request.id,
            Task::Checkpoint(request.id.clone(), request.path),
            move |global| work::checkpoint(global, &id, &path, &options, &work),
        )
    }

    pub(super) fn kill(&mut self, request: &KillRequest) -> Answer {
        let container = self.container(&request.id)?;
        let process = self.process(&request.id, &request.exec_id)?;
        if process.pid == 0 {
            return Err(precondition("the process is not there yet"));
        }
        let signal = request.signal as i32;
        if request.exec_id.is_empty() {
            if process.is_told && !request.all {
                return Err(has_ended());
            }
            let whom = if request.all { Whom::All } else { Whom::First };
            let global = work::global(&container.root, &container.options);
            let id = request.id.parse().map_err(anyhow::Error::from)?;
            let sent = global.store().open(&id).and_then(|found| kill::send(&found, signal, whom));
            return match sent {
                Err(err) if format!("{err:#}").contains("not running") => Err(has_ended()),
                sent => Ok(sent.map(|()| Some(Vec::new()))?),
            };
        }
        let Some(pidfd) = &process.pidfd else { return Err(has_ended()) };
        match process::pidfd_send_signal(pidfd.as_fd(), signal) {
            Ok(()) => NOTHING,
            Err(Errno::ESRCH) => Err(has_ended()),
            Err(errno) => Err(Refused::new(
                code::UNKNOWN,
                format!("pidfd_send_signal {signal}: {}", sys::describe(errno)),
            )),
        }
    }

    fn resize(&mut self, request: &ResizePtyRequest) -> Answer {
        let process = self.process(&request.id, &request.exec_id)?;
        let Some(terminal) = &process.terminal else { return NOTHING };
        let size = tty::Size { rows: request.height as u16, columns: request.width as u16 };
        tty::set_size(terminal.as_fd(), size).context("TIOCSWINSZ")?;
        NOTHING
    }

    fn close_io(&mut self, request: &CloseIoRequest) -> Answer {
        if request.stdin {
            self.process_mut(&request.id, &request.exec_id)?.streams.close_stdin();
        }
        NOTHING
    }

    pub(super) fn wait(&mut self, caller: Caller, request: &ProcessRequest) -> Answer {
        let process = self.process_mut(&request.id, &request.exec_id)?;
        if let Some(end) = process.end() {
            return Ok(Some(waited(end)));
        }
        process.waiting.push(caller);
        Ok(None)
    }

    fn stats(&self, request: &ProcessRequest) -> Answer {
        let container = self.container(&request.id)?;
        let cgroup =
            container.cgroup.as_ref().ok_or_else(|| not_found("cgroup of container", &request.id))?;
        let stats = Any { type_url: metrics::NAME.into(), value: metrics::read(cgroup)? };
        now(&StatsResponse { stats: Some(stats) })
    }

    fn connect(&self, request: &ProcessRequest) -> Answer {
        let task_pid = self.process(&request.id, "").map_or(0, |process| process.pid) as u32;
        now(&ConnectResponse {
            shim_pid: std::process::id(),
            task_pid,
            version: env!("CARGO_PKG_VERSION").into(),
        })
    }
}

fn owner(options: &Options) -> Owner {
    Owner { uid: options.io_uid, gid: options.io_gid }
}
