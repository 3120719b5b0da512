//! `linux.seccomp`, checked and resolved: runtime-spec config-linux.md#seccomp, seccomp(2).

use std::path::PathBuf;

use oci_spec::runtime as oci;

use super::Invalid;

/// A profile: what becomes of each system call, and who is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seccomp {
    /// For a call that no rule names.
    pub default: Action,
    /// The architectures that the profile lists. The native one always has a filter, listed or not
    /// (as in libseccomp); the ones that no machine of ours runs are dropped: the kernel never
    /// reports them.
    pub arches: Vec<Arch>,
    /// `SECCOMP_FILTER_FLAG_*` of seccomp(2), without the one for a listener.
    pub flags: u32,
    /// The agent that answers [`Action::NOTIFY`]; `None`: no rule asks for one.
    pub listener: Option<Listener>,
    /// In the order of the profile.
    pub rules: Vec<Rule>,
    /// What becomes of names that no machine has a call of.
    pub unknown: Unknown,
    /// What this program is told of; the profile itself never asks for that.
    pub watch: Watch,
}

/// What becomes of names in a profile that no machine has a call of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// They are skipped, as the specification allows.
    Skipped,
    Refused,
}

impl Seccomp {
    /// A filter that refuses nothing, for a container that has none.
    pub fn open() -> Seccomp {
        Seccomp {
            default: Action::ALLOW,
            arches: Arch::ALL.to_vec(),
            flags: FLAG_SPEC_ALLOW,
            listener: None,
            rules: Vec::new(),
            unknown: Unknown::Skipped,
            watch: Watch::Nothing,
        }
    }
}

/// What a listener of this program's own is told of, and answers as the filter would have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Watch {
    #[default]
    Nothing,
    /// Calls that are answered with an errno.
    Refusals,
    /// These, and calls that are made.
    Calls,
}

/// Where the notification fd goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The agent's UNIX domain socket, on the host.
    pub path: PathBuf,
    /// Passed to the agent as it is; empty where the profile has none.
    pub metadata: String,
}

/// `linux.seccomp.syscalls[]`: these calls, in these cases, meet this action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Names of system calls, known or not.
    pub names: Vec<String>,
    pub action: Action,
    /// The cases, of which one must hold; in a case all conditions must. One empty case: always.
    pub cases: Vec<Vec<Condition>>,
}

/// A comparison of one argument of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// Which argument, 0 to 5.
    pub arg: u32,
    /// The argument stands on the left.
    pub op: Operator,
    /// What it is compared with.
    pub value: u64,
}

/// How a condition compares, unsigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `SCMP_CMP_NE`
    Ne,
    /// `SCMP_CMP_LT`
    Lt,
    /// `SCMP_CMP_LE`
    Le,
    /// `SCMP_CMP_EQ`
    Eq,
    /// `SCMP_CMP_GE`
    Ge,
    /// `SCMP_CMP_GT`
    Gt,
    /// `SCMP_CMP_MASKED_EQ`: the argument's bits under this mask equal the value, which has no
    /// other bits.
    MaskedEq(u64),
}

/// A filter's return value, `SECCOMP_RET_*` with its 16 bits of data: seccomp(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action(pub u32);

impl Action {
    /// `SCMP_ACT_KILL`, `SCMP_ACT_KILL_THREAD`
    pub const KILL_THREAD: Action = Action(0);
    /// `SCMP_ACT_KILL_PROCESS`
    pub const KILL_PROCESS: Action = Action(0x8000_0000);
    /// `SCMP_ACT_TRAP`: SIGSYS
    pub const TRAP: Action = Action(0x0003_0000);
    /// `SCMP_ACT_NOTIFY`
    pub const NOTIFY: Action = Action(0x7fc0_0000);
    /// `SCMP_ACT_LOG`
    pub const LOG: Action = Action(0x7ffc_0000);
    /// `SCMP_ACT_ALLOW`
    pub const ALLOW: Action = Action(0x7fff_0000);
    /// The same, to init alone, whatever is watched: the kernel does not look at the data.
    pub const PASS: Action = Action(0x7fff_0001);
    /// The call does not exist.
    pub const ENOSYS: Action = Action::errno(38);

