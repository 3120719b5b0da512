//! What a profile says, read from its JSON call by call with no cleverness: the referee of the
//! compiler.

use std::collections::HashMap;

use serde_json::Value;

use super::cbpf::Data;

/// The columns of the tables, by machine.
pub const X86: &str = include_str!("../../src/plan/seccomp/x86.tbl");
pub const ARM: &str = include_str!("../../src/plan/seccomp/arm.tbl");
pub const GENERIC: &str = include_str!("../../src/plan/seccomp/generic.tbl");
pub const POWER: &str = include_str!("../../src/plan/seccomp/power.tbl");
pub const S390: &str = include_str!("../../src/plan/seccomp/s390.tbl");

/// An ABI: its name in profiles, `seccomp_data.arch`, base of its numbers, column of its table,
/// whether arguments are 64 bits.
pub struct Abi {
    pub name: &'static str,
    pub arch: u32,
    pub base: u32,
    pub column: usize,
    pub wide: bool,
    /// The column with the sub-calls of socketcall and ipc, or 0.
    pub sub_calls: usize,
}

const fn abi(name: &'static str, arch: u32, base: u32, column: usize, wide: bool) -> Abi {
    Abi { name, arch, base, column, wide, sub_calls: 0 }
}

const fn multiplexed(name: &'static str, arch: u32, column: usize, wide: bool, sub_calls: usize) -> Abi {
    Abi { sub_calls, ..abi(name, arch, 0, column, wide) }
}

pub const X86_ABIS: [Abi; 3] = [
    abi("SCMP_ARCH_X86_64", 0xc000_003e, 0, 1, true),
    abi("SCMP_ARCH_X32", 0xc000_003e, 0x4000_0000, 3, false),
    multiplexed("SCMP_ARCH_X86", 0x4000_0003, 2, false, 4),
];
pub const ARM_ABIS: [Abi; 3] = [
    abi("SCMP_ARCH_AARCH64", 0xc000_00b7, 0, 1, true),
    abi("SCMP_ARCH_ARM", 0x4000_0028, 0, 2, false),
    abi("SCMP_ARCH_ARM", 0x4000_0028, 0x000f_0000, 3, false),
];
pub const RISCV_ABIS: [Abi; 1] = [abi("SCMP_ARCH_RISCV64", 0xc000_00f3, 0, 1, true)];
pub const LOONGARCH_ABIS: [Abi; 1] = [abi("SCMP_ARCH_LOONGARCH64", 0xc000_0102, 0, 2, true)];
pub const POWER_ABIS: [Abi; 1] = [multiplexed("SCMP_ARCH_PPC64LE", 0xc000_0015, 1, true, 2)];
pub const S390_ABIS: [Abi; 2] = [
    multiplexed("SCMP_ARCH_S390X", 0x8000_0016, 1, true, 3),
    multiplexed("SCMP_ARCH_S390", 0x0000_0016, 2, false, 3),
];

/// A machine's table, read anew.
pub struct Machine {
    pub abis: &'static [Abi],
    rows: HashMap<&'static str, Vec<Option<u32>>>,
}

impl Machine {
    pub fn new(table: &'static str, abis: &'static [Abi]) -> Machine {
        let row = |line: &'static str| {
            let words: Vec<&str> = line.split(' ').collect();
            (words[0], words.iter().map(|word| word.parse().ok()).collect())
        };
        Machine { abis, rows: table.lines().skip(1).map(row).collect() }
    }

    pub fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<&str> = self.rows.keys().copied().collect();
        names.sort_unstable();
        names
    }

    /// The number of a call, with the base of its ABI.
    pub fn number(&self, abi: &Abi, name: &str) -> Option<u32> {
        self.rows.get(name)?[abi.column].map(|number| abi.base + number)
    }

    /// The condition on a multiplexer's first argument: (its number, mask, value).
    fn sub_call(&self, abi: &Abi, name: &str) -> Option<(u32, u64, u64)> {
        match self.rows.get(name)?.get(abi.sub_calls).copied().flatten()? {
            sub @ 100.. => Some((117, 0xffff, u64::from(sub - 100))),
            sub => Some((102, 0xffff_ffff, u64::from(sub))),
        }
    }
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

