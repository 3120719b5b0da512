//! The clone3(2) that makes a container's init, in the namespaces that it starts in.

use super::birth::{Seat, born_in, is_out_of_reach};
use crate::acts::process::has_maps;
use crate::cgroup::Cgroup;
use crate::channel::{self, FromInit, InitEnd, ParentEnd};
use crate::child::{self, Inherited};
use crate::config::Namespace;
use crate::fault::{Call, Fault, Refusal};
use crate::note;
use crate::plan::{Launch, Plan, Unit};
use crate::state::About;
use crate::sys::process::{self, Cloned};
use crate::sys::{Errno, cred, fs};
use anyhow::{Context, Result, anyhow};
use nix::sys::signal::Signal;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What the parent has opened for init.
#[derive(Debug, Default)]
pub(super) struct Opened {
    pub(super) namespaces: Vec<(Namespace, OwnedFd)>,
    /// Copies of host mounts, by number.
    pub(super) trees: Vec<Option<OwnedFd>>,
    pub(super) listener: Option<OwnedFd>,
    /// The notification socket, which is not init's.
    pub(super) notify: Option<OwnedFd>,
}

impl Opened {
    /// The namespace of this kind that is to be joined.
    pub(super) fn namespace(&self, kind: Namespace) -> Option<BorrowedFd<'_>> {
        self.namespaces.iter().find(|(k, _)| *k == kind).map(|(_, fd)| fd.as_fd())
    }
}

/// A running init.
#[derive(Debug)]
pub(super) struct Launched {
    /// Its pid in the runtime's pid namespace.
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
    /// The channel to it.
    pub(super) channel: ParentEnd,
}

/// Make init. It takes the plan's steps at once.
pub(super) fn launch(
    plan: &Plan,
    about: &About,
    opened: Opened,
    cgroup: Option<&Cgroup>,
    unit: Option<&Unit>,
) -> Result<Launched> {
    if !plan.launch.through.is_empty() {
        return launch_through(plan, about, opened, cgroup, unit);
    }
    note::at(|| plan.launch.to_string());
    let (parent, child) = channel::pair().context("socketpair")?;
    let home = if plan.launch.joins_pid { Some(enter_pid_namespace(&opened)?) } else { None };
    let cloned = process::clone3(plan.launch.new, cgroup.map(Cgroup::as_fd));
    match cloned {
        Ok(Cloned::Child) => {
            drop((parent, home));
            become_init(plan, about, opened, child)
        }
        Ok(Cloned::Parent { pid, pidfd }) => {
            if let Some(home) = home {
                process::setns(home.as_fd(), libc::CLONE_NEWPID)
                    .context("setns back to the pid namespace")?;
            }
            Ok(Launched { pid, pidfd, channel: parent })
        }
        // The process between is moved there, and init is born where that is.
        Err(errno) if is_out_of_reach(errno) && unit.is_some() => {
            drop((parent, child));
            launch_through(plan, about, opened, cgroup, unit)
        }
        Err(errno) => Err(clone_fault(plan, errno).into()),
    }
}

fn become_init(plan: &Plan, about: &About, opened: Opened, channel: InitEnd) -> ! {
    // Until the container is recorded it does not outlive this command.
    let _ = cred::set_parent_death_signal(Signal::SIGKILL);
    let Opened { namespaces, trees, listener, .. } = opened;
    let (steps, first_closed_fd) = (&plan.init, plan.first_closed_fd);
    child::run(Inherited {
        steps,
        first_closed_fd,
        about,
        init: None,
        init_pid: 0,
        namespaces,
        trees,
        listener,
        channel,
    })
}

