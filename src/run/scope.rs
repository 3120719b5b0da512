//! A container's cgroup as a scope of systemd.

use super::StepFault;
use crate::cgroup::Cgroup;
use crate::cgroup::systemd::{self, Denied, Holder};
use crate::plan::systemd::Scope;
use anyhow::{Result, anyhow};
use std::path::Path;

/// A scope whose place is held for init.
pub(super) struct Started<'a> {
    asked: &'a Scope,
    holder: Holder,
}

impl<'a> Started<'a> {
    /// Let systemd make the scope.
    pub(super) fn start(asked: &'a Scope) -> Result<Started<'a>> {
        Ok(Started { asked, holder: systemd::start(asked).map_err(StepFault::from)? })
    }

    /// Open the cgroup that it is, which should be at `path`.
    pub(super) fn cgroup(&self, path: &Path) -> Result<Cgroup> {
        let Some(cgroup) = Cgroup::open(path)? else {
            let name = &self.asked.unit.name;
            return Err(anyhow!("systemd has made {name}, but not as the cgroup {}", path.display()));
        };
        Ok(cgroup)
    }

    /// Init is in it.
    pub(super) fn settle(self) -> Result<()> {
        drop(self.holder);
        systemd::set(&self.asked.unit, &self.asked.later).map_err(StepFault::from)?;
        Ok(())
    }
}

impl From<Denied> for StepFault {
    fn from(denied: Denied) -> StepFault {
        StepFault::new(&denied.field, denied.call, None)
    }
}
