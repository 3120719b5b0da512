//! What follows when a job is done or a process has ended: answers, and events in containerd's
//! order.

use super::api::{
    Any, CreateTaskRequest, DeleteResponse, PidResponse, StartSandboxResponse, TaskCheckpointed, TaskCreate,
    TaskDelete, TaskExecStarted, TaskExit, TaskIo, TaskStart, TaskTold, WaitResponse,
};
use super::job::{Done, Undone};
use super::process::{Caller, Ended, Key, Phase};
use super::server::{Pending, Shim};
use super::wire::{Refused, code};
use super::work;
use crate::cgroup::Kills;
use crate::log::say;
use crate::protobuf::Declared;
use crate::state::{Event, What};
use crate::sys::{describe, process};
use std::path::Path;
use std::time::Instant;

/// What a job is for.
#[derive(Debug)]
pub enum Task {
    /// Of the container's first process.
    Create(Box<CreateTaskRequest>),
    /// Of this process.
    Start(Key),
    /// Of the container with this first process.
    Delete(Key),
    /// Of this container.
    Pause(String),
    /// Of this container.
    Resume(String),
    /// Of a container's limits.
    Update,
    /// Of how a container has ended.
    Keep,
    /// Of this container, to this folder.
    Checkpoint(String, String),
}

/// The name of a config.json.
const SPEC: &str = "types.containerd.io/opencontainers/runtime-spec/1/Spec";

/// What a call answers that has nothing to tell.
const NOTHING: Vec<u8> = Vec::new();

impl Shim {
    /// A job says something.
    pub(super) fn hear_job(&mut self, number: u64) {
        let Some(pending) = self.pending.get_mut(&number) else { return };
        let Some(outcome) = pending.job.hear() else { return };
        let Some(pending) = self.pending.remove(&number) else { return };
        if let Ok(done) = &outcome {
            done.warnings.iter().for_each(|warning| say(&format!("warning: {warning}")));
        }
        if self.mend(&pending, outcome.as_ref().err()) {
            return;
        }
        let outcome = outcome.map_err(|undone| refused(undone.to_string()));
        let Pending { job, task, caller, is_foreign } = pending;
        let key = match &task {
            Task::Create(request) => self.containers.get(&request.id).map(|container| container.init),
            Task::Start(key) => Some(*key),
            _ => None,
        };
        if let (Some(terminal), Some(process)) =
            (job.terminal, key.and_then(|key| self.processes.get_mut(&key)))
        {
            if let Err(errno) = process.streams.attach(&terminal) {
                say(&format!("terminal of {}: {}", process.container, describe(errno)));
            }
            process.terminal = Some(terminal);
        }
        let answer = match task {
            Task::Create(request) => {
                let container = self.containers.get(&request.id);
                let is_abandoned = container.is_some_and(|container| container.is_abandoned);
                let created = self.created(&request, outcome);
                if is_abandoned {
                    return self.forget_abandoned(&request.id, caller);
                }
                created
            }
            Task::Start(key) => self.started(key, outcome),
            Task::Delete(key) => return self.deleted(key, outcome, caller),
            Task::Pause(id) => outcome.map(|_| self.tell("/tasks/paused", "TaskPaused", &id)),
            Task::Resume(id) => outcome.map(|_| self.tell("/tasks/resumed", "TaskResumed", &id)),
            Task::Update => outcome.map(|_| NOTHING),
            // Whoever had the lock may have deleted it.
            Task::Keep => return,
            Task::Checkpoint(container_id, checkpoint) => outcome.map(|_| {
                let event = TaskCheckpointed { container_id, checkpoint };
                self.publisher.publish("/tasks/checkpointed", "TaskCheckpointed", &event);
                NOTHING
            }),
        };
        self.reply(caller, answer);
        key.into_iter().filter(|_| is_foreign).for_each(|key| self.look_after(key));
        // Whoever was told that it has started is told now that it has ended.
        let Some(key) = key else { return };
        self.tell_end(key);
        // The first process's end waits for those of `exec`, one that did not begin among them.
        let container = self.processes.get(&key).and_then(|process| self.containers.get(&process.container));
        if let Some(init) = container.map(|container| container.init) {
            self.tell_end(init);
        }
    }

