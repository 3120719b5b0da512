//! `knarr events`.

use super::Global;
use super::print;
use crate::cgroup::stats::Stats;
use crate::cgroup::{Cgroup, News, Watch};
use crate::state::Command;
use anyhow::{Context, Result};
use serde::Serialize;
use std::time::{Duration, Instant};

#[derive(Debug, clap::Args)]
#[group(id = "events")]
pub struct Args {
    /// The container's id
    #[arg(value_name = "ID")]
    pub id: String,
    /// Time between two prints of what is used, like 5s, 500ms or 1m30s
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub interval: Duration,
    /// Print what is used once, and end
    #[arg(long)]
    pub stats: bool,
}

/// One line of the output.
#[derive(Serialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Stats>,
}

/// Print events until the container has ended, or what it uses now.
pub fn run(args: &Args, global: &Global) -> Result<u8> {
    events(args, global).with_context(|| format!("events {}", args.id.escape_debug()))?;
    Ok(0)
}

fn events(args: &Args, global: &Global) -> Result<()> {
    let container = global.store().open(&args.id.parse()?)?;
    container.allow(Command::Events)?;
    let cgroup = container.cgroup()?;
    if args.stats {
        return print_stats(&args.id, &cgroup);
    }
    let Some(init) = container.pidfd()? else { return Ok(()) };
    let mut watch = Watch::new(&cgroup, init)?;
    let mut next = Instant::now() + args.interval;
    loop {
        match watch.wait(next) {
            News::Oom => print_event(&Event { kind: "oom", id: &args.id, data: None })?,
            News::Ended => return Ok(()),
            News::None => {
                next = Instant::now() + args.interval;
                if let Err(err) = print_stats(&args.id, &cgroup) {
                    // It may have gone while it was read.
                    return if watch.wait(Instant::now()) == News::Ended { Ok(()) } else { Err(err) };
                }
            }
        }
    }
}

fn print_stats(id: &str, cgroup: &Cgroup) -> Result<()> {
    print_event(&Event { kind: "stats", id, data: Some(cgroup.stats()?) })
}

fn print_event(event: &Event<'_>) -> Result<()> {
    print(&format!("{}\n", serde_json::to_string(event)?)).map(drop)
}

/// A positive time as Go writes it.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, f64); 7] =
        [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let mut seconds = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let number = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let unit =
            rest[number..].find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len() - number);
        let (value, name) = (&rest[..number], &rest[number..number + unit]);
        let scale = UNITS.iter().find(|(unit, _)| *unit == name).map(|(_, scale)| scale);
        let value: Option<f64> = value.parse().ok();
        seconds +=
            value.zip(scale).map(|(value, scale)| value * scale).ok_or("not a time like 5s or 1m30s")?;
        rest = &rest[number + unit..];
    }
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err("the time must be greater than 0".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::duration;
    use std::time::Duration;

    #[test]
    fn times_are_written_as_in_go() {
        for (text, ms) in [("5s", 5000), ("1m30s", 90_000), ("100ms", 100), ("1.5s", 1500), ("2h", 7_200_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "0s", "5", "s", "-1s", "1x", "5s3", "1e400s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
