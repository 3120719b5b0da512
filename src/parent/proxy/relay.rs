//! Bytes between two connections, until both sides have said all.

use crate::sys::{Errno, fs, socket};
use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{Shutdown, shutdown};
use std::os::fd::{AsRawFd, BorrowedFd};

const CHUNK: usize = 64 << 10;

/// One direction.
struct Way<'a> {
    from: BorrowedFd<'a>,
    to: BorrowedFd<'a>,
    /// Read, and not yet written.
    held: Vec<u8>,
    is_open: bool,
}

impl Way<'_> {
    /// Go on, as far as it goes without waiting.
    fn go_on(&mut self) -> Result<()> {
        if self.held.is_empty() {
            let mut buffer = vec![0; CHUNK];
            match nix::unistd::read(self.from, &mut buffer) {
                Ok(0) | Err(Errno::ECONNRESET) => {
                    self.is_open = false;
                    let _ = shutdown(self.to.as_raw_fd(), Shutdown::Write);
                }
                Ok(n) => self.held.extend_from_slice(&buffer[..n]),
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(errno) => return Err(errno).context("read"),
            }
        }
        match socket::send_some(self.to, &self.held) {
            _ if self.held.is_empty() => Ok(()),
            Ok(n) => {
                self.held.drain(..n);
                Ok(())
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(()),
            // Nobody reads any more.
            Err(Errno::EPIPE | Errno::ECONNRESET) => {
                self.held.clear();
                self.is_open = false;
                Ok(())
            }
            Err(errno) => Err(errno).context("send"),
        }
    }

    /// What it waits for.
    fn waits(&self) -> Option<PollFd<'_>> {
        match (self.is_open, self.held.is_empty()) {
            (_, false) => Some(PollFd::new(self.to, PollFlags::POLLOUT)),
            (true, true) => Some(PollFd::new(self.from, PollFlags::POLLIN)),
            (false, true) => None,
        }
    }
}

/// Relay until both ends are closed.
pub(super) fn between(a: BorrowedFd<'_>, b: BorrowedFd<'_>) -> Result<()> {
    for fd in [a, b] {
        fs::set_nonblocking(fd).context("fcntl")?;
    }
    let way = |from, to| Way { from, to, held: Vec::new(), is_open: true };
    let mut ways = [way(a, b), way(b, a)];
    loop {
        let mut fds: Vec<PollFd<'_>> = ways.iter().filter_map(Way::waits).collect();
        if fds.is_empty() {
            return Ok(());
        }
        match poll(&mut fds, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            ready => ready.context("poll")?,
        };
        drop(fds);
        for way in &mut ways {
            if way.waits().is_some() {
                way.go_on()?;
            }
        }
    }
}

/// Write all of it.
pub(super) fn all(to: BorrowedFd<'_>, mut data: &[u8]) -> Result<()> {
    while !data.is_empty() {
        match socket::send_some(to, data) {
            Ok(n) => data = &data[n..],
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).context("send"),
        }
    }
    Ok(())
}
