//! The shape of the source, as docs/architecture.md describes it. A rule that no test enforces is a
//! wish; a test that no mutation fails is one too, so each rule is tried on source that breaks it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

#[path = "support/prose.rs"]
mod prose;
#[path = "support/source.rs"]
mod source;

use source::File;
use std::path::Path;
use std::sync::LazyLock;

/// The rooms of the house, from the roof to the ground. A room may use those further down, so no
/// two use each other.
const FLOORS: [&str; 30] = [
    "cli",
    "shim",
    "cmd",
    "parent",
    "child",
    "acts",
    "check",
    "image",
    "layer",
    "template",
    "log",
    "hook",
    "state",
    "cgroup",
    "channel",
    "plan",
    "config",
    "nsresourced",
    "host",
    "proc",
    "protobuf",
    "capability",
    "id",
    "fault",
    "walk",
    "placeholder",
    "note",
    "sys",
    "time",
    "nearest",
];

/// What a room does not use although it is further down.
const NEVERS: [(&str, &[&str]); 5] = [
    ("child", &["host", "cgroup", "log"]),
    ("image", &["parent", "plan", "cgroup", "state"]),
    ("check", &["parent", "plan", "cgroup", "state"]),
    ("state", &["plan", "channel", "fault"]),
    ("config", &["host", "fault"]),
];

/// Rooms that decide and read, and do nothing: no I/O, no environment, no clock.
const PURE: [&str; 6] = ["plan", "proc", "protobuf", "capability", "id", "nearest"];

/// The only rooms that name the types of the specification.
const OF_THE_SPECIFICATION: [&str; 2] = ["config", "image"];

const MOST_LINES_OF_A_FILE: usize = 500;
const MOST_LINES_OF_A_FUNCTION: usize = 60;
const MOST_PARAMETERS: usize = 6;

/// Functions that others call with a bool because it is what they write: fields of a message. So
/// are the kernel's in sys.
const BOOL_IS_THE_VALUE: [&str; 2] = ["flag", "notified"];

/// What a file uses that stands above it, or that its room does without.
fn climbs(file: &File) -> Vec<String> {
    let floor = |room: &str| FLOORS.iter().position(|known| *known == room);
    let Some(own) = floor(&file.room) else { return vec![format!("{}: a room without a floor", file.name)] };
    let nevers = NEVERS.iter().find(|(room, _)| *room == file.room).map_or(&[][..], |(_, nevers)| nevers);
    let rooms = file.paths.iter().filter_map(|path| path.strip_prefix("crate::")?.split("::").next());
    let is_wrong = |room: &&str| {
        *room != file.room && floor(room).is_none_or(|floor| floor <= own || nevers.contains(room))
    };
    rooms.filter(is_wrong).map(|room| format!("{}: {} may not use {room}", file.name, file.room)).collect()
}

/// What a pure room uses of the world.
fn impurities(file: &File) -> Vec<String> {
    if !PURE.contains(&file.room.as_str()) {
        return Vec::new();
    }
    let is_data = |path: &str| {
        path.split("::").any(|part| part == "attr" || part.starts_with(|c: char| c.is_ascii_uppercase()))
    };
    let is_impure = |path: &&String| {
        let parts: Vec<&str> = path.split("::").collect();
        match parts[..] {
            ["std", "fs" | "env" | "process" | "time" | "net" | "io" | "thread" | "os", ..] => true,
            ["std"] | ["nix", ..] => true,
            ["libc", name, ..] => !name.starts_with(|c: char| c.is_ascii_uppercase()),
            ["crate", "host" | "sys", ..] => !is_data(path),
            _ => false,
        }
    };
    file.paths.iter().filter(is_impure).map(|path| format!("{}: {path}", file.name)).collect()
}

fn unsafety(file: &File) -> Vec<String> {
    let is_wrong = file.unsafety > 0 && file.room != "sys";
    is_wrong.then(|| format!("{}: unsafe outside of sys", file.name)).into_iter().collect()
}

fn specification(file: &File) -> Vec<String> {
    let names = file.paths.iter().any(|path| path.split("::").next() == Some("oci_spec"));
    let is_wrong = names && !OF_THE_SPECIFICATION.contains(&file.room.as_str());
    is_wrong.then(|| format!("{}: oci_spec outside of config and image", file.name)).into_iter().collect()
}

