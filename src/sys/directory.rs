//! What is in a directory, by as few calls as there can be.

use super::{Errno, Result, fs};
use std::os::fd::{AsRawFd, BorrowedFd};

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: Vec<u8>,
    /// The `S_IFMT` part of its mode, its own if it is a symlink; 0 where that cannot be told.
    pub kind: u32,
}

/// How much the kernel is asked for at once: some hundreds of names.
const AT_ONCE: usize = 16 << 10;

/// The offsets in a `linux_dirent64`: its length, its type, its name, which ends with a NUL.
const LENGTH: usize = 16;
const TYPE: usize = 18;
const NAME: usize = 19;

/// getdents64(2) until there are no more: all entries but `.` and `..`, in the order of the
/// filesystem. Of a filesystem that does not say what an entry is, each is asked for it.
pub fn entries(dir: BorrowedFd<'_>) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut buffer = [0u8; AT_ONCE];
    loop {
        let at = buffer.as_mut_ptr();
        // SAFETY: the kernel writes at most the length that is passed.
        let read = unsafe { libc::syscall(libc::SYS_getdents64, dir.as_raw_fd(), at, buffer.len()) };
        let mut rest = buffer.get(..Errno::result(read)? as usize).ok_or(Errno::EIO)?;
        if rest.is_empty() {
            return Ok(entries);
        }
        while !rest.is_empty() {
            let length = u16::from_ne_bytes([rest[LENGTH], rest[LENGTH + 1]]);
            let (record, others) = rest.split_at_checked(length.into()).ok_or(Errno::EIO)?;
            rest = others;
            let name: Vec<u8> = record[NAME..].iter().copied().take_while(|byte| *byte != 0).collect();
            if name == b"." || name == b".." {
                continue;
            }
            let kind = match record[TYPE] {
                libc::DT_UNKNOWN => fs::statat(dir, &name).map_or(0, |stat| stat.st_mode & libc::S_IFMT),
                // DT_* are the S_IF* without the bits of permissions.
                known => u32::from(known) << 12,
            };
            entries.push(Entry { name, kind });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn all_entries_are_there_once() {
        let folder = std::env::temp_dir().join(format!("knarr-entries-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).unwrap();
        std::fs::create_dir(folder.join("a")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.join("b")).unwrap();
        // More than are read at once, with names of each length.
        let long = |n: usize| format!("{n:04}{}", "x".repeat(n % 200));
        for n in 0..1000 {
            std::fs::write(folder.join(long(n)), "").unwrap();
        }
        let dir = fs::open(&folder, fs::O_RDONLY | fs::O_DIRECTORY, 0).unwrap();
        let mut found = entries(dir.as_fd()).unwrap();
        found.sort_by(|one, other| one.name.cmp(&other.name));
        let entry = |name: String, kind| Entry { name: name.into_bytes(), kind };
        let mut expected: Vec<Entry> = (0..1000).map(|n| entry(long(n), libc::S_IFREG)).collect();
        expected.extend([entry("a".into(), libc::S_IFDIR), entry("b".into(), libc::S_IFLNK)]);
        assert_eq!(found, expected);
        std::fs::remove_dir_all(&folder).unwrap();
        let file = fs::open("/proc/self/exe", fs::O_RDONLY, 0).unwrap();
        assert_eq!(entries(file.as_fd()).unwrap_err(), Errno::ENOTDIR);
    }
}
