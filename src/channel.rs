//! What parent and init tell each other while a container is made: one SEQPACKET pair, one enum a
//! direction.
//!
//! A fault is the kernel's errno, the field in config.json, the call and, where the kernel had more
//! to say, its text. A closed channel means that the other side is gone.

use crate::fault::{Fault, Refusal};
use crate::sys::socket::{self, Received};
use crate::sys::{self, Errno};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

/// From init to its parent.
#[derive(Debug)]
pub enum FromInit {
    /// Run the prestart and createRuntime hooks, and answer.
    HostHooks,
    /// The other end of the container's terminal.
    Terminal(OwnedFd),
    /// The socket that the container's proxy takes connections from.
    Proxy(OwnedFd),
    /// A mount that is about to be added to a container that is there; record it, and answer.
    Mount(OwnedFd),
    /// The container is made; record it, and answer.
    Ready,
    /// The process of `exec` has this pid in the reader's pid namespace; make it known, and answer.
    Born(i32),
    /// Init's descriptor of this number is that of its seccomp notifications; take a copy, hand it
    /// to the agent, and answer.
    Listener(i32),
    /// The same with the descriptor itself, where the filter lets sendmsg(2) pass.
    ListenerItself(OwnedFd),
    /// The same, of a filter that has all calls wait for this listener: init waits for no answer.
    ListenerOfAll(OwnedFd),
    /// A step failed; init is about to exit.
    Failed(Fault),
}

impl FromInit {
    /// The error of who hears this at a time that it is not said at.
    pub fn unexpected(&self) -> anyhow::Error {
        let name = match self {
            FromInit::HostHooks => "HostHooks",
            FromInit::Terminal(_) => "Terminal",
            FromInit::Proxy(_) => "Proxy",
            FromInit::Mount(_) => "Mount",
            FromInit::Ready => "Ready",
            FromInit::Born(_) => "Born",
            FromInit::Listener(_) => "Listener",
            FromInit::ListenerItself(_) => "ListenerItself",
            FromInit::ListenerOfAll(_) => "ListenerOfAll",
            FromInit::Failed(_) => "Failed",
        };
        anyhow::anyhow!("unexpected message from init: {name}")
    }
}

/// The longest message, in bytes: a tag, an errno, and three strings.
const MESSAGE_MAX: usize = 2048;

/// The parent's answer, to hooks done or to a container recorded.
const DONE: &[u8] = b"done";

fn encode(fault: &Fault) -> Vec<u8> {
    let Fault { field, refusal: Refusal { call, errno, text } } = fault;
    let mut data = vec![b'F'];
    data.extend_from_slice(&errno.map_or(0, |errno| errno as i32).to_le_bytes());
    data.extend_from_slice([field.as_str(), call, text].join("\0").as_bytes());
    data.truncate(MESSAGE_MAX);
    data
}

fn decode(data: &[u8]) -> Option<Fault> {
    let (errno, rest) = data.split_first_chunk::<4>()?;
    let errno = Some(i32::from_le_bytes(*errno)).filter(|errno| *errno != 0).map(Errno::from_raw);
    let text = String::from_utf8_lossy(rest);
    let mut parts = text.splitn(3, '\0').map(String::from);
    let (field, call) = (parts.next()?, parts.next()?);
    Some(Fault { field, refusal: Refusal { call, errno, text: parts.next().unwrap_or_default() } })
}

/// Init's end.
#[derive(Debug)]
pub struct InitEnd(OwnedFd);

impl InitEnd {
    /// The end that is made of a connection to `knarr start`.
    pub fn new(fd: OwnedFd) -> InitEnd {
        InitEnd(fd)
    }

    /// Its descriptor, for a process that is about to close all others.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Tell the parent something. A parent that is gone is EPIPE.
    pub fn tell(&self, message: &FromInit) -> sys::Result<()> {
        match message {
            FromInit::HostHooks => socket::send(self.0.as_fd(), b"H", None),
            FromInit::Terminal(fd) => socket::send(self.0.as_fd(), b"T", Some(fd.as_fd())),
            FromInit::Proxy(fd) => socket::send(self.0.as_fd(), b"P", Some(fd.as_fd())),
            FromInit::Mount(fd) => socket::send(self.0.as_fd(), b"M", Some(fd.as_fd())),
            FromInit::Ready => socket::send(self.0.as_fd(), b"R", None),
            // Written, not sent, as what has failed is: a filter is in force by now, and `write` is
            // the call that none may notify.
            FromInit::Listener(number) => {
                let mut data = vec![b'L'];
                data.extend_from_slice(&number.to_le_bytes());
                sys::fs::write_once(self.0.as_fd(), &data)
            }
            FromInit::ListenerItself(fd) => socket::send(self.0.as_fd(), b"D", Some(fd.as_fd())),
            FromInit::ListenerOfAll(fd) => socket::send_marked(self.0.as_fd(), *b"A", fd.as_fd()),
            FromInit::Failed(fault) => sys::fs::write_once(self.0.as_fd(), &encode(fault)),
            // The kernel adds the pid as it is in the parent's pid namespace.
            FromInit::Born(_) => socket::send(self.0.as_fd(), b"B", None),
        }
    }

