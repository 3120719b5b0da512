//! `exec`: a process for a container that is there.

use super::birth::{Seat, born_in, is_out_of_reach};
use super::bound::frozen_cgroup;
use super::death;
use super::foreground::Signals;
use super::record::write_pid_file;
use super::start::{hand_over, listener_of};
use super::terminal::hand_terminal;
use crate::cgroup::{self, Cgroup};
use crate::channel::{self, FromInit, ParentEnd};
use crate::child::{self, Inherited};
use crate::fault::Fault;
use crate::host::{self, Host};
use crate::note;
use crate::plan::{self, Exec, ExecCgroup, Unit};
use crate::proc::cgroup::v2_path;
use crate::state::{Command, Container, Status, refuse};
use crate::sys::process::{self, Cloned, Exit};
use crate::sys::{Errno, cred, schedule, socket};
use anyhow::{Context, Result, bail};
use nix::poll::PollTimeout;
use nix::sys::signal::Signal;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A container that takes processes.
#[derive(Debug)]
pub struct Target {
    container: Container,
    init: OwnedFd,
    /// None where init has moved elsewhere and the kernel has removed what it left.
    cgroup: Option<Cgroup>,
    paused: WhenPaused,
}

/// A process that is frozen at two looks in a row, this far apart, is not waited for.
const LOOK: Duration = Duration::from_secs(5);

/// Whether a paused container takes a process, which then waits until it is resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenPaused {
    Refuse,
    /// It does (`--ignore-paused`).
    Wait,
}

impl Target {
    /// `container`, if its status allows `exec`.
    pub fn new(container: Container, paused: WhenPaused) -> Result<Target> {
        let refused = |status| refuse(status, Command::Exec, &container.state.about.id);
        let Some(init) = container.pidfd()? else {
            // What has no init is creating or stopped.
            bail!(refused(container.status()?).unwrap_or_default())
        };
        let record = container.state.cgroup.as_ref();
        let cgroup = record.map(cgroup::Record::open).transpose()?.flatten();
        let target = Target { container, init, cgroup, paused };
        target.cgroup.as_ref().map_or(Ok(()), |cgroup| target.refuse_frozen(cgroup))?;
        Ok(target)
    }

    /// An error if a process that is born in `cgroup` would not run.
    fn refuse_frozen(&self, cgroup: &Cgroup) -> Result<()> {
        match (self.paused, cgroup.is_frozen()) {
            (WhenPaused::Refuse, true) => {
                let refused = refuse(Status::Paused, Command::Exec, &self.container.state.about.id);
                let (path, by) = (cgroup.path().display(), cgroup.frozen_by().display());
                bail!("{}: {path} is frozen, by cgroup.freeze of {by}", refused.unwrap_or_default())
            }
            _ => Ok(()),
        }
    }

    /// The container whose process this will be.
    pub fn container(&self) -> &Container {
        &self.container
    }
}

/// What goes into running the process.
#[derive(Debug)]
pub struct ExecOrder<'a> {
    /// The container, with its init and its cgroup held by descriptors.
    pub target: Target,
    pub plan: &'a Exec,
    pub host: &'a Host,
    /// `--pid-file`.
    pub pid_file: Option<PathBuf>,
    /// A connection to `--console-socket`.
    pub console: Option<OwnedFd>,
    /// A connection to `--pidfd-socket`.
    pub pidfd_socket: Option<OwnedFd>,
    /// Whether the command waits for the process.
    pub wait: Wait,
}

/// Whether the command waits for the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// It does, and forwards signals.
    Foreground,
    Detached,
}

/// A process that runs.
#[derive(Debug)]
pub struct Running {
    /// Its pid, as this process sees it.
    pub pid: i32,
    /// Refers to the process.
    pub pidfd: OwnedFd,
    /// Signals for it, in the foreground.
    pub signals: Option<Signals>,
    /// The other end of its terminal, unless a console socket took it.
    pub terminal: Option<OwnedFd>,
}

