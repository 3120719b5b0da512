//! What the parent does for an init that exists and waits: above all, user namespaces and their
//! mappings.

use super::create::CreateOrder;
use super::net_devices::Moved;
use super::rdt;
use crate::acts::process::{core_refusal, raise_hard_limit, set_scheduler};
use crate::cgroup::{self, Cgroup};
use crate::config::{CoreSched, IdMaps, IdRange, ids};
use crate::fault::{Call, Fault, Outcome, Refusal};
use crate::note;
use crate::nsresourced;
use crate::placeholder::{Placeholder, apart};
use crate::plan::{Planned, Settle};
use crate::state::Store;
use crate::sys::schedule::CoreScope;
use crate::sys::{self, Errno, fs, process, schedule};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// What is around an init.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around<'a> {
    /// Where other containers are recorded.
    pub(super) store: &'a Store,
    /// The root of the cgroup tree.
    pub(super) root: &'a Path,
    /// The container's.
    pub(super) cgroup: Option<&'a Cgroup>,
}

impl<'a> Around<'a> {
    pub(super) fn of(order: &'a CreateOrder<'_>, made: Option<&'a cgroup::Made>) -> Around<'a> {
        let cgroup = made.map(|made| &made.cgroup);
        Around { store: order.store, root: &order.host.cgroup_root, cgroup }
    }
}

/// Take all steps for the init with this pid. `network` is the network namespace that it joins, if
/// it joins one.
pub(super) fn settle(
    steps: &[Planned<Settle>],
    pid: i32,
    around: Around<'_>,
    network: Option<OwnedFd>,
    moved: &mut Option<Moved>,
    resctrl: &rdt::Groups,
) -> Result<(), Fault> {
    let mut network = network;
    for planned in steps {
        note::at(|| planned.to_string());
        let done = match &planned.step {
            Settle::MapIds(maps) => map_ids(maps, pid),
            Settle::LendIds { size } => lend_ids(*size, pid),
            Settle::CgroupBelow { path, owner } => match around.cgroup {
                Some(cgroup) => cgroup.take_below(around.root, path, *owner, pid),
                None => Err(Refusal::message("the plan makes no cgroup")),
            },
            Settle::Core(core) => give_core(core, around.store, pid),
            Settle::ResctrlGroup => resctrl.enter(pid),
            Settle::OomScoreAdj(score) => write(pid, "oom_score_adj", &score.to_string()),
            Settle::Scheduler(scheduler) => set_scheduler(pid, scheduler).call(|| "sched_setattr".into()),
            Settle::IoPriority(priority) => {
                schedule::set_io_priority(pid, *priority).call(|| "ioprio_set".into())
            }
            Settle::HardLimit(ceiling) => raise_hard_limit(pid, ceiling).call(|| "prlimit".into()),
            Settle::NetDevice(device) => destination(moved, &mut network, pid).and_then(|to| to.take(device)),
        };
        done.map_err(|refusal| refusal.of(&planned.field))?;
    }
    Ok(())
}

/// By a child: whoever makes or passes on a cookie has it from then on.
fn give_core(core: &CoreSched, store: &Store, pid: i32) -> Outcome {
    let id = match core {
        CoreSched::Own => return pass_core("CREATE", || schedule::own_core(CoreScope::Process), pid),
        CoreSched::Shared(id) => id,
    };
    let message = |text: String| Refusal::message(format!("container {id}: {text}"));
    let other = store.open(id).map_err(|err| message(format!("{err:#}")))?;
    let Some(other_init) = other.pidfd().map_err(|err| message(format!("{err:#}")))? else {
        return Err(message("it does not run".into()));
    };
    let of = other.state.pid;
    if schedule::core_of(of).map_err(|errno| core_refusal("GET", errno))? == 0 {
        return Err(message(
            "it has no core scheduling cookie: it was made without org.knarr.core-sched".into(),
        ));
    }
    pass_core("SHARE_FROM", || schedule::share_core_of(of), pid)?;
    // Its pid may have been another's since.
    process::pidfd_send_signal(other_init.as_fd(), 0).call(|| format!("init of container {id}"))
}

/// Take a cookie by `call`, and give it to the process. A child says with one number that it was
/// refused, so the call that came first is tried once more alone.
fn pass_core(call: &str, take: impl Fn() -> sys::Result<()>, pid: i32) -> Outcome {
    apart(0, || take().and_then(|()| schedule::share_core_with(pid))).map_err(|errno| match apart(0, take) {
        Ok(()) => core_refusal("SHARE_TO", errno),
        Err(_) => core_refusal(call, errno),
    })
}

/// Where devices move: the namespace that init joins, or else the new one that it is in.
fn destination<'a>(
    moved: &'a mut Option<Moved>,
    network: &mut Option<OwnedFd>,
    pid: i32,
) -> Outcome<&'a mut Moved> {
    if let Some(moved) = moved {
        return Ok(moved);
    }
    let path = format!("/proc/{pid}/ns/net");
    let namespace = match network.take() {
        Some(namespace) => namespace,
        None => fs::open(&path, fs::O_RDONLY, 0).call(|| format!("open {path}"))?,
    };
    Ok(moved.insert(Moved::into(namespace)))
}

