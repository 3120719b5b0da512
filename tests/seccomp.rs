//! Seccomp profiles: what they may say, and what their filters do.

#[path = "support/agreement.rs"]
mod agreement;
#[path = "support/cbpf.rs"]
mod cbpf;
#[path = "support/libseccomp.rs"]
mod libseccomp;
#[path = "support/naive.rs"]
mod naive;

use std::sync::LazyLock;

use agreement::{calls, compare, compile, machines, resolve, x86};
use cbpf::Data;
use knarr::config::seccomp::{self, Action, Listener};
use knarr::plan::seccomp::{Filter, Insn, compile_for, machine, unknown};
use libseccomp::Oracle;
use naive::{Machine, Referee};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

/// Random profiles a test; `PROPTEST_CASES` overrides it.
const CASES: u32 = 200;

// The default profiles of moby/profiles (May 2026) and containers/common 0.67 (both Apache-2.0), as
// the engines write them to config.json for a container with their default capabilities.
const DOCKER: &str = include_str!("data/seccomp-docker.json");
const DOCKER_ARM64: &str = include_str!("data/seccomp-docker-arm64.json");
const PODMAN: &str = include_str!("data/seccomp-podman.json");

#[test]
fn profiles_of_engines_compile_to_what_they_say() {
    for text in [DOCKER, DOCKER_ARM64, PODMAN] {
        let profile = serde_json::from_str(text).expect("JSON");
        for (native, machine) in machines() {
            compare(native, &machine, &profile);
        }
    }
}

/// Names that meet in the corners of the tables: sub-calls, numbers of their own in x32, private
/// calls, the ends.
const NAMES: [&str; 32] = [
    "read",
    "writev",
    "execve",
    "ioctl",
    "clone",
    "clone3",
    "personality",
    "socket",
    "accept",
    "send",
    "socketcall",
    "ipc",
    "shmget",
    "semop",
    "msgctl",
    "semtimedop",
    "setns",
    "recvmmsg",
    "ptrace",
    "breakpoint",
    "set_tls",
    "_llseek",
    "waitpid",
    "rt_sigreturn",
    "mseal",
    "listns",
    "file_setattr",
    "fchmodat2",
    "arm_fadvise64_64",
    "arch_prctl",
    "no_such_call",
    "uretprobe",
];

fn arb_action() -> impl Strategy<Value = (&'static str, Option<u32>)> {
    prop_oneof![
        4 => Just(("SCMP_ACT_ALLOW", None)),
        3 => prop_oneof![Just(None), Just(Some(38)), Just(Some(0)), Just(Some(22))].prop_map(|errno| ("SCMP_ACT_ERRNO", errno)),
        1 => prop_oneof![Just(None), Just(Some(65535))].prop_map(|message| ("SCMP_ACT_TRACE", message)),
        1 => Just(("SCMP_ACT_LOG", None)),
        1 => Just(("SCMP_ACT_TRAP", None)),
        1 => Just(("SCMP_ACT_KILL", None)),
        1 => Just(("SCMP_ACT_KILL_PROCESS", None)),
    ]
}

fn arb_arg() -> impl Strategy<Value = Value> {
    let value = prop_oneof![
        4 => 0..6u64,
        2 => Just(0x7e02_0000u64),
        1 => Just(u64::from(u32::MAX)),
        1 => Just(u64::MAX),
        1 => (1..3u64).prop_map(|high| high << 32),
        1 => (0..3u64).prop_map(|low| 1 << 32 | low),
        1 => any::<u64>(),
    ];
    let op = prop::sample::select(vec!["NE", "LT", "LE", "EQ", "EQ", "GE", "GT", "MASKED_EQ", "MASKED_EQ"]);
    let index = prop_oneof![3 => Just(0), 2 => Just(1), 1 => 2..6];
    (index, value.clone(), value, op).prop_map(|(index, value, two, op)| {
        json!({ "index": index, "value": value, "valueTwo": two, "op": format!("SCMP_CMP_{op}") })
    })
}

fn arb_profile() -> impl Strategy<Value = Value> {
    let arches = ["X86_64", "X86", "X32", "AARCH64", "ARM", "NATIVE", "RISCV64", "S390X", "S390", "PARISC"];
    let arches = prop::sample::subsequence(arches.map(|arch| format!("SCMP_ARCH_{arch}")).to_vec(), 0..=10);
    let rule_action = prop_oneof![8 => arb_action(), 1 => Just(("SCMP_ACT_NOTIFY", None))];
    let names = prop::collection::vec(prop::sample::select(NAMES.to_vec()), 1..5);
    let args = prop_oneof![2 => Just(Vec::new()), 3 => prop::collection::vec(arb_arg(), 1..4)];
    let rule = (names, rule_action, args).prop_map(|(names, (action, errno), args)| {
        json!({ "names": names, "action": action, "errnoRet": errno, "args": args })
    });
    (arb_action(), arches, prop::collection::vec(rule, 0..12)).prop_map(|((action, errno), arches, rules)| {
        json!({
            "defaultAction": action, "defaultErrnoRet": errno, "architectures": arches,
            "listenerPath": "/run/agent.sock", "syscalls": rules,
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) })]

    #[test]
    fn any_profile_compiles_to_what_it_says(profile in arb_profile()) {
        for (native, machine) in machines() {
            compare(native, &machine, &profile);
        }
    }
}

