//! Rules for devices compiled to the eBPF program that a cgroup asks about each access:
//! `BPF_PROG_TYPE_CGROUP_DEVICE`.
//!
//! The last rule for an access counts. So the program goes through the rules in order and keeps the
//! set of accesses that are allowed by now: a rule for this device adds its accesses or takes them
//! away. In the end what is asked for must be in the set.
//!
//! The program has no branch: a rule's accesses are multiplied by whether it fits. Before each
//! start the kernel's verifier walks every way through a program. For a dozen rules with branches
//! that takes three times as long.

use super::ebpf::{ADD, EXIT, Insn, MOVE, SET};
use crate::config::Invalid;
use crate::config::device_rules::{Access, DeviceKind, DeviceRule};

/// What every container may do beside what its rules say: the devices of the specification's
/// default list, pseudo terminals and the TUN device, as in runc, and mknod of any device: a node
/// that may not be opened does no harm.
const DEFAULTS: [DeviceRule; 11] = [
    allowed(DeviceKind::Char, None, None, Access::MKNOD),
    allowed(DeviceKind::Block, None, None, Access::MKNOD),
    allowed(DeviceKind::Char, Some(1), Some(3), Access::ALL), // null
    allowed(DeviceKind::Char, Some(1), Some(8), Access::ALL), // random
    allowed(DeviceKind::Char, Some(1), Some(7), Access::ALL), // full
    allowed(DeviceKind::Char, Some(5), Some(0), Access::ALL), // tty
    allowed(DeviceKind::Char, Some(1), Some(5), Access::ALL), // zero
    allowed(DeviceKind::Char, Some(1), Some(9), Access::ALL), // urandom
    allowed(DeviceKind::Char, Some(136), None, Access::ALL),  // pts
    allowed(DeviceKind::Char, Some(5), Some(2), Access::ALL), // ptmx
    allowed(DeviceKind::Char, Some(10), Some(200), Access::ALL), // net/tun
];

/// Whether the rules let a process have these accesses to the device, `c` or `b`.
pub fn allow(rules: &[DeviceRule], device: (char, u32, u32), access: Access) -> bool {
    let (kind, major, minor) = device;
    let fits = |rule: &DeviceRule| {
        let is_of_kind = match rule.kind {
            DeviceKind::Any => true,
            DeviceKind::Block => kind == 'b',
            DeviceKind::Char => kind == 'c',
        };
        is_of_kind && rule.major.is_none_or(|own| own == major) && rule.minor.is_none_or(|own| own == minor)
    };
    let rules = rules.iter().chain(&DEFAULTS).filter(|rule| fits(rule));
    let allowed = rules.fold(0, |allowed, rule| match rule.allow {
        true => allowed | rule.access.0,
        false => allowed & !rule.access.0,
    });
    access.0 & !allowed == 0
}

/// Whether every container may open this device: `c` or `b`.
pub fn is_always_allowed(kind: char, major: u32, minor: u32) -> bool {
    let is_of = |rule: &DeviceRule| match (rule.kind, kind) {
        (DeviceKind::Char, 'c') | (DeviceKind::Block, 'b') => rule.major == Some(major),
        _ => false,
    };
    DEFAULTS.iter().any(|rule| is_of(rule) && rule.minor.is_none_or(|own| own == minor))
}

const fn allowed(kind: DeviceKind, major: Option<u32>, minor: Option<u32>, access: Access) -> DeviceRule {
    DeviceRule { allow: true, kind, major, minor, access }
}

/// The program for a container's rules: instructions as the kernel's `struct bpf_insn`. `None` if
/// everything is allowed.
pub fn compile(rules: &[DeviceRule]) -> Result<Option<Vec<u64>>, Invalid> {
    let rules: Vec<&DeviceRule> = rules.iter().chain(&DEFAULTS).collect();
    // What comes before a rule for everything makes no difference.
    let total = rules.iter().rposition(|rule| is_total(rule));
    let (allowed, live) = match total {
        Some(at) => (rules[at].allow, &rules[at + 1..]),
        None => (false, &rules[..]),
    };
    if allowed && live.iter().all(|rule| rule.allow) {
        return Ok(None);
    }
    let mut program = PROLOGUE.to_vec();
    program.push(Insn::value(SET, ALLOWED, if allowed { Access::ALL } else { Access(0) }.0.into()));
    live.iter().for_each(|rule| add(&mut program, rule));
    program.extend(EPILOGUE);
    if program.len() > MAX_INSNS {
        let reason = format!("compiles to {} instructions, {MAX_INSNS} are possible", program.len());
        return Err(Invalid::new("linux.resources.devices", reason));
    }
    Ok(Some(program.into_iter().map(Insn::encode).collect()))
}

