//! What is recorded of a container's cgroup, to find it again and to remove it.

use super::{Cgroup, Owner, rmdir, systemd};
use crate::plan::{CgroupDriver, Unit};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A container's cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its path on the host.
    pub path: PathBuf,
    /// How many of the last directories of that path were made for it.
    pub depth: usize,
    /// What it is marked with. None in what an earlier version has recorded, which is found by its
    /// path alone.
    #[serde(default)]
    pub owner: Option<Owner>,
    /// The scope that it is, where systemd made it.
    #[serde(default)]
    pub unit: Option<Unit>,
}

impl Record {
    /// Who made the cgroup of a container that has this record of it, if any.
    pub fn driver(record: Option<&Record>) -> CgroupDriver {
        match record {
            None => CgroupDriver::Disabled,
            Some(Record { unit: Some(_), .. }) => CgroupDriver::Systemd,
            Some(_) => CgroupDriver::Cgroupfs,
        }
    }

    /// Open it; none if it is gone, or another container's by now.
    pub fn open(&self) -> Result<Option<Cgroup>> {
        let Some(cgroup) = Cgroup::open(&self.path)? else { return Ok(None) };
        let Some(owner) = &self.owner else { return Ok(Some(cgroup)) };
        let ours = cgroup.is_of(owner).with_context(|| format!("fgetxattr {}", self.path.display()))?;
        Ok(ours.then_some(cgroup))
    }

    /// Kill what is in it, and remove what was made for it. Of what is another container's by now
    /// nothing is touched.
    pub fn remove(&self) -> Result<()> {
        let Some(cgroup) = self.open()? else {
            // A `create` that was killed before it could mark it has left it empty.
            if self.depth > 0 {
                let _ = rmdir(&self.path);
            }
            return match (&self.unit, Cgroup::open(&self.path)?) {
                (Some(unit), None) => systemd::stop(unit),
                _ => Ok(()),
            };
        };
        cgroup.remove(self.depth)?;
        if let Some(unit) = &self.unit {
            systemd::stop(unit)?;
            // It is systemd's to remove, but that may be a moment later.
            let _ = rmdir(&self.path);
        }
        Ok(())
    }
}