    /// `SCMP_ACT_ERRNO`
    pub const fn errno(errno: u16) -> Action {
        Action(0x0005_0000 | errno as u32)
    }

    /// `SCMP_ACT_TRACE`, with the message for the tracer
    pub const fn trace(message: u16) -> Action {
        Action(0x7ff0_0000 | message as u32)
    }

    /// The errno that a call is answered with, where it is.
    pub const fn refusal(self) -> Option<u16> {
        if self.0 & 0xffff_0000 == Action::errno(0).0 { Some(self.0 as u16) } else { None }
    }

    /// Whether a call may go on, as far as the filter itself decides: allow, log, trace.
    pub const fn lets_calls_through(self) -> bool {
        matches!(Action(self.0 & 0xffff_0000), Action::ALLOW | Action::LOG | Action(0x7ff0_0000))
    }
}

/// An architecture that programs on a supported machine may be of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arch {
    /// `SCMP_ARCH_X86_64`
    X86_64,
    /// `SCMP_ARCH_X86`: i386 programs, and `int $0x80` from 64-bit ones
    X86,
    /// `SCMP_ARCH_X32`: x86-64 with 32-bit pointers
    X32,
    /// `SCMP_ARCH_AARCH64`
    Aarch64,
    /// `SCMP_ARCH_ARM`
    Arm,
    /// `SCMP_ARCH_RISCV64`
    Riscv64,
    /// `SCMP_ARCH_LOONGARCH64`
    Loongarch64,
    /// `SCMP_ARCH_PPC64LE`
    Ppc64le,
    /// `SCMP_ARCH_S390X`
    S390x,
    /// `SCMP_ARCH_S390`: 31-bit programs
    S390,
}

impl Arch {
    /// Its name in a profile.
    pub const fn name(self) -> &'static str {
        match self {
            Arch::X86_64 => "SCMP_ARCH_X86_64",
            Arch::X86 => "SCMP_ARCH_X86",
            Arch::X32 => "SCMP_ARCH_X32",
            Arch::Aarch64 => "SCMP_ARCH_AARCH64",
            Arch::Arm => "SCMP_ARCH_ARM",
            Arch::Riscv64 => "SCMP_ARCH_RISCV64",
            Arch::Loongarch64 => "SCMP_ARCH_LOONGARCH64",
            Arch::Ppc64le => "SCMP_ARCH_PPC64LE",
            Arch::S390x => "SCMP_ARCH_S390X",
            Arch::S390 => "SCMP_ARCH_S390",
        }
    }

    /// All.
    pub const ALL: [Arch; 10] = [
        Arch::X86_64,
        Arch::X86,
        Arch::X32,
        Arch::Aarch64,
        Arch::Arm,
        Arch::Riscv64,
        Arch::Loongarch64,
        Arch::Ppc64le,
        Arch::S390x,
        Arch::S390,
    ];
}

/// `SECCOMP_FILTER_FLAG_LOG`
pub const FLAG_LOG: u32 = 1 << 1;
/// `SECCOMP_FILTER_FLAG_SPEC_ALLOW`
pub const FLAG_SPEC_ALLOW: u32 = 1 << 2;
/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`
pub const FLAG_NEW_LISTENER: u32 = 1 << 3;
/// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`, Linux 5.19
pub const FLAG_WAIT_KILLABLE_RECV: u32 = 1 << 5;

/// The errno of an ERRNO action that names none: EPERM, by the specification.
const DEFAULT_ERRNO: u32 = 1;
/// The kernel caps a larger errno silently: `MAX_ERRNO`, include/linux/err.h.
const MAX_ERRNO: u16 = 4095;

/// Checks `linux.seccomp` and resolves it.
pub fn resolve(spec: &oci::LinuxSeccomp) -> Result<Seccomp, Invalid> {
    let default = action(spec.default_action(), spec.default_errno_ret(), "linux.seccomp.defaultErrnoRet")?;
    if default == Action::NOTIFY {
        // Refused as runc does: init could not reach execve, every call on the way would wait for
        // the agent.
        return Err(Invalid::new(
            "linux.seccomp.defaultAction",
            "SCMP_ACT_NOTIFY cannot be the default action",
        ));
    }
    let calls = spec.syscalls().as_deref().unwrap_or_default();
    let rules =
        calls.iter().enumerate().map(|(i, call)| rule(i, call)).collect::<Result<Vec<Rule>, Invalid>>()?;
    let listener = listener(spec, &rules)?;
    Ok(Seccomp {
        default,
        arches: spec.architectures().iter().flatten().copied().filter_map(arch).collect(),
        flags: flags(spec, listener.is_some()),
        listener,
        rules,
        unknown: Unknown::Skipped,
        watch: Watch::Nothing,
    })
}

