//! Which edges of the library an input has taken: the counters that rustc puts there
//! (integration/fuzz/rustc), if it did.

use std::sync::Mutex;

/// Where the counters are: the first and the one after the last.
static RANGES: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());

/// Called by each instrumented part of the program before `main`.
// SAFETY: no other symbol has this name, which is the compiler's own (SanitizerCoverage,
// inline-8bit-counters).
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_8bit_counters_init(start: *mut u8, stop: *mut u8) {
    let range = (start as usize, stop as usize);
    if let Ok(mut ranges) = RANGES.lock()
        && range.0 < range.1
        && !ranges.contains(&range)
    {
        ranges.push(range);
    }
}

/// How often is about the same: one bit for each of eight classes.
fn class(count: u8) -> u8 {
    match count {
        0 => 0,
        1 => 1,
        2 => 2,
        3 => 4,
        4..=7 => 8,
        8..=15 => 16,
        16..=31 => 32,
        32..=127 => 64,
        128.. => 128,
    }
}

/// What all inputs together have taken.
#[derive(Debug)]
pub struct Coverage {
    /// As many as there are edges.
    counters: Vec<&'static mut [u8]>,
    /// The classes that were seen of each.
    seen: Vec<u8>,
}

impl Coverage {
    /// There may be one at a time.
    pub fn new() -> Coverage {
        let ranges = std::mem::take(&mut *RANGES.lock().expect("nobody panics with it"));
        // SAFETY: the compiler's counters are bytes that live as long as the program; a range is
        // given out once, and only the instrumented code, in this thread, changes them besides,
        // never while a method of this runs.
        let counters = ranges
            .into_iter()
            .map(|(start, stop)| unsafe { std::slice::from_raw_parts_mut(start as *mut u8, stop - start) });
        let counters: Vec<_> = counters.collect();
        let edges = counters.iter().map(|counters| counters.len()).sum();
        Coverage { counters, seen: vec![0; edges] }
    }

    /// Begin with the next input.
    pub fn clear(&mut self) {
        self.counters.iter_mut().for_each(|counters| counters.fill(0));
    }

    /// Add what the input has taken; whether any of it is new, counted by class, or by edge alone.
    pub fn add(&mut self, by_class: bool) -> bool {
        let mut new = false;
        let mut at = 0;
        for counters in &self.counters {
            for chunk in counters.chunks(16) {
                if chunk.iter().any(|count| *count != 0) {
                    for (seen, count) in self.seen[at..].iter_mut().zip(chunk) {
                        let class = if by_class { class(*count) } else { u8::from(*count != 0) };
                        new |= class & !*seen != 0;
                        *seen |= class;
                    }
                }
                at += chunk.len();
            }
        }
        new
    }

    /// Edges that were taken, and all.
    pub fn edges(&self) -> (usize, usize) {
        (self.seen.iter().filter(|seen| **seen != 0).count(), self.seen.len())
    }
}
