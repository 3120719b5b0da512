//! Differences of texts, as diff(1) writes them: by Myers' algorithm, up to a number of edits.

use super::read::Layer;
use super::{Change, Content, Kind, open, shown};
use crate::sys::fs;
use anyhow::{Context, Result};
use std::os::fd::AsFd;

/// The most that is compared line by line, in bytes.
const LIMIT: usize = 4 << 20;

/// The most edits between two texts; beyond that all of both is told.
const EDITS: usize = 2000;

/// How many lines that are the same are told around others.
const CONTEXT: usize = 3;

/// The difference of a change's text; empty where there is none.
pub(crate) fn difference(layer: &Layer, change: &Change) -> Result<String> {
    let is_file = change.after.is_none_or(|after| after.kind == Kind::File)
        && change.before.is_none_or(|before| before.kind == Kind::File);
    if !is_file || (change.content != Content::Text && change.after.is_some()) {
        return Ok(String::new());
    }
    let read =
        |fd: crate::sys::Result<_>| fd.and_then(|fd: std::os::fd::OwnedFd| fs::read_all(fd.as_fd(), LIMIT));
    let old = match change.before {
        Some(_) => read(open(layer.machine.as_fd(), &change.path, fs::O_RDONLY | fs::O_NONBLOCK)),
        None => Ok(Vec::new()),
    };
    let new = match change.after {
        Some(_) => {
            let folder = &layer.folders[change.layer].1;
            read(open(folder.as_fd(), &change.inside, fs::O_RDONLY | fs::O_NONBLOCK))
        }
        None => Ok(Vec::new()),
    };
    let (old, new) = match (old, new) {
        (Err(crate::sys::Errno::EFBIG), _) | (_, Err(crate::sys::Errno::EFBIG)) => return Ok(String::new()),
        (old, new) => (old.context("read")?, new.context("read")?),
    };
    if old.contains(&0) || new.contains(&0) {
        return Ok(String::new());
    }
    let path = shown(&change.path);
    let name = |is_there: bool| if is_there { path.as_str() } else { "/dev/null" };
    let (old, new) = (String::from_utf8_lossy(&old), String::from_utf8_lossy(&new));
    let hunks = unified(&old, &new);
    Ok(format!("--- {}\n+++ {}\n{hunks}", name(change.before.is_some()), name(change.after.is_some())))
}

