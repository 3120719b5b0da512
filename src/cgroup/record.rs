//! What is recorded of a container's cgroup, to find it again and to remove it.

use super::Cgroup;
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
}

impl Record {
    /// Open it; none if it is gone.
    pub fn open(&self) -> Result<Option<Cgroup>> {
        Cgroup::open(&self.path)
    }

    /// Kill what is in it, and remove what was made for it.
    pub fn remove(&self) -> Result<()> {
        match self.open()? {
            Some(cgroup) => cgroup.remove(self.depth),
            None => Ok(()),
        }
    }
}
