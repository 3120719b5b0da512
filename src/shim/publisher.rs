//! Events on their way to containerd: one call at a time, so that they come in their order, and
//! again where containerd was not there.

use super::api::{Any, Envelope, ForwardRequest, Request};
use super::connection::Connection;
use super::wire::{Frame, frame, kind};
use crate::protobuf::Declared;
use crate::sys::{self, fs, socket};
use nix::poll::PollFlags;
use nix::sys::socket::SockType;
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

/// How long it takes until containerd is tried again, and how long it may take to answer.
const RETRY: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(10);

/// The most that is kept for a containerd that is not there. What it has missed it asks for when it
/// is there again.
const KEPT: usize = 4096;

/// Who tells containerd.
#[derive(Debug)]
pub struct Publisher {
    /// containerd's socket for ttrpc; none where nobody is to be told.
    address: Option<PathBuf>,
    namespace: String,
    connection: Option<Connection>,
    /// Encoded calls; the first has been sent if there is an answer to wait for.
    queue: VecDeque<Vec<u8>>,
    /// The stream of the call that was sent, odd as a client's are.
    stream: u32,
    /// Until when an answer is waited for, or when to try again.
    deadline: Option<Instant>,
    is_sent: bool,
}

impl Publisher {
    /// To the socket at `address`.
    pub fn new(address: &str, namespace: &str) -> Publisher {
        let path = address.strip_prefix("unix://").unwrap_or(address);
        Publisher {
            address: (!path.is_empty()).then(|| path.into()),
            namespace: namespace.into(),
            connection: None,
            queue: VecDeque::new(),
            stream: 1,
            deadline: None,
            is_sent: false,
        }
    }

    /// containerd's namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Tell of an event.
    pub fn publish(&mut self, topic: &str, name: &str, event: &impl Declared) {
        if self.address.is_none() {
            return;
        }
        let envelope = Envelope {
            timestamp: Some(SystemTime::now().into()),
            namespace: self.namespace.clone(),
            topic: topic.into(),
            event: Some(Any::pack(&format!("containerd.events.{name}"), event)),
        };
        let request = Request {
            service: "containerd.services.events.ttrpc.v1.Events".into(),
            method: "Forward".into(),
            payload: ForwardRequest { envelope: Some(envelope) }.encode(),
            timeout_ns: PATIENCE.as_nanos() as i64,
        };
        if self.queue.len() == KEPT {
            self.queue.remove(1);
        }
        self.queue.push_back(request.encode());
        self.advance();
    }

    /// Whether everything is told.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    /// When [`Publisher::advance`] has something to do, whatever comes.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The connection, and what to wait for.
    pub fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        self.connection.as_ref().map(Connection::interest)
    }

    /// Something has come, or may be sent.
    pub fn attend(&mut self, flags: PollFlags) {
        let Some(connection) = &mut self.connection else { return };
        let mut is_open = connection.flush();
        if flags.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
            is_open &= connection.read();
        }
        while let Some(answer) = connection.inbox.take() {
            let stream = match answer {
                Frame::Whole { stream, .. } | Frame::Oversized { stream, .. } => stream,
            };
            // What containerd refuses it would refuse again.
            if self.is_sent && stream == self.stream {
                self.queue.pop_front();
                (self.is_sent, self.deadline) = (false, None);
                self.stream += 2;
            }
        }
        if !is_open {
            self.hang_up();
        }
        self.advance();
    }

    /// The answer to what was sent may have come to somebody else.
    pub fn begin_anew(&mut self) {
        self.hang_up();
        self.deadline = None;
        self.advance();
    }

    fn hang_up(&mut self) {
        self.connection = None;
        self.is_sent = false;
        self.deadline = (!self.queue.is_empty()).then(|| Instant::now() + RETRY);
    }

    /// Send what is next, if nothing is under way and it is time.
    pub fn advance(&mut self) {
        if self.deadline.is_some_and(|deadline| Instant::now() < deadline) {
            return;
        }
        if self.is_sent {
            // containerd has not answered in time.
            return self.hang_up();
        }
        self.deadline = None;
        let Some(call) = self.queue.front() else { return };
        if self.connection.is_none() {
            self.stream = 1;
            self.connection = self.connect().ok();
        }
        let frame = frame(self.stream, kind::REQUEST, call);
        if self.connection.as_mut().is_some_and(|connection| connection.send(&frame)) {
            (self.is_sent, self.deadline) = (true, Some(Instant::now() + PATIENCE));
        } else {
            self.hang_up();
        }
    }

    fn connect(&self) -> sys::Result<Connection> {
        let address = self.address.as_deref().ok_or(sys::Errno::ENOENT)?;
        let fd = socket::connect_to(address, SockType::Stream)?;
        fs::set_nonblocking(fd.as_fd())?;
        Ok(Connection::new(fd))
    }
}
