//! A container in the foreground: signals go in, its exit status comes out, a terminal is relayed.

use crate::sys::Errno;
use crate::sys::process::{self, Exit};
use crate::sys::tty::{self, Termios};
use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Signals on their way to the container. Taken before it starts, so that none is lost.
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    /// Take over every signal that can be forwarded.
    pub fn take() -> Result<Signals> {
        let mut set = SigSet::all();
        for own in [Signal::SIGKILL, Signal::SIGSTOP, Signal::SIGCHLD, Signal::SIGURG] {
            set.remove(own);
        }
        // A fault of this process must end it, not be sent on.
        for fault in [Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGILL, Signal::SIGFPE] {
            set.remove(fault);
        }
        set.thread_block().context("sigprocmask")?;
        Ok(Signals(
            SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).context("signalfd")?,
        ))
    }

    /// Forward them to the process until there is something to read from `fd`.
    pub(super) fn forward_until(&self, fd: BorrowedFd<'_>, pidfd: &OwnedFd) -> Result<()> {
        loop {
            let mut fds =
                [PollFd::new(fd, PollFlags::POLLIN), PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                result => result.context("poll")?,
            };
            if fds[0].any().unwrap_or(false) {
                return Ok(());
            }
            forward(pidfd, self, None)?;
        }
    }
}

/// The caller's terminal in raw mode; restored on every way out.
struct Raw(Option<Termios>);

impl Raw {
    fn enter() -> Raw {
        Raw(tty::make_raw(std::io::stdin()).ok())
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(saved) = &self.0 {
            let _ = tty::restore(std::io::stdin(), saved);
        }
    }
}

/// Forward signals, and a terminal if there is one, until the container's process has ended.
pub fn attend(pidfd: &OwnedFd, signals: &Signals, terminal: Option<OwnedFd>) -> Result<Exit> {
    let Some(master) = terminal else {
        return attend_process(pidfd, signals);
    };
    let raw = Raw::enter();
    let mut relay = Relay { master: &master, to_container: Vec::new(), input: true, output: true };
    loop {
        let mut fds = vec![
            PollFd::new(pidfd.as_fd(), PollFlags::POLLIN),
            PollFd::new(signals.0.as_fd(), PollFlags::POLLIN),
        ];
        let watched = relay.watch(&mut fds);
        match poll(&mut fds, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            result => result.context("poll")?,
        };
        let ready = |at: usize| fds.get(at).and_then(PollFd::revents).unwrap_or(PollFlags::empty());
        let (ended, signalled) = (ready(0), ready(1));
        let on_master = if watched.master { ready(2) } else { PollFlags::empty() };
        let on_input =
            if watched.input { ready(2 + usize::from(watched.master)) } else { PollFlags::empty() };
        if !signalled.is_empty() {
            forward(pidfd, signals, Some(&master))?;
        }
        relay.turn(on_master, on_input)?;
        if !ended.is_empty() {
            relay.drain();
            break;
        }
    }
    drop(raw);
    process::wait(pidfd.as_fd()).context("waitid")
}

fn attend_process(pidfd: &OwnedFd, signals: &Signals) -> Result<Exit> {
    loop {
        let mut fds = [
            PollFd::new(pidfd.as_fd(), PollFlags::POLLIN),
            PollFd::new(signals.0.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            result => result.context("poll")?,
        };
        if fds[0].any().unwrap_or(false) {
            return process::wait(pidfd.as_fd()).context("waitid");
        }
        forward(pidfd, signals, None)?;
    }
}

/// Give the container's terminal the size of the caller's, before the process can ask for it.
pub(super) fn copy_size(master: &OwnedFd) {
    // Without a terminal of the caller's there is no size to copy.
    if let Ok(size) = tty::size(std::io::stdin().as_fd()) {
        let _ = tty::set_size(master.as_fd(), size);
    }
}

fn forward(pidfd: &OwnedFd, signals: &Signals, master: Option<&OwnedFd>) -> Result<()> {
    while let Some(info) = signals.0.read_signal().context("read signalfd")? {
        let signal = info.ssi_signo as i32;
        match master {
            Some(master) if signal == libc::SIGWINCH => copy_size(master),
            _ => match process::pidfd_send_signal(pidfd.as_fd(), signal) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => return Err(errno).with_context(|| format!("signal {signal} to the container")),
            },
        }
    }
    Ok(())
}