/// Files and functions that do not fit.
fn sizes(file: &File) -> Vec<String> {
    let mut wrong = Vec::new();
    if file.lines > MOST_LINES_OF_A_FILE {
        wrong.push(format!("{}: {} lines of code", file.name, file.lines));
    }
    for function in &file.functions {
        if function.lines > MOST_LINES_OF_A_FUNCTION {
            wrong.push(format!("{}: fn {} has {} lines", file.name, function.name, function.lines));
        }
        let is_value = file.room == "sys" || BOOL_IS_THE_VALUE.contains(&function.name.as_str());
        if function.bools > 0 && function.is_public && !is_value {
            wrong.push(format!("{}: fn {} has a bool parameter", file.name, function.name));
        }
        if function.parameters > MOST_PARAMETERS {
            wrong.push(format!("{}: fn {} has {} parameters", file.name, function.name, function.parameters));
        }
    }
    wrong
}

/// Comments that are wider than a page.
fn wide_comments(file: &File) -> Vec<String> {
    file.wide
        .iter()
        .map(|line| format!("{}:{line}: wider than {} columns", file.name, source::COMMENT_COLUMNS))
        .collect()
}

fn undocumented(file: &File) -> Vec<String> {
    file.undocumented.iter().map(|name| format!("{}: {name} has no doc", file.name)).collect()
}

fn stubs(file: &File) -> Vec<String> {
    let is_wrong = |word: &&String| {
        ["todo!", "unimplemented!", "dbg!"].contains(&word.as_str())
            || word.contains("mock")
            || *word == "cfg!(test)"
    };
    file.words.iter().filter(is_wrong).map(|word| format!("{}: {word}", file.name)).collect()
}

/// All files, read once.
static FILES: LazyLock<Vec<File>> = LazyLock::new(source::all);

fn none(rule: fn(&File) -> Vec<String>) {
    let wrong: Vec<String> = FILES.iter().flat_map(rule).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn rooms_use_only_what_is_below_them() {
    none(climbs);
}

#[test]
fn pure_rooms_are_pure() {
    none(impurities);
}

#[test]
fn unsafe_code_lives_in_sys_only() {
    none(unsafety);
}

#[test]
fn oci_spec_is_named_in_config_and_image_only() {
    none(specification);
}

#[test]
fn files_and_functions_fit_their_room() {
    none(sizes);
}

#[test]
fn comments_fit_a_page() {
    none(wide_comments);
    let line = format!("/// {}\nfn f() {{}}", "x ".repeat(50));
    assert_eq!(said(wide_comments, "parent/mod.rs", &line), ["parent/mod.rs:1: wider than 100 columns"]);
}

/// What a line says that is a comment alone.
#[test]
fn what_others_use_is_documented() {
    none(undocumented);
    for text in ["pub fn f() {}", "#[derive(Debug)] pub struct X;", "impl X { pub const fn f() {} }"] {
        assert_eq!(said(undocumented, "plan/mod.rs", &format!("//! A file.\n{text}")).len(), 1, "{text}");
    }
    assert_eq!(said(undocumented, "plan/mod.rs", "fn f() {}"), ["plan/mod.rs: the file has no doc"]);
}

fn of_comment(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("//").map(|said| said.trim_start_matches(['/', '!']))
}

/// Sentences of comments that are too long.
fn long_comments(file: &File) -> Vec<String> {
    let long = prose::long_sentences(&file.text, of_comment);
    long.into_iter().map(|(line, said)| format!("{}:{line}: {said}", file.name)).collect()
}

#[test]
fn sentences_of_comments_are_short() {
    none(long_comments);
    let line = format!("/// {}.\nfn f() {{}}", "x ".repeat(26));
    assert_eq!(said(long_comments, "parent/mod.rs", &line).len(), 1);
    let line = format!("/// {0}x: {0}x.\nfn f() {{}}", "x ".repeat(24));
    assert_eq!(said(long_comments, "parent/mod.rs", &line), Vec::<String>::new());
}

/// The documents: their paths and texts.
fn documents() -> Vec<(String, String)> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in [".", "docs", "docs/design", "integration", "examples"] {
        let entries = std::fs::read_dir(project.join(folder)).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        for path in paths.filter(|path| path.extension().is_some_and(|extension| extension == "md")) {
            found.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
        }
    }
    found
}

/// Prose: no table, code, picture or heading.
fn of_document(line: &str) -> Option<&str> {
    (!["|", "    ", "![", "#"].iter().any(|other| line.starts_with(other))).then_some(line)
}

