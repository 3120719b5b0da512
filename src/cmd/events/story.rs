//! What has happened to one container, told from its record, its journal and the kernel, each thing
//! once.

use crate::cgroup::stats::Pressure;
use crate::cgroup::{Cgroup, Counts, Kills, Pressing, Trigger};
use crate::host;
use crate::id::Id;
use crate::state::{Container, Ended, Event, Farewell, Store, What, exit_of, process_start};
use crate::sys::process;
use crate::time;
use anyhow::{Context, Result};
use nix::poll::PollFlags;
use serde::Serialize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant, SystemTime};

/// A line of the output.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Line {
    Event(Event),
    Pressure(Pressed),
}

impl Line {
    pub(super) fn time(&self) -> Option<&String> {
        match self {
            Line::Event(event) => event.time.as_ref(),
            Line::Pressure(pressed) => Some(&pressed.time),
        }
    }
}

/// Pressure has come to what was asked for.
#[derive(Debug, Serialize)]
pub(super) struct Pressed {
    #[serde(rename = "type")]
    kind: &'static str,
    id: String,
    time: String,
    resource: &'static str,
    share: &'static str,
    stall_us: u64,
    window_us: u64,
    avg10: f64,
    avg60: f64,
    avg300: f64,
    total: u64,
}

impl Pressed {
    fn of(id: &str, asked: Pressing, pressure: &Pressure) -> Pressed {
        Pressed {
            kind: "pressure",
            id: id.into(),
            time: time::now(),
            resource: asked.resource.name(),
            share: asked.share.name(),
            stall_us: asked.stall_us,
            window_us: asked.window_us,
            avg10: pressure.avg10,
            avg60: pressure.avg60,
            avg300: pressure.avg300,
            total: pressure.total,
        }
    }
}

/// A container, from before it is recorded until it is gone.
#[derive(Debug)]
pub(super) struct Story {
    id: Id,
    known: Option<Box<Known>>,
    age: Age,
}

/// Whether it was there before it was watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Age {
    Old,
    New,
}

/// One that is recorded, with what has been told of it.
#[derive(Debug)]
struct Known {
    container: Container,
    /// Its init, until the end of that is told.
    init: Option<OwnedFd>,
    is_started: bool,
    is_ended: bool,
    /// Until where its journal is told.
    place: u64,
    kills: Option<Kills>,
    counts: Counts,
    /// Since when a shortage is counted that is not told.
    short_since: Option<Instant>,
    execs: Vec<Executed>,
    triggers: Vec<Trigger>,
    /// What of it has come to a trigger, until it is told.
    pressed: Vec<Line>,
    age: Age,
}

/// How a container's process ended, as it is recorded.
enum Recorded {
    /// None if nobody has recorded it.
    There(Option<Ended>),
    /// The container is deleted.
    Gone,
}

/// How often, and how long each time, a record is waited for.
const NAPS: u32 = 25;
const NAP: Duration = Duration::from_millis(20);

/// How long a kill for a shortage of memory is waited for.
const KILL_TIME: Duration = Duration::from_secs(1);

/// A process that nobody may wait for.
#[derive(Debug)]
struct Executed {
    pid: i32,
    started: u64,
    pidfd: OwnedFd,
}

impl Story {
    /// A container that may be about to be made.
    pub(super) fn new(id: Id) -> Story {
        Story { id, known: None, age: Age::Old }
    }

    /// One that is about to be made: what is seen of it has just happened.
    pub(super) fn of_new(id: Id) -> Story {
        Story { id, known: None, age: Age::New }
    }

    /// Whose story it is.
    pub(super) fn id(&self) -> &Id {
        &self.id
    }

    /// What has come since the last look.
    pub(super) fn look(&mut self, store: &Store, pressing: &[Pressing]) -> Result<Vec<Line>> {
        let mut events = Vec::new();
        if self.known.is_none() {
            // One that is deleted or cannot be read is as one that is not there.
            let Some(container) = store.find(&self.id).ok().flatten() else { return Ok(Vec::new()) };
            if container.state.pid == 0 {
                return Ok(Vec::new());
            }
            let created = Some(container.state.created.clone());
            let pid = Some(container.state.pid);
            events.push(Event { time: created, pid, ..Event::once(What::Create, self.id.as_str()) });
            self.known = Some(Box::new(Known::new(container, self.age, pressing)?));
        }
        let mut lines = Vec::new();
        if let Some(known) = &mut self.known {
            known.look(&mut events)?;
            lines = std::mem::take(&mut known.pressed);
        }
        // What has no time comes last: nobody knows how long ago it was.
        events.sort_by(|a, b| (a.time.is_none(), &a.time).cmp(&(b.time.is_none(), &b.time)));
        Ok(events.into_iter().map(Line::Event).chain(lines).collect())
    }

