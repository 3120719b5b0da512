//! Golden plans: for each `tests/plans/NAME.json`, a config.json, the text of its plan in
//! `tests/plans/NAME.plan`.
//!
//! `UPDATE_PLANS=1 cargo test --test plans` writes the texts anew; read the difference before you
//! commit it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use knarr::config;
use knarr::host::{Host, IdRanges};
use knarr::plan::{self, CgroupDriver, ExecCgroup, ExecRequest, Keyring, Pivot, Request, Start};
use knarr::sys::mount::MountId;
use knarr::template;
use std::path::{Path, PathBuf};

fn host() -> Host {
    let known = knarr::capability::Set::from_bits((1 << 41) - 1);
    Host {
        cgroup_root: "/sys/fs/cgroup".into(),
        own_cgroup: "/user/shell".into(),
        delegated: false,
        uid: 0,
        is_root: true,
        known_capabilities: known,
        bounding: known,
        apparmor: true,
        selinux: true,
        empty_mounts: false,
        id_ranges: IdRanges::default(),
    }
}

fn request(start: Start) -> Request {
    Request {
        id: "web".parse().unwrap(),
        start,
        pivot: Pivot::Root,
        keyring: Keyring::New,
        preserve_fds: 0,
        listen_env: Vec::new(),
        cgroup_driver: CgroupDriver::Cgroupfs,
        overlay: None,
        init: false,
        listen: None,
        notify: None,
    }
}

fn plan_of(text: &str, request: &Request) -> Result<String, String> {
    plan_on(&host(), text, request)
}

fn plan_on(host: &Host, text: &str, request: &Request) -> Result<String, String> {
    let loaded = config::load(text.as_bytes(), Path::new("/bundle")).map_err(|e| format!("{e:#}"))?;
    let plan = plan::create(&loaded.config, request, host).map_err(|e| e.to_string())?;
    let warnings =
        loaded.warnings.iter().chain(&plan.warnings).map(|warning| format!("warning: {warning}\n"));
    Ok(warnings.collect::<String>() + &plan.to_string())
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans")
}

fn exec_request() -> ExecRequest {
    ExecRequest {
        id: "web".parse().unwrap(),
        keyring: Keyring::New,
        preserve_fds: 0,
        listen_env: Vec::new(),
        cgroup: ExecCgroup::Containers,
        cgroup_driver: CgroupDriver::Systemd,
    }
}

/// A case of `mounts`: the name of a config of this folder, and what is added to its container;
/// then what takes that away.
fn mounts_plan_of(case: &str, host: &Host) -> Result<String, String> {
    let case: serde_json::Value = serde_json::from_str(case).unwrap();
    let config = std::fs::read(folder().join(case["config"].as_str().unwrap())).unwrap();
    let config = config::load(&config, Path::new("/bundle")).unwrap().config;
    let text = case["mounts"].to_string();
    let (asked, _) =
        config::added::load_mounts(text.as_bytes(), "mounts.json", Path::new("/bundle"), &config)
            .map_err(|e| format!("{e:#}"))?;
    let list: Vec<_> = asked.iter().map(|asked| &asked.mount).collect();
    let added = plan::added::add(&config, host, &list).map_err(|e| e.to_string())?;
    let id = MountId { number: 7, unique: Some(70) };
    let targets: Vec<_> = asked.iter().map(|asked| (asked.written.destination.as_str(), id)).collect();
    let removed = plan::added::remove(&config, &targets).map_err(|e| e.to_string())?;
    let removed = removed.iter().map(|step| format!("      {step}\n"));
    Ok(format!("{added}to take it away:\n{}", removed.collect::<String>()))
}

