//! The search for a call's number.

use super::arguments;
use super::machine::Space;
use super::program::{Label, Program, Test};
use super::verdicts::{Verdict, Verdicts};
use crate::config::seccomp::Action;

/// Neighbouring numbers with one verdict, up to the start of the next segment.
#[derive(Debug, Clone, Copy)]
struct Segment {
    start: u32,
    leaf: Leaf,
    /// How short the way to it should be.
    weight: u32,
}

/// Where the search ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaf {
    Action(Action),
    /// The checks of this call of this space.
    Checks(usize, u16),
}

/// A named call, in the weights.
const NAMED: u32 = 2;
/// A call whose arguments are checked: it runs the filter every time, and the kernel answers most
/// others from its bitmap.
const CHECKED: u32 = 16;
/// So many single numbers in a segment are tested one after the other. More cost the rest of the
/// segment too long a way.
const MAX_HOLES: usize = 3;

/// Writes the search through the spaces of one entry; the number is in the accumulator.
pub(super) fn write(
    program: &mut Program,
    spaces: &[Verdicts],
    listed: impl Fn(&Space) -> bool,
    default: Action,
) -> Label {
    let segments = segments(spaces, listed, default);
    Tree { program, spaces, default }.search(&segments, None)
}

/// All 32-bit numbers, in order.
fn segments(spaces: &[Verdicts], listed: impl Fn(&Space) -> bool, default: Action) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::with_capacity(256);
    let mut push = |start: u32, leaf: Leaf, weight: u32| match segments.last_mut() {
        Some(last) if last.leaf == leaf => last.weight += weight,
        _ => segments.push(Segment { start, leaf, weight: weight + 1 }),
    };
    let mut beyond = Leaf::Action(default);
    for (i, Verdicts { space, calls, .. }) in spaces.iter().enumerate() {
        if !listed(space) {
            push(space.base, Leaf::Action(Action::KILL_THREAD), 0);
            // Not a call by an ABI that the profile shuts out: -1 is how a tracer skips a call.
            push(u32::MAX, beyond, 0);
            continue;
        }
        for (number, verdict) in (0..).zip(calls) {
            let (leaf, weight) = match *verdict {
                Verdict::Unnamed => (Leaf::Action(default), 0),
                Verdict::Default => (Leaf::Action(default), NAMED),
                Verdict::Action(action) => (Leaf::Action(action), NAMED),
                Verdict::Checks => (Leaf::Checks(i, number), CHECKED),
            };
            push(space.base + u32::from(number), leaf, weight);
        }
        // What is newer than the profile does not exist, or C libraries would not fall back to what
        // the profile knows.
        let newer = if calls.is_empty() || default.lets_calls_through() { default } else { Action::ENOSYS };
        beyond = Leaf::Action(newer);
        push(space.base + calls.len() as u32, beyond, 0);
    }
    segments
}

struct Tree<'t> {
    program: &'t mut Program,
    spaces: &'t [Verdicts<'t>],
    default: Action,
}

impl Tree<'_> {
    /// The search among `segments`, which end before the number `end`.
    fn search(&mut self, segments: &[Segment], end: Option<u32>) -> Label {
        if let Some(label) = self.chain(segments, end) {
            return label;
        }
        let middle = halve(segments);
        let start = segments[middle].start;
        let (low, high) = segments.split_at(middle);
        // The larger part first, so that only the smaller one lies between it and the jump.
        let (low, high) = if low.len() > high.len() {
            let low = self.search(low, Some(start));
            (low, self.search(high, end))
        } else {
            let high = self.search(high, end);
            (self.search(low, Some(start)), high)
        };
        self.program.branch(Test::GreaterOrEqual, start, high, low)
    }

    /// One verdict for all segments but a few single numbers: a test for each of these.
    fn chain(&mut self, segments: &[Segment], end: Option<u32>) -> Option<Label> {
        let is_single = |i: usize| {
            let next = segments.get(i + 1).map(|next| next.start).or(end);
            next.map_or(u32::MAX, |next| next - 1) == segments[i].start
        };
        let rest = (0..segments.len() - 1).find(|i| !is_single(*i)).unwrap_or(segments.len() - 1);
        let rest = segments[rest].leaf;
        let mut holes = [segments[0]; MAX_HOLES];
        let mut count = 0;
        for (i, segment) in segments.iter().enumerate().filter(|(_, segment)| segment.leaf != rest) {
            if !is_single(i) || count == MAX_HOLES {
                return None;
            }
            holes[count] = *segment;
            count += 1;
        }
        let holes = &mut holes[..count];
        holes.sort_by_key(|hole| hole.weight);
        let rest = self.leaf(rest);
        Some(holes.iter().fold(rest, |no, hole| {
            let yes = self.leaf(hole.leaf);
            self.program.branch(Test::Equal, hole.start, yes, no)
        }))
    }

    fn leaf(&mut self, leaf: Leaf) -> Label {
        match leaf {
            Leaf::Action(action) => self.program.ret(action),
            Leaf::Checks(space, number) => {
                let default = self.program.ret(self.default);
                let verdicts = &self.spaces[space];
                arguments::write(self.program, verdicts.space.argument, verdicts.checks(number), default)
            }
        }
    }
}

/// Where to part `segments` so that both parts weigh about the same.
fn halve(segments: &[Segment]) -> usize {
    let total: u32 = segments.iter().map(|segment| segment.weight).sum();
    let mut before = 0;
    let imbalance = |(i, segment): (usize, &Segment)| {
        before += segment.weight;
        (before.abs_diff(total - before), i + 1)
    };
    let cuts = segments[..segments.len() - 1].iter().enumerate();
    cuts.map(imbalance).min().map_or(1, |(_, middle)| middle)
}
