//! Bytes on their way from one descriptor to another, as far as both go without waiting.

use crate::sys::{self, Errno, fs, tty};
use nix::poll::PollFlags;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// How much is read at a time: what a pipe holds (pipe(7)).
const CHUNK: usize = 64 << 10;

/// What a reader of a terminal in its usual mode takes as the end (VEOF, termios(3)).
const END_OF_FILE: u8 = 4;

/// Where the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Out of the container.
    Out,
    /// To a process's standard input.
    In,
    /// To a process's terminal.
    ToTerminal,
}

/// One direction.
#[derive(Debug)]
pub struct Pump {
    /// None once it has ended.
    from: Option<OwnedFd>,
    /// None once everything is written, or nobody takes anything any more.
    to: Option<OwnedFd>,
    /// Keeps what was written until the process is forgotten.
    _kept: Option<OwnedFd>,
    /// Read, and not written yet.
    buffer: Vec<u8>,
    /// The last byte that was read; a line break where none was.
    last: u8,
    way: Way,
}

impl Pump {
    /// From a process's output; `kept` keeps what is written to a fifo.
    pub fn new(from: OwnedFd, to: OwnedFd, kept: Option<OwnedFd>) -> sys::Result<Pump> {
        fs::set_nonblocking(from.as_fd())?;
        Ok(Pump {
            from: Some(from),
            to: Some(to),
            _kept: kept,
            buffer: Vec::new(),
            last: b'\n',
            way: Way::Out,
        })
    }

    /// To a process's standard input.
    pub fn to_stdin(from: OwnedFd, to: OwnedFd) -> sys::Result<Pump> {
        fs::set_nonblocking(to.as_fd())?;
        Ok(Pump { way: Way::In, ..Pump::new(from, to, None)? })
    }

    /// To a process's terminal.
    pub fn to_terminal(from: OwnedFd, master: OwnedFd) -> sys::Result<Pump> {
        Ok(Pump { way: Way::ToTerminal, ..Pump::to_stdin(from, master)? })
    }

    /// Whether it goes to the process.
    pub fn is_input(&self) -> bool {
        self.way != Way::Out
    }

    /// Whether nothing will come any more.
    pub fn is_done(&self) -> bool {
        self.from.is_none() && self.buffer.is_empty()
    }

    /// What to wait for.
    pub fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        match (&self.to, &self.from) {
            (Some(to), _) if !self.buffer.is_empty() => Some((to.as_fd(), PollFlags::POLLOUT)),
            (_, Some(from)) => Some((from.as_fd(), PollFlags::POLLIN)),
            _ => None,
        }
    }

    /// Read, unless what was read before is still to be written, and write.
    pub fn go(&mut self) {
        if self.buffer.is_empty() {
            self.read();
        }
        self.write();
        if self.is_done() {
            // Whoever reads there has read all.
            self.to = None;
        }
    }

    fn read(&mut self) {
        let Some(from) = &self.from else { return };
        self.buffer.resize(CHUNK, 0);
        let read = nix::unistd::read(from, &mut self.buffer);
        self.buffer.truncate(*read.as_ref().unwrap_or(&0));
        match read {
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            // EIO: the last process has closed its terminal.
            Ok(0) | Err(_) => {
                self.from = None;
                if self.way == Way::ToTerminal
                    && self.to.as_ref().is_some_and(|to| tty::edits_lines(to) == Ok(true))
                {
                    // On a line that has begun the first one only hands over what is there.
                    let ends = if self.last == b'\n' { 1 } else { 2 };
                    self.buffer.extend([END_OF_FILE; 2].into_iter().take(ends));
                }
            }
            Ok(n) => self.last = self.buffer[n - 1],
        }
    }

    fn write(&mut self) {
        while let Some(to) = &self.to
            && !self.buffer.is_empty()
        {
            match nix::unistd::write(to, &self.buffer) {
                Ok(n) => drop(self.buffer.drain(..n)),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return,
                // Nobody reads any more. A process goes on writing all the same, and what is meant
                // for one that does not read is not read either.
                Err(_) => {
                    self.to = None;
                    if self.is_input() {
                        self.from = None;
                    }
                }
            }
        }
        // A stream that rests holds no memory.
        self.buffer = Vec::new();
    }
}