/// A case of `exec`: the name of a config of this folder and, if the process is not that of the
/// config, the process.
fn exec_plan_of(case: &str, request: &ExecRequest) -> Result<String, String> {
    let case: serde_json::Value = serde_json::from_str(case).unwrap();
    let config = folder().join(case["config"].as_str().unwrap());
    let config = config::load(&std::fs::read(config).unwrap(), Path::new("/bundle")).unwrap().config;
    let (process, warnings) = match case.get("process") {
        Some(process) => {
            config::load_process(process.to_string().as_bytes(), "process.json", config.process.as_ref())
                .map_err(|e| format!("{e:#}"))?
        }
        None => (config.process.clone().unwrap(), Vec::new()),
    };
    let plan = plan::exec(&config, &process, request, &host()).map_err(|e| e.to_string())?;
    let warnings = warnings.iter().map(|warning| format!("warning: {warning}\n"));
    Ok(warnings.collect::<String>() + &plan.to_string())
}

fn configs(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
    files.sort();
    files
}

/// Engines that name a slice and a scope in `linux.cgroupsPath` ask for the driver that takes them.
fn driver_for(text: &str) -> CgroupDriver {
    let config: serde_json::Value = serde_json::from_str(text).unwrap();
    let path = config.pointer("/linux/cgroupsPath").and_then(serde_json::Value::as_str);
    if path.is_some_and(|path| path.contains(':')) { CgroupDriver::Systemd } else { CgroupDriver::Cgroupfs }
}

#[test]
fn every_config_compiles_to_its_golden_plan() {
    compare_with_golden(&folder(), 11, |text| {
        let mut request = request(Start::OnRequest);
        request.cgroup_driver = driver_for(text);
        plan_of(text, &request)
    });
}

/// A config of this folder, by its name in a case.
fn config_of(case: &str) -> String {
    let case: serde_json::Value = serde_json::from_str(case).unwrap();
    std::fs::read_to_string(folder().join(case["config"].as_str().unwrap())).unwrap()
}

#[test]
fn an_empty_mount_namespace_has_a_golden_plan() {
    let host = Host { empty_mounts: true, ..host() };
    compare_with_golden(&folder().join("empty-mounts"), 2, |case| {
        plan_on(&host, &config_of(case), &request(Start::OnRequest))
    });
}

/// An ordinary user's container, whose ids are found.
#[test]
fn ids_that_are_found_are_of_subuid_or_lent() {
    let mut config: serde_json::Value =
        serde_json::from_str(&template::spec::rootless(1000, 1000).unwrap()).unwrap();
    let linux = config["linux"].as_object_mut().unwrap();
    linux.remove("uidMappings");
    linux.remove("gidMappings");
    config["annotations"] = serde_json::json!({ "org.knarr.id-range": "65536" });
    let on = |uid, id_ranges| {
        let host = Host { uid, is_root: uid == 0, id_ranges, ..host() };
        plan_on(&host, &config.to_string(), &request(Start::AtOnce))
    };
    let ranges = |uids: &[(u32, u32)], gids: &[(u32, u32)], nsresourced| IdRanges {
        uids: uids.to_vec(),
        gids: gids.to_vec(),
        nsresourced,
    };
    let short = (100_000, 65_535);
    let enough = (200_000, 65_536);
    let plan = on(1000, ranges(&[short, enough], &[(300_000, 100_000)], true)).unwrap();
    assert!(
        plan.contains("map uids 0-200000-65536, gids 0-300000-65536    # annotations.org.knarr.id-range"),
        "{plan}"
    );
    for lent in [ranges(&[], &[], true), ranges(&[short], &[enough], true), ranges(&[enough], &[], true)] {
        let plan = on(1000, lent).unwrap();
        let line =
            "map 65536 ids from 0 on that systemd-nsresourced lends    # annotations.org.knarr.id-range";
        assert!(plan.contains(line), "{plan}");
        assert!(!plan.contains("map uids"), "{plan}");
    }
    assert!(
        on(1000, ranges(&[short], &[enough], false))
            .unwrap_err()
            .contains("nobody gives this user 65536 ids")
    );
    assert!(on(0, IdRanges::default()).unwrap_err().contains("for an ordinary user"));
}

