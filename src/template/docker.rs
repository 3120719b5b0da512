//! What Docker allows a container by default, for config.json files that no engine writes.

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

/// The capabilities.
const CAPABILITIES: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// The paths that are hidden.
const MASKED: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// The paths that can only be read.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The ABIs of programs that run here. A profile lists no others: not every runtime knows all.
const ARCHITECTURES: &[&str] = if cfg!(target_arch = "x86_64") {
    &["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
} else if cfg!(target_arch = "aarch64") {
    &["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]
} else if cfg!(target_arch = "s390x") {
    &["SCMP_ARCH_S390X", "SCMP_ARCH_S390"]
} else {
    &[] // the native one, which always has a filter
};

/// The system calls, for any machine: names that it does not have are skipped.
const SECCOMP: &str = include_str!("seccomp.json");

/// Confine the container of a config.json as Docker does, but for system calls: setuid programs
/// work, and resource limits are the caller's.
pub fn confine(config: &mut Value) {
    let set = json!(CAPABILITIES);
    let process = &mut config["process"];
    process["capabilities"] = json!({ "bounding": set, "effective": set, "permitted": set });
    process["noNewPrivileges"] = false.into();
    if let Some(process) = process.as_object_mut() {
        process.remove("rlimits");
    }
    config["linux"]["maskedPaths"] = json!(MASKED);
    config["linux"]["readonlyPaths"] = json!(READ_ONLY);
}

/// The arguments of clone(2) are in another order on s390.
const IS_S390: bool = cfg!(target_arch = "s390x");

/// The filter of system calls.
pub fn seccomp() -> serde_json::Result<Value> {
    let mut profile: Value = serde_json::from_str(SECCOMP)?;
    profile["architectures"] = json!(ARCHITECTURES);
    for rule in profile["syscalls"].as_array_mut().into_iter().flatten().filter(|_| IS_S390) {
        if rule["names"] == json!(["clone"]) {
            rule["args"][0]["index"] = 1.into();
        }
    }
    Ok(profile)
}

/// The same as JSON, without these system calls. With all of them nothing has to be read.
pub fn seccomp_without(names: &[&str]) -> serde_json::Result<Box<RawValue>> {
    if names.is_empty() && !IS_S390 {
        let rest = SECCOMP.trim_start().strip_prefix('{').unwrap_or_default().trim_end();
        return RawValue::from_string(format!("{{\"architectures\":{},{rest}", json!(ARCHITECTURES)));
    }
    let mut profile = seccomp()?;
    deny(&mut profile, names);
    to_raw_value(&profile)
}

fn deny(profile: &mut Value, names: &[&str]) {
    let Some(rules) = profile["syscalls"].as_array_mut() else { return };
    for rule in rules.iter_mut() {
        if let Some(allowed) = rule["names"].as_array_mut() {
            allowed.retain(|name| name.as_str().is_none_or(|name| !names.contains(&name)));
        }
    }
    rules.retain(|rule| rule["names"].as_array().is_some_and(|names| !names.is_empty()));
}

/// Whether a container may make this call, with some arguments at least.
pub fn allows(name: &str) -> bool {
    let profile: Value = serde_json::from_str(SECCOMP).unwrap_or_default();
    let rules = profile["syscalls"].as_array().into_iter().flatten();
    let mut allowed = rules.filter(|rule| rule["action"] == "SCMP_ACT_ALLOW");
    allowed.any(|rule| rule["names"].as_array().is_some_and(|names| names.iter().any(|other| other == name)))
}