/// Mean number of instructions over the calls that an ABI has.
fn mean_steps(program: &[Insn], machine: &Machine, abi: &naive::Abi) -> f64 {
    let numbers = machine.names().into_iter().filter_map(|name| machine.number(abi, name));
    let steps: Vec<usize> =
        numbers.map(|nr| cbpf::run(program, &Data { nr, arch: abi.arch, args: [0; 6] }).steps).collect();
    steps.iter().sum::<usize>() as f64 / steps.len() as f64
}

static ORACLE: LazyLock<Oracle> = LazyLock::new(Oracle::build);

/// How many verdicts two filters share.
#[derive(Debug, Default)]
struct Comparison {
    same: usize,
    differ: usize,
    /// Several rules look at the arguments: counted, as libseccomp misses some that hold.
    unclear_same: usize,
    unclear_differ: usize,
    /// ENOSYS, by runc on top of libseccomp.
    newer: usize,
}

/// Calls that libseccomp 2.6.1 does not know on one machine: listns and rseq_slice_yield on 31-bit
/// s390, memfd_secret on LoongArch.
const GAPS: [(u32, u32); 3] = [(0x16, 470), (0x16, 471), (0xc000_0102, 447)];

impl Comparison {
    fn add(&mut self, machine: &Machine, profile: &Value, ours: &Filter, theirs: &libseccomp::Answer) {
        let referee = Referee::new(machine, profile);
        let names = theirs.unknown.iter();
        let unknown: Vec<u32> =
            names.flat_map(|name| machine.abis.iter().filter_map(|abi| machine.number(abi, name))).collect();
        calls(machine, profile, ours, |data| {
            let (our, their) = (cbpf::run(&ours.insns, &data), cbpf::run(&theirs.program, &data));
            let is_same = our.verdict == their.verdict;
            // We mask off ipc's version and the half that socketcall's int does not have,
            // libseccomp takes such calls for none.
            let multiplexes = machine.abis.iter().any(|abi| abi.arch == data.arch && abi.sub_calls > 0);
            let is_odd = multiplexes && matches!(data.nr, 102 | 117) && data.args[0] > 0xffff;
            if referee.is_newer(&data) {
                self.newer += 1;
            } else if unknown.contains(&data.nr) || GAPS.contains(&(data.arch, data.nr)) || is_odd {
            } else if referee.is_clear(&data) {
                *(if is_same { &mut self.same } else { &mut self.differ }) += 1;
                assert!(is_same, "{data:x?}: {:#x}, libseccomp {:#x}: {profile}", our.verdict, their.verdict);
            } else {
                *(if is_same { &mut self.unclear_same } else { &mut self.unclear_differ }) += 1;
            }
        });
    }
}

#[test]
#[ignore = "needs a C compiler and libseccomp 2.6"]
fn libseccomp_has_the_same_verdicts_on_profiles_of_engines() {
    let machine = x86();
    for (name, text) in [("Docker", DOCKER), ("Podman", PODMAN)] {
        let profile = serde_json::from_str(text).expect("JSON");
        let ours = compile(&machine::X86, &profile);
        let mut programs = vec![("knarr", ours.insns.clone())];
        for (how, optimize) in [("libseccomp, linear", 1), ("libseccomp, tree", 2)] {
            let answer = ORACLE.compile("SCMP_ARCH_X86_64", &profile, optimize);
            assert!(answer.errors.is_empty(), "{:?}", answer.errors);
            let mut comparison = Comparison::default();
            comparison.add(&machine, &profile, &ours, &answer);
            println!("{name}: {how}: {comparison:?}, does not know {:?}", answer.unknown);
            assert_eq!(comparison.unclear_differ, 0, "no profile of an engine is so unclear");
            programs.push((how, answer.program));
        }
        for (how, program) in &programs {
            let means = machine.abis.iter().map(|abi| format!("{:.1}", mean_steps(program, &machine, abi)));
            println!(
                "{name}: {how}: {} instructions, mean {}",
                program.len(),
                means.collect::<Vec<_>>().join(" ")
            );
        }
    }
}

