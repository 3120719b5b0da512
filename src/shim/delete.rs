//! `delete`: what is done for a container whose shim is not there any more.

use super::api::{DeleteResponse, Options, ProcessRequest, Request, TASK_SERVICES};
use super::flags::Flags;
use super::process::UNKNOWN;
use super::wire::{Inbox, frame, kind};
use super::{pod, work};
use crate::cmd::Global;
use crate::host;
use crate::protobuf::Declared;
use crate::state::{Container, Status};
use crate::sys::{Errno, socket};
use anyhow::{Context, Result, bail};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::SockType;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// How long a shim that is there may take to answer, in milliseconds: containerd waits for five
/// seconds.
const PATIENCE_MS: u16 = 1000;

/// The file of a bundle in which containerd says whose sandbox the container is in.
const SANDBOX: &str = "sandbox";

/// The exit status of a process that was killed.
const KILLED: u32 = 128 + libc::SIGKILL as u32;

/// Take away what the shim has left, and say how the container has ended as far as that is known.
pub fn delete(flags: &Flags) -> Result<()> {
    let bundle = if flags.bundle.as_os_str().is_empty() {
        // containerd says it by the working directory, or that of another container of the pod.
        let here = std::env::current_dir().context("getcwd")?;
        here.parent().unwrap_or(Path::new("/")).join(&flags.id)
    } else {
        flags.bundle.clone()
    };
    let root = work::recalled(&bundle).unwrap_or_else(|| Options::default().root(&flags.namespace));
    let global = work::global(&root, &Options::default());
    let id = flags.id.parse()?;
    let found = global.store().find(&id).ok().flatten();
    let (pid, exit_status) = found.map_or((0, KILLED), |found| (found.state.pid, exit_status(&found)));
    let done = work::forget(&global, &flags.id, &bundle)?;
    forget_members(&global, &flags.id)?;
    done.warnings.iter().for_each(|warning| crate::log::say(&format!("warning: {warning}")));
    forget_socket(&bundle, &flags.id);
    let response = DeleteResponse { pid: pid as u32, exit_status, exited_at: Some(SystemTime::now().into()) };
    std::io::stdout().write_all(&response.encode()).context("standard output")
}

/// Take away the containers of a pod whose sandbox this is. containerd has told the shim of them
/// without executing it for each, and so it does at the end.
fn forget_members(global: &Global, sandbox: &str) -> Result<()> {
    for (id, container) in global.store().list()? {
        let Ok(container) = container else { continue };
        let about = container.state.about;
        // containerd may have removed the bundle by now.
        let is_member = about.annotations.get(pod::SANDBOX).is_some_and(|named| named == sandbox)
            || host::read(about.bundle.join(SANDBOX)).is_ok_and(|named| named.trim() == sandbox);
        if is_member {
            work::forget(global, id.as_str(), &about.bundle)?;
        }
    }
    Ok(())
}

/// How a container ends that is about to be taken away: as the shim has recorded it, or by that.
fn exit_status(container: &Container) -> u32 {
    match container.status() {
        Ok(Status::Stopped) if container.state.pid != 0 => {
            container.ended().map_or(UNKNOWN, |ended| ended.status as u32)
        }
        _ => KILLED,
    }
}

/// The socket of a shim that was killed. One that is there is told, and ends if it has no other
/// container: containerd may have been killed before it knew of it.
fn forget_socket(bundle: &Path, id: &str) {
    let Ok(address) = host::read(bundle.join(super::start::ADDRESS)) else { return };
    let path = PathBuf::from(address.trim().trim_start_matches("unix://"));
    match socket::connect_to(&path, SockType::Stream) {
        Ok(shim) => {
            let _ = release(&shim, id);
        }
        Err(Errno::ECONNREFUSED) => drop(std::fs::remove_file(path)),
        Err(_) => {}
    }
}

/// Have a shim forget a container, whose processes are gone by now. What it answers says nothing
/// that is not known.
fn release(shim: &OwnedFd, id: &str) -> Result<()> {
    let payload = ProcessRequest { id: id.into(), exec_id: String::new() }.encode();
    let mut inbox = Inbox::default();
    // Each when the one before was answered: the end is seen before the container is forgotten.
    for (method, stream) in ["Wait", "Delete", "Shutdown"].into_iter().zip((1..).step_by(2)) {
        let request = Request {
            service: TASK_SERVICES[0].into(),
            method: method.into(),
            payload: payload.clone(),
            timeout_ns: 0,
        };
        socket::send(shim.as_fd(), &frame(stream, kind::REQUEST, &request.encode()), None)?;
        while inbox.take().is_none() {
            let mut fds = [PollFd::new(shim.as_fd(), PollFlags::POLLIN)];
            let mut data = [0; 4096];
            match poll(&mut fds, PATIENCE_MS)? {
                0 => bail!("{method}: no answer"),
                _ => match nix::unistd::read(shim, &mut data)? {
                    0 => bail!("{method}: the connection was closed"),
                    n => inbox.put(&data[..n]),
                },
            }
        }
    }
    Ok(())
}
