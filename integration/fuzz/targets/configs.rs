//! What knarr is configured by, and what it keeps of it: an error or a plan, never a panic.

use knarr::config::Options;
use knarr::config::{self, load};
use knarr::host::{Host, IdRanges};
use knarr::plan::{self, CgroupDriver, Keyring, Pivot, Request, Start};
use knarr::state::State;
use std::path::Path;

/// config.json.
pub fn config(text: &[u8]) {
    let Ok(loaded) = config::load(text, Path::new("/bundle")) else { return };
    let known = knarr::capability::Set::from_bits((1 << 41) - 1);
    let host = |uid, empty_mounts| Host {
        cgroup_root: "/sys/fs/cgroup".into(),
        own_cgroup: "/user/shell".into(),
        delegated: false,
        uid,
        is_root: uid == 0,
        known_capabilities: known,
        bounding: known,
        apparmor: true,
        selinux: true,
        empty_mounts,
        id_ranges: IdRanges { nsresourced: uid != 0, ..IdRanges::default() },
    };
    let (cgroupfs, systemd) = (CgroupDriver::Cgroupfs, CgroupDriver::Systemd);
    for (uid, empty_mounts, cgroup_driver) in
        [(0, false, cgroupfs), (0, true, cgroupfs), (1000, false, systemd)]
    {
        let request = Request {
            id: "web".parse().expect("an id"),
            start: Start::OnRequest,
            pivot: Pivot::Root,
            keyring: Keyring::New,
            preserve_fds: 0,
            listen_env: Vec::new(),
            cgroup_driver,
            overlay: None,
            init: false,
            listen: None,
            notify: None,
        };
        if let Ok(plan) = plan::create(&loaded.config, &request, &host(uid, empty_mounts)) {
            assert!(!plan.to_string().is_empty());
        }
    }
}

/// The process of `exec`.
pub fn process(text: &[u8]) {
    let _ = load::load_process(text, "--process", None);
}

/// A record is the same when it is written and read again.
pub fn state(text: &[u8]) {
    let Ok(state) = serde_json::from_slice::<State>(text) else { return };
    let written = serde_json::to_vec(&state).expect("a record can be written");
    assert_eq!(serde_json::from_slice::<State>(&written).expect("what was written can be read"), state);
    assert!(!state.about.json("stopped", None).is_empty());
}

/// The options of a mount, one a line.
pub fn options(text: &[u8]) {
    let options: Vec<String> = String::from_utf8_lossy(text).lines().map(String::from).collect();
    let _ = Options::parse(&options, "mounts[0]");
}
