//! What system calls a machine has: one table of names a machine, one space of numbers an ABI.

use crate::config::seccomp::Arch;

/// The machine that this binary runs on.
#[cfg(target_arch = "x86_64")]
pub static NATIVE: &Machine = &X86;
/// The machine that this binary runs on.
#[cfg(target_arch = "aarch64")]
pub static NATIVE: &Machine = &ARM;
/// The machine that this binary runs on.
#[cfg(target_arch = "riscv64")]
pub static NATIVE: &Machine = &RISCV;
/// The machine that this binary runs on.
#[cfg(all(target_arch = "powerpc64", target_endian = "little"))]
pub static NATIVE: &Machine = &POWER;
/// The machine that this binary runs on.
#[cfg(target_arch = "s390x")]
pub static NATIVE: &Machine = &S390;
/// The machine that this binary runs on.
#[cfg(target_arch = "loongarch64")]
pub static NATIVE: &Machine = &LOONGARCH;

/// x86-64 with i386 and x32 programs.
pub static X86: Machine = Machine {
    entries: &[
        Entry {
            audit_arch: 0xc000_003e,
            spaces: &[
                Space::new(Arch::X86_64, 0, 0, Argument::LE64),
                Space::new(Arch::X32, 1 << 30, 2, Argument::LE32),
            ],
        },
        Entry {
            audit_arch: 0x4000_0003,
            spaces: &[Space::new(Arch::X86, 0, 1, Argument::LE32).multiplexed(3)],
        },
    ],
    table: X86_TABLE.columns(),
};

/// 64-bit ARM with 32-bit programs, which have a few private calls high above the others
/// (`__ARM_NR_BASE`).
pub static ARM: Machine = Machine {
    entries: &[
        Entry { audit_arch: 0xc000_00b7, spaces: &[Space::new(Arch::Aarch64, 0, 0, Argument::LE64)] },
        Entry {
            audit_arch: 0x4000_0028,
            spaces: &[
                Space::new(Arch::Arm, 0, 1, Argument::LE32),
                Space::new(Arch::Arm, 0x000f_0000, 2, Argument::LE32),
            ],
        },
    ],
    table: ARM_TABLE.columns(),
};

/// 64-bit RISC-V. A profile has no name for its 32-bit programs: they have no filter, and end at
/// their first call.
pub static RISCV: Machine = Machine {
    entries: &[Entry { audit_arch: 0xc000_00f3, spaces: &[Space::new(Arch::Riscv64, 0, 0, Argument::LE64)] }],
    table: GENERIC_TABLE.columns(),
};

/// 64-bit LoongArch.
pub static LOONGARCH: Machine = Machine {
    entries: &[Entry {
        audit_arch: 0xc000_0102,
        spaces: &[Space::new(Arch::Loongarch64, 0, 1, Argument::LE64)],
    }],
    table: GENERIC_TABLE.columns(),
};

/// 64-bit POWER, little-endian.
pub static POWER: Machine = Machine {
    entries: &[Entry {
        audit_arch: 0xc000_0015,
        spaces: &[Space::new(Arch::Ppc64le, 0, 0, Argument::LE64).multiplexed(1)],
    }],
    table: POWER_TABLE.columns(),
};

/// IBM Z, with the 31-bit programs that it ran before Linux 7.
pub static S390: Machine = Machine {
    entries: &[
        Entry {
            audit_arch: 0x8000_0016,
            spaces: &[Space::new(Arch::S390x, 0, 0, Argument::BE64).multiplexed(2)],
        },
        Entry {
            audit_arch: 0x0000_0016,
            spaces: &[Space::new(Arch::S390, 0, 1, Argument::BE32).multiplexed(2)],
        },
    ],
    table: S390_TABLE.columns(),
};

/// Whether any machine has a call of this name.
pub fn is_known(name: &str) -> bool {
    [&X86, &ARM, &RISCV, &POWER, &S390].iter().any(|machine| machine.call(name).is_some())
}

