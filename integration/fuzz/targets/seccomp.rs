//! Any profile: its filter does what the profile says, on every machine.

#[path = "../../../tests/support/agreement.rs"]
mod agreement;
#[path = "../../../tests/support/cbpf.rs"]
#[allow(dead_code, reason = "the measurements count what is executed")]
mod cbpf;
#[path = "../../../tests/support/naive.rs"]
#[allow(dead_code, reason = "other tests ask for more")]
mod naive;

use agreement::{compare, machines};
use serde_json::{Value, json};

const NAMES: [&str; 12] = [
    "read",
    "write",
    "openat",
    "clone",
    "personality",
    "socket",
    "socketcall",
    "ioctl",
    "mseal",
    "time",
    "ipc",
    "no_such_call",
];
const ACTIONS: [&str; 8] = ["ALLOW", "ERRNO", "TRACE", "LOG", "TRAP", "KILL", "KILL_PROCESS", "NOTIFY"];
const OPERATORS: [&str; 7] = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"];
const ARCHES: [&str; 8] = ["X86_64", "X86", "X32", "AARCH64", "ARM", "NATIVE", "S390X", "S390"];

/// Reads choices from bytes; what is missing is zero.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[usize::from(self.byte()) % list.len()]
    }

    fn number(&mut self) -> u64 {
        let small = u64::from(self.byte());
        match self.byte() % 5 {
            0 | 1 => small,
            2 => small << 32,
            3 => u64::MAX - small,
            _ => u64::from_le_bytes([(); 8].map(|()| self.byte())),
        }
    }

    fn rule(&mut self) -> Value {
        let names: Vec<&str> = (0..1 + self.byte() % 3).map(|_| self.of(&NAMES)).collect();
        let action = format!("SCMP_ACT_{}", self.of(&ACTIONS));
        let errno = if action.ends_with("ERRNO") { Some(self.byte()) } else { None };
        let args: Vec<Value> = (0..self.byte() % 4)
            .map(|_| {
                let (index, op) = (self.byte() % 6, format!("SCMP_CMP_{}", self.of(&OPERATORS)));
                json!({ "index": index, "value": self.number(), "valueTwo": self.number(), "op": op })
            })
            .collect();
        json!({ "names": names, "action": action, "errnoRet": errno, "args": args })
    }
}

/// A profile, chosen by the bytes.
pub fn run(data: &[u8]) {
    let mut bytes = Bytes(data);
    let chosen = bytes.byte();
    let arches = ARCHES.iter().enumerate().filter(|(i, _)| chosen & 1 << i != 0);
    let arches: Vec<String> = arches.map(|(_, name)| format!("SCMP_ARCH_{name}")).collect();
    // A default of NOTIFY would leave the filter nobody to ask about its own start.
    let default = format!("SCMP_ACT_{}", bytes.of(&ACTIONS[..7]));
    let rules: Vec<Value> = (0..bytes.byte() % 10).map(|_| bytes.rule()).collect();
    let profile = json!({
        "defaultAction": default, "architectures": arches, "listenerPath": "/run/agent.sock", "syscalls": rules,
    });
    // What the specification forbids has no filter.
    if agreement::resolve(&profile).is_err() {
        return;
    }
    for (native, machine) in machines() {
        compare(native, &machine, &profile);
    }
}
