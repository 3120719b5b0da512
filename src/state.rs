//! What is recorded of a container: a directory below `--root` with its state.json, and the lock on
//! that directory.

mod about;
mod dir;
mod journal;
mod past;
mod status;

use crate::cgroup::{self, Cgroup};
use crate::config::added::{Added, AddedDevice};
use crate::config::device_rules::DeviceRule;
use crate::config::{Hook, Hooks};
use crate::host;
use crate::id::Id;
use crate::proc::stat;
use crate::sys::{self, Errno, fs, process};
use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use about::About;
pub use dir::Dir;
pub use journal::{Event, Farewell, Journal, Listening, Piece, What};
pub use past::{Ended, exit_of};
pub use status::{Command, Status, refuse};

/// The agent that answers seccomp notifications, `linux.seccomp.listenerPath` and
/// `listenerMetadata`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    pub path: PathBuf,
    /// Passed on as it is.
    pub metadata: String,
}

/// state.json.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// What hooks and users are told.
    pub about: About,
    /// The root filesystem on the host.
    pub rootfs: PathBuf,
    /// When the container was made, RFC 3339.
    pub created: String,
    /// When its process was let go, where that was as soon as it was made.
    #[serde(default)]
    pub started: Option<String>,
    /// How it ended, where somebody has waited for it and keeps it.
    #[serde(default)]
    pub ended: Option<Ended>,
    /// Where changes of its root filesystem go, if that is a folder of the host's.
    #[serde(default)]
    pub overlay: Option<PathBuf>,
    /// What was mounted into it since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Added>,
    /// Devices that it was given since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<AddedDevice>,
    /// Init's pid in the runtime's pid namespace; 0 until there is one.
    pub pid: i32,
    /// When that process started, in clock ticks after boot (proc_pid_stat(5), field 22): a pid
    /// alone may be reused.
    pub pid_start: u64,
    /// Whether init is PID 1 of a pid namespace of its own, so that all other processes end with
    /// it.
    pub private_pids: bool,
    /// Whether its processes have a session keyring of their own.
    pub private_keyring: bool,
    /// The container's cgroup; none if it was made without one.
    pub cgroup: Option<cgroup::Record>,
    /// The device rules that are in force.
    pub device_rules: Vec<DeviceRule>,
    /// Groups of resctrl that were made for it.
    #[serde(default)]
    pub resctrl: Vec<PathBuf>,
    /// Who gets the seccomp notifications, if anybody.
    pub listener: Option<Agent>,
    /// Where what its processes use is written down, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<PathBuf>,
    /// For `start`.
    pub poststart: Vec<Hook>,
    /// For `delete`.
    pub poststop: Vec<Hook>,
}

impl State {
    /// The state of a container that is about to be made.
    pub fn new(about: About, rootfs: &Path, cgroup: Option<cgroup::Record>, hooks: &Hooks) -> State {
        State {
            about,
            rootfs: rootfs.into(),
            created: crate::time::now(),
            started: None,
            ended: None,
            overlay: None,
            mounts: Vec::new(),
            devices: Vec::new(),
            pid: 0,
            pid_start: 0,
            private_pids: false,
            private_keyring: false,
            cgroup,
            device_rules: Vec::new(),
            resctrl: Vec::new(),
            listener: None,
            recorded: None,
            poststart: hooks.poststart.clone(),
            poststop: hooks.poststop.clone(),
        }
    }

    /// The container's cgroup; none if it has none, or if it is gone.
    pub fn open_cgroup(&self) -> Result<Option<Cgroup>> {
        match &self.cgroup {
            Some(record) => record.open(),
            None => Ok(None),
        }
    }

    /// Remove what was made for the container in the cgroup tree.
    pub fn remove_cgroup(&self) -> Result<()> {
        self.cgroup.as_ref().map_or(Ok(()), cgroup::Record::remove)
    }
}

