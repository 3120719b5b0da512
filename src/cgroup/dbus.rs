//! D-Bus, as far as a call of systemd needs it: one connection, calls, replies, signals. Nothing of
//! it is touched where systemd does not make the cgroup.

mod wire;

pub use wire::{Body, Message, Reader};

use crate::plan::gvariant::Value;
use crate::plan::systemd::Instance;
use crate::sys::{self, Errno, socket};
use crate::time;
use anyhow::{Context, Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::SockType;
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use wire::{KIND_ERROR, KIND_RETURN, KIND_SIGNAL, message_length};

/// How long a peer may take for all that is asked of it over one connection.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The longest message that is read, in bytes.
const MESSAGE_LIMIT: usize = 1 << 20;

/// Where a call goes.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    pub name: &'static str,
    pub path: &'a str,
    pub interface: &'static str,
}

const BUS: Target<'static> =
    Target { name: "org.freedesktop.DBus", path: "/org/freedesktop/DBus", interface: "org.freedesktop.DBus" };

/// An error reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorReply {
    /// As `org.freedesktop.systemd1.UnitExists`.
    pub name: String,
    /// For people.
    pub text: String,
}

impl fmt::Display for ErrorReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text.trim_end_matches('.'), self.name)
    }
}

impl std::error::Error for ErrorReply {}

/// A connection.
#[derive(Debug)]
pub struct Bus {
    fd: OwnedFd,
    deadline: Instant,
    serial: u32,
    /// Sent with the next call that is waited for.
    unsent: Vec<u8>,
    unread: Vec<u8>,
    greeted: bool,
    /// Signals that came while a reply was waited for.
    signals: Vec<Message>,
}

impl Bus {
    /// Connect to the bus of the machine or of the user.
    pub fn connect(instance: Instance) -> Result<Bus> {
        let mut last = None;
        for path in addresses(instance) {
            match socket::connect_to(&path, SockType::Stream) {
                Ok(fd) => return Ok(Bus::over(fd)),
                Err(errno) => last = Some((path, errno)),
            }
        }
        match last {
            Some((path, errno)) => bail!("connect {}: {}", path.display(), sys::describe(errno)),
            None => bail!("no bus of the user: neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set"),
        }
    }

    /// The bus at the other end of a connection. It is greeted with the first call.
    pub fn over(fd: OwnedFd) -> Bus {
        let mut bus = Bus {
            fd,
            deadline: Instant::now() + time::at_most(TIMEOUT),
            serial: 0,
            // Without a uid: in a user namespace this process does not know what the bus calls it.
            unsent: b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n".into(),
            unread: Vec::new(),
            greeted: false,
            signals: Vec::new(),
        };
        bus.send(BUS, "Hello", &Body::default());
        bus
    }

    /// Ask for signals, without waiting for the answer.
    pub fn subscribe(&mut self, rule: &str) {
        let mut body = Body::default();
        body.value(&Value::Text(rule.into()));
        self.send(BUS, "AddMatch", &body);
    }

    /// Call a method without waiting for its answer, and return the serial number that answers it.
    pub fn send(&mut self, target: Target<'_>, member: &str, body: &Body) -> u32 {
        self.serial += 1;
        self.unsent.extend(body.message(target, member, self.serial));
        self.serial
    }

    /// Call a method and wait for its answer.
    pub fn call(&mut self, target: Target<'_>, member: &str, body: &Body) -> Result<Message> {
        let serial = self.send(target, member, body);
        loop {
            let message = self.receive()?;
            match message.kind {
                KIND_SIGNAL => self.signals.push(message),
                KIND_RETURN if message.reply_to == serial => return Ok(message),
                KIND_ERROR if message.reply_to == serial => {
                    let text = message.reader().text().unwrap_or_default();
                    return Err(ErrorReply { name: message.error, text }.into());
                }
                // Hello is the first: without it there is no connection.
                KIND_ERROR if message.reply_to == 1 => {
                    bail!("the bus refuses: {}", message.reader().text().unwrap_or_default());
                }
                _ => {}
            }
        }
    }

    /// Wait for a signal for which `accept` has an answer.
    pub fn signal<T>(&mut self, accept: impl Fn(&Message) -> Option<T>) -> Result<T> {
        if let Some(found) = self.signals.iter().find_map(&accept) {
            return Ok(found);
        }
        loop {
            let message = self.receive()?;
            if message.kind == KIND_SIGNAL
                && let Some(found) = accept(&message)
            {
                return Ok(found);
            }
        }
    }

    fn receive(&mut self) -> Result<Message> {
        self.flush().context("write to the bus")?;
        while !self.greeted {
            if let Some(end) = self.unread.windows(2).position(|pair| pair == b"\r\n") {
                let line = String::from_utf8_lossy(&self.unread[..end]).into_owned();
                // It asks for the name that was not given, and then says `OK`.
                self.greeted = line.starts_with("OK ");
                if !self.greeted && line != "DATA" {
                    bail!("the bus does not let this user in: {line:?}");
                }
                self.unread.drain(..end + 2);
            } else {
                self.fill()?;
            }
        }
        loop {
            if let Some(length) = message_length(&self.unread)?
                && self.unread.len() >= length
            {
                let data: Vec<u8> = self.unread.drain(..length).collect();
                return Message::parse(data).context("malformed message from the bus");
            }
            self.fill()?;
        }
    }

    fn flush(&mut self) -> sys::Result<()> {
        let mut rest = self.unsent.as_slice();
        while !rest.is_empty() {
            match socket::send_some(self.fd.as_fd(), rest) {
                Ok(n) => rest = &rest[n..],
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        self.unsent.clear();
        Ok(())
    }

    fn fill(&mut self) -> Result<()> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) => bail!("no answer within {TIMEOUT:?}"),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).context("poll"),
        }
        let mut buffer = [0; 4096];
        match nix::unistd::read(&self.fd, &mut buffer) {
            Ok(0) => bail!("the bus has closed the connection"),
            Ok(n) => self.unread.extend_from_slice(&buffer[..n]),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).context("read from the bus"),
        }
        Ok(())
    }
}

/// The sockets to try, in order.
fn addresses(instance: Instance) -> Vec<PathBuf> {
    let given = |name| std::env::var(name).map(|text| unix_paths(&text)).unwrap_or_default();
    match instance {
        Instance::System => {
            let mut paths = given("DBUS_SYSTEM_BUS_ADDRESS");
            paths.push("/run/dbus/system_bus_socket".into());
            paths
        }
        Instance::User => {
            let mut paths = given("DBUS_SESSION_BUS_ADDRESS");
            paths.extend(std::env::var_os("XDG_RUNTIME_DIR").map(|folder| PathBuf::from(folder).join("bus")));
            paths.push(format!("/run/user/{}/bus", nix::unistd::geteuid()).into());
            paths
        }
    }
}

/// The paths in a list of addresses, as `unix:path=/run/user/1000/bus,guid=…`.
fn unix_paths(addresses: &str) -> Vec<PathBuf> {
    let path = |address: &str| {
        let options = address.strip_prefix("unix:")?;
        options.split(',').find_map(|option| option.strip_prefix("path=")).map(PathBuf::from)
    };
    addresses.split(';').filter_map(path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_paths_of_sockets() {
        let paths = unix_paths("tcp:host=x;unix:guid=1,path=/a/bus;unix:abstract=b;unix:path=/c");
        assert_eq!(paths, [PathBuf::from("/a/bus"), PathBuf::from("/c")]);
    }
}
