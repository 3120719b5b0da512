//! A container's cgroup as a scope of systemd.

use crate::cgroup::systemd;
use crate::cgroup::{self, Cgroup};
use crate::fault::{Fault, Refusal};
use crate::placeholder::Placeholder;
use crate::plan::systemd::{Property, Scope};
use crate::plan::{Planned, Unit};
use anyhow::{Result, anyhow};
use std::path::Path;

/// A scope whose place is held for init.
pub(super) struct Started<'a> {
    asked: &'a Scope,
    holder: Placeholder,
}

impl<'a> Started<'a> {
    /// Let systemd make the scope, at `path`. What is there without systemd's knowledge, it would
    /// take over as it is.
    pub(super) fn start(asked: &'a Scope, path: &Path) -> Result<Started<'a>> {
        if let Err(refused) = cgroup::refuse_taken(path) {
            let call = format!("systemd: start {}: {}", asked.unit.name, crate::log::message(&refused));
            return Err(Refusal::message(call).of("linux.cgroupsPath").into());
        }
        Ok(Started { asked, holder: systemd::start(asked)? })
    }

    /// Open the cgroup that it is, which should be at `path`.
    pub(super) fn cgroup(&self, path: &Path) -> Result<Cgroup> {
        let Some(cgroup) = Cgroup::open(path)? else {
            let name = &self.asked.unit.name;
            return Err(anyhow!("systemd has made {name}, but not as the cgroup {}", path.display()));
        };
        Ok(cgroup)
    }

    /// Init is in it: in `cgroup`.
    pub(super) fn settle(self, cgroup: &Cgroup) -> Result<()> {
        drop(self.holder);
        Ok(tell(&self.asked.unit, &self.asked.later, cgroup)?)
    }
}

/// Tell systemd of limits that are in force. systemd writes values of its own beside them, in whose
/// place those of before are put back.
pub(super) fn tell(unit: &Unit, properties: &[Planned<Property>], cgroup: &Cgroup) -> Result<(), Fault> {
    if properties.is_empty() {
        return Ok(());
    }
    let held = cgroup.held();
    systemd::set(unit, properties)?;
    cgroup.hold(&held).map_err(|refusal| refusal.of("linux.resources"))
}