/// A line that is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edit<'a> {
    Same(&'a str),
    Gone(&'a str),
    New(&'a str),
}

/// The hunks of a unified diff.
pub(crate) fn unified(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let edits = edits(&old, &new);
    let is_near = |at: usize| {
        let from = at.saturating_sub(CONTEXT);
        edits[from..edits.len().min(at + CONTEXT + 1)].iter().any(|edit| !matches!(edit, Edit::Same(_)))
    };
    let (mut text, mut lines) = (String::new(), [1usize, 1]);
    let mut at = 0;
    while at < edits.len() {
        if !is_near(at) {
            lines = lines.map(|line| line + 1);
            at += 1;
            continue;
        }
        let end = (at..edits.len()).find(|at| !is_near(*at)).unwrap_or(edits.len());
        let (mut body, start) = (String::new(), lines);
        for edit in &edits[at..end] {
            let (sign, line, steps) = match edit {
                Edit::Same(line) => (' ', line, [1, 1]),
                Edit::Gone(line) => ('-', line, [1, 0]),
                Edit::New(line) => ('+', line, [0, 1]),
            };
            let plain = line.replace(|c: char| c.is_control() && c != '\t', "\u{fffd}");
            body.push_str(&format!("{sign}{plain}\n"));
            lines = [lines[0] + steps[0], lines[1] + steps[1]];
        }
        let [gone, came] = [lines[0] - start[0], lines[1] - start[1]];
        let first = |line: usize, count: usize| if count == 0 { line - 1 } else { line };
        text.push_str(&format!(
            "@@ -{},{gone} +{},{came} @@\n{body}",
            first(start[0], gone),
            first(start[1], came)
        ));
        at = end;
    }
    text
}

/// The way from one text to the other.
fn edits<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Edit<'a>> {
    let start = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (rest_old, rest_new) = (&old[start..], &new[start..]);
    let end = rest_old.iter().rev().zip(rest_new.iter().rev()).take_while(|(a, b)| a == b).count();
    let (middle_old, middle_new) = (&rest_old[..rest_old.len() - end], &rest_new[..rest_new.len() - end]);
    let same = |lines: &[&'a str]| lines.iter().map(|line| Edit::Same(line)).collect::<Vec<_>>();
    let mut edits = same(&old[..start]);
    edits.extend(shortest(middle_old, middle_new));
    edits.extend(same(&rest_old[rest_old.len() - end..]));
    edits
}

/// Myers, "An O(ND) Difference Algorithm and Its Variations" (1986): the furthest point that each
/// diagonal is reached at with 0, 1, 2 … edits, then back along what was kept.
fn shortest<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Edit<'a>> {
    let (n, m) = (old.len() as isize, new.len() as isize);
    let most = (n + m).min(EDITS as isize);
    let at = |diagonal: isize| (diagonal + most + 1) as usize;
    let mut reach = vec![0isize; (2 * most + 3) as usize];
    let mut kept = Vec::new();
    for edits in 0..=most {
        kept.push(reach.clone());
        for diagonal in (-edits..=edits).step_by(2) {
            let down = diagonal == -edits
                || (diagonal != edits && reach[at(diagonal - 1)] < reach[at(diagonal + 1)]);
            let mut x = if down { reach[at(diagonal + 1)] } else { reach[at(diagonal - 1)] + 1 };
            while x < n
                && x - diagonal < m
                && x - diagonal >= 0
                && old[x as usize] == new[(x - diagonal) as usize]
            {
                x += 1;
            }
            reach[at(diagonal)] = x;
            if x >= n && x - diagonal >= m {
                return back(&kept, old, new, most);
            }
        }
    }
    old.iter().map(|line| Edit::Gone(line)).chain(new.iter().map(|line| Edit::New(line))).collect()
}

fn back<'a>(kept: &[Vec<isize>], old: &[&'a str], new: &[&'a str], most: isize) -> Vec<Edit<'a>> {
    let at = |diagonal: isize| (diagonal + most + 1) as usize;
    let (mut x, mut y) = (old.len() as isize, new.len() as isize);
    let mut edits = Vec::new();
    for (number, reach) in kept.iter().enumerate().rev() {
        let (number, diagonal) = (number as isize, x - y);
        let down =
            diagonal == -number || (diagonal != number && reach[at(diagonal - 1)] < reach[at(diagonal + 1)]);
        let before = if down { diagonal + 1 } else { diagonal - 1 };
        let (from_x, from_y) = (reach[at(before)], reach[at(before)] - before);
        while x > from_x && y > from_y && x > 0 && y > 0 {
            edits.push(Edit::Same(old[(x - 1) as usize]));
            (x, y) = (x - 1, y - 1);
        }
        if number == 0 {
            break;
        }
        edits.push(if down { Edit::New(new[(y - 1) as usize]) } else { Edit::Gone(old[(x - 1) as usize]) });
        (x, y) = (from_x, from_y);
    }
    edits.reverse();
    edits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_differ_by_their_lines() {
        assert_eq!(unified("a\nb\n", "a\nb\n"), "");
        assert_eq!(unified("", "a\n"), "@@ -0,0 +1,1 @@\n+a\n");
        assert_eq!(unified("a\nb\nc\n", "a\nx\nc\n"), "@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n");
        let old: String = (1..30).map(|n| format!("{n}\n")).collect();
        let new = old.replace("\n5\n", "\n").replace("20\n", "20\n20a\n");
        assert_eq!(
            unified(&old, &new),
            "@@ -2,7 +2,6 @@\n 2\n 3\n 4\n-5\n 6\n 7\n 8\n@@ -18,6 +17,7 @@\n 18\n 19\n 20\n+20a\n 21\n 22\n 23\n"
        );
    }

    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        assert!(!unified("", "\u{1b}[2Jx\n").contains('\u{1b}'));
    }

    proptest::proptest! {
        #[test]
        fn applying_the_edits_gives_the_new_text(old in "[ab\n]{0,60}", new in "[ab\n]{0,60}") {
            let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
            let edits = edits(&old, &new);
            let side = |gone: bool| edits.iter().filter_map(|edit| match edit {
                Edit::Same(line) => Some(*line),
                Edit::Gone(line) => gone.then_some(*line),
                Edit::New(line) => (!gone).then_some(*line),
            }).collect::<Vec<_>>();
            proptest::prop_assert_eq!(side(true), old);
            proptest::prop_assert_eq!(side(false), new);
        }
    }
}