/// When a process started, in clock ticks after boot. None if there is no such process.
pub fn process_start(pid: i32) -> Result<Option<u64>> {
    let text = match host::read(format!("/proc/{pid}/stat")) {
        Err(err) if matches!(err.downcast_ref(), Some(Errno::ENOENT | Errno::ESRCH)) => return Ok(None),
        text => text?,
    };
    Ok(stat::field(&text, stat::STARTTIME))
}

/// All containers: the directory `--root`.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// The store at `root`.
    pub fn new(root: PathBuf) -> Store {
        Store { root }
    }

    /// The directory of all containers.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the folder of a container's notification socket is on the host.
    pub fn notify_folder(&self, id: &Id) -> PathBuf {
        self.path(id).join(dir::NOTIFY_FOLDER)
    }

    /// Make and lock the directory of a new container.
    pub fn make(&self, id: &Id) -> Result<Dir> {
        let root = self.open_root()?;
        // Between mkdir and flock another `create` may take the directory for a leftover and remove
        // it.
        for _ in 0..16 {
            match fs::mkdirat(root.as_fd(), id.as_str(), 0o711) {
                Ok(()) => {}
                Err(Errno::EEXIST) => {
                    self.reclaim(id)?;
                    continue;
                }
                Err(errno) => bail!("mkdir {}: {}", self.path(id).display(), sys::describe(errno)),
            }
            match self.lock_fresh(&root, id) {
                Ok(None) => {}
                Ok(Some(dir)) => return Ok(dir),
                // Whoever has the name by now sees that its directory is gone, and tries again.
                Err(cause) => match fs::unlinkat(root.as_fd(), id.as_str(), fs::Unlink::Dir) {
                    Ok(()) => return Err(cause),
                    Err(errno) => {
                        return Err(cause.context(format!("[then, cleaning up: {}]", sys::describe(errno))));
                    }
                },
            }
        }
        bail!("container with id {id} exists already")
    }

    /// Lock the directory that was just made; none if it is another's by then.
    fn lock_fresh(&self, root: &OwnedFd, id: &Id) -> Result<Option<Dir>> {
        let Some(dir) = self.open_dir(id)? else { return Ok(None) };
        dir.lock()?;
        let inode = |stat: libc::stat| (stat.st_dev, stat.st_ino);
        let opened = fs::stat_fd(dir.fd.as_fd()).map(inode).context("fstat")?;
        let named = match fs::statat(root.as_fd(), id.as_str()) {
            Err(Errno::ENOENT) => return Ok(None),
            found => found.map(inode).with_context(|| format!("fstatat {}", dir.path.display()))?,
        };
        let recorded = fs::statat(dir.fd.as_fd(), dir::STATE).is_ok();
        Ok((opened == named && !recorded).then_some(dir))
    }

    fn open_root(&self) -> Result<OwnedFd> {
        let flags = fs::O_RDONLY | fs::O_DIRECTORY;
        match fs::open(&self.root, flags, 0) {
            Err(Errno::ENOENT) => {}
            result => return result.with_context(|| self.place()),
        }
        use std::os::unix::fs::DirBuilderExt;
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.root);
        made.with_context(|| self.place())?;
        fs::open(&self.root, flags, 0).with_context(|| self.place())
    }

    /// The store's name in errors; an ordinary user without a session is told what else there is
    /// than root's.
    fn place(&self) -> String {
        let foreign = !nix::unistd::geteuid().is_root() && std::env::var_os("XDG_RUNTIME_DIR").is_none();
        let hint = " (an ordinary user sets XDG_RUNTIME_DIR or names a folder, and makes a bundle by `spec --rootless`)";
        format!("--root {}{}", self.root.display(), if foreign { hint } else { "" })
    }

    /// Make way for a new container where a killed `create` has left its directory. Anything else
    /// in the way is an error.
    fn reclaim(&self, id: &Id) -> Result<()> {
        let exists = || anyhow!("container with id {id} exists already");
        let dir = self.open_dir(id)?.ok_or_else(exists)?;
        if !dir.try_lock()? {
            return Err(exists());
        }
        match dir.load() {
            Ok(state) if state.pid == 0 => {
                state.remove_cgroup()?;
                dir.remove()
            }
            Err(err) if err.downcast_ref() == Some(&Errno::ENOENT) => dir.remove(),
            _ => Err(exists()),
        }
    }

    /// The directory of one container.
    pub fn path(&self, id: &Id) -> PathBuf {
        self.root.join(id)
    }

    fn open_dir(&self, id: &Id) -> Result<Option<Dir>> {
        let path = self.path(id);
        match fs::open(&path, fs::O_RDONLY | fs::O_DIRECTORY | fs::O_NOFOLLOW, 0) {
            Ok(fd) => Ok(Some(Dir { fd, path })),
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
            Err(errno) => bail!("open {}: {}", path.display(), sys::describe(errno)),
        }
    }

    /// The container `id`; none if there is no such.
    pub fn find(&self, id: &Id) -> Result<Option<Container>> {
        let Some(dir) = self.open_dir(id)? else { return Ok(None) };
        Ok(loaded(&dir)?.map(|state| Container { dir, state }))
    }

    /// The container `id`.
    pub fn open(&self, id: &Id) -> Result<Container> {
        self.find(id)?.context(DOES_NOT_EXIST)
    }

    /// The container `id`, locked against other commands that change it.
    pub fn open_locked(&self, id: &Id) -> Result<Container> {
        let container = self.open(id)?;
        container.dir.lock()?;
        let state = loaded(&container.dir)?.context(DOES_NOT_EXIST)?;
        Ok(Container { state, ..container })
    }

    /// The container `id`, locked; none if another command has the lock, or if there is no such.
    pub fn open_if_free(&self, id: &Id) -> Result<Option<Container>> {
        let Some(dir) = self.open_dir(id)? else { return Ok(None) };
        let is_free = dir.try_lock()?;
        Ok(if is_free { loaded(&dir)?.map(|state| Container { dir, state }) } else { None })
    }

    /// What there is of `id`, locked, for a command that takes it away by force: none if there is
    /// nothing, and what was made even where its record cannot be read.
    pub fn open_by_force(&self, id: &Id) -> Result<Option<Found>> {
        let Some(dir) = self.open_dir(id)? else { return Ok(None) };
        dir.lock_within(FORCE_TIMEOUT)?;
        match dir.load() {
            Ok(state) => Ok(Some(Found::Container(Box::new(Container { dir, state })))),
            Err(_) if !dir.is_there() => Ok(None),
            // Only what is wrong with the record itself: what this command lacks to read it is no
            // reason to forget it.
            Err(why) => match why.downcast_ref() {
                None | Some(Errno::ENOENT | Errno::EISDIR | Errno::ELOOP | Errno::EFBIG) => {
                    Ok(Some(Found::Remains(dir, why)))
                }
                Some(_) => Err(why),
            },
        }
    }

    /// All containers, by id, each opened when it is asked for: whoever keeps none has one
    /// descriptor at a time. One that vanishes meanwhile is left out; one that cannot be read is an
    /// error in its place.
    pub fn list(&self) -> Result<impl Iterator<Item = (Id, Result<Container>)>> {
        let mut ids: Vec<Id> = Vec::new();
        match std::fs::read_dir(&self.root) {
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => {}
            entries => {
                for entry in entries.with_context(|| format!("--root {}", self.root.display()))? {
                    ids.extend(entry?.file_name().to_string_lossy().parse::<Id>().ok());
                }
            }
        }
        ids.sort();
        let open = |id: Id| self.find(&id).transpose().map(|found| (id, found));
        Ok(ids.into_iter().filter_map(open))
    }
}