/// The ways into a machine's kernel, the native one first.
#[derive(Debug)]
pub struct Machine {
    /// One a value of `seccomp_data.arch`.
    pub entries: &'static [Entry],
    table: Columns,
}

/// The spaces of numbers behind one value of `seccomp_data.arch`.
#[derive(Debug)]
pub struct Entry {
    /// `AUDIT_ARCH_*`, include/uapi/linux/audit.h
    pub audit_arch: u32,
    /// In rising order of their bases.
    pub spaces: &'static [Space],
}

/// The system calls of one ABI.
#[derive(Debug)]
pub struct Space {
    /// The name of this ABI in a profile.
    pub arch: Arch,
    /// What is added to a number in the table.
    pub base: u32,
    /// The column of the table with this space's numbers.
    pub column: usize,
    /// What of an argument the calls take.
    pub argument: Argument,
    /// The column with the sub-calls of socketcall(2) and ipc(2), where the ABI has them.
    pub sub_calls: Option<usize>,
}

impl Space {
    const fn new(arch: Arch, base: u32, column: usize, argument: Argument) -> Space {
        Space { arch, base, column, argument, sub_calls: None }
    }

    const fn multiplexed(self, column: usize) -> Space {
        Space { sub_calls: Some(column), ..self }
    }
}

/// Where the halves of an argument lie in its eight bytes of `seccomp_data`. A 32-bit ABI compares
/// the low half only, as libseccomp does: a profile's `(u64)-1` means 0xffffffff there, and what
/// the upper half of a register holds is not part of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argument {
    /// Offset of the low half
    pub low: u32,
    /// Offset of the high half, where it counts
    pub high: Option<u32>,
}

impl Argument {
    const LE32: Argument = Argument { low: 0, high: None };
    const LE64: Argument = Argument { low: 0, high: Some(4) };
    const BE32: Argument = Argument { low: 4, high: None };
    const BE64: Argument = Argument { low: 4, high: Some(0) };
}

/// How many numbers a row of a table has at most.
const COLUMNS: usize = 4;
/// The space has no such call.
const NONE: u16 = u16::MAX;

impl Machine {
    /// The numbers of the call `name` in each column.
    pub fn call(&self, name: &str) -> Option<Call> {
        let Columns { names, ends, numbers } = &self.table;
        let (mut low, mut high) = (0, ends.len());
        while low < high {
            let middle = low.midpoint(high);
            let start = if middle == 0 { 0 } else { ends[middle - 1] };
            match names[usize::from(start)..usize::from(ends[middle])].cmp(name.as_bytes()) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(Call(&numbers[middle])),
            }
        }
        None
    }

    /// The name of a call that was made by this entry.
    pub fn name(&self, audit_arch: u32, number: u32) -> Option<&'static str> {
        let space = self.space(audit_arch, number)?;
        let number = u16::try_from(number - space.base).ok().filter(|number| *number != NONE)?;
        let Columns { names, ends, numbers } = &self.table;
        let row = numbers.iter().position(|row| row[space.column] == number)?;
        let start = if row == 0 { 0 } else { ends[row - 1] };
        str::from_utf8(&names[usize::from(start)..usize::from(ends[row])]).ok()
    }

    /// The space of a call that was made by this entry.
    pub fn space(&self, audit_arch: u32, number: u32) -> Option<&'static Space> {
        let entry = self.entries.iter().find(|entry| entry.audit_arch == audit_arch)?;
        entry.spaces.iter().rev().find(|space| number >= space.base)
    }
}

