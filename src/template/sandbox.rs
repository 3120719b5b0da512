//! The config.json of a sandbox for a command on the host's own files, with no bundle.

pub mod places;
pub mod secrets;
pub mod view;

use super::{docker, spec};
use crate::config::annotation;
use places::{Kind, Placed, depth};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use view::Part;

/// What the sandbox is for.
#[derive(Debug, Clone)]
pub struct Sandbox<'a> {
    /// The command.
    pub args: &'a [String],
    /// Its environment.
    pub env: &'a [String],
    /// Its working directory.
    pub cwd: &'a str,
    /// Whether it has a terminal.
    pub terminal: bool,
    /// Who asks.
    pub caller: Caller,
    /// The user and group of the command, in the sandbox.
    pub user: (u32, u32),
    /// Its network.
    pub network: Network,
    /// What else is refused.
    pub strictness: Strictness,
    /// What it may use.
    pub limits: Limits,
    /// What is seen of the host.
    pub parts: &'a [Part],
    /// What options put somewhere, and what is hidden.
    pub placed: &'a [Placed],
}

/// Who asks for a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// Root: `/` itself is under a layer for changes.
    Root,
    /// An ordinary user with these ids: the root is empty but for the parts.
    User(u32, u32),
}

/// What a sandbox is refused of the system calls that Docker's containers have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// Nothing.
    AsDocker,
    /// What makes the kernel's harder parts do something, and looking into other processes.
    Strict,
}

/// What `Strictness::Strict` refuses. A new user namespace is made by unshare(2), or by clone(2)
/// with arguments that Docker's filter refuses already.
pub const STRICT: [&str; 18] = [
    "add_key",
    "bpf",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "kcmp",
    "keyctl",
    "perf_event_open",
    "pidfd_getfd",
    "process_madvise",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "request_key",
    "setns",
    "unshare",
    "userfaultfd",
    "vmsplice",
];

/// What a sandbox may use.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limits {
    /// Memory and swap together, in bytes.
    pub memory: Option<i64>,
    /// Processes and threads.
    pub pids: Option<i64>,
    /// Processors' time, in microseconds of each 100 ms.
    pub cpu_us: Option<u64>,
}

/// Whose network a sandbox has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Its own, with a loopback device.
    Own,
    /// The host's.
    Hosts,
}

/// Its config.json: the host's files under a layer for changes, namespaces of its own.
/// The process may what Docker's may. /run and /tmp are empty. Elsewhere nobody listens behind a
/// socket, as the files are those of overlays, but where the caller binds some.
pub fn config(sandbox: &Sandbox<'_>) -> anyhow::Result<String> {
    let base = match sandbox.caller {
        Caller::Root => spec::DEFAULT.to_string(),
        Caller::User(uid, gid) => spec::rootless(uid, gid)?,
    };
    let mut config: Value = serde_json::from_str(&base)?;
    docker::confine(&mut config);
    config["root"] = json!({ "path": "/", "readonly": false });
    config["hostname"] = "sandbox".into();
    config["annotations"] = json!({ annotation::OVERLAY: "ephemeral", annotation::INIT: "true",
        annotation::LANDLOCK: "true" });
    if let Caller::User(..) = sandbox.caller {
        config["annotations"][annotation::OVERLAY_LOWER] = "".into();
    }
    let process = &mut config["process"];
    process["args"] = json!(sandbox.args);
    process["env"] = json!(sandbox.env);
    process["cwd"] = sandbox.cwd.into();
    process["terminal"] = sandbox.terminal.into();
    process["user"] = json!({ "uid": sandbox.user.0, "gid": sandbox.user.1 });
    if let Some(namespaces) = config["linux"]["namespaces"].as_array_mut() {
        namespaces.retain(|namespace| namespace["type"] != "network");
        if sandbox.network == Network::Own {
            namespaces.push(json!({ "type": "network" }));
        }
    }
    limit(&mut config, &sandbox.limits);
    place(&mut config, sandbox);
    text(config, sandbox.strictness)
}

/// The text of a config.json, with the filter in it as it is. People see it as a plan; the
/// indentation would be half of what is read again.
fn text(mut config: Value, strictness: Strictness) -> anyhow::Result<String> {
    #[derive(Serialize)]
    struct Whole<'a> {
        #[serde(flatten)]
        rest: &'a Value,
        linux: Linux<'a>,
    }
    #[derive(Serialize)]
    struct Linux<'a> {
        #[serde(flatten)]
        rest: &'a Value,
        seccomp: Box<RawValue>,
    }
    let linux = config.as_object_mut().and_then(|config| config.remove("linux")).unwrap_or_default();
    let seccomp = docker::seccomp_without(match strictness {
        Strictness::AsDocker => &[],
        Strictness::Strict => &STRICT,
    })?;
    let whole = Whole { rest: &config, linux: Linux { rest: &linux, seccomp } };
    Ok(serde_json::to_string(&whole)? + "\n")
}

fn limit(config: &mut Value, limits: &Limits) {
    let Limits { memory, pids, cpu_us } = limits;
    let resources = &mut config["linux"]["resources"];
    if let Some(bytes) = memory {
        resources["memory"] = json!({ "limit": bytes, "swap": bytes });
    }
    if let Some(count) = pids {
        resources["pids"] = json!({ "limit": count });
    }
    if let Some(quota) = cpu_us {
        resources["cpu"] = json!({ "quota": quota, "period": 100_000 });
    }
}

/// All mounts, those of deeper places later, so that the order of options does not matter. What is
/// hidden and holds nothing is covered at the very end, with one cover for all.
fn place(config: &mut Value, sandbox: &Sandbox<'_>) {
    let placed = sandbox.placed;
    let is_mask = |place: &&Placed| match place.kind {
        Kind::HiddenFolder | Kind::HiddenFile => !place.holds_any_of(placed),
        _ => false,
    };
    let (masks, mut mounted): (Vec<&Placed>, Vec<&Placed>) = placed.iter().partition(is_mask);
    mounted.sort_by_key(|place| &place.path);
    if let Some(masked) = config["linux"]["maskedPaths"].as_array_mut() {
        masked.extend(masks.iter().map(|place| Value::from(place.path.clone())));
    }
    let empty = [("/run", "mode=755"), ("/tmp", "mode=1777")].map(|(path, mode)| {
        let options = ["nosuid", "nodev", mode];
        json!({ "destination": path, "type": "tmpfs", "source": "tmpfs", "options": options })
    });
    let Some(mounts) = config["mounts"].as_array_mut() else { return };
    let others = std::mem::take(mounts);
    // What is put somewhere is all that is seen below.
    let seen = |part: &&Part| placed.iter().all(|place| places::below(part.path(), &place.path).is_none());
    mounts.extend(sandbox.parts.iter().filter(seen).map(Part::mount).chain(empty).chain(others));
    mounts.retain(|mount| mounted.iter().all(|place| mount["destination"] != place.path.as_str()));
    mounts.extend(mounted.iter().map(|place| place.mount()));
    mounts.sort_by_key(|mount| depth(mount["destination"].as_str().unwrap_or_default()));
}
