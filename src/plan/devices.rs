//! Rules for devices compiled to the eBPF program that a cgroup asks about each access: `BPF_PROG_TYPE_CGROUP_DEVICE`.
//!
//! The last rule for an access counts, so the program tries them from the last to the first and keeps a set of accesses that
//! are still to be judged. A rule that denies one of these ends it; a rule that allows takes its accesses from the set, and an
//! empty set ends it. What is left when the rules are is denied.

use crate::config::Invalid;
use crate::config::device_rules::{Access, DeviceKind, DeviceRule};

/// What every container may do beside what its rules say: the devices of the specification's default list, pseudo terminals
/// and the TUN device, as in runc, and make nodes, which alone opens nothing.
const DEFAULTS: [DeviceRule; 11] = [
    allow(DeviceKind::Char, None, None, Access::MKNOD),
    allow(DeviceKind::Block, None, None, Access::MKNOD),
    allow(DeviceKind::Char, Some(1), Some(3), Access::ALL), // null
    allow(DeviceKind::Char, Some(1), Some(8), Access::ALL), // random
    allow(DeviceKind::Char, Some(1), Some(7), Access::ALL), // full
    allow(DeviceKind::Char, Some(5), Some(0), Access::ALL), // tty
    allow(DeviceKind::Char, Some(1), Some(5), Access::ALL), // zero
    allow(DeviceKind::Char, Some(1), Some(9), Access::ALL), // urandom
    allow(DeviceKind::Char, Some(136), None, Access::ALL),  // pts
    allow(DeviceKind::Char, Some(5), Some(2), Access::ALL), // ptmx
    allow(DeviceKind::Char, Some(10), Some(200), Access::ALL), // net/tun
];

const fn allow(kind: DeviceKind, major: Option<u32>, minor: Option<u32>, access: Access) -> DeviceRule {
    DeviceRule { allow: true, kind, major, minor, access }
}

/// The program for a container's rules: instructions as the kernel's `struct bpf_insn`. `None` if everything is allowed.
pub fn compile(rules: &[DeviceRule]) -> Result<Option<Vec<u64>>, Invalid> {
    let rules = || rules.iter().chain(&DEFAULTS).rev();
    // What lies beyond a rule for everything is never asked, and the kernel's verifier takes no code that is never reached.
    let decisive = rules().position(is_total);
    let decided = decisive.and_then(|at| rules().nth(at)).is_some_and(|rule| rule.allow);
    let live = rules().take(decisive.unwrap_or(usize::MAX));
    if decided && live.clone().all(|rule| rule.allow) {
        return Ok(None);
    }
    let mut program = Program { insns: PROLOGUE.to_vec(), exits: Vec::new() };
    live.for_each(|rule| program.rule(rule));
    if program.insns.len() > MAX_INSNS {
        let reason = format!("compiles to {} instructions, {MAX_INSNS} are possible", program.insns.len());
        return Err(Invalid::new("linux.resources.devices", reason));
    }
    program.finish(decided);
    Ok(Some(program.insns.into_iter().map(Insn::encode).collect()))
}

fn is_total(rule: &DeviceRule) -> bool {
    matches!(rule, DeviceRule { kind: DeviceKind::Any, major: None, minor: None, access: Access::ALL, .. })
}

/// `struct bpf_insn`, linux/bpf.h.
#[derive(Debug, Clone, Copy)]
struct Insn {
    code: u8,
    to: u8,
    from: u8,
    skip: i16,
    value: i32,
}

impl Insn {
    const fn new(code: u8, to: u8, from: u8, skip: i16, value: i32) -> Insn {
        Insn { code, to, from, skip, value }
    }

    /// `struct bpf_insn` as its bytes are in memory: code, both registers, offset, value. The compiler of a big-endian machine
    /// puts the first of two bit fields, the target, into the upper half of the byte.
    fn bytes(self, order: Order) -> [u8; 8] {
        let (registers, skip, value) = match order {
            Order::Little => (self.to | self.from << 4, self.skip.to_le_bytes(), self.value.to_le_bytes()),
            Order::Big => (self.to << 4 | self.from, self.skip.to_be_bytes(), self.value.to_be_bytes()),
        };
        let [a, b, c, d] = value;
        [self.code, registers, skip[0], skip[1], a, b, c, d]
    }