    /// Tell of something that has happened to a container.
    fn tell(&mut self, topic: &str, name: &str, id: &str) -> Vec<u8> {
        self.publish(id, topic, name, &TaskTold { container_id: id.into() });
        NOTHING
    }

    /// Publish an event of a container, unless it is a sandbox: tasks have events, and it is none.
    fn publish(&mut self, id: &str, topic: &str, name: &str, event: &impl Declared) {
        if self.sandbox(id).is_none() {
            self.publisher.publish(topic, name, event);
        }
    }

    fn created(
        &mut self,
        request: &CreateTaskRequest,
        outcome: Result<Done, Refused>,
    ) -> Result<Vec<u8>, Refused> {
        let pid = match outcome {
            Ok(done) => done.pid,
            Err(refused) => {
                let container = self.containers.remove(&request.id);
                container.and_then(|container| self.processes.remove(&container.init));
                return Err(prefixed("create", &refused));
            }
        };
        let event = TaskCreate {
            container_id: request.id.clone(),
            bundle: request.bundle.clone(),
            rootfs: request.rootfs.clone(),
            io: Some(TaskIo {
                stdin: request.stdin.clone(),
                stdout: request.stdout.clone(),
                stderr: request.stderr.clone(),
                terminal: request.terminal,
            }),
            checkpoint: request.checkpoint.clone(),
            pid: pid as u32,
        };
        self.publish(&request.id, "/tasks/create", "TaskCreate", &event);
        if let Some(container) = self.containers.get_mut(&request.id) {
            container.is_busy = false;
            let init = container.init;
            if pid != 0 {
                self.know(init, pid);
                self.watch(&request.id);
            }
        }
        let is_sandbox = self.sandbox(&request.id).is_some();
        Ok(if is_sandbox { NOTHING } else { PidResponse { pid: pid as u32 }.encode() })
    }

    /// A process was made. It may have ended by now.
    fn know(&mut self, key: Key, pid: i32) {
        let Some(process) = self.processes.get_mut(&key) else { return };
        process.pid = pid;
        process.ended = self.strays.remove(&pid);
        if process.ended.is_none() {
            // Its parent is this process, or the job that ends: it is not reaped yet.
            process.pidfd = process::pidfd_open(pid).ok();
        }
    }

    /// Take over what is recorded of a container that was made.
    fn watch(&mut self, id: &str) {
        let Some(container) = self.containers.get_mut(id) else { return };
        let global = work::global(&container.root, &container.options);
        let found = id.parse().map_err(anyhow::Error::from).and_then(|id| global.store().open(&id));
        let record = match found {
            Ok(record) => record,
            Err(err) => return say(&format!("{id}: {}", crate::log::message(&err))),
        };
        container.private_pids = record.state.private_pids;
        container.cgroup = record.state.open_cgroup().ok().flatten();
        container.dir = Some(record.dir);
        container.kills = container.cgroup.as_ref().and_then(|cgroup| Kills::new(cgroup).ok());
    }

