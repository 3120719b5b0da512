//! The shape of the source, as docs/architecture.md describes it. A rule that no test enforces is a wish.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What each room of the house may use of the others.
const MAY_USE: [(&str, &[&str]); 19] = [
    ("cli", &["cmd", "log", "nearest", "run", "sys"]),
    ("cmd", &["check", "run", "state", "cgroup", "config", "plan", "host", "image", "log", "sys"]),
    (
        "run",
        &[
            "proc", "fault", "plan", "channel", "hook", "init", "cgroup", "state", "config", "host", "log",
            "sys",
        ],
    ),
    ("init", &["proc", "fault", "plan", "channel", "config", "hook", "state", "sys"]),
    ("hook", &["config", "fault", "sys"]),
    ("state", &["proc", "cgroup", "config", "host", "sys", "time"]),
    ("cgroup", &["proc", "fault", "sys", "config", "plan"]),
    ("plan", &["proc", "config", "host", "sys"]),
    ("config", &["proc", "nearest"]),
    ("image", &["proc", "config", "host", "sys"]),
    ("check", &["proc", "config", "host", "sys"]),
    ("host", &["proc", "sys"]),
    ("channel", &["fault", "sys"]),
    ("fault", &["sys"]),
    ("log", &["config", "fault", "sys", "time"]),
    ("proc", &[]),
    ("nearest", &[]),
    ("time", &[]),
    ("sys", &[]),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Each source file: its path below src, its room, and its code without comments and tests.
fn code() -> BTreeMap<String, (String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let read = |path: PathBuf| {
        let name = path.strip_prefix(&src).unwrap().to_string_lossy().into_owned();
        let room = name.split(['/', '.']).next().unwrap().to_string();
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        let lines =
            text.lines().filter(|line| !line.trim_start().starts_with("//") && !line.trim().is_empty());
        (name, (room, lines.collect::<Vec<_>>().join("\n")))
    };
    sources(&src).into_iter().map(read).collect()
}

#[test]
fn rooms_use_only_what_they_may() {
    let allowed: BTreeMap<&str, &[&str]> = MAY_USE.into_iter().collect();
    for (name, (room, text)) in code() {
        if ["main", "lib"].contains(&room.as_str()) {
            continue;
        }
        let may = allowed.get(room.as_str()).unwrap_or_else(|| panic!("{name}: a room without a rule"));
        for (at, _) in text.match_indices("crate::") {
            let used: String =
                text[at + 7..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let listed: Vec<String> = if used.is_empty() {
                let list = text[at + 8..].split('}').next().unwrap();
                list.split(',').map(|part| part.trim().split("::").next().unwrap().to_string()).collect()
            } else {
                vec![used]
            };
            for used in listed {
                assert!(used == room || may.contains(&used.as_str()), "{name}: {room} may not use {used}");
            }
        }
    }
}

#[test]
fn the_plan_is_pure() {
    for (name, (room, text)) in code() {
        if room != "plan" {
            continue;
        }
        for (at, _) in text.match_indices("crate::sys") {
            // Types of mount_setattr(2), which are data; no call.
            let rest = &text[at..];
            assert!(
                ["{Change, Reach", "Reach;"]
                    .iter()
                    .any(|types| rest["crate::sys::mount::".len()..].starts_with(types)),
                "{name}: {}",
                rest.lines().next().unwrap()
            );
        }
        for word in ["std::fs", "std::env", "std::time", "std::process", "SystemTime"] {
            assert!(!text.contains(word), "{name}: {word}");
        }
    }
}

#[test]
fn unsafe_code_lives_in_sys_only() {
    for (name, (room, text)) in code() {
        let has =
            text.contains("unsafe {") || text.contains("unsafe fn") || text.contains("allow(unsafe_code)");
        assert!(!has || room == "sys", "{name}: unsafe outside of sys");
    }
}

#[test]
fn oci_spec_is_named_in_config_and_image_only() {
    for (name, (room, text)) in code() {
        let may = ["config", "image"].contains(&room.as_str());
        assert!(may || !text.contains("oci_spec"), "{name}: oci_spec outside of config and image");
    }
}

#[test]
fn files_and_functions_fit_their_room() {
    for (name, (_, text)) in code() {
        let lines = text.lines().count();
        assert!(lines <= 500, "{name}: {lines} lines of code");
        let mut start = None;
        for (number, line) in text.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let code = line.trim_start();
            let opens = ["fn ", "pub fn ", "pub(crate) fn ", "pub(super) fn ", "pub const fn "]
                .iter()
                .any(|p| code.starts_with(p));
            if opens && start.is_none() {
                start = Some((number, indent, code.to_string()));
            } else if let Some((from, at, head)) = &start
                && line.starts_with(&format!("{}}}", " ".repeat(*at)))
                && indent == *at
            {
                assert!(number - from <= 60, "{name}: {head} has {} lines", number - from);
                start = None;
            }
        }
    }
}

#[test]
fn nothing_is_a_stub_or_a_test_double() {
    for (name, (_, text)) in code() {
        for word in ["todo!", "unimplemented!", "cfg(feature = \"mock", "cfg!(test)"] {
            assert!(!text.contains(word), "{name}: {word}");
        }
    }
}
