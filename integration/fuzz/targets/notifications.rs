//! What a container notifies: nothing reaches the host that is not about the container, however a
//! reader parts it.

use knarr::parent::notify::Notify;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use std::os::fd::{AsRawFd, OwnedFd};

const ABOUT_IT: [&str; 10] = [
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

fn datagrams() -> (OwnedFd, OwnedFd) {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    socketpair(AddressFamily::Unix, SockType::Datagram, None, flags).expect("socketpair")
}

/// One message.
pub fn run(message: &[u8]) {
    if message.len() > 1 << 16 {
        return;
    }
    let ((container, inner), (outer, host)) = (datagrams(), datagrams());
    send(container.as_raw_fd(), message, MsgFlags::empty()).expect("send");
    Notify::between(inner, outer).pass_on();
    let mut told = vec![0; 1 << 17];
    let length = recv(host.as_raw_fd(), &mut told, MsgFlags::empty()).unwrap_or(0);
    let told = std::str::from_utf8(&told[..length]).expect("text");
    // systemd's reader, and any that parts lines elsewhere too.
    for line in
        told.split(|c: char| c.is_control() || "\u{2028}\u{2029}".contains(c)).filter(|l| !l.is_empty())
    {
        let name = line.split('=').next().unwrap_or_default();
        assert!(line.contains('=') && ABOUT_IT.contains(&name), "{line:?} in {told:?}");
    }
    if message == b"READY=1" {
        assert_eq!(told, "READY=1");
    }
}
