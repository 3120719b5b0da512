//! What a command does at this moment, told to the process that bounds its time; and kept, for who
//! asks where that goes. It is in memory that is shared with those that come of the command. Where
//! nobody asks there is none, and nothing is written.

use crate::sys::memory;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How much there is for the text of one moment, in bytes.
const MOMENT: usize = 4096;

/// How much there is for all moments that are kept. What is more is left out.
const KEPT: usize = 512 << 10;

/// What is before the text of a moment that is kept: its time, the process, the length.
const HEAD: usize = 16;

/// What a command has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Mark {
    /// The directory of a new container is there, and is this command's.
    Made = 1,
    /// The process of a created container was let go.
    LetGo = 2,
    /// What is bounded is over: the process runs.
    Done = 4,
}

/// The page: marks, the length of the text, the text.
struct Page {
    marks: &'static AtomicU8,
    length: &'static AtomicU32,
    text: &'static [AtomicU8],
}

// Not of a thread: musl maps memory at each start for what it has too little room for.
static PAGE: OnceLock<Page> = OnceLock::new();
static MOMENTS: OnceLock<Page> = OnceLock::new();

/// A moment that was kept: what began then, in which process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Since 1970.
    pub at: Duration,
    /// As the process itself sees it.
    pub pid: u32,
    pub what: String,
}

/// Have a page, for this process and those that come of it.
pub fn open() -> crate::sys::Result<()> {
    page(MOMENT).map(|page| drop(PAGE.set(page)))
}

/// Keep all moments from now on.
pub fn keep() -> crate::sys::Result<()> {
    page(KEPT).map(|page| drop(MOMENTS.set(page)))
}

fn page(size: usize) -> crate::sys::Result<Page> {
    let memory::Shared { flags, length, text } = memory::shared(size)?;
    Ok(Page { marks: flags, length, text })
}

/// This is what is done now, or waited for.
pub fn at(what: impl FnOnce() -> String) {
    if PAGE.get().is_none() && MOMENTS.get().is_none() {
        return;
    }
    let what = what();
    append(&what);
    let Some(page) = PAGE.get() else { return };
    let length = what.len().min(page.text.len());
    for (to, byte) in page.text.iter().zip(what.bytes()) {
        to.store(byte, Ordering::Relaxed);
    }
    page.length.store(length as u32, Ordering::Release);
}

/// This process waits now for another, which tells itself what it does.
pub fn waits(what: &'static str) {
    append(what);
}

/// Keep a moment, if any are.
fn append(what: &str) {
    let Some(Page { length, text, .. }) = MOMENTS.get() else { return };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let what = &what.as_bytes()[..what.len().min(MOMENT)];
    let size = HEAD + what.len();
    // Each process has a place of its own before it writes there.
    let start = length.fetch_add(size as u32, Ordering::Relaxed) as usize;
    let Some(place) = text.get(start..start + size) else { return };
    let head = now.as_nanos().to_le_bytes();
    let head = head[..8].iter().copied().chain(std::process::id().to_le_bytes());
    let bytes = head.chain((what.len() as u32).to_le_bytes()).chain(what.iter().copied());
    place.iter().zip(bytes).for_each(|(to, byte)| to.store(byte, Ordering::Relaxed));
}

/// All moments that were kept, in the order in which they began.
pub fn moments() -> Vec<Moment> {
    let Some(Page { length, text, .. }) = MOMENTS.get() else { return Vec::new() };
    let used = (length.load(Ordering::Acquire) as usize).min(text.len());
    let bytes: Vec<u8> = text[..used].iter().map(|byte| byte.load(Ordering::Relaxed)).collect();
    let mut found = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some((head, tail)) = rest.split_first_chunk::<HEAD>() {
        let number = |range: std::ops::Range<usize>| {
            head[range].iter().rev().fold(0u64, |number, byte| number << 8 | u64::from(*byte))
        };
        let length = number(12..16) as usize;
        let Some((what, next)) = tail.split_at_checked(length) else { break };
        // One that found no place any more has written nothing.
        if number(0..8) == 0 {
            break;
        }
        let what = String::from_utf8_lossy(what).into_owned();
        found.push(Moment { at: Duration::from_nanos(number(0..8)), pid: number(8..12) as u32, what });
        rest = next;
    }
    found.sort_by_key(|moment| moment.at);
    found
}

/// What was told last.
pub fn last() -> String {
    let Some(page) = PAGE.get() else { return String::new() };
    let length = page.length.load(Ordering::Acquire) as usize;
    let text: Vec<u8> = page.text.iter().take(length).map(|byte| byte.load(Ordering::Relaxed)).collect();
    String::from_utf8_lossy(&text).into_owned()
}

/// The command has come to this.
pub fn mark(mark: Mark) {
    if mark == Mark::Done {
        append("the process runs");
    }
    if let Some(page) = PAGE.get() {
        page.marks.fetch_or(mark as u8, Ordering::Relaxed);
    }
}

/// Whether it has.
pub fn is_marked(mark: Mark) -> bool {
    PAGE.get().is_some_and(|page| page.marks.load(Ordering::Relaxed) & mark as u8 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    // One case, as the pages are the program's.
    #[test]
    fn nothing_is_written_until_somebody_asks_and_then_it_is_all_there() {
        without_a_page_nothing_is_written_and_with_one_the_last_counts();
        moments_are_kept_in_order_with_what_began();
    }

    fn without_a_page_nothing_is_written_and_with_one_the_last_counts() {
        at(|| unreachable!());
        assert_eq!((last(), is_marked(Mark::Made)), (String::new(), false));
        open().unwrap_or_default();
        at(|| "a long text".into());
        at(|| "short".into());
        mark(Mark::Made);
        assert_eq!((last().as_str(), is_marked(Mark::Made), is_marked(Mark::Done)), ("short", true, false));
        at(|| "x".repeat(9000));
        assert!(last().len() > 1000);
    }

    fn moments_are_kept_in_order_with_what_began() {
        assert_eq!(moments(), []);
        keep().unwrap_or_default();
        at(|| "first".into());
        waits("second");
        let found: Vec<String> = moments().into_iter().map(|moment| moment.what).collect();
        assert_eq!(found, ["first", "second"]);
        (0..300).for_each(|_| at(|| "x".repeat(5000)));
        assert!(moments().len() < 300 && moments().iter().all(|moment| moment.at > Duration::ZERO));
    }
}