/// What engines look for where there is no such container.
const DOES_NOT_EXIST: &str = "container does not exist";

/// The record in a container's directory; none where there is none, as the container is gone or not
/// made yet.
fn loaded(dir: &Dir) -> Result<Option<State>> {
    match dir.load() {
        Err(err) if err.downcast_ref() == Some(&Errno::ENOENT) => Ok(None),
        state => state.map(Some),
    }
}

/// How long `delete --force` waits for another command.
const FORCE_TIMEOUT: Duration = Duration::from_secs(10);

/// What there is under an id.
#[derive(Debug)]
pub enum Found {
    Container(Box<Container>),
    /// A directory without a record that can be read, and why.
    Remains(Dir, anyhow::Error),
}

/// A recorded container.
#[derive(Debug)]
pub struct Container {
    pub dir: Dir,
    pub state: State,
}

impl Container {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.state.about.id
    }

    /// A pidfd of init, if that very process is still there and not a zombie. Where that cannot be
    /// asked, for want of descriptors or memory, it is an error: who takes it for stopped deletes
    /// what runs.
    pub fn pidfd(&self) -> Result<Option<OwnedFd>> {
        if self.state.pid == 0 {
            return Ok(None);
        }
        let pidfd = match process::pidfd_open(self.state.pid) {
            // Nobody's pid any more, or that of a thread.
            Err(Errno::ESRCH | Errno::EINVAL | Errno::ENOENT) => return Ok(None),
            pidfd => pidfd.context("pidfd_open of init")?,
        };
        // Asked after the pidfd is open: what it refers to cannot change any more. Its state letter
        // is that of its main thread alone; the whole process has ended when the pidfd says so.
        let started = process_start(self.state.pid)? == Some(self.state.pid_start);
        let ended = process::has_ended(pidfd.as_fd()).context("poll of init")?;
        Ok((started && !ended).then_some(pidfd))
    }

    /// The container's cgroup, for a command that cannot do without.
    pub fn cgroup(&self) -> Result<Cgroup> {
        match (&self.state.cgroup, self.state.open_cgroup()?) {
            (_, Some(cgroup)) => Ok(cgroup),
            (Some(record), None) => bail!("cgroup {} is gone", record.path.display()),
            (None, None) => bail!(
                "the container has no cgroup: it was made with --cgroup-manager disabled, or by a user who may make none beside the caller's own"
            ),
        }
    }

    /// Where the container is in its life, asked of the kernel, not of the record.
    pub fn status(&self) -> Result<Status> {
        if self.state.pid == 0 {
            return Ok(if self.dir.try_lock()? { Status::Stopped } else { Status::Creating });
        }
        if self.pidfd()?.is_none() {
            return Ok(Status::Stopped);
        }
        let frozen = self.state.open_cgroup().ok().flatten().is_some_and(|cgroup| cgroup.is_frozen());
        Ok(match (frozen, self.dir.awaits_start()) {
            (true, _) => Status::Paused,
            (false, true) => Status::Created,
            (false, false) => Status::Running,
        })
    }

    /// Give the lock back while the container runs.
    pub fn unlock(self) -> Unlocked {
        fs::unlock(self.dir.fd.as_fd());
        Unlocked(self)
    }

    /// An error if `command` is not allowed now.
    pub fn allow(&self, command: Command) -> Result<Status> {
        let status = self.status()?;
        match refuse(status, command, &self.state.about.id) {
            Some(reason) => bail!(reason),
            None => Ok(status),
        }
    }
}

/// A container whose lock was given back.
#[derive(Debug)]
pub struct Unlocked(Container);

impl Unlocked {
    /// Take the lock again; none if the container was deleted meanwhile.
    pub fn lock_again(self) -> Result<Option<Container>> {
        let Container { dir, state: before } = self.0;
        dir.lock()?;
        match dir.load() {
            // Another command may have changed the rest.
            Ok(state) if (state.pid, state.pid_start) == (before.pid, before.pid_start) => {
                Ok(Some(Container { dir, state }))
            }
            Err(err) if err.downcast_ref() != Some(&Errno::ENOENT) => Err(err),
            _ => Ok(None),
        }
    }
}