fn is_total(rule: &DeviceRule) -> bool {
    matches!(rule, DeviceRule { kind: DeviceKind::Any, major: None, minor: None, access: Access::ALL, .. })
}

const LOAD: u8 = 0x61; // BPF_LDX | BPF_MEM | BPF_W
/// Of the lower halves of registers; the upper one is then zero.
const XOR_32: u8 = 0xa4; // BPF_ALU | BPF_XOR | BPF_K
const OR_WITH: u8 = 0x4f; // BPF_ALU64 | BPF_OR | BPF_X
const XOR_WITH: u8 = 0xaf; // BPF_ALU64 | BPF_XOR | BPF_X
const AND_WITH: u8 = 0x5f; // BPF_ALU64 | BPF_AND | BPF_X
const OR: u8 = 0x47; // BPF_ALU64 | BPF_OR | BPF_K
const AND: u8 = 0x57; // BPF_ALU64 | BPF_AND | BPF_K
const SHIFT_RIGHT: u8 = 0x77; // BPF_ALU64 | BPF_RSH | BPF_K
const TIMES: u8 = 0x27; // BPF_ALU64 | BPF_MUL | BPF_K

const VERDICT: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
/// The accesses that are asked for.
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
/// The accesses that are allowed by now.
const ALLOWED: u8 = 6;
/// Zero where a rule fits, then 1 or 0, then all of its accesses or none.
const FITS: u8 = 7;
const SCRATCH: u8 = 8;

/// Loads `struct bpf_cgroup_dev_ctx`: access and kind in the halves of one word, major, minor.
const PROLOGUE: [Insn; 6] = [
    Insn::new(LOAD, KIND, CONTEXT, 0, 0),
    Insn::new(MOVE, ACCESS, KIND, 0, 0),
    Insn::value(AND, KIND, 0xffff),
    Insn::value(SHIFT_RIGHT, ACCESS, 16),
    Insn::new(LOAD, MAJOR, CONTEXT, 4, 0),
    Insn::new(LOAD, MINOR, CONTEXT, 8, 0),
];

/// Yes, if what is asked for without what is allowed is nothing: zero minus one is the only
/// negative number.
const EPILOGUE: [Insn; 6] = [
    Insn::value(XOR_32, ALLOWED, Access::ALL.0 as i32),
    Insn::new(AND_WITH, ALLOWED, ACCESS, 0, 0),
    Insn::new(MOVE, VERDICT, ALLOWED, 0, 0),
    Insn::value(ADD, VERDICT, -1),
    Insn::value(SHIFT_RIGHT, VERDICT, 63),
    Insn::new(EXIT, 0, 0, 0, 0),
];

/// What the kernel takes (BPF_COMPLEXITY_LIMIT_INSNS, since Linux 5.2).
const MAX_INSNS: usize = 1_000_000;

/// Takes a rule's accesses into the set, or out of it, if the rule fits.
fn add(program: &mut Vec<Insn>, rule: &DeviceRule) {
    let kind = match rule.kind {
        DeviceKind::Any => None,
        DeviceKind::Block => Some(1), // BPF_DEVCG_DEV_BLOCK
        DeviceKind::Char => Some(2),  // BPF_DEVCG_DEV_CHAR
    };
    let access = i32::from(rule.access.0);
    let tests = [(KIND, kind), (MAJOR, rule.major), (MINOR, rule.minor)];
    let mut tests = tests.into_iter().filter_map(|(register, value)| Some((register, value?)));
    let Some((register, value)) = tests.next() else {
        program.push(Insn::value(
            if rule.allow { OR } else { AND },
            ALLOWED,
            if rule.allow { access } else { !access },
        ));
        return;
    };
    program.extend([Insn::new(MOVE, FITS, register, 0, 0), Insn::value(XOR_32, FITS, value.cast_signed())]);
    for (register, value) in tests {
        program.extend([
            Insn::new(MOVE, SCRATCH, register, 0, 0),
            Insn::value(XOR_32, SCRATCH, value.cast_signed()),
            Insn::new(OR_WITH, FITS, SCRATCH, 0, 0),
        ]);
    }
    // The differences have 32 bits, so the sign is that of zero minus one. A shift that spreads it
    // over the register and an AND would do as well. But newer verifiers follow its two values
    // apart, so that each rule doubles their work.
    program.extend([
        Insn::value(ADD, FITS, -1),
        Insn::value(SHIFT_RIGHT, FITS, 63),
        Insn::value(TIMES, FITS, access),
        Insn::new(OR_WITH, ALLOWED, FITS, 0, 0),
    ]);
    if !rule.allow {
        program.push(Insn::new(XOR_WITH, ALLOWED, FITS, 0, 0));
    }
}
