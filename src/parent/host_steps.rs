//! The steps of the plan that the parent takes before init exists.

use super::launch::Opened;
use super::making::Making;
use super::overlay;
use super::scope::Started;
use super::settle::user_namespace;
use crate::acts::process::give_stdio;
use crate::acts::trees;
use crate::cgroup::{self, Filters};
use crate::config::Namespace;
use crate::fault::{Call, Outcome, Refusal};
use crate::note;
use crate::plan::{HostStep, IdSource, Planned, Tree};
use crate::sys::{Errno, fs, mount, process};
use anyhow::{Context, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Take them all.
pub(super) fn host_steps(making: &mut Making<'_>) -> Result<Opened> {
    if let Some(record) = &mut making.state.cgroup {
        record.owner = Some(making.dir.as_owner()?);
    }
    // Recorded before anything else is made, so that `delete` can clean up after a killed `create`.
    making.dir.save(&making.state)?;
    making.dir.save_config(making.order.text)?;
    let mut opened = Opened::default();
    for planned in &making.order.plan.host {
        note::at(|| planned.to_string());
        host_step(planned, making, &mut opened)?;
    }
    if let (Some(record), Some(made)) = (&mut making.state.cgroup, &making.cgroup)
        && record.depth != made.depth
    {
        record.depth = made.depth;
        making.dir.save(&making.state)?;
    }
    Ok(opened)
}

fn host_step<'a>(planned: &'a Planned<HostStep>, making: &mut Making<'a>, opened: &mut Opened) -> Result<()> {
    let fault = |refusal: Refusal| refusal.of(&planned.field);
    let root = &making.order.host.cgroup_root;
    match &planned.step {
        HostStep::Cgroup { path, controllers } => {
            let made = cgroup::make(root, path).with_context(|| planned.field.clone())?;
            let cgroup = &making.cgroup.insert(made).cgroup;
            cgroup.mark(&making.dir.as_owner()?).map_err(fault)?;
            cgroup.enable(root, path, controllers)?;
            cgroup.enable_rest(root, path);
        }
        HostStep::Scope { scope, path, controllers } => {
            let started = making.started.insert(Started::start(scope, &root.join(path))?);
            making.scope = Some(scope.unit.clone());
            let made = cgroup::Made { cgroup: started.cgroup(&root.join(path))?, depth: 0 };
            let cgroup = &making.cgroup.insert(made).cgroup;
            cgroup.mark(&making.dir.as_owner()?).map_err(fault)?;
            cgroup.enable(root, path, controllers)?;
        }
        HostStep::ResctrlGroup(rdt) => {
            let made = making.resctrl.make(rdt, making.order.plan.id.as_str());
            making.state.resctrl.clone_from(&making.resctrl.made);
            making.dir.save(&making.state)?;
            made.map_err(fault)?;
        }
        HostStep::Limit(write) => making.cgroup()?.cgroup.limit(write)?,
        HostStep::Delegate { uid, gid } => making.cgroup()?.cgroup.delegate(*uid, *gid).map_err(fault)?,
        HostStep::DeviceFilter(insns) => {
            let made = making.cgroup()?;
            // In one that was there already, those that an earlier container left are replaced.
            let old = if made.depth == 0 { Filters::Replaced } else { Filters::None };
            made.cgroup.filter_devices(insns, old).map_err(fault)?;
        }
        HostStep::OpenNamespace { kind, path, changed_by } => {
            opened.namespaces.push((*kind, open_namespace(*kind, path, changed_by).map_err(fault)?));
        }
        HostStep::CloneTree(tree) => {
            let user = opened.namespace(Namespace::User);
            opened.trees.push(Some(clone_tree(tree, user).map_err(fault)?));
        }
        HostStep::StdioOwner(uid) => give_stdio(*uid).map_err(fault)?,
        HostStep::OverlayFolder { path, like, owner } => {
            overlay::make(path, like, *owner, &mut making.folders).map_err(fault)?;
        }
        HostStep::NotifySocket => opened.notify = Some(making.dir.bind_notify()?),
        HostStep::StartSocket => opened.listener = Some(making.dir.listen()?),
    }
    Ok(())
}

fn open_namespace(kind: Namespace, path: &Path, changed_by: &str) -> Outcome<OwnedFd> {
    let open = |path: &Path| fs::open(path, fs::O_RDONLY, 0).call(|| format!("open {}", path.display()));
    let fd = open(path)?;
    if process::namespace_kind(fd.as_fd()).ok() != Some(kind.clone_flag()) {
        return Err(Refusal::message(format!("{} is not a {} namespace", path.display(), kind.name())));
    }
    if !changed_by.is_empty() {
        let own = open(Path::new(&format!("/proc/self/ns/{}", kind.file())))?;
        if fs::same_file(fd.as_fd(), own.as_fd()) {
            let text = format!("{} is the runtime's own, which {changed_by} would change", path.display());
            return Err(Refusal::message(text));
        }
    }
    Ok(fd)
}

/// A copy of a mount, with its ids mapped. `user` is the user namespace that the container joins.
pub(super) fn clone_tree(tree: &Tree, user: Option<BorrowedFd<'_>>) -> Outcome<OwnedFd> {
    let copy = trees::clone_tree(tree)?;
    let Some((reach, ids)) = &tree.id_map else { return Ok(copy) };
    let map = |namespace| {
        mount::map_ids(copy.as_fd(), *reach, namespace)
            .call(|| format!("mount_setattr {} idmap", tree.source.display()))
    };
    match ids {
        IdSource::Maps(maps) => map(user_namespace(maps)?.as_fd())?,
        IdSource::Joined => match user {
            Some(namespace) => map(namespace)?,
            None => return Err(Refusal::kernel("the user namespace was not opened", Errno::EBADF)),
        },
    }
    Ok(copy)
}
