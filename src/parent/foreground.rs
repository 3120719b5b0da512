//! A container in the foreground: signals go in, its exit status comes out, a terminal is relayed.

use super::notify::Notify;
use super::relay;
use crate::log::say;
use crate::sys::process::{self, Exit};
use crate::sys::{Errno, describe, signal};
use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Who has sent a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The kernel, for the caller's terminal.
    Kernel,
    Process,
}

/// Signals on their way to the container. Taken before it starts, so that none is lost.
#[derive(Debug)]
pub struct Signals {
    fd: SignalFd,
    /// The child that is waited for; others are orphans that were adopted.
    child: Cell<i32>,
}

impl Signals {
    /// Take over every signal that can be forwarded.
    pub fn take() -> Result<Signals> {
        let mut set = signal::all();
        for own in [Signal::SIGKILL, Signal::SIGSTOP, Signal::SIGURG] {
            set.remove(own);
        }
        // In the background the use of the terminal stops this process, as it does any other.
        for terminal in [Signal::SIGTTIN, Signal::SIGTTOU] {
            set.remove(terminal);
        }
        // A fault of this process must end it, not be sent on.
        for fault in [Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGILL, Signal::SIGFPE] {
            set.remove(fault);
        }
        set.thread_block().context("sigprocmask")?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK);
        Ok(Signals { fd: fd.context("signalfd")?, child: Cell::new(0) })
    }

    /// Be the parent of the orphans among the processes of `child`, where it has no pid namespace
    /// whose init is.
    pub fn adopt_orphans_of(&self, child: i32) -> Result<()> {
        self.adopt_orphans()?;
        self.reap_all_but(child);
        Ok(())
    }

    /// Be the parent of orphans, before there can be any.
    pub fn adopt_orphans(&self) -> Result<()> {
        signal::adopt_orphans().context("PR_SET_CHILD_SUBREAPER")
    }

    /// Reap every child but this one, which somebody waits for.
    pub fn reap_all_but(&self, child: i32) {
        self.child.set(child);
    }

    /// The next one that has come for the container. One that tells of a child is for this process.
    pub(super) fn next(&self) -> Result<Option<(i32, Origin)>> {
        loop {
            let info = self.fd.read_signal().context("read signalfd")?;
            // A signal that is blocked is not ignored: this program's own write to a pipe that
            // nobody reads.
            if info.is_some_and(|i| i.ssi_signo == libc::SIGPIPE as u32 && i.ssi_pid == std::process::id()) {
                continue;
            }
            let Some(info) = info else { return Ok(None) };
            match info.ssi_signo as i32 {
                libc::SIGCHLD if self.child.get() != 0 => {
                    signal::reap_all_but(self.child.get()).context("waitid")?;
                }
                libc::SIGCHLD => {}
                signal if info.ssi_code == libc::SI_KERNEL => return Ok(Some((signal, Origin::Kernel))),
                signal => return Ok(Some((signal, Origin::Process))),
            }
        }
    }

    /// A descriptor that is readable when one has come.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Forward them to the process, and notifications to the host, until there is something to read
    /// from `fd`.
    pub(super) fn forward_until(
        &self,
        fd: BorrowedFd<'_>,
        pidfd: &OwnedFd,
        notify: Option<&Notify>,
    ) -> Result<()> {
        self.forward_for(PollTimeout::NONE, fd, pidfd, notify).map(drop)
    }

    /// The same, but no longer than until nothing has come for this long; whether there is
    /// something to read.
    pub(super) fn forward_for(
        &self,
        quiet: PollTimeout,
        fd: BorrowedFd<'_>,
        pidfd: &OwnedFd,
        notify: Option<&Notify>,
    ) -> Result<bool> {
        loop {
            let watched = [fd, self.as_fd()].into_iter().chain(notify.map(Notify::as_fd));
            let mut fds: Vec<_> = watched.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
            match poll(&mut fds, quiet) {
                Err(Errno::EINTR) => continue,
                Ok(0) => return Ok(false),
                result => result.context("poll")?,
            };
            if let (Some(notify), Some(true)) = (notify, fds.get(2).and_then(PollFd::any)) {
                notify.pass_on();
            }
            if fds[0].any().unwrap_or(false) {
                return Ok(true);
            }
            while let Some((signal, _)) = self.next()? {
                deliver(pidfd, signal);
            }
        }
    }
}

/// Forward signals, and a terminal if there is one, until the container's process has ended.
pub fn attend(
    pidfd: &OwnedFd,
    signals: &Signals,
    terminal: Option<OwnedFd>,
    notify: Option<&Notify>,
) -> Result<Exit> {
    match terminal {
        Some(terminal) => relay::attend(pidfd, signals, terminal, notify),
        None => {
            signals.forward_until(pidfd.as_fd(), pidfd, notify)?;
            process::wait(pidfd.as_fd()).context("waitid")
        }
    }
}

/// Send `signal` on; a process that has ended needs none. One that may not be signalled (it takes
/// CAP_KILL) is still waited for.
pub(super) fn deliver(pidfd: &OwnedFd, signal: i32) {
    match process::pidfd_send_signal(pidfd.as_fd(), signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(errno) => say(&format!("warning: signal {signal} to the container: {}", describe(errno))),
    }
}
