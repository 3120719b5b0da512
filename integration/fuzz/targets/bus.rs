//! What comes over D-Bus: an answer or an error, and no waiting for what cannot come.

use knarr::cgroup::dbus::{Body, Bus, Message, Target};
use nix::sys::socket::{AddressFamily, MsgFlags, Shutdown, SockFlag, SockType, send, shutdown, socketpair};
use std::os::fd::AsRawFd;

const SYSTEMD: Target<'static> = Target {
    name: "org.freedesktop.systemd1",
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
};

/// All that can be asked of a message's arguments.
fn arguments(message: &Message) {
    let _ = message.reader().text();
    let _ = message.reader().variant_u64();
    let mut reader = message.reader();
    let _ = (reader.u32(), reader.text(), reader.text(), reader.text());
}

/// What the peer says after it has let the user in; from the start, where the first byte is 255.
pub fn run(input: &[u8]) {
    if input.len() > 1 << 16 {
        return;
    }
    let (ours, theirs) =
        socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC).expect("socketpair");
    let said = match input.split_first() {
        Some((255, rest)) => rest.to_vec(),
        _ => [b"DATA\r\nOK 0123456789abcdef\r\n", input].concat(),
    };
    assert_eq!(send(theirs.as_raw_fd(), &said, MsgFlags::empty()), Ok(said.len()));
    // It says no more, but listens.
    shutdown(theirs.as_raw_fd(), Shutdown::Write).expect("shutdown");
    let mut bus = Bus::over(ours);
    if let Ok(message) = bus.call(SYSTEMD, "StartTransientUnit", &Body::default()) {
        arguments(&message);
    }
    let removed = bus.signal(|message| {
        arguments(message);
        (message.member == "JobRemoved").then_some(())
    });
    drop(removed);
}
