//! Any bytes as process.json: an error or a process, never a panic.

#![no_main]

use knarr::config::load;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let _ = load::load_process(text, "--process", None);
});
