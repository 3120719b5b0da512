//! Files by descriptor: openat2(2) inside a root, nodes, directories.

use super::{Errno, Result, c};
use nix::sys::time::TimeSpec;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

pub use libc::{
    O_APPEND, O_CLOEXEC, O_CREAT, O_DIRECTORY, O_EXCL, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK, O_PATH, O_RDONLY,
    O_RDWR, O_TRUNC, O_WRONLY, RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV,
};

/// openat2(2). `O_CLOEXEC` is always added. The kernel answers EAGAIN to a rename or mount
/// elsewhere during a lookup that may not leave its root. It is then asked again, a bounded number
/// of times.
pub fn openat2(
    dir: BorrowedFd<'_>,
    path: impl AsRef<[u8]>,
    flags: i32,
    mode: u32,
    resolve: u64,
) -> Result<OwnedFd> {
    let path = c(path)?;
    // SAFETY: open_how is plain integers, for which all zeroes is a value.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (flags | O_CLOEXEC) as u64;
    how.mode = u64::from(mode);
    how.resolve = resolve;
    let mut tries = 0;
    loop {
        // SAFETY: `path` is NUL-terminated, `how` a live struct of the size that is passed.
        let ret = unsafe {
            libc::syscall(
                libc::SYS_openat2,
                dir.as_raw_fd(),
                path.as_ptr(),
                &raw const how,
                size_of::<libc::open_how>(),
            )
        };
        match Errno::result(ret) {
            Err(Errno::EAGAIN) if tries < 128 => tries += 1,
            // SAFETY: the kernel has just returned this descriptor to us alone.
            result => return result.map(|fd| unsafe { OwnedFd::from_raw_fd(fd as RawFd) }),
        }
    }
}

/// open(2) of a host path, close-on-exec. By openat(2): for open(3) musl sets the flag once more.
pub fn open(path: impl AsRef<std::path::Path>, flags: i32, mode: u32) -> Result<OwnedFd> {
    // SAFETY: the kernel has no other meaning for AT_FDCWD than the working directory.
    let here = unsafe { BorrowedFd::borrow_raw(libc::AT_FDCWD) };
    openat(here, path.as_ref().as_os_str().as_encoded_bytes(), flags, mode)
}

/// openat(2), close-on-exec. For directories that no container can write; elsewhere [`openat2`].
pub fn openat(dir: BorrowedFd<'_>, name: impl AsRef<[u8]>, flags: i32, mode: u32) -> Result<OwnedFd> {
    let name = c(name)?;
    // SAFETY: `name` is NUL-terminated and outlives the call; the kernel returns a descriptor that
    // is ours alone.
    unsafe {
        let fd = Errno::result(libc::openat(
            dir.as_raw_fd(),
            name.as_ptr(),
            flags | O_CLOEXEC,
            mode as libc::c_uint,
        ))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// mkdirat(2).
pub fn mkdirat(dir: BorrowedFd<'_>, name: impl AsRef<[u8]>, mode: u32) -> Result<()> {
    let name = c(name)?;
    // SAFETY: `name` is NUL-terminated and outlives the call.
    Errno::result(unsafe { libc::mkdirat(dir.as_raw_fd(), name.as_ptr(), mode) }).map(drop)
}

/// mknodat(2). `kind` is `S_IFREG`, `S_IFCHR`, `S_IFBLK` or `S_IFIFO`.
pub fn mknodat(dir: BorrowedFd<'_>, name: impl AsRef<[u8]>, kind: u32, mode: u32, rdev: u64) -> Result<()> {
    let name = c(name)?;
    // SAFETY: `name` is NUL-terminated and outlives the call.
    Errno::result(unsafe { libc::mknodat(dir.as_raw_fd(), name.as_ptr(), kind | mode, rdev) }).map(drop)
}

/// symlinkat(2): make `name` in `dir` a link to `target`.
pub fn symlinkat(target: &str, dir: BorrowedFd<'_>, name: &str) -> Result<()> {
    nix::unistd::symlinkat(target, dir, name)
}

/// What [`unlinkat`] removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unlink {
    /// A file, link or node.
    File,
    /// An empty directory (`AT_REMOVEDIR`).
    Dir,
}

/// unlinkat(2).
pub fn unlinkat(dir: BorrowedFd<'_>, name: impl AsRef<[u8]>, what: Unlink) -> Result<()> {
    let name = c(name)?;
    let flags = if what == Unlink::Dir { libc::AT_REMOVEDIR } else { 0 };
    // SAFETY: `name` is NUL-terminated and outlives the call.
    Errno::result(unsafe { libc::unlinkat(dir.as_raw_fd(), name.as_ptr(), flags) }).map(drop)
}

/// renameat(2) inside one directory.
pub fn renameat(dir: BorrowedFd<'_>, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Result<()> {
    let (from, to) = (c(from)?, c(to)?);
    // SAFETY: both names are NUL-terminated and outlive the call.
    Errno::result(unsafe { libc::renameat(dir.as_raw_fd(), from.as_ptr(), dir.as_raw_fd(), to.as_ptr()) })
        .map(drop)
}

/// fchownat(2) of the file that `fd` refers to (`AT_EMPTY_PATH`).
pub fn chown_fd(fd: BorrowedFd<'_>, uid: u32, gid: u32) -> Result<()> {
    // SAFETY: the path is the empty literal.
    Errno::result(unsafe { libc::fchownat(fd.as_raw_fd(), c"".as_ptr(), uid, gid, libc::AT_EMPTY_PATH) })
        .map(drop)
}

/// fchownat(2) of `name` in `dir`, not following a link.
pub fn chownat(dir: BorrowedFd<'_>, name: impl AsRef<[u8]>, uid: u32, gid: u32) -> Result<()> {
    let name = c(name)?;
    // SAFETY: `name` is NUL-terminated and outlives the call.
    Errno::result(unsafe {
        libc::fchownat(dir.as_raw_fd(), name.as_ptr(), uid, gid, libc::AT_SYMLINK_NOFOLLOW)
    })
    .map(drop)
}

/// fstat(2) of the file that `fd` refers to (also an `O_PATH` one).
pub fn stat_fd(fd: BorrowedFd<'_>) -> Result<libc::stat> {
    nix::sys::stat::fstat(fd)
}

/// fstatat(2) of `name` in `dir`, not following a link.
pub fn statat(dir: BorrowedFd<'_>, name: impl AsRef<[u8]>) -> Result<libc::stat> {
    nix::sys::stat::fstatat(dir, name.as_ref(), nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW)
}

/// utimensat(2): the times of the file's last access and modification, counted from 1970.
pub fn set_times(dir: BorrowedFd<'_>, name: &str, accessed: Duration, modified: Duration) -> Result<()> {
    let (accessed, modified) = (TimeSpec::from_duration(accessed), TimeSpec::from_duration(modified));
    let flags = nix::sys::stat::UtimensatFlags::NoFollowSymlink;
    nix::sys::stat::utimensat(dir, name, &accessed, &modified, flags)
}

/// readlinkat(2).
pub fn readlinkat(dir: BorrowedFd<'_>, name: &str) -> Result<String> {
    Ok(nix::fcntl::readlinkat(dir, name)?.to_string_lossy().into_owned())
}

/// faccessat2(2) for execution by the effective ids.
pub fn executable(path: &str) -> Result<()> {
    accessible(&c(path)?, libc::X_OK)
}

/// faccessat2(2) for writing by the effective ids.
pub fn writable(path: &std::path::Path) -> Result<()> {
    accessible(&c(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()))?, libc::W_OK)
}

