//! Any lines as the options of a mount: an error or options, never a panic.

#![no_main]

use knarr::config::Options;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let options: Vec<String> = text.lines().map(String::from).collect();
    let _ = Options::parse(&options, "mounts[0]");
});
