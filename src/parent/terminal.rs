//! The terminal of a process, and that of the caller.

use crate::sys::{fs, process, socket, tty};
use anyhow::{Context, Result};
use std::os::fd::{AsFd, OwnedFd};

/// Whether the caller has a terminal to relay to: one of the standard descriptors, or that of the
/// session.
pub fn has_terminal() -> bool {
    let standard = [process::stdin(), process::stdout(), process::stderr()];
    standard.into_iter().any(|fd| tty::size(fd).is_ok())
        || fs::open("/dev/tty", fs::O_RDWR | fs::O_NOCTTY, 0).is_ok()
}

/// Give the container's terminal the size of the caller's, before the process can ask for it.
pub(super) fn copy_size(terminal: &OwnedFd) {
    // Without a terminal of the caller's there is no size to copy.
    let size = tty::size(process::stdin()).or_else(|_| tty::size(process::stdout()));
    if let Ok(size) = size {
        let _ = tty::set_size(terminal.as_fd(), size);
    }
}

/// Send the other end of a terminal to the console socket, as the kernel made it: whoever takes it
/// has a terminal of his own, whose output processing he may have switched off. Without a socket it
/// is this process's, to relay to a terminal that adds the carriage returns.
pub(super) fn hand_terminal(master: OwnedFd, console: Option<&OwnedFd>) -> Result<Option<OwnedFd>> {
    let Some(console) = console else {
        tty::clear_onlcr(&master).context("tcsetattr of the terminal")?;
        copy_size(&master);
        return Ok(Some(master));
    };
    let sent = socket::send(console.as_fd(), b"/dev/ptmx", Some(master.as_fd()));
    sent.context("--console-socket: sendmsg")?;
    Ok(None)
}