    /// It is gone, with these last words: what was not told yet.
    pub(super) fn finish(mut self, farewells: &mut Vec<Farewell>) -> Result<Vec<Line>> {
        let id = self.id.as_str();
        let is_its = |farewell: &Farewell| match &self.known {
            None => farewell.id == id && farewell.pid != 0,
            Some(known) => {
                let state = &known.container.state;
                (&*farewell.id, farewell.pid, farewell.pid_start) == (id, state.pid, state.pid_start)
            }
        };
        let farewell = farewells.iter().position(is_its).map(|at| farewells.remove(at));
        let mut events = Vec::new();
        match (&mut self.known, farewell) {
            (None, None) => return Ok(Vec::new()),
            (Some(known), farewell) => known.finish(farewell.as_ref(), &mut events),
            (None, Some(farewell)) => of_stranger(&farewell, &mut events),
        }
        events.push(Event::now(What::Delete, id));
        Ok(events.into_iter().map(Line::Event).collect())
    }

    /// What tells of news of it.
    pub(super) fn watched(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        self.known.iter().flat_map(|known| {
            let ends = known.init.iter().chain(known.execs.iter().map(|exec| &exec.pidfd)).map(AsFd::as_fd);
            let kills = known.kills.as_ref().and_then(Kills::as_fd);
            let pressed = kills.into_iter().chain(known.triggers.iter().map(Trigger::as_fd));
            ends.map(|fd| (fd, PollFlags::POLLIN)).chain(pressed.map(|fd| (fd, PollFlags::POLLPRI)))
        })
    }

    /// When it is to be looked at even if nothing has come.
    pub(super) fn due(&self) -> Option<Instant> {
        self.known.as_ref()?.short_since.map(|since| since + KILL_TIME)
    }

    /// What poll(2) has seen of those, in their order.
    pub(super) fn take_seen(&mut self, seen: &[PollFlags]) {
        if let Some(known) = &mut self.known {
            let others = seen.len().saturating_sub(known.triggers.len());
            known.take_pressure(seen[others..].iter().copied());
        }
    }

    /// Its cgroup, as long as it runs.
    pub(super) fn cgroup(&self) -> Option<Cgroup> {
        let known = self.known.as_ref().filter(|known| known.init.is_some())?;
        known.container.state.open_cgroup().ok().flatten()
    }
}

impl Known {
    fn new(container: Container, age: Age, pressing: &[Pressing]) -> Result<Known> {
        let init = container.pidfd()?;
        let cgroup = container.state.open_cgroup().ok().flatten();
        let mut triggers = Vec::new();
        if let (Some(cgroup), Some(init)) = (&cgroup, &init) {
            for asked in pressing {
                match Trigger::new(cgroup, *asked).context("--pressure") {
                    // It ends meanwhile.
                    Err(_) if process::has_ended(init.as_fd()).unwrap_or(true) => {}
                    trigger => triggers.push(trigger?),
                }
            }
        }
        let kills = cgroup.as_ref().and_then(|cgroup| Kills::new(cgroup).ok());
        Ok(Known {
            container,
            init,
            is_started: false,
            is_ended: false,
            place: 0,
            kills,
            counts: Counts::default(),
            short_since: None,
            execs: Vec::new(),
            triggers,
            pressed: Vec::new(),
            age,
        })
    }

    fn id(&self) -> String {
        self.container.id().into()
    }

