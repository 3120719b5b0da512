//! Any bytes as config.json: an error or a plan, never a panic.

#![no_main]

use knarr::config;
use knarr::host::Host;
use knarr::plan::{self, CgroupDriver, Keyring, Pivot, Request, Start};
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|text: &[u8]| {
    let Ok(loaded) = config::load(text, Path::new("/bundle")) else { return };
    let known = (1 << 41) - 1;
    let host = |uid| Host {
        cgroup_root: "/sys/fs/cgroup".into(),
        own_cgroup: "/user/shell".into(),
        delegated: false,
        uid,
        is_root: uid == 0,
        known_capabilities: known,
        bounding: known,
        apparmor: true,
        selinux: true,
    };
    for (uid, cgroup_driver) in [(0, CgroupDriver::Cgroupfs), (1000, CgroupDriver::Systemd)] {
        let request = Request {
            id: "web".into(),
            start: Start::OnRequest,
            pivot: Pivot::Root,
            keyring: Keyring::New,
            preserve_fds: 0,
            listen_env: Vec::new(),
            cgroup_driver,
            overlay: None,
            init: false,
            notify: None,
        };
        if let Ok(plan) = plan::create(&loaded.config, &request, &host(uid)) {
            assert!(!plan.to_string().is_empty());
        }
    }
});