fn array<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// `SECCOMP_RET_*` of an action.
pub fn action(name: &str, errno: Option<u64>) -> u32 {
    let data = errno.unwrap_or(1) as u32;
    match name {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => 0,
        "SCMP_ACT_KILL_PROCESS" => 0x8000_0000,
        "SCMP_ACT_TRAP" => 0x0003_0000,
        "SCMP_ACT_ERRNO" => 0x0005_0000 | data,
        "SCMP_ACT_TRACE" => 0x7ff0_0000 | data,
        "SCMP_ACT_NOTIFY" => 0x7fc0_0000,
        "SCMP_ACT_LOG" => 0x7ffc_0000,
        "SCMP_ACT_ALLOW" => 0x7fff_0000,
        other => panic!("{other}"),
    }
}

/// A rule, as one call of one ABI meets it.
struct Rule {
    verdict: u32,
    args: Vec<Arg>,
    /// An argument comes twice: the conditions are alternatives.
    any: bool,
    /// It is about a sub-call, and its conditions on arguments after the first are lost.
    is_blurred: bool,
}

struct Arg {
    index: usize,
    op: String,
    value: u64,
    two: u64,
}

impl Arg {
    /// No bit is compared.
    fn is_void(&self, wide: bool) -> bool {
        self.op == "SCMP_CMP_MASKED_EQ" && (self.value == 0 || !wide && self.value as u32 == 0)
    }

    fn holds(&self, data: &Data, wide: bool) -> bool {
        let cut = |value: u64| if wide { value } else { value & 0xffff_ffff };
        let (left, right) = (cut(data.args[self.index]), cut(self.value));
        match self.op.as_str() {
            "SCMP_CMP_NE" => left != right,
            "SCMP_CMP_LT" => left < right,
            "SCMP_CMP_LE" => left <= right,
            "SCMP_CMP_EQ" => left == right,
            "SCMP_CMP_GE" => left >= right,
            "SCMP_CMP_GT" => left > right,
            "SCMP_CMP_MASKED_EQ" => left & right == cut(self.two) & right,
            other => panic!("{other}"),
        }
    }
}

impl Rule {
    /// It holds whatever the arguments are.
    fn is_unconditional(&self, wide: bool) -> bool {
        let mut void = self.args.iter().map(|arg| arg.is_void(wide));
        if self.any { void.any(|void| void) } else { void.all(|void| void) }
    }
}

/// A profile on one machine.
pub struct Referee<'m> {
    machine: &'m Machine,
    default: u32,
    arches: Vec<String>,
    /// The rules of each call, in order, by ABI and number.
    rules: HashMap<(usize, u32), Vec<Rule>>,
    /// The largest number that is named in each ABI.
    largest: Vec<Option<u32>>,
}