    fn look(&mut self, events: &mut Vec<Event>) -> Result<()> {
        // Before the rest: what is written after this is told by the next look.
        let ended = self.init.as_ref().is_none_or(|init| process::has_ended(init.as_fd()).unwrap_or(true));
        self.reload();
        if let (false, Some(at)) = (self.is_started, self.container.started()) {
            self.is_started = true;
            events.push(Event { time: Some(at), ..Event::once(What::Start, &self.id()) });
        }
        let piece = self.container.dir.read_journal(self.place)?;
        self.place = piece.end();
        self.take_lines(&piece.text, events);
        self.take_execs(events);
        let is_counted = self.counts_kills();
        let counts = self.kills.as_mut().map_or(self.counts, Kills::read);
        // The last ones are among the last words, if this is the beginning of a deletion.
        let is_going = is_counted && !self.counts_kills();
        // At the first look at an old one nobody knows when it was.
        let time = (std::mem::replace(&mut self.age, Age::New) == Age::New).then(time::now);
        // The kernel counts a shortage before it kills for it: both are one event. It may find
        // nobody to kill.
        let short = (counts.oom != self.counts.oom).then(|| self.short_since.unwrap_or_else(Instant::now));
        self.short_since = short;
        let kills_none = short.is_some_and(|since| since.elapsed() >= KILL_TIME);
        if ended || kills_none || counts.oom_kill != self.counts.oom_kill {
            self.short_since = None;
            self.take_counts(counts, time.clone(), events);
        }
        if ended && !self.is_ended {
            let at = if self.init.is_some() { Some(time::now()) } else { time };
            let state = &self.container.state;
            let exit = self.init.as_ref().and_then(|init| exit_of(init, state.pid, state.pid_start));
            // Of what had ended long ago nothing more will come.
            let naps = if is_going || (exit.is_none() && at.is_some()) { NAPS } else { 0 };
            let Recorded::There(recorded) = self.recorded_end(naps, is_going) else { return Ok(()) };
            (self.is_ended, self.init) = (true, None);
            let event = Event { pid: Some(self.container.state.pid), ..Event::once(What::Exit, &self.id()) };
            events.push(match (exit, recorded) {
                (Some(exit), recorded) => {
                    Event { time: recorded.and_then(|e| e.at).or(at), ..event.ended(exit) }
                }
                (None, recorded) => with(recorded.as_ref(), event, at),
            });
        }
        Ok(())
    }

    /// Whether the kernel still tells whom it kills for memory: the cgroup is there.
    fn counts_kills(&self) -> bool {
        self.kills.as_ref().is_some_and(|kills| kills.as_fd().is_some())
    }

    /// A record that is going is as good as the last one.
    fn reload(&mut self) {
        if let Ok(state) = self.container.dir.load()
            && (state.pid, state.pid_start) == (self.container.state.pid, self.container.state.pid_start)
        {
            self.container.state = state;
        }
    }

    /// What is recorded of its end. Whoever has waited for it may be about to record that, or to
    /// delete the container: then its last words have it. That is waited for if it `is_going`.
    fn recorded_end(&mut self, naps: u32, is_going: bool) -> Recorded {
        for nap in 0..=naps {
            self.reload();
            let ended = self.container.ended();
            match self.container.dir.is_there() {
                _ if ended.is_some() && (!is_going || nap == naps) => return Recorded::There(ended),
                false if naps > 0 => return Recorded::Gone,
                _ if nap < naps => std::thread::sleep(NAP),
                _ => {}
            }
        }
        Recorded::There(None)
    }

    fn take_lines(&mut self, text: &str, events: &mut Vec<Event>) {
        for line in text.lines() {
            let Ok(event) = serde_json::from_str::<Event>(line) else { continue };
            if let (What::Exec, Some(pid), true) = (event.what, event.pid, event.detached) {
                self.execs.extend(executed(pid, &event));
            }
            events.push(event);
        }
    }

    /// The ends of processes that nobody waits for.
    fn take_execs(&mut self, events: &mut Vec<Event>) {
        let id = self.id();
        self.execs.retain(|exec| {
            let has_ended = process::has_ended(exec.pidfd.as_fd()).unwrap_or(true);
            if has_ended {
                let event = Event { pid: Some(exec.pid), ..Event::now(What::ExecExit, &id) };
                events.push(match exit_of(&exec.pidfd, exec.pid, exec.started) {
                    Some(exit) => event.ended(exit),
                    None => event,
                });
            }
            !has_ended
        });
    }

    fn take_counts(&mut self, counts: Counts, time: Option<String>, events: &mut Vec<Event>) {
        if counts != self.counts {
            self.counts = counts;
            let (oom, oom_kill) = (Some(counts.oom), Some(counts.oom_kill));
            events.push(Event { time, oom, oom_kill, ..Event::once(What::Oom, &self.id()) });
        }
    }

