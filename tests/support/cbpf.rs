//! An interpreter of classic BPF as seccomp(2) runs it, with the checks that the kernel makes
//! before it takes a program: bpf_check_classic() in net/core/filter.c, seccomp_check_filter() in
//! kernel/seccomp.c.

use knarr::plan::seccomp::Insn;

/// `struct seccomp_data`, without the instruction pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Data {
    pub nr: u32,
    pub arch: u32,
    pub args: [u64; 6],
}

impl Data {
    fn word(&self, offset: u32) -> u32 {
        match offset {
            0 => self.nr,
            4 => self.arch,
            16..=63 if offset.is_multiple_of(4) => {
                let arg = self.args[(offset as usize - 16) / 8];
                // __AUDIT_ARCH_LE: where it is not set, the first half is the upper one.
                let is_little_endian = self.arch & 0x4000_0000 != 0;
                if offset.is_multiple_of(8) == is_little_endian { arg as u32 } else { (arg >> 32) as u32 }
            }
            _ => panic!("load of offset {offset}"),
        }
    }
}

/// What a run of a program was like.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    pub verdict: u32,
    /// Instructions run.
    pub steps: usize,
    /// Whether the kernel could tell the verdict from the number and the architecture alone.
    pub constant: bool,
}

/// Panics if the kernel would refuse the program.
pub fn check(program: &[Insn]) {
    assert!((1..=4096).contains(&program.len()), "{} instructions", program.len());
    for (at, insn) in program.iter().enumerate() {
        let target = |skip: u32| assert!(at + 1 + (skip as usize) < program.len(), "jump out of the program");
        match insn.code {
            0x05 => target(insn.k),
            0x15 | 0x25 | 0x35 | 0x45 => {
                target(insn.jt.into());
                target(insn.jf.into());
            }
            0x20 => assert!(insn.k < 64 && insn.k.is_multiple_of(4)),
            0x54 => {}
            0x06 => {}
            code => panic!("instruction {at} has code {code:#x}"),
        }
    }
    assert_eq!(program[program.len() - 1].code, 0x06, "the last instruction returns");
}

/// Runs a program that [`check`] took.
pub fn run(program: &[Insn], data: &Data) -> Run {
    let (mut a, mut pc, mut steps, mut constant) = (0, 0, 0, true);
    loop {
        let Insn { code, jt, jf, k } = program[pc];
        steps += 1;
        let skip = |holds| if holds { usize::from(jt) } else { usize::from(jf) };
        pc += 1;
        match code {
            0x05 => pc += k as usize,
            0x15 => pc += skip(a == k),
            0x25 => pc += skip(a > k),
            0x35 => pc += skip(a >= k),
            0x45 => pc += skip(a & k != 0),
            0x20 => {
                a = data.word(k);
                constant &= k < 8;
            }
            0x54 => a &= k,
            0x06 => return Run { verdict: k, steps, constant },
            code => panic!("code {code:#x}"),
        }
    }
}
