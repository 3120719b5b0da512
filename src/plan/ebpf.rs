//! Instructions of eBPF, for the filter of devices and for what recordings ask the kernel.

/// BPF_ALU64 | BPF_MOV | BPF_X
pub const MOVE: u8 = 0xbf;
/// BPF_ALU64 | BPF_MOV | BPF_K
pub const SET: u8 = 0xb7;
/// BPF_ALU64 | BPF_ADD | BPF_K
pub const ADD: u8 = 0x07;
/// BPF_JMP | BPF_EXIT
pub const EXIT: u8 = 0x95;

/// `struct bpf_insn`, linux/bpf.h.
#[derive(Debug, Clone, Copy)]
pub struct Insn {
    code: u8,
    to: u8,
    from: u8,
    skip: i16,
    value: i32,
}

impl Insn {
    /// Of an operation, two registers, an offset and a number.
    pub const fn new(code: u8, to: u8, from: u8, skip: i16, value: i32) -> Insn {
        Insn { code, to, from, skip, value }
    }

    /// An instruction of one register and a number.
    pub const fn value(code: u8, to: u8, value: i32) -> Insn {
        Insn::new(code, to, 0, 0, value)
    }

    /// `struct bpf_insn` as its bytes are in memory: code, both registers, offset, value. The
    /// compiler of a big-endian machine puts the first of two bit fields, the target, into the
    /// upper half of the byte.
    fn bytes(self, order: Order) -> [u8; 8] {
        let (registers, skip, value) = match order {
            Order::Little => (self.to | self.from << 4, self.skip.to_le_bytes(), self.value.to_le_bytes()),
            Order::Big => (self.to << 4 | self.from, self.skip.to_be_bytes(), self.value.to_be_bytes()),
        };
        let [a, b, c, d] = value;
        [self.code, registers, skip[0], skip[1], a, b, c, d]
    }

    /// As the kernel reads it.
    pub fn encode(self) -> u64 {
        u64::from_ne_bytes(self.bytes(if cfg!(target_endian = "big") { Order::Big } else { Order::Little }))
    }
}

/// The order of bytes of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_in_the_order_of_the_machine() {
        let load = Insn::new(0x61, 4, 1, 4, -2);
        assert_eq!(load.bytes(Order::Little), [0x61, 0x14, 4, 0, 0xfe, 0xff, 0xff, 0xff]);
        assert_eq!(load.bytes(Order::Big), [0x61, 0x41, 0, 4, 0xff, 0xff, 0xff, 0xfe]);
    }
}
