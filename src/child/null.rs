//! Standard descriptors that are a null device: engines pass the host's. A process that has one
//! open can change mode, owner and times of the host's node, by fchmod(2) and the like. So it gets
//! the container's in its place.

use super::paths;
use crate::fault::{Call, Outcome, Refusal};
use crate::plan::Lookup;
use crate::sys::{Errno, fs, process as proc};
use std::os::fd::{AsFd, BorrowedFd};

/// Exchange those that are one. Called in the container's root.
pub(super) fn own() -> Outcome {
    for number in 0..3 {
        let descriptor = proc::standard(number);
        // One that the caller has closed is none.
        if is_null(descriptor) {
            exchange(descriptor, number)?;
        }
    }
    Ok(())
}

fn is_null(fd: BorrowedFd<'_>) -> bool {
    fs::stat_fd(fd)
        .is_ok_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFCHR && stat.st_rdev == fs::makedev(1, 3))
}

fn exchange(descriptor: BorrowedFd<'_>, number: i32) -> Outcome {
    let access = fs::access_mode(descriptor).call(|| "fcntl F_GETFL".into())?;
    let root = fs::open("/", fs::O_PATH | fs::O_DIRECTORY, 0).call(|| "open /".into())?;
    // It may be anything by now, and must neither be waited for nor become the terminal.
    let flags = access | fs::O_NONBLOCK | fs::O_NOCTTY;
    let own = paths::open(root.as_fd(), "/dev/null", flags, Lookup::Follow);
    let own = match own {
        Ok(own) if is_null(own.as_fd()) => own,
        Ok(_) | Err(Errno::ENOENT | Errno::ENXIO | Errno::ENOTDIR | Errno::EISDIR) => {
            return Err(Refusal::message("/dev/null in the container is not the null device"));
        }
        Err(errno) => return Err(Refusal::kernel("openat2 /dev/null in the container", errno)),
    };
    fs::set_blocking(own.as_fd()).call(|| "fcntl F_SETFL".into())?;
    proc::replace_stdio(own.as_fd(), number).call(|| "dup2".into())
}
