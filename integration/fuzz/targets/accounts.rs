//! The configuration of an image, and the accounts in it: an error, or a config.json that can be
//! loaded.

use knarr::config;
use knarr::image::config::{Options, Volume, convert, volumes};
use knarr::image::users;
use serde_json::Value;
use std::path::Path;

/// `{"image": …, "user": …, "passwd": …, "group": …}`; in the files a character is a byte.
pub fn run(text: &[u8]) {
    let Ok(input) = serde_json::from_slice::<Value>(text) else { return };
    let file = |name: &str| {
        let text = input[name].as_str().unwrap_or_default();
        text.chars().map(|c| c as u32 as u8).collect::<Vec<u8>>()
    };
    let asked = input["user"].as_str().unwrap_or_default();
    let Ok(user) = users::resolve(asked, &file("passwd"), &file("group")) else { return };
    let Ok(image) = serde_json::from_value(input["image"].clone()) else { return };
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
}