/// Tables, code and pictures are as wide as they are.
#[test]
fn prose_fits_a_page() {
    let is_wide =
        |line: &&str| of_document(line).is_some_and(|said| said.chars().count() > source::COMMENT_COLUMNS);
    let wide: Vec<String> = documents()
        .iter()
        .flat_map(|(path, text)| text.lines().filter(is_wide).map(move |line| format!("{path}: {line}")))
        .collect();
    assert!(wide.is_empty(), "{wide:#?}");
}

#[test]
fn sentences_of_documents_are_short() {
    let of = |(path, text): &(String, String)| {
        let long = prose::long_sentences(text, of_document);
        long.into_iter().map(|(line, said)| format!("{path}:{line}: {said}")).collect::<Vec<String>>()
    };
    let long: Vec<String> = documents().iter().flat_map(of).collect();
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn nothing_is_a_stub_or_a_test_double() {
    none(stubs);
}

/// The counts of docs/architecture.md: `cargo test --test architecture -- --ignored --nocapture`.
#[test]
#[ignore = "prints, and cannot fail"]
fn counts() {
    let mut lines: Vec<usize> =
        FILES.iter().flat_map(|file| &file.functions).map(|function| function.lines).collect();
    lines.sort_unstable();
    let at = |percent: usize| lines[lines.len() * percent / 100];
    let uses = |one: &str, other: &str| {
        let path = format!("crate::{other}");
        FILES
            .iter()
            .filter(|file| file.room == one)
            .any(|file| file.paths.iter().any(|used| *used == path || used.starts_with(&format!("{path}::"))))
    };
    let pairs =
        FLOORS.iter().enumerate().flat_map(|(i, one)| FLOORS[i + 1..].iter().map(move |other| (one, other)));
    let circles = pairs.filter(|(one, other)| uses(one, other) && uses(other, one)).count();
    let sum = |count: fn(&File) -> usize| FILES.iter().map(count).sum::<usize>();
    let bools = |file: &File| file.functions.iter().filter(|function| function.bools > 0).count();
    let shapes = |file: &File| file.text.matches("std::error::Error for ").count();
    let tuples =
        |file: &File| file.text.matches(", Errno)>").count() + file.text.matches("Option<Errno>)>").count();
    println!("files                              {}", FILES.len());
    println!("lines of code                      {}", sum(|file| file.lines));
    println!("lines of comments                  {}", sum(|file| file.comments));
    println!("functions                          {}", lines.len());
    println!("their lines, median, 9 of 10, most {} {} {}", at(50), at(90), lines[lines.len() - 1]);
    println!("longest file                       {}", FILES.iter().map(|file| file.lines).max().unwrap());
    println!("rooms that use each other          {circles}");
    println!("types of error                     {}", sum(shapes));
    println!("results with an errno in a tuple   {}", sum(tuples));
    println!("functions with a bool parameter    {}", sum(bools));
    println!("comments wider than {} columns    {}", source::COMMENT_COLUMNS, sum(|file| file.wide.len()));
    println!("uses of unsafe                     {}", sum(|file| file.unsafety));
}

/// What `rule` says of a file at `name` with this text.
fn said(rule: fn(&File) -> Vec<String>, name: &str, text: &str) -> Vec<String> {
    rule(&source::read((name.into(), text.into())))
}

#[test]
fn every_way_up_is_caught() {
    for (name, text) in [
        ("sys/fs.rs", "use crate::config;"),
        ("sys/fs.rs", "use super::super::config::Config;"),
        ("sys/fs.rs", "fn f() { crate::plan::create(); }"),
        ("sys/fs.rs", "fn f() -> super::super::plan::Plan { todo() }"),
        ("sys/mod.rs", "fn f() { super::config::load(); }"),
        ("child/mod.rs", "use crate::{sys::fs, plan::{Step}, parent};"),
        ("config/mod.rs", "fn f() { assert!(crate::plan::x().is_some()); }"),
        ("log.rs", "mod inner { use super::super::parent; }"),
        ("child/mod.rs", "use crate::host;"),
        ("cgroup/mod.rs", "#[cfg(test)] mod tests {} use crate::parent;"),
        ("attic.rs", ""),
    ] {
        assert_eq!(said(climbs, name, text).len(), 1, "{name}: {text}");
    }
    for (name, text) in [
        (
            "child/mod.rs",
            "use crate::plan::Step; use super::config::Hook; mod inner { use super::super::sys; }",
        ),
        ("sys/fs.rs", "#[cfg(test)] mod tests { use crate::config; }"),
        ("sys/fs.rs", "use self::inner::x; use super::Errno;"),
    ] {
        assert_eq!(said(climbs, name, text), [""; 0], "{name}: {text}");
    }
}

#[test]
fn every_impurity_is_caught() {
    for text in [
        "use std::{fs, fmt};",
        "fn f() { std::env::var(\"HOME\"); }",
        "use std::time::SystemTime as Clock;",
        "fn f() { nix::unistd::getpid(); }",
        "use crate::host::{Host, read};",
        "fn f() { crate::host::read(\"/etc/passwd\"); }",
        "use crate::sys::mount::{Change, Reach, mount_setattr};",
        "use crate::sys::mount;",
        "fn f() { println!(\"{}\", std::process::id()); }",
        "fn f() { libc::getpid(); }",
    ] {
        assert_eq!(said(impurities, "plan/create.rs", text).len(), 1, "{text}");
    }
    let data = "use crate::host::Host; use crate::sys::mount::{Change, attr}; use std::path::Path; const A: u64 = libc::MS_RDONLY;";
    assert_eq!(said(impurities, "plan/create.rs", data), [""; 0]);
}

#[test]
fn every_unsafe_is_caught() {
    for text in [
        "fn f() { unsafe { g() } }",
        "unsafe fn f() {}",
        "unsafe impl Send for X {}",
        "#![allow(unsafe_code)]",
        "impl X { unsafe fn f() {} }",
        "fn f() { assert!(unsafe { g() }); }",
        "#[cfg(test)] mod tests {} fn f() { unsafe { g() } }",
    ] {
        assert_eq!(said(unsafety, "parent/mod.rs", text).len(), 1, "{text}");
        assert_eq!(said(unsafety, "sys/mod.rs", text), [""; 0]);
    }
    assert_eq!(said(specification, "plan/mod.rs", "use oci_spec::runtime;").len(), 1);
    assert_eq!(said(specification, "plan/mod.rs", "fn f(x: oci_spec::runtime::Spec) {}").len(), 1);
}

#[test]
fn every_kind_of_function_is_measured() {
    let body = |lines: usize| format!("{{\n{}}}", "    g();\n".repeat(lines - 2));
    for head in [
        "fn f()",
        "pub(in crate::parent) fn f()",
        "const fn f()",
        "pub(crate) async fn f()",
        "extern \"C\" fn f()",
    ] {
        assert_eq!(said(sizes, "parent/mod.rs", &format!("{head} {}", body(60))), [""; 0], "{head}");
        assert_eq!(said(sizes, "parent/mod.rs", &format!("{head} {}", body(61))).len(), 1, "{head}");
        assert_eq!(
            said(sizes, "parent/mod.rs", &format!("impl X {{ {head} {} }}", body(61))).len(),
            1,
            "{head}"
        );
    }
    assert_eq!(said(sizes, "parent/mod.rs", &format!("trait X {{ fn f() {} }}", body(61))).len(), 1);
    assert_eq!(said(sizes, "parent/mod.rs", &format!("fn f() {{ fn g() {} }}", body(61))).len(), 2);
    assert_eq!(said(sizes, "parent/mod.rs", "fn f(a: A, b: B, c: C, d: D, e: E, f: F, g: G) {}").len(), 1);
    assert_eq!(said(sizes, "parent/mod.rs", "pub(super) fn f(is_x: bool) {}").len(), 1);
    assert_eq!(said(sizes, "parent/mod.rs", "fn f(is_x: bool) {}"), [""; 0]);
    assert_eq!(said(sizes, "parent/mod.rs", &"const A: u8 = 1;\n".repeat(501)).len(), 1);
    let constants = |count: usize| "const A: u8 = 1;\n".repeat(count);
    let with_tests = format!("{}#[cfg(test)]\nmod tests {{\n{}}}", constants(500), constants(90));
    assert_eq!(said(sizes, "parent/mod.rs", &with_tests), [""; 0]);
}

#[test]
fn every_stub_is_caught() {
    for text in [
        "fn f() { todo!() }",
        "fn f() { unimplemented!(\"x\") }",
        "fn f() { if cfg!(test) {} }",
        "#[cfg(feature = \"mock\")] fn f() {}",
    ] {
        assert_eq!(said(stubs, "parent/mod.rs", text).len(), 1, "{text}");
    }
}
