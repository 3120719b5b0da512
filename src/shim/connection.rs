//! A client's connection.

use super::wire::Inbox;
use crate::sys::{Errno, socket};
use nix::poll::PollFlags;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// How much is read at a time.
const CHUNK: usize = 16 << 10;

/// A client that does not read its answers is not asked for more calls once so many bytes wait.
const UNREAD_MAX: usize = 1 << 20;

/// One end of a connection: calls come in, answers go out.
#[derive(Debug)]
pub struct Connection {
    fd: OwnedFd,
    /// What has come.
    pub inbox: Inbox,
    /// What the other side has not taken yet.
    outbox: Vec<u8>,
}

impl Connection {
    /// Over a socket that does not wait.
    pub fn new(fd: OwnedFd) -> Connection {
        Connection { fd, inbox: Inbox::default(), outbox: Vec::new() }
    }

    /// Its socket, and what to wait for.
    pub fn interest(&self) -> (BorrowedFd<'_>, PollFlags) {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, self.outbox.len() < UNREAD_MAX);
        flags.set(PollFlags::POLLOUT, !self.outbox.is_empty());
        (self.fd.as_fd(), flags)
    }

    /// Whether the other side has all that it was sent.
    pub fn is_flushed(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Take over what has come; false once the connection is closed.
    pub fn read(&mut self) -> bool {
        let mut chunk = [0; CHUNK];
        match nix::unistd::read(&self.fd, &mut chunk) {
            Ok(0) => false,
            Ok(n) => {
                self.inbox.put(&chunk[..n]);
                true
            }
            Err(errno) => matches!(errno, Errno::EAGAIN | Errno::EINTR),
        }
    }

    /// Send a frame, as far as the other side takes it; false once the connection is closed.
    pub fn send(&mut self, frame: &[u8]) -> bool {
        self.outbox.extend_from_slice(frame);
        self.flush()
    }

    /// Send what waits, as far as the other side takes it; false once the connection is closed.
    pub fn flush(&mut self) -> bool {
        while !self.outbox.is_empty() {
            match socket::send_some(self.fd.as_fd(), &self.outbox) {
                Ok(n) => drop(self.outbox.drain(..n)),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return true,
                Err(_) => return false,
            }
        }
        self.outbox = Vec::new();
        true
    }
}
