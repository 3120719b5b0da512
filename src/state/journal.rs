//! What has happened to a container that nothing else records, and who is told when it goes.
//!
//! The commands append to a file of the container's directory: `pause`, `resume`, `update`, and
//! `exec` with the end of what it has waited for. That it was made, let go and has ended is in the
//! record. The file goes with the directory. Whoever deletes a container while somebody watches
//! leaves its last words in a file of the store, so that none of them is missed.

use super::{Container, Dir, Ended, Store};
use crate::sys::process::Exit;
use crate::sys::{self, Errno, fs};
use crate::time;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::os::fd::{AsFd, OwnedFd};

pub(super) const JOURNAL: &str = "events";

/// The last words of all containers, there while somebody watches. No id has this name.
pub const FAREWELLS: &str = "@events";

/// How much of a journal is kept, in bytes: some two thousand events.
const KEPT: u64 = 256 << 10;

/// How much of the last words is kept, in bytes, for those who are slow to read them.
const KEPT_FAREWELLS: u64 = 16 << 20;

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    Create,
    Start,
    Exit,
    Pause,
    Resume,
    Exec,
    ExecExit,
    Update,
    Oom,
    Delete,
}

/// A line of the journal, and of what `events` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    #[serde(rename = "type")]
    pub what: What,
    pub id: String,
    /// RFC 3339; none where nobody knows when it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// As of `run`: of a signal 128 and its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// The program of `exec`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Whether nobody waits for the process of `exec`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub detached: bool,
    /// How often memory was short, memory.events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oom: Option<u64>,
    /// How many processes were killed for it, memory.events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oom_kill: Option<u64>,
}

/// The longest name of a program that is noted, in bytes.
const COMMAND_LIMIT: usize = 256;

impl Event {
    /// Something that has happened at an unknown time.
    pub fn once(what: What, id: &str) -> Event {
        Event {
            what,
            id: id.into(),
            time: None,
            pid: None,
            status: None,
            signal: None,
            command: None,
            detached: false,
            oom: None,
            oom_kill: None,
        }
    }

    /// Something that has just happened.
    pub fn now(what: What, id: &str) -> Event {
        Event { time: Some(time::now()), ..Event::once(what, id) }
    }

    /// A process has just been run in the container.
    pub fn exec(id: &str, pid: i32, program: &str) -> Event {
        let mut end = program.len().min(COMMAND_LIMIT);
        while !program.is_char_boundary(end) {
            end -= 1;
        }
        Event { pid: Some(pid), command: Some(program[..end].into()), ..Event::now(What::Exec, id) }
    }

    /// The same, which nobody waits for.
    pub fn detached(self) -> Event {
        Event { detached: true, ..self }
    }

    /// That process has just ended.
    pub fn exec_exit(id: &str, pid: i32, exit: Exit) -> Event {
        Event { pid: Some(pid), ..Event::now(What::ExecExit, id) }.ended(exit)
    }

    /// The same with how a process ended.
    pub fn ended(self, exit: Exit) -> Event {
        Event { status: Some(exit.code()), signal: exit.signal(), ..self }
    }
}

/// A container's journal, open to be written.
#[derive(Debug)]
pub struct Journal(OwnedFd);

impl Journal {
    /// Append a line, which no other line gets into.
    pub fn append(&self, event: &Event) -> Result<()> {
        append(&self.0, event).context("write to the container's journal")
    }

    /// Append the last line, and let go of what is too old.
    pub fn close(self, event: &Event) -> Result<()> {
        self.append(event)?;
        forget_before(&self.0, KEPT).context("shorten the container's journal")
    }
}

fn append(file: &OwnedFd, line: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    Ok(fs::write_once(file.as_fd(), &text)?)
}

/// Give the blocks of all but the last bytes of a file back. Who reads on keeps its place.
fn forget_before(file: &OwnedFd, kept: u64) -> sys::Result<()> {
    let end = fs::tell(file.as_fd())?;
    match end.checked_sub(2 * kept) {
        None => Ok(()),
        Some(over) => match fs::punch_hole(file.as_fd(), over + kept) {
            // A filesystem that cannot keeps the whole.
            Err(Errno::EOPNOTSUPP) => Ok(()),
            done => done,
        },
    }
}

/// What is read of a journal from some place on.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// Where it begins.
    pub from: u64,
    pub text: String,
}

impl Piece {
    /// Where the next one begins: after the last whole line.
    pub fn end(&self) -> u64 {
        self.from + self.text.len() as u64
    }

    /// The same without what is before `place`.
    pub fn after(&self, place: u64) -> &str {
        let skipped = usize::try_from(place.saturating_sub(self.from)).unwrap_or(usize::MAX);
        self.text.get(skipped..).unwrap_or_default()
    }
}

