//! The directory of a container, `ROOT/ID`: its lock, its record, its sockets.

use super::State;
use super::journal::JOURNAL;
use crate::cgroup::Owner;
use crate::host;
use crate::note;
use crate::sys::{self, Errno, fs, socket};
use crate::time;
use anyhow::{Context, Result, bail};
use nix::sys::socket::SockType;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub(super) const STATE: &str = "state.json";
const CONFIG: &str = "config.json";
const START_SOCKET: &str = "start.sock";
const YARD: &str = "criu";
pub(super) const NOTIFY_FOLDER: &str = "notify";
const NOTIFY_SOCKET: &str = "notify/notify.sock";

/// The longest state.json that is read, in bytes.
const STATE_LIMIT: usize = 16 << 20;

/// How often a lock is tried that is not waited for without limit.
const LOCK_NAP: Duration = Duration::from_millis(20);

/// A container's directory, open.
#[derive(Debug)]
pub struct Dir {
    pub(super) fd: OwnedFd,
    pub(super) path: PathBuf,
}

impl Dir {
    pub(super) fn lock(&self) -> Result<()> {
        note::at(|| {
            let by = if matches!(self.try_lock(), Ok(true)) { "nobody".into() } else { self.holder() };
            format!("the lock of {}, which {by} holds", self.path.display())
        });
        fs::lock_exclusive(self.fd.as_fd()).with_context(|| format!("flock {}", self.path.display()))
    }

