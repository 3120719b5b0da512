//! The systemd driver, decided: the scope, its properties, and what is written to its cgroup.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use knarr::config;
use knarr::config::resources::Limit;
use knarr::config::update::Current;
use knarr::config::update::resolve;
use knarr::host::{Host, IdRanges};
use knarr::plan::systemd::Instance;
use knarr::plan::update::update;
use knarr::plan::{self, CgroupDriver, HostStep, Keyring, Pivot, Request, Start, Unit};
use knarr::template;
use serde_json::{Value, json};
use std::path::Path;

fn plan(change: impl FnOnce(&mut Value)) -> Result<String, String> {
    let mut config: Value = serde_json::from_str(template::spec::DEFAULT).unwrap();
    config["linux"]["cgroupsPath"] = "a-b.slice:pfx:web".into();
    change(&mut config);
    let request = Request {
        id: "web".parse().unwrap(),
        start: Start::OnRequest,
        pivot: Pivot::Root,
        keyring: Keyring::New,
        preserve_fds: 0,
        listen_env: Vec::new(),
        overlay: None,
        init: false,
        listen: None,
        notify: None,
        cgroup_driver: CgroupDriver::Systemd,
    };
    let host = Host {
        cgroup_root: "/sys/fs/cgroup".into(),
        own_cgroup: String::new(),
        delegated: false,
        uid: 0,
        is_root: true,
        known_capabilities: Default::default(),
        bounding: Default::default(),
        apparmor: false,
        selinux: false,
        empty_mounts: false,
        id_ranges: IdRanges::default(),
    };
    let loaded =
        config::load(config.to_string().as_bytes(), Path::new("/bundle")).map_err(|e| format!("{e:#}"))?;
    let plan = plan::create(&loaded.config, &request, &host).map_err(|e| e.to_string())?;
    let mut text = String::new();
    for planned in &plan.host {
        match &planned.step {
            HostStep::Scope { scope, path, controllers } => {
                text += &format!("{} at {path} with {} controllers\n", scope.unit.name, controllers.len());
                for (when, properties) in [("", &scope.properties), ("later ", &scope.later)] {
                    for property in properties {
                        let place = if property.field.is_empty() { "" } else { "    # " };
                        text += &format!("{when}{}{place}{}\n", property.step, property.field);
                    }
                }
            }
            HostStep::Limit(write) => text += &format!("limit {write}\n"),
            _ => {}
        }
    }
    Ok(text)
}

const BASE: &str = "\
Description='knarr container web'
Slice='a-b.slice'
Delegate=true
DefaultDependencies=false
MemoryAccounting=true
CPUAccounting=true
IOAccounting=true
TasksAccounting=true
";

#[test]
fn all_limits_are_in_one_call_and_the_cgroup_has_the_same() {
    let text = plan(|config| {
        config["linux"]["resources"] = json!({
            "memory": { "limit": 67_108_864, "swap": 100_663_296, "reservation": 33_554_432 },
            "cpu": { "shares": 512, "quota": 33_333, "period": 100_000, "burst": 1000, "cpus": "0,3-9", "mems": "0" },
            "pids": { "limit": 55 },
            "blockIO": { "weight": 500 },
            "unified": { "memory.high": "50331648", "memory.oom.group": "1", "pids.max": "60" },
        });
    });
    let golden = format!(
        "\
pfx-web.scope at a.slice/a-b.slice/pfx-web.scope with 5 controllers
{BASE}AllowedCPUs=[byte 0xf9, byte 0x03]    # linux.resources.cpu.cpus
AllowedMemoryNodes=[byte 0x01]    # linux.resources.cpu.mems
CPUQuotaPerSecUSec=uint64 340000    # linux.resources.cpu.quota
CPUQuotaPeriodUSec=uint64 100000    # linux.resources.cpu.quota
CPUWeight=uint64 59    # linux.resources.cpu.shares
IOWeight=uint64 4950    # linux.resources.blockIO.weight
MemoryHigh=uint64 50331648    # linux.resources.unified.memory.high
MemoryLow=uint64 33554432    # linux.resources.memory.reservation
MemoryMax=uint64 67108864    # linux.resources.memory.limit
MemorySwapMax=uint64 33554432    # linux.resources.memory.swap
TasksMax=uint64 60    # linux.resources.unified.pids.max
limit cpuset.cpus = 0,3-9
limit cpuset.mems = 0
limit cpu.weight = 59
limit cpu.max.burst = 1000, if it can be yet
limit cpu.max = 34000 100000
limit cpu.max.burst = 1000
limit memory.swap.max = 33554432
limit memory.max = 67108864
limit memory.low = 33554432
limit pids.max = 55
limit io.bfq.weight = 500, else io.weight = 4950
limit memory.high = 50331648
limit memory.oom.group = 1
limit pids.max = 60
"
    );
    assert_eq!(text.unwrap(), golden);
}