/// The whole lines of a file from `place` on; what was let go of is left out.
fn piece(file: &OwnedFd, place: u64) -> sys::Result<Piece> {
    let from = fs::next_data(file.as_fd(), place)?;
    let Some(mut from) = from else { return Ok(Piece { from: place, text: String::new() }) };
    let mut data = fs::read_all(file.as_fd(), 4 * KEPT_FAREWELLS as usize)?;
    let whole = data.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    data.truncate(whole);
    // The hole ends in the middle of a line, and of a block, which is filled with zeroes.
    if from > place || data.first() == Some(&0) {
        let line = data.iter().rposition(|byte| *byte == 0).map_or(0, |end| end + 1);
        let line =
            data[line..].iter().position(|byte| *byte == b'\n').map_or(data.len(), |end| line + end + 1);
        from += line as u64;
        data.drain(..line);
    }
    Ok(Piece { from, text: String::from_utf8_lossy(&data).into_owned() })
}

/// The last words about a container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Farewell {
    pub id: String,
    pub pid: i32,
    pub pid_start: u64,
    pub created: String,
    pub started: Option<String>,
    pub ended: Option<Ended>,
    pub oom: u64,
    pub oom_kill: u64,
    pub journal: Piece,
}

impl Dir {
    /// The journal, to append to it.
    pub fn journal(&self) -> Result<Journal> {
        let flags = fs::O_WRONLY | fs::O_APPEND | fs::O_CREAT;
        let opened = fs::openat(self.fd.as_fd(), JOURNAL, flags, 0o600);
        opened.map(Journal).with_context(|| format!("open {}", self.path.join(JOURNAL).display()))
    }

    /// Note one thing.
    pub fn note(&self, event: &Event) -> Result<()> {
        self.journal()?.close(event)
    }

    /// The journal from `place` on.
    pub fn read_journal(&self, place: u64) -> Result<Piece> {
        match fs::openat(self.fd.as_fd(), JOURNAL, fs::O_RDONLY, 0) {
            Err(Errno::ENOENT) => Ok(Piece { from: place, text: String::new() }),
            file => file
                .and_then(|file| piece(&file, place))
                .with_context(|| format!("read {}", self.path.join(JOURNAL).display())),
        }
    }

    /// The file of last words, if somebody watches.
    fn farewells(&self) -> sys::Result<Option<OwnedFd>> {
        let name = format!("../{FAREWELLS}");
        let file = match fs::openat(self.fd.as_fd(), &name, fs::O_WRONLY | fs::O_APPEND, 0) {
            Err(Errno::ENOENT) => return Ok(None),
            file => file?,
        };
        // Those who watch share its lock. One that was killed has left it.
        if fs::try_lock_exclusive(file.as_fd())? {
            fs::unlinkat(self.fd.as_fd(), &name, fs::Unlink::File)?;
            return Ok(None);
        }
        Ok(Some(file))
    }
}

impl Container {
    /// Tell those who watch of all that has happened to the container, which is about to go.
    pub fn say_farewell(&self) -> Result<()> {
        let Some(file) = self.dir.farewells().context(FAREWELLS)? else { return Ok(()) };
        let kills = self.state.open_cgroup().ok().flatten().and_then(|cgroup| cgroup.memory_events().ok());
        let count = |key: &str| kills.as_ref().and_then(|kills| kills.get(key)).copied().unwrap_or(0);
        let farewell = Farewell {
            id: self.state.about.id.clone(),
            pid: self.state.pid,
            pid_start: self.state.pid_start,
            created: self.state.created.clone(),
            started: self.started(),
            ended: self.ended(),
            oom: count("oom"),
            oom_kill: count("oom_kill"),
            journal: self.dir.read_journal(0)?,
        };
        append(&file, &farewell).context(FAREWELLS)?;
        forget_before(&file, KEPT_FAREWELLS).context(FAREWELLS)
    }
}

/// Somebody who watches the store.
#[derive(Debug)]
pub struct Listening {
    store: Store,
    file: OwnedFd,
    place: u64,
}

impl Store {
    /// Hear the last words of all containers from now on.
    pub fn listen(&self) -> Result<Listening> {
        let root = self.open_root()?;
        let name = || format!("{}/{FAREWELLS}", self.root.display());
        loop {
            let flags = fs::O_RDWR | fs::O_CREAT | fs::O_APPEND;
            let file = fs::openat(root.as_fd(), FAREWELLS, flags, 0o600).with_context(name)?;
            fs::lock_shared(file.as_fd()).with_context(name)?;
            // Somebody may have taken it for a leftover before it was locked.
            let inode = |stat: libc::stat| (stat.st_dev, stat.st_ino);
            let own = fs::stat_fd(file.as_fd()).with_context(name)?;
            if fs::statat(root.as_fd(), FAREWELLS).ok().map(inode) == Some(inode(own)) {
                return Ok(Listening { store: self.clone(), file, place: own.st_size as u64 });
            }
        }
    }
}

impl Listening {
    /// The words that have come since, and whether some were lost.
    pub fn hear(&mut self) -> Result<(Vec<Farewell>, bool)> {
        let piece = piece(&self.file, self.place).context(FAREWELLS)?;
        let lost = piece.from > self.place;
        self.place = piece.end();
        Ok((piece.text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(), lost))
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // The last one takes it away.
        if fs::try_lock_exclusive(self.file.as_fd()).unwrap_or(false) {
            let _ = std::fs::remove_file(self.store.root.join(FAREWELLS));
        }
    }
}
