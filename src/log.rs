//! `--log` and `--log-format`: what engines read when a command fails.
//!
//! A failing command writes exactly one record: containerd takes the last one with level `error`,
//! Podman parses the whole file as one object. A command that succeeds writes only its warnings.

use crate::config::Invalid;
use crate::fault::{Fault, Refusal};
use crate::host;
use crate::sys::{self, Errno, fs};
use anyhow::Context;
use serde_json::{Map, Value};
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// `--log-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `time="…" level=error msg="…"`.
    Text,
    /// One JSON object a line.
    Json,
}

/// `--log-level`: what is told beside the error that a command fails with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Error,
    Warning,
    /// The same: there is nothing in between.
    Info,
    /// What is done, too, step by step.
    Debug,
}

/// The file that `--log` names: a path, or `file:` and a path. Where else other runtimes write is
/// refused by name.
pub fn file(text: &str) -> Result<PathBuf, String> {
    match text.split_once(':') {
        Some((kind @ ("journald" | "syslog"), _)) => Err(format!(
            "knarr does not write to {kind}; name a file, or take what it says on standard error"
        )),
        Some(("file", path)) => file(path),
        _ if text.is_empty() => Err("the path is empty".into()),
        _ => Ok(text.into()),
    }
}

/// Where records go.
#[derive(Debug, Clone)]
pub struct Log {
    /// `--log`.
    pub file: Option<PathBuf>,
    /// `--log-format`.
    pub format: Format,
    /// `--log-level`, or `--debug`.
    pub level: Level,
}

impl Log {
    /// Refuse a file that cannot be written, before anything is done that would have to be told
    /// there.
    pub fn check(&self) -> anyhow::Result<()> {
        let Some(path) = &self.file else { return Ok(()) };
        let folder =
            || path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let opened = match fs::open(path, fs::O_WRONLY | fs::O_APPEND | fs::O_NONBLOCK, 0) {
            Err(Errno::ENOENT) => fs::open(folder(), fs::O_PATH | fs::O_DIRECTORY, 0),
            // A fifo that nobody reads yet.
            Err(Errno::ENXIO) => return Ok(()),
            opened => opened,
        };
        opened.map(drop).with_context(|| format!("--log {}", path.display()))
    }

    /// The same for a process with another working directory.
    #[must_use]
    pub fn anywhere(&self) -> Log {
        let file = self.file.as_ref().map(|file| std::path::absolute(file).unwrap_or_else(|_| file.clone()));
        Log { file, ..self.clone() }
    }

    /// Report a failed command: plainly on standard error, and as a record.
    pub fn error(&self, err: &anyhow::Error) {
        say(&message(err));
        self.record_error(err);
    }

    /// Report a failed command as a record only.
    pub fn record_error(&self, err: &anyhow::Error) {
        let mut record = self.record("error", &message(err));
        record.extend(details(err));
        self.write(record);
    }

    /// Report something that was tolerated: as a record if there is a log, on standard error
    /// otherwise.
    pub fn warning(&self, message: &str) {
        if self.level < Level::Warning {
            return;
        }
        if self.file.is_none() {
            say(&format!("warning: {message}"));
        }
        self.write(self.record("warning", message));
    }

    /// Say something that was asked for on standard error, and record it. The terminal of a
    /// container may be relayed there, so that lines need their return.
    pub fn told(&self, message: &str) {
        let end = if std::io::stderr().is_terminal() { "\r\n" } else { "\n" };
        sys::to_stderr(&format!("knarr: {}{end}", plain(message)));
        self.record_event(message);
    }

    /// Record something that is neither wrong nor tolerated, where there is a log.
    pub fn record_event(&self, message: &str) {
        self.write(self.record("info", message));
    }

    /// Report, line by line, what is going to be done, where that is asked for.
    pub fn debug(&self, what: &dyn std::fmt::Display) {
        if self.level < Level::Debug {
            return;
        }
        for line in what.to_string().lines() {
            let record = self.record("debug", line);
            match &self.file {
                Some(_) => self.write(record),
                None => sys::to_stderr(&self.line(record)),
            }
        }
    }

    fn record(&self, level: &str, message: &str) -> Map<String, Value> {
        let time = crate::time::rfc3339(SystemTime::now());
        let pairs = [("level", level), ("msg", message), ("time", &time)];
        let trace = host::trace().into_iter().map(|(key, value)| (key.to_ascii_lowercase(), value));
        let pairs = pairs.map(|(key, value)| (key.to_string(), value.to_string()));
        pairs.into_iter().chain(trace).map(|(key, value)| (key, Value::from(value))).collect()
    }

