//! Waiting: until the parent has recorded the container, and for `knarr start`.

use super::Init;
use crate::channel::{FromInit, InitEnd};
use crate::fault::{Call, Outcome, Refusal};
use crate::sys::{Errno, cred, process as proc, socket};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;

/// How many connections that say nothing are kept, to hear them later.
const SILENT_LIMIT: usize = 16;

impl Init<'_> {
    pub(super) fn ready(&mut self) -> Outcome {
        // The container may outlive the command that made it as soon as that has recorded it. If it
        // dies before, the closed channel tells.
        cred::set_parent_death_signal(None).call(|| "prctl".into())?;
        self.held.clear();
        proc::wipe_environment();
        let channel = &self.inherited.channel;
        channel.tell(&FromInit::Ready).call(|| "sendmsg".into())?;
        channel.await_done().call(|| "recvmsg".into())
    }

    /// The parent answers what it was told when the process was born, most often long before this.
    /// From here on the process may outlive the command.
    pub(super) fn await_record(&self) -> Outcome {
        cred::set_parent_death_signal(None).call(|| "prctl".into())?;
        self.inherited.channel.await_done().call(|| "recvmsg".into())
    }

    /// Wait for a connection that asks for the start, and answer over it from then on. Others, like
    /// `knarr state`, only look whether somebody waits here; who says nothing is not waited for.
    pub(super) fn await_start(&mut self) -> Outcome {
        let Some(listener) = self.inherited.listener.take() else {
            return Err(Refusal::message("nothing to wait on"));
        };
        // The command that made this container is gone, or soon will be.
        self.root = None;
        let mut peers: Vec<InitEnd> = Vec::new();
        loop {
            let fds = std::iter::once(listener.as_fd()).chain(peers.iter().map(InitEnd::as_fd));
            let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
            match poll(&mut fds, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                ready => ready.call(|| "poll".into())?,
            };
            let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
            // From the last one on: the numbers of the others stay.
            for at in (0..peers.len()).rev().filter(|at| ready[at + 1]) {
                let peer = peers.remove(at);
                if peer.await_done().is_ok() {
                    self.inherited.channel = peer;
                    return Ok(());
                }
            }
            if ready[0] {
                peers.push(InitEnd::new(socket::accept(listener.as_fd()).call(|| "accept4".into())?));
                if peers.len() > SILENT_LIMIT {
                    peers.remove(0);
                }
            }
        }
    }
}
