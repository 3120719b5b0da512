//! What is recorded of a container's cgroup, to find it again and to remove it.

use super::{Cgroup, rmdir, systemd};
use crate::plan::Unit;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A container's cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its path on the host.
    pub path: PathBuf,
    /// How many of the last directories of that path were made for it.
    pub depth: usize,
    /// The scope that it is, where systemd made it.
    #[serde(default)]
    pub unit: Option<Unit>,
}

impl Record {
    /// Open it; none if it is gone.
    pub fn open(&self) -> Result<Option<Cgroup>> {
        Cgroup::open(&self.path)
    }

    /// Kill what is in it, and remove what was made for it.
    pub fn remove(&self) -> Result<()> {
        if let Some(cgroup) = self.open()? {
            cgroup.remove(self.depth)?;
        }
        if let Some(unit) = &self.unit {
            systemd::stop(unit)?;
            // It is systemd's to remove, but that may be a moment later.
            let _ = rmdir(&self.path);
        }
        Ok(())
    }
}
