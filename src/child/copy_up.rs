//! tmpcopyup: a tmpfs that starts with a copy of what it covers.

use crate::fault::{Outcome, Refusal};
use crate::sys::{self, Errno, fs};
use nix::unistd::{Whence, lseek};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// How deep folders may nest.
const DEPTH_LIMIT: usize = 256;

/// How much memory copies may take in one container, in bytes, but for those in a tmpfs whose own
/// size config.json says. A small layer can hold files of any size.
pub(super) const LIMIT: u64 = 512 << 20;

/// What each file, folder and link takes at the least, and the unit in which its content counts.
const PAGE: u64 = 4096;

/// What is left of the memory for copies.
#[derive(Debug)]
pub(super) struct Budget(pub(super) u64);

impl Budget {
    fn spend(&mut self, bytes: u64) -> sys::Result<()> {
        self.0 = self.0.checked_sub(bytes.next_multiple_of(PAGE).max(PAGE)).ok_or(Errno::EFBIG)?;
        Ok(())
    }
}

/// Copy the files below `from` into the still detached mount `to`: folders, regular files and
/// symlinks, with owner and mode. Nothing is followed.
pub(super) fn fill(target: &str, from: BorrowedFd<'_>, to: BorrowedFd<'_>, budget: &mut Budget) -> Outcome {
    let copied = reopen(from, c".").and_then(|from| copy_folder(&from, &reopen(to, c".")?, 0, budget));
    copied.map_err(|errno| match errno {
        Errno::EFBIG => {
            let limit = LIMIT >> 20;
            Refusal::message(format!(
                "tmpcopyup of {target}: more than {limit} MiB would be copied into memory; the mount's option size= allows more"
            ))
        }
        errno => Refusal::kernel(format!("tmpcopyup of {target}"), errno),
    })
}

fn reopen(dir: BorrowedFd<'_>, name: &CStr) -> sys::Result<OwnedFd> {
    let inside = fs::RESOLVE_BENEATH | fs::RESOLVE_NO_SYMLINKS;
    fs::openat2(dir, name.to_bytes(), fs::O_RDONLY | fs::O_DIRECTORY, 0, inside)
}

fn copy_folder(from: &OwnedFd, to: &OwnedFd, depth: usize, budget: &mut Budget) -> sys::Result<()> {
    if depth > DEPTH_LIMIT {
        return Err(Errno::ELOOP);
    }
    let mut dir = nix::dir::Dir::from_fd(reopen(from.as_fd(), c".")?)?;
    for entry in dir.iter() {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            copy_entry(from, to, name, depth, budget)?;
        }
    }
    Ok(())
}

fn copy_entry(
    from: &OwnedFd,
    to: &OwnedFd,
    name: &CStr,
    depth: usize,
    budget: &mut Budget,
) -> sys::Result<()> {
    let bytes = name.to_bytes();
    let stat = fs::statat(from.as_fd(), bytes)?;
    let mode = stat.st_mode & 0o7777;
    budget.spend(0)?;
    match stat.st_mode & libc::S_IFMT {
        libc::S_IFDIR => {
            fs::mkdirat(to.as_fd(), bytes, 0o700)?;
            let (below, copy) = (reopen(from.as_fd(), name)?, reopen(to.as_fd(), name)?);
            copy_folder(&below, &copy, depth + 1, budget)?;
            own(&copy, &stat, mode)
        }
        libc::S_IFREG => {
            let file = fs::openat(from.as_fd(), bytes, fs::O_RDONLY | fs::O_NOFOLLOW | fs::O_NONBLOCK, 0)?;
            let copy = fs::openat(to.as_fd(), bytes, fs::O_WRONLY | fs::O_CREAT | fs::O_EXCL, 0o600)?;
            copy_content(&file, &copy, budget)?;
            own(&copy, &stat, mode)
        }
        libc::S_IFLNK => {
            let leads_to = nix::fcntl::readlinkat(from, name)?;
            nix::unistd::symlinkat(leads_to.as_os_str(), to, name)?;
            fs::chownat(to.as_fd(), bytes, stat.st_uid, stat.st_gid)
        }
        // Devices, sockets and FIFOs belong to who made them.
        _ => Ok(()),
    }
}

/// Copy what there is of a file. Its holes stay holes: in memory they would be pages of zeroes.
fn copy_content(from: &OwnedFd, to: &OwnedFd, budget: &mut Budget) -> sys::Result<()> {
    let mut at = 0;
    loop {
        let data = match lseek(from, at, Whence::SeekData) {
            // Nothing but a hole follows.
            Err(Errno::ENXIO) => break,
            data => data?,
        };
        let end = lseek(from, data, Whence::SeekHole)?;
        budget.spend((end - data).unsigned_abs())?;
        lseek(to, data, Whence::SeekSet)?;
        let mut next = data;
        while next < end {
            let left = usize::try_from(end - next).unwrap_or(usize::MAX);
            // Somebody else has made it shorter.
            if nix::sys::sendfile::sendfile(to, from, Some(&mut next), left)? == 0 {
                break;
            }
        }
        at = end;
    }
    nix::unistd::ftruncate(to, lseek(from, 0, Whence::SeekEnd)?)
}

fn own(fd: &OwnedFd, stat: &libc::stat, mode: u32) -> sys::Result<()> {
    fs::chown_fd(fd.as_fd(), stat.st_uid, stat.st_gid)?;
    nix::sys::stat::fchmod(fd, nix::sys::stat::Mode::from_bits_truncate(mode))
}
