//! Filters that have a listener of this program's own, and what it is said of a call.
#![cfg(target_arch = "x86_64")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

#[path = "support/agreement.rs"]
#[allow(dead_code, reason = "tests/seccomp.rs uses the rest")]
mod agreement;
#[path = "support/cbpf.rs"]
#[allow(dead_code, reason = "tests/seccomp.rs uses the rest")]
mod cbpf;
#[path = "support/naive.rs"]
#[allow(dead_code, reason = "tests/seccomp.rs uses the rest")]
mod naive;

use agreement::{calls, resolve, x86};
use cbpf::Data;
use knarr::config::seccomp::{Action, Seccomp, Watch};
use knarr::plan::seccomp::judge::{Call, Cause, Judge};
use knarr::plan::seccomp::{Sendmsg, compile_for, machine, touches};
use knarr::sys::socket::MARK;
use serde_json::{Value, json};

const DOCKER: &str = include_str!("data/seccomp-docker.json");
const NATIVE: u32 = 0xc000_003e;

fn docker() -> Value {
    serde_json::from_str(DOCKER).unwrap()
}

fn watched(profile: &Value, watch: Watch) -> Seccomp {
    Seccomp { watch, ..resolve(profile).unwrap() }
}

fn call(name: &str, args: [u64; 6]) -> Call {
    let number = machine::X86.call(name).and_then(|call| call.number(0)).unwrap();
    Call { number: number.into(), arch: NATIVE, instruction: 0, args }
}

#[test]
fn the_judge_says_what_the_filter_does_and_the_listener_is_told_of_it() {
    let profile = docker();
    let plain = compile_for(&machine::X86, &resolve(&profile).unwrap()).unwrap();
    let judge = Judge::new(&watched(&profile, Watch::Calls)).unwrap();
    for watch in [Watch::Refusals, Watch::Calls] {
        let told = compile_for(&machine::X86, &watched(&profile, watch)).unwrap();
        cbpf::check(&told.insns);
        calls(&x86(), &profile, &plain, |data| {
            let Data { nr, arch, args } = data;
            let call = Call { number: nr, arch, instruction: 7, args };
            let action = judge.action(&call);
            assert_eq!(action.0, cbpf::run(&plain.insns, &data).verdict, "{data:x?}");
            let names_files = call.name().is_some_and(|name| !touches::of(name).is_empty());
            let is_seen = watch == Watch::Calls || names_files;
            let is_told = action.refusal().is_some() || (action == Action::ALLOW && is_seen);
            let expected = if is_told { Action::NOTIFY } else { action };
            assert_eq!(cbpf::run(&told.insns, &data).verdict, expected.0, "{watch:?} {data:x?}");
        });
    }
}

#[test]
fn the_marked_message_alone_passes_a_filter_that_tells_of_all() {
    for profile in [docker(), json!({ "defaultAction": "SCMP_ACT_ALLOW" })] {
        let filter = compile_for(&machine::X86, &watched(&profile, Watch::Calls)).unwrap();
        assert_eq!(filter.sendmsg, Sendmsg::PassesMarked);
        let verdict = |flags: u64| {
            let Call { number, arch, .. } = call("sendmsg", [0; 6]);
            cbpf::run(&filter.insns, &Data { nr: number, arch, args: [3, 4, flags, 0, 0, 0] }).verdict
        };
        assert_eq!(verdict(MARK as u64), Action::PASS.0);
        assert_eq!(verdict(libc::MSG_NOSIGNAL as u64), Action::NOTIFY.0);
    }
}

#[test]
fn a_filter_that_init_could_not_hand_over_is_an_error() {
    let refuses = |names: &[&str], watch: Watch| {
        let rules = json!([{ "names": names, "action": "SCMP_ACT_ERRNO" }]);
        let profile = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules });
        compile_for(&machine::X86, &watched(&profile, watch)).map_err(|err| err.to_string()).err()
    };
    assert_eq!(refuses(&["sendmsg"], Watch::Refusals), None);
    assert!(
        refuses(&["sendmsg", "write"], Watch::Refusals)
            .unwrap()
            .contains("linux.seccomp: refuses sendmsg and write")
    );
    assert!(refuses(&["read"], Watch::Refusals).unwrap().contains("refuses read"));
    assert!(refuses(&["sendmsg"], Watch::Calls).unwrap().contains("refuses sendmsg"));
    assert_eq!(refuses(&["read", "write"], Watch::Calls), None);
}

#[test]
fn the_field_that_refuses_is_named() {
    let rules = json!([
        { "names": ["read", "write", "sendmsg"], "action": "SCMP_ACT_ALLOW" },
        { "names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": 1, "op": "SCMP_CMP_EQ" }] },
        { "names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28 },
    ]);
    let profile = json!({ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules });
    let judge = Judge::new(&resolve(&profile).unwrap()).unwrap();
    let cause = |name: &str, args: [u64; 6]| {
        let call = call(name, args);
        let action = judge.action(&call);
        (action.refusal(), judge.cause(&call, action))
    };
    assert_eq!(cause("mkdir", [0; 6]), (Some(28), Cause::Rule(2)));
    assert_eq!(cause("chdir", [0; 6]), (Some(1), Cause::Default));
    assert_eq!(cause("socket", [2, 0, 0, 0, 0, 0]), (Some(1), Cause::OtherArguments(1)));
    assert_eq!(cause("socket", [1, 0, 0, 0, 0, 0]), (None, Cause::Rule(1)));
    assert_eq!(cause("clone3", [0; 6]), (Some(38), Cause::Newer));
}
