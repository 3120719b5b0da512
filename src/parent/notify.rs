//! sd_notify(3) across the border of a container: what its processes say is passed on to who waits
//! for it on the host.

use crate::note;
use crate::sys::{Errno, socket};
use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

/// The longest message, in bytes; systemd's limit.
const MESSAGE_MAX: usize = 4096;

/// How long the host may take to read what it was told, in milliseconds.
const BARRIER_TIMEOUT_MS: u16 = 30_000;

/// What a container may say. MAINPID, FDSTORE and the like are about processes and descriptors of
/// the host's.
const PASSED_ON: [&str; 10] = [
    "READY",
    "RELOADING",
    "STOPPING",
    "STATUS",
    "ERRNO",
    "BUSERROR",
    "WATCHDOG",
    "WATCHDOG_USEC",
    "EXTEND_TIMEOUT_USEC",
    "MONOTONIC_USEC",
];

/// The socket in the container, and the one on the host.
#[derive(Debug)]
pub struct Notify {
    inner: OwnedFd,
    outer: OwnedFd,
}

/// Whether the process is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Ready,
    Other,
}

impl Notify {
    /// Pass on what comes to `inner`, to `$NOTIFY_SOCKET`; none where nobody waits there.
    pub fn new(inner: OwnedFd) -> Option<Notify> {
        let outer = socket::datagram_to(&host_socket()?).ok()?;
        Some(Notify::between(inner, outer))
    }

    /// Pass on what comes to `inner`, to whoever is at the other end of `outer`.
    pub fn between(inner: OwnedFd, outer: OwnedFd) -> Notify {
        Notify { inner, outer }
    }

    /// A descriptor that is readable when something has come.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }

    /// Pass on what has come.
    pub fn pass_on(&self) {
        let _ = self.take(None);
    }

    /// Pass on one message, with `main` as the pid of the service once it is ready. A host that
    /// does not listen is not the container's fault.
    fn take(&self, main: Option<i32>) -> Said {
        let mut data = [0; MESSAGE_MAX];
        let Ok(length) = socket::take_datagram(self.inner.as_fd(), &mut data) else { return Said::Other };
        let text = String::from_utf8_lossy(&data[..length]);
        let passed = passed_on(&text);
        let said = if passed.contains(&("READY", "1")) { Said::Ready } else { Said::Other };
        let mut lines: Vec<String> = passed.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if let (Said::Ready, Some(pid)) = (said, main) {
            lines.push(format!("MAINPID={pid}"));
        }
        let message = lines.join("\n");
        if !message.is_empty() {
            let _ = socket::send(self.outer.as_fd(), message.as_bytes(), None);
        }
        said
    }

    /// Pass on what comes until the container is ready or its process `pid` has ended. Then wait
    /// until the host has read it: systemd checks the sender, and this process is about to exit.
    pub fn until_ready(&self, pid: i32, pidfd: BorrowedFd<'_>) -> Result<()> {
        note::at(|| "the notification that it is ready".into());
        loop {
            let mut fds =
                [PollFd::new(self.as_fd(), PollFlags::POLLIN), PollFd::new(pidfd, PollFlags::POLLIN)];
            match poll(&mut fds, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                result => result.context("poll")?,
            };
            if fds[0].any().unwrap_or(false) {
                if self.take(Some(pid)) == Said::Ready {
                    return self.barrier();
                }
            } else {
                return Ok(());
            }
        }
    }

    fn barrier(&self) -> Result<()> {
        let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).context("pipe2")?;
        let sent = socket::send(self.outer.as_fd(), b"BARRIER=1", Some(write.as_fd()));
        drop(write);
        if sent.is_ok() {
            let _ = poll(&mut [PollFd::new(read.as_fd(), PollFlags::POLLIN)], BARRIER_TIMEOUT_MS);
        }
        Ok(())
    }
}

/// The assignments of a message that are passed on. Readers part lines at a carriage return too,
/// and end a message at a NUL; a value with any other control character is nobody's to interpret.
fn passed_on(text: &str) -> Vec<(&str, &str)> {
    let assignments = text.split(['\n', '\r', '\0']).filter_map(|line| line.split_once('='));
    let is_harmless = |(name, value): &(&str, &str)| {
        PASSED_ON.contains(name)
            && !value.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'))
    };
    assignments.filter(is_harmless).collect()
}

/// Where the caller of this command waits for notifications: a path, not an abstract address.
pub fn host_socket() -> Option<PathBuf> {
    std::env::var_os("NOTIFY_SOCKET").map(PathBuf::from).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::passed_on;

    #[test]
    fn only_what_is_about_the_container_is_passed_on() {
        let text = "READY=1\nMAINPID=1\nSTATUS=a=b\nFDSTORE=1\nREADYX=1\nNOTIFYACCESS=all\nWATCHDOG=1\n\nx";
        assert_eq!(passed_on(text), [("READY", "1"), ("STATUS", "a=b"), ("WATCHDOG", "1")]);
        assert!(passed_on("BARRIER=1").is_empty());
    }

    #[test]
    fn no_value_holds_another_line() {
        for hidden in ["MAINPID=765", "NOTIFYACCESS=all", "FDSTOREREMOVE=1", "FDNAME=x"] {
            for end in ['\r', '\n', '\0'] {
                let text = format!("STATUS=x{end}{hidden}{end}READY=1");
                assert_eq!(passed_on(&text), [("STATUS", "x"), ("READY", "1")], "{text:?}");
            }
            for control in ['\u{b}', '\u{c}', '\u{1b}', '\u{85}', '\u{2028}', '\u{7f}'] {
                let text = format!("STATUS=x{control}{hidden}\nREADY=1");
                assert_eq!(passed_on(&text), [("READY", "1")], "{text:?}");
            }
        }
    }
}