/// What is said of limits for `resources`, without the names that every scope has.
fn properties(resources: Value) -> Vec<String> {
    let text = plan(|config| config["linux"]["resources"] = resources).unwrap();
    let text = text.replace(BASE, "");
    text.lines().skip(1).map(|line| line.split("    #").next().unwrap().to_string()).collect()
}

#[test]
fn quotas_are_rounded_up_to_what_systemd_counts() {
    let cases = [
        (json!({ "quota": 20_000 }), "CPUQuotaPerSecUSec=uint64 200000", "cpu.max = 20000 100000"),
        (json!({ "quota": 20_001 }), "CPUQuotaPerSecUSec=uint64 210000", "cpu.max = 21000 100000"),
        (
            json!({ "quota": 1000, "period": 1_000_000 }),
            "CPUQuotaPerSecUSec=uint64 10000",
            "cpu.max = 10000 1000000",
        ),
        (
            json!({ "quota": 33_333, "period": 50_000 }),
            "CPUQuotaPerSecUSec=uint64 670000",
            "cpu.max = 33500 50000",
        ),
        (json!({ "quota": -1 }), "CPUQuotaPerSecUSec=uint64 18446744073709551615", "cpu.max = max 100000"),
    ];
    for (cpu, property, write) in cases {
        let text = properties(json!({ "cpu": cpu }));
        assert!(text.contains(&property.to_string()), "{cpu}: {text:?}");
        assert!(text.contains(&format!("limit {write}")), "{cpu}: {text:?}");
    }
}

#[test]
fn what_systemd_counts_otherwise() {
    let max = "uint64 18446744073709551615";
    assert_eq!(
        properties(json!({ "memory": { "limit": -1 } }))[..2],
        [format!("MemoryMax={max}"), format!("MemorySwapMax={max}")]
    );
    assert_eq!(properties(json!({ "cpu": { "idle": 1 } })), ["CPUWeight=uint64 0", "limit cpu.idle = 1"]);
    // Without room for the process that holds the place, the limit comes later, and is not written
    // before.
    assert_eq!(
        properties(json!({ "pids": { "limit": 0 } })),
        ["TasksMax=uint64 2", "later TasksMax=uint64 1"]
    );
    assert_eq!(
        properties(json!({ "unified": { "pids.max": "1" } })),
        ["TasksMax=uint64 2", "later TasksMax=uint64 1"]
    );
    // A list with steps, and a value that the kernel refuses, are left to the cgroup's file.
    assert_eq!(properties(json!({ "cpu": { "cpus": "0-15:1/4" } })), ["limit cpuset.cpus = 0-15:1/4"]);
    assert_eq!(properties(json!({ "unified": { "memory.max": "frob" } })), ["limit memory.max = frob"]);
    assert_eq!(
        properties(json!({ "unified": { "cpu.max": "20000 50000" } })),
        [
            "CPUQuotaPerSecUSec=uint64 400000",
            "CPUQuotaPeriodUSec=uint64 50000",
            "limit cpu.max = 20000 50000"
        ]
    );
}

