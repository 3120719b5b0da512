//! A sandbox's way out: what connects to the one port that its network has is handed to a socket of
//! the host's, or to a host that was allowed.
//!
//! The proxy is a process of its own, and each connection a child of that. So whoever does not
//! answer, as a name server, keeps nobody else waiting.

mod head;
mod relay;

use crate::log::Log;
use crate::sys::process::{self, Cloned};
use crate::sys::{cred, socket};
use anyhow::{Context, Result, bail};
use head::{Head, Target};
use nix::sys::signal::Signal;
use nix::sys::socket::SockType;
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

pub use head::Allowed;

/// The port of the sandbox's loopback device.
pub const PORT: u16 = 3128;

/// How many connections there may be at once.
const CONNECTIONS: usize = 256;

/// How long a host may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where connections go.
#[derive(Debug, Clone)]
pub enum Outlet {
    /// To a proxy that listens on this socket.
    Socket(PathBuf),
    /// To these hosts, each asked for by CONNECT or by a whole address.
    Hosts(Vec<Allowed>),
}

/// The proxy's process, which ends with this value.
#[derive(Debug)]
pub struct Proxy {
    pidfd: OwnedFd,
}

impl Proxy {
    /// Serve who connects to `listener`.
    pub fn start(listener: OwnedFd, outlet: &Outlet, log: &Log) -> Result<Proxy> {
        match process::clone3(0, None).context("clone3 of the proxy")? {
            Cloned::Child => {
                let _ = cred::set_parent_death_signal(Signal::SIGKILL);
                let fd = listener.as_raw_fd();
                let _ = process::close_between(3, fd).and_then(|()| process::close_from(fd + 1));
                serve(&TcpListener::from(listener), outlet, log);
                process::exit_now(1)
            }
            Cloned::Parent { pidfd, .. } => Ok(Proxy { pidfd }),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = process::pidfd_send_signal(self.pidfd.as_fd(), libc::SIGKILL);
        let _ = process::wait(self.pidfd.as_fd());
    }
}

fn serve(listener: &TcpListener, outlet: &Outlet, log: &Log) {
    let mut children: Vec<OwnedFd> = Vec::new();
    while let Ok((inner, _)) = listener.accept() {
        children.retain(|child| {
            let ended = process::has_ended(child.as_fd()).unwrap_or(true);
            if ended {
                let _ = process::wait(child.as_fd());
            }
            !ended
        });
        if children.len() >= CONNECTIONS {
            log.warning("--net: a connection is refused: there are too many");
            continue;
        }
        match process::clone3(0, None) {
            Ok(Cloned::Child) => {
                let _ = cred::set_parent_death_signal(Signal::SIGKILL);
                if let Err(err) = connection(&inner, outlet, log) {
                    log.warning(&format!("--net: {}", crate::log::message(&err)));
                }
                process::exit_now(0)
            }
            Ok(Cloned::Parent { pidfd, .. }) => children.push(pidfd),
            Err(errno) => log.warning(&format!("--net: clone3: {}", crate::sys::describe(errno))),
        }
    }
}

fn connection(inner: &TcpStream, outlet: &Outlet, log: &Log) -> Result<()> {
    let allowed = match outlet {
        Outlet::Socket(path) => {
            let outer = socket::connect_to(path, SockType::Stream);
            let outer = outer.with_context(|| format!("connect to {}", path.display()))?;
            return relay::between(inner.as_fd(), outer.as_fd());
        }
        Outlet::Hosts(allowed) => allowed,
    };
    inner.set_read_timeout(Some(PATIENCE)).context("setsockopt")?;
    let head = match head::read(inner) {
        Ok(head) => head,
        Err(err) => {
            answer(inner, "400 Bad Request", &crate::log::message(&err))?;
            return Err(err);
        }
    };
    let Head { target, rest, request } = head;
    if !allowed.iter().any(|allowed| allowed.covers(&target)) {
        let why = format!("{target} is refused: --net allow does not name it");
        answer(inner, "403 Forbidden", &why)?;
        bail!(why);
    }
    log.record_event(&format!("--net: {target} is allowed"));
    let outer = match outward(&target) {
        Ok(outer) => outer,
        Err(err) => {
            answer(inner, "502 Bad Gateway", &format!("{target}: {}", crate::log::message(&err)))?;
            return Err(err.context(target.to_string()));
        }
    };
    match request {
        None => relay::all(inner.as_fd(), b"HTTP/1.1 200 Connection established\r\n\r\n")?,
        Some(request) => relay::all(outer.as_fd(), &request)?,
    }
    relay::all(outer.as_fd(), &rest)?;
    relay::between(inner.as_fd(), outer.as_fd())
}

fn outward(target: &Target) -> Result<TcpStream> {
    let mut last = None;
    for address in (target.host.as_str(), target.port).to_socket_addrs().context("the name is not known")? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(err) => last = Some(err),
        }
    }
    match last {
        Some(err) => Err(err).context("connect"),
        None => bail!("the name has no address"),
    }
}

fn answer(inner: &TcpStream, status: &str, why: &str) -> Result<()> {
    let body = format!("knarr: {why}\n");
    let length = body.len();
    let head = "Content-Type: text/plain\r\nConnection: close";
    let text = format!("HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}");
    relay::all(inner.as_fd(), text.as_bytes())
}
