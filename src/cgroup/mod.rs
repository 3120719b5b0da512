//! A container's cgroup: made, entered at birth, killed and removed.
//!
//! All files are reached from a descriptor of the cgroup, below it and on its filesystem only.

mod controllers;
pub mod dbus;
mod delegate;
mod devices;
mod freezer;
mod limits;
mod owner;
mod pressure;
mod record;
pub mod stats;
pub mod systemd;
mod walk;
mod watch;

pub use devices::Filters;
pub use owner::Owner;
pub use pressure::{Pressing, Resource, Share, Trigger};
pub use record::Record;
pub use watch::{Counts, Kills, News, Watch};

use crate::fault::{Call, Outcome, Refusal};
use crate::sys::{self, Errno, fs, mount, process};
use crate::time;
use anyhow::{Context, Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use walk::Stop;

/// The longest file of a cgroup that is read, in bytes: cgroup.procs of half a million processes.
const FILE_LIMIT: usize = 4 << 20;

/// How long killed processes may take to go.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long it takes until those that are still there are killed once more.
const KILL_AGAIN: Duration = Duration::from_millis(50);

/// A cgroup, open.
#[derive(Debug)]
pub struct Cgroup {
    fd: OwnedFd,
    path: PathBuf,
}

/// A cgroup that was just made or taken over, and how many directories were made for it.
#[derive(Debug)]
pub struct Made {
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
                let refused = if depth == 0 { cgroup.refuse_used() } else { cgroup.refuse_frozen() };
                let Err(cause) = refused else { return Ok(Made { cgroup, depth }) };
                cgroup.remove_chain(depth)?;
                return Err(cause);
            }
            Err(Refusal { errno: Some(Errno::ENOENT), .. }) => {}
            Err(refusal) => {
                let call = format!("{} {}", refusal.call, whole.display());
                return Err(Refusal { call, ..refusal }.into());
            }
        }
    }
    bail!("mkdir {}: {}", whole.display(), sys::describe(Errno::ENOENT))
}