    /// As [`InitEnd::await_done`], by read(2), for a process with a filter in force.
    pub fn read_done(&self) -> sys::Result<()> {
        let mut data = [0; 16];
        let n = nix::unistd::read(&self.0, &mut data)?;
        if &data[..n] == DONE { Ok(()) } else { Err(Errno::EPIPE) }
    }

    /// Wait for the parent's answer. A parent that is gone is EPIPE.
    pub fn await_done(&self) -> sys::Result<()> {
        let mut data = [0; 16];
        let Received { length, .. } = socket::receive(self.0.as_fd(), &mut data)?;
        if &data[..length] == DONE { Ok(()) } else { Err(Errno::EPIPE) }
    }
}

/// The parent's end.
#[derive(Debug)]
pub struct ParentEnd(OwnedFd);

impl ParentEnd {
    /// The end that is made of a connection to a waiting init.
    pub fn new(fd: OwnedFd) -> ParentEnd {
        ParentEnd(fd)
    }

    /// Whether there is something to hear before the deadline.
    pub fn is_heard_by(&self, deadline: Instant) -> sys::Result<bool> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], left) {
                Err(Errno::EINTR) => {}
                heard => return heard.map(|count| count > 0),
            }
        }
    }

    /// The next message; none when init has closed its end, by execve(2) or by dying.
    pub fn hear(&self) -> sys::Result<Option<FromInit>> {
        let mut data = [0; MESSAGE_MAX];
        let mut receive = || socket::receive(self.0.as_fd(), &mut data);
        // The other side is gone without having read an answer, which is told before what it has
        // said.
        let received = match receive() {
            Err(Errno::ECONNRESET) => receive(),
            received => received,
        };
        let Received { length, fd, sender } = received?;
        match (data[..length].split_first(), fd) {
            (None, _) => Ok(None),
            (Some((b'H', _)), _) => Ok(Some(FromInit::HostHooks)),
            (Some((b'L', rest)), _) => {
                let number = rest.first_chunk::<4>().ok_or(Errno::EBADMSG)?;
                Ok(Some(FromInit::Listener(i32::from_le_bytes(*number))))
            }
            (Some((b'B', _)), _) => sender.map(FromInit::Born).map(Some).ok_or(Errno::EBADMSG),
            (Some((b'T', _)), Some(fd)) => Ok(Some(FromInit::Terminal(fd))),
            (Some((b'P', _)), Some(fd)) => Ok(Some(FromInit::Proxy(fd))),
            (Some((b'M', _)), Some(fd)) => Ok(Some(FromInit::Mount(fd))),
            (Some((b'D', _)), Some(fd)) => Ok(Some(FromInit::ListenerItself(fd))),
            (Some((b'A', _)), Some(fd)) => Ok(Some(FromInit::ListenerOfAll(fd))),
            (Some((b'R', _)), _) => Ok(Some(FromInit::Ready)),
            (Some((b'F', rest)), _) => decode(rest).map(FromInit::Failed).map(Some).ok_or(Errno::EBADMSG),
            _ => Err(Errno::EBADMSG),
        }
    }

    /// Answer init. An init that is gone is EPIPE.
    pub fn done(&self) -> sys::Result<()> {
        socket::send(self.0.as_fd(), DONE, None)
    }

    /// Its descriptor, to wait for with others.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Both ends, of which the parent's asks the kernel who sends.
pub fn pair_with_senders() -> sys::Result<(ParentEnd, InitEnd)> {
    let (parent, init) = pair()?;
    socket::pass_credentials(parent.as_fd())?;
    Ok((parent, init))
}

/// The parent's end and init's, which fork parts.
pub fn pair() -> sys::Result<(ParentEnd, InitEnd)> {
    let (parent, init) = socket::seqpacket_pair()?;
    Ok((ParentEnd(parent), InitEnd(init)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_survives_the_channel() {
        let (parent, init) = pair().unwrap();
        let refusal = Refusal::kernel("fsconfig", Errno::EINVAL).with_text("Unknown parameter 'frob'");
        let fault = refusal.of("mounts[2]");
        init.tell(&FromInit::Failed(fault.clone())).unwrap();
        let Some(FromInit::Failed(heard)) = parent.hear().unwrap() else { panic!("no fault") };
        assert_eq!(heard, fault);
    }

    #[test]
    fn a_fault_is_heard_though_an_answer_was_not() {
        let (parent, init) = pair().unwrap();
        init.tell(&FromInit::Ready).unwrap();
        parent.done().unwrap();
        drop(init);
        assert!(matches!(parent.hear(), Ok(Some(FromInit::Ready))));
        assert!(parent.hear().unwrap().is_none());
    }

    #[test]
    fn the_kernel_says_who_was_born() {
        let (parent, init) = pair_with_senders().unwrap();
        init.tell(&FromInit::Born(0)).unwrap();
        let own = std::process::id() as i32;
        assert!(matches!(parent.hear(), Ok(Some(FromInit::Born(pid))) if pid == own));
    }

    #[test]
    fn a_closed_end_is_no_message_on_one_side_and_epipe_on_the_other() {
        let (parent, init) = pair().unwrap();
        drop(init);
        assert!(parent.hear().unwrap().is_none());
        let (parent, init) = pair().unwrap();
        drop(parent);
        assert_eq!(init.tell(&FromInit::Ready), Err(Errno::EPIPE));
        assert_eq!(init.await_done(), Err(Errno::EPIPE));
    }
}
