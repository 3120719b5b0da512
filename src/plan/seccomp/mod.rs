//! A seccomp profile compiled to the classic BPF program that seccomp(2) loads.
//!
//! For every ABI of the machine each call number gets a verdict. Neighbours with the same verdict
//! become a segment, and the segments become the leaves of a search tree. The tree only loads the
//! architecture and the number and only compares: that much the kernel can evaluate beforehand.
//! Since Linux 5.11 it answers calls that are always allowed from a bitmap, without running the
//! filter. What runs is the way to an argument check or to a refusal, so the weights favour checks.
//!
//! The verdicts are libseccomp's, whose rules profiles are written for; tests/seccomp.rs compares
//! them.

mod arguments;
pub mod judge;
pub mod machine;
pub mod matters;
mod program;
pub mod touches;
mod tree;
mod verdicts;
pub mod watch;

use crate::config::Invalid;
use crate::config::seccomp::{Action, FLAG_NEW_LISTENER, Listener, Rule, Seccomp, Unknown, Watch};
use machine::{Machine, NATIVE, Space};
use program::{Program, Test};

/// One instruction, laid out as `struct sock_filter`: linux/filter.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Insn {
    pub code: u16,
    /// Instructions to skip if a test holds
    pub jt: u8,
    /// Instructions to skip if it does not
    pub jf: u8,
    pub k: u32,
}

/// What seccomp(2) is called with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    pub insns: Vec<Insn>,
    /// `SECCOMP_FILTER_FLAG_*`
    pub flags: u32,
    /// Who gets the fd that `SECCOMP_FILTER_FLAG_NEW_LISTENER` returns.
    pub listener: Option<Listener>,
    /// What becomes of sendmsg(2), by which init hands that fd over.
    pub sendmsg: Sendmsg,
}

/// Whether init may send a message when the filter is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sendmsg {
    /// As any.
    Passes,
    /// One that is marked; all other calls wait for the listener, so nothing else may come before.
    PassesMarked,
    /// Perhaps not.
    Refused,
}

/// `BPF_MAXINSNS`, linux/bpf_common.h.
const MAX_INSNS: usize = 4096;
/// Offset of `seccomp_data.nr`.
const NR: u32 = 0;
/// Offset of `seccomp_data.arch`.
const ARCH: u32 = 4;

/// Compiles a profile for this machine.
pub fn compile(profile: &Seccomp) -> Result<Filter, Invalid> {
    compile_for(NATIVE, profile)
}

/// Compiles a profile for any machine that has a table.
pub fn compile_for(machine: &Machine, profile: &Seccomp) -> Result<Filter, Invalid> {
    if profile.unknown == Unknown::Refused {
        refuse_unknown(profile)?;
    }
    let profile = &*watch::prepared(profile)?;
    let native = machine.entries[0].spaces[0].arch;
    let listed = |space: &Space| space.arch == native || profile.arches.contains(&space.arch);
    let mut verdicts = verdicts::of(machine, profile);
    let mut program = Program::with_capacity(512, profile.watch);
    // Whatever the profile says, a call by a way that it does not list ends the thread
    // (SCMP_FLTATR_ACT_BADARCH).
    let mut head = program.ret(Action::KILL_THREAD);
    for entry in machine.entries.iter().rev() {
        let spaces = verdicts.split_off(verdicts.len() - entry.spaces.len());
        if entry.spaces.iter().any(listed) {
            let root = tree::write(&mut program, &spaces, listed, profile.default);
            let number = program.load(NR, root);
            head = program.branch(Test::Equal, entry.audit_arch, number, head);
        }
    }
    program.load(ARCH, head);
    if program.len() > MAX_INSNS {
        let reason = format!("compiles to {} instructions, the kernel takes {MAX_INSNS}", program.len());
        return Err(Invalid::new("linux.seccomp.syscalls", reason));
    }
    let is_watched = profile.watch != Watch::Nothing;
    let listening = if is_watched || profile.listener.is_some() { FLAG_NEW_LISTENER } else { 0 };
    let sendmsg = match profile.watch {
        Watch::Calls => Sendmsg::PassesMarked,
        _ if passes(profile, "sendmsg") => Sendmsg::Passes,
        _ => Sendmsg::Refused,
    };
    Ok(Filter {
        insns: program.finish(),
        flags: profile.flags | listening,
        listener: profile.listener.clone(),
        sendmsg,
    })
}

/// Whether a call is allowed whatever its arguments.
fn passes(profile: &Seccomp, name: &str) -> bool {
    let named = |rule: &&Rule| rule.names.iter().any(|n| n == name);
    let mut rules = profile.rules.iter().filter(named).peekable();
    if rules.peek().is_none() {
        return profile.default == Action::ALLOW;
    }
    rules.all(|rule| rule.action == Action::ALLOW && rule.cases.iter().all(Vec::is_empty))
}

/// The names in a profile that this machine has no call for: skipped, as the specification allows,
/// and worth a debug line.
pub fn unknown(profile: &Seccomp) -> Vec<&str> {
    let names = profile.rules.iter().flat_map(|rule| &rule.names);
    names.map(String::as_str).filter(|name| NATIVE.call(name).is_none()).collect()
}

/// An error if a name is of no call of any machine: the first, with its field, and all others. A
/// profile for several machines has names that this one has no call of.
fn refuse_unknown(profile: &Seccomp) -> Result<(), Invalid> {
    let mut unknown = profile.rules.iter().enumerate().flat_map(|(i, rule)| {
        let names = rule.names.iter().enumerate().filter(|(_, name)| !machine::is_known(name));
        names.map(move |(j, name)| (format!("syscalls[{i}].names[{j}]"), name))
    });
    let Some((field, name)) = unknown.next() else { return Ok(()) };
    let others: String = unknown.map(|(field, name)| format!(", {field} {name:?}")).collect();
    let reason = format!("{name:?} is no system call of any machine{others}");
    Err(Invalid::new(format!("linux.seccomp.{field}"), reason))
}