/// An error if processes are in the cgroup at `path`, which is about to be made or taken over. An
/// error, too, if it is frozen or would be, by one above it.
pub fn refuse_taken(path: &Path) -> Result<()> {
    for above in path.ancestors() {
        if let Some(cgroup) = Cgroup::open(above)? {
            let refuse_used = || cgroup.refuse_used().context("it is there already");
            return if above == path { refuse_used() } else { cgroup.refuse_frozen() };
        }
    }
    Ok(())
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

/// Make the names of `path` that are missing: the last one's descriptor, and how many were made. On
/// an error none stay.
fn make_chain(top: &OwnedFd, path: &str) -> Outcome<(OwnedFd, usize)> {
    let names: Vec<&str> = path.split('/').collect();
    // Made so far: names[last - depth .. last].
    let (mut depth, mut last) = (0, 0);
    let mut make = || -> Outcome<OwnedFd> {
        for end in 1..=names.len() {
            match fs::mkdirat(top.as_fd(), names[..end].join("/"), 0o755) {
                Ok(()) => (depth, last) = (depth + 1, end),
                Err(Errno::EEXIST) => {}
                Err(errno) => return Err(Refusal::kernel("mkdir", errno)),
            }
        }
        open_below(top.as_fd(), path, fs::O_RDONLY | fs::O_DIRECTORY).call(|| "openat2".into())
    };
    make().map(|fd| (fd, depth)).inspect_err(|_| {
        for end in (last - depth + 1..=last).rev() {
            let _ = fs::unlinkat(top.as_fd(), names[..end].join("/"), fs::Unlink::Dir);
        }
    })
}

/// How paths below a cgroup are looked up.
const INSIDE: u64 = fs::RESOLVE_BENEATH | fs::RESOLVE_NO_XDEV | fs::RESOLVE_NO_SYMLINKS;

fn open_below(dir: BorrowedFd<'_>, path: &str, flags: i32) -> sys::Result<OwnedFd> {
    fs::openat2(dir, path, flags, 0, INSIDE)
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
        let fd = match fs::open(path, fs::O_RDONLY | fs::O_DIRECTORY | fs::O_NOFOLLOW, 0) {
            Err(Errno::ENOENT) => return Ok(None),
            opened => opened.with_context(|| format!("open {}", path.display()))?,
        };
        // What is killed or removed here must be a cgroup, whatever a record says.
        if mount::fs_magic(&fd).with_context(|| format!("fstatfs {}", path.display()))?
            != mount::CGROUP2_SUPER_MAGIC
        {
            bail!("{} is not a cgroup", path.display());
        }
        Ok(Some(Cgroup { fd, path: path.into() }))
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
        let file = open_below(self.fd.as_fd(), name, fs::O_RDONLY)
            .map_err(|errno| self.refused("openat2", name, errno))?;
        let data =
            fs::read_all(file.as_fd(), FILE_LIMIT).map_err(|errno| self.refused("read", name, errno))?;
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

    /// How many of its processes the kernel has killed for memory; none where that is not counted.
    pub fn killed_for_memory(&self) -> u64 {
        let events = self.read("memory.events").unwrap_or_default();
        let count = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count.and_then(|count| count.parse().ok()).unwrap_or(0)
    }

    fn write(&self, name: &str, value: &str) -> Result<()> {
        let file = open_below(self.fd.as_fd(), name, fs::O_WRONLY)
            .map_err(|errno| self.refused("openat2", name, errno))?;
        fs::write_once(file.as_fd(), value.as_bytes()).map_err(|errno| self.refused("write", name, errno))
    }

    fn refused(&self, verb: &str, name: &str, errno: Errno) -> anyhow::Error {
        anyhow::Error::new(errno).context(format!("{verb} {}/{name}", self.path.display()))
    }

    /// An error if processes are in it, or if it is frozen: a process that is born there would
    /// never run.
    fn refuse_used(&self) -> Result<()> {
        let processes = self.processes()?;
        if !processes.is_empty() {
            bail!(
                "container's cgroup is not empty: {} processes are in {}",
                processes.len(),
                self.path.display()
            );
        }
        self.refuse_frozen()
    }

    /// An error if it is frozen, itself or by one above it, whatever its own cgroup.freeze says: a
    /// process that is born there never runs.
    fn refuse_frozen(&self) -> Result<()> {
        if self.is_frozen() {
            bail!(
                "container's cgroup unexpectedly frozen: {} is frozen, by cgroup.freeze of {}",
                self.path.display(),
                self.frozen_by().display()
            );
        }
        Ok(())
    }

    /// Where a frozen one was frozen: here, or in the nearest cgroup above that says so.
    pub fn frozen_by(&self) -> &Path {
        let freezes = |path: &&Path| {
            let file = fs::open(path.join("cgroup.freeze"), fs::O_RDONLY, 0);
            file.and_then(|file| fs::read_all(file.as_fd(), FILE_LIMIT))
                .is_ok_and(|text| text.starts_with(b"1"))
        };
        self.path.ancestors().find(freezes).unwrap_or(&self.path)
    }

    /// What a file holds, if that is a number: `max`, and the file of a controller that is not
    /// there, hold none.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.read(name).ok()?.trim_end().parse().ok()
    }

    /// The processes in it and in the cgroups below it.
    pub fn processes(&self) -> Result<Vec<i32>> {
        let mut pids =
            listed(self.fd.as_fd()).map_err(|errno| self.refused("openat2", "cgroup.procs", errno))?;
        let collect = |below: BorrowedFd<'_>| {
            pids.extend(listed(below)?);
            Ok(Stop::No)
        };
        self.walk(collect, |_, _| Ok(())).map_err(|errno| self.refused("openat2", "(below)", errno))?;
        Ok(pids)
    }

    /// The names of its files.
    fn files(&self) -> Result<Vec<String>> {
        let names = walk::names(self.fd.as_fd(), nix::dir::Type::File)
            .map_err(|errno| self.refused("read", ".", errno))?;
        Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }

    /// SIGKILL every process in it and below, also frozen ones (`cgroup.kill`, Linux 5.14). That
    /// passes over a process whose main thread has ended while others go on (Linux 5.14 to 7.2).
    /// Whoever is still listed gets the signal by its pidfd.
    pub fn kill(&self) -> Result<()> {
        self.write("cgroup.kill", "1")?;
        self.signal_each(libc::SIGKILL)
    }

    /// Send `signal` to every process in it and below.
    pub fn signal(&self, signal: i32) -> Result<()> {
        if signal == libc::SIGKILL { self.kill() } else { self.signal_each(signal) }
    }

    fn signal_each(&self, signal: i32) -> Result<()> {
        // Those of a pid namespace that this process does not see into are listed as 0.
        for pid in self.processes()?.into_iter().filter(|pid| *pid != 0) {
            let sent =
                process::pidfd_open(pid).and_then(|pidfd| process::pidfd_send_signal(pidfd.as_fd(), signal));
            match sent {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => {
                    return Err(anyhow::Error::new(errno)
                        .context(format!("pidfd_send_signal {signal} to process {pid}")));
                }
            }
        }
        Ok(())
    }

    /// Whether any process is in it or below. None is in one that somebody has removed meanwhile:
    /// systemd removes a scope's.
    fn is_populated(&self) -> Result<bool> {
        match self.read("cgroup.events") {
            Err(err) if is_gone(&err) => Ok(false),
            text => Ok(text?.lines().any(|line| line == "populated 1")),
        }
    }

    /// Wait until no process is left. Who has been born, or was passed over, since the last signal
    /// gets one again.
    fn wait_empty(&self) -> Result<()> {
        let deadline = Instant::now() + time::at_most(KILL_TIMEOUT);
        loop {
            let again = deadline.min(Instant::now() + KILL_AGAIN);
            match self.wait_for("populated 0", again) {
                Ok(true) => return Ok(()),
                Err(err) if is_gone(&err) => return Ok(()),
                empty => drop(empty?),
            }
            if again == deadline {
                bail!("cgroup {}: processes {:?} outlive SIGKILL", self.path.display(), self.processes()?);
            }
            // Whether it helps the next turn tells.
            let _ = self.kill();
        }
    }

    /// Wait until cgroup.events has `line`; whether it came before `deadline`.
    fn wait_for(&self, line: &str, deadline: Instant) -> Result<bool> {
        wait_for(self.fd.as_fd(), line, deadline)
            .map_err(|errno| self.refused("read", "cgroup.events", errno))
    }

    /// Kill what is in it, and remove the cgroups below it and the last `depth` directories of its
    /// path: those that were made for it, unless others use them too. One that was there before
    /// stays.
    pub fn remove(self, depth: usize) -> Result<()> {
        // Most often nothing is in it any more. The kernel refuses to remove one that is in use.
        if depth == 0 || !matches!(rmdir(&self.path), Ok(()) | Err(Errno::ENOENT)) {
            if self.is_populated()? {
                match self.write("cgroup.kill", "1") {
                    Err(err) if is_gone(&err) => {}
                    killed => killed?,
                }
                self.wait_empty()?;
            }
            self.remove_below()?;
        }
        self.remove_chain(depth)
    }

    /// Remove the last `depth` directories of its path, unless others use them too.
    fn remove_chain(&self, depth: usize) -> Result<()> {
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
        let remove = |parent: BorrowedFd<'_>, name: &CString| match fs::unlinkat(
            parent,
            name.as_bytes(),
            fs::Unlink::Dir,
        ) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(errno),
        };
        self.walk(|_| Ok(Stop::No), remove).map_err(|errno| self.refused("rmdir", "(below)", errno))
    }
}