#[test]
fn what_names_host_paths_needs_the_mounts_of_the_host() {
    let on = |host: &Host, change: &dyn Fn(&mut serde_json::Value, &mut Request)| {
        let mut config: serde_json::Value = serde_json::from_str(template::spec::DEFAULT).unwrap();
        let mut request = request(Start::AtOnce);
        change(&mut config, &mut request);
        plan_on(host, &config.to_string(), &request).unwrap()
    };
    let is_empty = |change: &dyn Fn(&mut serde_json::Value, &mut Request)| {
        on(&Host { empty_mounts: true, ..host() }, change).contains("new mount, empty")
    };
    assert!(is_empty(&|_, _| {}));
    assert!(!on(&host(), &|_, _| {}).contains("new mount, empty"));
    assert!(!on(&Host { empty_mounts: true, is_root: false, ..host() }, &|_, _| {}).contains("empty"));
    for kind in ["prestart", "createRuntime", "createContainer"] {
        assert!(!is_empty(&|config, _| config["hooks"] = serde_json::json!({kind: [{"path": "/bin/true"}]})));
    }
    let start = serde_json::json!({"startContainer": [{"path": "/bin/true"}]});
    assert!(is_empty(&|config, _| config["hooks"] = start.clone()));
    assert!(!is_empty(&|_, request| request.pivot = Pivot::Move));
    for (fstype, empty) in [("overlay", false), ("ext4", false), ("tmpfs", true)] {
        let mount = serde_json::json!({"destination": "/m", "type": fstype, "source": "/dev/sda", "options": ["lowerdir=/a:/b"]});
        let with =
            |config: &mut serde_json::Value| config["mounts"].as_array_mut().unwrap().push(mount.clone());
        assert_eq!(is_empty(&|config, _| with(config)), empty, "{fstype}");
    }
    assert!(!is_empty(&|config, _| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.push(serde_json::json!({"type": "user"}));
        let map = serde_json::json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        config["linux"]["uidMappings"] = map.clone();
        config["linux"]["gidMappings"] = map;
    }));
}

#[test]
fn every_exec_compiles_to_its_golden_plan() {
    compare_with_golden(&folder().join("exec"), 4, |text| exec_plan_of(text, &exec_request()));
}

#[test]
fn every_addition_compiles_to_its_golden_plan() {
    compare_with_golden(&folder().join("mounts"), 2, |case| mounts_plan_of(case, &host()));
}

#[test]
fn a_device_is_a_node_or_in_a_user_namespace_a_mount() {
    let device = config::added::AddedDevice {
        node: config::Device {
            path: "/dev/log".into(),
            kind: 0o020_000,
            major: 1,
            minor: 11,
            mode: 0o644,
            uid: 0,
            gid: 4,
        },
        source: "/dev/kmsg".into(),
        access: config::device_rules::Access::READ,
        mount: Some(MountId { number: 7, unique: None }),
    };
    let both = |name: &str| {
        let text = std::fs::read(folder().join(name)).unwrap();
        let config = config::load(&text, Path::new("/bundle")).unwrap().config;
        let added = plan::added::add_device(&config, &host(), &device).unwrap().to_string();
        let removed = plan::added::remove_device(&config, &host(), &device).unwrap();
        let removed: Vec<String> = removed.iter().map(ToString::to_string).collect();
        (added, removed)
    };
    let (added, removed) = both("default.json");
    assert!(added.contains("node /dev/log c 1:11 mode 0644 owner 0:4"), "{added}");
    assert!(removed.contains(&"unlink /dev/log if it is c 1:11".to_string()), "{removed:?}");
    let (added, removed) = both("userns.json");
    assert!(added.contains("copy #0 of mount /dev/kmsg"), "{added}");
    assert!(added.contains("record, then mount /dev/log copy #0"), "{added}");
    assert!(removed.contains(&"unlink /dev/log if it is an empty file".to_string()), "{removed:?}");
}

