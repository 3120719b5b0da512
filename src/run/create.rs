//! `create`, and the first half of `run`.

use super::death;
use super::launch::{Launched, Opened, launch};
use super::overlay;
use super::scope::Started;
use super::settle::{settle, user_namespace};
use super::undo::Undo;
use crate::cgroup::{self, Filters};
use crate::channel::{FromInit, ParentEnd};
use crate::config::{Config, Hook, Namespace, Place};
use crate::fault::{Call, Outcome, Refusal};
use crate::hook;
use crate::host::Host;
use crate::init;
use crate::init::process::give_stdio;
use crate::plan::{HostStep, IdSource, Keyring, Plan, Planned, Tree};
use crate::state::About;
use crate::state::{Agent, Container, Dir, State, Store, process_start};
use crate::sys::mount;
use crate::sys::{Errno, fs, process, tty};
use anyhow::{Context, Result, anyhow};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// What goes into making a container.
#[derive(Debug)]
pub struct Order<'a> {
    /// The configuration, for hooks and the record.
    pub config: &'a Config,
    /// What is done.
    pub plan: &'a Plan,
    /// This machine.
    pub host: &'a Host,
    /// config.json as it was read, to be kept for `exec`.
    pub text: &'a [u8],
    /// The bundle, absolute.
    pub bundle: &'a Path,
    /// Where containers are recorded.
    pub store: &'a Store,
    /// Whether the container's processes get a session keyring of their own.
    pub keyring: Keyring,
    /// `--pid-file`.
    pub pid_file: Option<PathBuf>,
    /// A connection to `--pidfd-socket`.
    pub pidfd_socket: Option<OwnedFd>,
    /// A connection to `--console-socket`.
    pub console: Option<OwnedFd>,
}

/// A container that was made and recorded.
#[derive(Debug)]
pub struct Made {
    /// Its record.
    pub container: Container,
    /// Init.
    pub pidfd: OwnedFd,
    /// The channel to init, on which a container of `run` reports a failing start.
    pub channel: ParentEnd,
    /// The other end of its terminal, unless a console socket took it.
    pub terminal: Option<OwnedFd>,
    /// The socket that takes its notifications, where somebody waits for them.
    pub notify: Option<OwnedFd>,
}

/// Make the container, or leave nothing behind.
pub fn create(order: &Order<'_>) -> Result<Made> {
    let mut undo = Undo::default();
    match build(order, &mut undo) {
        Ok(made) => Ok(made),
        Err(cause) => Err(undo.roll_back(cause)),
    }
}

pub(super) fn about(order: &Order<'_>) -> About {
    About {
        oci_version: order.config.oci_version.clone(),
        id: order.plan.id.clone(),
        bundle: order.bundle.into(),
        annotations: order.config.annotations.clone(),
    }
}

/// What is recorded of the container before there is anything of it.
pub(super) fn first_state(order: &Order<'_>, about: &About) -> State {
    let root = &order.host.cgroup_root;
    let cgroup = order.plan.cgroup.as_ref().map(|home| cgroup::Record {
        path: root.join(&home.path),
        depth: if home.unit.is_some() { 0 } else { cgroup::missing(root, &home.path) },
        owner: None,
        unit: home.unit.clone(),
    });
    let mut state = State::new(about.clone(), &order.config.root.path, cgroup, &order.config.hooks);
    state.device_rules.clone_from(&order.config.device_rules);
    let listener = order.config.seccomp.as_ref().and_then(|s| s.listener.clone());
    state.listener = listener.map(|l| Agent { path: l.path, metadata: l.metadata });
    state.private_pids = *order.config.namespaces.of(Namespace::Pid) == Place::New;
    state.private_keyring = order.keyring == Keyring::New;
    state
}

fn build(order: &Order<'_>, undo: &mut Undo) -> Result<Made> {
    let about = about(order);
    let mut state = first_state(order, &about);
    undo.dir = Some(order.store.make(&order.plan.id)?);
    let Prepared { mut opened, scope } = host_steps(order, &mut state, undo)?;
    let Some(dir) = &undo.dir else { return Err(anyhow!("the container has no directory")) };
    let network = opened.namespace(Namespace::Network).map(|fd| fd.try_clone_to_owned()).transpose();
    let network = network.context("dup")?;
    let notify = opened.notify.take();
    let cgroup = undo.cgroup.as_ref().map(|(cgroup, _)| cgroup);
    let Launched { pid, pidfd, channel } = launch(order.plan, &about, opened, cgroup, undo.scope.as_ref())?;
    let pidfd = undo.init.insert(pidfd);
    scope.map_or(Ok(()), |scope| scope.settle(cgroup))?;
    if !order.plan.settle.is_empty() {
        settle(&order.plan.settle, pid, network, &mut undo.moved, &undo.resctrl)?;
        channel.done().context("sendmsg to init")?;
    }
    let mut parent = Parent { order, about: &about, pid, terminal: None, began_hooks: false };
    let ready = parent.until_ready(&channel, pidfd, undo.cgroup.as_ref().map(|(cgroup, _)| cgroup));
    if parent.began_hooks {
        undo.poststop = Some((order.config.hooks.poststop.clone(), about.clone()));
    }
    let terminal = {
        ready?;
        parent.terminal
    };
    record(order, &mut state, dir, pid)?;
    if let Some(socket) = &order.pidfd_socket {
        // What runc says for a container's init; a process of `exec` is `setns`.
        crate::sys::socket::send(socket.as_fd(), b"standard", Some(pidfd.as_fd()))
            .context("--pidfd-socket: sendmsg")?;
    }
    if let Err(errno) = channel.done() {
        if let Some(path) = &order.pid_file {
            let _ = std::fs::remove_file(path);
        }
        return Err(anyhow!("init has ended before it was recorded: {}", crate::sys::describe(errno)));
    }
    let (Some(dir), Some(pidfd)) = (undo.dir.take(), undo.init.take()) else {
        return Err(anyhow!("the container was not made"));
    };
    Ok(Made { container: Container { dir, state }, pidfd, channel, terminal, notify })
}

