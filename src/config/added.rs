//! Mounts that are added to a container that is there, in the words of `mounts`.

use super::device_rules::{Access, DeviceKind, DeviceRule};
use super::load::{self, Document};
use super::{Config, Device, Mount, mounts};
use crate::sys::mount::MountId;
use anyhow::Result;
use oci_spec::runtime as oci;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A mount that is asked for: as it was written, and what that means.
#[derive(Debug, Clone)]
pub struct Asked {
    pub mount: Mount,
    pub written: Written,
}

/// A mount as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Absolute, in the container.
    pub destination: String,
    /// Empty where only options tell.
    #[serde(rename = "type")]
    pub kind: String,
    pub source: PathBuf,
    pub options: Vec<String>,
}

/// A mount that was added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    #[serde(flatten)]
    pub written: Written,
    /// By which the kernel knows it.
    pub id: MountId,
}

/// A device that was added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddedDevice {
    /// In the container.
    #[serde(flatten)]
    pub node: Device,
    /// The node on the host.
    pub source: PathBuf,
    /// What the rule allows.
    pub access: Access,
    /// The mount that it is, where it is no node of the container's.
    pub mount: Option<MountId>,
}

impl AddedDevice {
    /// The rule that allows it.
    pub fn rule(&self) -> DeviceRule {
        let Device { kind, major, minor, .. } = self.node;
        let kind = if kind == libc::S_IFBLK { DeviceKind::Block } else { DeviceKind::Char };
        DeviceRule { allow: true, kind, major: Some(major), minor: Some(minor), access: self.access }
    }
}

/// The member of config.json that a file may have the list in.
#[derive(Deserialize)]
struct Within {
    mounts: Vec<oci::Mount>,
}

/// The mounts in `text`: a list like `mounts` of config.json, or an object with that. `file` is its
/// name in errors; a source that is relative begins at `folder`. Beside them, what was tolerated.
pub fn load_mounts(
    text: &[u8],
    file: &str,
    folder: &Path,
    container: &Config,
) -> Result<(Vec<Asked>, Vec<String>)> {
    let is_object = text.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    let document =
        |field| Document { file, field, tolerate: |_: &mut serde_json::Value| -> Vec<String> { Vec::new() } };
    let (list, mut warnings) = if is_object {
        let (within, warnings) = load::parse::<Within>(text, &document(""))?;
        (within.mounts, warnings)
    } else {
        load::parse::<Vec<oci::Mount>>(text, &document("mounts"))?
    };
    load::check_alone(|spec| {
        spec.set_mounts(Some(list.clone()));
    })?;
    let mut asked = Vec::new();
    for (index, given) in list.iter().enumerate() {
        let mount = mounts::resolve(index, given, folder, &container.namespaces, &mut warnings)?;
        let written = Written {
            destination: mount.destination.clone(),
            kind: given.typ().clone().unwrap_or_default(),
            source: given.source().clone().unwrap_or_default(),
            options: given.options().clone().unwrap_or_default(),
        };
        asked.push(Asked { mount, written });
    }
    Ok((asked, warnings))
}
