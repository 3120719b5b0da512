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
use crate::sys::fs;
use crate::template::recording::Recording;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A recording, and the file that it goes to.
#[derive(Debug)]
pub struct Record {
    file: PathBuf,
    recording: Recording,
    /// What the kernel asks for, once a program is about to be executed.
    asked: Option<Asked>,
    /// The container's cgroup, before that.
    cgroup: Option<PathBuf>,
    /// The capabilities that its processes may have.
    permitted: Set,
}

/// So many paths, sockets or values of an argument are kept of each kind.
const MOST: usize = 10_000;

/// What no recording has.
const UNSEEN: [&str; 2] = [
    "paths: they are read while the process may change them, and another may be meant",
    "processes of exec, and files that a process was given open",
];

impl Record {
    /// Into this file, when the container has ended.
    pub fn new(file: &Path) -> Result<Record> {
        let file = std::path::absolute(file)?;
        let folder = file.parent().unwrap_or(Path::new("/"));
        fs::writable(folder).with_context(|| folder.display().to_string())?;
        if file.is_dir() {
            anyhow::bail!("{}: a folder", file.display());
        }
        let unseen = UNSEEN.map(String::from).into();
        let recording = Recording { unseen, ..Recording::default() };
        Ok(Record { file, recording, asked: None, cgroup: None, permitted: Set::default() })
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
            own.unseen.insert(format!("system call {}, which has no name here", call.number));
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
            && self.recording.sockets.len() < MOST
        {
            self.recording.sockets.insert(format!("{name} {address}"));
        }
    }

    fn note_file(&mut self, victim: &Victim<'_>, call: &Call, named: &Named) {
        let Some(Use { path, access, found, .. }) = files::look(victim, call, named) else { return };
        match found {
            Found::Device(kind, major, minor) if self.recording.devices.len() < MOST => {
                let opened = self.recording.devices.entry(format!("{kind} {major}:{minor}")).or_default();
                opened.access.extend(access.letters());
                opened.paths.insert(path);
            }
            Found::File(place) if access.writes && !place.is_readonly => {
                let paths = self.recording.written.entry(place.mount).or_default();
                if paths.len() < MOST {
                    paths.insert(place.path);
                }
            }
            _ => {}
        }
    }

    /// Write the file, whole or not at all.
    pub(super) fn write(&mut self) -> Result<()> {
        self.recording.capabilities = self.asked.as_ref().map(|asked| asked.names(self.permitted));
        let mut temporary = self.file.clone().into_os_string();
        temporary.push(format!(".{}.tmp", std::process::id()));
        let text = serde_json::to_string_pretty(&self.recording)?;
        let written =
            std::fs::write(&temporary, text + "\n").and_then(|()| std::fs::rename(&temporary, &self.file));
        if written.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        written.with_context(|| format!("--record {}", self.file.display()))
    }
}

fn insert(set: &mut BTreeSet<String>, name: &str) {
    if !set.contains(name) {
        set.insert(name.into());
    }
}
