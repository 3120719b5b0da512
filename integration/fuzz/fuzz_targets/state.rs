//! Any bytes as state.json: an error, or a record that is the same when it is written and read again.

#![no_main]

use knarr::state::State;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let Ok(state) = serde_json::from_slice::<State>(text) else { return };
    let written = serde_json::to_vec(&state).expect("a record can be written");
    assert_eq!(serde_json::from_slice::<State>(&written).expect("what was written can be read"), state);
    assert!(!state.about.json("stopped", None).is_empty());
});
