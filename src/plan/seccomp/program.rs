//! A classic BPF program, written from its end to its beginning.
//!
//! Jumps of classic BPF lead forwards only. So what an instruction leads to is there before the
//! instruction itself, and every jump is resolved when it is written.

use super::{Insn, watch};
use crate::config::seccomp::{Action, Watch};

/// The place of an instruction, counted from the end of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label(usize);

/// A conditional jump's test of the accumulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Test {
    /// `BPF_JEQ`
    Equal = 0x15,
    /// `BPF_JGT`
    Greater = 0x25,
    /// `BPF_JGE`
    GreaterOrEqual = 0x35,
    /// `BPF_JSET`
    AnyBit = 0x45,
}

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

/// A conditional jump skips 255 instructions at most; one less, as the trampoline of its other way
/// may come between.
const REACH: usize = 254;

/// The instructions so far, the last one first.
#[derive(Debug, Default)]
pub(super) struct Program {
    insns: Vec<Insn>,
    /// The last instruction that returns a value, for each: a search tree has many leaves.
    returns: Vec<(u32, Label)>,
    watch: Watch,
}

impl Program {
    /// For a program of about `insns` instructions, which tells a listener what is watched.
    pub(super) fn with_capacity(insns: usize, watch: Watch) -> Program {
        Program { insns: Vec::with_capacity(insns), returns: Vec::new(), watch }
    }

    /// How many instructions there are.
    pub(super) fn len(&self) -> usize {
        self.insns.len()
    }

    /// The program in the order in which it runs.
    pub(super) fn finish(mut self) -> Vec<Insn> {
        self.insns.reverse();
        self.insns
    }

    /// Ends the program with `action`: an instruction in reach of a jump, if there is one.
    pub(super) fn ret(&mut self, action: Action) -> Label {
        let value = watch::turned(action, self.watch).0;
        let last = self.returns.iter().find(|(known, _)| *known == value).map(|(_, last)| *last);
        last.filter(|last| self.is_in_reach(*last)).unwrap_or_else(|| self.push(RETURN, 0, 0, value))
    }

    /// Goes to `yes` if the accumulator passes the test against `k`, or else to `no`.
    pub(super) fn branch(&mut self, test: Test, k: u32, yes: Label, no: Label) -> Label {
        if yes == no {
            return yes;
        }
        let (yes, no) = (self.in_reach(yes), self.in_reach(no));
        let skip = |label: Label| (self.insns.len() - 1 - label.0) as u8;
        let (jt, jf) = (skip(yes), skip(no));
        self.push(test as u16, jt, jf, k)
    }

    /// Loads the 32 bits of `struct seccomp_data` at `offset` into the accumulator, then goes to
    /// `next`.
    pub(super) fn load(&mut self, offset: u32, next: Label) -> Label {
        self.before(next);
        self.push(LOAD, 0, 0, offset)
    }

    /// Leaves the accumulator's bits under `mask`, then goes to `next`.
    pub(super) fn and(&mut self, mask: u32, next: Label) -> Label {
        self.before(next);
        self.push(AND, 0, 0, mask)
    }

    /// Makes `next` what follows an instruction that does not jump.
    fn before(&mut self, next: Label) {
        if next.0 + 1 != self.insns.len() {
            self.trampoline(next);
        }
    }

    /// `label`, or a place that leads there, in reach of a conditional jump.
    fn in_reach(&mut self, label: Label) -> Label {
        if self.is_in_reach(label) { label } else { self.trampoline(label) }
    }

    fn is_in_reach(&self, label: Label) -> bool {
        self.insns.len() - label.0 <= REACH
    }

    /// An instruction that leads to `label`: a return is repeated rather than jumped to.
    fn trampoline(&mut self, label: Label) -> Label {
        let insn = self.insns[label.0];
        match insn.code {
            RETURN => self.push(RETURN, 0, 0, insn.k),
            _ => self.push(JUMP, 0, 0, (self.insns.len() - 1 - label.0) as u32),
        }
    }

    fn push(&mut self, code: u16, jt: u8, jf: u8, k: u32) -> Label {
        self.insns.push(Insn { code, jt, jf, k });
        let label = Label(self.insns.len() - 1);
        if code == RETURN {
            match self.returns.iter_mut().find(|(value, _)| *value == k) {
                Some((_, last)) => *last = label,
                None => self.returns.push((k, label)),
            }
        }
        label
    }
}
