//! What an update does to the cgroup of a container that is there already.

use super::resources::{self, Check, Write};
use super::{Planned, devices};
use crate::config::Invalid;
use crate::config::resources::Limit;
use crate::config::update::Asked;
use std::fmt::{self, Display, Formatter};

/// What is in force, as far as new values depend on it: asked of the kernel, so that it is right whoever set it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Current {
    /// The quota of cpu.max.
    pub quota_us: Option<Limit>,
    /// Its period.
    pub period_us: Option<u64>,
    /// memory.max.
    pub memory: Option<Limit>,
}

/// All that will be done to change the limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// What must hold before.
    pub check: Option<Check>,
    /// The controllers that the writes need, each with a field that asks for it.
    pub controllers: Vec<Planned<String>>,
    /// The writes, in order.
    pub writes: Vec<Write>,
    /// The device filter to attach in place of the one that is there; an empty one allows everything.
    pub filter: Option<Vec<u64>>,
}

/// Decide all that is done for what is `asked`.
pub fn update(asked: &Asked) -> Result<Update, Invalid> {
    let writes = resources::writes(&asked.resources);
    let filter = asked.device_rules.as_ref().map(|rules| devices::compile(rules)).transpose()?;
    Ok(Update {
        check: resources::check(&asked.resources),
        controllers: resources::controllers(&writes),
        writes,
        filter: filter.map(Option::unwrap_or_default),
    })
}

impl Display for Update {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(check) = &self.check {
            writeln!(f, "check {check}    # {}", check.field)?;
        }
        let names: Vec<&str> = self.controllers.iter().map(|controller| controller.step.as_str()).collect();
        if !names.is_empty() {
            writeln!(f, "enable {}", names.join(" "))?;
        }
        for write in &self.writes {
            writeln!(f, "limit {write}    # {}", write.field)?;
        }
        match self.filter.as_deref() {
            None => Ok(()),
            Some([]) => writeln!(f, "no device filter    # linux.resources.devices"),
            Some(insns) => {
                writeln!(f, "device filter of {} instructions    # linux.resources.devices", insns.len())
            }
        }
    }
}
