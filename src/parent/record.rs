//! What is written down of a container.

use super::create::CreateOrder;
use crate::cgroup;
use crate::config::{Namespace, Place};
use crate::plan::{HostStep, Keyring};
use crate::state::{About, Agent, State};
use crate::sys::fs;
use anyhow::{Context, Result};
use std::os::fd::AsFd;
use std::path::Path;

/// What is recorded of the container before there is anything of it.
pub(super) fn first_state(order: &CreateOrder<'_>) -> State {
    let about = About {
        oci_version: order.config.oci_version.clone(),
        id: order.plan.id.to_string(),
        bundle: order.bundle.into(),
        annotations: order.config.annotations.clone(),
    };
    let root = &order.host.cgroup_root;
    let cgroup = order.plan.cgroup.as_ref().map(|home| cgroup::Record {
        path: root.join(&home.path),
        depth: if home.unit.is_some() { 0 } else { cgroup::missing(root, &home.path) },
        owner: None,
        unit: home.unit.clone(),
    });
    let mut state = State::new(about, &order.config.root.path, cgroup, &order.config.hooks);
    state.device_rules.clone_from(&order.config.device_rules);
    let listener = order.config.seccomp.as_ref().and_then(|s| s.listener.clone());
    state.listener = listener.map(|l| Agent { path: l.path, metadata: l.metadata });
    state.recorded.clone_from(&order.recorded);
    state.private_pids = *order.config.namespaces.of(Namespace::Pid) == Place::New;
    state.private_keyring = order.keyring == Keyring::New;
    state.overlay = order.plan.host.iter().find_map(|planned| match &planned.step {
        HostStep::OverlayFolder { path, .. } => Some(path.clone()),
        _ => None,
    });
    state
}

/// Write a pid file: digits only, complete from the moment it is there.
pub(super) fn write_pid_file(path: &Path, pid: i32) -> Result<()> {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> crate::sys::Result<()> {
        let dir = fs::open(parent, fs::O_RDONLY | fs::O_DIRECTORY, 0)?;
        let temporary = format!(".{name}.{}", std::process::id());
        let flags = fs::O_WRONLY | fs::O_CREAT | fs::O_EXCL;
        let fd = fs::openat(dir.as_fd(), &temporary, flags, 0o644)?;
        let written = fs::write_once(fd.as_fd(), pid.to_string().as_bytes())
            .and_then(|()| fs::renameat(dir.as_fd(), &temporary, &name));
        if written.is_err() {
            let _ = fs::unlinkat(dir.as_fd(), &temporary, fs::Unlink::File);
        }
        written
    };
    write().with_context(|| format!("--pid-file {}", path.display()))
}