/// Run the process, or leave nothing behind.
pub fn exec(order: &ExecOrder<'_>) -> Result<Running> {
    if let Some(cpus) = &order.plan.initial_cpus {
        let call = || format!("process.execCPUAffinity.initial: sched_setaffinity \"{}\"", cpus.list);
        schedule::set_affinity(&cpus.words).with_context(call)?;
    }
    let (channel, theirs) = channel::pair_with_senders().context("socketpair")?;
    note::at(|| "the birth of the process".into());
    let (enterer_pid, enterer) = launch(order, theirs).map_err(|cause| order.explain(cause))?;
    let mut talk =
        Conversation { order, channel, enterer: enterer_pid, process: None, signals: None, terminal: None };
    let reap = |child: &OwnedFd| process::wait(child.as_fd()).context("waitid");
    let running = talk.until_running().and_then(|()| reap(&enterer));
    let Conversation { process, signals, terminal, .. } = talk;
    let (cause, process) = match (running, process) {
        (Ok(_), Some((pid, pidfd))) => match order.executed(pid, &pidfd) {
            Ok(()) => return Ok(Running { pid, pidfd, signals, terminal }),
            Err(cause) => (cause, Some(pidfd)),
        },
        (Ok(exit), None) => (death::of_exec(exit, order.target.cgroup.as_ref()), None),
        (Err(cause), process) => (cause, process.map(|(_, pidfd)| pidfd)),
    };
    for child in process.iter().chain([&enterer]) {
        // What has ended by itself is only to be reaped, and one of them may be.
        let _ = process::pidfd_send_signal(child.as_fd(), libc::SIGKILL);
        let _ = process::wait(child.as_fd());
    }
    if let (Some(path), Some(_)) = (&order.pid_file, process) {
        // Its pid is nobody's now.
        let _ = std::fs::remove_file(path);
    }
    Err(order.explain(cause))
}

/// Whether the kernel has refused a step with `errno`.
fn refused_with(cause: &anyhow::Error, errno: Errno) -> bool {
    cause.downcast_ref::<Fault>().is_some_and(|fault| fault.refusal.errno == Some(errno))
}

impl ExecOrder<'_> {
    /// An error if the process, which has closed its end of the channel, has done so by dying,
    /// unless somebody has killed it.
    fn executed(&self, pid: i32, pidfd: &OwnedFd) -> Result<()> {
        let cgroup = self.target.cgroup.as_ref();
        let killed = |signal| signal == libc::SIGKILL && cgroup.map_or(0, Cgroup::killed_for_memory) == 0;
        match death::unexecuted(pid, pidfd) {
            Some(signal) if !killed(signal) => Err(death::of_exec(Exit::Signal(signal), cgroup)),
            _ => Ok(()),
        }
    }

    /// What fails in a container that ends meanwhile fails for that reason.
    fn explain(&self, cause: anyhow::Error) -> anyhow::Error {
        // An init that ends has no namespaces any more, and one that nobody has reaped could still
        // be signalled. Its namespaces are those of its main thread, which may end before the
        // others do.
        if matches!(self.target.container.pidfd(), Ok(None)) {
            cause.context("the container has stopped meanwhile")
        } else if refused_with(&cause, Errno::ESRCH) {
            cause.context(
                "the container stops, or the main thread of its process has ended: it cannot be entered",
            )
        } else if self.is_closed_to_the_caller(&cause) {
            cause.context("the container is only created; until it is started only root can enter it")
        } else {
            // The first of the two processes is made by this one, the second by the first.
            let again = refused_with(&cause, Errno::EAGAIN) || cause.downcast_ref() == Some(&Errno::EAGAIN);
            match self.target.cgroup.as_ref().filter(|_| again).and_then(death::no_room) {
                Some(limit) => cause.context(limit),
                None => cause,
            }
        }
    }

    /// Whether it failed because the program that waits in the container is not to be looked into.
    fn is_closed_to_the_caller(&self, cause: &anyhow::Error) -> bool {
        let is_created = || matches!(self.target.container.status(), Ok(Status::Created));
        refused_with(cause, Errno::EPERM) && !self.host.is_root && is_created()
    }

    /// A child in `cgroup`, which is the container's or below that.
    fn born_in(&self, cgroup: &Cgroup) -> Result<Cloned> {
        let seat = self.seat(cgroup);
        born_in(cgroup, seat.as_ref().map(|(unit, below)| Seat { unit, below }))
    }

    /// What systemd calls `cgroup`: the scope that the container is, or what it is in, where
    /// systemd has not made it for the container.
    fn seat(&self, cgroup: &Cgroup) -> Option<(Unit, String)> {
        let record = self.target.container.state.cgroup.as_ref()?;
        match &record.unit {
            Some(unit) => {
                let below = cgroup.path().strip_prefix(&record.path).ok()?.to_str()?;
                Some((unit.clone(), below.into()))
            }
            None => plan::unit_of(
                cgroup.path().strip_prefix(&self.host.cgroup_root).ok()?.to_str()?,
                self.host.uid,
            ),
        }
    }

    /// The cgroup that init is in, wherever it has moved.
    fn inits_cgroup(&self) -> Result<Cgroup> {
        let pid = self.target.container.state.pid;
        let text = host::read(format!("/proc/{pid}/cgroup"))?;
        // Asked after the file was read: it was not another process's.
        process::pidfd_send_signal(self.target.init.as_fd(), 0).context("init")?;
        let path = v2_path(&text).context("init has no cgroup")?;
        let path = self.host.cgroup_root.join(path.trim_start_matches('/'));
        Cgroup::open(&path)?.with_context(|| format!("cgroup {} of init is gone", path.display()))
    }

    /// The same, where the limits of the container hold.
    fn inits_cgroup_below(&self, own: &Path) -> Result<Cgroup> {
        let cgroup = self.inits_cgroup()?;
        if !cgroup.path().starts_with(own) {
            bail!("init is in cgroup {}, which is not below the container's", cgroup.path().display());
        }
        Ok(cgroup)
    }
}