    fn line(&self, record: Map<String, Value>) -> String {
        let text = |key: &str| record.get(key).and_then(Value::as_str).unwrap_or_default();
        match self.format {
            Format::Json => format!("{}\n", Value::Object(record)),
            Format::Text => {
                format!("time=\"{}\" level={} msg={:?}\n", text("time"), text("level"), text("msg"))
            }
        }
    }

    fn write(&self, record: Map<String, Value>) {
        let Some(path) = &self.file else { return };
        let line = self.line(record);
        let flags = fs::O_WRONLY | fs::O_CREAT | fs::O_APPEND;
        let written = fs::open(path, flags, 0o644).and_then(|fd| fs::write_once(fd.as_fd(), line.as_bytes()));
        if let Err(errno) = written {
            say(&format!("warning: --log {}: {}", path.display(), sys::describe(errno)));
        }
    }
}

/// Say something on standard error, in one line: names from images and command lines may hold
/// anything, and a terminal obeys what it is sent.
pub fn say(text: &str) {
    sys::to_stderr(&format!("knarr: {}\n", plain(text)));
}

/// `text` without what ends a line, orders a terminal about or turns the direction of writing,
/// which is escaped.
fn plain(text: &str) -> String {
    let is_order = |c: char| {
        let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}')
    };
    let escaped = |c: char| if is_order(c) { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escaped).collect()
}

/// An error and its causes on one line, each of the kernel's answers in this project's style.
pub fn message(err: &anyhow::Error) -> String {
    let parts: Vec<String> = err.chain().map(part).collect();
    parts.join(": ")
}

fn part(cause: &(dyn std::error::Error + 'static)) -> String {
    let os =
        cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error).map(Errno::from_raw);
    match cause.downcast_ref::<Errno>().copied().or(os) {
        Some(errno) => sys::describe(errno),
        None => cause.to_string(),
    }
}

/// What tools can tell errors apart by: `field`, the place in config.json; `errno`, the kernel's
/// answer; `code`, the kind.
fn details(err: &anyhow::Error) -> Vec<(String, Value)> {
    let (mut field, mut errno, mut code) = (None, None, "error");
    for cause in err.chain() {
        if let Some(invalid) = cause.downcast_ref::<Invalid>() {
            (field, code) = (Some(invalid.field.clone()), "config");
        } else if let Some(fault) = cause.downcast_ref::<Fault>() {
            // A field may be followed by the value that it has, for people to read.
            let place = fault.field.split(' ').next().unwrap_or_default();
            (field, code) = (Some(place.to_string()).filter(|f| !f.is_empty()), step_code(fault));
            errno = fault.refusal.errno.or(errno);
        } else if let Some(refusal) = cause.downcast_ref::<Refusal>() {
            errno = refusal.errno.or(errno);
        } else if let Some(answer) = cause.downcast_ref::<Errno>() {
            errno = Some(*answer);
        } else if let Some(answer) =
            cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error)
        {
            errno = Some(Errno::from_raw(answer));
        }
    }
    let errno = errno.map(|errno| format!("{errno:?}"));
    let details = [("code", Some(code.to_string())), ("field", field), ("errno", errno)];
    details.into_iter().map(|(key, value)| (key.to_string(), Value::from(value))).collect()
}

/// What a shell would have exited with: 127 for a command that is not there, 126 for one that
/// cannot be executed.
fn step_code(fault: &Fault) -> &'static str {
    match (fault.field.as_str(), fault.refusal.errno) {
        ("process.args[0]", None | Some(Errno::ENOENT | Errno::ENOTDIR)) => "command-not-found",
        ("process.args" | "process.args[0]", Some(Errno::EACCES | Errno::ENOEXEC | Errno::ENOENT)) => {
            "command-not-executable"
        }
        _ => "step",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_plain() {
        assert_eq!(plain("a b\u{e4}\u{4e2d}"), "a b\u{e4}\u{4e2d}");
        let orders = "\n\r\0\u{1b}\u{7f}\u{85}\u{2028}\u{2029}\u{202e}\u{2066}\u{200f}\u{61c}";
        assert!(
            plain(orders).is_ascii() && !plain(orders).chars().any(char::is_control),
            "{}",
            plain(orders)
        );
    }

    #[test]
    fn a_log_is_a_file() {
        assert_eq!(file("/a:b"), Ok("/a:b".into()));
        assert_eq!(file("file:/a"), Ok("/a".into()));
        assert!(file("journald:x").is_err_and(|err| err.contains("journald")));
        assert!(file("file:").is_err());
    }
}
