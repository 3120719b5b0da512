//! `events` that misses nothing: what has happened, and then what happens.
//!
//! The kernel tells of each change of a directory from before that is read for the first time
//! (inotify(7)). What is read is told by its place in a journal, and of the rest it is known what
//! was told. So nothing falls between past and present, and nothing comes twice.

use super::story::{Line, Story};
use super::{Args, print, print_stats};
use crate::cgroup::Pressing;
use crate::cmd::Global;
use crate::id::Id;
use crate::state::{Farewell, Listening, Store};
use crate::sys::Errno;
use crate::time;
use anyhow::{Context, Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::collections::{BTreeMap, HashMap};
use std::os::fd::AsFd;
use std::time::{Duration, Instant, SystemTime};

/// Who is watched, and how.
struct Watcher<'a> {
    store: Store,
    /// The one that is watched; none for all.
    only: Option<Id>,
    pressing: &'a [Pressing],
    news: Inotify,
    root: WatchDescriptor,
    folders: HashMap<WatchDescriptor, Id>,
    stories: BTreeMap<Id, Story>,
    listening: Listening,
    farewells: Vec<Farewell>,
    global: &'a Global,
}

/// Print what has happened since it was asked for, and then what happens, until the container is
/// deleted or a signal ends it.
pub(super) fn follow(only: Option<Id>, args: &Args, global: &Global) -> Result<u8> {
    let signals = signals()?;
    if only.is_none() {
        // Three descriptors and more a container.
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("getrlimit")?;
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("setrlimit")?;
    }
    let mut watcher = Watcher::new(only, args, global)?;
    watcher.begin(args.since)?;
    let mut next = args.interval.map(|interval| Instant::now() + interval);
    while !watcher.is_over() {
        if let Some(signal) = watcher.wait(&signals, next)? {
            return Ok(128 + signal);
        }
        if let (Some(at), Some(interval)) = (next, args.interval)
            && at <= Instant::now()
        {
            next = Some(Instant::now() + interval);
            watcher.print_stats()?;
        }
    }
    Ok(0)
}

/// Signals that end the command, after it has tidied up.
fn signals() -> Result<SignalFd> {
    let set: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    set.thread_block().context("sigprocmask")?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).context("signalfd")
}

