//! `--timings`: where the time of a command has gone.

use crate::host;
use crate::note::{self, Moment};
use crate::sys::{self, fs};
use crate::time;
use anyhow::Result;
use serde_json::{Value, json};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Append what was kept to `file`, or print a table of it.
pub fn write(file: &Path) -> Result<()> {
    let moments = note::moments();
    if file == Path::new("-") {
        sys::to_stderr(&table(&moments));
        return Ok(());
    }
    let trace = host::trace();
    let lines: String = moments.iter().enumerate().map(|(at, _)| line(&moments, at, &trace)).collect();
    let flags = fs::O_WRONLY | fs::O_CREAT | fs::O_APPEND;
    let file = fs::open(file, flags, 0o644)?;
    Ok(fs::write_once(file.as_fd(), lines.as_bytes())?)
}

/// How long what began at a moment has taken: until its process went on to the next. The last of a
/// process is not known to have ended.
fn duration(moments: &[Moment], at: usize) -> Option<Duration> {
    let Moment { at: start, pid, .. } = &moments[at];
    moments[at + 1..].iter().find(|next| next.pid == *pid).map(|next| next.at.saturating_sub(*start))
}

fn line(moments: &[Moment], at: usize, trace: &[(&str, String)]) -> String {
    let moment = &moments[at];
    let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let start = UNIX_EPOCH.checked_add(moment.at).unwrap_or_else(SystemTime::now);
    let mut span = json!({
        "name": moment.what,
        "start": time::rfc3339(start),
        "startTimeUnixNano": nanoseconds(moment.at),
        "pid": moment.pid,
    });
    if let Some(duration) = duration(moments, at) {
        span["durationNano"] = Value::from(nanoseconds(duration));
    }
    if let Some((_, parent)) = trace.first() {
        let mut parts = parent.split('-').skip(1);
        for key in ["traceId", "parentSpanId"] {
            span[key] = Value::from(parts.next().unwrap_or_default());
        }
    }
    format!("{span}\n")
}

/// When each began after the first, how long it took, what it was.
fn table(moments: &[Moment]) -> String {
    let first = moments.first().map(|moment| moment.at).unwrap_or_default();
    let milliseconds = |time: Duration| format!("{:.3} ms", time.as_secs_f64() * 1e3);
    let row = |(at, moment): (usize, &Moment)| {
        let took = duration(moments, at).map(milliseconds).unwrap_or_else(|| "-".into());
        format!("{:>12} {took:>12}  {}\n", milliseconds(moment.at.saturating_sub(first)), moment.what)
    };
    format!("{:>12} {:>12}  what\n", "after", "took")
        + &moments.iter().enumerate().map(row).collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lasts_until_the_next_of_its_process() {
        let of = |ms, pid, what: &str| Moment { at: Duration::from_millis(ms), pid, what: what.into() };
        let moments = [of(1, 7, "a"), of(2, 1, "b"), of(5, 7, "c")];
        assert_eq!(duration(&moments, 0), Some(Duration::from_millis(4)));
        assert_eq!((duration(&moments, 1), duration(&moments, 2)), (None, None));
        assert!(table(&moments).contains("    1.000 ms            -  b\n"));
        assert!(line(&moments, 0, &[]).contains("\"durationNano\":4000000"));
    }
}