/// A row of a table.
#[derive(Debug, Clone, Copy)]
pub struct Call(&'static [u16; COLUMNS]);

impl Call {
    /// The number in `column`, if the space has this call.
    pub fn number(self, column: usize) -> Option<u16> {
        Some(self.0[column]).filter(|number| *number != NONE)
    }
}

/// A table without the sizes of its parts in its type.
#[derive(Debug)]
struct Columns {
    /// All names in one piece, sorted. Slices or pointers would cost a relocation a name at every
    /// exec of the binary.
    names: &'static [u8],
    /// Where each name ends.
    ends: &'static [u16],
    numbers: &'static [[u16; COLUMNS]],
}

/// The rows of a `.tbl` file.
struct Table<const ROWS: usize, const BYTES: usize> {
    names: [u8; BYTES],
    ends: [u16; ROWS],
    numbers: [[u16; COLUMNS]; ROWS],
}

impl<const ROWS: usize, const BYTES: usize> Table<ROWS, BYTES> {
    const fn columns(&'static self) -> Columns {
        Columns { names: &self.names, ends: &self.ends, numbers: &self.numbers }
    }
}

const X86_TEXT: &[u8] = include_bytes!("x86.tbl");
static X86_TABLE: Table<{ size(X86_TEXT).0 }, { size(X86_TEXT).1 }> = parse(X86_TEXT);
const ARM_TEXT: &[u8] = include_bytes!("arm.tbl");
static ARM_TABLE: Table<{ size(ARM_TEXT).0 }, { size(ARM_TEXT).1 }> = parse(ARM_TEXT);
const GENERIC_TEXT: &[u8] = include_bytes!("generic.tbl");
static GENERIC_TABLE: Table<{ size(GENERIC_TEXT).0 }, { size(GENERIC_TEXT).1 }> = parse(GENERIC_TEXT);
const POWER_TEXT: &[u8] = include_bytes!("power.tbl");
static POWER_TABLE: Table<{ size(POWER_TEXT).0 }, { size(POWER_TEXT).1 }> = parse(POWER_TEXT);
const S390_TEXT: &[u8] = include_bytes!("s390.tbl");
static S390_TABLE: Table<{ size(S390_TEXT).0 }, { size(S390_TEXT).1 }> = parse(S390_TEXT);

/// How many rows a table has, and how many bytes its names have.
const fn size(text: &[u8]) -> (usize, usize) {
    let (mut rows, mut bytes, mut at) = (0, 0, line_end(text, 0) + 1);
    while at < text.len() {
        rows += 1;
        bytes += word_end(text, at) - at;
        at = line_end(text, at) + 1;
    }
    (rows, bytes)
}

/// Reads a table while the compiler runs: the text is what people and tables.py read and write.
const fn parse<const ROWS: usize, const BYTES: usize>(text: &[u8]) -> Table<ROWS, BYTES> {
    let mut table = Table { names: [0; BYTES], ends: [0; ROWS], numbers: [[NONE; COLUMNS]; ROWS] };
    let (mut row, mut bytes, mut at) = (0, 0, line_end(text, 0) + 1);
    while at < text.len() {
        while text[at] != b' ' {
            table.names[bytes] = text[at];
            bytes += 1;
            at += 1;
        }
        table.ends[row] = bytes as u16;
        let mut column = 0;
        while text[at] != b'\n' {
            let end = word_end(text, at + 1);
            table.numbers[row][column] = number(text, at + 1, end);
            column += 1;
            at = end;
        }
        at += 1;
        row += 1;
    }
    table
}

/// The decimal number at `at`; `-` is none.
const fn number(text: &[u8], mut at: usize, end: usize) -> u16 {
    if text[at] == b'-' {
        return NONE;
    }
    let mut number = 0;
    while at < end {
        number = number * 10 + (text[at] - b'0') as u16;
        at += 1;
    }
    number
}

const fn line_end(text: &[u8], mut at: usize) -> usize {
    while text[at] != b'\n' {
        at += 1;
    }
    at
}

const fn word_end(text: &[u8], mut at: usize) -> usize {
    while text[at] != b' ' && text[at] != b'\n' {
        at += 1;
    }
    at
}
