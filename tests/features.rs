//! `knarr features` against what is really accepted: every word that it prints loads, and every
//! word of the specification that it does not print is refused or means something else.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]
#![allow(clippy::disallowed_methods, reason = "the program under test is a child")]

use knarr::config;
use knarr::config::Options;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

fn features() -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_knarr")).arg("features").output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn words(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_string()).collect()
}

/// The default config with `value` at the JSON pointer `pointer`, loaded.
fn load(pointer: &str, value: Value) -> Result<(), String> {
    let text = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/plans/default.json")).unwrap();
    let mut spec: Value = serde_json::from_slice(&text).unwrap();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    spec.pointer_mut(parent).unwrap()[name] = value;
    let loaded = config::load(&serde_json::to_vec(&spec).unwrap(), Path::new("/bundle"));
    let loaded = loaded.map_err(|err| format!("{err:#}"))?;
    if loaded.warnings.is_empty() { Ok(()) } else { Err(loaded.warnings.join("; ")) }
}

/// A field, the words that `features` has for it, words of the specification and a word that nobody
/// has.
fn check(
    field: &str,
    printed: &[String],
    specified: &[&str],
    config: impl Fn(&str) -> (&'static str, Value),
) {
    for word in printed {
        let (pointer, value) = config(word);
        assert_eq!(load(pointer, value), Ok(()), "{field}: {word} is printed and refused");
    }
    for word in specified.iter().copied().chain(["NO_SUCH_WORD"]) {
        let (pointer, value) = config(word);
        let accepted = load(pointer, value).is_ok();
        assert_eq!(accepted, printed.iter().any(|p| p == word), "{field}: {word}");
    }
}

fn seccomp(extra: &Value) -> Value {
    let mut profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/agent"});
    for (key, value) in extra.as_object().unwrap() {
        profile[key] = value.clone();
    }
    profile
}

#[test]
fn the_vocabulary_is_what_the_parser_takes() {
    let features = features();
    let linux = &features["linux"];
    let at = |pointer: &str| words(linux.pointer(pointer).unwrap());
    let namespaces = ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"];
    check("namespaces", &at("/namespaces"), &namespaces, |word| {
        let maps = json!([{"containerID": 0, "hostID": 1, "size": 9}]);
        let user = word == "user";
        let maps = if user { maps } else { json!([]) };
        let others = json!([{"type": "mount"}, {"type": "uts"}, {"type": word}]);
        let list = if matches!(word, "mount" | "uts") {
            json!([{"type": "mount"}, {"type": "uts"}])
        } else {
            others
        };
        ("/linux", json!({"namespaces": list, "uidMappings": maps, "gidMappings": maps}))
    });
    let capabilities = ["CAP_CHOWN", "CAP_CHECKPOINT_RESTORE"];
    check("capabilities", &at("/capabilities"), &capabilities, |word| {
        ("/process/capabilities", json!({"bounding": [word]}))
    });
    let operators = [
        "SCMP_CMP_NE",
        "SCMP_CMP_LT",
        "SCMP_CMP_LE",
        "SCMP_CMP_EQ",
        "SCMP_CMP_GE",
        "SCMP_CMP_GT",
        "SCMP_CMP_MASKED_EQ",
    ];
    check("operators", &at("/seccomp/operators"), &operators, |word| {
        let rule = json!({"names": ["read"], "action": "SCMP_ACT_KILL", "args": [{"index": 0, "value": 0, "op": word}]});
        ("/linux/seccomp", seccomp(&json!({"syscalls": [rule]})))
    });
    let actions = [
        "SCMP_ACT_KILL",
        "SCMP_ACT_KILL_PROCESS",
        "SCMP_ACT_KILL_THREAD",
        "SCMP_ACT_TRAP",
        "SCMP_ACT_ERRNO",
        "SCMP_ACT_TRACE",
        "SCMP_ACT_ALLOW",
        "SCMP_ACT_LOG",
        "SCMP_ACT_NOTIFY",
    ];
    check("actions", &at("/seccomp/actions"), &actions, |word| {
        ("/linux/seccomp", seccomp(&json!({"syscalls": [{"names": ["read"], "action": word}]})))
    });
    let flags = [
        "SECCOMP_FILTER_FLAG_TSYNC",
        "SECCOMP_FILTER_FLAG_LOG",
        "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
    ];
    check("flags", &at("/seccomp/knownFlags"), &flags, |word| {
        ("/linux/seccomp", seccomp(&json!({"flags": [word]})))
    });
    check("archs", &at("/seccomp/archs"), &["SCMP_ARCH_X86_64"], |word| {
        ("/linux/seccomp", seccomp(&json!({"architectures": [word]})))
    });
    let modes = [
        "MPOL_DEFAULT",
        "MPOL_BIND",
        "MPOL_INTERLEAVE",
        "MPOL_WEIGHTED_INTERLEAVE",
        "MPOL_PREFERRED",
        "MPOL_PREFERRED_MANY",
        "MPOL_LOCAL",
    ];
    check("memory modes", &at("/memoryPolicy/modes"), &modes, |word| {
        ("/linux/memoryPolicy", json!({"mode": word, "nodes": "0"}))
    });
    let flags = ["MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"];
    check("memory flags", &at("/memoryPolicy/flags"), &flags, |word| {
        ("/linux/memoryPolicy", json!({"mode": "MPOL_BIND", "nodes": "0", "flags": [word]}))
    });
}

#[test]
fn hooks_run_at_all_the_times_that_are_printed() {
    // An unknown kind of hook is an unknown property, which is ignored: what counts is that a
    // relative path is refused.
    for kind in words(&features()["hooks"]) {
        let refused = load("/hooks", json!({kind.as_str(): [{"path": "relative"}]})).unwrap_err();
        assert!(refused.contains(&format!("hooks.{kind}[0].path")), "{refused}");
    }
}

#[test]
fn mount_options_are_those_that_are_no_parameters_of_a_filesystem() {
    let printed = words(&features()["mountOptions"]);
    // config.md: Linux mount options.
    let specified = "async atime bind defaults dev diratime dirsync exec idmap iversion lazytime loud mand noatime nodev \
        nodiratime noexec noiversion nolazytime nomand norelatime nostrictatime nosuid nosymfollow private ratime rbind rdev \
        rdiratime relatime remount rexec ridmap rnoatime rnodev rnodiratime rnoexec rnorelatime rnostrictatime rnosuid \
        rnosymfollow ro rprivate rrelatime rro rrw rshared rslave rstrictatime rsuid rsymfollow runbindable rw shared silent \
        slave strictatime suid symfollow sync tmpcopyup unbindable";
    for option in specified.split_whitespace() {
        assert!(printed.iter().any(|p| p == option), "{option} is specified and not printed");
    }
    for option in &printed {
        let read = Options::parse(&["bind".into(), option.clone()], "mounts[0]");
        assert!(read.is_ok(), "{option} is printed, and is taken for a parameter of a filesystem");
    }
    assert!(Options::parse(&["bind".into(), "size=1".into()], "mounts[0]").is_err());
}

#[test]
fn engines_find_what_they_look_for() {
    let features = features();
    for (pointer, value) in [
        ("/ociVersionMin", json!("1.0.0")),
        ("/ociVersionMax", json!("1.3.0")),
        ("/linux/mountExtensions/idmap/enabled", json!(true)),
        ("/linux/seccomp/enabled", json!(true)),
        ("/linux/cgroup/v2", json!(true)),
        ("/linux/netDevices/enabled", json!(true)),
        ("/annotations/org.opencontainers.runc.checkpoint.enabled", json!("true")),
    ] {
        assert_eq!(features.pointer(pointer), Some(&value), "{pointer}");
    }
}
