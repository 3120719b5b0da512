//! Who waits for the listener, as /proc shows it. What is read there may be another's by the time
//! that it is used: it is told, and nothing is decided by it.

use crate::sys::{fs, notification};
use std::fs::File;
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

    /// The path at this address of its memory.
    pub(super) fn path(&self, address: u64) -> Option<String> {
        let memory = fs::open(format!("/proc/{}/mem", self.thread), fs::O_RDONLY, 0).ok()?;
        let memory = File::from(memory);
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
    fn still<T>(&self, read: T) -> Option<T> {
        notification::waits(self.listener, self.id).then_some(read)
    }
}
