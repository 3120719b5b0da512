//! `checkpoint`: the processes of a container, saved to images.

use super::field::{kind, opts as field};
use super::options::config_file;
use super::rpc::{self, Message};
use super::{
    Criu, DumpOptions, Options, Surroundings, failure, find, inode, make_folder, tell_folders, tell_network,
    with_those_below, yard,
};
use crate::config::{self, Config, Namespace};
use crate::host;
use crate::plan::restore::{External, kept, overlay};
use crate::state::Container;
use crate::sys::{fs, mount};
use anyhow::{Context, Result, bail};
use nix::sys::stat::Mode;
use procfs::process::Process;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// The file in the images that says what standard input, output and error were, as other runtimes
/// have it too.
pub(super) const DESCRIPTORS: &str = "descriptors.json";

/// After the name of a file of the host's there: it is /dev/null, which needs no caller to have it
/// open.
pub(super) const NULL: &str = ":/dev/null";

const LOG: &str = "dump.log";

/// What goes into a checkpoint.
#[derive(Debug)]
pub struct Checkpoint<'a> {
    /// The container, which runs or is paused.
    pub container: &'a Container,
    pub config: &'a Config,
    /// Its mounts of the host's.
    pub externals: &'a [External],
    /// The path of the program criu.
    pub program: &'a Path,
    /// What restore and checkpoint both take from the command line.
    pub options: &'a Options,
    /// What checkpoint alone takes from it.
    pub dump: &'a DumpOptions,
    /// What gets a zero byte when the memory that was left in place can be fetched.
    pub status_fd: Option<OwnedFd>,
}

/// Save the container's processes. They are gone then, unless the options say otherwise; if it
/// fails, they go on.
pub fn checkpoint(request: &Checkpoint<'_>) -> Result<()> {
    let Checkpoint { container, options, dump, .. } = request;
    let program = find(request.program)?;
    // What is in it is nobody else's to see. The root of a user namespace reads some of it when it
    // is restored, as its group.
    let group = request.config.id_maps.root().map(|(_, group)| group);
    let (mode, hidden) = if group.is_some() { (0o710, 0o027) } else { (0o700, 0o077) };
    let is_new = !options.images().exists();
    make_folder("--image-path", options.images(), mode)?;
    make_folder("--work-path", options.work(), 0o700)?;
    dump.check(options.images())?;
    let mut message = message(request)?;
    let asked = if dump.pre_dump { kind::PRE_DUMP } else { kind::DUMP };
    let folders = vec![options.images(), options.work()];
    let yard = container.dir.yard()?;
    message.text(field::CGROUP_YARD, yard.as_os_str().as_encoded_bytes());
    let cgroups = host::cgroup_root()?;
    let prepare = || {
        nix::sys::stat::umask(Mode::from_bits_truncate(hidden));
        yard::enter().and_then(|()| yard::lay_out(&yard, &cgroups))
    };
    let criu =
        Criu::start(&program, &Surroundings { prepare: &prepare, folders, ..Surroundings::callers() })?;
    tell_folders(&criu, &mut message);
    let answer = criu.ask(&rpc::request(asked, Some(&message)), &mut |report| match (
        report.script.as_str(),
        &request.status_fd,
    ) {
        ("status-ready", Some(fd)) => fs::write_once(fd.as_fd(), b"\0").context("--status-fd: write"),
        _ => Ok(()),
    });
    // After a pre-dump it waits for the next one of a series, and there is none.
    criu.end()?;
    let answer = answer?;
    if !answer.success {
        return Err(failure(&answer, &options.work().join(LOG)));
    }
    group.map_or(Ok(()), |group| hand_to(group, options.images(), is_new))
}

/// Give the images to `group`, and the folder that they are in where it was made for them.
fn hand_to(group: u32, folder: &Path, is_new: bool) -> Result<()> {
    const SAME: u32 = u32::MAX;
    let named = |name: &[u8]| format!("--image-path: fchownat {}", String::from_utf8_lossy(name));
    let images = fs::open(folder, fs::O_RDONLY | fs::O_DIRECTORY, 0).context("--image-path: open")?;
    for entry in folder.read_dir().context("--image-path: getdents64")? {
        let name = entry.context("--image-path: getdents64")?.file_name();
        let name = name.as_encoded_bytes();
        if name.ends_with(b".img") {
            fs::chownat(images.as_fd(), name, SAME, group).with_context(|| named(name))?;
        }
    }
    if is_new { fs::chown_fd(images.as_fd(), SAME, group).context("--image-path: fchown") } else { Ok(()) }
}

fn message(request: &Checkpoint<'_>) -> Result<Message> {
    let Checkpoint { container, options, dump, .. } = request;
    let pid = container.state.pid;
    let root = Path::new("/proc").join(pid.to_string()).join("root");
    let root =
        fs::open(&root, fs::O_PATH | fs::O_DIRECTORY, 0).with_context(|| root.display().to_string())?;
    refuse_overlay(&container.state.rootfs, &root)?;
    let mut message = Message::default();
    message
        .number(field::PID, pid as u64)
        .text(field::ROOT, container.state.rootfs.as_os_str().as_encoded_bytes());
    if let Some(cgroup) = &container.state.cgroup {
        message.text(field::FREEZE_CGROUP, cgroup.path.as_os_str().as_encoded_bytes());
    }
    options.tell(&mut message, LOG);
    tell_network(*request.config.namespaces.of(Namespace::Network) == config::Place::New, &mut message);
    dump.tell(&mut message);
    config_file(&container.state.about.annotations, &mut message);
    for namespace in kept(request.config) {
        if let Some(key) = namespace.key {
            let file = namespace.kind.file();
            let number = inode(&Path::new("/proc").join(pid.to_string()).join("ns").join(file))?;
            message.text(field::EXTERNAL, format!("{file}[{number}]:{key}"));
        }
    }
    if !dump.pre_dump {
        mounts(request.externals, &root, &mut message)?;
        let seen = Mounts::of(pid)?;
        refuse_own_init(pid, &seen)?;
        let descriptors = descriptors(pid, &seen)?;
        for descriptor in descriptors.iter().filter(|name| name.starts_with("file[")) {
            message.text(field::EXTERNAL, descriptor.trim_end_matches(NULL));
        }
        save(options.images(), &descriptors)?;
    }
    Ok(message)
}

