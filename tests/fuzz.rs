//! The kept corpus of integration/fuzz, tried once.
#![cfg(feature = "image")]

#[path = "../integration/fuzz/targets/mod.rs"]
#[allow(dead_code, reason = "here nothing is changed")]
mod targets;

use std::fs;
use std::path::Path;

#[test]
fn the_kept_corpus_is_read_as_it_should() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut size = 0;
    for target in targets::TARGETS {
        let kept = project.join("integration/fuzz/corpus").join(target.name);
        let others = target.seeds.iter().map(|folder| project.join(folder));
        let mut tried = 0;
        for folder in std::iter::once(kept.clone()).chain(others) {
            for file in fs::read_dir(&folder).expect("a folder of inputs").flatten() {
                let Ok(input) = fs::read(file.path()) else { continue };
                size += if folder == kept { input.len() } else { 0 };
                tried += 1;
                println!("{}", file.path().display());
                (target.run)(&input);
            }
        }
        assert!(tried > 2, "{}: {tried} inputs", target.name);
    }
    assert!(size < 300 << 10, "the corpus has {size} bytes");
}