/// The agent, if the profile needs one. A path that no rule needs is ignored, as the specification
/// says.
fn listener(spec: &oci::LinuxSeccomp, rules: &[Rule]) -> Result<Option<Listener>, Invalid> {
    let path = spec.listener_path().as_ref().filter(|path| !path.as_os_str().is_empty());
    let metadata = spec.listener_metadata().as_deref().unwrap_or_default();
    let notify = rules.iter().position(|rule| rule.action == Action::NOTIFY);
    match (path, notify) {
        (None, Some(i)) => Err(Invalid::new(
            "linux.seccomp.listenerPath",
            format!("missing, but syscalls[{i}].action is SCMP_ACT_NOTIFY"),
        )),
        (None, None) if !metadata.is_empty() => {
            Err(Invalid::new("linux.seccomp.listenerMetadata", "must not be set without listenerPath"))
        }
        (Some(path), Some(_)) => Ok(Some(Listener { path: path.clone(), metadata: metadata.to_owned() })),
        (_, None) => Ok(None),
    }
}

/// `flags` as seccomp(2) takes them.
fn flags(spec: &oci::LinuxSeccomp, has_listener: bool) -> u32 {
    let Some(flags) = spec.flags() else {
        // As in runc: without it every container pays for the speculative store bypass mitigation
        // before Linux 5.16.
        return FLAG_SPEC_ALLOW;
    };
    flags.iter().fold(0, |bits, flag| {
        bits | match flag {
            oci::LinuxSeccompFilterFlag::SeccompFilterFlagLog => FLAG_LOG,
            oci::LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => FLAG_SPEC_ALLOW,
            // Without a listener it says nothing, and the kernel answers EINVAL.
            oci::LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv if has_listener => {
                FLAG_WAIT_KILLABLE_RECV
            }
            oci::LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => 0,
            // The process that loads the filter has one thread, and the kernel refuses it beside a
            // listener.
            oci::LinuxSeccompFilterFlag::SeccompFilterFlagTsync => 0,
        }
    })
}

/// `linux.seccomp.syscalls[i]`.
fn rule(i: usize, call: &oci::LinuxSyscall) -> Result<Rule, Invalid> {
    let at = |field: &str| format!("linux.seccomp.syscalls[{i}].{field}");
    let names = call.names();
    if names.is_empty() {
        return Err(Invalid::new(at("names"), "must name at least one system call"));
    }
    if let Some(j) = names.iter().position(String::is_empty) {
        return Err(Invalid::new(at(&format!("names[{j}]")), "must not be empty"));
    }
    let action = action(call.action(), call.errno_ret(), &at("errnoRet"))?;
    if action == Action::NOTIFY
        && let Some(j) = names.iter().position(|name| name == "write")
    {
        // As in runc: init writes after the filter is loaded, and the agent may not have its fd by
        // then.
        return Err(Invalid::new(
            at(&format!("names[{j}]")),
            "SCMP_ACT_NOTIFY cannot be used for the write syscall",
        ));
    }
    let args = call.args().as_deref().unwrap_or_default();
    let conditions = args
        .iter()
        .enumerate()
        .map(|(j, arg)| {
            condition(arg).map_err(|reason| Invalid::new(at(&format!("args[{j}].index")), reason))
        })
        .collect::<Result<Vec<Condition>, Invalid>>()?;
    Ok(Rule { names: names.clone(), action, cases: cases(conditions) })
}

/// The specification ands the conditions of a rule, but libseccomp compares an argument at most
/// once in a rule. What runc and crun made of that is what profiles are written for: an argument
/// that comes twice makes each condition a case of its own.
fn cases(conditions: Vec<Condition>) -> Vec<Vec<Condition>> {
    let repeated = (0..6).any(|arg| conditions.iter().filter(|condition| condition.arg == arg).count() > 1);
    if repeated {
        conditions.into_iter().map(|condition| vec![condition]).collect()
    } else {
        vec![conditions]
    }
}

