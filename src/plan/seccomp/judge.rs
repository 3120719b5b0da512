//! What a filter says of one call, and why.

use super::machine::{NATIVE, Space};
use super::{Insn, compile};
use crate::config::Invalid;
use crate::config::seccomp::{Action, Condition, Operator, Seccomp, Watch};

/// `struct seccomp_data`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Call {
    pub number: u32,
    /// `AUDIT_ARCH_*`
    pub arch: u32,
    pub instruction: u64,
    pub args: [u64; 6],
}

impl Call {
    /// Its name on this machine.
    pub fn name(&self) -> Option<&'static str> {
        NATIVE.name(self.arch, self.number)
    }

    fn word(&self, offset: u32) -> u32 {
        let mut data = [0; 64];
        data[..4].copy_from_slice(&self.number.to_ne_bytes());
        data[4..8].copy_from_slice(&self.arch.to_ne_bytes());
        data[8..16].copy_from_slice(&self.instruction.to_ne_bytes());
        for (to, arg) in data[16..].chunks_exact_mut(8).zip(self.args) {
            to.copy_from_slice(&arg.to_ne_bytes());
        }
        let word = data.get(offset as usize..).and_then(<[u8]>::first_chunk::<4>);
        word.map_or(0, |word| u32::from_ne_bytes(*word))
    }
}

/// A profile, with the filter that it is without a listener.
#[derive(Debug)]
pub struct Judge {
    profile: Seccomp,
    insns: Vec<Insn>,
}

/// Why a call meets an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// `linux.seccomp.syscalls[i]`.
    Rule(usize),
    /// `linux.seccomp.defaultAction`, as no rule names it.
    Default,
    /// The same, as its arguments are not those of this rule.
    OtherArguments(usize),
    /// It is newer than all calls that the profile names.
    Newer,
}

impl Judge {
    /// Of a profile, whatever is watched.
    pub fn new(profile: &Seccomp) -> Result<Judge, Invalid> {
        let profile = Seccomp { watch: Watch::Nothing, ..profile.clone() };
        let insns = compile(&profile)?.insns;
        Ok(Judge { profile, insns })
    }

    /// What becomes of the call.
    pub fn action(&self, call: &Call) -> Action {
        let (mut at, mut accumulator) = (0, 0);
        while let Some(&Insn { code, jt, jf, k }) = self.insns.get(at) {
            at += 1;
            let holds = match code {
                0x20 => {
                    accumulator = call.word(k);
                    continue;
                }
                0x54 => {
                    accumulator &= k;
                    continue;
                }
                0x05 => {
                    at += k as usize;
                    continue;
                }
                0x15 => accumulator == k,
                0x25 => accumulator > k,
                0x35 => accumulator >= k,
                0x45 => accumulator & k != 0,
                _ => return Action(k),
            };
            at += usize::from(if holds { jt } else { jf });
        }
        Action::KILL_THREAD
    }

    /// Why the call meets `action`.
    pub fn cause(&self, call: &Call, action: Action) -> Cause {
        let space = NATIVE.space(call.arch, call.number);
        let name = call.name().unwrap_or_default();
        let rules = || {
            let rules = self.profile.rules.iter().enumerate();
            rules.filter(|(_, rule)| rule.names.iter().any(|other| other == name))
        };
        let fits = |case: &Vec<Condition>| case.iter().all(|condition| holds(condition, call, space));
        if let Some((i, _)) = rules().find(|(_, rule)| rule.action == action && rule.cases.iter().any(fits)) {
            return Cause::Rule(i);
        }
        if action != self.profile.default {
            return Cause::Newer;
        }
        let other = rules().find(|(_, rule)| rule.action.lets_calls_through());
        other.map_or(Cause::Default, |(i, _)| Cause::OtherArguments(i))
    }
}

fn holds(condition: &Condition, call: &Call, space: Option<&Space>) -> bool {
    let is_narrow = space.is_some_and(|space| space.argument.high.is_none());
    let narrowed = |value: u64| if is_narrow { value & u64::from(u32::MAX) } else { value };
    let argument = narrowed(call.args.get(condition.arg as usize).copied().unwrap_or_default());
    let value = narrowed(condition.value);
    match condition.op {
        Operator::Ne => argument != value,
        Operator::Lt => argument < value,
        Operator::Le => argument <= value,
        Operator::Eq => argument == value,
        Operator::Ge => argument >= value,
        Operator::Gt => argument > value,
        Operator::MaskedEq(mask) => argument & narrowed(mask) == value,
    }
}