/// Make init through a process that joins namespaces first. Init is the parent's child all the same
/// (`CLONE_PARENT`), born in the cgroup, and says itself that it is there; the process between ends
/// at once.
fn launch_through(
    plan: &Plan,
    about: &About,
    opened: Opened,
    cgroup: Option<&Cgroup>,
    unit: Option<&Unit>,
) -> Result<Launched> {
    let (parent, child) = channel::pair_with_senders().context("socketpair")?;
    let between = match cgroup {
        Some(cgroup) => born_in(cgroup, unit.map(|unit| Seat { unit, below: "" }))?,
        None => process::clone3(0, None).context("clone3")?,
    };
    match between {
        Cloned::Child => {
            drop(parent);
            let _ = cred::set_parent_death_signal(Signal::SIGKILL);
            if plan.launch.through.contains(&Namespace::User) {
                // There are no ids to map, so nobody need look into it.
                let _ = cred::set_dumpable(false);
            }
            let born = join(&plan.launch, &opened).and_then(|()| {
                process::clone3_sibling(plan.launch.new).map_err(|errno| clone_fault(plan, errno))
            });
            match born {
                Ok(Cloned::Child) => {
                    let _ = child.tell(&FromInit::Born(0));
                    become_init(plan, about, opened, child)
                }
                Ok(Cloned::Parent { .. }) => {}
                Err(fault) => {
                    let _ = child.tell(&FromInit::Failed(fault));
                }
            }
            process::exit_now(0)
        }
        Cloned::Parent { pidfd: between, .. } => {
            drop((child, opened));
            let heard = parent.hear();
            process::wait(between.as_fd()).context("waitid")?;
            match heard.context("recvmsg")? {
                Some(FromInit::Born(pid)) => {
                    // It cannot be another process's: init is not reaped yet.
                    let pidfd = process::pidfd_open(pid).context("pidfd_open")?;
                    Ok(Launched { pid, pidfd, channel: parent })
                }
                Some(FromInit::Failed(fault)) => Err(fault.into()),
                _ => Err(anyhow!("the process that joins namespaces was killed")),
            }
        }
    }
}

/// Join `through` with the parent's rights. What answers EPERM is joined again after the user
/// namespace.
fn join(launch: &Launch, opened: &Opened) -> Result<(), Fault> {
    let mut refused = Vec::new();
    let fault = |kind: Namespace, errno| {
        Refusal::kernel("setns", errno).of(format!("linux.namespaces {}", kind.name()))
    };
    let enter = |kind: Namespace| match opened.namespace(kind) {
        Some(fd) => process::setns(fd, kind.clone_flag()),
        None => Err(Errno::EBADF),
    };
    let joins_user = launch.through.contains(&Namespace::User);
    for kind in launch.through.iter().copied().filter(|kind| *kind != Namespace::User) {
        match enter(kind) {
            Ok(()) => {}
            Err(Errno::EPERM) if joins_user => refused.push(kind),
            Err(errno) => return Err(fault(kind, errno)),
        }
    }
    if joins_user {
        enter(Namespace::User).map_err(|errno| fault(Namespace::User, errno))?;
    }
    for kind in refused {
        enter(kind).map_err(|errno| fault(kind, errno))?;
    }
    check_maps(launch)
}

/// Engines give the mappings of a user namespace that is joined too. Files were given owners by
/// them, so others would be wrong.
fn check_maps(launch: &Launch) -> Result<(), Fault> {
    let maps = &launch.expected_maps;
    let has = if maps.is_empty() { Ok(true) } else { has_maps(maps).call(|| "read uid_map".into()) };
    let check = has.and_then(|has| match has {
        true => Ok(()),
        false => Err(Refusal::message("the user namespace that is joined maps other ids")),
    });
    check.map_err(|refusal| refusal.of("linux.uidMappings"))
}

fn clone_fault(plan: &Plan, errno: Errno) -> Fault {
    let call = plan.launch.to_string();
    let text = match errno {
        Errno::EAGAIN => {
            "a limit of processes is reached: linux.resources.pids.limit, one of a cgroup above (pids.events), or RLIMIT_NPROC"
        }
        Errno::ENOSPC => "a limit of namespaces is reached, see user.max_*_namespaces in /proc/sys/user",
        Errno::EACCES => {
            "no cgroup above both linux.cgroupsPath and this command's own is the caller's to change: systemd-run --user \
             --scope brings a command there"
        }
        Errno::EPERM if plan.launch.new & libc::CLONE_NEWUSER as u64 != 0 => {
            "this machine may forbid user namespaces, see kernel.unprivileged_userns_clone and \
             kernel.apparmor_restrict_unprivileged_userns"
        }
        _ => "",
    };
    Refusal::kernel(call, errno).with_text(text).of("linux.namespaces")
}

/// Enter an existing pid namespace for children; returns the way back.
fn enter_pid_namespace(opened: &Opened) -> Result<OwnedFd> {
    let home = fs::open("/proc/self/ns/pid", fs::O_RDONLY, 0).context("open /proc/self/ns/pid")?;
    if let Some(fd) = opened.namespace(Namespace::Pid) {
        process::setns(fd, libc::CLONE_NEWPID).context("linux.namespaces: setns pid")?;
    }
    Ok(home)
}
