//! Configurations of images as config.json: for each `tests/images/NAME.json` the bundle's in
//! `tests/images/NAME.config`.
//!
//! `UPDATE_PLANS=1 cargo test --test image_config` writes them anew; read the difference before you
//! commit it.
#![cfg(feature = "image")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use knarr::image::config::{Options, Rootless, Volume, convert, lowerdir, volumes};
use knarr::image::users::{User, resolve};
use serde_json::{Value, json};
use std::path::Path;

fn options(user: &User) -> Options<'_> {
    Options {
        args: &[],
        terminal: false,
        user,
        volumes: &[],
        lowerdir: Some("/store/b:/store/a"),
        rootless: None,
    }
}

#[test]
fn configurations_are_as_before() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images");
    let user = User { uid: 7, gid: 1000, additional_gids: vec![8, 9] };
    let volumes = [
        Volume { path: "/cache".into(), mode: 0o1777, uid: 0, gid: 0 },
        Volume { path: "/var/lib/data".into(), mode: 0o700, uid: 70, gid: 71 },
    ];
    let given = Rootless { own: (1000, 1001), given: Some([(100_000, 65536), (200_000, 65536)]) };
    let ours = Options { volumes: &volumes, ..options(&user) };
    let copied = Options { lowerdir: None, terminal: true, ..ours.clone() };
    let rootless = Options { rootless: Some(given), ..ours.clone() };
    let table = [
        ("everything", "everything", &ours),
        ("docker", "docker", &copied),
        ("docker", "rootless", &rootless),
    ];
    for (image, golden, options) in table {
        let text = std::fs::read(folder.join(image).with_extension("json")).unwrap();
        let config = convert(&serde_json::from_slice(&text).unwrap(), options).unwrap();
        // What a bundle has must be what is loaded.
        knarr::config::load(config.as_bytes(), Path::new("/bundle")).unwrap();
        // Those of the machine that the test runs on.
        let mut config: Value = serde_json::from_str(&config).unwrap();
        config["linux"]["seccomp"]["architectures"] = json!([]);
        let config = format!("{config:#}\n");
        let golden = folder.join(golden).with_extension("config");
        if std::env::var_os("UPDATE_PLANS").is_some() {
            std::fs::write(&golden, &config).unwrap();
        }
        let kept = std::fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(config, kept, "{}", golden.display());
    }
}

#[test]
fn arguments_replace_the_images_and_are_needed_where_it_has_none() {
    let user = User::default();
    let image = |config: Value| {
        let image = json!({ "architecture": "amd64", "os": "linux", "config": config, "rootfs": { "type": "layers", "diff_ids": [] } });
        serde_json::from_value(image).unwrap()
    };
    let args_of = |config: Value, args: &[&str]| {
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        let config = convert(&image(config), &Options { args: &args, ..options(&user) });
        config.map(|text| serde_json::from_str::<Value>(&text).unwrap()["process"]["args"].clone())
    };
    let both = json!({ "Entrypoint": ["e"], "Cmd": ["c"] });
    assert_eq!(args_of(both.clone(), &[]).unwrap(), json!(["e", "c"]));
    assert_eq!(args_of(both, &["x", "y"]).unwrap(), json!(["x", "y"]));
    assert_eq!(args_of(json!({ "Entrypoint": ["e"] }), &[]).unwrap(), json!(["e"]));
    let none = args_of(json!({}), &[]).unwrap_err().to_string();
    assert_eq!(none, "the image names no program (Entrypoint, Cmd): give one after --");
    let bad = args_of(json!({ "Cmd": ["c"], "Env": ["A"] }), &[]).unwrap_err().to_string();
    assert_eq!(bad, "the image's Env has \"A\", which is not of the form NAME=value");
}

#[test]
fn volumes_are_absolute_paths_in_order() {
    let image = include_bytes!("images/everything.json");
    assert_eq!(volumes(&serde_json::from_slice(image).unwrap()), ["/cache", "/var/lib/data"]);
}

#[test]
fn layers_are_joined_as_overlayfs_wants_them() {
    let layers = ["/a:b".to_string(), "/c\\d".to_string()];
    assert_eq!(lowerdir(&layers), "/a\\:b:/c\\\\d");
}

const PASSWD: &[u8] =
    b"root:x:0:0:root:/root:/bin/sh\n# comment\nweb:x:7:8:\xff:/:\n\nbroken:x:y:z\n123:x:55:56::/:\n";
const GROUP: &[u8] =
    b"root:x:0:\nwheel:x:10:root,web\nweb:x:8:web\nlogs:x:9:other,web\nlogs2:x:9:web\nempty:x:11\n";

#[test]
fn users_are_names_or_numbers() {
    let table: [(&str, u32, u32, &[u32]); 12] = [
        ("", 0, 0, &[10]),
        ("root", 0, 0, &[10]),
        ("0", 0, 0, &[10]),
        ("web", 7, 8, &[9, 10]),
        ("7", 7, 8, &[9, 10]),
        ("web:root", 7, 0, &[]),
        ("web:77", 7, 77, &[]),
        ("web:", 7, 8, &[9, 10]),
        (":9", 0, 9, &[]),
        ("4242", 4242, 0, &[]),
        ("4242:4343", 4242, 4343, &[]),
        // A name of digits comes before the number.
        ("123", 55, 56, &[]),
    ];
    for (asked, uid, gid, groups) in table {
        let user = User { uid, gid, additional_gids: groups.to_vec() };
        assert_eq!(resolve(asked, PASSWD, GROUP).unwrap(), user, "{asked:?}");
    }
    assert_eq!(resolve("", b"", b"").unwrap(), User::default());
    let error = |asked| resolve(asked, PASSWD, GROUP).unwrap_err().to_string();
    assert_eq!(error("nobody"), "user \"nobody\" is not in the image's /etc/passwd");
    assert_eq!(error("web:nobody"), "group \"nobody\" is not in the image's /etc/group");
    assert_eq!(error("4294967295"), "user \"4294967295\" is not in the image's /etc/passwd");
    assert_eq!(error("-1"), "user \"-1\" is not in the image's /etc/passwd");
}