/// Make the container's process known.
pub(super) fn record(order: &Order<'_>, state: &mut State, dir: &Dir, pid: i32) -> Result<()> {
    state.pid = pid;
    state.pid_start = process_start(pid)?.context("init has ended before it was recorded")?;
    dir.save(state)?;
    order.pid_file.as_deref().map_or(Ok(()), |path| write_pid_file(path, pid))
}

/// Have the hooks run that belong to the runtime's namespaces and come before the process.
pub(super) fn host_hooks(order: &Order<'_>, about: &About, pid: i32) -> Result<()> {
    let state = about.json("creating", Some(pid));
    let hooks = &order.config.hooks;
    for hook in hooks.prestart.iter().chain(&hooks.create_runtime) {
        run_hook(hook, &state, &about.bundle)?;
    }
    Ok(())
}

/// What the steps of the parent have come to, before init exists.
pub(super) struct Prepared<'a> {
    pub(super) opened: Opened,
    pub(super) scope: Option<Started<'a>>,
}

/// Take all steps of the parent that come before init.
pub(super) fn host_steps<'a>(order: &Order<'a>, state: &mut State, undo: &mut Undo) -> Result<Prepared<'a>> {
    let Some(dir) = &undo.dir else { return Err(anyhow!("the container has no directory")) };
    if let Some(record) = &mut state.cgroup {
        record.owner = Some(dir.as_owner()?);
    }
    // Recorded before anything else is made, so that `delete` can clean up after a killed `create`.
    dir.save(state)?;
    dir.save_config(order.text)?;
    let mut prepared = Prepared { opened: Opened::default(), scope: None };
    for planned in &order.plan.host {
        host_step(planned, order, state, undo, &mut prepared)?;
    }
    if let (Some(record), Some((_, depth)), Some(dir)) = (&mut state.cgroup, &undo.cgroup, &undo.dir)
        && record.depth != *depth
    {
        record.depth = *depth;
        dir.save(state)?;
    }
    Ok(prepared)
}

fn host_step<'a>(
    planned: &'a Planned<HostStep>,
    order: &Order<'a>,
    state: &mut State,
    undo: &mut Undo,
    prepared: &mut Prepared<'a>,
) -> Result<()> {
    let fault = |refusal: Refusal| refusal.of(&planned.field);
    let root = &order.host.cgroup_root;
    let Some(dir) = &undo.dir else { return Err(anyhow!("the container has no directory")) };
    let opened = &mut prepared.opened;
    match &planned.step {
        HostStep::Cgroup { path, controllers } => {
            let made = cgroup::make(root, path).with_context(|| planned.field.clone())?;
            let (cgroup, _) = undo.cgroup.insert((made.cgroup, made.depth));
            cgroup.mark(&dir.as_owner()?).map_err(fault)?;
            cgroup.enable(root, path, controllers)?;
            cgroup.enable_rest(root, path);
        }
        HostStep::Scope { scope, path, controllers } => {
            let started = prepared.scope.insert(Started::start(scope, &root.join(path))?);
            undo.scope = Some(scope.unit.clone());
            let (cgroup, _) = undo.cgroup.insert((started.cgroup(&root.join(path))?, 0));
            cgroup.mark(&dir.as_owner()?).map_err(fault)?;
            cgroup.enable(root, path, controllers)?;
        }
        HostStep::ResctrlGroup(rdt) => {
            let made = undo.resctrl.make(rdt, &order.plan.id);
            state.resctrl.clone_from(&undo.resctrl.made);
            dir.save(state)?;
            made.map_err(fault)?;
        }
        HostStep::Limit(write) => {
            own_cgroup(&undo.cgroup)?.limit(write)?;
        }
        HostStep::Delegate { uid, gid } => {
            own_cgroup(&undo.cgroup)?.delegate(*uid, *gid).map_err(fault)?;
        }
        HostStep::DeviceFilter(insns) => {
            // In one that was there already, those that an earlier container left are replaced.
            let there = undo.cgroup.as_ref().is_some_and(|(_, depth)| *depth == 0);
            let old = if there { Filters::Replaced } else { Filters::None };
            own_cgroup(&undo.cgroup)?.filter_devices(insns, old).map_err(fault)?;
        }
        HostStep::OpenNamespace { kind, path, changed_by } => {
            opened.namespaces.push((*kind, open_namespace(*kind, path, changed_by).map_err(fault)?));
        }
        HostStep::CloneTree(tree) => {
            opened.trees.push(Some(clone_tree(tree, opened).map_err(fault)?));
        }
        HostStep::StdioOwner(uid) => give_stdio(*uid).map_err(fault)?,
        HostStep::OverlayFolder { path, like, owner } => {
            overlay::make(path, like, *owner, &mut undo.folders).map_err(fault)?;
        }
        HostStep::NotifySocket => opened.notify = Some(dir.bind_notify()?),
        HostStep::StartSocket => opened.listener = Some(dir.listen()?),
    }
    Ok(())
}

