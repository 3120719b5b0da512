//! `knarr features`: runtime-spec features.md and features-linux.md.

use super::SPEC_VERSION;
use super::print;
use crate::capability;
use crate::config::MOUNT_OPTIONS;
use crate::config::{Namespace, features};
use crate::sys::{bpf, cred};
use anyhow::Result;
use serde_json::{Value, json};

/// The oldest version of the specification whose bundles are accepted.
const OLDEST_SPEC_VERSION: &str = "1.0.0";

/// Print what config.json may ask for.
pub fn run() -> Result<u8> {
    print(&format!("{:#}\n", features()))
}

/// What config.json may ask for.
pub(crate) fn features() -> Value {
    json!({
        "ociVersionMin": OLDEST_SPEC_VERSION,
        "ociVersionMax": SPEC_VERSION,
        "hooks": features::HOOKS,
        "mountOptions": MOUNT_OPTIONS.as_slice(),
        "linux": linux(),
        "annotations": {
            "org.knarr.version": env!("CARGO_PKG_VERSION"),
            // What tools look for, whatever the runtime.
            "org.opencontainers.runc.checkpoint.enabled": "true",
        },
        "potentiallyUnsafeConfigAnnotations": features::UNSAFE_ANNOTATIONS,
    })
}

fn linux() -> Value {
    let enabled = json!({ "enabled": true });
    json!({
        "namespaces": Namespace::ALL.map(Namespace::name),
        "capabilities": known_capabilities(),
        "cgroup": { "v1": false, "v2": true, "systemd": true, "systemdUser": true, "rdma": true },
        "seccomp": seccomp(),
        "apparmor": enabled,
        "selinux": enabled,
        "intelRdt": { "enabled": true, "schemata": true, "monitoring": true },
        "memoryPolicy": { "modes": features::memory_modes(), "flags": features::memory_flags() },
        "mountExtensions": { "idmap": enabled },
        "netDevices": enabled,
    })
}

/// Those that the running kernel knows: others are ignored with a warning.
fn known_capabilities() -> Vec<String> {
    (0..capability::MOST)
        .take_while(|n| cred::in_bounding_set(*n).is_some())
        .filter_map(capability::name)
        .collect()
}

fn seccomp() -> Value {
    let flags = features::seccomp_flags();
    let known: Vec<&Value> = flags.iter().map(|(name, _)| name).collect();
    let supported = |bits: &Option<u32>| bits.is_none_or(bpf::has_seccomp_flags);
    let supported: Vec<&Value> =
        flags.iter().filter(|(_, bits)| supported(bits)).map(|(name, _)| name).collect();
    json!({
        "enabled": bpf::has_seccomp_flags(0),
        "actions": features::seccomp_actions(),
        "operators": features::seccomp_operators(),
        "archs": features::seccomp_arches(),
        "knownFlags": known,
        "supportedFlags": supported,
    })
}