/// `linux.seccomp.syscalls[].args[]`; the error is the reason why its index is wrong.
fn condition(arg: &oci::LinuxSeccompArg) -> Result<Condition, String> {
    let index = u32::try_from(arg.index()).ok().filter(|index| *index < 6);
    let index = index.ok_or_else(|| format!("{} is not an argument: calls have 0 to 5", arg.index()))?;
    let value = arg.value();
    let (op, value) = match arg.op() {
        oci::LinuxSeccompOperator::ScmpCmpNe => (Operator::Ne, value),
        oci::LinuxSeccompOperator::ScmpCmpLt => (Operator::Lt, value),
        oci::LinuxSeccompOperator::ScmpCmpLe => (Operator::Le, value),
        oci::LinuxSeccompOperator::ScmpCmpEq => (Operator::Eq, value),
        oci::LinuxSeccompOperator::ScmpCmpGe => (Operator::Ge, value),
        oci::LinuxSeccompOperator::ScmpCmpGt => (Operator::Gt, value),
        // `value` is the mask here. libseccomp masks both sides, so a stray bit in valueTwo does
        // not turn the rule off.
        oci::LinuxSeccompOperator::ScmpCmpMaskedEq => {
            (Operator::MaskedEq(value), arg.value_two().unwrap_or(0) & value)
        }
    };
    Ok(Condition { arg: index, op, value })
}

/// An action with its errno or message; only two actions have one.
fn action(
    action: oci::LinuxSeccompAction,
    errno_ret: Option<u32>,
    errno_field: &str,
) -> Result<Action, Invalid> {
    let data = |max: u16| {
        let value = errno_ret.unwrap_or(DEFAULT_ERRNO);
        u16::try_from(value)
            .ok()
            .filter(|value| *value <= max)
            .ok_or_else(|| Invalid::new(errno_field, format!("{value} is not between 0 and {max}")))
    };
    let plain = match action {
        oci::LinuxSeccompAction::ScmpActErrno => return Ok(Action::errno(data(MAX_ERRNO)?)),
        oci::LinuxSeccompAction::ScmpActTrace => return Ok(Action::trace(data(u16::MAX)?)),
        oci::LinuxSeccompAction::ScmpActKill | oci::LinuxSeccompAction::ScmpActKillThread => {
            Action::KILL_THREAD
        }
        oci::LinuxSeccompAction::ScmpActKillProcess => Action::KILL_PROCESS,
        oci::LinuxSeccompAction::ScmpActTrap => Action::TRAP,
        oci::LinuxSeccompAction::ScmpActNotify => Action::NOTIFY,
        oci::LinuxSeccompAction::ScmpActLog => Action::LOG,
        oci::LinuxSeccompAction::ScmpActAllow => Action::ALLOW,
    };
    match errno_ret {
        None => Ok(plain),
        Some(errno) => Err(Invalid::new(errno_field, format!("{errno}, but {action} returns no errno"))),
    }
}

/// `None` for an architecture that no supported machine runs, and for `SCMP_ARCH_NATIVE`, which
/// needs no listing.
fn arch(arch: oci::Arch) -> Option<Arch> {
    match arch {
        oci::Arch::ScmpArchX86_64 => Some(Arch::X86_64),
        oci::Arch::ScmpArchX86 => Some(Arch::X86),
        oci::Arch::ScmpArchX32 => Some(Arch::X32),
        oci::Arch::ScmpArchAarch64 => Some(Arch::Aarch64),
        oci::Arch::ScmpArchArm => Some(Arch::Arm),
        oci::Arch::ScmpArchRiscv64 => Some(Arch::Riscv64),
        oci::Arch::ScmpArchLoongarch64 => Some(Arch::Loongarch64),
        oci::Arch::ScmpArchPpc64le => Some(Arch::Ppc64le),
        oci::Arch::ScmpArchS390x => Some(Arch::S390x),
        oci::Arch::ScmpArchS390 => Some(Arch::S390),
        _ => None,
    }
}
