//! `create`, and the first half of `run`.

use super::death;
use super::hooks::host_hooks;
use super::host_steps::host_steps;
use super::launch::{Launched, launch};
use super::making::Making;
use super::settle::{Around, settle};
use super::terminal::hand_terminal;
use super::watch::{DeviceFilter, Places};
use crate::capability::Set;
use crate::channel::{FromInit, ParentEnd};
use crate::config::seccomp::{Seccomp, Watch};
use crate::config::{Config, Namespace};
use crate::host::Host;
use crate::note;
use crate::plan::{HostStep, Keyring, Plan};
use crate::state::{Container, Store};
use crate::sys::{describe, socket};
use anyhow::{Context, Result, anyhow};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// What goes into making a container.
#[derive(Debug)]
pub struct CreateOrder<'a> {
    /// The configuration, for hooks and the record.
    pub config: &'a Config,
    pub plan: &'a Plan,
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
    /// `--record`, absolute.
    pub recorded: Option<PathBuf>,
}

/// A container that was made and recorded.
#[derive(Debug)]
pub struct Made {
    /// The record that the store has of it.
    pub container: Container,
    /// A pidfd of its init.
    pub pidfd: OwnedFd,
    /// The channel to init, on which a container of `run` reports a failing start.
    pub channel: ParentEnd,
    /// The other end of its terminal, unless a console socket took it.
    pub terminal: Option<OwnedFd>,
    /// The socket that takes its notifications, where somebody waits for them.
    pub notify: Option<OwnedFd>,
    /// The socket in its network namespace that a proxy takes connections from.
    pub proxy: Option<OwnedFd>,
    /// What of it is watched.
    pub watched: Option<Watched>,
}

/// What a listener of this program's own watches.
#[derive(Debug, Clone)]
pub struct Watched {
    pub filter: Seccomp,
    /// The capabilities that the process may have.
    pub permitted: Set,
    /// What refuses it files and devices.
    pub places: Places,
}

impl Watched {
    /// That of a container with this configuration, if anything is.
    pub fn of(config: &Config, devices: DeviceFilter) -> Option<Watched> {
        let filter = config.seccomp.clone().filter(|filter| filter.watch != Watch::Nothing)?;
        let permitted = config.process.as_ref().map(|process| process.capabilities.permitted);
        let places = Places::of(config, devices);
        Some(Watched { filter, permitted: permitted.unwrap_or_default(), places })
    }
}

/// Make the container, or leave nothing behind.
pub fn create(order: &CreateOrder<'_>) -> Result<Made> {
    let mut making = Making::begin(order)?;
    let mut born = match bear(&mut making) {
        Ok(born) => born,
        Err(cause) => return Err(making.roll_back(None, cause)),
    };
    match bring_up(&mut making, &mut born) {
        Ok(terminal) => {
            let Born { init: Launched { pidfd, channel, .. }, notify, proxy, .. } = born;
            let is_filter = |step: &HostStep| matches!(step, HostStep::DeviceFilter(_));
            let has_filter = order.plan.host.iter().any(|planned| is_filter(&planned.step));
            let devices = if has_filter { DeviceFilter::Its } else { DeviceFilter::None };
            let watched = Watched::of(order.config, devices);
            Ok(Made { container: making.finish(), pidfd, channel, terminal, notify, proxy, watched })
        }
        Err(cause) => Err(making.roll_back(Some(born.init.pidfd), cause)),
    }
}

/// An init that has just been born.
struct Born {
    init: Launched,
    /// The network namespace that it joins.
    network: Option<OwnedFd>,
    /// The socket that takes the container's notifications.
    notify: Option<OwnedFd>,
    /// What its proxy listens on.
    proxy: Option<OwnedFd>,
}

/// All up to the birth of init.
fn bear(making: &mut Making<'_>) -> Result<Born> {
    let mut opened = host_steps(making)?;
    let network = opened.namespace(Namespace::Network).map(|fd| fd.try_clone_to_owned()).transpose();
    let network = network.context("dup")?;
    let notify = opened.notify.take();
    let cgroup = making.cgroup.as_ref().map(|made| &made.cgroup);
    let init = launch(making.order.plan, making.about(), opened, cgroup, making.scope.as_ref())?;
    Ok(Born { init, network, notify, proxy: None })
}

/// From the birth of init to a container that is recorded; the other end of its terminal, if this
/// process has it.
fn bring_up(making: &mut Making<'_>, born: &mut Born) -> Result<Option<OwnedFd>> {
    let order = making.order;
    let Launched { pid, pidfd, channel } = &born.init;
    making.settle_scope()?;
    if !order.plan.settle.is_empty() {
        let around = Around::of(order, making.cgroup.as_ref());
        settle(&order.plan.settle, *pid, around, born.network.take(), &mut making.moved, &making.resctrl)?;
        channel.done().context("sendmsg to init")?;
    }
    let terminal = until_ready(making, &born.init, &mut born.proxy)?;
    making.record(*pid)?;
    if let Some(socket) = &order.pidfd_socket {
        // What runc says for a container's init; a process of `exec` is `setns`.
        socket::send(socket.as_fd(), b"standard", Some(pidfd.as_fd())).context("--pidfd-socket: sendmsg")?;
    }
    if let Err(errno) = channel.done() {
        if let Some(path) = &order.pid_file {
            let _ = std::fs::remove_file(path);
        }
        return Err(anyhow!("init has ended before it was recorded: {}", describe(errno)));
    }
    Ok(terminal)
}

/// The parent's side of the conversation with init, until that is ready.
fn until_ready(
    making: &mut Making<'_>,
    init: &Launched,
    proxy: &mut Option<OwnedFd>,
) -> Result<Option<OwnedFd>> {
    let order = making.order;
    let mut terminal = None;
    making.began_hooks = !order.config.hooks.create_container.is_empty();
    loop {
        note::waits("wait for the container");
        match init.channel.hear().context("recvmsg from init")? {
            Some(FromInit::Ready) => return Ok(terminal),
            Some(FromInit::Failed(fault)) => return Err(fault.into()),
            Some(FromInit::HostHooks) => {
                making.began_hooks = true;
                host_hooks(&order.config.hooks, making.about(), init.pid)?;
                init.channel.done().context("sendmsg to init")?;
            }
            Some(FromInit::Terminal(master)) => terminal = hand_terminal(master, order.console.as_ref())?,
            Some(FromInit::Proxy(listener)) => *proxy = Some(listener),
            Some(
                message @ (FromInit::Listener(_)
                | FromInit::ListenerItself(_)
                | FromInit::ListenerOfAll(_)
                | FromInit::Born(_)
                | FromInit::Mount(_)),
            ) => {
                return Err(message.unexpected());
            }
            None => {
                let cgroup = making.cgroup.as_ref().map(|made| &made.cgroup);
                return Err(death::of_init(order.plan, cgroup, &init.pidfd));
            }
        }
    }
}