    fn encode(self) -> u64 {
        u64::from_ne_bytes(self.bytes(if cfg!(target_endian = "big") { Order::Big } else { Order::Little }))
    }
}

/// The order of bytes of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

const LOAD: u8 = 0x61; // BPF_LDX | BPF_MEM | BPF_W
const MOVE: u8 = 0xbc; // BPF_ALU | BPF_MOV | BPF_X
const SET: u8 = 0xb4; // BPF_ALU | BPF_MOV | BPF_K
const AND: u8 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const SHIFT_RIGHT: u8 = 0x74; // BPF_ALU | BPF_RSH | BPF_K
const IF_NOT_EQUAL: u8 = 0x56; // BPF_JMP32 | BPF_JNE | BPF_K
const IF_EQUAL: u8 = 0x16; // BPF_JMP32 | BPF_JEQ | BPF_K
const IF_ANY_BIT: u8 = 0x46; // BPF_JMP32 | BPF_JSET | BPF_K
const EXIT: u8 = 0x95; // BPF_JMP | BPF_EXIT

const VERDICT: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
/// The accesses still to be judged.
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// Loads `struct bpf_cgroup_dev_ctx`: access and kind in the halves of one word, major, minor.
const PROLOGUE: [Insn; 6] = [
    Insn::new(LOAD, KIND, CONTEXT, 0, 0),
    Insn::new(MOVE, ACCESS, KIND, 0, 0),
    Insn::new(AND, KIND, 0, 0, 0xffff),
    Insn::new(SHIFT_RIGHT, ACCESS, 0, 0, 16),
    Insn::new(LOAD, MAJOR, CONTEXT, 4, 0),
    Insn::new(LOAD, MINOR, CONTEXT, 8, 0),
];

/// As far as a jump leads, but for the two verdicts at the end.
const MAX_INSNS: usize = i16::MAX as usize - 4;

struct Program {
    insns: Vec<Insn>,
    /// Jumps to a verdict, and whether it is yes.
    exits: Vec<(usize, bool)>,
}

impl Program {
    fn rule(&mut self, rule: &DeviceRule) {
        let kind = match rule.kind {
            DeviceKind::Any => None,
            DeviceKind::Block => Some(1), // BPF_DEVCG_DEV_BLOCK
            DeviceKind::Char => Some(2),  // BPF_DEVCG_DEV_CHAR
        };
        let tests = [(KIND, kind), (MAJOR, rule.major), (MINOR, rule.minor)];
        let tests: Vec<(u8, u32)> = tests.into_iter().filter_map(|(r, value)| Some((r, value?))).collect();
        let verdict = if rule.allow { 2 } else { 1 };
        for (i, (register, value)) in tests.iter().enumerate() {
            let skip = (tests.len() - i - 1 + verdict) as i16;
            self.insns.push(Insn::new(IF_NOT_EQUAL, *register, 0, skip, value.cast_signed()));
        }
        let access = i32::from(rule.access.0);
        if rule.allow {
            self.insns.push(Insn::new(AND, ACCESS, 0, 0, !access));
        }
        self.exits.push((self.insns.len(), rule.allow));
        self.insns.push(match rule.allow {
            true => Insn::new(IF_EQUAL, ACCESS, 0, 0, 0),
            false => Insn::new(IF_ANY_BIT, ACCESS, 0, 0, access),
        });
    }

    /// Ends with the verdict on what no rule judged.
    fn finish(&mut self, decided: bool) {
        for verdict in [decided, !decided] {
            let here = self.insns.len();
            let mut is_reached = verdict == decided;
            for (at, _) in self.exits.iter().filter(|(_, yes)| *yes == verdict) {
                self.insns[*at].skip = (here - at - 1) as i16;
                is_reached = true;
            }
            if is_reached {
                self.insns.push(Insn::new(SET, VERDICT, 0, 0, i32::from(verdict)));
                self.insns.push(Insn::new(EXIT, 0, 0, 0, 0));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_in_the_order_of_the_machine() {
        let load = Insn::new(LOAD, MAJOR, CONTEXT, 4, -2);
        assert_eq!(load.bytes(Order::Little), [0x61, 0x14, 4, 0, 0xfe, 0xff, 0xff, 0xff]);
        assert_eq!(load.bytes(Order::Big), [0x61, 0x41, 0, 4, 0xff, 0xff, 0xff, 0xfe]);
    }
}
