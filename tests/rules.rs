//! What the specification forbids, field by field: each line is a change to the default config.json
//! and the error it meets.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use knarr::config;
use knarr::template::spec::DEFAULT;
use serde_json::{Value, json};
use std::path::Path;

/// The default config with the value at a JSON pointer replaced; `null` removes it.
fn changed(pointer: &str, value: Value) -> String {
    let mut config: Value = serde_json::from_str(DEFAULT).unwrap();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = config.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent}"));
    match (parent, value) {
        (Value::Array(list), value) if name == "-" => list.push(value),
        (Value::Array(list), value) => list[name.parse::<usize>().unwrap()] = value,
        (Value::Object(map), Value::Null) => drop(map.remove(name)),
        (Value::Object(map), value) => drop(map.insert(name.into(), value)),
        _ => panic!("{pointer} leads nowhere"),
    }
    config.to_string()
}

fn error_of(text: &str) -> String {
    match config::load(text.as_bytes(), Path::new("/bundle")) {
        Ok(_) => "accepted".into(),
        Err(err) => format!("{err:#}"),
    }
}

#[test]
fn two_domain_names_are_one_too_many() {
    let mut config: Value = serde_json::from_str(DEFAULT).unwrap();
    config["domainname"] = json!("sea.example");
    config["linux"]["sysctl"] = json!({"kernel.domainname": "shore"});
    let said = "linux.sysctl.kernel.domainname: is \"shore\", and domainname is another";
    assert_eq!(error_of(&config.to_string()), said);
    config["linux"]["sysctl"] = json!({"kernel/domainname": "sea.example"});
    assert_eq!(error_of(&config.to_string()), "accepted");
}

