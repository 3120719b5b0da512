//! Whether the filter of a profile does what the profile says: the compiler's filter, run, against
//! the referee.

use super::cbpf::{self, Data};
use super::naive::{self, Machine, Referee};
use knarr::config::Invalid;
use knarr::config::seccomp::{self, Seccomp};
use knarr::plan::seccomp::{Filter, compile_for, machine};
use serde_json::Value;

pub fn x86() -> Machine {
    Machine::new(naive::X86, &naive::X86_ABIS)
}

pub fn arm() -> Machine {
    Machine::new(naive::ARM, &naive::ARM_ABIS)
}

/// Every machine that has a table, and the referee's reading of it.
pub fn machines() -> [(&'static machine::Machine, Machine); 6] {
    [
        (&machine::X86, x86()),
        (&machine::ARM, arm()),
        (&machine::RISCV, Machine::new(naive::GENERIC, &naive::RISCV_ABIS)),
        (&machine::LOONGARCH, Machine::new(naive::GENERIC, &naive::LOONGARCH_ABIS)),
        (&machine::POWER, Machine::new(naive::POWER, &naive::POWER_ABIS)),
        (&machine::S390, Machine::new(naive::S390, &naive::S390_ABIS)),
    ]
}

pub fn resolve(profile: &Value) -> Result<Seccomp, Invalid> {
    seccomp::resolve(&serde_json::from_value(profile.clone()).expect("a profile"))
}

pub fn compile(machine: &machine::Machine, profile: &Value) -> Filter {
    let filter = compile_for(machine, &resolve(profile).expect("a good profile")).expect("a filter");
    cbpf::check(&filter.insns);
    filter
}

/// Numbers that an ABI has, could have, or must not have, by every way into the kernel.
pub fn numbers(machine: &Machine) -> Vec<(u32, u32)> {
    let mut numbers = Vec::new();
    const FOREIGN: [u32; 6] = [0xc000_003e, 0x4000_0003, 0xc000_00b7, 0x4000_0028, 0x4000_003e, 0x0000_0016];
    let own = machine.abis.iter().map(|abi| abi.arch);
    let arches: std::collections::BTreeSet<u32> = own.chain(FOREIGN).collect();
    for arch in arches {
        let bases = machine.abis.iter().filter(|abi| abi.arch == arch).map(|abi| abi.base);
        let near = bases.flat_map(|base| base..base + if base == 0x000f_0000 { 10 } else { 560 });
        let far =
            [0, 0x000e_ffff, 0x000f_0001, 0x3fff_ffff, 0x4000_0000, 0x7fff_ffff, 0x8000_0000, 0xc000_0000];
        numbers.extend(near.chain(far).chain([u32::MAX - 1, u32::MAX]).map(|nr| (nr, arch)));
    }
    numbers
}

/// Values around each constant of a profile, in both halves of an argument.
fn values(profile: &Value) -> Vec<u64> {
    let args = profile["syscalls"].as_array().into_iter().flatten().flat_map(|rule| rule["args"].as_array());
    let constants = args.flatten().flat_map(|arg| [arg["value"].as_u64(), arg["valueTwo"].as_u64()]);
    let mut values: Vec<u64> = constants
        .flatten()
        .flat_map(|value| {
            let around = [value, value.wrapping_add(1), value.wrapping_sub(1)];
            around.into_iter().flat_map(|near| [near, near ^ 1 << 32, near ^ 0x1_2000]).chain([!value])
        })
        .chain([0, 1, 3, 5, u64::MAX, 0x1_0000_0003])
        .collect();
    values.sort_unstable();
    values.dedup();
    values
}

/// Calls that tell whether a filter does what a profile says: each number with arguments of no
/// meaning and, where the filter looks at the arguments, with values that the profile cares about.
pub fn calls(machine: &Machine, profile: &Value, filter: &Filter, mut judge: impl FnMut(Data)) {
    let values = values(profile);
    for (nr, arch) in numbers(machine) {
        let data = Data { nr, arch, args: [0x5555_5555_5555; 6] };
        judge(data);
        if cbpf::run(&filter.insns, &data).constant {
            continue;
        }
        for (i, value) in values.iter().enumerate() {
            judge(Data { nr, arch, args: [*value; 6] });
            for arg in 0..6 {
                let mut args = [values[(i * 7 + 3) % values.len()]; 6];
                args[arg] = *value;
                judge(Data { nr, arch, args });
            }
        }
    }
}

/// Compares the filter of a profile with the referee.
pub fn compare(native: &machine::Machine, machine: &Machine, profile: &Value) {
    let filter = compile(native, profile);
    let referee = Referee::new(machine, profile);
    calls(machine, profile, &filter, |data| {
        let (verdict, expected) = (cbpf::run(&filter.insns, &data).verdict, referee.verdict(&data));
        assert_eq!(verdict, expected, "{verdict:#x} is not {expected:#x} for {data:x?} in {profile:#}");
    });
}
