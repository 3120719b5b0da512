//! What a profile says about each call number of an ABI.

use std::borrow::Cow;

use super::machine::{Argument, Machine, Space};
use crate::config::seccomp::{Action, Condition, Operator, Seccomp};

/// A profile as one ABI sees it.
#[derive(Debug)]
pub(super) struct Verdicts<'p> {
    pub(super) space: &'static Space,
    /// By number, without the space's base, up to the largest that the profile names.
    pub(super) calls: Vec<Verdict>,
    checks: Vec<Check<'p>>,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The profile does not name it: its default action.
    Unnamed,
    /// The profile gives it the default action.
    Default,
    Action(Action),
    /// It depends on the arguments: [`Verdicts::checks`].
    Checks,
}

/// A rule for one call that looks at its arguments.
#[derive(Debug)]
pub(super) struct Check<'p> {
    number: u16,
    /// All must hold.
    pub(super) conditions: Cow<'p, [Condition]>,
    pub(super) action: Action,
}

/// The verdicts of `profile` for each space of `machine`, in the order of its entries.
pub(super) fn of<'p>(machine: &Machine, profile: &'p Seccomp) -> Vec<Verdicts<'p>> {
    let spaces = machine.entries.iter().flat_map(|entry| entry.spaces);
    let mut verdicts: Vec<Verdicts> =
        spaces.map(|space| Verdicts { space, calls: Vec::with_capacity(512), checks: Vec::new() }).collect();
    for rule in &profile.rules {
        for call in rule.names.iter().filter_map(|name| machine.call(name)) {
            for space in &mut verdicts {
                if let Some(number) = call.number(space.space.column) {
                    for case in &rule.cases {
                        space.add(number, Cow::Borrowed(case), rule.action, profile.default);
                    }
                }
                if let Some(sub_call) = space.space.sub_calls.and_then(|column| call.number(column)) {
                    let (number, condition) = multiplexed(sub_call, space.space.argument);
                    space.add(number, Cow::Owned(vec![condition]), rule.action, profile.default);
                }
            }
        }
    }
    for space in &mut verdicts {
        space.checks.sort_by_key(|check| check.number);
    }
    verdicts
}

/// The socketcall(2) and ipc(2) of i386, POWER and s390 make other calls, whose arguments lie in
/// memory where no filter can look: a rule for such a call holds for the sub-call whatever its
/// arguments are.
fn multiplexed(sub_call: u16, argument: Argument) -> (u16, Condition) {
    const SOCKETCALL: u16 = 102;
    const IPC: u16 = 117;
    match sub_call.checked_sub(100) {
        None if argument.high.is_none() => {
            (SOCKETCALL, Condition { arg: 0, op: Operator::Eq, value: sub_call.into() })
        }
        // The kernel takes an int: what the upper half holds finds the same sub-call.
        None => (
            SOCKETCALL,
            Condition { arg: 0, op: Operator::MaskedEq(u32::MAX.into()), value: sub_call.into() },
        ),
        // The upper half of ipc's selector is a version, which the kernel does not need to find the
        // sub-call.
        Some(call) => (IPC, Condition { arg: 0, op: Operator::MaskedEq(0xffff), value: call.into() }),
    }
}

impl Verdicts<'_> {
    /// The checks of a call, in the order in which they are tried.
    pub(super) fn checks(&self, number: u16) -> &[Check<'_>] {
        let start = self.checks.partition_point(|check| check.number < number);
        let end = self.checks.partition_point(|check| check.number <= number);
        &self.checks[start..end]
    }
}

impl<'p> Verdicts<'p> {
    /// Adds a rule for a call as libseccomp does: the first rule without conditions beats all
    /// others; a rule with the profile's default action says nothing; of the rules with conditions,
    /// tried where no other holds, the first counts.
    fn add(&mut self, number: u16, conditions: Cow<'p, [Condition]>, action: Action, default: Action) {
        let argument = self.space.argument;
        let index = usize::from(number);
        if index >= self.calls.len() {
            self.calls.resize(index + 1, Verdict::Unnamed);
        }
        let call = &mut self.calls[index];
        match call {
            Verdict::Action(_) => {}
            Verdict::Unnamed if action == default => *call = Verdict::Default,
            _ if action == default => {}
            _ if conditions.iter().all(|condition| always_holds(condition, argument)) => {
                *call = Verdict::Action(action);
            }
            _ => {
                *call = Verdict::Checks;
                let known = |check: &Check| check.number == number && check.conditions == conditions;
                if !self.checks.iter().any(known) {
                    self.checks.push(Check { number, conditions, action });
                }
            }
        }
    }
}

/// Whether a condition compares nothing, as the upper half of a mask on a 32-bit ABI.
fn always_holds(condition: &Condition, argument: Argument) -> bool {
    match condition.op {
        Operator::MaskedEq(mask) if argument.high.is_none() => mask as u32 == 0,
        Operator::MaskedEq(mask) => mask == 0,
        _ => false,
    }
}