#[test]
#[ignore = "needs a C compiler and libseccomp 2.6"]
fn libseccomp_has_the_same_verdicts_on_random_profiles() {
    let mut runner = TestRunner::deterministic();
    let (mut comparison, mut refused) = (Comparison::default(), 0);
    let machines = machines();
    for _ in 0..std::env::var("PROPTEST_CASES").map_or(CASES, |cases| cases.parse().expect("a number")) {
        let profile = arb_profile().new_tree(&mut runner).expect("a profile").current();
        for (table, machine) in &machines {
            let answer = ORACLE.compile(machine.abis[0].name, &profile, 0);
            if answer.errors.is_empty() && answer.is_sound() {
                comparison.add(machine, &profile, &compile(table, &profile), &answer);
            } else {
                refused += 1;
            }
        }
    }
    println!("random profiles: {comparison:?}, libseccomp had no good program for {refused}");
}

/// Budgets, with a little air: what the kernel checks, translates and evaluates at every start.
#[test]
fn filters_stay_small_and_short() {
    for (text, most, mean) in [(DOCKER, 310, 10.8), (PODMAN, 345, 10.2)] {
        let program = compile(&machine::X86, &serde_json::from_str(text).expect("JSON")).insns;
        assert!(program.len() <= most, "{} instructions", program.len());
        let steps = mean_steps(&program, &x86(), &naive::X86_ABIS[0]);
        assert!(steps <= mean, "{steps} instructions a call");
    }
}

/// What is always allowed must be so by number alone, or the kernel's bitmap does not answer it
/// (Linux 5.11).
#[test]
fn the_kernel_can_tell_what_is_always_allowed() {
    let (machine, profile) = (x86(), serde_json::from_str(DOCKER).expect("JSON"));
    let filter = compile(&machine::X86, &profile);
    for (abi, name) in machine.abis.iter().flat_map(|abi| ["read", "openat", "futex"].map(|name| (abi, name)))
    {
        let nr = machine.number(abi, name).expect("a call of every ABI");
        let run = cbpf::run(&filter.insns, &Data { nr, arch: abi.arch, args: [0; 6] });
        assert!(run.constant && run.verdict == Action::ALLOW.0, "{name}: {run:?}");
    }
}

#[test]
fn a_profile_too_large_for_the_kernel_is_an_error() {
    let rule = |value: u64| {
        json!({ "names": ["ioctl"], "action": "SCMP_ACT_ALLOW",
                "args": [{ "index": 1, "value": value << 32, "op": "SCMP_CMP_EQ" }] })
    };
    let rules: Vec<Value> = (0..1500).map(rule).collect();
    let profile = json!({ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules });
    let error =
        compile_for(&machine::X86, &resolve(&profile).expect("a good profile")).expect_err("too large");
    assert_eq!(error.field, "linux.seccomp.syscalls");
    assert!(error.reason.ends_with("instructions, the kernel takes 4096"), "{error}");
}

#[test]
fn long_checks_are_still_reached() {
    // Each rule is code of its own, and together they are more than a conditional jump can skip.
    let names = ["ioctl", "read", "clone", "socket", "personality", "mseal", "_llseek"];
    let rules = (0..480u64).map(|i| {
        let (name, arg) = (names[i as usize % names.len()], i % 5);
        json!({ "names": [name], "action": "SCMP_ACT_ERRNO", "errnoRet": i,
                "args": [{ "index": arg, "value": i, "op": "SCMP_CMP_EQ" }, { "index": 5, "value": i, "op": "SCMP_CMP_EQ" }] })
    });
    let profile = json!({ "defaultAction": "SCMP_ACT_LOG", "syscalls": rules.collect::<Vec<Value>>() });
    let (machine, filter) = (x86(), compile(&machine::X86, &profile));
    let referee = Referee::new(&machine, &profile);
    assert!(filter.insns.len() > 1000);
    for (i, name) in (0..500).flat_map(|i| names.map(|name| (i, name))) {
        let Some(nr) = machine.number(&machine.abis[0], name) else { continue };
        let data = Data { nr, arch: machine.abis[0].arch, args: [i; 6] };
        assert_eq!(cbpf::run(&filter.insns, &data).verdict, referee.verdict(&data), "{data:?}");
    }
}

