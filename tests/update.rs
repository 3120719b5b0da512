//! Golden plans of `update`: what is asked, on a cgroup with limits, to what is done to it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use knarr::config::resources::Limit;
use knarr::config::update::Current;
use knarr::config::update::{self as asked, parse};
use knarr::plan::update::update;
use serde_json::json;

/// 20 ms of CPU time in 50 ms, 64 MiB.
const CURRENT: Current = Current {
    quota_us: Some(Limit::To(20_000)),
    period_us: Some(50_000),
    memory: Some(Limit::To(64 << 20)),
    weight: Some(59),
};

fn plan(asked: serde_json::Value, current: &Current) -> Result<String, String> {
    let mut warnings = Vec::new();
    let asked = asked::resolve(asked, current, &mut warnings).map_err(|err| err.to_string())?;
    let plan = update(&asked, current, None).map_err(|err| err.to_string())?;
    Ok(warnings.iter().map(|warning| format!("warning: {warning}\n")).collect::<String>() + &plan.to_string())
}

#[test]
fn everything_at_once() {
    let asked = json!({
        "cpu": { "shares": 512, "period": 100_000, "burst": 1000, "cpus": "0", "realtimeRuntime": 1 },
        "memory": { "limit": 33_554_432, "swap": 50_331_648, "checkBeforeUpdate": true },
        "pids": { "limit": 0 },
        "blockIO": { "weight": 500 },
        "unified": { "memory.high": "1", "io.max": "8:0 rbps=1\n8:16 rbps=2" },
        "devices": [{ "allow": false, "access": "rwm" }, { "allow": true, "type": "c", "major": 1, "minor": 11, "access": "r" }],
    });
    let golden = "\
warning: linux.resources.cpu.realtimeRuntime: ignored, cgroup v2 has nothing like it
check memory.current < 33554432    # linux.resources.memory.limit
enable cpu cpuset io memory pids
limit cpuset.cpus = 0    # linux.resources.cpu.cpus
limit cpu.weight = 59    # linux.resources.cpu.shares
limit cpu.max.burst = 1000, if it can be yet    # linux.resources.cpu.burst
limit cpu.max = 20000 100000    # linux.resources.cpu.quota
limit cpu.max.burst = 1000    # linux.resources.cpu.burst
limit memory.swap.max = 16777216    # linux.resources.memory.swap
limit memory.max = 33554432    # linux.resources.memory.limit
limit pids.max = 1    # linux.resources.pids.limit
limit io.bfq.weight = 500, else io.weight = 4950    # linux.resources.blockIO.weight
limit io.max = 8:0 rbps=1    # linux.resources.unified.io.max
limit io.max = 8:16 rbps=2    # linux.resources.unified.io.max
limit memory.high = 1    # linux.resources.unified.memory.high
device filter of 142 instructions    # linux.resources.devices
";
    assert_eq!(plan(asked, &CURRENT).unwrap(), golden);
}

#[test]
fn what_is_in_force_completes_what_is_asked() {
    let none = Current::default();
    let unlimited = Current {
        quota_us: Some(Limit::Max),
        period_us: Some(100_000),
        memory: Some(Limit::Max),
        weight: None,
    };
    assert!(!plan(json!({ "pids": {} }), &CURRENT).unwrap().contains("pids.max"), "nothing is asked for");
    let cases = [
        (json!({ "cpu": { "period": 10_000 } }), &CURRENT, "cpu.max = 20000 10000"),
        (json!({ "cpu": { "period": 10_000 } }), &unlimited, "cpu.max = max 10000"),
        (json!({ "cpu": { "period": 10_000 } }), &none, "cpu.max = max 10000"),
        (json!({ "cpu": { "quota": 5000 } }), &CURRENT, "cpu.max = 5000 50000"),
        (json!({ "cpu": { "quota": 5000 } }), &none, "cpu.max = 5000 100000"),
        (json!({ "cpu": { "quota": -1 } }), &CURRENT, "cpu.max = max 50000"),
        (json!({ "memory": { "swap": 100 << 20 } }), &CURRENT, "memory.swap.max = 37748736"),
        (json!({ "memory": { "limit": 0, "swap": 100 << 20 } }), &CURRENT, "memory.swap.max = 37748736"),
        (json!({ "memory": { "limit": 1 << 20 } }), &CURRENT, "memory.max = 1048576"),
        (json!({ "memory": { "swap": -1 } }), &none, "memory.swap.max = max, if it is there"),
    ];
    for (asked, current, write) in cases {
        let text = plan(asked.clone(), current).unwrap();
        let writes: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("limit ")).collect();
        assert_eq!(writes.len(), 1, "{asked}: {text}");
        assert_eq!(writes[0].split("    #").next().unwrap(), write, "{asked}");
    }
    let too_little = plan(json!({ "memory": { "swap": 1 << 20 } }), &CURRENT).unwrap_err();
    assert_eq!(
        too_little,
        "linux.resources.memory.swap: 1048576 is below memory.limit, 67108864; it is the sum of memory and swap"
    );
    let unknown = plan(json!({ "memory": { "swap": 1 << 20 } }), &unlimited).unwrap_err();
    assert!(unknown.starts_with("linux.resources.memory.swap: "), "{unknown}");
}

#[test]
fn nothing_asked_is_nothing_done() {
    for asked in
        [json!({}), json!({ "memory": { "limit": 0, "swap": 0 }, "cpu": { "cpus": "" }, "unified": {} })]
    {
        assert_eq!(plan(asked, &CURRENT).unwrap(), "");
    }
    assert_eq!(plan(json!({ "devices": [{ "allow": true }] }), &CURRENT).unwrap().lines().count(), 1);
}

#[test]
fn a_file_of_resources_is_checked_with_its_place() {
    let wrong = |text: &str| format!("{:#}", parse(text.as_bytes(), "r.json").unwrap_err());
    assert!(wrong("{\"memory\": {\"limit\": \"64M\"}}").starts_with("memory.limit: "));
    assert!(wrong("{\"memory\": {\"limit\": \"64M\"}}").contains("(r.json line 1 column "));
    assert!(wrong("{").contains("(r.json line 1 column "));
}
