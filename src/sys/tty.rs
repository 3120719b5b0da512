//! Terminals: pseudo-terminal pairs, window size, raw mode.

use super::{Errno, Result};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

pub use nix::sys::termios::Termios;

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub rows: u16,
    /// Characters a line.
    pub columns: u16,
}

/// The other end of an open /dev/ptmx, unlocked and opened without any path (`TIOCGPTPEER`, Linux
/// 4.13).
pub fn peer(master: BorrowedFd<'_>) -> Result<OwnedFd> {
    let unlock: libc::c_int = 0;
    // SAFETY: TIOCSPTLCK reads one int, live over the call.
    Errno::result(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlock) })?;
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: TIOCGPTPEER takes open flags and returns a descriptor that is ours alone.
    unsafe {
        let fd = Errno::result(libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// The window size (`TIOCGWINSZ`).
pub fn size(tty: BorrowedFd<'_>) -> Result<Size> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ fills one winsize, live over the call.
    Errno::result(unsafe { libc::ioctl(tty.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) })?;
    Ok(Size { rows: size.ws_row, columns: size.ws_col })
}

/// Set the window size (`TIOCSWINSZ`).
pub fn set_size(tty: BorrowedFd<'_>, size: Size) -> Result<()> {
    let size = libc::winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCSWINSZ reads one winsize, live over the call.
    Errno::result(unsafe { libc::ioctl(tty.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) }).map(drop)
}

/// Make `tty` the controlling terminal of this session (`TIOCSCTTY`).
pub fn set_controlling(tty: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: TIOCSCTTY takes an integer.
    Errno::result(unsafe { libc::ioctl(tty.as_raw_fd(), libc::TIOCSCTTY, 0) }).map(drop)
}

/// Whether the kernel edits the lines that are typed there (ICANON, termios(3)).
pub fn edits_lines(tty: impl AsFd) -> Result<bool> {
    let settings = nix::sys::termios::tcgetattr(tty.as_fd())?;
    Ok(settings.local_flags.contains(nix::sys::termios::LocalFlags::ICANON))
}

/// What becomes of the output of a terminal in raw mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// It goes out as it is.
    Raw,
    /// A carriage return goes before each line feed.
    Processed,
}

/// Put `tty` in raw mode, cfmakeraw(3). Returns the settings to restore.
pub fn make_raw(tty: impl AsFd, output: Output) -> Result<Termios> {
    let saved = nix::sys::termios::tcgetattr(tty.as_fd())?;
    let mut raw = saved.clone();
    nix::sys::termios::cfmakeraw(&mut raw);
    if output == Output::Processed {
        raw.output_flags.insert(nix::sys::termios::OutputFlags::OPOST);
    }
    nix::sys::termios::tcsetattr(tty, nix::sys::termios::SetArg::TCSANOW, &raw)?;
    Ok(saved)
}

/// Set `tty`'s settings, also from the background: with SIGTTOU blocked that does not stop this
/// process.
pub fn restore(tty: impl AsFd, settings: &Termios) -> Result<()> {
    let mut stop = nix::sys::signal::SigSet::empty();
    stop.add(nix::sys::signal::Signal::SIGTTOU);
    let mask = stop.thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK)?;
    let set = nix::sys::termios::tcsetattr(tty, nix::sys::termios::SetArg::TCSANOW, settings);
    mask.thread_set_mask()?;
    set
}

/// Clear ONLCR, so that what the container prints reaches a relay byte for byte.
pub fn clear_onlcr(tty: impl AsFd) -> Result<()> {
    let mut settings = nix::sys::termios::tcgetattr(tty.as_fd())?;
    settings.output_flags.remove(nix::sys::termios::OutputFlags::ONLCR);
    nix::sys::termios::tcsetattr(tty, nix::sys::termios::SetArg::TCSANOW, &settings)
}

/// Go on in a process group of this process's own, in the foreground of the terminal on standard
/// input, if that is this session's. With SIGTTOU blocked this does not stop the process.
pub fn take_foreground() {
    let own = nix::unistd::getpid();
    let _ = nix::unistd::setpgid(own, own);
    let _ = nix::unistd::tcsetpgrp(super::process::stdin(), own);
}
