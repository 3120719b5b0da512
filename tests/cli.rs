//! The command line without root: exit statuses, what goes to which stream, files that are written.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]
#![allow(clippy::disallowed_methods, reason = "the program under test is a child")]

use std::path::PathBuf;
use std::process::{Command, Output};

fn knarr(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_knarr")).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An empty folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

#[test]
fn exit_statuses_and_streams() {
    let root = folder("cli-root");
    let root = root.to_str().unwrap();
    // Arguments, exit status, a part of standard output, a part of standard error. Empty: nothing
    // there.
    let table: [(&[&str], i32, &str, &str); 32] = [
        (&[], 0, "Usage: knarr", ""),
        (&["--help"], 0, "Usage: knarr", ""),
        (&["create", "--help"], 0, "--console-socket", ""),
        (&["--version"], 0, "knarr version ", ""),
        (&["-v"], 0, "spec: 1.3.0", ""),
        (&["--frob"], 1, "", "--frob"),
        (&["frob"], 1, "", "knarr: unknown command frob\n"),
        (&["help"], 0, "Usage: knarr", ""),
        (&["help", "create"], 0, "--console-socket", ""),
        (&["version"], 0, "knarr version ", ""),
        (&["stop", "c1"], 1, "", "unknown command stop: `kill` sends a signal"),
        (&["delte", "c1"], 1, "", "unknown command delte: did you mean delete?"),
        (&["run", "--detahc", "c1"], 1, "", "unknown option --detahc: did you mean --detach?"),
        (
            &["exec", "-it", "c1", "sh"],
            255,
            "",
            "knarr: exec: unknown option -i: standard input is passed on",
        ),
        (&["--log", "journald:c1", "list"], 1, "", "knarr does not write to journald"),
        (&["--root", root, "--log-level", "error", "list"], 0, "ID ", ""),
        (&["state"], 1, "", "ID"),
        (&["--root", root, "state", "none"], 1, "", "container does not exist"),
        (&["--root", root, "kill", "none"], 1, "", "container does not exist"),
        (&["--root", root, "start", "none"], 1, "", "container does not exist"),
        (&["--root", root, "delete", "none"], 1, "", "container does not exist"),
        (&["--root", root, "delete", "--force", "none"], 0, "", ""),
        (&["--root", root, "pause", "none"], 1, "", "pause none: container does not exist"),
        (&["--root", root, "resume", "none"], 1, "", "resume none: container does not exist"),
        (&["--root", root, "ps", "none", "-o", "pid"], 1, "", "ps none: container does not exist"),
        (&["--root", root, "events", "none", "--stats"], 1, "", "events none: container does not exist"),
        (&["--root", root, "events", "none", "--interval=1x"], 1, "", "not a time like 5s"),
        (
            &["--root", root, "update", "none", "--memory", "64M"],
            1,
            "",
            "update none: container does not exist",
        ),
        (&["--root", root, "update", "none", "--memory=64X"], 1, "", "not a size like 64M"),
        (&["--root", root, "state", "../x"], 1, "", "invalid id format"),
        (&["--root", root, "list"], 0, "ID ", ""),
        (&["--root", root, "--rootless", "false", "list", "--format", "json"], 0, "[]", ""),
    ];
    for (args, status, out, err) in table {
        let output = knarr(args);
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(status), "{args:?}: {stdout}{stderr}");
        assert!(stdout.contains(out) && (!out.is_empty() || stdout.is_empty()), "{args:?}: stdout {stdout}");
        assert!(stderr.contains(err) && (!err.is_empty() || stderr.is_empty()), "{args:?}: stderr {stderr}");
    }
}

#[test]
fn the_version_is_in_the_form_that_engines_parse() {
    let version = text(&knarr(&["--version"]).stdout);
    assert_eq!(version.lines().next().unwrap(), format!("knarr version {}", env!("CARGO_PKG_VERSION")));
    // Where the build was told: `commit: HASH`, which Docker shows.
    let commit = version.lines().find_map(|line| line.strip_prefix("commit: "));
    assert_eq!(commit, option_env!("KNARR_COMMIT"));
}

#[test]
fn spec_writes_a_config_once_and_plan_reads_it() {
    let bundle = folder("cli-spec");
    let bundle = bundle.to_str().unwrap();
    assert!(knarr(&["spec", "--bundle", bundle]).status.success());
    let again = knarr(&["spec", "--bundle", bundle]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("exists; remove it first"), "{}", text(&again.stderr));
    let plan = knarr(&["plan", bundle, "--id", "web"]);
    assert!(text(&plan.stdout).starts_with("container web"), "{}", text(&plan.stderr));
}

