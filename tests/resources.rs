//! Resources: what they may say, and what is written to a cgroup for them.

use knarr::config::resources::{self, Limit, Resources};
use knarr::plan::resources::{check, controllers, writes};
use serde_json::{Value, json};

fn resolve(spec: Value) -> (Result<Resources, knarr::config::Invalid>, Vec<String>) {
    let mut warnings = Vec::new();
    let spec = serde_json::from_value(spec).expect("resources of the specification");
    (resources::resolve(&spec, &mut warnings), warnings)
}

fn good(spec: Value) -> Resources {
    let (resources, warnings) = resolve(spec);
    assert_eq!(warnings, Vec::<String>::new());
    resources.expect("good resources")
}

/// The writes as text, each with its field below linux.resources.
fn plan(spec: Value) -> Vec<String> {
    let field = |field: &str| field.strip_prefix("linux.resources.").expect("a resource").to_string();
    writes(&good(spec)).iter().map(|write| format!("{write}    # {}", field(&write.field))).collect()
}

fn everything() -> Value {
    json!({
        "cpu": { "shares": 512, "quota": 50000, "period": 200000, "burst": 1000, "idle": 0, "cpus": "0-3,7", "mems": "0" },
        "memory": { "limit": 67108864, "swap": 100663296, "reservation": 33554432, "checkBeforeUpdate": true },
        "pids": { "limit": 55 },
        "blockIO": {
            "weight": 500,
            "weightDevice": [{ "major": 8, "minor": 0, "weight": 300 }],
            "throttleReadBpsDevice": [{ "major": 8, "minor": 0, "rate": 1048576 }],
            "throttleWriteBpsDevice": [{ "major": 8, "minor": 16, "rate": 2097152 }],
            "throttleReadIOPSDevice": [{ "major": 8, "minor": 0, "rate": 100 }],
            "throttleWriteIOPSDevice": [{ "major": 8, "minor": 0, "rate": 0 }],
        },
        "hugepageLimits": [{ "pageSize": "2MB", "limit": 4194304 }],
        "rdma": { "mlx5_1": { "hcaHandles": 3, "hcaObjects": 10000 }, "mlx4_0": { "hcaObjects": 1000 } },
        "unified": { "pids.max": "60", "memory.high": "50331648", "io.max": "8:0 rbps=1\n8:16 wbps=2\n", "cpuset.cpus": "" },
    })
}

#[test]
fn everything_is_written_in_order() {
    let golden = "\
cpuset.cpus = 0-3,7    # cpu.cpus
cpuset.mems = 0    # cpu.mems
cpu.idle = 0, if it is there    # cpu.idle
cpu.weight = 59    # cpu.shares
cpu.max.burst = 1000, if it can be yet    # cpu.burst
cpu.max = 50000 200000    # cpu.quota
cpu.max.burst = 1000    # cpu.burst
memory.swap.max = 33554432    # memory.swap
memory.max = 67108864    # memory.limit
memory.low = 33554432    # memory.reservation
pids.max = 55    # pids.limit
io.bfq.weight = 500, else io.weight = 4950    # blockIO.weight
io.bfq.weight = 8:0 300, else io.weight = 8:0 2930    # blockIO.weightDevice[0].weight
io.max = 8:0 rbps=1048576    # blockIO.throttleReadBpsDevice[0]
io.max = 8:16 wbps=2097152    # blockIO.throttleWriteBpsDevice[0]
io.max = 8:0 riops=100    # blockIO.throttleReadIOPSDevice[0]
io.max = 8:0 wiops=max    # blockIO.throttleWriteIOPSDevice[0]
hugetlb.2MB.max = 4194304    # hugepageLimits[0].limit
hugetlb.2MB.rsvd.max = 4194304, if it is there    # hugepageLimits[0].limit
rdma.max = mlx4_0 hca_object=1000    # rdma.mlx4_0
rdma.max = mlx5_1 hca_handle=3 hca_object=10000    # rdma.mlx5_1
cpuset.cpus =     # unified.cpuset.cpus
io.max = 8:0 rbps=1    # unified.io.max
io.max = 8:16 wbps=2    # unified.io.max
memory.high = 50331648    # unified.memory.high
pids.max = 60    # unified.pids.max";
    assert_eq!(plan(everything()).join("\n"), golden);
}