    /// What poll(2) has seen of the triggers, in their order: it is told once.
    fn take_pressure(&mut self, mut seen: impl Iterator<Item = PollFlags>) {
        let id = self.id();
        let pressed = &mut self.pressed;
        self.triggers.retain(|trigger| {
            let seen = seen.next().unwrap_or(PollFlags::empty());
            let pressure = seen.contains(PollFlags::POLLPRI).then(|| trigger.read()).flatten();
            // The cgroup is gone, which poll(2) would report for ever.
            if seen.contains(PollFlags::POLLERR) {
                return false;
            }
            pressed.extend(
                pressure.map(|pressure| Line::Pressure(Pressed::of(&id, trigger.asked(), &pressure))),
            );
            true
        });
    }

    fn finish(&mut self, farewell: Option<&Farewell>, events: &mut Vec<Event>) {
        if let Some(farewell) = farewell {
            if let (false, Some(at)) = (self.is_started, &farewell.started) {
                events.push(Event { time: Some(at.clone()), ..Event::once(What::Start, &self.id()) });
            }
            self.take_lines(farewell.journal.after(self.place), events);
            let counts = Counts { oom: farewell.oom, oom_kill: farewell.oom_kill };
            if counts.oom >= self.counts.oom && counts.oom_kill >= self.counts.oom_kill {
                self.take_counts(counts, Some(time::now()), events);
            }
        }
        self.take_execs(events);
        if !self.is_ended {
            let state = &self.container.state;
            let event = Event { pid: Some(state.pid), ..Event::once(What::Exit, &self.id()) };
            let recorded = farewell.and_then(|farewell| farewell.ended.as_ref());
            let exit = match recorded {
                Some(_) => None,
                None => self.init.take().and_then(|init| exit_of(&init, state.pid, state.pid_start)),
            };
            events.push(match exit {
                Some(exit) => Event { time: Some(time::now()), ..event.ended(exit) },
                None => with(recorded, event, Some(time::now())),
            });
        }
    }
}

/// An event with what is recorded of an end, or else with this time.
fn with(recorded: Option<&Ended>, event: Event, at: Option<String>) -> Event {
    match recorded {
        Some(ended) => {
            Event { status: Some(ended.status), signal: ended.signal, time: ended.at.clone().or(at), ..event }
        }
        None => Event { time: at, ..event },
    }
}

/// The whole story of a container that came and went between two looks.
fn of_stranger(farewell: &Farewell, events: &mut Vec<Event>) {
    let event = |what, time: Option<String>| Event { time, ..Event::once(what, &farewell.id) };
    let pid = Some(farewell.pid);
    events.push(Event { pid, ..event(What::Create, Some(farewell.created.clone())) });
    events.extend(farewell.started.iter().map(|at| event(What::Start, Some(at.clone()))));
    let noted = farewell.journal.text.lines().filter_map(|line| serde_json::from_str::<Event>(line).ok());
    events.extend(noted);
    if (farewell.oom, farewell.oom_kill) != (0, 0) {
        let (oom, oom_kill) = (Some(farewell.oom), Some(farewell.oom_kill));
        events.push(Event { oom, oom_kill, ..event(What::Oom, Some(time::now())) });
    }
    let exit = Event { pid, ..event(What::Exit, None) };
    events.push(with(farewell.ended.as_ref(), exit, Some(time::now())));
}

/// A process of `exec` that is still there: the very one, not another that has its pid by now.
fn executed(pid: i32, event: &Event) -> Option<Executed> {
    let noted = time::parse(event.time.as_ref()?)?;
    let pidfd = process::pidfd_open(pid).ok()?;
    let started = process_start(pid).ok().flatten()?;
    let ago = SystemTime::now().duration_since(noted).unwrap_or_default();
    let uptime = host::read("/proc/uptime").ok()?;
    let uptime: f64 = uptime.split(' ').next()?.parse().ok()?;
    let noted_at = Duration::try_from_secs_f64(uptime).ok()?.checked_sub(ago)?;
    // In ticks of 10 ms on all machines.
    let started_at = Duration::from_millis(started * 10);
    (started_at <= noted_at + Duration::from_millis(50)).then_some(Executed { pid, started, pidfd })
}
