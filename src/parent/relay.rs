//! A container's terminal in the foreground: bytes between it and the caller's standard input and
//! output.
//!
//! Nothing here waits but poll(2): who does not read, on either side, keeps neither the other
//! direction nor a signal from getting through.

use super::foreground::{Origin, Signals, deliver};
use super::notify::Notify;
use super::terminal::copy_size;
use crate::sys::process::{self, Exit};
use crate::sys::tty::{self, Output, Termios};
use crate::sys::{Errno, fs};
use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// How much is read at a time.
const CHUNK: usize = 8192;

/// How much is written at a time: what a pipe takes without waiting once poll(2) says that it takes
/// something (PIPE_BUF, pipe(7)).
const PIECE: usize = 4096;

/// The most that a terminal holds of what the process wrote before it ended. Another process may go
/// on writing.
const LAST_WORDS: usize = 64 << 10;

/// What a reader of a terminal in its usual mode takes as the end (VEOF, termios(3)).
const END_OF_FILE: u8 = 4;

/// The caller's terminal in raw mode; restored on every way out.
struct Raw(Option<Termios>);

/// The relayed terminal puts no carriage returns before line feeds, so the caller's goes on to.
fn raw() -> crate::sys::Result<Termios> {
    tty::make_raw(process::stdin(), Output::Processed)
}

impl Raw {
    fn enter() -> Raw {
        Raw(raw().ok())
    }

    /// Again, after this program was stopped: a shell has taken the terminal back meanwhile.
    fn enter_again(&self) {
        if self.0.is_some() {
            let _ = raw();
        }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(saved) = &self.0 {
            let _ = tty::restore(process::stdin(), saved);
        }
    }
}

/// Standard output, opened anew where it is a terminal. That says it takes something when it takes
/// a byte, and keeps whoever writes more waiting; not to wait is said of an open file, and the
/// caller's is shared with others.
fn own_output() -> Option<OwnedFd> {
    let is_other_side = |stdout: libc::stat| stdout.st_rdev == fs::makedev(5, 2); // /dev/ptmx makes a new one each time
    if tty::size(process::stdout()).is_err() || fs::stat_fd(process::stdout()).is_ok_and(is_other_side) {
        return None;
    }
    fs::open("/proc/self/fd/1", fs::O_WRONLY | fs::O_NOCTTY | fs::O_NONBLOCK, 0).ok()
}

/// What poll(2) waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Process,
    Signals,
    Terminal,
    Input,
    Output,
    Notifications,
}

/// Who reads from the container's terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Whole lines, edited by the kernel, for which the end of input is a character.
    Usual,
    /// A program that edits its lines itself.
    Raw,
}

struct Relay<'a> {
    pidfd: &'a OwnedFd,
    signals: &'a Signals,
    /// None once it is hung up.
    terminal: Option<OwnedFd>,
    notify: Option<&'a Notify>,
    raw: Raw,
    /// None: standard output itself.
    output: Option<OwnedFd>,
    /// Read from the caller, not yet taken by the terminal.
    inward: Vec<u8>,
    /// Read from the terminal, not yet taken by the caller.
    outward: Vec<u8>,
    /// The last byte that came from the caller; a line break where none did.
    last_in: u8,
    input_open: bool,
    /// Once the end of input is said: whether the terminal is in its usual mode, where that is a
    /// character of its own.
    said_end: Option<Mode>,
    terminal_open: bool,
    /// How much has been read since the process ended; none while it runs.
    since_end: Option<usize>,
}

/// Relay `terminal` and forward signals until the process has ended and what it wrote is written.
pub(super) fn attend(
    pidfd: &OwnedFd,
    signals: &Signals,
    terminal: OwnedFd,
    notify: Option<&Notify>,
) -> Result<Exit> {
    // A write to a full terminal would wait for its reader, who may be waiting for this program to
    // read.
    fs::set_nonblocking(terminal.as_fd()).context("fcntl of the terminal")?;
    let mut relay = Relay {
        pidfd,
        signals,
        terminal: Some(terminal),
        notify,
        raw: Raw::enter(),
        output: own_output(),
        inward: Vec::new(),
        outward: Vec::new(),
        last_in: b'\n',
        input_open: true,
        said_end: None,
        terminal_open: true,
        since_end: None,
    };
    while relay.turn()? {}
    drop(relay);
    process::wait(pidfd.as_fd()).context("waitid")
}