fn accessible(path: &std::ffi::CStr, mode: libc::c_int) -> Result<()> {
    let at = libc::AT_FDCWD;
    // SAFETY: `path` is NUL-terminated and outlives the call.
    Errno::result(unsafe { libc::syscall(libc::SYS_faccessat2, at, path.as_ptr(), mode, libc::AT_EACCESS) })
        .map(drop)
}

/// getcwd(2), the call itself: the C library's function walks upwards where the kernel says
/// `(unreachable)`.
pub fn getcwd() -> Result<String> {
    let mut path = vec![0u8; libc::PATH_MAX as usize];
    // SAFETY: the kernel writes at most the length that is passed.
    let n = Errno::result(unsafe { libc::syscall(libc::SYS_getcwd, path.as_mut_ptr(), path.len()) })?;
    path.truncate((n as usize).saturating_sub(1));
    Ok(String::from_utf8_lossy(&path).into_owned())
}

/// The device number of a node.
pub fn makedev(major: u32, minor: u32) -> u64 {
    libc::makedev(major, minor)
}

/// flock(2), exclusive; blocks until the lock is free.
pub fn lock_exclusive(fd: BorrowedFd<'_>) -> Result<()> {
    loop {
        // SAFETY: no pointers are passed.
        match Errno::result(unsafe { libc::flock(fd.as_raw_fd(), libc::LOCK_EX) }) {
            Err(Errno::EINTR) => {}
            result => return result.map(drop),
        }
    }
}

/// write(2) of all of `data` in one call, as kernel files in /proc, /sys and cgroupfs want it.
pub fn write_once(fd: BorrowedFd<'_>, data: &[u8]) -> Result<()> {
    let n = nix::unistd::write(fd, data)?;
    if n == data.len() { Ok(()) } else { Err(Errno::EIO) }
}