#[test]
fn annotations_are_properties() {
    let of = |key: &str, text: &str| {
        let key = format!("org.systemd.property.{key}");
        plan(|config| {
            config["linux"]["resources"] = json!({});
            config["annotations"] = json!({ key: text });
        })
        .map(|text| {
            text.replace(BASE, "")
                .lines()
                .nth(1)
                .unwrap_or_default()
                .split("    #")
                .next()
                .unwrap()
                .to_string()
        })
    };
    let good = [
        ("TimeoutStopUSec", "uint64 10000000", "TimeoutStopUSec=uint64 10000000"),
        ("TimeoutStopSec", "uint64 10", "TimeoutStopUSec=uint64 10000000"),
        ("TimeoutStopSec", "1.5", "TimeoutStopUSec=uint64 1500000"),
        ("KillSignal", "9", "KillSignal=9"),
        ("DefaultDependencies", "true", "DefaultDependencies=true"),
        ("After", "['crio.service', 'b']", "After=['crio.service', 'b']"),
        ("CollectMode", "'inactive-or-failed'", "CollectMode='inactive-or-failed'"),
    ];
    for (key, text, property) in good {
        assert_eq!(of(key, text).unwrap(), property);
    }
    for (key, text) in [
        ("lower", "true"),
        ("A", "true"),
        ("With.Dot", "1"),
        ("TimeoutStopSec", "'x'"),
        ("KillMode", "mixed"),
        ("X", ""),
    ] {
        let error = of(key, text).unwrap_err();
        assert!(error.starts_with(&format!("annotations.org.systemd.property.{key}: ")), "{error}");
    }
}

#[test]
fn annotations_are_about_the_scope_alone() {
    let others = [
        ("Wants", "['debug-shell.service']"),
        ("BindsTo", "['debug-shell.service']"),
        ("Conflicts", "['sshd.service']"),
        ("PropagatesStopTo", "['sshd.service']"),
        ("OnFailure", "['debug-shell.service']"),
        ("OnSuccessJobMode", "'isolate'"),
        ("FailureAction", "'reboot-force'"),
        ("JobTimeoutAction", "'poweroff'"),
        ("RebootArgument", "'x'"),
        ("ExecStartPre", "'/bin/touch /x'"),
        ("Slice", "'system.slice'"),
        ("User", "'root'"),
        ("BPFProgram", "['x']"),
        ("IPIngressFilterPath", "['/sys/fs/bpf/x']"),
    ];
    for (name, value) in others {
        let key = format!("org.systemd.property.{name}");
        let error = plan(|config| config["annotations"] = json!({ key: value })).unwrap_err();
        let expected =
            format!("annotations.org.systemd.property.{name}: is about more than the container's scope");
        assert_eq!(error, expected);
    }
}

#[test]
fn an_update_tells_systemd_too() {
    let unit = Unit { instance: Instance::System, name: "pfx-web.scope".into(), slice: "a-b.slice".into() };
    let current =
        Current { quota_us: Some(Limit::To(20_000)), period_us: Some(100_000), memory: None, weight: None };
    let asked = json!({ "cpu": { "period": 30_000 }, "pids": { "limit": 66 } });
    let asked = resolve(asked, &current, &mut Vec::new()).unwrap();
    let golden = "\
enable cpu pids
limit cpu.max = 20100 30000    # linux.resources.cpu.quota
limit pids.max = 66    # linux.resources.pids.limit
tell systemd CPUQuotaPerSecUSec=uint64 670000    # linux.resources.cpu.quota
tell systemd CPUQuotaPeriodUSec=uint64 30000    # linux.resources.cpu.quota
tell systemd TasksMax=uint64 66    # linux.resources.pids.limit
";
    assert_eq!(update(&asked, &current, Some(&unit)).unwrap().to_string(), golden);

    let told = |idle: i64, weight| {
        let current = Current { weight, ..Current::default() };
        let asked = resolve(json!({ "cpu": { "idle": idle } }), &current, &mut Vec::new()).unwrap();
        update(&asked, &current, Some(&unit)).unwrap().properties[0].step.to_string()
    };
    assert_eq!(told(1, Some(59)), "CPUWeight=uint64 0");
    assert_eq!(told(0, Some(59)), "CPUWeight=uint64 59");
    assert_eq!(told(0, None), "CPUWeight=uint64 100");
}