    fn started(&mut self, key: Key, outcome: Result<Done, Refused>) -> Result<Vec<u8>, Refused> {
        let Some(process) = self.processes.get_mut(&key) else { return Err(gone()) };
        let done = match outcome {
            Ok(done) => done,
            Err(refused) => {
                process.phase = Phase::Made;
                let verb = if process.exec_id.is_empty() { "start" } else { "exec" };
                return Err(prefixed(verb, &refused));
            }
        };
        process.phase = Phase::Started;
        let (container_id, exec_id) = (process.container.clone(), process.exec_id.clone());
        if done.pid != 0 {
            self.know(key, done.pid);
            if exec_id.is_empty() {
                self.watch(&container_id);
            }
        }
        let pid = self.processes.get(&key).map_or(0, |process| process.pid) as u32;
        if let Some(sandbox) = self.sandbox(&container_id) {
            let created_at = Some(sandbox.created.into());
            let spec = self.containers.get(&container_id).and_then(|container| spec_of(&container.bundle));
            return Ok(StartSandboxResponse { pid, created_at, spec }.encode());
        }
        if exec_id.is_empty() {
            self.publisher.publish("/tasks/start", "TaskStart", &TaskStart { container_id, pid });
        } else {
            let event = TaskExecStarted { container_id, exec_id, pid };
            self.publisher.publish("/tasks/exec-started", "TaskExecStarted", &event);
        }
        Ok(PidResponse { pid }.encode())
    }

    /// Tell that a process has ended, if it has, and if nothing is to be told before that.
    pub(super) fn tell_end(&mut self, key: Key) {
        let Some(process) = self.processes.get(&key) else { return };
        let Some(ended) = process.ended.filter(|_| !process.is_told && process.phase != Phase::Starting)
        else {
            return;
        };
        let (container_id, exec_id) = (process.container.clone(), process.exec_id.clone());
        if exec_id.is_empty() {
            self.end_others(&container_id);
            if self.has_others(&container_id) {
                return;
            }
            self.tell_kills(key);
            self.keep_end(key, ended);
        }
        let Some(process) = self.processes.get_mut(&key) else { return };
        process.is_told = true;
        process.pidfd = None;
        let waiting = std::mem::take(&mut process.waiting);
        let stopping = std::mem::take(&mut process.stopping);
        let event = TaskExit {
            id: if exec_id.is_empty() { container_id.clone() } else { exec_id.clone() },
            container_id: container_id.clone(),
            pid: process.pid as u32,
            exit_status: ended.status,
            exited_at: ended.time(),
        };
        self.publish(&container_id, "/tasks/exit", "TaskExit", &event);
        // A container's own end is in its record.
        if !exec_id.is_empty() {
            self.note_end(&container_id, event.pid as i32, ended);
        }
        for caller in waiting {
            self.reply(caller, Ok(waited(ended)));
        }
        for caller in stopping {
            self.reply(caller, Ok(NOTHING));
        }
        if let Some(container) = self.containers.get(&container_id).filter(|_| !exec_id.is_empty()) {
            self.tell_end(container.init);
        }
    }

    /// Note the end of a process of exec among the container's events.
    fn note_end(&self, id: &str, pid: i32, ended: Ended) {
        let Some(dir) = self.containers.get(id).and_then(|container| container.dir.as_ref()) else { return };
        let event =
            Event { pid: Some(pid), status: Some(ended.status as i32), ..Event::now(What::ExecExit, id) };
        if let Err(err) = dir.note(&event) {
            say(&crate::log::message(&err));
        }
    }

    /// Record how a container has ended, before anybody is told. Its lock is not waited for.
    fn keep_end(&mut self, key: Key, ended: Ended) {
        let Some(process) = self.processes.get(&key).filter(|_| !self.is_forgetting(key)) else { return };
        let (id, pid) = (process.container.clone(), process.pid);
        let Some(container) = self.containers.get(&id) else { return };
        let (root, options) = (container.root.clone(), container.options.clone());
        let told = crate::state::Ended::at(ended.status as i32, ended.at);
        match work::keep_end(&work::global(&root, &options), &id, pid, told.clone()) {
            Ok(true) => {}
            Ok(false) => {
                let work = move |_| work::keep_end_later(&work::global(&root, &options), &id, pid, told);
                let _ = self.later(Caller::NOBODY, Task::Keep, None, work);
            }
            Err(err) => say(&format!("{id}: {}", crate::log::message(&err))),
        }
    }

