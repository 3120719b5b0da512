//! The part of a filter that looks at a call's arguments.

use super::machine::Argument;
use super::program::{Label, Program, Test};
use super::verdicts::Check;
use crate::config::seccomp::{Condition, Operator};

/// Offset of `seccomp_data.args`.
const ARGS: u32 = 16;

/// The action of the first of `checks` whose conditions all hold, or `otherwise`.
pub(super) fn write(program: &mut Program, argument: Argument, checks: &[Check], otherwise: Label) -> Label {
    let mut next = otherwise;
    let mut rest = checks;
    while let Some((check, before)) = rest.split_last() {
        // A run of checks that each compare one argument with values of the same upper half loads
        // it once.
        let run = before.iter().rev().take_while(|other| share_load(argument, other, check)).count();
        let (before, checks) = rest.split_at(before.len() - run);
        next = if let [condition] = *check.conditions
            && comparable(&condition)
        {
            let tests: Vec<(Condition, Label)> =
                checks.iter().map(|check| (check.conditions[0], program.ret(check.action))).collect();
            compare(program, argument, &tests, next)
        } else {
            let action = program.ret(check.action);
            all(program, argument, &check.conditions, action, next)
        };
        rest = before;
    }
    next
}

/// Whether two checks can be tests of the same loaded halves of an argument.
fn share_load(argument: Argument, a: &Check, b: &Check) -> bool {
    match (&*a.conditions, &*b.conditions) {
        ([a], [b]) => {
            comparable(a)
                && comparable(b)
                && a.arg == b.arg
                && (argument.high.is_none() || a.value >> 32 == b.value >> 32)
        }
        _ => false,
    }
}

fn comparable(condition: &Condition) -> bool {
    !matches!(condition.op, Operator::MaskedEq(_))
}

/// `yes` if all conditions hold, or else `no`.
fn all(program: &mut Program, argument: Argument, conditions: &[Condition], yes: Label, no: Label) -> Label {
    conditions.iter().rev().fold(yes, |yes, condition| match condition.op {
        Operator::MaskedEq(mask) => masked(program, argument, condition, mask, yes, no),
        _ => compare(program, argument, &[(*condition, yes)], no),
    })
}

/// The label of the first test that holds, or `otherwise`. All are of one argument and, where it
/// counts, one upper half.
fn compare(
    program: &mut Program,
    argument: Argument,
    tests: &[(Condition, Label)],
    otherwise: Label,
) -> Label {
    let (arg, value) = (tests[0].0.arg, tests[0].0.value);
    let low = tests.iter().rev().fold(otherwise, |no, (condition, yes)| {
        let (yes, k) = (*yes, condition.value as u32);
        match condition.op {
            Operator::Eq => program.branch(Test::Equal, k, yes, no),
            Operator::Ne => program.branch(Test::Equal, k, no, yes),
            Operator::Gt => program.branch(Test::Greater, k, yes, no),
            Operator::Le => program.branch(Test::Greater, k, no, yes),
            Operator::Ge => program.branch(Test::GreaterOrEqual, k, yes, no),
            Operator::Lt | Operator::MaskedEq(_) => program.branch(Test::GreaterOrEqual, k, no, yes),
        }
    });
    let at = ARGS + 8 * arg;
    let low = program.load(at + argument.low, low);
    let Some(high_half) = argument.high else { return low };
    let high = (value >> 32) as u32;
    let first = |ops: [Operator; 3]| {
        tests.iter().find(|(condition, _)| ops.contains(&condition.op)).map_or(otherwise, |(_, label)| *label)
    };
    let above = first([Operator::Ne, Operator::Gt, Operator::Ge]);
    let below = first([Operator::Ne, Operator::Lt, Operator::Le]);
    // No upper half lies below zero.
    let differs = if high == 0 { above } else { program.branch(Test::Greater, high, above, below) };
    let equal = program.branch(Test::Equal, high, low, differs);
    program.load(at + high_half, equal)
}

/// `yes` if the bits of the argument under `mask` equal the condition's value, or else `no`.
fn masked(
    program: &mut Program,
    argument: Argument,
    condition: &Condition,
    mask: u64,
    yes: Label,
    no: Label,
) -> Label {
    let Condition { arg, value, .. } = *condition;
    let at = ARGS + 8 * arg;
    let low = masked_half(program, at + argument.low, mask as u32, value as u32, yes, no);
    argument.high.map_or(low, |high| {
        masked_half(program, at + high, (mask >> 32) as u32, (value >> 32) as u32, low, no)
    })
}

fn masked_half(program: &mut Program, offset: u32, mask: u32, value: u32, yes: Label, no: Label) -> Label {
    if mask == 0 {
        return yes;
    }
    let test = match (mask, value) {
        (_, 0) => program.branch(Test::AnyBit, mask, no, yes),
        (u32::MAX, _) => program.branch(Test::Equal, value, yes, no),
        _ => {
            let equal = program.branch(Test::Equal, value, yes, no);
            program.and(mask, equal)
        }
    };
    program.load(offset, test)
}
