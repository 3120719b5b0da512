//! The plan of sandboxes, of root and of an ordinary user, against golden texts in
//! `tests/plans/sandbox/`. `UPDATE_PLANS=1 cargo test --test sandbox` writes them anew.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use knarr::config::{self, Upper};
use knarr::host::{Host, IdRanges};
use knarr::plan::{self, CgroupDriver, Keyring, Pivot, Request, Start};
use knarr::template::sandbox::places::{Access, Kind, Node, Placed};
use knarr::template::sandbox::view::Part;
use knarr::template::sandbox::{self, Caller, Limits, Network, Sandbox, Strictness};
use std::path::Path;

fn plan_of(sandbox: &Sandbox<'_>, overlay: Option<Upper>) -> String {
    let known = knarr::capability::Set::from_bits((1 << 41) - 1);
    let is_root = sandbox.caller == Caller::Root;
    let host = Host {
        cgroup_root: "/sys/fs/cgroup".into(),
        own_cgroup: "/user/shell".into(),
        delegated: false,
        uid: if is_root { 0 } else { 1000 },
        is_root,
        known_capabilities: known,
        bounding: known,
        apparmor: true,
        selinux: true,
        empty_mounts: false,
        id_ranges: IdRanges::default(),
    };
    let request = Request {
        id: "box".parse().unwrap(),
        start: Start::AtOnce,
        pivot: Pivot::Root,
        keyring: Keyring::New,
        preserve_fds: 0,
        listen_env: Vec::new(),
        cgroup_driver: CgroupDriver::Cgroupfs,
        overlay,
        init: false,
        listen: is_root.then_some(3128),
        notify: None,
    };
    let text = sandbox::config(sandbox).unwrap();
    let loaded = config::load(text.as_bytes(), Path::new("/")).unwrap();
    plan::create(&loaded.config, &request, &host).unwrap().to_string()
}

fn placed(path: &str, kind: Kind) -> Placed {
    Placed { path: path.into(), kind, option: "--option" }
}

fn bind(source: &str, path: &str, access: Access) -> Placed {
    placed(path, Kind::Bind { source: source.into(), access, node: Node::Other })
}

fn places() -> Vec<Placed> {
    vec![
        bind("/home/a/.ssh/known_hosts", "/home/a/.ssh/known_hosts", Access::Read),
        placed("/home/a/.ssh", Kind::HiddenFolder),
        placed("/etc/shadow", Kind::HiddenFile),
        placed("/home/a/.aws", Kind::HiddenFolder),
        bind("/home/a/project", "/home/a/project", Access::Write),
        placed("/home/a/project/target", Kind::Tmpfs),
        placed("/tmp", Kind::Tmpfs),
    ]
}

fn sandbox<'a>(caller: Caller, parts: &'a [Part], placed: &'a [Placed], args: &'a [String]) -> Sandbox<'a> {
    Sandbox {
        args,
        env: &[],
        cwd: "/home/a/project",
        terminal: false,
        caller,
        user: (0, 0),
        network: Network::Own,
        strictness: Strictness::AsDocker,
        limits: Limits { memory: Some(1 << 30), pids: Some(100), cpu_us: Some(150_000) },
        parts,
        placed,
    }
}

#[test]
fn sandboxes_compile_to_their_golden_plans() {
    let (args, placed) = (["make".to_string()], places());
    let layered = |path: &str| Part::Layered(path.into());
    let disks = [layered("/home"), Part::Bound("/boot/efi".into())];
    let folders = [layered("/etc"), layered("/home"), Part::Bound("/bin".into())];
    let user = Caller::User(1000, 1000);
    let cases = [
        ("root", plan_of(&sandbox(Caller::Root, &disks, &placed, &args), None)),
        ("user", plan_of(&sandbox(user, &folders, &placed, &args), Some(Upper::Folder("/kept".into())))),
    ];
    for (name, plan) in cases {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/plans/sandbox/{name}.plan"));
        if std::env::var_os("UPDATE_PLANS").is_some() {
            std::fs::create_dir_all(golden.parent().unwrap()).unwrap();
            std::fs::write(&golden, &plan).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(plan, expected, "{name} differs from its golden text");
    }
}

#[test]
fn the_order_of_options_does_not_matter() {
    let args = ["make".to_string()];
    let mut placed = places();
    let plan = |placed: &[Placed]| plan_of(&sandbox(Caller::Root, &[], placed, &args), None);
    let mounts = |plan: String| {
        let lines =
            plan.lines().map(|line| line.trim_start().split_once(' ').map_or("", |(_, step)| step.trim()));
        let of_home = lines.filter(|line| line.starts_with("mount /home"));
        of_home.map(|line| line.split(['#', ',']).next().unwrap().to_string()).collect::<Vec<_>>()
    };
    let as_given = mounts(plan(&placed));
    placed.reverse();
    assert_eq!(mounts(plan(&placed)), as_given);
    assert_eq!(as_given.len(), 4);
    assert!(as_given[0].contains("/home/a/.ssh"), "{as_given:?}");
}

#[test]
fn a_disk_below_what_is_put_there_is_not_seen() {
    let args = ["make".to_string()];
    let placed = [bind("/src", "/mnt", Access::Read), placed("/opt", Kind::HiddenFolder)];
    let disks = ["/mnt/a", "/opt/b", "/mnt2"].map(|path| Part::Layered(path.into()));
    let plan = plan_of(&sandbox(Caller::Root, &disks, &placed, &args), None);
    assert!(plan.contains("mount /mnt2 overlay"), "{plan}");
    assert!(!plan.contains("/mnt/a") && !plan.contains("/opt/b"), "{plan}");
}
