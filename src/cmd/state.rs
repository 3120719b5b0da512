//! `knarr state`.

use super::Global;
use super::{IdArg, print};
use crate::state::{State, Status};
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
}

impl<'a> Shown<'a> {
    pub(super) fn of(state: &'a State, status: Status, owner: &'a str) -> Shown<'a> {
        let about = &state.about;
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
        }
    }
}

/// Print the container's state.
pub fn run(args: &IdArg, global: &Global) -> Result<u8> {
    let text = || -> Result<String> {
        let container = global.store().open(&args.id.parse()?)?;
        let shown = Shown::of(&container.state, container.status()?, "");
        Ok(format!("{}\n", serde_json::to_string_pretty(&shown)?))
    };
    print(&text().with_context(|| format!("state {}", args.id.escape_debug()))?)
}
