//! Golden plans: for each `tests/plans/NAME.json`, a config.json, the text of its plan in `tests/plans/NAME.plan`.
//!
//! `UPDATE_PLANS=1 cargo test --test plans` writes the texts anew; read the difference before you commit it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use knarr::config;
use knarr::host::Host;
use knarr::plan::{self, CgroupDriver, Keyring, Pivot, Request, Start};
use std::path::{Path, PathBuf};

fn host() -> Host {
    let known = (1 << 41) - 1;
    Host {
        cgroup_root: "/sys/fs/cgroup".into(),
        own_cgroup: "/user/shell".into(),
        uid: 0,
        known_capabilities: known,
        bounding: known,
        apparmor: true,
        selinux: true,
    }
}

fn request(start: Start) -> Request {
    Request {
        id: "web".into(),
        start,
        pivot: Pivot::Root,
        keyring: Keyring::New,
        preserve_fds: 0,
        listen_env: Vec::new(),
        cgroup_driver: CgroupDriver::Cgroupfs,
    }
}

fn plan_of(text: &str, request: &Request) -> Result<String, String> {
    let loaded = config::load(text.as_bytes(), Path::new("/bundle")).map_err(|e| format!("{e:#}"))?;
    let plan = plan::create(&loaded.config, request, &host()).map_err(|e| e.to_string())?;
    let warnings =
        loaded.warnings.iter().chain(&plan.warnings).map(|warning| format!("warning: {warning}\n"));
    Ok(warnings.collect::<String>() + &plan.to_string())
}

fn configs() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
    files.sort();
    files
}

#[test]
fn every_config_compiles_to_its_golden_plan() {
    let configs = configs();
    assert!(configs.len() >= 5, "the golden configs are gone");
    for path in configs {
        let text = std::fs::read_to_string(&path).unwrap();
        let plan = plan_of(&text, &request(Start::OnRequest))
            .unwrap_or_else(|err| panic!("{}: {err}", path.display()));
        let golden = path.with_extension("plan");
        if std::env::var_os("UPDATE_PLANS").is_some() {
            std::fs::write(&golden, &plan).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(plan, expected, "{} differs from its golden text", path.display());
    }
}

#[test]
fn the_default_spec_is_one_of_the_golden_configs() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans/default.json");
    assert_eq!(std::fs::read_to_string(golden).unwrap(), config::spec::DEFAULT);
}

#[test]
fn requests_change_the_plan() {
    let plan = |change: fn(&mut Request)| {
        let mut request = request(Start::AtOnce);
        change(&mut request);
        plan_of(config::spec::DEFAULT, &request).unwrap()
    };
    let plain = plan(|_| {});
    assert!(!plain.contains("await start") && !plain.contains("listen for start"));
    assert!(plain.contains("pivot_root") && plain.contains("session keyring _ses.web"));
    assert!(plan(|r| r.pivot = Pivot::Move).contains("move root over / and chroot"));
    assert!(!plan(|r| r.keyring = Keyring::Callers).contains("session keyring"));
    assert!(plan(|r| r.preserve_fds = 2).starts_with("container web, descriptors 0 to 4\n"));
    assert!(
        plan(|r| r.cgroup_driver = CgroupDriver::Systemd).contains("cgroup /system.slice/knarr-web.scope")
    );
}
