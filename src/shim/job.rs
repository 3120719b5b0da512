//! What may take its time, or makes init, is done in a child: a copy of the shim, which executes
//! nothing. It tells what has become of it, and ends.

use crate::protobuf::{Declared, declare};
use crate::sys::process::{self, Cloned};
use crate::sys::{self, Errno, cred, fs, signal, socket};
use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use std::fmt::{self, Display, Formatter};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The longest message, in bytes.
const MESSAGE_MAX: usize = 16 << 10;

declare! {
    /// What has become of a job, which is either done or has failed.
    struct Outcome { pid: i32 = 1, error: String = 2, warnings: Vec<String> = 3, done: bool = 4 }
}

/// What a job that was done has to tell.
#[derive(Debug, Default)]
pub struct Done {
    /// The process that was made, if one was.
    pub pid: i32,
    /// What was asked for and is not done.
    pub warnings: Vec<String>,
}

/// Why a job is not done.
#[derive(Debug)]
pub enum Undone {
    /// It has said why.
    Failed(String),
    /// It has said nothing: it was killed.
    Killed,
}

impl Display for Undone {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Undone::Failed(why) => why,
            Undone::Killed => "the process that does this was killed",
        })
    }
}

/// A child at work.
#[derive(Debug)]
pub struct Job {
    channel: OwnedFd,
    /// The other end of a terminal that it has made.
    pub terminal: Option<OwnedFd>,
}

/// The child's standard streams.
#[derive(Debug)]
pub enum Standard<'a> {
    /// The shim's: nothing, and the log.
    Shims,
    /// Those of the process that it makes; none is /dev/null.
    Processes([Option<BorrowedFd<'a>>; 3]),
}

impl Standard<'_> {
    /// Have them, in a child.
    pub fn take(&self) -> sys::Result<()> {
        let Standard::Processes(fds) = self else { return Ok(()) };
        let null = fs::open("/dev/null", libc::O_RDWR, 0)?;
        for (number, fd) in (0..).zip(fds) {
            process::replace_stdio(fd.unwrap_or(null.as_fd()), number)?;
        }
        Ok(())
    }
}

impl Job {
    /// Have `work` done in a child. It gets the channel, to which a terminal may be handed.
    pub fn begin(standard: &Standard<'_>, work: impl FnOnce(OwnedFd) -> Result<Done>) -> sys::Result<Job> {
        let (channel, theirs) = socket::seqpacket_pair()?;
        let shim = std::process::id();
        match process::clone3(0, None)? {
            Cloned::Parent { .. } => Ok(Job { channel, terminal: None }),
            Cloned::Child => {
                drop(channel);
                let prepare = || -> Result<OwnedFd> {
                    // What is made after the shim was killed nobody would take away.
                    cred::set_parent_death_signal(Signal::SIGKILL).context("prctl")?;
                    if nix::unistd::getppid().as_raw() as u32 != shim {
                        process::exit_now(1);
                    }
                    signal::reset_signals().context("sigprocmask")?;
                    standard.take().context("dup2")?;
                    theirs.try_clone().context("dup")
                };
                let outcome = match prepare().and_then(work) {
                    Ok(Done { pid, warnings }) => Outcome { pid, warnings, done: true, ..Outcome::default() },
                    Err(err) => Outcome { error: told(&err), ..Outcome::default() },
                };
                let _ = socket::send(theirs.as_fd(), &outcome.encode(), None);
                process::exit_now(0)
            }
        }
    }

    /// Its channel.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }

    /// Hear what it says; none where that was not the last word.
    pub fn hear(&mut self) -> Option<Result<Done, Undone>> {
        let mut data = [0; MESSAGE_MAX];
        let received = match socket::receive(self.channel.as_fd(), &mut data) {
            Err(Errno::EAGAIN | Errno::EINTR) => return None,
            Err(errno) => return Some(Err(Undone::Failed(format!("recvmsg: {}", sys::describe(errno))))),
            Ok(received) => received,
        };
        if let Some(terminal) = received.fd {
            self.terminal = Some(terminal);
            return None;
        }
        Some(match Outcome::decode(&data[..received.length]).unwrap_or_default() {
            Outcome { pid, warnings, done: true, .. } => Ok(Done { pid, warnings }),
            Outcome { error, .. } if !error.is_empty() => Err(Undone::Failed(error)),
            _ => Err(Undone::Killed),
        })
    }
}

/// An error, as long as fits.
fn told(err: &anyhow::Error) -> String {
    let mut text = crate::log::message(err);
    let end = (0..=text.len().min(MESSAGE_MAX / 2)).rev().find(|at| text.is_char_boundary(*at));
    text.truncate(end.unwrap_or_default());
    text
}
