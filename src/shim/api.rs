//! What containerd and a shim tell each other: the messages of containerd's api, each with the
//! fields that are used here (api/runtime, api/events, api/types), and of ttrpc.

use crate::protobuf::{Declared, declare};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// The task service, for containerd from 2.0 on and before that; they have the same messages.
pub const TASK_SERVICES: [&str; 2] = ["containerd.task.v3.Task", "containerd.task.v2.Task"];

/// The service of a pod's sandbox.
pub const SANDBOX_SERVICE: &str = "containerd.runtime.sandbox.v1.Sandbox";

declare! {
    /// `ttrpc.Request`.
    struct Request {
        service: String = 1, method: String = 2, payload: Vec<u8> = 3, timeout_ns: i64 = 4,
    }
    /// `ttrpc.Response`.
    struct Response { status: Option<Status> = 1, payload: Vec<u8> = 2 }
    /// `google.rpc.Status`.
    struct Status { code: i32 = 1, message: String = 2 }
    /// `google.protobuf.Any`.
    struct Any { type_url: String = 1, value: Vec<u8> = 2 }
    /// `google.protobuf.Empty`.
    struct Empty {}
    /// `google.protobuf.Timestamp`.
    struct Timestamp { seconds: i64 = 1, nanos: i32 = 2 }
    /// `containerd.types.Mount`.
    struct Mount { kind: String = 1, source: String = 2, target: String = 3, options: Vec<String> = 4 }

    /// `containerd.runtime.bootstrap.v1.BootstrapParams`: containerd from 2.3 on.
    struct BootstrapParams {
        instance_id: String = 1,
        namespace: String = 2,
        containerd_ttrpc_address: String = 5,
        containerd_grpc_address: String = 6,
        extensions: Vec<Extension> = 8,
        socket_dir: String = 9,
    }
    /// `containerd.runtime.bootstrap.v1.Extension`.
    struct Extension { value: Option<Any> = 1 }
    /// `containerd.runtime.bootstrap.v1.BootstrapResult`.
    struct BootstrapResult { version: i32 = 1, address: String = 2, protocol: String = 3 }

    /// `containerd.types.RuntimeRequest`.
    struct RuntimeRequest { runtime_path: String = 1, options: Option<Any> = 2 }
    /// `containerd.types.RuntimeInfo`.
    struct RuntimeInfo {
        name: String = 1, version: Option<RuntimeVersion> = 2, options: Option<Any> = 3, features: Option<Any> = 4,
    }
    /// `containerd.types.RuntimeVersion`.
    struct RuntimeVersion { version: String = 1, revision: String = 2 }

    /// `containerd.runc.v1.Options`.
    struct Options {
        no_pivot_root: bool = 1,
        no_new_keyring: bool = 2,
        shim_cgroup: String = 3,
        io_uid: u32 = 4,
        io_gid: u32 = 5,
        binary_name: String = 6,
        root: String = 7,
        criu_path: String = 8,
        systemd_cgroup: bool = 9,
        criu_image_path: String = 10,
        criu_work_path: String = 11,
        // This shim's own.
        shim_group: String = 1000,
    }
    /// `containerd.linux.runc.CreateOptions`: what containerd's client before 2.0 has for any
    /// runtime but runc's.
    struct CreateOptions {
        no_pivot_root: bool = 1,
        no_new_keyring: bool = 8,
        shim_cgroup: String = 9,
        io_uid: u32 = 10,
        io_gid: u32 = 11,
        criu_work_path: String = 12,
        criu_image_path: String = 13,
    }
    /// `containerd.linux.runc.CheckpointOptions`, the same.
    struct OldCheckpointOptions {
        exit: bool = 1,
        open_tcp: bool = 2,
        external_unix_sockets: bool = 3,
        terminal: bool = 4,
        file_locks: bool = 5,
        empty_namespaces: Vec<String> = 6,
        cgroups_mode: String = 7,
        work_path: String = 8,
        image_path: String = 9,
    }
    /// `containerd.runc.v1.CheckpointOptions`.
    struct CheckpointOptions {
        exit: bool = 1,
        open_tcp: bool = 2,
        external_unix_sockets: bool = 3,
        terminal: bool = 4,
        file_locks: bool = 5,
        empty_namespaces: Vec<String> = 6,
        cgroups_mode: String = 7,
        image_path: String = 8,
        work_path: String = 9,
        parent_path: String = 10,
    }
    /// `containerd.runc.v1.ProcessDetails`.
    struct ProcessDetails { exec_id: String = 1 }
    /// `runtimeoptions.v1.Options`.
    struct RuntimeOptions { type_url: String = 1, config_path: String = 2, config_body: Vec<u8> = 3 }

    /// `CreateTaskRequest`.
    struct CreateTaskRequest {
        id: String = 1,
        bundle: String = 2,
        rootfs: Vec<Mount> = 3,
        terminal: bool = 4,
        stdin: String = 5,
        stdout: String = 6,
        stderr: String = 7,
        checkpoint: String = 8,
        parent_checkpoint: String = 9,
        options: Option<Any> = 10,
    }
    /// The answer to `Create` and to `Start`.
    struct PidResponse { pid: u32 = 1 }
    /// What names a process and nothing else: `StateRequest`, `StartRequest`, `DeleteRequest`,
    /// `WaitRequest`; without a process `PidsRequest`, `PauseRequest`, `StatsRequest` and others.
    struct ProcessRequest { id: String = 1, exec_id: String = 2 }
    /// `DeleteResponse`.
    struct DeleteResponse { pid: u32 = 1, exit_status: u32 = 2, exited_at: Option<Timestamp> = 3 }
    /// `ExecProcessRequest`.
    struct ExecProcessRequest {
        id: String = 1,
        exec_id: String = 2,
        terminal: bool = 3,
        stdin: String = 4,
        stdout: String = 5,
        stderr: String = 6,
        spec: Option<Any> = 7,
    }
    /// `ResizePtyRequest`.
    struct ResizePtyRequest { id: String = 1, exec_id: String = 2, width: u32 = 3, height: u32 = 4 }
    /// `StateResponse`.
    struct StateResponse {
        id: String = 1,
        bundle: String = 2,
        pid: u32 = 3,
        status: i32 = 4,
        stdin: String = 5,
        stdout: String = 6,
        stderr: String = 7,
        terminal: bool = 8,
        exit_status: u32 = 9,
        exited_at: Option<Timestamp> = 10,
        exec_id: String = 11,
    }
    /// `KillRequest`.
    struct KillRequest { id: String = 1, exec_id: String = 2, signal: u32 = 3, all: bool = 4 }
    /// `CloseIORequest`.
    struct CloseIoRequest { id: String = 1, exec_id: String = 2, stdin: bool = 3 }
    /// `PidsResponse`.
    struct PidsResponse { processes: Vec<ProcessInfo> = 1 }
    /// `containerd.v1.types.ProcessInfo`.
    struct ProcessInfo { pid: u32 = 1, info: Option<Any> = 2 }
    /// `CheckpointTaskRequest`.
    struct CheckpointTaskRequest { id: String = 1, path: String = 2, options: Option<Any> = 3 }
    /// `UpdateTaskRequest`.
    struct UpdateTaskRequest {
        id: String = 1, resources: Option<Any> = 2, annotations: BTreeMap<String, String> = 3,
    }
    /// `WaitResponse`.
    struct WaitResponse { exit_status: u32 = 1, exited_at: Option<Timestamp> = 2 }
    /// `StatsResponse`.
    struct StatsResponse { stats: Option<Any> = 1 }
    /// `ConnectResponse`.
    struct ConnectResponse { shim_pid: u32 = 1, task_pid: u32 = 2, version: String = 3 }

    /// `CreateSandboxRequest`.
    struct CreateSandboxRequest {
        sandbox_id: String = 1,
        bundle_path: String = 2,
        rootfs: Vec<Mount> = 3,
        options: Option<Any> = 4,
        netns_path: String = 5,
    }
    /// What names a sandbox and no more than that: `StartSandboxRequest`, `StopSandboxRequest`,
    /// `WaitSandboxRequest`, `PingRequest` and others.
    struct SandboxRequest { sandbox_id: String = 1 }
    /// `StartSandboxResponse`.
    struct StartSandboxResponse { pid: u32 = 1, created_at: Option<Timestamp> = 2, spec: Option<Any> = 3 }
    /// `PlatformResponse`.
    struct PlatformResponse { platform: Option<Platform> = 1 }
    /// `containerd.types.Platform`.
    struct Platform { os: String = 1, architecture: String = 2 }
    /// `SandboxStatusResponse`.
    struct SandboxStatusResponse {
        sandbox_id: String = 1,
        pid: u32 = 2,
        state: String = 3,
        created_at: Option<Timestamp> = 5,
        exited_at: Option<Timestamp> = 6,
    }
    /// `SandboxMetricsResponse`.
    struct SandboxMetricsResponse { metrics: Option<Metric> = 1 }
    /// `containerd.types.Metric`.
    struct Metric { timestamp: Option<Timestamp> = 1, id: String = 2, data: Option<Any> = 3 }

    /// `ForwardRequest` of containerd.services.events.ttrpc.v1.Events.
    struct ForwardRequest { envelope: Option<Envelope> = 1 }
    /// `containerd.types.Envelope`.
    struct Envelope {
        timestamp: Option<Timestamp> = 1, namespace: String = 2, topic: String = 3, event: Option<Any> = 4,
    }
    /// `containerd.events.TaskCreate`.
    struct TaskCreate {
        container_id: String = 1,
        bundle: String = 2,
        rootfs: Vec<Mount> = 3,
        io: Option<TaskIo> = 4,
        checkpoint: String = 5,
        pid: u32 = 6,
    }
    /// `containerd.events.TaskIO`.
    struct TaskIo { stdin: String = 1, stdout: String = 2, stderr: String = 3, terminal: bool = 4 }
    /// `containerd.events.TaskStart`.
    struct TaskStart { container_id: String = 1, pid: u32 = 2 }
    /// `containerd.events.TaskDelete`.
    struct TaskDelete {
        container_id: String = 1, pid: u32 = 2, exit_status: u32 = 3, exited_at: Option<Timestamp> = 4, id: String = 5,
    }
    /// `containerd.events.TaskExit`.
    struct TaskExit {
        container_id: String = 1, id: String = 2, pid: u32 = 3, exit_status: u32 = 4, exited_at: Option<Timestamp> = 5,
    }
    /// `containerd.events.TaskExecAdded`.
    struct TaskExecAdded { container_id: String = 1, exec_id: String = 2 }
    /// `containerd.events.TaskExecStarted`.
    struct TaskExecStarted { container_id: String = 1, exec_id: String = 2, pid: u32 = 3 }
    /// `containerd.events.TaskOOM`, `TaskPaused` and `TaskResumed`.
    struct TaskTold { container_id: String = 1 }
    /// `containerd.events.TaskCheckpointed`.
    struct TaskCheckpointed { container_id: String = 1, checkpoint: String = 2 }
}

/// `containerd.v1.types.Status`.
pub mod status {
    pub const CREATED: i32 = 1;
    pub const RUNNING: i32 = 2;
    pub const STOPPED: i32 = 3;
    pub const PAUSED: i32 = 4;
}

impl Any {
    /// A message, packed with its full name.
    pub fn pack(type_url: &str, message: &impl Declared) -> Any {
        Any { type_url: type_url.into(), value: message.encode() }
    }

    /// The message, if it has this name: containerd writes it alone, others put a host before it.
    pub fn unpack<T: Declared>(&self, type_url: &str) -> Option<T> {
        self.is(type_url).then(|| T::decode(&self.value)).flatten()
    }

    /// Whether it is a message of this name.
    pub fn is(&self, type_url: &str) -> bool {
        self.type_url.rsplit_once('/').map_or(self.type_url.as_str(), |(_, name)| name) == type_url
    }
}

impl From<SystemTime> for Timestamp {
    fn from(at: SystemTime) -> Timestamp {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp { seconds: since.as_secs() as i64, nanos: since.subsec_nanos() as i32 }
    }
}
