//! What recordings need, and no more: a filter of system calls, a root that is read-only, rules for
//! devices.

use super::recording::{Made, Recording};
use crate::config::seccomp::Action;
use crate::plan::devices::is_always_allowed;
use crate::plan::seccomp::matters::{self, Matter};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What every process needs, whether it was seen or not: what a runtime makes from the filter to
/// the program, or when that fails; the ends of a process and of a handler of signals; and locks
/// that were free by chance.
const ALWAYS: [&str; 7] =
    ["execve", "exit", "exit_group", "futex", "restart_syscall", "rt_sigreturn", "write"];

/// What other runtimes make from the filter to the program, beside that.
const OF_OTHERS: [&str; 44] = [
    "brk",
    "capget",
    "capset",
    "chdir",
    "clock_gettime",
    "close",
    "close_range",
    "dup3",
    "epoll_ctl",
    "epoll_pwait",
    "faccessat",
    "faccessat2",
    "fchdir",
    "fchown",
    "fchownat",
    "fcntl",
    "fstat",
    "fstatfs",
    "getcwd",
    "getdents64",
    "getpid",
    "getppid",
    "gettid",
    "madvise",
    "mmap",
    "munmap",
    "nanosleep",
    "newfstatat",
    "openat",
    "openat2",
    "prctl",
    "pread64",
    "read",
    "readlinkat",
    "rt_sigaction",
    "rt_sigprocmask",
    "sched_yield",
    "setgid",
    "setgroups",
    "setresgid",
    "setresuid",
    "setuid",
    "statx",
    "tgkill",
];

/// For whom a filter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    /// This program.
    Own,
    /// Any: those of Docker and Kubernetes.
    Any,
}

/// So many values of an argument are told apart; with more, any may come.
const MOST_VALUES: usize = 64;

/// The filter of system calls, as config.json and Docker have it.
pub fn seccomp(recording: &Recording, runtime: Runtime) -> Value {
    let others: &[&str] = if runtime == Runtime::Any { &OF_OTHERS } else { &[] };
    let mut plain: BTreeSet<&str> = ALWAYS.iter().chain(others).copied().collect();
    let mut rules = Vec::new();
    for (name, made) in &recording.syscalls {
        match matters::of(name).filter(|_| !plain.contains(name.as_str())).and_then(|m| cases(m, made)) {
            None => {
                plain.insert(name);
            }
            Some(cases) => rules.extend(
                cases
                    .into_iter()
                    .map(|case| json!({ "names": [name], "action": "SCMP_ACT_ALLOW", "args": [case] })),
            ),
        }
    }
    // Programs go another way only where a call seems not to be there.
    let missing = |errnos: &BTreeSet<u16>| errnos.iter().any(|errno| Action::errno(*errno) == Action::ENOSYS);
    let missing = recording.refused.iter().filter(|(name, errnos)| {
        missing(errnos) && !recording.syscalls.contains_key(*name) && !plain.contains(name.as_str())
    });
    let missing: Vec<&String> = missing.map(|(name, _)| name).collect();
    if !missing.is_empty() {
        rules.push(json!({ "names": missing, "action": "SCMP_ACT_ERRNO", "errnoRet": 38 }));
    }
    rules.insert(0, json!({ "names": plain, "action": "SCMP_ACT_ALLOW" }));
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "architectures": recording.architectures,
        "syscalls": rules,
    })
}

/// The conditions of a call, one for each value of its argument; none if any value may come.
fn cases(matter: Matter, made: &Made) -> Option<Vec<Value>> {
    if made.values.is_empty() || made.values.len() > MOST_VALUES {
        return None;
    }
    let mask = matter.kind.mask()?;
    let index = matter.index;
    // Compared under a mask: the kernel takes an int, and the upper half of the register is
    // anything.
    let case = |value: &u64| json!({ "index": index, "value": mask, "valueTwo": value & mask, "op": "SCMP_CMP_MASKED_EQ" });
    Some(made.values.iter().map(case).collect())
}

/// A merge patch (RFC 7396) of a config.json.
pub fn patch(recording: &Recording) -> Value {
    let mut devices = vec![json!({ "allow": false, "access": "rwm" })];
    for (name, opened) in &recording.devices {
        let Some((kind, major, minor)) = device(name) else { continue };
        if !is_always_allowed(kind, major, minor) {
            let access: String = opened.access.iter().collect();
            let rule = json!({ "allow": true, "type": kind.to_string(), "major": major, "minor": minor, "access": access });
            devices.push(rule);
        }
    }
    let mut patch = json!({
        "root": { "readonly": is_root_readonly(recording) },
        "linux": { "seccomp": seccomp(recording, Runtime::Own), "resources": { "devices": devices } },
    });
    if let Some(set) = &recording.capabilities {
        patch["process"] = json!({ "capabilities": { "bounding": set, "effective": set, "permitted": set } });
    }
    patch
}

/// Whether nothing was written on the root filesystem itself.
pub fn is_root_readonly(recording: &Recording) -> bool {
    recording.written.get("/").is_none_or(BTreeSet::is_empty)
}

/// A securityContext of Kubernetes, whose filter is at this place below the kubelet's folder of
/// profiles.
pub fn kubernetes(recording: &Recording, profile: &str) -> String {
    let capabilities = match &recording.capabilities {
        None => "  # capabilities: not known from the recordings\n".to_string(),
        Some(set) => {
            let names: Vec<&str> = set.iter().map(|name| name.trim_start_matches("CAP_")).collect();
            format!("  capabilities:\n    drop: [ALL]\n    add: [{}]\n", names.join(", "))
        }
    };
    let readonly = is_root_readonly(recording);
    let profile = Value::from(profile);
    format!(
        "securityContext:\n{capabilities}  readOnlyRootFilesystem: {readonly}\n  seccompProfile:\n    type: \
         Localhost\n    localhostProfile: {profile}\n"
    )
}

/// `c 1:3`, in parts.
fn device(name: &str) -> Option<(char, u32, u32)> {
    let (kind, numbers) = name.split_once(' ')?;
    let (major, minor) = numbers.split_once(':')?;
    Some((kind.chars().next()?, major.parse().ok()?, minor.parse().ok()?))
}
