//! Who waits for the listener, as /proc shows it. What is read there may be another's by the time
//! that it is used: it is told, and nothing is decided by it.

use crate::sys::{fs, notification};
use std::fs::File;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;

/// A thread whose call waits.
#[derive(Debug)]
pub(super) struct Victim<'a> {
    pub(super) thread: i32,
    pub(super) id: u64,
    pub(super) listener: BorrowedFd<'a>,
}

impl Victim<'_> {
    /// Its name, as the kernel has it.
    pub(super) fn name(&self) -> Option<String> {
        let text = std::fs::read(format!("/proc/{}/comm", self.thread)).ok()?;
        self.still(String::from_utf8_lossy(&text).trim_end().to_string())
    }

    /// Its process's pid, here and in the innermost pid namespace.
    pub(super) fn pids(&self) -> Option<(i32, i32)> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.thread)).ok()?;
        let last = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key));
            line?.split_whitespace().next_back()?.parse().ok()
        };
        self.still((last("Tgid:")?, last("NStgid:")?))
    }

    /// The eight bytes at this address of its memory.
    pub(super) fn word(&self, address: u64) -> Option<u64> {
        let mut word = [0; 8];
        self.memory()?.read_exact_at(&mut word, address).ok()?;
        self.still(u64::from_ne_bytes(word))
    }

    /// The address of a socket at this address of its memory.
    pub(super) fn address(&self, address: u64, length: u64) -> Option<String> {
        let mut bytes = vec![0; length.min(128) as usize];
        self.memory()?.read_exact_at(&mut bytes, address).ok()?;
        self.still(address_text(&bytes)?)
    }

    fn memory(&self) -> Option<File> {
        fs::open(format!("/proc/{}/mem", self.thread), fs::O_RDONLY, 0).ok().map(File::from)
    }

    /// The path at this address of its memory.
    pub(super) fn path(&self, address: u64) -> Option<String> {
        let memory = self.memory()?;
        let mut path = Vec::new();
        // A page may be the last one that is there.
        while path.len() < libc::PATH_MAX as usize {
            let at = address.checked_add(path.len() as u64)?;
            let mut piece = [0; 256];
            let length = piece.len() - (at % 256) as usize;
            let n = memory.read_at(&mut piece[..length], at).ok().filter(|n| *n > 0)?;
            let end = piece[..n].iter().position(|byte| *byte == 0);
            path.extend_from_slice(&piece[..end.unwrap_or(n)]);
            if end.is_some() {
                return self.still(String::from_utf8_lossy(&path).into_owned());
            }
        }
        None
    }

    /// What was read, if its thread still waited then.
    pub(super) fn still<T>(&self, read: T) -> Option<T> {
        notification::waits(self.listener, self.id).then_some(read)
    }
}

/// A `struct sockaddr`, for people.
fn address_text(bytes: &[u8]) -> Option<String> {
    let (family, rest) = bytes.split_first_chunk::<2>()?;
    let port = || rest.first_chunk::<2>().map(|port| u16::from_be_bytes(*port));
    match i32::from(u16::from_ne_bytes(*family)) {
        libc::AF_UNIX => match rest.split_first() {
            None => Some("AF_UNIX".into()),
            Some((0, name)) => Some(format!("AF_UNIX @{}", String::from_utf8_lossy(name))),
            Some(_) => {
                let path = rest.split(|byte| *byte == 0).next()?;
                Some(format!("AF_UNIX {}", String::from_utf8_lossy(path)))
            }
        },
        libc::AF_INET => {
            let ip: [u8; 4] = *rest.get(2..)?.first_chunk()?;
            Some(format!("AF_INET {}:{}", Ipv4Addr::from(ip), port()?))
        }
        libc::AF_INET6 => {
            let ip: [u8; 16] = *rest.get(6..)?.first_chunk()?;
            Some(format!("AF_INET6 [{}]:{}", Ipv6Addr::from(ip), port()?))
        }
        libc::AF_NETLINK => Some("AF_NETLINK".into()),
        family => Some(format!("family {family}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let of = |family: i32, rest: &[u8]| {
            address_text(&[&(family as u16).to_ne_bytes()[..], rest].concat()).unwrap()
        };
        assert_eq!(of(libc::AF_INET, &[0, 80, 127, 0, 0, 1, 0, 0]), "AF_INET 127.0.0.1:80");
        let v6 = [&[1, 187, 0, 0, 0, 0][..], &[0; 15], &[1, 0, 0, 0, 0]].concat();
        assert_eq!(of(libc::AF_INET6, &v6), "AF_INET6 [::1]:443");
        assert_eq!(of(libc::AF_UNIX, b"/run/x\0yy"), "AF_UNIX /run/x");
        assert_eq!(of(libc::AF_UNIX, b"\0x"), "AF_UNIX @x");
        assert_eq!(of(77, b""), "family 77");
        assert!(address_text(&[2, 0, 0]).is_none() && address_text(&[]).is_none());
    }
}