#[test]
fn controllers_are_those_of_the_files() {
    let resources = good(everything());
    let needed = controllers(&writes(&resources));
    let names: Vec<&str> = needed.iter().map(|controller| controller.step.as_str()).collect();
    assert_eq!(names, ["cpu", "cpuset", "hugetlb", "io", "memory", "pids", "rdma"]);
    assert_eq!(needed[4].field, "linux.resources.memory.swap");
    let check = check(&resources).expect("a check");
    assert_eq!(check.to_string(), "memory.current < 67108864");
}

#[test]
fn nothing_asked_is_nothing_written() {
    let silent = [
        json!({}),
        json!({ "devices": [{ "allow": false }], "cpu": {}, "memory": {}, "blockIO": {}, "network": {}, "unified": {} }),
        json!({ "cpu": { "shares": 0, "quota": 0, "period": 0, "cpus": "", "mems": "" }, "blockIO": { "weight": 0 } }),
        json!({ "memory": { "limit": 0, "swap": 0, "reservation": 0, "checkBeforeUpdate": true } }),
        json!({ "memory": { "disableOOMKiller": false, "kernel": 0, "useHierarchy": true } }),
        json!({ "cpu": { "realtimeRuntime": 0, "realtimePeriod": 0 }, "network": { "classID": 0, "priorities": [] } }),
        json!({ "rdma": { "mlx5_1": {} } }),
    ];
    for spec in silent {
        let resources = good(spec.clone());
        assert_eq!((writes(&resources), check(&resources)), (vec![], None), "{spec}");
    }
}

#[test]
fn quota_and_period_are_one_value() {
    let cases = [
        (json!({ "quota": 50000 }), "cpu.max = 50000 100000    # cpu.quota"),
        (json!({ "quota": -1 }), "cpu.max = max 100000    # cpu.quota"),
        (json!({ "period": 50000 }), "cpu.max = max 50000    # cpu.period"),
        (json!({ "quota": 0, "period": 50000 }), "cpu.max = max 50000    # cpu.period"),
        (json!({ "burst": 0 }), "cpu.max.burst = 0    # cpu.burst"),
        (json!({ "idle": 1 }), "cpu.idle = 1    # cpu.idle"),
    ];
    for (cpu, line) in cases {
        assert_eq!(plan(json!({ "cpu": cpu })), [line]);
    }
}

#[test]
fn swap_is_the_sum_without_memory() {
    let cases: [(Value, &[&str]); 6] = [
        (json!({ "limit": 4096 }), &["memory.max = 4096"]),
        (
            json!({ "limit": 4096, "swap": 4096 }),
            &["memory.swap.max = 0, if it is there", "memory.max = 4096"],
        ),
        (json!({ "limit": 4096, "swap": 12288 }), &["memory.swap.max = 8192", "memory.max = 4096"]),
        (
            json!({ "limit": 4096, "swap": -1 }),
            &["memory.swap.max = max, if it is there", "memory.max = 4096"],
        ),
        (json!({ "limit": -1 }), &["memory.swap.max = max, if it is there", "memory.max = max"]),
        (json!({ "swap": -1 }), &["memory.swap.max = max, if it is there"]),
    ];
    for (memory, lines) in cases {
        let text: Vec<String> =
            writes(&good(json!({ "memory": memory }))).iter().map(ToString::to_string).collect();
        assert_eq!(text, lines, "{memory}");
    }
}

#[test]
fn a_process_is_allowed_itself() {
    let pids = |limit: i64| good(json!({ "pids": { "limit": limit } })).pids;
    assert_eq!(
        [pids(-5), pids(-1), pids(0), pids(1), pids(7)].map(Option::unwrap),
        [Limit::Max, Limit::Max, Limit::To(1), Limit::To(1), Limit::To(7)]
    );
}

