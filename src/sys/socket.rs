//! Unix sockets: the pair between parent and init, the start socket, the console socket.

use super::{Errno, Result};
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr,
    accept4, bind, connect, listen, recvmsg, sendmsg, setsockopt, socket, socketpair, sockopt,
};
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

/// socketpair(2), `SOCK_SEQPACKET`, close-on-exec.
pub fn seqpacket_pair() -> Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
}

/// A listening `SOCK_SEQPACKET` socket bound to `path`, which may have at most 107 bytes (sun_path,
/// unix(7)). Only its owner can connect, whatever the umask is: bind(2) gives the file the mode of
/// the socket.
pub fn listen_at(path: &Path) -> Result<OwnedFd> {
    let fd = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?;
    nix::sys::stat::fchmod(&fd, nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR)?;
    bind(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    listen(&fd, Backlog::new(16)?)?;
    Ok(fd)
}

/// A listening stream socket bound to `path`, as short and as private as for [`listen_at`]; it does
/// not wait.
pub fn listen_for_streams(path: &Path) -> Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    nix::sys::stat::fchmod(&fd, nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR)?;
    bind(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    listen(&fd, Backlog::new(128)?)?;
    Ok(fd)
}

/// accept4(2), close-on-exec: a connection that does not wait, EAGAIN if there is none.
pub fn accept_without_waiting(listener: BorrowedFd<'_>) -> Result<OwnedFd> {
    let fd = accept4(listener.as_raw_fd(), SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK)?;
    // SAFETY: the kernel has just returned this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A socket of type `kind` that is connected to the one bound to `path`. Never blocks: a full
/// backlog is EAGAIN.
pub fn connect_to(path: &Path, kind: SockType) -> Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Unix, kind, flags, None)?;
    connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    set_blocking(&fd)?;
    Ok(fd)
}

fn set_blocking(fd: &OwnedFd) -> Result<()> {
    nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::empty())).map(drop)
}

/// A datagram socket bound to `path`, as short as for [`listen_at`]; reads that would wait are
/// EAGAIN.
pub fn datagrams_at(path: &Path) -> Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
    bind(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(fd)
}

/// A datagram socket that sends to the one bound to `path`.
pub fn datagram_to(path: &Path) -> Result<OwnedFd> {
    let fd = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(fd)
}

/// recv(2) of one datagram; descriptors that come along are closed.
pub fn take_datagram(fd: BorrowedFd<'_>, data: &mut [u8]) -> Result<usize> {
    nix::sys::socket::recv(fd.as_raw_fd(), data, MsgFlags::empty())
}

/// accept4(2), close-on-exec.
pub fn accept(listener: BorrowedFd<'_>) -> Result<OwnedFd> {
    loop {
        match accept4(listener.as_raw_fd(), SockFlag::SOCK_CLOEXEC) {
            Err(Errno::EINTR) => {}
            // SAFETY: the kernel has just returned this descriptor to us alone.
            result => return result.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }),
        }
    }
}

/// sendmsg(2) of one message, with one descriptor or none. A closed peer is EPIPE, never a signal.
pub fn send(fd: BorrowedFd<'_>, data: &[u8], pass: Option<BorrowedFd<'_>>) -> Result<()> {
    let fds = pass.map(|fd| [fd.as_raw_fd()]);
    let control = fds.as_ref().map(|fds| ControlMessage::ScmRights(fds));
    loop {
        let sent = sendmsg::<()>(
            fd.as_raw_fd(),
            &[IoSlice::new(data)],
            control.as_slice(),
            MsgFlags::MSG_NOSIGNAL,
            None,
        );
        match sent {
            Err(Errno::EINTR) => {}
            result => return result.map(drop),
        }
    }
}

/// What [`send_marked`] gives as flags: none of them means anything to a UNIX domain socket.
pub const MARK: i32 = libc::MSG_NOSIGNAL | libc::MSG_CONFIRM | libc::MSG_RST | libc::MSG_SYN;

/// sendmsg(2) of one byte with one descriptor, with [`MARK`]; no other call is made on the way, not
/// even for memory.
pub fn send_marked(fd: BorrowedFd<'_>, mut data: [u8; 1], pass: BorrowedFd<'_>) -> Result<()> {
    #[repr(C, align(8))]
    struct Control([u8; 32]);
    let mut control = Control([0; 32]);
    let mut slice = libc::iovec { iov_base: data.as_mut_ptr().cast(), iov_len: 1 };
    // SAFETY: msghdr is plain integers and pointers, for which all zeroes is a value. `control` is
    // aligned for a header and has room for one with a descriptor; all that is pointed to is live.
    let sent = unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut slice;
        message.msg_iovlen = 1;
        message.msg_control = (&raw mut control).cast();
        message.msg_controllen = libc::CMSG_SPACE(4) as _;
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(4) as _;
        libc::CMSG_DATA(header).cast::<i32>().write_unaligned(pass.as_raw_fd());
        libc::syscall(libc::SYS_sendmsg, fd.as_raw_fd(), &raw const message, MARK)
    };
    Errno::result(sent).map(drop)
}

/// send(2) on a stream: how much of `data` was taken. A closed peer is EPIPE, never a signal.
pub fn send_some(fd: BorrowedFd<'_>, data: &[u8]) -> Result<usize> {
    nix::sys::socket::send(fd.as_raw_fd(), data, MsgFlags::MSG_NOSIGNAL)
}

/// Have the kernel add to every message who sent it, translated to this process's namespaces
/// (`SO_PASSCRED`).
pub fn pass_credentials(fd: BorrowedFd<'_>) -> Result<()> {
    setsockopt(&fd, sockopt::PassCred, &true)
}

/// What came with a message.
#[derive(Debug)]
pub struct Received {
    /// The length of its data; 0 when the peer has closed.
    pub length: usize,
    /// The descriptor that came along.
    pub fd: Option<OwnedFd>,
    /// The sender's pid, where [`pass_credentials`] asks for it.
    pub sender: Option<i32>,
}

/// recvmsg(2) of one message into `data`.
pub fn receive(fd: BorrowedFd<'_>, data: &mut [u8]) -> Result<Received> {
    let mut control = nix::cmsg_space!([libc::c_int; 1], nix::sys::socket::UnixCredentials);
    let mut slices = [IoSliceMut::new(data)];
    let message = loop {
        match recvmsg::<()>(fd.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::MSG_CMSG_CLOEXEC) {
            Err(Errno::EINTR) => {}
            result => break result?,
        }
    };
    let mut received = Received { length: message.bytes, fd: None, sender: None };
    for control in message.cmsgs()? {
        match control {
            ControlMessageOwned::ScmRights(fds) => {
                for fd in fds {
                    // SAFETY: the kernel has just installed this descriptor for us alone; all but
                    // the last are closed.
                    received.fd = Some(unsafe { OwnedFd::from_raw_fd(fd) });
                }
            }
            ControlMessageOwned::ScmCredentials(who) => received.sender = Some(who.pid()),
            _ => {}
        }
    }
    Ok(received)
}