#[test]
fn what_cannot_be_added_is_refused() {
    let refused = |config: &str, mount: serde_json::Value, uid: u32| {
        let case = serde_json::json!({"config": config, "mounts": [mount]}).to_string();
        mounts_plan_of(&case, &Host { uid, is_root: uid == 0, ..host() }).unwrap_err()
    };
    let bind = |options: &[&str]| serde_json::json!({"destination": "/x", "type": "bind", "source": "/y", "options": options});
    let of = |kind: &str| serde_json::json!({"destination": "/x", "type": kind, "source": "y"});
    for (said, says) in [
        (refused("default.json", bind(&["bind"]), 1000), "mounts[0] /x: an ordinary user can copy mounts"),
        (refused("userns.json", of("ext4"), 1000), "mounts[0] /x: only root can mount ext4"),
        (refused("default.json", bind(&["remount", "ro"]), 0), "mounts[0] /x: remount adds no mount"),
        (refused("default.json", bind(&["bind", "copy-symlink"]), 0), "mounts[0] /x: a symlink is no mount"),
    ] {
        assert!(said.starts_with(says), "{said}");
    }
}

#[test]
fn every_restore_compiles_to_its_golden_plan() {
    compare_with_golden(&folder().join("restore"), 4, |case| {
        let text = config_of(case);
        let mut request = request(Start::AtOnce);
        request.cgroup_driver = driver_for(&text);
        restore_plan_of(&text, &request)
    });
}

fn restore_plan_of(text: &str, request: &Request) -> Result<String, String> {
    let loaded = config::load(text.as_bytes(), Path::new("/bundle")).map_err(|e| format!("{e:#}"))?;
    let plan = plan::restore::restore(&loaded.config, request, &host()).map_err(|e| e.to_string())?;
    Ok(plan.to_string())
}

#[test]
fn only_root_of_the_machine_comes_back_from_a_pid_namespace() {
    let mut config: serde_json::Value = serde_json::from_str(template::spec::DEFAULT).unwrap();
    config["linux"]["namespaces"] =
        serde_json::json!([{"type": "mount"}, {"type": "uts"}, {"type": "pid", "path": "/proc/42/ns/pid"}]);
    let loaded = config::load(config.to_string().as_bytes(), Path::new("/bundle")).unwrap();
    let launch = |is_root| {
        let host = Host { is_root, ..host() };
        plan::create(&loaded.config, &request(Start::AtOnce), &host).unwrap().launch.to_string()
    };
    let clone = "clone3 into-cgroup new-uts new-mount";
    assert_eq!(launch(true), format!("setns pid, {clone}, setns back"));
    assert_eq!(launch(false), format!("through a process that joins pid: {clone}"));
}

#[test]
fn what_criu_would_lose_is_refused() {
    let default: serde_json::Value = serde_json::from_str(template::spec::DEFAULT).unwrap();
    let refused = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut config = default.clone();
        change(&mut config);
        restore_plan_of(&config.to_string(), &request(Start::AtOnce)).unwrap_err()
    };
    let mapped = serde_json::json!({
        "destination": "/data", "type": "bind", "source": "/srv", "options": ["bind"],
        "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}],
        "gidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}],
    });
    let said = refused(&|config| config["mounts"].as_array_mut().unwrap().push(mapped.clone()));
    assert!(said.contains("/data: an id-mapped mount cannot be checkpointed"), "{said}");
    let said =
        refused(&|config| config["annotations"] = serde_json::json!({"org.knarr.overlay": "ephemeral"}));
    assert!(said.starts_with("annotations.org.knarr.overlay: the layers of an overlay"), "{said}");
    let said = refused(&|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|namespace| namespace["type"] != "mount");
        config["mounts"] = serde_json::json!([]);
        for field in ["maskedPaths", "readonlyPaths"] {
            config["linux"].as_object_mut().unwrap().remove(field);
        }
        config["root"]["readonly"] = false.into();
        config["process"]["terminal"] = false.into();
    });
    assert!(said.starts_with("linux.namespaces: without a mount namespace"), "{said}");
}

