//! What an update does to the cgroup of a container that is there already.

use super::resources::{self, Check, Write};
use super::systemd::{self, Property};
use super::{Planned, Unit, devices};
use crate::config::Invalid;
use crate::config::update::{Asked, Current};
use std::fmt::{self, Display, Formatter};

/// All that will be done to change the limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// What must hold before.
    pub check: Option<Check>,
    /// The controllers that the writes need, each with a field that asks for it.
    pub controllers: Vec<Planned<String>>,
    /// The writes, in order.
    pub writes: Vec<Write>,
    /// What systemd is told of it, if the cgroup is a scope.
    pub properties: Vec<Planned<Property>>,
    /// The device filter to attach in place of the one that is there; an empty one allows
    /// everything.
    pub filter: Option<Vec<u64>>,
}

/// Decide all that is done for what is `asked` of a cgroup in which `current` is in force. `unit`
/// is the scope that it is, if it is one.
pub fn update(asked: &Asked, current: &Current, unit: Option<&Unit>) -> Result<Update, Invalid> {
    let rounded = unit.map(|_| systemd::rounded(&asked.resources));
    let resources = rounded.as_ref().unwrap_or(&asked.resources);
    let writes = resources::writes(resources);
    let filter = asked.device_rules.as_ref().map(|rules| devices::compile(rules)).transpose()?;
    Ok(Update {
        check: resources::check(resources),
        properties: unit.map(|_| systemd::changes(resources, current.weight)).unwrap_or_default(),
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
        for property in &self.properties {
            writeln!(f, "tell systemd {}    # {}", property.step, property.field)?;
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
