//! The calls of the sandbox service. A sandbox is a container: what makes, starts and ends one is
//! that of tasks.

use super::api::{
    Any, CreateSandboxRequest, CreateTaskRequest, KillRequest, Metric, Platform, PlatformResponse,
    ProcessRequest, SandboxMetricsResponse, SandboxRequest, SandboxStatusResponse,
};
use super::metrics;
use super::pod::Pod;
use super::process::{Caller, Phase, Sandbox};
use super::server::Shim;
use super::service::{Answer, NOTHING, decoded, not_found, now};
use super::wire::{Refused, code};
use crate::cgroup::Cgroup;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

impl Shim {
    /// Do what is asked of a pod's sandbox.
    pub(super) fn call_sandbox(&mut self, caller: Caller, method: &str, payload: &[u8]) -> Answer {
        if method == "CreateSandbox" {
            return self.create_sandbox(caller, decoded(payload)?);
        }
        let SandboxRequest { sandbox_id: id } = decoded(payload)?;
        if method == "ShutdownSandbox" {
            return self.shut_down(caller, &id);
        }
        if self.sandbox(&id).is_none() {
            return Err(not_found("sandbox", &id));
        }
        let process = ProcessRequest { id: id.clone(), exec_id: String::new() };
        match method {
            "StartSandbox" => self.start(caller, &process),
            "StopSandbox" => self.stop(caller, &id),
            "WaitSandbox" => self.wait(caller, &process),
            "SandboxStatus" => self.sandbox_status(&id),
            "SandboxMetrics" => self.sandbox_metrics(&id),
            "PingSandbox" => self.container(&id).and(NOTHING),
            "Platform" => now(&PlatformResponse { platform: Some(platform()) }),
            _ => Err(Refused::new(code::UNIMPLEMENTED, format!("method {method}"))),
        }
    }

    /// A container, if it is a sandbox.
    pub(super) fn sandbox(&self, id: &str) -> Option<&Sandbox> {
        self.containers.get(id)?.sandbox.as_ref()
    }

    /// The bundles of all sandboxes, by their ids.
    pub(super) fn pods(&self) -> BTreeMap<String, PathBuf> {
        let sandboxes = self.containers.iter().filter(|(_, container)| container.sandbox.is_some());
        sandboxes.map(|(id, container)| (id.clone(), PathBuf::from(&container.bundle))).collect()
    }

    fn create_sandbox(&mut self, caller: Caller, request: CreateSandboxRequest) -> Answer {
        let CreateSandboxRequest { sandbox_id: id, bundle_path: bundle, rootfs, options, netns_path } =
            request;
        let pod = Pod::read(&id, options.as_ref(), &netns_path)?;
        let request = CreateTaskRequest { id, bundle, rootfs, ..CreateTaskRequest::default() };
        self.make(caller, request, self.options.clone(), Some(pod))
    }

    /// As other sandboxes are stopped: by SIGKILL, as it has nothing to lose.
    fn stop(&mut self, caller: Caller, id: &str) -> Answer {
        let process = self.process(id, "")?;
        if process.end().is_some() {
            return NOTHING;
        }
        let kill = KillRequest { id: id.into(), signal: libc::SIGKILL as u32, ..KillRequest::default() };
        match self.kill(&kill) {
            // It has ended, which is about to be seen.
            Err(refused) if refused.code != code::NOT_FOUND => return Err(refused),
            _ => {}
        }
        self.process_mut(id, "")?.stopping.push(caller);
        Ok(None)
    }

    /// Forget it, also where it runs, and end if it was the last. One that was not made is none.
    fn shut_down(&mut self, caller: Caller, id: &str) -> Answer {
        if self.sandbox(id).is_none() {
            self.end();
            return NOTHING;
        }
        let key = self.container(id)?.init;
        if self.is_forgetting(key) {
            self.process_mut(id, "")?.forgetting.push(caller);
        } else {
            self.begin_deletion(key, caller);
        }
        Ok(None)
    }

    fn sandbox_status(&self, id: &str) -> Answer {
        let process = self.process(id, "")?;
        let end = process.end();
        let is_ready = end.is_none() && process.phase == Phase::Started;
        now(&SandboxStatusResponse {
            sandbox_id: id.into(),
            pid: process.pid as u32,
            state: if is_ready { "SANDBOX_READY" } else { "SANDBOX_NOTREADY" }.into(),
            created_at: self.sandbox(id).map(|sandbox| sandbox.created.into()),
            exited_at: end.and_then(|end| end.time()),
        })
    }

    /// What all containers of the pod use, where it has a cgroup for them; else what the sandbox
    /// does.
    fn sandbox_metrics(&self, id: &str) -> Answer {
        let own = self.container(id)?.cgroup.as_ref().ok_or_else(|| not_found("cgroup of sandbox", id))?;
        let above =
            own.path().parent().filter(|_| self.sandbox(id).is_some_and(|sandbox| sandbox.has_cgroup));
        let pods = above.map(Cgroup::open).transpose()?.flatten();
        let data =
            Any { type_url: metrics::NAME.into(), value: metrics::read(pods.as_ref().unwrap_or(own))? };
        let metric = Metric { timestamp: Some(SystemTime::now().into()), id: id.into(), data: Some(data) };
        now(&SandboxMetricsResponse { metrics: Some(metric) })
    }
}

/// What containers of a pod are made for, in the words of Go.
fn platform() -> Platform {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        other => other,
    };
    Platform { os: "linux".into(), architecture: architecture.into() }
}