#[test]
fn each_violation_is_one_line_that_starts_with_its_field() {
    let hook = |path: &str, timeout: i64| json!({"createRuntime": [{"path": path, "timeout": timeout}]});
    let table = [
        ("/ociVersion", json!(null), "ociVersion: missing"),
        ("/ociVersion", json!("abc"), "ociVersion: \"abc\" is not a version"),
        ("/ociVersion", json!("1.0"), "ociVersion: \"1.0\" is not a version"),
        ("/ociVersion", json!("2.0.0"), "ociVersion: \"2.0.0\" is not a 1.x version"),
        ("/root", json!(null), "root: missing"),
        ("/root/path", json!(""), "root.path: empty"),
        ("/process/args", json!([]), "process.args: empty"),
        ("/process/args", json!(null), "process.args: empty"),
        ("/process/cwd", json!("relative"), "process.cwd: \"relative\" is not an absolute path"),
        ("/process/cwd", json!(""), "process.cwd: \"\" is not an absolute path"),
        ("/process/env/-", json!("NOVALUE"), "process.env[2]: \"NOVALUE\" is not of the form NAME=value"),
        ("/process/env/-", json!("A=b\u{0}c"), "process.env[2]: contains a NUL character"),
        ("/process/user/uid", json!(u32::MAX), "process.user.uid: 4294967295 is no id"),
        ("/process/user/umask", json!(0o10000), "process.user.umask: 4096 is not a file mode mask"),
        ("/process/oomScoreAdj", json!(1001), "process.oomScoreAdj: 1001 is not between -1000 and 1000"),
        (
            "/process/rlimits/-",
            json!({"type": "RLIMIT_NOFILE", "hard": 1, "soft": 1}),
            "process.rlimits[1].type: RLIMIT_NOFILE is set twice",
        ),
        (
            "/process/rlimits/-",
            json!({"type": "RLIMIT_CORE", "hard": 1, "soft": 2}),
            "process.rlimits[1]: soft limit 2 is above hard limit 1",
        ),
        (
            "/process/rlimits/-",
            json!({"type": "RLIMIT_FROB", "hard": 1, "soft": 1}),
            "process.rlimits[1].type: is \"RLIMIT_FROB\", none of \"RLIMIT_",
        ),
        ("/process/terminal", json!("yes"), "process.terminal: is the string \"yes\", not true or false"),
        (
            "/mounts/-",
            json!({"destination": "/"}),
            "mounts[7].destination: \"/\" is the root filesystem itself",
        ),
        (
            "/mounts/-",
            json!({"destination": "/a/../.."}),
            "mounts[7].destination: \"/a/../..\" is the root filesystem itself",
        ),
        (
            "/mounts/-",
            json!({"destination": "/proc/kcore", "type": "bind", "source": "x"}),
            "mounts[7].destination: \"/proc/kcore\" lies inside /proc",
        ),
        ("/hooks", hook("relative", 1), "hooks.createRuntime[0].path: \"relative\" is not an absolute path"),
        ("/hooks", hook("/bin/true", 0), "hooks.createRuntime[0].timeout: must be more than 0 seconds"),
        ("/annotations", json!({"": "x"}), "annotations: a key is empty"),
        (
            "/annotations",
            json!({"org.knarr.id-range": "100"}),
            "annotations.org.knarr.id-range: \"100\" is neither \"1\" nor \"65536\"",
        ),
        (
            "/annotations",
            json!({"org.knarr.id-range": "1"}),
            "annotations.org.knarr.id-range: needs a new user namespace in linux.namespaces",
        ),
        ("/linux/namespaces/-", json!({"type": "pid"}), "linux.namespaces[6].type: \"pid\" is listed twice"),
        (
            "/linux/namespaces/1",
            json!({"type": "network", "path": "ns/net"}),
            "linux.namespaces[1].path: network \"ns/net\" is not an absolute path",
        ),
        (
            "/mounts/-",
            json!({"destination": "/x", "source": "/x", "options": ["bind", "idmap=uids=0-1-1"]}),
            "mounts[7].options: \"idmap=uids=0-1-1\": mappings stand in uidMappings and gidMappings",
        ),
        ("/linux/namespaces/1", json!({"type": "frob"}), "linux.namespaces[1].type: is \"frob\", none of "),
        (
            "/linux/namespaces/3",
            json!({"type": "mount"}),
            "linux.namespaces[4].type: \"mount\" is listed twice",
        ),
        (
            "/linux/devices",
            json!([{"path": "dev/x", "type": "c", "major": 1, "minor": 3}]),
            "linux.devices[0].path: \"dev/x\" is not an absolute path",
        ),
        (
            "/linux/devices",
            json!([{"path": "/dev/x", "type": "a", "major": 1, "minor": 3}]),
            "linux.devices[0].type: \"a\" is no type of a node",
        ),
        (
            "/linux/devices",
            json!([{"path": "/dev/x", "type": "z", "major": 1, "minor": 3}]),
            "linux.devices[0].type: is \"z\", none of ",
        ),
        (
            "/linux/devices",
            json!([{"path": "/dev/x", "type": "c", "major": -1, "minor": 3}]),
            "linux.devices[0].major: -1 is out of range",
        ),
        (
            "/linux/sysctl",
            json!({"vm.swappiness": "1"}),
            "linux.sysctl.vm.swappiness: belongs to no namespace",
        ),
        (
            "/linux/sysctl",
            json!({"kernel.hostname": "x"}),
            "linux.sysctl.kernel.hostname: is set by hostname",
        ),
        (
            "/linux/sysctl",
            json!({"net.../x": "1"}),
            "linux.sysctl.net.../x: is not the name of a kernel parameter",
        ),
        (
            "/linux/rootfsPropagation",
            json!("foo"),
            "linux.rootfsPropagation: \"foo\" is not shared, slave, private or unbindable",
        ),
        (
            "/linux/maskedPaths",
            json!(["proc/keys"]),
            "linux.maskedPaths[0]: \"proc/keys\" is not an absolute path",
        ),
        ("/linux/cgroupsPath", json!("/a/../b"), "linux.cgroupsPath: \"/a/../b\" contains \"..\""),
        ("/linux/cgroupsPath", json!("/"), "linux.cgroupsPath: \"/\" would be the root cgroup"),
        ("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_NOTIFY"}), "linux.seccomp.defaultAction"),
    ];
    for (pointer, value, expected) in table {
        let error = error_of(&changed(pointer, value.clone()));
        assert!(error.starts_with(expected), "{pointer} = {value}: {error}\nexpected: {expected}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn a_namespace_that_is_missing_forbids_what_needs_it() {
    let without = |kind: &str, pointer: &str, value: Value| {
        let mut config: Value = serde_json::from_str(&changed(pointer, value)).unwrap();
        config["linux"]["namespaces"].as_array_mut().unwrap().retain(|n| n["type"] != kind);
        error_of(&config.to_string())
    };
    assert_eq!(
        without("uts", "/hostname", json!("x")),
        "hostname: needs a uts namespace in linux.namespaces"
    );
    let error = without("network", "/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}));
    assert_eq!(error, "linux.sysctl.net.ipv4.ip_forward: needs a network namespace in linux.namespaces");
    let error = without("mount", "/linux/maskedPaths", json!(["/x"]));
    assert_eq!(error, "linux.maskedPaths: needs a new mount namespace in linux.namespaces");
}

#[test]
fn no_limit_of_processes_is_given_by_leaving_it_out() {
    let pids = |limit: Value| {
        let text = changed("/linux/resources/pids", limit);
        config::load(text.as_bytes(), Path::new("/bundle")).unwrap()
    };
    let absent = pids(json!({}));
    assert_eq!(absent.config.resources.pids, None);
    assert!(absent.warnings.is_empty(), "{:?}", absent.warnings);
    assert_eq!(pids(json!({ "limit": null })).config.resources.pids, None);
    let zero = pids(json!({ "limit": 0 }));
    assert!(zero.config.resources.pids.is_some());
    let warning =
        "linux.resources.pids.limit: 0 allows one process, so nothing can be forked; -1 is no limit";
    assert_eq!(zero.warnings, [warning]);
}

fn assert_match(config: &str, start: &str) {
    let error = error_of(config);
    assert!(error.starts_with(start), "{error}");
}

#[test]
fn a_malformed_text_is_an_error_with_line_column_and_field() {
    assert_eq!(
        error_of("{\n  \"ociVersion\": }"),
        "ociVersion: expected value (config.json line 2 column 17)"
    );
    assert_eq!(error_of(""), "config.json: EOF while parsing a value (config.json line 1 column 0)");
    let error = error_of("{\n \"ociVersion\": \"1.0.0\",\n \"mounts\": [{\"destination\": 7}]\n}");
    assert_eq!(error, "mounts[0].destination: is the number 7, not a path (config.json line 3 column 29)");
    // What is missing is missing from the object, not from its last member.
    let missing = "missing field `cwd` (config.json line 1 column";
    assert_match(r#"{"process": {"user": {"uid": 1, "gid": 1}, "env": []}}"#, &format!("process: {missing}"));
    let missing = "missing field `type` (config.json line 1 column";
    let prefix = format!("linux.devices[1]: {missing}");
    assert_match(r#"{"linux": {"devices": [{"path": "/a", "type": "p"}, {"path": "/b"}]}}"#, &prefix);
    assert_match(
        r#"{"linux": {"devices": [{"path": "/a", "type": "p"}, {"path": "/b", "x": {}}]}}"#,
        &prefix,
    );
}

#[test]
fn what_the_specification_tolerates_is_accepted() {
    let unknown = changed("/frobnicate", json!({"deep": [1, 2]}));
    assert_eq!(error_of(&unknown), "accepted");
    let loaded = config::load(
        changed("/process/capabilities/bounding/-", json!("CAP_FROB")).as_bytes(),
        Path::new("/b"),
    );
    assert_eq!(
        loaded.unwrap().warnings,
        ["process.capabilities.bounding: unknown capability \"CAP_FROB\" ignored"]
    );
    assert_eq!(error_of(&changed("/process", json!(null))), "accepted");
    let mut nothing_new: Value = serde_json::from_str(&changed("/linux", json!(null))).unwrap();
    nothing_new["root"]["readonly"] = false.into();
    nothing_new["process"]["terminal"] = false.into();
    nothing_new.as_object_mut().unwrap().remove("hostname");
    let loaded = config::load(nothing_new.to_string().as_bytes(), Path::new("/b")).unwrap();
    assert_eq!(loaded.warnings, ["mounts: ignored, there is no new mount namespace in linux.namespaces"]);
    assert!(loaded.config.mounts.is_empty());
}

#[test]
fn the_last_of_two_equal_variables_wins() {
    let text = changed("/process/env", json!(["A=1", "B=2", "A=3"]));
    let config = config::load(text.as_bytes(), Path::new("/b")).unwrap().config;
    assert_eq!(config.process.unwrap().env, ["A=3", "B=2"]);
}

/// The pointers to all members of objects in `value`, at any depth.
fn members(value: &Value, at: &str, found: &mut Vec<(String, String)>) {
    let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(map) => map.iter().for_each(|(name, member)| {
            found.push((at.into(), name.clone()));
            members(member, &format!("{at}/{}", escaped(name)), found);
        }),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(n, item)| members(item, &format!("{at}/{n}"), found));
        }
        _ => {}
    }
}

#[test]
fn null_is_as_absent_wherever_it_stands() {
    let load = |config: &Value| {
        let loaded = config::load(config.to_string().as_bytes(), Path::new("/bundle"));
        loaded.map_or_else(|_| "an error".into(), |loaded| format!("{loaded:?}"))
    };
    for name in ["everything", "docker", "podman", "userns"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/plans/{name}.json"));
        let config: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let mut found = Vec::new();
        members(&config, "", &mut found);
        assert!(found.len() > 50);
        for (parent, member) in found {
            let (mut absent, mut null) = (config.clone(), config.clone());
            absent.pointer_mut(&parent).unwrap().as_object_mut().unwrap().remove(&member);
            null.pointer_mut(&parent).unwrap()[&member] = Value::Null;
            assert_eq!(load(&null), load(&absent), "{name}: {parent}/{member}");
        }
    }
}