#[test]
fn spec_takes_what_people_change_first() {
    let bundle = folder("cli-spec-changes");
    let args = ["--no-terminal", "--writable", "--", "echo", "--hi"];
    assert!(knarr(&[&["spec", "--bundle", bundle.to_str().unwrap()], &args[..]].concat()).status.success());
    let text = std::fs::read_to_string(bundle.join("config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(config["process"]["args"], serde_json::json!(["echo", "--hi"]));
    let default: serde_json::Value = serde_json::from_str(knarr::template::spec::DEFAULT).unwrap();
    for place in ["/process/args", "/process/terminal", "/root/readonly"] {
        let changed = config.pointer(place).unwrap().clone();
        assert_ne!(&changed, default.pointer(place).unwrap(), "{place}");
        *config.pointer_mut(place).unwrap() = default.pointer(place).unwrap().clone();
    }
    assert_eq!(config, default, "nothing else is changed");
}

#[test]
fn fields_that_nobody_knows_are_named_with_what_was_meant() {
    let bundle = folder("cli-unknown");
    let at = bundle.to_str().unwrap();
    std::fs::create_dir(bundle.join("rootfs")).unwrap();
    let config = |change: fn(&mut serde_json::Value)| {
        let mut config = serde_json::from_str(knarr::template::spec::DEFAULT).unwrap();
        change(&mut config);
        std::fs::write(bundle.join("config.json"), config.to_string()).unwrap();
    };
    let rename = |config: &mut serde_json::Value, object: &str, from: &str, to: &str| {
        let members = config.pointer_mut(object).unwrap().as_object_mut().unwrap();
        let value = members.remove(from).unwrap();
        members.insert(to.into(), value);
    };
    config(|config| config["linux"]["frob"] = 1.into());
    let plan = knarr(&["plan", at]);
    assert!(plan.status.success());
    assert_eq!(text(&plan.stderr), "knarr: warning: linux.frob: unknown field, ignored\n");
    let check = text(&knarr(&["check", "--bundle", at]).stdout);
    assert!(check.contains("linux.frob: unknown field"), "{check}");

    let mut spec = serde_json::from_str(knarr::template::spec::DEFAULT).unwrap();
    rename(&mut spec, "/process", "args", "argz");
    rename(&mut spec, "/mounts/0", "destination", "destinatoin");
    std::fs::write(bundle.join("config.json"), spec.to_string()).unwrap();
    let said = text(&knarr(&["plan", at]).stderr);
    assert!(said.contains("mounts[0]: missing field `destination`"), "{said}");
    assert!(
        said.contains("mounts[0].destinatoin: unknown field, ignored; did you mean destination?"),
        "{said}"
    );
    let check = knarr(&["check", "--format", "json", "--bundle", at]);
    let found: serde_json::Value = serde_json::from_slice(&check.stdout).unwrap();
    assert_eq!(found["able"], false);
    assert_eq!(check.status.code(), Some(1));
}

#[test]
fn what_is_no_json_is_told_as_what_it_is() {
    let bundle = folder("cli-json");
    let table = [
        ("{\n  // none\n}", "a comment, which JSON does not have (config.json line 2 column 3)"),
        (
            "\u{feff}{}",
            "begins with a byte order mark, which JSON does not have (config.json line 1 column 1)",
        ),
    ];
    for (config, message) in table {
        std::fs::write(bundle.join("config.json"), config).unwrap();
        let said = text(&knarr(&["plan", bundle.to_str().unwrap()]).stderr);
        assert!(said.contains(message), "{said}");
    }
}

#[test]
fn a_folder_without_a_bundle_says_how_to_make_one() {
    let bundle = folder("cli-none");
    let said = text(&knarr(&["run", "--bundle", bundle.to_str().unwrap(), "c1"]).stderr);
    assert!(said.contains("config.json (`spec` writes one") && said.contains("no such file"), "{said}");
}

#[test]
fn a_failure_is_one_json_record_with_field_and_code() {
    let bundle = folder("cli-log");
    let log = bundle.join("log.json");
    std::fs::write(bundle.join("config.json"), r#"{"ociVersion": "1.0.0", "root": {"path": ""}}"#).unwrap();
    let args = ["--log", log.to_str().unwrap(), "--log-format", "json", "plan", bundle.to_str().unwrap()];
    assert_eq!(knarr(&args).status.code(), Some(1));
    let record: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&log).unwrap()).unwrap();
    assert_eq!(record["level"], "error");
    assert_eq!(record["field"], "root.path");
    assert_eq!(record["code"], "config");
    assert!(record["msg"].as_str().unwrap().ends_with("root.path: empty"), "{record}");
    assert!(record["time"].as_str().unwrap().ends_with('Z'), "{record}");
}

#[test]
fn a_wrong_command_line_is_a_record_too() {
    let folder = folder("cli-usage");
    let log = folder.join("log.json");
    let table: [(&[&str], &str); 4] = [
        (&["create", "--frob", "c1"], "create: unknown option --frob"),
        (&["state"], "state: the following required arguments were not provided: <ID>"),
        (&["frob"], "unknown command frob"),
        (&["kill", "c1", "KILL", "9"], "kill: unexpected argument 9"),
    ];
    for (args, message) in table {
        let _ = std::fs::remove_file(&log);
        let global = ["--log", log.to_str().unwrap(), "--log-format=json"];
        assert_eq!(knarr(&[&global, args].concat()).status.code(), Some(1), "{args:?}");
        let record: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(&log).unwrap()).unwrap();
        assert_eq!(record["level"], "error");
        assert_eq!(record["msg"], message);
    }
}