impl Relay<'_> {
    /// Wait for something and do it; false when all is done.
    fn turn(&mut self) -> Result<bool> {
        let watched = self.watched();
        let mut fds: Vec<PollFd<'_>> =
            watched.iter().map(|(end, flags)| PollFd::new(self.fd(*end), *flags)).collect();
        // Once the process has ended, what is not there at once does not come any more.
        let last = self.since_end.is_some() && self.outward.is_empty();
        match poll(&mut fds, if last { PollTimeout::ZERO } else { PollTimeout::NONE }) {
            Err(Errno::EINTR) => return Ok(true),
            Ok(0) if last => return Ok(false),
            result => result.context("poll")?,
        };
        let ready: Vec<(End, PollFlags)> = watched
            .iter()
            .zip(&fds)
            .filter_map(|((end, _), fd)| Some((*end, fd.revents()?)))
            .filter(|(_, flags)| !flags.is_empty())
            .collect();
        for (end, flags) in ready {
            match end {
                End::Process => self.since_end = Some(0),
                End::Signals if !self.take_signals()? => return Ok(false),
                End::Signals => {}
                End::Terminal if flags.contains(PollFlags::POLLOUT) => self.write_terminal()?,
                End::Terminal => self.read_terminal(),
                // Its other side is gone: a connection that was cut, a window that was closed.
                End::Input if flags.contains(PollFlags::POLLHUP) && self.raw.0.is_some() => self.hang_up(),
                End::Input => self.read_input(),
                End::Output => self.write_output(),
                End::Notifications => self.notify.iter().for_each(|notify| notify.pass_on()),
            }
        }
        Ok(true)
    }

    fn output(&self) -> BorrowedFd<'_> {
        self.output.as_ref().map_or(process::stdout(), AsFd::as_fd)
    }

    fn fd(&self, end: End) -> BorrowedFd<'_> {
        match end {
            End::Process => self.pidfd.as_fd(),
            End::Signals => self.signals.as_fd(),
            End::Terminal => self.terminal.as_ref().map_or(self.signals.as_fd(), AsFd::as_fd),
            End::Input => process::stdin(),
            End::Output => self.output(),
            End::Notifications => self.notify.map_or(self.signals.as_fd(), Notify::as_fd),
        }
    }

    /// Each end from which something can be had or to which something is to be given. A terminal
    /// whose other side is closed, or a process that has ended, would be ready for ever.
    fn watched(&self) -> Vec<(End, PollFlags)> {
        let runs = self.since_end.is_none();
        let takes_input = self.input_open && self.terminal_open && self.inward.is_empty() && runs;
        let interest = [
            (End::Process, runs, PollFlags::POLLIN),
            (End::Signals, true, PollFlags::POLLIN),
            (End::Terminal, self.terminal_open && self.outward.is_empty(), PollFlags::POLLIN),
            (End::Terminal, self.terminal_open && !self.inward.is_empty() && runs, PollFlags::POLLOUT),
            (End::Input, takes_input, PollFlags::POLLIN),
            (End::Output, !self.outward.is_empty(), PollFlags::POLLOUT),
            (End::Notifications, self.notify.is_some(), PollFlags::POLLIN),
        ];
        interest.into_iter().filter(|(_, wanted, _)| *wanted).map(|(end, _, flags)| (end, flags)).collect()
    }

    /// Deliver signals; false where one asks to go once the process has ended, whatever is still to
    /// be written.
    fn take_signals(&mut self) -> Result<bool> {
        while let Some((signal, origin)) = self.signals.next()? {
            match signal {
                libc::SIGWINCH => self.terminal.iter().for_each(copy_size),
                libc::SIGTERM | libc::SIGINT | libc::SIGHUP | libc::SIGQUIT if self.since_end.is_some() => {
                    return Ok(false);
                }
                libc::SIGHUP if origin == Origin::Kernel => self.hang_up(),
                _ => {
                    if signal == libc::SIGCONT {
                        self.raw.enter_again();
                        self.terminal.iter().for_each(copy_size);
                    }
                    deliver(self.pidfd, signal);
                }
            }
        }
        Ok(true)
    }

    fn read_input(&mut self) {
        let mut chunk = [0; CHUNK];
        match nix::unistd::read(process::stdin(), &mut chunk) {
            Ok(0) => {
                self.input_open = false;
                // On a line that has begun the first one only hands over what is there.
                let ends = if self.last_in == b'\n' { 1 } else { 2 };
                self.inward.extend([END_OF_FILE; 2].into_iter().take(ends));
                self.said_end = Some(self.mode());
            }
            Ok(n) => {
                self.inward.extend_from_slice(&chunk[..n]);
                self.last_in = chunk[n - 1];
            }
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(_) => self.input_open = false,
        }
    }

    /// Hang up the container's terminal: its process gets SIGHUP from the kernel and reads no more,
    /// as with any terminal.
    fn hang_up(&mut self) {
        self.terminal = None;
        (self.input_open, self.terminal_open) = (false, false);
        self.inward.clear();
        self.outward.clear();
    }

    fn mode(&self) -> Mode {
        match self.terminal.as_ref().map(tty::edits_lines) {
            Some(Ok(false)) => Mode::Raw,
            _ => Mode::Usual,
        }
    }

    /// A program may take the terminal out of its usual mode before it reads, as shells do for each
    /// line. Then it loses the end of input that it was told, and is told again.
    fn say_end_again(&mut self) {
        let Some(before) = self.said_end.filter(|_| self.inward.is_empty()) else { return };
        let now = self.mode();
        if (before, now) == (Mode::Usual, Mode::Raw) {
            self.inward.push(END_OF_FILE);
        }
        self.said_end = Some(now);
    }

    fn write_terminal(&mut self) -> Result<()> {
        let piece = self.inward.len().min(PIECE);
        let Some(terminal) = &self.terminal else { return Ok(()) };
        match nix::unistd::write(terminal, &self.inward[..piece]) {
            Ok(n) => drop(self.inward.drain(..n)),
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(Errno::EIO) => self.inward.clear(),
            Err(errno) => return Err(errno).context("write to the container's terminal"),
        }
        Ok(())
    }

    fn read_terminal(&mut self) {
        let mut chunk = [0; CHUNK];
        let Some(terminal) = &self.terminal else { return };
        match nix::unistd::read(terminal, &mut chunk) {
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            // EIO: the last process has closed the other side.
            Ok(0) | Err(_) => self.terminal_open = false,
            Ok(n) => {
                self.outward.extend_from_slice(&chunk[..n]);
                if let Some(read) = &mut self.since_end {
                    *read += n;
                    self.terminal_open = *read < LAST_WORDS;
                }
                self.say_end_again();
            }
        }
    }

    fn write_output(&mut self) {
        let piece = self.outward.len().min(PIECE);
        match nix::unistd::write(self.output(), &self.outward[..piece]) {
            Ok(n) => drop(self.outward.drain(..n)),
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            // Nobody reads any more; the container goes on all the same.
            Err(_) => self.outward.clear(),
        }
    }
}
