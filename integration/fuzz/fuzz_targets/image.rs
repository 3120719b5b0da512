//! Any bytes as the configuration of an image, and any accounts in it: an error, or a config.json that can be loaded.

#![no_main]

use knarr::config;
use knarr::image::config::{Options, Volume, convert, volumes};
use knarr::image::users;
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|input: (&[u8], &str, &[u8], &[u8])| {
    let (text, asked, passwd, group) = input;
    let Ok(user) = users::resolve(asked, passwd, group) else { return };
    let Ok(image) = serde_json::from_slice(text) else { return };
    let volumes = volumes(&image);
    let volumes = volumes.into_iter().map(|path| Volume { path, mode: 0o755, uid: 1, gid: 1 });
    let options = Options {
        args: &[],
        terminal: false,
        user: &user,
        volumes: &volumes.collect::<Vec<_>>(),
        lowerdir: None,
        rootless: None,
    };
    if let Ok(text) = convert(&image, &options) {
        let _ = config::load(text.as_bytes(), Path::new("/bundle"));
    }
});