#[test]
fn wrong_resources_are_errors_with_their_place() {
    let cases = [
        (
            json!({ "memory": { "limit": 4096, "swap": 100 } }),
            "memory.swap",
            "100 is below memory.limit, 4096",
        ),
        (json!({ "memory": { "swap": 100 } }), "memory.swap", "memory.limit is missing"),
        (json!({ "memory": { "limit": -1, "swap": 100 } }), "memory.swap", "memory.limit is missing"),
        (json!({ "memory": { "limit": -2 } }), "memory.limit", "-2 is neither a number of bytes nor -1"),
        (json!({ "cpu": { "idle": 2 } }), "cpu.idle", "2 is not 0 or 1"),
        (json!({ "cpu": { "cpus": "0-" } }), "cpu.cpus", "\"0-\" is not a list"),
        (json!({ "cpu": { "cpus": "3-1" } }), "cpu.cpus", "\"3-1\" is not a list"),
        (json!({ "cpu": { "mems": "0\n1" } }), "cpu.mems", "\"0\\n1\" is not a list"),
        (json!({ "cpu": { "cpus": "0-7:0/2" } }), "cpu.cpus", "is not a list"),
        (json!({ "blockIO": { "weight": 9 } }), "blockIO.weight", "9 is not between 10 and 1000"),
        (
            json!({ "blockIO": { "weightDevice": [{ "major": 8, "minor": 0, "weight": 1001 }] } }),
            "blockIO.weightDevice[0].weight",
            "1001 is not between 10 and 1000",
        ),
        (
            json!({ "blockIO": { "throttleReadIOPSDevice": [{ "major": -1, "minor": 0, "rate": 1 }] } }),
            "blockIO.throttleReadIOPSDevice[0].major",
            "-1 is out of range",
        ),
        (
            json!({ "hugepageLimits": [{ "pageSize": "2MiB", "limit": 0 }] }),
            "hugepageLimits[0].pageSize",
            "\"2MiB\"",
        ),
        (
            json!({ "hugepageLimits": [{ "pageSize": "../2MB", "limit": 0 }] }),
            "hugepageLimits[0].pageSize",
            "is not a size",
        ),
        (
            json!({ "hugepageLimits": [{ "pageSize": "2MB", "limit": -2 }] }),
            "hugepageLimits[0].limit",
            "out of range",
        ),
        (json!({ "rdma": { "a b": { "hcaHandles": 1 } } }), "rdma", "\"a b\" is not the name of a device"),
        (
            json!({ "unified": { "cgroup.procs": "1" } }),
            "unified.cgroup.procs",
            "a file of the cgroup itself",
        ),
        (json!({ "unified": { "cgroup.kill": "1" } }), "unified.cgroup.kill", "a file of the cgroup itself"),
        (json!({ "unified": { "../memory.max": "1" } }), "unified.../memory.max", "is not the name"),
        (json!({ "unified": { "memory.max/x": "1" } }), "unified.memory.max/x", "is not the name"),
        (json!({ "unified": { "memory": "1" } }), "unified.memory", "is not the name"),
        (json!({ "unified": { "memory.": "1" } }), "unified.memory.", "is not the name"),
        (json!({ "unified": { ".memory": "1" } }), "unified..memory", "is not the name"),
        (json!({ "unified": { "Memory.max": "1" } }), "unified.Memory.max", "is not the name"),
    ];
    for (spec, field, reason) in cases {
        let error = resolve(spec).0.expect_err(field);
        assert_eq!(error.field, format!("linux.resources.{field}"));
        assert!(error.reason.contains(reason), "{error}");
    }
}

#[test]
fn lists_of_processors_are_what_the_kernel_reads() {
    for list in ["0", "0-3", "0-3,5,7-9", "0-15:1/4", "1,0"] {
        assert_eq!(plan(json!({ "cpu": { "cpus": list } })), [format!("cpuset.cpus = {list}    # cpu.cpus")]);
    }
}

#[test]
fn what_only_cgroup_v1_had_is_a_warning() {
    let (resources, warnings) = resolve(json!({
        "cpu": { "realtimeRuntime": 1, "realtimePeriod": 2 },
        "memory": { "swappiness": 0, "kernel": 1, "kernelTCP": 1, "disableOOMKiller": true, "useHierarchy": false },
        "blockIO": { "leafWeight": 10, "weightDevice": [{ "major": 8, "minor": 0, "leafWeight": 10 }] },
        "network": { "classID": 1, "priorities": [{ "name": "lo", "priority": 1 }] },
    }));
    assert_eq!(writes(&resources.expect("good resources")), []);
    let fields: Vec<&str> = warnings
        .iter()
        .map(|line| line.strip_suffix(": ignored, cgroup v2 has nothing like it").expect("the same words"))
        .collect();
    let golden = "cpu.realtimeRuntime cpu.realtimePeriod memory.kernel memory.kernelTCP memory.swappiness \
                  memory.disableOOMKiller memory.useHierarchy blockIO.leafWeight network.classID network.priorities \
                  blockIO.weightDevice[0].leafWeight";
    assert_eq!(fields.join(" ").replace("linux.resources.", ""), golden);
}

#[test]
fn an_idle_cgroup_has_no_shares() {
    let (resources, warnings) = resolve(json!({ "cpu": { "idle": 1, "shares": 512 } }));
    assert_eq!(warnings, ["linux.resources.cpu.shares: ignored, a cgroup that is idle has none"]);
    assert_eq!(resources.expect("good resources").cpu.shares, None);
}