impl Referee<'_> {
    pub fn new<'m>(machine: &'m Machine, profile: &Value) -> Referee<'m> {
        let default = action(text(profile, "defaultAction"), profile["defaultErrnoRet"].as_u64());
        let arches = array(profile, "architectures").iter().filter_map(Value::as_str).map(str::to_owned);
        let mut referee = Referee {
            machine,
            default,
            arches: arches.collect(),
            rules: HashMap::new(),
            largest: vec![None; machine.abis.len()],
        };
        for rule in array(profile, "syscalls") {
            let verdict = action(text(rule, "action"), rule["errnoRet"].as_u64());
            for name in array(rule, "names").iter().filter_map(Value::as_str) {
                for i in 0..machine.abis.len() {
                    referee.add(i, name, verdict, array(rule, "args"));
                }
            }
        }
        referee
    }

    fn add(&mut self, abi: usize, name: &str, verdict: u32, args: &[Value]) {
        let args: Vec<Arg> = args
            .iter()
            .map(|arg| Arg {
                index: arg["index"].as_u64().expect("index") as usize,
                op: text(arg, "op").to_owned(),
                value: arg["value"].as_u64().expect("value"),
                two: arg["valueTwo"].as_u64().unwrap_or(0),
            })
            .collect();
        let any = args.iter().any(|a| args.iter().filter(|b| a.index == b.index).count() > 1);
        let direct = self.machine.number(&self.machine.abis[abi], name);
        let sub_call = self.machine.sub_call(&self.machine.abis[abi], name).map(|(number, mask, value)| {
            let op = "SCMP_CMP_MASKED_EQ".to_owned();
            let is_blurred = args.iter().any(|arg| arg.index > 0);
            let args = vec![Arg { index: 0, op, value: mask, two: value }];
            (number, Rule { verdict, args, any: false, is_blurred })
        });
        for (number, rule) in direct
            .map(|number| (number, Rule { verdict, args, any, is_blurred: false }))
            .into_iter()
            .chain(sub_call)
        {
            self.largest[abi] = self.largest[abi].max(Some(number));
            self.rules.entry((abi, number)).or_default().push(rule);
        }
    }

    fn lists(&self, abi: &Abi) -> bool {
        abi.name == self.machine.abis[0].name || self.arches.iter().any(|arch| arch == abi.name)
    }

    /// The ABI that a call comes by: the one with the highest base that is not above its number. -1
    /// is nobody's.
    fn abi(&self, data: &Data) -> Option<usize> {
        let of_arch = |i: &usize| {
            let abi = &self.machine.abis[*i];
            abi.arch == data.arch && abi.base <= data.nr && (data.nr != u32::MAX || self.lists(abi))
        };
        (0..self.machine.abis.len()).filter(of_arch).max_by_key(|i| self.machine.abis[*i].base)
    }

    /// Whether the call is newer than the profile.
    pub fn is_newer(&self, data: &Data) -> bool {
        let passes = matches!(self.default & 0xffff_0000, 0x7fff_0000 | 0x7ffc_0000 | 0x7ff0_0000);
        self.abi(data).is_some_and(|abi| self.largest[abi].is_some_and(|largest| data.nr > largest))
            && !passes
    }

    /// The rules about a call that say anything.
    fn rules(&self, data: &Data) -> (bool, impl Iterator<Item = &Rule> + Clone) {
        let abi = self.abi(data).unwrap_or_default();
        let rules = self.rules.get(&(abi, data.nr)).map_or(&[][..], Vec::as_slice);
        (self.machine.abis[abi].wide, rules.iter().filter(|rule| rule.verdict != self.default))
    }

    /// Whether libseccomp is known to be right about a call. It compares the pointer that
    /// socketcall(2) gets with what a profile says of an argument, and where several rules look at
    /// a call's arguments its search does not go back from one that holds in part to the next.
    pub fn is_clear(&self, data: &Data) -> bool {
        let (wide, mut rules) = self.rules(data);
        let mut checks = rules.clone().filter(|rule| !rule.is_unconditional(wide));
        let one = checks.next().is_none_or(|rule| !rule.any && !rule.is_blurred) && checks.next().is_none();
        one || rules.any(|rule| rule.is_unconditional(wide))
    }

    /// What becomes of a call.
    pub fn verdict(&self, data: &Data) -> u32 {
        const ENOSYS: u32 = 0x0005_0000 | 38;
        if !self.abi(data).is_some_and(|abi| self.lists(&self.machine.abis[abi])) {
            return 0;
        }
        if self.is_newer(data) {
            return ENOSYS;
        }
        let (wide, rules) = self.rules(data);
        let always = rules.clone().find(|rule| rule.is_unconditional(wide));
        let mut checked = rules.filter(|rule| {
            let mut args = rule.args.iter().map(|arg| arg.holds(data, wide));
            if rule.any { args.any(|holds| holds) } else { args.all(|holds| holds) }
        });
        always.or_else(|| checked.next()).map_or(self.default, |rule| rule.verdict)
    }
}