/// The container's cgroup. Every plan makes it before it does anything to it.
fn own_cgroup(made: &Option<(cgroup::Cgroup, usize)>) -> Result<&cgroup::Cgroup> {
    made.as_ref().map(|(cgroup, _)| cgroup).ok_or_else(|| anyhow!("the plan makes no cgroup"))
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

fn clone_tree(tree: &Tree, opened: &Opened) -> Outcome<OwnedFd> {
    let copy = init::mounts::clone_tree(tree)?;
    let Some((reach, ids)) = &tree.id_map else { return Ok(copy) };
    let map = |namespace| {
        mount::map_ids(copy.as_fd(), *reach, namespace)
            .call(|| format!("mount_setattr {} idmap", tree.source.display()))
    };
    match ids {
        IdSource::Maps(maps) => map(user_namespace(maps)?.as_fd())?,
        IdSource::Joined => match opened.namespace(Namespace::User) {
            Some(namespace) => map(namespace)?,
            None => return Err(Refusal::kernel("the user namespace was not opened", Errno::EBADF)),
        },
    }
    Ok(copy)
}

/// The parent's side of the conversation with init.
struct Parent<'a> {
    order: &'a Order<'a>,
    about: &'a About,
    pid: i32,
    terminal: Option<OwnedFd>,
    began_hooks: bool,
}

impl Parent<'_> {
    fn until_ready(
        &mut self,
        channel: &ParentEnd,
        pidfd: &OwnedFd,
        cgroup: Option<&cgroup::Cgroup>,
    ) -> Result<()> {
        self.began_hooks = !self.order.config.hooks.create_container.is_empty();
        loop {
            match channel.hear().context("recvmsg from init")? {
                Some(FromInit::Ready) => return Ok(()),
                Some(FromInit::Failed(fault)) => return Err(fault.into()),
                Some(FromInit::HostHooks) => {
                    self.began_hooks = true;
                    host_hooks(self.order, self.about, self.pid)?;
                    channel.done().context("sendmsg to init")?;
                }
                Some(FromInit::Terminal(master)) => {
                    self.terminal = hand_terminal(master, self.order.console.as_ref())?;
                }
                Some(FromInit::Listener(_) | FromInit::Born(_)) => {
                    return Err(anyhow!("init speaks out of turn"));
                }
                None => return Err(death::of_init(self.order.plan, cgroup, pidfd)),
            }
        }
    }
}

/// Send the other end of a terminal to the console socket, as the kernel made it: whoever takes it has a terminal of his own, whose
/// output processing he may have switched off. Without a socket it is this process's, to relay to a terminal that adds the carriage
/// returns.
pub(super) fn hand_terminal(master: OwnedFd, console: Option<&OwnedFd>) -> Result<Option<OwnedFd>> {
    let Some(console) = console else {
        tty::clear_onlcr(&master).context("tcsetattr of the terminal")?;
        super::foreground::copy_size(&master);
        return Ok(Some(master));
    };
    let sent = crate::sys::socket::send(console.as_fd(), b"/dev/ptmx", Some(master.as_fd()));
    sent.context("--console-socket: sendmsg")?;
    Ok(None)
}

/// Run one hook of the runtime's namespaces; its failure names it.
pub(super) fn run_hook(hook: &Hook, state: &str, cwd: &Path) -> Result<()> {
    hook::run(hook, state, cwd, &hook::environment).map_err(|refusal| refusal.of(&hook.field).into())
}

/// Write a pid file: digits only, complete from the moment it is there.
pub(super) fn write_pid_file(path: &Path, pid: i32) -> Result<()> {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> crate::sys::Result<()> {
        let dir = fs::open(parent, fs::O_RDONLY | fs::O_DIRECTORY, 0)?;
        let temporary = format!(".{name}.{}", std::process::id());
        let flags = fs::O_WRONLY | fs::O_CREAT | fs::O_EXCL;
        let fd = fs::openat(dir.as_fd(), &temporary, flags, 0o644)?;
        let written = fs::write_once(fd.as_fd(), pid.to_string().as_bytes())
            .and_then(|()| fs::renameat(dir.as_fd(), &temporary, &name));
        if written.is_err() {
            let _ = fs::unlinkat(dir.as_fd(), &temporary, fs::Unlink::File);
        }
        written
    };
    write().with_context(|| format!("--pid-file {}", path.display()))
}