/// The whole of a file of at most `limit` bytes; a longer one is EFBIG.
pub fn read_all(fd: BorrowedFd<'_>, limit: usize) -> Result<Vec<u8>> {
    let mut data = Vec::new();
    let mut filled = 0;
    loop {
        if data.len() - filled < 1024 {
            data.resize((data.len() * 2).max(4096), 0);
        }
        match nix::unistd::read(fd, &mut data[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
        if filled > limit {
            return Err(Errno::EFBIG);
        }
    }
    data.truncate(filled);
    Ok(data)
}

/// flock(2), exclusive, without waiting; whether it was had.
pub fn try_lock_exclusive(fd: BorrowedFd<'_>) -> Result<bool> {
    // SAFETY: no pointers are passed.
    match Errno::result(unsafe { libc::flock(fd.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }) {
        Err(Errno::EWOULDBLOCK) => Ok(false),
        locked => locked.map(|_| true),
    }
}

/// fchmodat(2), for directories that no container can write.
pub fn chmodat(dir: BorrowedFd<'_>, name: &str, mode: u32) -> Result<()> {
    let name = c(name)?;
    // SAFETY: `name` is NUL-terminated and outlives the call.
    Errno::result(unsafe { libc::fchmodat(dir.as_raw_fd(), name.as_ptr(), mode, 0) }).map(drop)
}

/// fcntl(2): reads and writes that would wait are EAGAIN.
pub fn set_nonblocking(fd: BorrowedFd<'_>) -> Result<()> {
    nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK)).map(drop)
}

/// fcntl(2): reads and writes wait.
pub fn set_blocking(fd: BorrowedFd<'_>) -> Result<()> {
    nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::empty())).map(drop)
}

/// Whether `fd` was opened for reading, for writing or for both: `O_RDONLY`, `O_WRONLY`, `O_RDWR`
/// (fcntl(2) `F_GETFL`).
pub fn access_mode(fd: BorrowedFd<'_>) -> Result<i32> {
    Ok(nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_GETFL)? & libc::O_ACCMODE)
}

/// flock(2): give a lock back.
pub fn unlock(fd: BorrowedFd<'_>) {
    // SAFETY: no pointers are passed. Unlocking what is open does not fail.
    unsafe { libc::flock(fd.as_raw_fd(), libc::LOCK_UN) };
}

/// syncfs(2): write what is cached of the filesystem that `fd` lies on.
pub fn syncfs(fd: BorrowedFd<'_>) -> Result<()> {
    nix::unistd::syncfs(fd)
}

/// Whether `fd` refers to a symlink itself.
pub fn is_symlink(fd: BorrowedFd<'_>) -> bool {
    stat_fd(fd).is_ok_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFLNK)
}

/// Whether both refer to the same file.
pub fn same_file(a: BorrowedFd<'_>, b: BorrowedFd<'_>) -> bool {
    let identity = |fd| stat_fd(fd).map(|stat| (stat.st_dev, stat.st_ino));
    matches!((identity(a), identity(b)), (Ok(a), Ok(b)) if a == b)
}

/// renameat2(2) with `RENAME_NOREPLACE`: EEXIST where the new name is taken. The C library need not
/// have it.
pub fn rename_unless_there(from: BorrowedFd<'_>, old: &str, to: BorrowedFd<'_>, new: &str) -> Result<()> {
    let (old, new) = (c(old)?, c(new)?);
    let (from, to) = (from.as_raw_fd(), to.as_raw_fd());
    // SAFETY: both names are NUL-terminated and live over the call.
    let renamed = unsafe {
        libc::syscall(libc::SYS_renameat2, from, old.as_ptr(), to, new.as_ptr(), libc::RENAME_NOREPLACE)
    };
    Errno::result(renamed).map(drop)
}

/// flock(2), shared; blocks while somebody has it alone.
pub fn lock_shared(fd: BorrowedFd<'_>) -> Result<()> {
    loop {
        // SAFETY: no pointers are passed.
        match Errno::result(unsafe { libc::flock(fd.as_raw_fd(), libc::LOCK_SH) }) {
            Err(Errno::EINTR) => {}
            result => return result.map(drop),
        }
    }
}

/// lseek(2): where the next read or write goes.
pub fn tell(fd: BorrowedFd<'_>) -> Result<u64> {
    nix::unistd::lseek(fd, 0, nix::unistd::Whence::SeekCur).map(|place| place as u64)
}

/// lseek(2) to the first data from `place` on; none if there is none.
pub fn next_data(fd: BorrowedFd<'_>, place: u64) -> Result<Option<u64>> {
    let place = i64::try_from(place).map_err(|_| Errno::EOVERFLOW)?;
    match nix::unistd::lseek(fd, place, nix::unistd::Whence::SeekData) {
        Err(Errno::ENXIO) => Ok(None),
        found => found.map(|place| Some(place as u64)),
    }
}

/// fallocate(2): a hole from the beginning of a file, which stays as long as it is.
pub fn punch_hole(fd: BorrowedFd<'_>, end: u64) -> Result<()> {
    use nix::fcntl::FallocateFlags as Flags;
    let end = i64::try_from(end).map_err(|_| Errno::EOVERFLOW)?;
    nix::fcntl::fallocate(fd, Flags::FALLOC_FL_PUNCH_HOLE | Flags::FALLOC_FL_KEEP_SIZE, 0, end)
}
