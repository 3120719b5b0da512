//! `start`, and the second half of `run`.

use super::hooks::run_hook;
use super::notify::{Notify, host_socket};
use super::{death, delete};
use crate::channel::{FromInit, ParentEnd};
use crate::note::{self, Mark};
use crate::state::{Command, Container, State};
use crate::sys::{Errno, process, socket};
use anyhow::{Context, Result, bail};
use nix::sys::socket::SockType;
use std::os::fd::{AsFd, OwnedFd};

/// Let a created container's process run. A failing startContainer hook or execve(2) is this
/// command's error.
pub fn start(container: Container, heir: Heir<'_>) -> Result<()> {
    container.allow(Command::Start)?;
    let Some(connection) = container.dir.connect()? else {
        bail!("cannot start an already running container")
    };
    let notify = match host_socket() {
        Some(_) if container.dir.takes_notifications() => Notify::new(container.dir.bind_notify()?),
        _ => None,
    };
    let channel = ParentEnd::new(connection);
    container.dir.mark_start()?;
    note::mark(Mark::LetGo);
    note::at(|| "the start of the process".into());
    channel.done().context("the container's init is gone")?;
    let container = finish(container, &channel, heir)?;
    match (notify, container.pidfd()?) {
        (Some(notify), Some(pidfd)) => {
            let pid = container.state.pid;
            // Others may do with the container what they like while it gets ready.
            let _container = container.unlock();
            notify.until_ready(pid, pidfd.as_fd())
        }
        _ => Ok(()),
    }
}

/// The notification descriptor of process `pidfd`, which has told `message`.
pub(super) fn listener_of(message: FromInit, pidfd: &OwnedFd) -> Result<OwnedFd> {
    match message {
        FromInit::ListenerItself(fd) | FromInit::ListenerOfAll(fd) => Ok(fd),
        // The memory of an ordinary user's init is closed to its caller.
        FromInit::Listener(number) => match process::pidfd_getfd(pidfd.as_fd(), number) {
            Err(Errno::EPERM) => {
                bail!("an ordinary user's agent gets it by sendmsg, which the profile does not allow")
            }
            result => result.context("pidfd_getfd"),
        },
        message => Err(message.unexpected()),
    }
}

/// Give the agent the notification descriptor of process `pid`, with the container process state
/// (config-linux.md: The Container Process State).
pub(super) fn hand_over(state: &State, status: &str, pid: i32, fd: &OwnedFd) -> Result<()> {
    let Some(agent) = &state.listener else { bail!("no agent is recorded") };
    note::at(|| format!("the seccomp agent at {}", agent.path.display()));
    let about: serde_json::Value = serde_json::from_str(&state.about.json(status, Some(state.pid)))?;
    let message = serde_json::json!({
        "ociVersion": state.about.oci_version,
        "fds": ["seccompFd"],
        "pid": pid,
        "metadata": agent.metadata,
        "state": about,
    });
    let socket = socket::connect_to(&agent.path, SockType::Stream)
        .with_context(|| format!("failed to connect with seccomp agent: {}", agent.path.display()))?;
    socket::send(socket.as_fd(), message.to_string().as_bytes(), Some(fd.as_fd())).context("sendmsg")
}

/// Who gets the notification descriptor of a container's filter.
pub type Heir<'a> = &'a mut dyn FnMut(&State, &OwnedFd) -> Result<()>;

/// The agent that config.json names.
pub fn to_agent(state: &State, listener: &OwnedFd) -> Result<()> {
    hand_over(state, "creating", state.pid, listener).context("linux.seccomp.listenerPath")
}

/// Wait until init has become the process, and run the poststart hooks. One that fails destroys the
/// container.
pub fn finish(container: Container, channel: &ParentEnd, heir: Heir<'_>) -> Result<Container> {
    loop {
        match channel.hear().context("recvmsg from init")? {
            // execve(2) has closed init's end.
            None => break,
            Some(FromInit::Failed(fault)) => return Err(fault.into()),
            Some(
                message @ (FromInit::Listener(_) | FromInit::ListenerItself(_) | FromInit::ListenerOfAll(_)),
            ) => {
                let waits = !matches!(message, FromInit::ListenerOfAll(_));
                let pidfd = container.pidfd()?.context("the container's init is gone")?;
                let listener = listener_of(message, &pidfd).context("linux.seccomp.listenerPath")?;
                // The heir alone holds it then: when that is gone calls fail, and wait for nobody.
                heir(&container.state, &listener)?;
                drop(listener);
                if waits {
                    channel.done().context("sendmsg to init")?;
                }
            }
            Some(message) => return Err(message.unexpected()),
        }
    }
    if let Some(cause) = death::of_unexecuted(container.state.pid) {
        return Err(cause);
    }
    let about = &container.state.about;
    let state = about.json("running", Some(container.state.pid));
    for hook in &container.state.poststart {
        if let Err(cause) = run_hook(hook, &state, &about.bundle) {
            let gone = delete::destroy(container);
            return Err(match gone {
                Ok(warnings) if warnings.is_empty() => cause,
                Ok(warnings) => cause.context(format!("[then, cleaning up: {}]", warnings.join("; "))),
                Err(err) => cause.context(format!("[then, cleaning up: {}]", crate::log::message(&err))),
            });
        }
    }
    Ok(container)
}
