//! A container's cgroup: made, entered at birth, killed and removed.
//!
//! All files are reached from a descriptor of the cgroup, below it and on its filesystem only.

mod controllers;
mod dbus;
mod delegate;
mod devices;
mod freezer;
mod limits;
mod record;
pub mod stats;
pub mod systemd;
mod watch;

pub use devices::Filters;
pub use limits::Refused;
pub use record::Record;
pub use watch::{News, Watch};

use crate::sys::{self, Errno, fs, process};
use anyhow::{Context, Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The longest file of a cgroup that is read, in bytes: cgroup.procs of half a million processes.
const FILE_LIMIT: usize = 4 << 20;

/// How long killed processes may take to go.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// A cgroup, open.
#[derive(Debug)]
pub struct Cgroup {
    fd: OwnedFd,
    path: PathBuf,
}

/// A cgroup that was just made or taken over, and how many directories were made for it.
#[derive(Debug)]
pub struct Made {
    /// The cgroup.
    pub cgroup: Cgroup,
    /// How many of the last names of its path were made; 0 for one that was there already.
    pub depth: usize,
}

/// Make the cgroup `path` below `root`, or take it over if it is there, empty and not frozen.
pub fn make(root: &Path, path: &str) -> Result<Made> {
    let whole = root.join(path);
    let top = fs::open(root, fs::O_PATH | fs::O_DIRECTORY, 0).with_context(|| root.display().to_string())?;
    // A parent may vanish between two calls, when another container that shared it is deleted.
    for _ in 0..16 {
        match make_chain(&top, path) {
            Ok((fd, depth)) => {
                let cgroup = Cgroup { fd, path: whole };
                if depth == 0 {
                    cgroup.refuse_used()?;
                }
                return Ok(Made { cgroup, depth });
            }
            Err(Errno::ENOENT) => {}
            Err(errno) => bail!("mkdir {}: {}", whole.display(), sys::describe(errno)),
        }
    }
    bail!("mkdir {}: {}", whole.display(), sys::describe(Errno::ENOENT))
}

/// How many of the last names of `path` are missing below `root`: what [`make`] is about to make.
pub fn missing(root: &Path, path: &str) -> usize {
    let mut whole = root.join(path);
    let mut missing = 0;
    while whole != root && nix::unistd::access(&whole, nix::unistd::AccessFlags::F_OK) == Err(Errno::ENOENT) {
        missing += 1;
        whole.pop();
    }
    missing
}

/// Make the names of `path` that are missing: the last one's descriptor, and how many were made. On an error none stay.
fn make_chain(top: &OwnedFd, path: &str) -> sys::Result<(OwnedFd, usize)> {
    let names: Vec<&str> = path.split('/').collect();
    // The names that were made are `depth` in a row, the last one of them the `last`-th of all.
    let (mut depth, mut last) = (0, 0);
    let mut make = || -> sys::Result<OwnedFd> {
        for end in 1..=names.len() {
            match fs::mkdirat(top.as_fd(), names[..end].join("/"), 0o755) {
                Ok(()) => (depth, last) = (depth + 1, end),
                Err(Errno::EEXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
        open_below(top.as_fd(), path, fs::O_RDONLY | fs::O_DIRECTORY)
    };
    make().map(|fd| (fd, depth)).inspect_err(|_| {
        for end in (last - depth + 1..=last).rev() {
            let _ = fs::unlinkat(top.as_fd(), names[..end].join("/"), fs::Unlink::Dir);
        }
    })
}

fn open_below(dir: BorrowedFd<'_>, path: &str, flags: i32) -> sys::Result<OwnedFd> {
    let inside = fs::RESOLVE_BENEATH | fs::RESOLVE_NO_XDEV | fs::RESOLVE_NO_SYMLINKS;
    fs::openat2(dir, path, flags, 0, inside)
}

/// The whole of an open file, from its beginning.
fn reread(file: &OwnedFd) -> sys::Result<String> {
    nix::unistd::lseek(file, 0, nix::unistd::Whence::SeekSet)?;
    Ok(String::from_utf8_lossy(&fs::read_all(file.as_fd(), FILE_LIMIT)?).into_owned())
}

/// Whether the error is that of a cgroup that was removed, or of a file of it.
fn is_gone(err: &anyhow::Error) -> bool {
    matches!(err.downcast_ref(), Some(Errno::ENOENT | Errno::ENODEV))
}

fn rmdir(path: &Path) -> sys::Result<()> {
    nix::unistd::unlinkat(nix::fcntl::AT_FDCWD, path, nix::unistd::UnlinkatFlags::RemoveDir)
}

impl Cgroup {
    /// Open the cgroup at `path`; none if it is gone.
    pub fn open(path: &Path) -> Result<Option<Cgroup>> {
        match fs::open(path, fs::O_RDONLY | fs::O_DIRECTORY | fs::O_NOFOLLOW, 0) {
            Ok(fd) => Ok(Some(Cgroup { fd, path: path.into() })),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => bail!("open {}: {}", path.display(), sys::describe(errno)),
        }
    }

    /// Open the cgroup `path` below this one, which has no `..` in it.
    pub fn below(&self, path: &str) -> Result<Cgroup> {
        let flags = fs::O_RDONLY | fs::O_DIRECTORY;
        let fd =
            open_below(self.fd.as_fd(), path, flags).map_err(|errno| self.refused("open", path, errno))?;
        Ok(Cgroup { fd, path: self.path.join(path) })
    }

    /// Its descriptor, for clone3(2).
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Its path on the host.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn read(&self, name: &str) -> Result<String> {
        let data = open_below(self.fd.as_fd(), name, fs::O_RDONLY)
            .and_then(|fd| fs::read_all(fd.as_fd(), FILE_LIMIT));
        let data = data.map_err(|errno| self.refused("read", name, errno))?;
        Ok(String::from_utf8_lossy(&data).into_owned())
    }

    /// The content of a file that is only there with its controller, or on some kernels.
    fn read_if_there(&self, name: &str) -> Result<Option<String>> {
        match self.read(name) {
            // EOPNOTSUPP: pressure is not accounted, psi=0.
            Err(err) if matches!(err.downcast_ref(), Some(Errno::ENOENT | Errno::EOPNOTSUPP)) => Ok(None),
            text => text.map(Some),
        }
    }

    fn write(&self, name: &str, value: &str) -> Result<()> {
        let written = open_below(self.fd.as_fd(), name, fs::O_WRONLY)
            .and_then(|fd| fs::write_once(fd.as_fd(), value.as_bytes()));
        written.map_err(|errno| self.refused("write", name, errno))
    }

    fn refused(&self, verb: &str, name: &str, errno: Errno) -> anyhow::Error {
        anyhow::Error::new(errno).context(format!("{verb} {}/{name}", self.path.display()))
    }

    /// An error if processes are in it, or if it is frozen: a process that is born there would never run.
    fn refuse_used(&self) -> Result<()> {
        let processes = self.processes()?;
        if !processes.is_empty() {
            bail!("cgroup {} is not empty: {} processes are in it", self.path.display(), processes.len());
        }
        if self.read("cgroup.freeze")?.trim() == "1" {
            bail!("cgroup {} is frozen", self.path.display());
        }
        Ok(())
    }

    /// The processes in it and in the cgroups below it.
    pub fn processes(&self) -> Result<Vec<i32>> {
        let mut pids = Vec::new();
        self.collect(&mut pids)?;
        Ok(pids)
    }

    fn collect(&self, pids: &mut Vec<i32>) -> Result<()> {
        match self.read("cgroup.procs") {
            Ok(text) => pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok())),
            // A cgroup below that was removed meanwhile, or one that holds threads, which its parent lists.
            Err(err)
                if matches!(err.downcast_ref(), Some(Errno::ENODEV | Errno::ENOENT | Errno::EOPNOTSUPP)) => {}
            Err(err) => return Err(err),
        }
        for child in self.children()? {
            child.collect(pids)?;
        }
        Ok(())
    }

    fn children(&self) -> Result<Vec<Cgroup>> {
        let mut children = Vec::new();
        for name in self.entries(nix::dir::Type::Directory)? {
            if let Ok(fd) = open_below(self.fd.as_fd(), &name, fs::O_RDONLY | fs::O_DIRECTORY) {
                children.push(Cgroup { fd, path: self.path.join(name) });
            }
        }
        Ok(children)
    }

    /// The names of its files.
    fn files(&self) -> Result<Vec<String>> {
        self.entries(nix::dir::Type::File)
    }

    fn entries(&self, kind: nix::dir::Type) -> Result<Vec<String>> {
        let again = open_below(self.fd.as_fd(), ".", fs::O_RDONLY | fs::O_DIRECTORY);
        let mut dir = match again.and_then(nix::dir::Dir::from_fd) {
            Ok(dir) => dir,
            Err(Errno::ENOENT | Errno::ENODEV) => return Ok(Vec::new()),
            Err(errno) => return Err(self.refused("read", ".", errno)),
        };
        let entries = dir.iter().filter_map(std::result::Result::ok);
        let of_kind = entries.filter(|entry| entry.file_type() == Some(kind));
        let names = of_kind.map(|entry| entry.file_name().to_string_lossy().into_owned());
        Ok(names.filter(|name| name != "." && name != "..").collect())
    }

    /// SIGKILL every process in it and below, also frozen ones (`cgroup.kill`, Linux 5.14).
    pub fn kill(&self) -> Result<()> {
        self.write("cgroup.kill", "1")
    }

    /// Send `signal` to every process in it and below.
    pub fn signal(&self, signal: i32) -> Result<()> {
        if signal == libc::SIGKILL {
            return self.kill();
        }
        for pid in self.processes()? {
            let sent =
                process::pidfd_open(pid).and_then(|pidfd| process::pidfd_send_signal(pidfd.as_fd(), signal));
            match sent {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => {
                    return Err(
                        anyhow::Error::new(errno).context(format!("signal {signal} to process {pid}"))
                    );
                }
            }
        }
        Ok(())
    }

    /// Whether any process is in it or below. None is in one that somebody has removed meanwhile: systemd removes a scope's.
    fn is_populated(&self) -> Result<bool> {
        match self.read("cgroup.events") {
            Err(err) if is_gone(&err) => Ok(false),
            text => Ok(text?.lines().any(|line| line == "populated 1")),
        }
    }

    /// Wait until no process is left.
    fn wait_empty(&self) -> Result<()> {
        let empty = match self.wait_for("populated 0", Instant::now() + KILL_TIMEOUT) {
            Err(err) if is_gone(&err) => true,
            empty => empty?,
        };
        if !empty {
            let left = self.processes()?;
            bail!("cgroup {}: processes {left:?} outlive SIGKILL", self.path.display());
        }
        Ok(())
    }

    /// Wait until cgroup.events has `line`; whether it came before `deadline`.
    fn wait_for(&self, line: &str, deadline: Instant) -> Result<bool> {
        let events = open_below(self.fd.as_fd(), "cgroup.events", fs::O_RDONLY)
            .map_err(|errno| self.refused("open", "cgroup.events", errno))?;
        loop {
            // Read before each poll(2), which reports what changed since.
            let text = reread(&events).map_err(|errno| self.refused("read", "cgroup.events", errno))?;
            if text.lines().any(|has| has == line) {
                return Ok(true);
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { return Ok(false) };
            let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            let _ = poll(&mut [PollFd::new(events.as_fd(), PollFlags::POLLPRI)], left);
        }
    }

    /// Kill what is in it, and remove the cgroups below it and the last `depth` directories of its path: those that were made
    /// for it, unless others use them too. One that was there before stays.
    pub fn remove(self, depth: usize) -> Result<()> {
        // Most often nothing is in it any more. The kernel refuses to remove one that is in use.
        if depth == 0 || !matches!(rmdir(&self.path), Ok(()) | Err(Errno::ENOENT)) {
            if self.is_populated()? {
                match self.kill() {
                    Err(err) if is_gone(&err) => {}
                    killed => killed?,
                }
                self.wait_empty()?;
            }
            self.remove_below()?;
        }
        let mut path = self.path.as_path();
        for level in 0..depth {
            match rmdir(path) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(Errno::EBUSY | Errno::ENOTEMPTY) if level > 0 => break,
                Err(errno) => {
                    return Err(anyhow::Error::new(errno).context(format!("rmdir {}", path.display())));
                }
            }
            let Some(parent) = path.parent() else { break };
            path = parent;
        }
        Ok(())
    }

    fn remove_below(&self) -> Result<()> {
        for child in self.children()? {
            child.remove_below()?;
            let name = child.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            match fs::unlinkat(self.fd.as_fd(), &name, fs::Unlink::Dir) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(errno) => return Err(self.refused("rmdir", &name, errno)),
            }
        }
        Ok(())
    }
}