fn compare_with_golden(folder: &Path, at_least: usize, plan_of: impl Fn(&str) -> Result<String, String>) {
    let configs = configs(folder);
    assert!(configs.len() >= at_least, "the golden configs are gone");
    for path in configs {
        let text = std::fs::read_to_string(&path).unwrap();
        let plan = plan_of(&text).unwrap_or_else(|err| panic!("{}: {err}", path.display()));
        let golden = path.with_extension("plan");
        if std::env::var_os("UPDATE_PLANS").is_some() {
            std::fs::write(&golden, &plan).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        let (plan, expected) = (comparable(&plan), comparable(&expected));
        assert_eq!(plan, expected, "{} differs from its golden text", path.display());
    }
}

/// The golden texts are those of x86-64. Elsewhere filters for the same profile have other lengths.
fn comparable(plan: &str) -> String {
    if cfg!(target_arch = "x86_64") {
        return plan.to_owned();
    }
    let mut lines = Vec::new();
    for line in plan.lines() {
        lines.push(match line.split_once("seccomp filter of ") {
            Some((before, after)) => {
                format!("{before}seccomp filter of{}", after.trim_start_matches(char::is_numeric))
            }
            None => line.to_owned(),
        });
    }
    lines.join("\n")
}

#[test]
fn the_default_spec_is_one_of_the_golden_configs() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans/default.json");
    assert_eq!(std::fs::read_to_string(golden).unwrap(), template::spec::DEFAULT);
}

#[test]
fn requests_change_the_plan() {
    let plan = |change: fn(&mut Request)| {
        let mut request = request(Start::AtOnce);
        change(&mut request);
        plan_of(template::spec::DEFAULT, &request).unwrap()
    };
    let plain = plan(|_| {});
    assert!(!plain.contains("await start") && !plain.contains("listen for start"));
    assert!(plain.contains("pivot_root") && plain.contains("session keyring _ses.web"));
    assert!(plan(|r| r.pivot = Pivot::Move).contains("move root over / and chroot"));
    assert!(!plan(|r| r.keyring = Keyring::Callers).contains("session keyring"));
    assert!(plan(|r| r.preserve_fds = 2).starts_with("container web, descriptors 0 to 4\n"));
    let notified = plan(|r| r.notify = Some("/run/knarr/web/notify".into()));
    for part in
        ["take notifications", "of mount /run/knarr/web/notify", "mount /run/notify ", "with 3 variables"]
    {
        assert!(notified.contains(part), "{part}: {notified}");
    }
    assert!(
        plan(|r| r.cgroup_driver = CgroupDriver::Systemd).contains("cgroup /system.slice/knarr-web.scope")
    );
}

#[test]
fn requests_change_the_plan_of_exec() {
    let plan = |change: fn(&mut ExecRequest)| {
        let mut request = exec_request();
        change(&mut request);
        exec_plan_of(r#"{"config": "default.json"}"#, &request).unwrap()
    };
    let plain = plan(|_| {});
    assert!(plain.contains("into the container's cgroup") && plain.contains("session keyring _ses.web"));
    assert!(!plain.contains("LISTEN_PID"));
    assert!(!plan(|r| r.keyring = Keyring::Callers).contains("session keyring"));
    assert!(plan(|r| r.preserve_fds = 2).starts_with("process in container web, descriptors 0 to 4\n"));
    assert!(plan(|r| r.listen_env = vec!["LISTEN_FDS=1".into()]).contains("and LISTEN_PID"));
    assert!(plan(|r| r.cgroup = ExecCgroup::Below("a/b".into())).contains("clone3 into cgroup a/b of"));
}

#[test]
fn a_process_that_comes_alone_is_checked_as_that_of_a_config() {
    let check = |process: &str| match config::load_process(process.as_bytes(), "process.json", None) {
        Ok((process, warnings)) => format!("{:?} {warnings:?}", process.args),
        Err(err) => format!("{err:#}"),
    };
    assert_eq!(check(r#"{"args": ["a"], "cwd": "/"}"#), r#"["a"] []"#);
    assert_eq!(
        check(r#"{"args": [], "cwd": "/", "user": {"uid": 0, "gid": 0}}"#),
        "process.args: empty; it must name a program"
    );
    assert!(check(r#"{"args": ["a"], "cwd": "x"}"#).contains("process.cwd: \"x\" is not an absolute path"));
    assert_eq!(
        check("{\"user\": {\"uid\": 0, \"gid\": 0},\n\"args\": 7}"),
        "process.args: is the number 7, not an array (process.json line 2 column 9)"
    );
    assert!(check("{").contains("process: EOF while parsing an object (process.json line 1 column 1)"));
}