#[test]
fn what_the_specification_forbids_is_an_error_with_its_place() {
    let rule = |more: Value| {
        let mut rule = json!({ "names": ["read"], "action": "SCMP_ACT_ALLOW" });
        rule.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        json!({ "syscalls": [rule] })
    };
    let arg = |index: u64| json!([{ "index": index, "value": 0, "op": "SCMP_CMP_EQ" }]);
    let cases = [
        (
            json!({ "defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/a" }),
            "defaultAction",
            "default action",
        ),
        (
            json!({ "defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1 }),
            "defaultErrnoRet",
            "1, but SCMP_ACT_ALLOW returns no errno",
        ),
        (json!({ "defaultErrnoRet": 4096 }), "defaultErrnoRet", "4096 is not between 0 and 4095"),
        (rule(json!({ "errnoRet": 1 })), "syscalls[0].errnoRet", "1, but SCMP_ACT_ALLOW returns no errno"),
        (
            rule(json!({ "action": "SCMP_ACT_KILL", "errnoRet": 0 })),
            "syscalls[0].errnoRet",
            "returns no errno",
        ),
        (
            rule(json!({ "action": "SCMP_ACT_ERRNO", "errnoRet": 70000 })),
            "syscalls[0].errnoRet",
            "70000 is not",
        ),
        (
            rule(json!({ "action": "SCMP_ACT_TRACE", "errnoRet": 65536 })),
            "syscalls[0].errnoRet",
            "65536 is not",
        ),
        (rule(json!({ "names": [] })), "syscalls[0].names", "at least one"),
        (rule(json!({ "names": ["read", ""] })), "syscalls[0].names[1]", "empty"),
        (rule(json!({ "args": arg(6) })), "syscalls[0].args[0].index", "6 is not an argument"),
        (rule(json!({ "args": arg(1 << 40) })), "syscalls[0].args[0].index", "is not an argument"),
        (
            rule(json!({ "action": "SCMP_ACT_NOTIFY" })),
            "listenerPath",
            "syscalls[0].action is SCMP_ACT_NOTIFY",
        ),
        (json!({ "listenerMetadata": "x" }), "listenerMetadata", "without listenerPath"),
        (
            json!({ "listenerPath": "/a", "syscalls": [{ "names": ["open", "write"], "action": "SCMP_ACT_NOTIFY" }] }),
            "syscalls[0].names[1]",
            "the write syscall",
        ),
    ];
    for (more, field, reason) in cases {
        let mut profile = json!({ "defaultAction": "SCMP_ACT_ERRNO" });
        profile.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let error = resolve(&profile).expect_err(field);
        assert_eq!(error.field, format!("linux.seccomp.{field}"));
        assert!(error.reason.contains(reason), "{error}");
    }
}

#[test]
fn flags_and_the_listener_reach_the_filter() {
    let filter = |more: Value| {
        let mut profile = json!({ "defaultAction": "SCMP_ACT_ALLOW" });
        profile.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        compile(&machine::X86, &profile)
    };
    let all = ["TSYNC", "LOG", "SPEC_ALLOW", "WAIT_KILLABLE_RECV"]
        .map(|flag| format!("SECCOMP_FILTER_FLAG_{flag}"));
    let notify = json!([{ "names": ["mkdir"], "action": "SCMP_ACT_NOTIFY" }]);

    assert_eq!(filter(json!({})).flags, seccomp::FLAG_SPEC_ALLOW, "as in runc");
    assert_eq!(filter(json!({ "flags": [] })).flags, 0);
    assert_eq!(filter(json!({ "flags": all })).flags, seccomp::FLAG_LOG | seccomp::FLAG_SPEC_ALLOW);
    assert_eq!(filter(json!({ "flags": [], "listenerPath": "/a" })).listener, None, "nothing asks for it");
    let agent =
        filter(json!({ "flags": all, "listenerPath": "/a", "listenerMetadata": "m", "syscalls": notify }));
    assert_eq!(agent.flags, 0b10_1110);
    assert_eq!(agent.listener, Some(Listener { path: "/a".into(), metadata: "m".into() }));
}

#[test]
fn names_that_no_machine_knows_are_listed() {
    let profile = json!({ "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["read", "no_such_call", "READ"], "action": "SCMP_ACT_KILL" }] });
    assert_eq!(unknown(&resolve(&profile).expect("a good profile")), ["no_such_call", "READ"]);
}

#[test]
fn tables_are_sorted_and_complete() {
    for (table, native) in [(naive::X86, &machine::X86), (naive::ARM, &machine::ARM)] {
        let rows: Vec<Vec<&str>> = table.lines().skip(1).map(|line| line.split(' ').collect()).collect();
        assert!(rows.is_sorted_by(|a, b| a[0] < b[0]), "the search needs it");
        for row in rows {
            let call = native.call(row[0]).unwrap_or_else(|| panic!("{} is not found", row[0]));
            for (column, number) in row[1..].iter().enumerate() {
                assert_eq!(call.number(column), number.parse().ok(), "{}", row[0]);
            }
        }
    }
}