    /// As `lock`, but not for ever: whoever holds it may be stopped. One that was killed, and hangs
    /// in the kernel, does nothing any more: that is as good as having the lock.
    pub(super) fn lock_within(&self, limit: Duration) -> Result<()> {
        let limit = time::at_most(limit);
        let deadline = Instant::now() + limit;
        while !self.try_lock()? {
            if self.holding_pid().is_some_and(is_killed) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!("locked for {:.0} s by {}", limit.as_secs_f64(), self.holder());
            }
            std::thread::sleep(LOCK_NAP);
        }
        Ok(())
    }

    /// Who holds the lock, as /proc/locks tells (proc(5)).
    fn holding_pid(&self) -> Option<i32> {
        let stat = fs::stat_fd(self.fd.as_fd()).ok()?;
        let file =
            format!("{:02x}:{:02x}:{}", libc::major(stat.st_dev), libc::minor(stat.st_dev), stat.st_ino);
        let locks = host::read("/proc/locks").ok()?;
        // `1: FLOCK ADVISORY WRITE 4711 00:1a:42 0 EOF`; who waits has `->` behind the number.
        let of_file = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            (words.get(1) == Some(&"FLOCK") && words.get(5) == Some(&file.as_str()))
                .then(|| words[4].parse().ok())?
        };
        locks.lines().find_map(of_file)
    }

    fn holder(&self) -> String {
        let Some(pid) = self.holding_pid() else { return "a process that is not seen from here".into() };
        let name = host::read(format!("/proc/{pid}/comm")).unwrap_or_default();
        format!("process {pid} ({})", name.trim())
    }

    pub(super) fn try_lock(&self) -> Result<bool> {
        fs::try_lock_exclusive(self.fd.as_fd()).with_context(|| format!("flock {}", self.path.display()))
    }

    /// Whether its name still leads to it.
    pub fn is_there(&self) -> bool {
        let own = fs::stat_fd(self.fd.as_fd()).map(|stat| (stat.st_dev, stat.st_ino));
        let named = nix::sys::stat::lstat(&self.path).map(|stat| (stat.st_dev, stat.st_ino));
        matches!((own, named), (Ok(own), Ok(named)) if own == named)
    }

    /// What can be read of a record that is damaged: where its cgroup may be.
    pub fn load_damaged(&self) -> Vec<PathBuf> {
        let json = |name| -> Option<serde_json::Value> {
            let data = fs::openat(self.fd.as_fd(), name, fs::O_RDONLY | fs::O_NONBLOCK, 0)
                .and_then(|fd| fs::read_all(fd.as_fd(), STATE_LIMIT));
            serde_json::from_slice(&data.ok()?).ok()
        };
        let recorded = json(STATE).and_then(|state| Some(state["cgroup"]["path"].as_str()?.to_string()));
        let asked =
            json(CONFIG).and_then(|config| Some(config["linux"]["cgroupsPath"].as_str()?.to_string()));
        recorded.into_iter().chain(asked).map(PathBuf::from).collect()
    }

    /// Read state.json.
    pub fn load(&self) -> Result<State> {
        let data = self.read(STATE, STATE_LIMIT)?;
        serde_json::from_slice(&data).with_context(|| self.path.join(STATE).display().to_string())
    }

    fn read(&self, name: &str, limit: usize) -> Result<Vec<u8>> {
        let call = |verb: &str| format!("{verb} {}", self.path.join(name).display());
        let file = fs::openat(self.fd.as_fd(), name, fs::O_RDONLY, 0).with_context(|| call("open"))?;
        fs::read_all(file.as_fd(), limit).with_context(|| call("read"))
    }

    /// Write state.json, whole or not at all.
    pub fn save(&self, state: &State) -> Result<()> {
        let data = serde_json::to_vec(state)?;
        let save = || -> sys::Result<()> {
            let flags = fs::O_WRONLY | fs::O_CREAT | fs::O_TRUNC;
            let fd = fs::openat(self.fd.as_fd(), ".state.json", flags, 0o600)?;
            fs::write_once(fd.as_fd(), &data)?;
            fs::renameat(self.fd.as_fd(), ".state.json", STATE)
        };
        save().with_context(|| format!("write {}", self.path.join(STATE).display()))
    }

    /// Keep the container's config.json as it is now: the bundle's may change.
    pub fn save_config(&self, text: &[u8]) -> Result<()> {
        let save = || -> sys::Result<()> {
            let flags = fs::O_WRONLY | fs::O_CREAT | fs::O_TRUNC;
            let fd = fs::openat(self.fd.as_fd(), CONFIG, flags, 0o600)?;
            fs::write_once(fd.as_fd(), text)
        };
        save().with_context(|| format!("write {}", self.path.join(CONFIG).display()))
    }

    /// The config.json that the container was made from.
    pub fn load_config(&self) -> Result<Vec<u8>> {
        self.read(CONFIG, crate::config::load::LIMIT)
    }

    /// The start socket's path by this directory's descriptor, short enough for unix(7) however
    /// long `--root` is.
    fn start_socket(&self) -> PathBuf {
        self.by_descriptor(START_SOCKET)
    }

    fn by_descriptor(&self, name: &str) -> PathBuf {
        use std::os::fd::AsRawFd;
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.fd.as_raw_fd()))
    }

    /// Bind the start socket.
    pub fn listen(&self) -> Result<OwnedFd> {
        socket::listen_at(&self.start_socket())
            .with_context(|| format!("bind {}", self.path.join(START_SOCKET).display()))
    }

    /// Bind the socket that takes the container's notifications, in a folder of its own that the
    /// container sees.
    pub fn bind_notify(&self) -> Result<OwnedFd> {
        match fs::mkdirat(self.fd.as_fd(), NOTIFY_FOLDER, 0o755) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => {
                return Err(errno)
                    .with_context(|| format!("mkdir {}", self.path.join(NOTIFY_FOLDER).display()));
            }
        }
        let bind = || -> sys::Result<OwnedFd> {
            match fs::unlinkat(self.fd.as_fd(), NOTIFY_SOCKET, fs::Unlink::File) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(errno) => return Err(errno),
            }
            let fd = socket::datagrams_at(&self.by_descriptor(NOTIFY_SOCKET))?;
            // For whatever user the process has.
            fs::chmodat(self.fd.as_fd(), NOTIFY_SOCKET, 0o777)?;
            Ok(fd)
        };
        bind().with_context(|| format!("bind {}", self.path.join(NOTIFY_SOCKET).display()))
    }

    /// Whether `create` has made the folder of that socket.
    pub fn takes_notifications(&self) -> bool {
        fs::statat(self.fd.as_fd(), NOTIFY_FOLDER).is_ok()
    }

    /// Note that `start` lets the process go now: the socket was last accessed in 1970 from here
    /// on.
    pub fn mark_start(&self) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        fs::set_times(self.fd.as_fd(), START_SOCKET, Duration::ZERO, now)
            .with_context(|| format!("utimensat {}", self.path.join(START_SOCKET).display()))
    }

    /// When `start` has let the process go, if it did.
    pub(super) fn start_mark(&self) -> Option<SystemTime> {
        let mark = fs::statat(self.fd.as_fd(), START_SOCKET).ok().filter(is_marked)?;
        let since = Duration::new(mark.st_mtime.try_into().ok()?, mark.st_mtime_nsec.try_into().ok()?);
        Some(UNIX_EPOCH + since)
    }

    /// Connect to an init that waits for `start`; none if none waits.
    pub fn connect(&self) -> Result<Option<OwnedFd>> {
        match socket::connect_to(&self.start_socket(), SockType::SeqPacket) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::ECONNREFUSED | Errno::ENOENT) => Ok(None),
            Err(errno) => {
                bail!("connect {}: {}", self.path.join(START_SOCKET).display(), sys::describe(errno))
            }
        }
    }

    /// Whether an init, which is there, waits for `start`. It is asked only if a `start` was under
    /// way: that may have been killed before it let the process go. A full backlog means that it
    /// waits, but has no time to answer.
    pub(super) fn awaits_start(&self) -> bool {
        let Ok(socket) = fs::statat(self.fd.as_fd(), START_SOCKET) else { return false };
        let asked = || socket::connect_to(&self.start_socket(), SockType::SeqPacket);
        !is_marked(&socket) || matches!(asked(), Ok(_) | Err(Errno::EAGAIN))
    }

    /// An empty folder, for CRIU to have cgroup trees in, in a mount namespace of its own.
    pub fn yard(&self) -> Result<PathBuf> {
        let path = self.path.join(YARD);
        match fs::mkdirat(self.fd.as_fd(), YARD, 0o700) {
            Ok(()) | Err(Errno::EEXIST) => std::path::absolute(&path).context("--root"),
            Err(errno) => bail!("mkdir {}: {}", path.display(), sys::describe(errno)),
        }
    }

    /// The container, as its cgroup is marked with it.
    pub fn as_owner(&self) -> Result<Owner> {
        Owner::of(self.fd.as_fd()).with_context(|| format!("fstat {}", self.path.display()))
    }

    /// Its owner's user id.
    pub fn owner(&self) -> u32 {
        fs::stat_fd(self.fd.as_fd()).map_or(0, |stat| stat.st_uid)
    }

    /// Remove the directory and all in it.
    pub fn remove(self) -> Result<()> {
        let place = || format!("remove {}", self.path.display());
        let remove = |name, kind| match fs::unlinkat(self.fd.as_fd(), name, kind) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(anyhow::Error::new(errno).context(place())),
        };
        for name in [STATE, CONFIG, START_SOCKET, JOURNAL] {
            remove(name, fs::Unlink::File)?;
        }
        // What few containers have is looked for where something is left.
        match std::fs::remove_dir(&self.path) {
            Err(err) if matches!(err.raw_os_error(), Some(libc::ENOTEMPTY | libc::EEXIST)) => {}
            removed => return removed.with_context(place),
        }
        if self.takes_notifications() {
            remove(NOTIFY_SOCKET, fs::Unlink::File)?;
            remove(NOTIFY_FOLDER, fs::Unlink::Dir)?;
        }
        remove(YARD, fs::Unlink::Dir)?;
        remove(".state.json", fs::Unlink::File)?;
        std::fs::remove_dir(&self.path).with_context(place)
    }
}

/// Whether `start` has marked the start socket. One that it has not was accessed when it was bound.
fn is_marked(socket: &libc::stat) -> bool {
    socket.st_atime == 0
}

/// Whether SIGKILL waits for a process: it never comes back from the kernel to do anything more.
fn is_killed(pid: i32) -> bool {
    const SIGKILL: u64 = 1 << (libc::SIGKILL - 1);
    let status = host::read(format!("/proc/{pid}/status")).unwrap_or_default();
    let pending = |key: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(key))?;
        u64::from_str_radix(value.trim(), 16).ok()
    };
    [pending("SigPnd:"), pending("ShdPnd:")].iter().flatten().any(|signals| signals & SIGKILL != 0)
}