/// The processes in one cgroup.
fn listed(cgroup: BorrowedFd<'_>) -> sys::Result<Vec<i32>> {
    let text =
        open_below(cgroup, "cgroup.procs", fs::O_RDONLY).and_then(|fd| fs::read_all(fd.as_fd(), FILE_LIMIT));
    match text {
        Ok(text) => {
            Ok(String::from_utf8_lossy(&text).lines().filter_map(|line| line.parse::<i32>().ok()).collect())
        }
        // One below that was removed meanwhile, or that holds threads, which its parent lists.
        Err(Errno::ENODEV | Errno::ENOENT | Errno::EOPNOTSUPP) => Ok(Vec::new()),
        Err(errno) => Err(errno),
    }
}

/// Wait until cgroup.events of `cgroup` has `line`; whether it came before `deadline`.
fn wait_for(cgroup: BorrowedFd<'_>, line: &str, deadline: Instant) -> sys::Result<bool> {
    let events = open_below(cgroup, "cgroup.events", fs::O_RDONLY)?;
    loop {
        // Read before each poll(2), which reports what changed since.
        if reread(&events)?.lines().any(|has| has == line) {
            return Ok(true);
        }
        let Some(left) = deadline.checked_duration_since(Instant::now()) else { return Ok(false) };
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let _ = poll(&mut [PollFd::new(events.as_fd(), PollFlags::POLLPRI)], left);
    }
}