#[test]
fn options_are_read_as_by_go() {
    let root = folder("cli-go");
    let root = root.to_str().unwrap();
    let equals = format!("-root={root}");
    // Arguments, exit status, a part of both streams.
    let table: [(&[&str], i32, &str); 20] = [
        (&["-root", root, "list", "-format", "json"], 0, "[]"),
        (&[&equals, "list", "-format=json"], 0, "[]"),
        (
            &["--debug=true", "--systemd-cgroup=false", "--root", root, "list", "--quiet=0", "-f=json"],
            0,
            "[]",
        ),
        (&["--root", root, "--debug=maybe", "list"], 1, "maybe"),
        (&["--root", root, "delete", "-force", "none"], 0, ""),
        (&["--root", root, "delete", "--force=F", "none"], 1, "does not exist"),
        (&["--root", root, "kill", "-all=true", "none"], 1, "kill none: container does not exist"),
        (&["--log=", "--criu", "", "--root", root, "list"], 0, "ID "),
        (
            &["--root", root, "create", "--pid-file", "", "--console-socket=", "-bundle", "/dev", "a"],
            1,
            "/dev/config",
        ),
        (&["--root", root, "update", "--resources", "", "--memory=1M", "none"], 1, "does not exist"),
        // An empty limit is no limit that anybody can have meant.
        (&["--root", root, "update", "--memory=", "none"], 1, "not a size"),
        (&["--root", root, "kill", "none", ""], 1, "kill none: container does not exist"),
        (&["-frob", "list"], 1, "unknown option -f"),
        (&["list", "-frob"], 1, "-f"),
        // What comes after the id of ps and of exec, or after --, is not ours.
        (&["-root", root, "ps", "none", "-format", "--quiet=0"], 1, "ps none: container does not exist"),
        (&["-root", root, "exec", "none", "-format", "--tty=false"], 255, "none: container does not exist"),
        (&["-root", root, "state", "--", "-root"], 1, "state -root: container does not exist"),
        (&["--root", root, "run", "-b", "/dev", "--", "a"], 1, "run a: /dev/config.json"),
        (&["--root", root, "run", "-b", "/dev", "a", "true"], 1, "--host-root"),
        (
            &["--root", root, "run", "-no-subreaper", "-bundle=/dev", "-detach", "a"],
            1,
            "run a: /dev/config.json",
        ),
    ];
    for (args, status, part) in table {
        let output = knarr(args);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{args:?}: {said}");
        assert!(said.contains(part), "{args:?}: {said}");
    }
}

#[test]
fn the_program_is_static() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_knarr")).unwrap();
    let number = |at: usize, length: usize| {
        program[at..at + length].iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte))
    };
    // ELF of 64 bits: the program headers' place, size and number; the type of each.
    let (place, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    let kinds: Vec<usize> = (0..count).map(|header| number(place + header * size, 4)).collect();
    const PT_LOAD: usize = 1;
    const PT_INTERP: usize = 3;
    assert!(kinds.contains(&PT_LOAD) && !kinds.contains(&PT_INTERP), "{kinds:?}");
}
