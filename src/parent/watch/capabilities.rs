//! The capabilities that the kernel asks for, and finds, in a cgroup: a program at its tracepoint
//! `cap_capable`, since Linux 6.14.

use crate::capability::{self, Set};
use crate::fault::{Call, Outcome};
use crate::plan::ebpf::{ADD, EXIT, Insn, MOVE, SET};
use crate::sys::{bpf, fs};
use std::collections::BTreeSet;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

/// What is being asked for. The program goes with the descriptors.
#[derive(Debug)]
pub(super) struct Asked {
    /// By number, whether it was asked for and is there.
    found: OwnedFd,
    _cgroups: OwnedFd,
    _program: OwnedFd,
}

impl Asked {
    /// From now on, by processes of this cgroup and below.
    pub(super) fn of(cgroup: &Path) -> Outcome<Asked> {
        let cgroup = fs::open(cgroup, fs::O_RDONLY | fs::O_DIRECTORY, 0).call(|| "open its cgroup".into())?;
        let cgroups = bpf::cgroup_array(cgroup.as_fd()).call(|| "bpf map".into())?;
        let found = bpf::array(capability::MOST).call(|| "bpf map".into())?;
        let insns = program(cgroups.as_raw_fd(), found.as_raw_fd());
        let program = bpf::trace(c"cap_capable", &insns).call(|| "bpf at cap_capable".into())?;
        Ok(Asked { found, _cgroups: cgroups, _program: program })
    }

    /// Those that were asked for and there, by name, and of `permitted`: files of an overlay are
    /// used with what its maker has, too.
    pub(super) fn names(&self, permitted: Set) -> BTreeSet<String> {
        let is_found = |number: &u32| bpf::element(self.found.as_fd(), *number).is_ok_and(|value| value != 0);
        let name = |number: u32| capability::name(number).unwrap_or_else(|| number.to_string());
        permitted.numbers().filter(is_found).map(name).collect()
    }
}

const MOVE_32: u8 = 0xbc; // BPF_ALU | BPF_MOV | BPF_X
const LOAD: u8 = 0x79; // BPF_LDX | BPF_MEM | BPF_DW
const STORE_32: u8 = 0x63; // BPF_STX | BPF_MEM | BPF_W
const STORE: u8 = 0x7a; // BPF_ST | BPF_MEM | BPF_DW
const MAP: u8 = 0x18; // BPF_LD | BPF_IMM | BPF_DW, of BPF_PSEUDO_MAP_FD
const CALL: u8 = 0x85; // BPF_JMP | BPF_CALL
const UNLESS: u8 = 0x55; // BPF_JMP | BPF_JNE | BPF_K
const IF: u8 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K

/// BPF_FUNC_map_lookup_elem
const LOOKUP: i32 = 1;
/// BPF_FUNC_current_task_under_cgroup
const IS_UNDER: i32 = 37;
const FRAME: u8 = 10;

/// Marks the capability, where the task is of the cgroup and the answer is yes. The tracepoint's
/// arguments are the credentials, two namespaces, the capability and the answer.
fn program(cgroups: i32, found: i32) -> Vec<u64> {
    let insns = [
        Insn::new(MOVE, 6, 1, 0, 0),
        Insn::new(MAP, 1, 1, 0, cgroups),
        Insn::value(0, 0, 0),
        Insn::value(SET, 2, 0),
        Insn::value(CALL, 0, IS_UNDER),
        Insn::new(UNLESS, 0, 0, 12, 1),
        Insn::new(LOAD, 1, 6, 32, 0),
        Insn::new(MOVE_32, 1, 1, 0, 0),
        Insn::new(UNLESS, 1, 0, 9, 0),
        Insn::new(LOAD, 1, 6, 24, 0),
        Insn::new(STORE_32, FRAME, 1, -4, 0),
        Insn::new(MAP, 1, 1, 0, found),
        Insn::value(0, 0, 0),
        Insn::new(MOVE, 2, FRAME, 0, 0),
        Insn::value(ADD, 2, -4),
        Insn::value(CALL, 0, LOOKUP),
        Insn::new(IF, 0, 0, 1, 0),
        Insn::value(STORE, 0, 1),
        Insn::value(SET, 0, 0),
        Insn::value(EXIT, 0, 0),
    ];
    insns.map(Insn::encode).into()
}