    /// Without a pid namespace of its own, a container's other processes do not end with the first.
    fn end_others(&mut self, id: &str) {
        let Some(container) = self.containers.get(id).filter(|container| !container.private_pids) else {
            return;
        };
        if let Some(Err(err)) = container.cgroup.as_ref().map(crate::cgroup::Cgroup::kill) {
            say(&format!("{id}: {}", crate::log::message(&err)));
        }
    }

    /// Whether a process of `exec` is there, or about to be.
    fn has_others(&self, id: &str) -> bool {
        let Some(container) = self.containers.get(id) else { return false };
        container
            .execs
            .values()
            .filter_map(|key| self.processes.get(key))
            .any(|process| process.phase == Phase::Starting || process.is_alive())
    }

    /// Tell if the kernel has killed processes for memory.
    pub(super) fn tell_kills(&mut self, init: Key) {
        let Some(id) = self.processes.get(&init).map(|process| process.container.clone()) else { return };
        let kills = self.containers.get_mut(&id).and_then(|container| container.kills.as_mut());
        if kills.is_some_and(Kills::have_come) {
            self.tell("/tasks/oom", "TaskOOM", &id);
        }
    }

    /// Go on with the deletion of processes whose output has gone where it goes, or that have had
    /// their time.
    pub(super) fn delete_drained(&mut self) {
        let now = Instant::now();
        let processes = &self.processes;
        let is_ready = |key: &Key, deadline: Instant| {
            deadline <= now || processes.get(key).is_none_or(|process| process.streams.are_drained())
        };
        let (ready, rest) = std::mem::take(&mut self.deletions)
            .into_iter()
            .partition(|deletion| is_ready(&deletion.process, deletion.deadline));
        self.deletions = rest;
        let ready: Vec<super::server::Deletion> = ready;
        for deletion in ready {
            let is_first =
                self.processes.get(&deletion.process).is_some_and(|process| process.exec_id.is_empty());
            if is_first {
                self.begin_deletion(deletion.process, deletion.caller);
            } else {
                self.forget_exec(deletion.process, deletion.caller);
            }
        }
    }

    /// Whether a process is being forgotten.
    pub(super) fn is_forgetting(&self, key: Key) -> bool {
        let is_of = |task: &Task| matches!(task, Task::Delete(deleted) if *deleted == key);
        self.deletions.iter().any(|deletion| deletion.process == key)
            || self.pending.values().any(|pending| is_of(&pending.task))
    }

    /// What is being made for a client that is gone is not wanted: who is there now was told that
    /// there is nothing. That is so from `Delete` of this container on, and from `Shutdown` on of
    /// all.
    pub(super) fn abandon(&mut self, whose: Option<&str>) {
        for pending in self.pending.values() {
            if let Task::Create(request) = &pending.task
                && whose.is_none_or(|id| id == request.id)
                && !self.is_connected(pending.caller)
                && let Some(container) = self.containers.get_mut(&request.id)
            {
                container.is_abandoned = true;
            }
        }
    }

    fn forget_abandoned(&mut self, id: &str, caller: Caller) {
        match self.containers.get(id).map(|container| container.init) {
            Some(init) => self.begin_deletion(init, caller),
            None => self.end(),
        }
    }

    fn forget_exec(&mut self, key: Key, caller: Caller) {
        let Some(process) = self.processes.remove(&key) else { return self.reply(caller, Err(gone())) };
        if let Some(container) = self.containers.get_mut(&process.container) {
            container.execs.remove(&process.exec_id);
        }
        let answer = forgotten(process.pid, process.end());
        self.release(process.waiting);
        self.answer_all(caller, process.forgetting, &Ok(answer));
    }

    /// Nobody will know any more how it has ended.
    fn release(&mut self, waiting: Vec<Caller>) {
        for caller in waiting {
            self.reply(caller, Err(gone()));
        }
    }

