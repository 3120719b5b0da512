//! Recordings of containers, and the profiles that they need.
#![cfg(target_arch = "x86_64")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use knarr::config::seccomp::resolve;
use knarr::plan::seccomp::judge::{Call, Judge};
use knarr::plan::seccomp::machine::X86;
use knarr::template::profile::{Runtime, kubernetes, patch, seccomp};
use knarr::template::recording::Recording;
use serde_json::{Value, json};

fn recording(text: &Value) -> Recording {
    let mut whole = json!({ "version": 1, "architectures": ["SCMP_ARCH_X86_64"], "syscalls": {}, "refused": {},
        "capabilities": null, "devices": {}, "written": {}, "sockets": [], "unseen": [] });
    for (key, value) in text.as_object().unwrap() {
        whole[key] = value.clone();
    }
    serde_json::from_value(whole).unwrap()
}

fn one() -> Recording {
    recording(&json!({
        "syscalls": { "execve": { "count": 1 }, "socket": { "count": 2, "values": [1, 2] },
            "clone": { "count": 3, "values": [0, 0x2000_0000] }, "ioctl": { "count": 1, "values": [0x5401, 0x8004_5430_u32] },
            "read": { "count": 9 } },
        "refused": { "clone3": [38], "mkdir": [1] },
        "devices": { "c 1:3": { "access": ["r", "w"], "paths": ["/dev/null"] },
            "c 136:7": { "access": ["r"], "paths": ["/dev/pts/7"] },
            "c 10:229": { "access": ["w"], "paths": ["/dev/fuse"] } },
        "written": { "/tmp": ["/tmp/x"] },
    }))
}

/// The errno that a call is answered with under the filter of a recording.
fn refusal(profile: &Value, name: &str, args: [u64; 6]) -> Option<u16> {
    let judge = Judge::new(&resolve(&serde_json::from_value(profile.clone()).unwrap()).unwrap()).unwrap();
    let number = X86.call(name).unwrap().number(0).unwrap();
    judge.action(&Call { number: number.into(), arch: 0xc000_003e, instruction: 0, args }).refusal()
}

#[test]
fn a_filter_lets_through_what_was_made_and_no_more() {
    let profile = seccomp(&one(), Runtime::Own);
    let of = |name: &str, args: [u64; 6]| refusal(&profile, name, args);
    for name in ["read", "write", "execve", "exit_group", "rt_sigreturn", "futex"] {
        assert_eq!(of(name, [0; 6]), None, "{name}");
    }
    for name in ["mkdir", "openat", "unshare"] {
        assert_eq!(of(name, [0; 6]), Some(1), "{name}");
    }
    assert_eq!(of("socket", [2, 1, 0, 0, 0, 0]), None);
    assert_eq!(of("socket", [10, 1, 0, 0, 0, 0]), Some(1));
    assert_eq!(of("clone", [17, 0, 0, 0, 0, 0]), None);
    assert_eq!(of("clone", [0x2000_0000 | 17, 0, 0, 0, 0, 0]), None);
    assert_eq!(of("clone", [0x1000_0000 | 17, 0, 0, 0, 0, 0]), Some(1));
    assert_eq!(of("ioctl", [0, 0x5401, 0, 0, 0, 0]), None);
    assert_eq!(of("ioctl", [0, 0xffff_ffff_8004_5430, 0, 0, 0, 0]), None, "the kernel takes an int");
    assert_eq!(of("ioctl", [0, 0x5412, 0, 0, 0, 0]), Some(1));
    assert_eq!(of("clone3", [0; 6]), Some(38), "C libraries go on by another call");
    assert_eq!(refusal(&seccomp(&one(), Runtime::Any), "capset", [0; 6]), None, "other runtimes need it");
    assert_eq!(of("capset", [0; 6]), Some(1));
}

#[test]
fn an_argument_with_too_many_values_may_be_any() {
    let values: Vec<u64> = (0..65).collect();
    let syscalls = json!({ "execve": { "count": 1 }, "ioctl": { "count": 65, "values": values } });
    let profile = seccomp(&recording(&json!({ "syscalls": syscalls })), Runtime::Own);
    assert_eq!(refusal(&profile, "ioctl", [0, 0x5412, 0, 0, 0, 0]), None);
}

#[test]
fn a_patch_has_what_is_known_alone() {
    let text = patch(&one());
    assert_eq!(text["root"]["readonly"], true);
    let devices = json!([{ "allow": false, "access": "rwm" },
        { "allow": true, "type": "c", "major": 10, "minor": 229, "access": "w" }]);
    assert_eq!(text["linux"]["resources"]["devices"], devices);
    assert!(text.get("process").is_none(), "capabilities are not known");
    let written = recording(&json!({ "written": { "/": ["/etc/x"] }, "capabilities": ["CAP_CHOWN"] }));
    let text = patch(&written);
    assert_eq!(text["root"]["readonly"], false);
    assert_eq!(text["process"]["capabilities"]["bounding"], json!(["CAP_CHOWN"]));
    let text = kubernetes(&written, "profiles/a.json");
    assert!(text.contains("    drop: [ALL]\n    add: [CHOWN]\n  readOnlyRootFilesystem: false\n"), "{text}");
    assert!(kubernetes(&one(), "profiles/a b.json").contains("localhostProfile: \"profiles/a b.json\"\n"));
}

#[test]
fn recordings_are_merged() {
    let mut all = one();
    all.merge(recording(&json!({
        "syscalls": { "socket": { "count": 1, "values": [16] }, "mkdir": { "count": 1 } },
        "written": { "/": ["/a"], "/tmp": ["/tmp/y"] }, "capabilities": ["CAP_CHOWN"],
        "devices": { "c 10:229": { "access": ["r"], "paths": ["/dev/fuse"] } },
    })));
    assert_eq!((all.syscalls["socket"].count, all.syscalls["socket"].values.len()), (3, 3));
    assert_eq!(all.written["/tmp"].len(), 2);
    assert_eq!(all.devices["c 10:229"].access.len(), 2);
    assert_eq!(all.capabilities, None, "the other does not know");
    assert_eq!(refusal(&seccomp(&all, Runtime::Own), "mkdir", [0; 6]), None);
}
