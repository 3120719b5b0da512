//! What is said of a call that is refused: who made it, what refused it, what would allow it.

use super::files;
use super::places::{Places, Why};
use super::victim::Victim;
use crate::config::seccomp::Action;
use crate::log::Log;
use crate::plan::seccomp::judge::{Call, Cause, Judge};
use crate::plan::seccomp::matters::{self, Kind};
use crate::plan::seccomp::touches;
use crate::sys::Errno;
use crate::template::docker;
use std::collections::HashMap;

/// Who is to blame for a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The config.json of a bundle.
    Config,
    /// A sandbox, which has Docker's filter.
    Sandbox,
    /// The same, without these calls: `--strict`.
    Strict(&'static [&'static str]),
}

/// What has been told, and how often it happened again.
#[derive(Debug)]
pub struct Explain {
    blame: Blame,
    places: Places,
    told: HashMap<String, u64>,
}

/// A process that is refused ever other things is not told of for ever.
const MOST: usize = 1000;

impl Explain {
    /// Nothing has been told.
    pub fn new(blame: Blame) -> Explain {
        Explain { blame, places: Places::default(), told: HashMap::new() }
    }

    /// Of a container that refuses files and devices by these fields.
    pub fn of(self, places: Places) -> Explain {
        Explain { places, ..self }
    }

    /// Tell of one refusal, unless the same process has met the same before.
    pub(super) fn tell(
        &mut self,
        victim: &Victim<'_>,
        call: &Call,
        action: Action,
        judge: &Judge,
        log: &Log,
    ) {
        let what = what(call, matters::of(call.name().unwrap_or_default()), |address| victim.path(address));
        self.say(victim, &format!("{what} {}", why(self.blame, call, action, judge)), log);
    }

    /// Tell why the kernel is about to refuse a call that names files, where config.json says so.
    pub(super) fn tell_of_files(&mut self, victim: &Victim<'_>, call: &Call, log: &Log) {
        let name = call.name().unwrap_or_default();
        for named in touches::of(name) {
            let Some(asked) = files::look(victim, call, named) else { continue };
            let Some(Why { errno, field, cure }) = self.places.refusal(&asked) else { continue };
            let by = match (self.blame, errno) {
                (Blame::Config, _) => format!("{field}; {cure}"),
                (_, "EROFS") => {
                    "the sandbox, where it is read-only; --write and --bind let changes through".into()
                }
                _ => "the sandbox's rules for devices".to_string(),
            };
            self.say(victim, &format!("{name}({:?}) is refused ({errno}) by {by}", asked.path), log);
        }
    }

    fn say(&mut self, victim: &Victim<'_>, what: &str, log: &Log) {
        let text = format!("{}: {what}", who(victim));
        if let Some(times) = self.told.get_mut(&text) {
            *times += 1;
        } else if self.told.len() < MOST {
            log.told(&format!("explain: {text}"));
            self.told.insert(text, 0);
        }
    }

    /// Tell how often what was told has happened again.
    pub(super) fn end(&self, log: &Log) {
        let again = self.told.iter().filter(|(_, times)| **times > 0);
        let mut again: Vec<_> =
            again.map(|(text, times)| (text.split(" is refused").next(), times)).collect();
        again.sort();
        for (text, times) in again {
            log.told(&format!("explain: {}: {times} times more", text.unwrap_or_default()));
        }
    }
}

fn who(victim: &Victim<'_>) -> String {
    let name = victim.name().unwrap_or_else(|| "a process that has ended".into());
    match victim.pids() {
        Some((pid, inside)) if pid != inside => format!("{name} (pid {pid}, {inside} in the container)"),
        Some((pid, _)) => format!("{name} (pid {pid})"),
        None => format!("{name} (thread {})", victim.thread),
    }
}

/// The call, with the argument that matters.
pub(super) fn what(
    call: &Call,
    matter: Option<matters::Matter>,
    path: impl Fn(u64) -> Option<String>,
) -> String {
    let name = call.name().map_or_else(|| format!("system call {}", call.number), str::to_string);
    let argument = matter.and_then(|matter| {
        let value = call.args[matter.index];
        match matter.kind {
            Kind::Path => path(value).map(|path| format!("{path:?}")),
            kind => matters::text(kind, value),
        }
    });
    format!("{name}({})", argument.unwrap_or_default())
}

/// What has refused the call, and what would allow it.
pub(super) fn why(blame: Blame, call: &Call, action: Action, judge: &Judge) -> String {
    let errno = Errno::from_raw(i32::from(action.refusal().unwrap_or_default()));
    let name = call.name().unwrap_or("it");
    let cause = judge.cause(call, action);
    let by = match blame {
        Blame::Strict(names) if names.contains(&name) && docker::allows(name) => {
            "--strict; without it the call is allowed".into()
        }
        Blame::Sandbox | Blame::Strict(_) => match cause {
            Cause::OtherArguments(_) => {
                "the sandbox's filter, as Docker's, with these arguments; no option allows it".into()
            }
            _ => "the sandbox's filter, as Docker's; no option allows it, a bundle's config.json may"
                .to_string(),
        },
        Blame::Config => match cause {
            Cause::Rule(i) => format!("linux.seccomp.syscalls[{i}]; without {name} there it is not refused"),
            Cause::Default => {
                format!("linux.seccomp.defaultAction; a rule for {name} with SCMP_ACT_ALLOW allows it")
            }
            Cause::OtherArguments(i) => format!(
                "linux.seccomp.defaultAction, as linux.seccomp.syscalls[{i}].args asks for other arguments; a rule \
                 for {name} without args allows it"
            ),
            Cause::Newer => format!(
                "linux.seccomp.syscalls, which names no call as new as this; a rule for {name} with SCMP_ACT_ALLOW \
                 allows it"
            ),
        },
    };
    format!("is refused ({errno:?}) by {by}")
}
