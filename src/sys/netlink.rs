//! rtnetlink(7): one socket, one request at a time, every answer read to its end.

use super::{Errno, Result};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, socket,
};
use std::os::fd::{AsRawFd, OwnedFd};

/// A socket in the network namespace in which it was opened.
#[derive(Debug)]
pub struct Netlink {
    fd: OwnedFd,
    sequence: u32,
}

/// The size of `struct nlmsghdr`, netlink(7).
const HEADER: usize = 16;

/// More than any message of a route socket has (netlink(7) asks for at least 8192).
const MESSAGE_MAX: usize = 32 << 10;

impl Netlink {
    /// A socket in this process's network namespace.
    pub fn open() -> Result<Netlink> {
        let kind = SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Netlink, SockType::Raw, kind, SockProtocol::NetlinkRoute)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        Ok(Netlink { fd, sequence: 0 })
    }

    /// Send a request of type `kind` and return the bodies of the answers.
    pub fn ask(&mut self, kind: u16, flags: i32, body: &[u8]) -> Result<Vec<Vec<u8>>> {
        self.sequence += 1;
        let flags = (flags | libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
        let mut message = Vec::with_capacity(HEADER + body.len());
        message.extend(((HEADER + body.len()) as u32).to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend(self.sequence.to_ne_bytes());
        message.extend(0u32.to_ne_bytes());
        message.extend(body);
        send(self.fd.as_raw_fd(), &message, MsgFlags::empty())?;
        let mut answers = Vec::new();
        while !self.read_some(&mut answers)? {}
        Ok(answers)
    }

    /// Read one datagram, which holds one message or more; whether the last has come.
    fn read_some(&self, answers: &mut Vec<Vec<u8>>) -> Result<bool> {
        let mut data = vec![0; MESSAGE_MAX];
        let length = recv(self.fd.as_raw_fd(), &mut data, MsgFlags::empty())?;
        let mut rest = &data[..length];
        while let Some((length, kind, sequence)) = header(rest) {
            if length < HEADER || length > rest.len() {
                return Err(Errno::EBADMSG);
            }
            let body = &rest[HEADER..length];
            rest = &rest[length.next_multiple_of(4).min(rest.len())..];
            if sequence != self.sequence {
                continue;
            }
            match i32::from(kind) {
                // Both carry an errno, negative, or 0 for success.
                libc::NLMSG_ERROR | libc::NLMSG_DONE => {
                    let code = body.first_chunk::<4>().map_or(0, |code| i32::from_ne_bytes(*code));
                    return if code == 0 { Ok(true) } else { Err(Errno::from_raw(-code)) };
                }
                _ => answers.push(body.to_vec()),
            }
        }
        Ok(false)
    }
}

/// Length, type and sequence number of the message that `data` begins with.
fn header(data: &[u8]) -> Option<(usize, u16, u32)> {
    let header = data.first_chunk::<HEADER>()?;
    let word = |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    Some((word(0) as usize, u16::from_ne_bytes([header[4], header[5]]), word(8)))
}

/// Append an attribute, rtnetlink(7).
pub fn attribute(body: &mut Vec<u8>, kind: u16, data: &[u8]) {
    body.extend(((4 + data.len()) as u16).to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(data);
    body.resize(body.len().next_multiple_of(4), 0);
}

/// The attributes that `data` holds: type and value.
pub fn attributes(mut data: &[u8]) -> Vec<(u16, &[u8])> {
    let mut found = Vec::new();
    while let Some(header) = data.first_chunk::<4>() {
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        if length < 4 || length > data.len() {
            break;
        }
        // The two highest bits are flags.
        found.push((u16::from_ne_bytes([header[2], header[3]]) & 0x3fff, &data[4..length]));
        data = &data[length.next_multiple_of(4).min(data.len())..];
    }
    found
}