fn write(pid: i32, name: &str, value: &str) -> Outcome {
    let path = format!("/proc/{pid}/{name}");
    let write = || -> sys::Result<()> {
        let fd = fs::open(&path, fs::O_WRONLY, 0)?;
        fs::write_once(fd.as_fd(), value.as_bytes())
    };
    write().call(|| format!("write {value:?} to {path}"))
}

fn map_ids(maps: &IdMaps, pid: i32) -> Outcome {
    let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let own = |ranges: &[IdRange], id| matches!(ranges, [IdRange { host, size: 1, .. }] if *host == id);
    if uid != 0 && !(own(&maps.uids, uid) && own(&maps.gids, gid)) {
        map_with("newuidmap", &maps.uids, pid)?;
        return map_with("newgidmap", &maps.gids, pid);
    }
    if uid != 0 {
        // Who maps their own group alone may not drop groups that keep them from something
        // (user_namespaces(7)).
        write(pid, "setgroups", "deny")?;
    }
    write(pid, "uid_map", &ids::map_file(&maps.uids))?;
    write(pid, "gid_map", &ids::map_file(&maps.gids))
}

/// The service keeps them from others as long as the user namespace is there.
fn lend_ids(size: u32, pid: i32) -> Outcome {
    let path = format!("/proc/{pid}/ns/user");
    let namespace = fs::open(&path, fs::O_RDONLY, 0).call(|| format!("open {path}"))?;
    note::waits("wait for systemd-nsresourced");
    nsresourced::map_ids(namespace.as_fd(), size)
}

/// Map the ids that /etc/subuid and /etc/subgid give to an ordinary user, which takes a program
/// with rights of its own.
#[allow(clippy::disallowed_methods, reason = "no hook: a short-lived helper that is waited for at once")]
fn map_with(program: &str, ranges: &[IdRange], pid: i32) -> Outcome {
    let mut command = std::process::Command::new(program);
    command.arg(pid.to_string()).stdin(std::process::Stdio::null());
    for range in ranges {
        command.args([range.container, range.host, range.size].map(|number| number.to_string()));
    }
    let io = |err: std::io::Error| {
        let errno = Errno::from_raw(err.raw_os_error().unwrap_or(libc::EIO));
        let call = format!("{program}, which maps the ids of an ordinary user (package uidmap)");
        Refusal::kernel(call, errno)
    };
    let output = command.output().map_err(io)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
    Err(Refusal::kernel(format!("{program}: {said}"), Errno::EPERM))
}

/// A user namespace with these mappings and nobody in it, for id-mapped mounts.
pub fn user_namespace(maps: &IdMaps) -> Outcome<OwnedFd> {
    let inside = Placeholder::new(libc::CLONE_NEWUSER).call(|| "clone3 new-user".into())?;
    map_ids(maps, inside.pid)?;
    let path = format!("/proc/{}/ns/user", inside.pid);
    fs::open(&path, fs::O_RDONLY, 0).call(|| format!("open {path}"))
}