    fn deleted(&mut self, key: Key, outcome: Result<Done, Refused>, caller: Caller) {
        if let Err(err) = self.reap() {
            say(&crate::log::message(&err));
        }
        let Some(id) = self.processes.get(&key).map(|process| process.container.clone()) else { return };
        if let Err(refused) = outcome {
            if let Some(container) = self.containers.get_mut(&id) {
                container.is_busy = false;
                let asker = container.asker.take();
                asker.into_iter().for_each(|asker| self.reply(asker, Err(prefixed("create", &refused))));
            }
            let others = self.processes.get_mut(&key).map(|process| std::mem::take(&mut process.forgetting));
            return self.answer_all(caller, others.unwrap_or_default(), &Err(prefixed("delete", &refused)));
        }
        let Some(container) = self.containers.remove(&id) else { return };
        for exec in
            container.execs.into_values().filter_map(|exec| self.processes.remove(&exec)).collect::<Vec<_>>()
        {
            self.release(exec.waiting);
            self.release(exec.forgetting);
        }
        let Some(process) = self.processes.remove(&key) else { return };
        self.release(process.waiting);
        self.release(process.stopping);
        let (pid, end) = (process.pid, process.ended);
        if container.sandbox.is_some() {
            self.answer_all(caller, process.forgetting, &Ok(NOTHING));
            return self.end();
        }
        let event = TaskDelete {
            container_id: id,
            pid: pid as u32,
            exit_status: end.map_or(0, |end| end.status),
            exited_at: end.and_then(|end| end.time()),
            id: String::new(),
        };
        self.publisher.publish("/tasks/delete", "TaskDelete", &event);
        self.answer_all(caller, process.forgetting, &Ok(forgotten(pid, end)));
        if let Some(asker) = container.asker {
            let killed = Refused::new(code::UNAVAILABLE, Undone::Killed.to_string());
            self.reply(asker, Err(prefixed("create", &killed)));
        }
        if container.is_abandoned {
            self.end();
        }
    }

    /// The answer for whoever asked first, and for others who asked meanwhile.
    fn answer_all(&mut self, caller: Caller, others: Vec<Caller>, answer: &Result<Vec<u8>, Refused>) {
        for caller in std::iter::once(caller).chain(others) {
            self.reply(caller, answer.clone());
        }
    }
}

/// The config.json of a bundle, as plugins of containerd's take it.
fn spec_of(bundle: &str) -> Option<Any> {
    let text = crate::host::read(Path::new(bundle).join("config.json")).ok()?;
    Some(Any { type_url: SPEC.into(), value: text.into_bytes() })
}

/// What `Delete` answers.
fn forgotten(pid: i32, end: Option<Ended>) -> Vec<u8> {
    let exit_status = end.map_or(0, |end| end.status);
    DeleteResponse { pid: pid as u32, exit_status, exited_at: end.and_then(|end| end.time()) }.encode()
}

/// What `Wait` answers.
pub(super) fn waited(end: Ended) -> Vec<u8> {
    WaitResponse { exit_status: end.status, exited_at: end.time() }.encode()
}

fn gone() -> Refused {
    Refused::new(code::NOT_FOUND, "the process was deleted")
}

/// What a job says, with the code that engines look at.
fn refused(message: String) -> Refused {
    let ends = |text: &str| message.contains(text);
    let code = match () {
        () if ends("container does not exist") => code::NOT_FOUND,
        () if ends("exists already") => code::ALREADY_EXISTS,
        () => code::UNKNOWN,
    };
    Refused { code, message }
}

/// As other shims say it, and engines look for it.
fn prefixed(verb: &str, refused: &Refused) -> Refused {
    // `exec failed: ` is what knarr's own command says before the reason.
    let failed = if verb == "exec" { "exec failed: " } else { "" };
    Refused { code: refused.code, message: format!("OCI runtime {verb} failed: {failed}{}", refused.message) }
}
