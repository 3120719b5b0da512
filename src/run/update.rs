//! `update`: new limits for a container that is there.

use super::StepFault;
use crate::cgroup::{Cgroup, Filters, Refused};
use crate::plan::update::Update;
use crate::sys;
use anyhow::{Context, Result};
use std::path::Path;

/// Do what the plan says to `cgroup`, in the tree that is mounted at `root`. If anything is refused, what was changed before
/// it is put back.
pub fn update(cgroup: &Cgroup, root: &Path, plan: &Update) -> Result<()> {
    if let Some(check) = &plan.check {
        cgroup.check(check)?;
    }
    enable(cgroup, root, plan)?;
    let mut undo = Vec::new();
    change(cgroup, plan, &mut undo).map_err(|cause| take_back(cgroup, undo, cause))
}

fn enable(cgroup: &Cgroup, root: &Path, plan: &Update) -> Result<()> {
    let names: Vec<&str> = plan.controllers.iter().map(|controller| controller.step.as_str()).collect();
    let path = cgroup.path().strip_prefix(root).context("the container's cgroup is in another tree")?;
    cgroup.enable(root, &path.to_string_lossy(), &names).map_err(|refused: Refused| {
        let asked = plan.controllers.iter().find(|controller| controller.step == refused.controller);
        StepFault::refused(asked.map_or("linux.resources", |controller| &controller.field), refused).into()
    })
}

fn change(cgroup: &Cgroup, plan: &Update, undo: &mut Vec<(String, String)>) -> Result<(), StepFault> {
    for write in &plan.writes {
        let before = cgroup.before(write);
        cgroup.limit(write).map_err(|refused| StepFault::refused(&write.field, refused))?;
        undo.extend(before);
    }
    let Some(insns) = &plan.filter else { return Ok(()) };
    cgroup.filter_devices(insns, Filters::Replaced).map_err(|(call, errno)| StepFault {
        field: "linux.resources.devices".into(),
        call: call.into(),
        errno: Some(errno),
        text: String::new(),
    })
}

fn take_back(cgroup: &Cgroup, undo: Vec<(String, String)>, cause: StepFault) -> anyhow::Error {
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
