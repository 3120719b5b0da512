//! `knarr state`.

use super::Global;
use super::{IdArg, print};
use crate::config::added::{AddedDevice, Written};
use crate::state::{Container, State, Status};
use anyhow::{Context, Result};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The state as it is printed: runtime.md: State, and what engines expect beside it.
#[derive(Debug, Serialize)]
pub(super) struct Shown<'a> {
    #[serde(rename = "ociVersion")]
    oci_version: &'a str,
    pub(super) id: &'a str,
    pub(super) pid: i32,
    pub(super) status: Status,
    pub(super) bundle: &'a Path,
    rootfs: &'a Path,
    pub(super) created: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
    pub(super) owner: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup: Option<&'a Path>,
    #[serde(rename = "systemd-scope", skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    overlay: Option<&'a Path>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mounts: Vec<&'a Written>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    devices: Vec<Device<'a>>,
    #[serde(flatten)]
    pub(super) past: &'a Past,
}

/// What is known of a container's time.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Past {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) started: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_status: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exited: Option<String>,
}

impl Past {
    pub(super) fn of(container: &Container, status: Status) -> Past {
        let started = match status {
            Status::Creating | Status::Created => None,
            Status::Running | Status::Paused | Status::Stopped => container.started(),
        };
        let ended = if status == Status::Stopped { container.ended() } else { None };
        Past { started, exit_status: ended.as_ref().map(|e| e.status), exited: ended.and_then(|e| e.at) }
    }
}

impl<'a> Shown<'a> {
    pub(super) fn of(state: &'a State, status: Status, owner: &'a str, past: &'a Past) -> Shown<'a> {
        let (about, cgroup) = (&state.about, state.cgroup.as_ref());
        Shown {
            oci_version: &about.oci_version,
            id: &about.id,
            pid: if status == Status::Stopped { 0 } else { state.pid },
            status,
            bundle: &about.bundle,
            rootfs: &state.rootfs,
            created: &state.created,
            annotations: &about.annotations,
            owner,
            cgroup: cgroup.map(|record| record.path.as_path()),
            scope: cgroup.and_then(|record| record.unit.as_ref()).map(|unit| unit.name.as_str()),
            overlay: state.overlay.as_deref(),
            mounts: state.mounts.iter().map(|added| &added.written).collect(),
            past,
            devices: state.devices.iter().map(Device::of).collect(),
        }
    }
}

/// A device that was added.
#[derive(Debug, Serialize)]
struct Device<'a> {
    path: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    major: u32,
    minor: u32,
    access: String,
}

impl<'a> Device<'a> {
    fn of(added: &'a AddedDevice) -> Device<'a> {
        let crate::config::Device { path, kind, major, minor, .. } = &added.node;
        let kind = if *kind == libc::S_IFBLK { "b" } else { "c" };
        Device { path, kind, major: *major, minor: *minor, access: added.access.letters() }
    }
}

/// Print the container's state.
pub fn run(args: &IdArg, global: &Global) -> Result<u8> {
    let text = || -> Result<String> {
        let container = global.store().open(&args.id.parse()?)?;
        let status = container.status()?;
        let past = Past::of(&container, status);
        let shown = Shown::of(&container.state, status, "", &past);
        Ok(format!("{}\n", serde_json::to_string_pretty(&shown)?))
    };
    print(&text().with_context(|| format!("state {}", args.id.escape_debug()))?)
}
