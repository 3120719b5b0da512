//! Rules for devices: what they may say, and what their programs answer.

use knarr::config::device_rules::{self, Access, DeviceKind, DeviceRule};
use knarr::plan::devices;
use proptest::prelude::*;
use serde_json::{Value, json};

/// `struct bpf_cgroup_dev_ctx`.
#[derive(Debug, Clone, Copy)]
struct Request {
    access: u8,
    kind: u32,
    major: u32,
    minor: u32,
}

/// Runs a program of the few instructions that ours are made of, and panics where the kernel's
/// verifier would refuse it: each is reached, as there is no jump.
fn run(program: &[u64], request: Request) -> bool {
    let mut registers: [Option<u64>; 11] = [None; 11];
    let context = [u32::from(request.access) << 16 | request.kind, request.major, request.minor];
    for (at, insn) in program.iter().enumerate() {
        let (to, from) = ((insn >> 8 & 15) as usize, (insn >> 12 & 15) as usize);
        let (offset, value) = ((insn >> 16) as u16, (insn >> 32) as u32);
        let wide = i64::from(value as i32) as u64;
        let own = || registers[to].expect("a set register");
        let other = || registers[from].expect("a set register");
        let result = match *insn as u8 {
            0x61 => {
                assert_eq!(from, 1);
                u64::from(context[usize::from(offset) / 4])
            }
            0xbf => other(),
            0xb7 => wide,
            0xa4 => u64::from(own() as u32 ^ value),
            0x4f => own() | other(),
            0xaf => own() ^ other(),
            0x5f => own() & other(),
            0x47 => own() | wide,
            0x57 => own() & wide,
            0x07 => own().wrapping_add(wide),
            0x77 => own() >> value,
            0x27 => own().wrapping_mul(wide),
            0x95 => {
                assert_eq!(at + 1, program.len(), "code after the end");
                let verdict = registers[0].expect("a verdict");
                assert!(verdict <= 1, "the kernel takes 0 and 1 only");
                return verdict == 1;
            }
            code => panic!("code {code:#x}"),
        };
        registers[to] = Some(result);
    }
    panic!("no end")
}

/// What every container may do, as runc's documentation lists it.
const DEFAULTS: &str = "c *:* m, b *:* m, c 1:3 rwm, c 1:5 rwm, c 1:7 rwm, c 1:8 rwm, c 1:9 rwm, c 5:0 rwm, c 5:2 rwm, \
                        c 136:* rwm, c 10:200 rwm";

/// The referee: each access of a request by itself, by the last rule that is about it.
fn is_allowed(rules: &[DeviceRule], request: Request) -> bool {
    [1, 2, 4].into_iter().filter(|bit| request.access & bit != 0).all(|bit| {
        let default = DEFAULTS.split(", ").any(|rule| {
            let (kind, rest) = rule.split_at(2);
            let (numbers, access) = rest.split_once(' ').expect("accesses");
            let (major, minor) = numbers.split_once(':').expect("numbers");
            let fits = |pattern: &str, number: u32| pattern == "*" || pattern == number.to_string();
            let letter = match bit {
                1 => 'm',
                2 => 'r',
                _ => 'w',
            };
            (kind == "c ") == (request.kind == 2)
                && fits(major, request.major)
                && fits(minor, request.minor)
                && access.contains(letter)
        });
        let about = |rule: &&DeviceRule| {
            rule.access.0 & bit != 0
                && rule.major.is_none_or(|major| major == request.major)
                && rule.minor.is_none_or(|minor| minor == request.minor)
                && match rule.kind {
                    DeviceKind::Any => true,
                    DeviceKind::Block => request.kind == 1,
                    DeviceKind::Char => request.kind == 2,
                }
        };
        default || rules.iter().rev().find(about).is_some_and(|rule| rule.allow)
    })
}

fn compare(rules: &[DeviceRule]) {
    let program = devices::compile(rules).expect("a program");
    for access in 1..8 {
        for kind in [1, 2] {
            for major in [0, 1, 5, 8, 10, 136, 1 << 31, u32::MAX] {
                for minor in [0, 1, 2, 3, 5, 7, 8, 9, 200, u32::MAX] {
                    let request = Request { access, kind, major, minor };
                    let answer = program.as_ref().is_none_or(|program| run(program, request));
                    assert_eq!(answer, is_allowed(rules, request), "{request:?} under {rules:?}");
                }
            }
        }
    }
}

fn arb_rule() -> impl Strategy<Value = DeviceRule> {
    let kind = prop::sample::select(vec![DeviceKind::Any, DeviceKind::Block, DeviceKind::Char]);
    let major = prop::option::of(prop::sample::select(vec![1, 5, 8, 136, 1 << 31, u32::MAX]));
    let minor = prop::option::of(prop::sample::select(vec![0, 1, 3, 200, u32::MAX]));
    let access = prop_oneof![Just(7u8), 1..8u8];
    (any::<bool>(), kind, major, minor, access).prop_map(|(allow, kind, major, minor, access)| DeviceRule {
        allow,
        kind,
        major,
        minor,
        access: Access(access),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn any_rules_compile_to_what_they_say(rules in prop::collection::vec(arb_rule(), 0..8)) {
        compare(&rules);
    }
}

fn resolve(rules: &Value) -> Result<Vec<DeviceRule>, knarr::config::Invalid> {
    device_rules::resolve(&serde_json::from_value::<Vec<_>>(rules.clone()).expect("rules"))
}

#[test]
fn what_engines_ask_for_compiles_to_what_it_says() {
    let docker = json!([
        { "allow": false, "access": "rwm" },
        { "allow": true, "type": "c", "major": 1, "minor": 5, "access": "rwm" },
        { "allow": true, "type": "c", "major": -1, "minor": -1, "access": "r" },
        { "allow": true, "type": "b", "major": 8, "access": "rw" },
    ]);
    compare(&resolve(&docker).expect("good rules"));
    compare(&[]);
}

#[test]
fn a_privileged_container_needs_no_program() {
    let privileged =
        resolve(&json!([{ "allow": false, "access": "rwm" }, { "allow": true, "access": "rwm" }]));
    assert_eq!(devices::compile(&privileged.expect("good rules")), Ok(None));
}

#[test]
fn wrong_rules_are_errors_with_their_place() {
    let cases = [
        (json!({ "allow": true, "access": "rx" }), "access", "\"rx\" is not made of r, w and m"),
        (json!({ "allow": true, "access": "" }), "access", "\"\" is not made of r, w and m"),
        (json!({ "allow": true, "type": "p" }), "type", "\"p\" is not a, b or c"),
        (json!({ "allow": true, "major": -2 }), "major", "-2 is out of range"),
        (json!({ "allow": true, "minor": 1u64 << 32 }), "minor", "4294967296 is out of range"),
    ];
    for (rule, field, reason) in cases {
        let error = resolve(&json!([{ "allow": false }, rule])).expect_err(field);
        assert_eq!(
            (error.field, error.reason.as_str()),
            (format!("linux.resources.devices[1].{field}"), reason)
        );
    }
}

#[test]
fn too_many_rules_are_an_error() {
    let rule = DeviceRule {
        allow: false,
        kind: DeviceKind::Char,
        major: Some(1),
        minor: Some(1),
        access: Access::READ,
    };
    assert_eq!(
        devices::compile(&vec![rule; 100_000]).expect_err("too many").field,
        "linux.resources.devices"
    );
    compare(&vec![rule; 500]);
}