/// Make the child that enters the container, by CLONE_INTO_CGROUP wherever the container has a
/// cgroup: otherwise the process would stay in the caller's, unlimited, and survive the container.
fn launch(order: &ExecOrder<'_>, channel: channel::InitEnd) -> Result<(i32, OwnedFd)> {
    let target = &order.target;
    let born = match (&order.plan.cgroup, &target.cgroup) {
        (ExecCgroup::Below(path), Some(cgroup)) => {
            let below = cgroup.below(path).with_context(|| format!("--cgroup: cgroup {path}"))?;
            target.refuse_frozen(&below)?;
            order.born_in(&below).context("--cgroup")?
        }
        (ExecCgroup::Below(path), None) => bail!("--cgroup {path}: the container's cgroup is gone"),
        (ExecCgroup::Inits, _) => {
            let own = target.container.state.cgroup.as_ref();
            let own = own.map_or(Path::new(""), |own| own.path.as_path());
            let cgroup = order.inits_cgroup_below(own)?;
            target.refuse_frozen(&cgroup)?;
            order.born_in(&cgroup)?
        }
        // The container has none (`--cgroup-manager disabled`).
        (ExecCgroup::Containers, None) if target.container.state.cgroup.is_none() => {
            process::clone3(0, None).context("clone3")?
        }
        (ExecCgroup::Containers, cgroup) => {
            let born = cgroup.as_ref().map(|cgroup| process::clone3(0, Some(cgroup.as_fd())));
            match (born, cgroup) {
                // It is gone or being removed, after somebody has moved init elsewhere.
                (None, _) | (Some(Err(Errno::ENODEV | Errno::ENOENT)), _) => {
                    let cgroup = order.inits_cgroup()?;
                    target.refuse_frozen(&cgroup)?;
                    order.born_in(&cgroup)?
                }
                // Init has made it a cgroup of cgroups, which holds no processes of its own.
                (Some(Err(Errno::EBUSY | Errno::EOPNOTSUPP)), Some(own)) => {
                    let cgroup = order.inits_cgroup_below(own.path())?;
                    target.refuse_frozen(&cgroup)?;
                    order.born_in(&cgroup)?
                }
                (Some(Err(errno)), Some(own)) if is_out_of_reach(errno) => order.born_in(own)?,
                (Some(born), _) => born.context("clone3 into the container's cgroup")?,
            }
        }
    };
    match born {
        Cloned::Parent { pid, pidfd } => Ok((pid, pidfd)),
        Cloned::Child => {
            let _ = cred::set_parent_death_signal(Signal::SIGKILL);
            let Ok(init) = target.init.try_clone() else { process::exit_now(1) };
            child::run(Inherited {
                steps: &order.plan.steps,
                first_closed_fd: order.plan.first_closed_fd,
                about: &target.container.state.about,
                init: Some(init),
                init_pid: target.container.state.pid,
                namespaces: Vec::new(),
                trees: Vec::new(),
                listener: None,
                channel,
            })
        }
    }
}

