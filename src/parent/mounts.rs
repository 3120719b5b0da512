//! `mounts add` and `mounts remove`.
//!
//! A child enters the container, as for `exec`, and attaches what this process has taken on the
//! host. It is not born in the container's cgroup, which may be frozen, and ends at once.

use super::host_steps::clone_tree;
use crate::acts::filesystem::new_filesystem;
use crate::channel::{self, FromInit, ParentEnd};
use crate::child::{self, Inherited};
use crate::config::Config;
use crate::config::added::{Added, Written};
use crate::fault::{Call, Outcome};
use crate::log;
use crate::plan::added::{self, Addition, Taken};
use crate::plan::{Planned, Step};
use crate::state::{About, Container};
use crate::sys::mount::MountId;
use crate::sys::process::{self, Cloned};
use crate::sys::{cred, fs};
use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long a child may take: what its names lead to may be stopped, or hang.
const PATIENCE: Duration = Duration::from_secs(30);

/// Add mounts to the container that `config` describes, all of them or none. `written` has what
/// each was asked for.
pub fn add(
    container: &mut Container,
    config: &Config,
    addition: &Addition,
    written: Vec<Written>,
) -> Result<()> {
    let init = init_of(container)?;
    let user = user_namespace(container.state.pid);
    let mut trees = Vec::new();
    for planned in &addition.taken {
        let taken = take(&planned.step, user.as_ref().map(AsFd::as_fd));
        trees.push(Some(taken.map_err(|refusal| refusal.of(&planned.field))?));
    }
    let (before, about) = (container.state.mounts.len(), container.state.about.clone());
    let mut written = written.into_iter();
    let mut record = |mount: OwnedFd| {
        let id = MountId::of(mount.as_fd()).context("statx")?;
        let written = written.next().context("the child attaches more than was asked for")?;
        container.state.mounts.push(Added { written, id });
        container.dir.save(&container.state)
    };
    let Err(cause) = converse(&about, &init, &addition.steps, trees, &mut record) else {
        return Ok(());
    };
    let added = container.state.mounts.split_off(before);
    let took_back = || {
        if !added.is_empty() {
            let nothing = &mut |_| bail!("the child adds a mount where it takes some away");
            converse(&about, &init, &steps_to_remove(config, &added)?, Vec::new(), nothing)?;
        }
        container.dir.save(&container.state)
    };
    match took_back() {
        Ok(()) => Err(cause),
        Err(err) => Err(cause.context(format!("[then, cleaning up: {}]", log::message(&err)))),
    }
}

/// The steps that take away what was added, the last first.
fn steps_to_remove(config: &Config, added: &[Added]) -> Result<Vec<Planned<Step>>> {
    let list = added.iter().rev().map(|added| (added.written.destination.as_str(), added.id));
    Ok(added::remove(config, &list.collect::<Vec<_>>())?)
}

/// Take the mounts away that are at these places in the record, in its order, and forget them.
pub fn remove(container: &mut Container, config: &Config, places: &[usize]) -> Result<()> {
    let chosen: Vec<Added> = places.iter().map(|at| container.state.mounts[*at].clone()).collect();
    if chosen.is_empty() {
        return Ok(());
    }
    let steps = steps_to_remove(config, &chosen)?;
    let init = init_of(container)?;
    let nothing = &mut |_| bail!("the child adds a mount where it takes some away");
    let about = container.state.about.clone();
    converse(&about, &init, &steps, Vec::new(), nothing)?;
    let mut at = 0..;
    container.state.mounts.retain(|_| at.next().is_none_or(|at| !places.contains(&at)));
    container.dir.save(&container.state)
}

pub(super) fn init_of(container: &Container) -> Result<OwnedFd> {
    container.pidfd()?.context("container not running")
}

/// The container's, for ids that are mapped as there. An ordinary user may not look into a program
/// that waits, and maps no ids either.
fn user_namespace(pid: i32) -> Option<OwnedFd> {
    fs::open(format!("/proc/{pid}/ns/user"), fs::O_RDONLY, 0).ok()
}

pub(super) fn take(taken: &Taken, user: Option<BorrowedFd<'_>>) -> Outcome<OwnedFd> {
    match taken {
        Taken::Tree(tree) => clone_tree(tree, user),
        Taken::New(filesystem) => new_filesystem(filesystem, None),
    }
}

/// Have a child take the steps, and hear it out.
pub(super) fn converse(
    about: &About,
    init: &OwnedFd,
    steps: &[Planned<Step>],
    trees: Vec<Option<OwnedFd>>,
    record: &mut dyn FnMut(OwnedFd) -> Result<()>,
) -> Result<()> {
    let (channel, theirs) = channel::pair_with_senders().context("socketpair")?;
    let init = Some(init.try_clone().context("dup")?);
    let child = match process::clone3(0, None).context("clone3")? {
        Cloned::Parent { pidfd, .. } => pidfd,
        Cloned::Child => {
            let _ = cred::set_parent_death_signal(Signal::SIGKILL);
            child::run(Inherited {
                steps,
                first_closed_fd: 3,
                about,
                init,
                init_pid: 0,
                namespaces: Vec::new(),
                trees,
                listener: None,
                channel: theirs,
            })
        }
    };
    drop((theirs, trees));
    // The one that is born in the pid namespace, if there is one.
    let mut second = None;
    let heard = hear(&channel, &mut second, record);
    for child in second.iter().chain([&child]) {
        let _ = process::pidfd_send_signal(child.as_fd(), libc::SIGKILL);
        let _ = process::wait(child.as_fd());
    }
    heard
}

fn hear(
    channel: &ParentEnd,
    second: &mut Option<OwnedFd>,
    record: &mut dyn FnMut(OwnedFd) -> Result<()>,
) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if !channel.is_heard_by(deadline).context("poll")? {
            bail!(
                "the child has not done it within {} s: the container may have stopped it, or a file system hangs",
                PATIENCE.as_secs()
            );
        }
        match channel.hear().context("recvmsg from the child")? {
            Some(FromInit::Ready) => return Ok(()),
            Some(FromInit::Failed(fault)) => return Err(fault.into()),
            Some(FromInit::Born(pid)) => *second = Some(process::pidfd_open(pid).context("pidfd_open")?),
            Some(FromInit::Mount(mount)) => {
                record(mount)?;
                channel.done().call(|| "sendmsg to the child".into()).map_err(|refusal| refusal.of(""))?;
            }
            None => bail!("the child has ended before it was done"),
            Some(message) => return Err(message.unexpected()),
        }
    }
}