/// What the root of the container is must be there to restore it.
fn refuse_overlay(rootfs: &Path, root: &OwnedFd) -> Result<()> {
    let there = fs::open(rootfs, fs::O_PATH | fs::O_DIRECTORY, 0)
        .with_context(|| format!("root.path {}", rootfs.display()))?;
    if fs::same_file(there.as_fd(), root.as_fd()) { Ok(()) } else { Err(overlay("--overlay").into()) }
}

/// Tell which mounts are the host's. CRIU wants their places in the container as the kernel has
/// them, without symlinks.
fn mounts(externals: &[External], root: &OwnedFd, message: &mut Message) -> Result<()> {
    let mut keys = BTreeMap::new();
    for External { target, key, source, .. } in with_those_below(externals)? {
        let relative = target.trim_start_matches('/');
        let flags = fs::O_PATH;
        // A mask or volume whose place is not there is no mount either.
        let Ok(place) = fs::openat2(root.as_fd(), relative, flags, 0, fs::RESOLVE_IN_ROOT) else { continue };
        // What masks a folder is not what masks a file, and is the container's.
        let is_folder = |stat: libc::stat| stat.st_mode & libc::S_IFMT == libc::S_IFDIR;
        if fs::stat_fd(place.as_fd()).is_ok_and(is_folder) != source.is_dir() {
            continue;
        }
        let link = format!("/proc/self/fd/{}", place.as_raw_fd());
        let place = std::fs::read_link(&link).context(link)?;
        keys.insert(place.to_string_lossy().into_owned(), key);
    }
    for (place, key) in keys {
        message.text(field::EXTERNAL, format!("mnt[{place}]:{key}"));
    }
    Ok(())
}

/// Which mounts process `pid` sees, by their numbers.
struct Mounts(Vec<i32>);

impl Mounts {
    fn of(pid: i32) -> Result<Mounts> {
        let mounts = Process::new(pid).and_then(|process| process.mountinfo());
        let mounts = mounts.with_context(|| format!("/proc/{pid}/mountinfo"))?;
        Ok(Mounts(mounts.into_iter().map(|mount| mount.mnt_id).collect()))
    }

    /// The number of the mount that a file is on, if it is none of these.
    fn foreign(&self, file: BorrowedFd<'_>) -> Result<Option<u64>> {
        let number = mount::id(file).context("statx")?;
        Ok((!self.0.iter().any(|id| u64::try_from(*id) == Ok(number))).then_some(number))
    }
}

/// The init that `--init` starts is this program, which the container has no file of.
fn refuse_own_init(pid: i32, mounts: &Mounts) -> Result<()> {
    let exe = format!("/proc/{pid}/exe");
    let file = fs::open(&exe, fs::O_PATH, 0).context(exe)?;
    match mounts.foreign(file.as_fd())? {
        None => Ok(()),
        Some(_) => {
            bail!(
                "a container with --init cannot be checkpointed: its init is the knarr binary, which is not in the container"
            )
        }
    }
}

/// What standard input, output and error of the process are: files of the host's, which CRIU could
/// not open again, as `file[MOUNT:INODE]`, its name for such; everything else as /proc/PID/fd has
/// it.
fn descriptors(pid: i32, mounts: &Mounts) -> Result<Vec<String>> {
    let describe = |fd: i32| -> Result<String> {
        let link = format!("/proc/{pid}/fd/{fd}");
        // One that is closed.
        let Ok(name) = std::fs::read_link(&link) else { return Ok(String::new()) };
        let name = name.to_string_lossy().into_owned();
        if !name.starts_with('/') {
            return Ok(name);
        }
        let file = fs::open(&link, fs::O_PATH, 0).with_context(|| link.clone())?;
        match mounts.foreign(file.as_fd())? {
            Some(mount) => {
                let null = if is_null(&file) { NULL } else { "" };
                Ok(format!("file[{mount:x}:{:x}]{null}", inode(Path::new(&link))?))
            }
            None => Ok(name),
        }
    };
    (0..3).map(describe).collect()
}

fn is_null(file: &OwnedFd) -> bool {
    let null =
        |stat: libc::stat| stat.st_mode & libc::S_IFMT == libc::S_IFCHR && stat.st_rdev == fs::makedev(1, 3);
    fs::stat_fd(file.as_fd()).is_ok_and(null)
}

fn save(images: &Path, descriptors: &[String]) -> Result<()> {
    let flags = fs::O_WRONLY | fs::O_CREAT | fs::O_TRUNC;
    let path = images.join(DESCRIPTORS);
    let text = serde_json::to_vec(descriptors)?;
    let written = fs::open(&path, flags, 0o600).and_then(|file| fs::write_once(file.as_fd(), &text));
    written.with_context(|| path.display().to_string())
}
