//! What is written down of the calls of a container.

use super::capabilities::Asked;
use super::files::{self, Found, Use};
use super::victim::Victim;
use crate::capability::Set;
use crate::config::seccomp::Action;
use crate::plan::seccomp::judge::Call;
use crate::plan::seccomp::machine::NATIVE;
use crate::plan::seccomp::matters;
use crate::plan::seccomp::touches::{self, Named};
use crate::sys::{self, Errno, fs};
use crate::template::recording::Recording;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

/// A recording, and the file that it goes to.
#[derive(Debug)]
pub struct Record {
    file: PathBuf,
    /// The folder that the file goes to, since before the container could put another in its place.
    folder: OwnedFd,
    recording: Recording,
    /// How many bytes of names are kept yet: they are the container's to choose.
    left: usize,
    /// What the kernel asks for, once a program is about to be executed.
    asked: Option<Asked>,
    /// The container's cgroup, before that.
    cgroup: Option<PathBuf>,
    /// The capabilities that its processes may have.
    permitted: Set,
}

/// So many values of an argument are kept.
const MOST: usize = 10_000;

/// So many bytes of names are kept: paths, sockets, devices. With each escaped the file is one that
/// `profile` reads.
const BYTES: usize = 2 << 20;

/// What no recording has.
const UNSEEN: [&str; 3] = [
    "paths in a container that has a FUSE file system among its mounts",
    "paths: they are read while the process may change them, and another may be meant",
    "processes of exec, and files that a process was given open",
];

impl Record {
    /// Into this file, when the container has ended.
    pub fn new(file: &Path) -> Result<Record> {
        let file = std::path::absolute(file)?;
        let folder = file.parent().unwrap_or(Path::new("/"));
        fs::writable(folder).with_context(|| folder.display().to_string())?;
        let opened = fs::open(folder, fs::O_PATH | fs::O_DIRECTORY, 0);
        let opened = opened.with_context(|| folder.display().to_string())?;
        if file.is_dir() {
            anyhow::bail!("{}: a folder", file.display());
        }
        let unseen = UNSEEN.map(String::from).into();
        let recording = Recording { unseen, ..Recording::default() };
        let (asked, cgroup, permitted) = (None, None, Set::default());
        Ok(Record { file, folder: opened, recording, left: BYTES, asked, cgroup, permitted })
    }

    /// What it goes on to need of this process's descriptors.
    pub(super) fn descriptor(&self) -> RawFd {
        self.folder.as_raw_fd()
    }

    /// Whether there is room for a name; the first one that there is none for is told of.
    fn has_room(&mut self, name: &str) -> bool {
        // With what a set needs for each.
        match self.left.checked_sub(name.len() + 100) {
            Some(left) => self.left = left,
            None => {
                self.recording.unseen.insert("more paths and sockets: there were too many".into());
                return false;
            }
        }
        true
    }

    /// The container has this cgroup, by which its processes are told from others where the kernel
    /// tells of capabilities; and they may have these, of what it asks for.
    pub fn of_process(self, cgroup: Option<&Path>, permitted: Set) -> Record {
        let mut record = Record { permitted, ..self };
        record.cgroup = cgroup.map(Path::to_path_buf);
        if record.cgroup.is_none() {
            record.recording.unseen.insert("capabilities: the container has no cgroup".into());
        }
        record
    }

    /// Note a call that meets this action.
    pub(super) fn note(&mut self, victim: &Victim<'_>, call: &Call, action: Action) {
        let own = &mut self.recording;
        let Some(name) = call.name() else {
            own.unseen.insert("system calls that have no name here".into());
            return;
        };
        if let Some(space) = NATIVE.space(call.arch, call.number) {
            insert(&mut own.architectures, space.arch.name());
        }
        if let Some(errno) = action.refusal() {
            own.refused.entry(name.into()).or_default().insert(errno);
            return;
        }
        // What init asks for up to here is not the program's.
        if let "execve" | "execveat" = name
            && let Some(cgroup) = self.cgroup.take()
        {
            match Asked::of(&cgroup) {
                Ok(asked) => self.asked = Some(asked),
                Err(refusal) => {
                    own.unseen.insert(format!("capabilities: {refusal}"));
                }
            }
        }
        if !own.syscalls.contains_key(name) {
            own.syscalls.insert(name.into(), Default::default());
        }
        if let Some(made) = own.syscalls.get_mut(name) {
            made.count += 1;
            let matter = matters::of(name);
            if let Some((matter, mask)) = matter.and_then(|matter| Some((matter, matter.kind.mask()?)))
                && made.values.len() < MOST
            {
                made.values.insert(call.args[matter.index] & mask);
            }
        }
        for named in touches::of(name) {
            self.note_file(victim, call, named);
        }
        if let "bind" | "connect" = name
            && let Some(address) = victim.address(call.args[1], call.args[2])
        {
            let socket = format!("{name} {address}");
            if !self.recording.sockets.contains(&socket) && self.has_room(&socket) {
                self.recording.sockets.insert(socket);
            }
        }
    }

    fn note_file(&mut self, victim: &Victim<'_>, call: &Call, named: &Named) {
        let Some(Use { path, access, found, .. }) = files::look(victim, call, named) else { return };
        match found {
            Found::Device(kind, major, minor) => {
                let device = format!("{kind} {major}:{minor}");
                let known =
                    self.recording.devices.get(&device).is_some_and(|opened| opened.paths.contains(&path));
                if known || self.has_room(&path) {
                    let opened = self.recording.devices.entry(device).or_default();
                    opened.access.extend(access.letters());
                    opened.paths.insert(path);
                }
            }
            Found::File(place) if access.writes && !place.is_readonly => {
                let written = self.recording.written.get(&place.mount);
                if !written.is_some_and(|paths| paths.contains(&place.path))
                    && self.has_room(&format!("{}{}", place.mount, place.path))
                {
                    self.recording.written.entry(place.mount).or_default().insert(place.path);
                }
            }
            _ => {}
        }
    }

    /// Write the file, whole or not at all.
    pub(super) fn write(&mut self) -> Result<()> {
        self.recording.capabilities = self.asked.as_ref().map(|asked| asked.names(self.permitted));
        let text = serde_json::to_string_pretty(&self.recording)? + "\n";
        self.put(text.as_bytes()).with_context(|| format!("--record {}", self.file.display()))
    }

    /// By a name that nothing has: what the container has put there is not followed, nor opened.
    fn put(&self, text: &[u8]) -> sys::Result<()> {
        let name = self.file.file_name().ok_or(Errno::EISDIR)?.as_encoded_bytes();
        let temporary = [name, format!(".{}.tmp", std::process::id()).as_bytes()].concat();
        let (folder, flags) = (self.folder.as_fd(), fs::O_WRONLY | fs::O_CREAT | fs::O_EXCL | fs::O_NOFOLLOW);
        let make = || fs::openat(folder, &temporary, flags, 0o644);
        let file = match make() {
            // The container has foreseen the name.
            Err(Errno::EEXIST) => fs::unlinkat(folder, &temporary, fs::Unlink::File).and_then(|()| make()),
            made => made,
        }?;
        let written = File::from(file).write_all(text);
        let written = written.map_err(|err| err.raw_os_error().map_or(Errno::EIO, Errno::from_raw));
        let written = written.and_then(|()| fs::renameat(folder, &temporary, name));
        if written.is_err() {
            let _ = fs::unlinkat(folder, &temporary, fs::Unlink::File);
        }
        written
    }
}

fn insert(set: &mut BTreeSet<String>, name: &str) {
    if !set.contains(name) {
        set.insert(name.into());
    }
}
