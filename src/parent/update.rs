//! `update`: new limits for a container that is there.

use super::scope::tell;
use crate::cgroup::{Cgroup, Filters};
use crate::fault::Fault;
use crate::plan::Unit;
use crate::plan::update::Update;
use crate::sys;
use anyhow::{Context, Result};
use std::path::Path;

/// Do what the plan says to `cgroup`, in the tree that is mounted at `root`. If anything is
/// refused, what was changed before it is put back.
pub fn update(cgroup: &Cgroup, unit: Option<&Unit>, root: &Path, plan: &Update) -> Result<()> {
    if let Some(check) = &plan.check {
        cgroup.check(check)?;
    }
    let path = cgroup.path().strip_prefix(root).context("the container's cgroup is in another tree")?;
    cgroup.enable(root, &path.to_string_lossy(), &plan.controllers)?;
    let mut undo = Vec::new();
    change(cgroup, unit, plan, &mut undo).map_err(|cause| take_back(cgroup, undo, cause))
}

fn change(
    cgroup: &Cgroup,
    unit: Option<&Unit>,
    plan: &Update,
    undo: &mut Vec<(String, String)>,
) -> Result<(), Fault> {
    for write in &plan.writes {
        let before = cgroup.before(write);
        cgroup.limit(write)?;
        undo.extend(before);
    }
    // Values that the kernel has taken are told to systemd, which would take them back at its next
    // reload.
    if let Some(unit) = unit {
        tell(unit, &plan.properties, cgroup)?;
    }
    let Some(insns) = &plan.filter else { return Ok(()) };
    cgroup.filter_devices(insns, Filters::Replaced).map_err(|refusal| refusal.of("linux.resources.devices"))
}

fn take_back(cgroup: &Cgroup, undo: Vec<(String, String)>, cause: Fault) -> anyhow::Error {
    let refused = |(file, value): (String, String)| {
        let errno = cgroup.put(&file, &value).err()?;
        Some(format!("write {file} {value:?}: {}", sys::describe(errno)))
    };
    let trouble: Vec<String> = undo.into_iter().rev().filter_map(refused).collect();
    let cause = anyhow::Error::new(cause);
    if trouble.is_empty() {
        cause
    } else {
        cause.context(format!("[then, putting back: {}]", trouble.join("; ")))
    }
}