/// Which descriptors a turn of the relay waits for, in this order.
struct Watched {
    master: bool,
    input: bool,
}

/// Bytes between the caller's standard input and output and the container's terminal.
struct Relay<'a> {
    master: &'a OwnedFd,
    /// Read from the caller, not yet taken by the terminal.
    to_container: Vec<u8>,
    input: bool,
    output: bool,
}

/// How much is read at a time.
const CHUNK: usize = 8192;

impl<'a> Relay<'a> {
    fn watch(&self, fds: &mut Vec<PollFd<'a>>) -> Watched {
        let mut interest = PollFlags::empty();
        if self.output {
            interest |= PollFlags::POLLIN;
        }
        if !self.to_container.is_empty() {
            interest |= PollFlags::POLLOUT;
        }
        // Without an open end in the container a terminal is always ready, to say that it has hung up.
        let watched =
            Watched { master: self.output, input: self.input && self.output && self.to_container.is_empty() };
        if watched.master {
            fds.push(PollFd::new(self.master.as_fd(), interest));
        }
        if watched.input {
            fds.push(PollFd::new(process::stdin(), PollFlags::POLLIN));
        }
        watched
    }

    fn turn(&mut self, on_master: PollFlags, on_input: PollFlags) -> Result<()> {
        if on_master.contains(PollFlags::POLLIN) || on_master == PollFlags::POLLHUP {
            self.copy_out();
        }
        if on_master.contains(PollFlags::POLLOUT) {
            self.copy_in()?;
        }
        if !on_input.is_empty() {
            let mut chunk = [0; CHUNK];
            match nix::unistd::read(process::stdin(), &mut chunk) {
                // The caller has no more to say; to a terminal that is a control character, VEOF.
                Ok(0) => {
                    self.input = false;
                    self.to_container.push(4);
                }
                Ok(n) => self.to_container.extend_from_slice(&chunk[..n]),
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(_) => self.input = false,
            }
        }
        Ok(())
    }

    fn copy_in(&mut self) -> Result<()> {
        let room = self.to_container.len().min(1024);
        match nix::unistd::write(self.master, &self.to_container[..room]) {
            Ok(n) => drop(self.to_container.drain(..n)),
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(Errno::EIO) => self.to_container.clear(),
            Err(errno) => return Err(errno).context("write to the container's terminal"),
        }
        Ok(())
    }

    /// One read from the terminal, written to standard output; false when there is nothing left.
    fn copy_out(&mut self) -> bool {
        let mut chunk = [0; CHUNK];
        let n = match nix::unistd::read(self.master, &mut chunk) {
            Ok(n) => n,
            Err(Errno::EINTR) => return true,
            // EIO: the last process has closed the terminal.
            Err(_) => 0,
        };
        if n == 0 {
            self.output = false;
            return false;
        }
        let mut left = &chunk[..n];
        while !left.is_empty() {
            match nix::unistd::write(std::io::stdout(), left) {
                Ok(n) => left = &left[n..],
                Err(Errno::EINTR) => {}
                // Nobody reads any more; the container goes on all the same.
                Err(_) => break,
            }
        }
        true
    }

    /// What the container wrote before it ended.
    fn drain(&mut self) {
        // Another process may go on writing; what the one that has ended wrote is in the terminal's buffer, 64 KiB at most.
        for _ in 0..64 {
            let mut fds = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
            let ready = poll(&mut fds, PollTimeout::ZERO);
            let readable = fds[0].revents().is_some_and(|r| r.contains(PollFlags::POLLIN));
            if ready != Ok(1) || !readable || !self.copy_out() {
                return;
            }
        }
    }
}
