//! What a command does at this moment, told to the process that bounds its time: a page that both
//! share, with those that come of the command. Where nobody bounds it there is no page, and nothing
//! is written.

use crate::sys::memory;
use std::cell::Cell;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

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

thread_local! {
    static PAGE: Cell<Option<&'static Page>> = const { Cell::new(None) };
}

/// Have a page, for this process and those that come of it.
pub fn open() -> crate::sys::Result<()> {
    let memory::Shared { flags, length, text } = memory::shared_page()?;
    PAGE.set(Some(Box::leak(Box::new(Page { marks: flags, length, text }))));
    Ok(())
}

/// This is what is done now, or waited for.
pub fn at(what: impl FnOnce() -> String) {
    let Some(page) = PAGE.get() else { return };
    let what = what();
    let length = what.len().min(page.text.len());
    for (to, byte) in page.text.iter().zip(what.bytes()) {
        to.store(byte, Ordering::Relaxed);
    }
    page.length.store(length as u32, Ordering::Release);
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

    #[test]
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
}