impl<'a> Watcher<'a> {
    fn new(only: Option<Id>, args: &'a Args, global: &'a Global) -> Result<Watcher<'a>> {
        let store = global.store();
        let listening = store.listen()?;
        let news = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).context("inotify_init")?;
        let flags = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_DELETE | AddWatchFlags::IN_MODIFY;
        let root = news.add_watch(store.root(), flags).context("inotify_add_watch")?;
        Ok(Watcher {
            store,
            only,
            pressing: &args.pressure,
            news,
            root,
            folders: HashMap::new(),
            stories: BTreeMap::new(),
            listening,
            farewells: Vec::new(),
            global,
        })
    }

    /// Take all that is there, and tell what has happened since.
    fn begin(&mut self, since: Option<SystemTime>) -> Result<()> {
        let ids: Vec<Id> = match &self.only {
            Some(id) => vec![id.clone()],
            None => self.store.list()?.map(|(id, _)| id).collect(),
        };
        let mut lines = Vec::new();
        for id in ids {
            lines.extend(self.add(Story::new(id))?);
        }
        if let Some(only) = &self.only
            && !self.stories.contains_key(only)
        {
            bail!("container does not exist");
        }
        let Some(since) = since.map(time::rfc3339) else { return Ok(()) };
        // Each container's are in order; of all, those without a time come last.
        lines.sort_by(|a, b| (a.time().is_none(), a.time()).cmp(&(b.time().is_none(), b.time())));
        lines.retain(|line| line.time().is_none_or(|time| *time >= since));
        self.print(&lines)
    }

    /// Watch one more container.
    fn add(&mut self, mut story: Story) -> Result<Vec<Line>> {
        let id = story.id().clone();
        let flags = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_ATTRIB
            | AddWatchFlags::IN_ONLYDIR;
        match self.news.add_watch(&self.store.path(&id), flags) {
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(Vec::new()),
            Err(Errno::ENOSPC) => {
                bail!("inotify_add_watch: no more than fs.inotify.max_user_watches (ENOSPC)")
            }
            watch => self.folders.insert(watch.context("inotify_add_watch")?, id.clone()),
        };
        let lines = story.look(&self.store, self.pressing)?;
        self.stories.insert(id, story);
        Ok(lines)
    }

    /// Whether there is nothing more to be told.
    fn is_over(&self) -> bool {
        self.only.is_some() && self.stories.is_empty()
    }

    /// Wait for news and tell them; the signal that ends this.
    fn wait(&mut self, signals: &SignalFd, deadline: Option<Instant>) -> Result<Option<u8>> {
        let due = self.stories.values().filter_map(Story::due).min();
        let deadline = deadline.into_iter().chain(due).min();
        let timeout = match deadline.map(|at| at.saturating_duration_since(Instant::now())) {
            None => PollTimeout::NONE,
            Some(left) => PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX),
        };
        let mut fds = vec![
            PollFd::new(self.news.as_fd(), PollFlags::POLLIN),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        ];
        let mut counts = Vec::new();
        for story in self.stories.values() {
            let before = fds.len();
            fds.extend(story.watched().map(|(fd, events)| PollFd::new(fd, events)));
            counts.push(fds.len() - before);
        }
        match poll(&mut fds, timeout) {
            Err(Errno::EINTR) => return Ok(None),
            polled => polled.context("poll")?,
        };
        let seen: Vec<PollFlags> = fds.iter().map(|fd| fd.revents().unwrap_or(PollFlags::empty())).collect();
        if let Some(info) = signals.read_signal().context("read signalfd")? {
            return Ok(Some(info.ssi_signo as u8));
        }
        let mut at = 2;
        let mut lines = Vec::new();
        for (story, count) in self.stories.values_mut().zip(counts) {
            let seen = &seen[at..at + count];
            at += count;
            story.take_seen(seen);
            let is_due = story.due().is_some_and(|due| due <= Instant::now());
            if is_due || seen.iter().any(|flags| !flags.is_empty()) {
                lines.extend(story.look(&self.store, self.pressing)?);
            }
        }
        self.print(&lines)?;
        self.take_news()?;
        Ok(None)
    }

    /// What has changed in the directories.
    fn take_news(&mut self) -> Result<()> {
        loop {
            let news = match self.news.read_events() {
                Err(Errno::EAGAIN) => return Ok(()),
                Err(Errno::EINTR) => continue,
                news => news.context("read inotify")?,
            };
            // Whose directory has gone by now has said farewell before.
            let (farewells, mut lost) = self.listening.hear()?;
            self.farewells.extend(farewells);
            for event in news {
                if std::mem::take(&mut lost) || event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
                    self.global.log().warning("events came faster than they were read: some may be missing");
                    self.look_at_all()?;
                }
                let lines = if event.wd == self.root {
                    self.take_change(&event.name, event.mask)?
                } else {
                    self.look(event.wd)?
                };
                self.print(&lines)?;
                if event.mask.contains(AddWatchFlags::IN_IGNORED) {
                    self.folders.remove(&event.wd);
                }
            }
        }
    }

    /// A container's directory came, or went.
    fn take_change(&mut self, name: &Option<std::ffi::OsString>, mask: AddWatchFlags) -> Result<Vec<Line>> {
        let name = name.as_ref().and_then(|name| name.to_str()).and_then(|name| name.parse::<Id>().ok());
        let Some(id) = name.filter(|id| self.only.as_ref().is_none_or(|only| only == id)) else {
            return Ok(Vec::new());
        };
        if mask.contains(AddWatchFlags::IN_DELETE) {
            let story = self.stories.remove(&id).unwrap_or_else(|| Story::of_new(id));
            return story.finish(&mut self.farewells);
        }
        match mask.contains(AddWatchFlags::IN_CREATE) && !self.stories.contains_key(&id) {
            true => self.add(Story::of_new(id)),
            false => Ok(Vec::new()),
        }
    }

    fn look(&mut self, watch: WatchDescriptor) -> Result<Vec<Line>> {
        let story = self.folders.get(&watch).and_then(|id| self.stories.get_mut(id));
        story.map_or_else(|| Ok(Vec::new()), |story| story.look(&self.store, self.pressing))
    }

    /// After changes were lost: what is there, and what is not there any more.
    fn look_at_all(&mut self) -> Result<()> {
        let mut ids: Vec<Id> = self.store.list()?.map(|(id, _)| id).collect();
        ids.retain(|id| self.only.as_ref().is_none_or(|only| only == id));
        let gone: Vec<Id> = self.stories.keys().filter(|id| !ids.contains(id)).cloned().collect();
        let mut lines = Vec::new();
        for story in gone.iter().filter_map(|id| self.stories.remove(id)).collect::<Vec<_>>() {
            lines.extend(story.finish(&mut self.farewells)?);
        }
        for id in ids {
            match self.stories.get_mut(&id) {
                Some(story) => lines.extend(story.look(&self.store, self.pressing)?),
                None => lines.extend(self.add(Story::of_new(id))?),
            }
        }
        self.print(&lines)
    }

    fn print(&self, lines: &[Line]) -> Result<()> {
        let mut text = String::new();
        for line in lines {
            text.push_str(&serde_json::to_string(line)?);
            text.push('\n');
        }
        if text.is_empty() { Ok(()) } else { print(&text).map(drop) }
    }

    fn print_stats(&self) -> Result<()> {
        for (id, story) in &self.stories {
            // It may go while it is read.
            if let Some(cgroup) = story.cgroup()
                && let Ok(stats) = cgroup.stats()
            {
                print_stats(id.as_str(), stats)?;
            }
        }
        Ok(())
    }
}