/// The parent's side of the conversation with the child.
struct Conversation<'a> {
    order: &'a ExecOrder<'a>,
    channel: ParentEnd,
    /// The pid of the child that enters the container.
    enterer: i32,
    /// Its pid, and it.
    process: Option<(i32, OwnedFd)>,
    signals: Option<Signals>,
    terminal: Option<OwnedFd>,
}

impl Conversation<'_> {
    fn until_running(&mut self) -> Result<()> {
        loop {
            self.await_word()?;
            match self.channel.hear().context("recvmsg from the child")? {
                // execve(2) has closed the child's end.
                None => return Ok(()),
                Some(FromInit::Failed(fault)) => return Err(fault.into()),
                Some(FromInit::Born(pid)) => self.make_known(pid)?,
                Some(FromInit::Terminal(master)) => {
                    self.terminal = hand_terminal(master, self.order.console.as_ref())?;
                    self.let_go()?;
                }
                Some(message @ (FromInit::Listener(_) | FromInit::ListenerItself(_))) => {
                    self.hand_over(message).context("linux.seccomp.listenerPath")?;
                    self.channel.done().context("sendmsg to the child")?;
                }
                Some(
                    message @ (FromInit::HostHooks
                    | FromInit::Ready
                    | FromInit::Proxy(_)
                    | FromInit::ListenerOfAll(_)
                    | FromInit::Mount(_)),
                ) => return Err(message.unexpected()),
            }
        }
    }

    /// Wait until the child says something. It may have been frozen since that was asked last: by
    /// whoever owns a cgroup below the container's, too, who need not thaw it.
    fn await_word(&self) -> Result<()> {
        let mut frozen_before = None;
        loop {
            let heard = match (&self.signals, &self.process) {
                (Some(signals), Some((_, pidfd))) => {
                    let quiet = PollTimeout::try_from(LOOK).unwrap_or(PollTimeout::MAX);
                    signals.forward_for(quiet, self.channel.as_fd(), pidfd, None)?
                }
                _ => self.channel.is_heard_by(Instant::now() + LOOK).context("poll")?,
            };
            if heard {
                return Ok(());
            }
            if self.order.target.paused == WhenPaused::Wait {
                continue;
            }
            let pid = self.process.as_ref().map_or(self.enterer, |(pid, _)| *pid);
            let frozen = frozen_cgroup(pid);
            if let (Some(path), true) = (&frozen, frozen == frozen_before) {
                let id = &self.order.target.container.state.about.id;
                let refused = refuse(Status::Paused, Command::Exec, id).unwrap_or_default();
                bail!("{refused}: cgroup {path} is frozen, and nobody has thawed it for {LOOK:?}");
            }
            frozen_before = frozen;
        }
    }

    fn make_known(&mut self, pid: i32) -> Result<()> {
        // It cannot be another process's: the child is not reaped yet.
        let pidfd = process::pidfd_open(pid).context("pidfd_open")?;
        let (_, pidfd) = self.process.insert((pid, pidfd));
        if self.order.wait == Wait::Foreground {
            // Until now a signal has ended this command, and with it the child.
            self.signals = Some(Signals::take()?);
        }
        if let Some(path) = &self.order.pid_file {
            write_pid_file(path, pid)?;
        }
        if let Some(socket) = &self.order.pidfd_socket {
            socket::send(socket.as_fd(), b"setns", Some(pidfd.as_fd())).context("--pidfd-socket: sendmsg")?;
        }
        // A process with a terminal does not run before that is what it will be, and somebody has
        // it.
        if self.order.plan.gives_terminal() { Ok(()) } else { self.let_go() }
    }

    /// Let the process run.
    fn let_go(&self) -> Result<()> {
        match self.channel.done() {
            // A child that has failed meanwhile has said why.
            Ok(()) | Err(Errno::EPIPE) => Ok(()),
            Err(errno) => Err(errno).context("sendmsg to the child"),
        }
    }

    fn hand_over(&self, message: FromInit) -> Result<()> {
        let Some((pid, pidfd)) = &self.process else { return Err(message.unexpected()) };
        let container = &self.order.target.container;
        let fd = listener_of(message, pidfd)?;
        hand_over(&container.state, &container.status()?.to_string(), *pid, &fd)
    }
}
