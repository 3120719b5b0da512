//! `knarr events`.

mod asked;
mod follow;
mod prometheus;
mod story;

use super::Global;
use super::print;
use crate::cgroup::stats::Stats;
use crate::cgroup::{Cgroup, News, Pressing, Watch};
use crate::state::{Command, Container, Status, refuse};
use anyhow::{Context, Result, bail};
use prometheus::Sample;
use serde::Serialize;
use std::time::{Duration, Instant, SystemTime};

#[derive(Debug, clap::Args)]
#[group(id = "events")]
pub struct Args {
    /// The container's id; without one all containers
    #[arg(value_name = "ID", conflicts_with = "all")]
    pub id: Option<String>,
    /// Time between two prints of what is used, like 5s, 500ms or 1m30s [default: 5s; with --all,
    /// --since or --pressure it is not printed]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub interval: Option<Duration>,
    /// Print what is used once, and end
    #[arg(long)]
    pub stats: bool,
    /// All containers, also those that are made from now on
    #[arg(short, long)]
    pub all: bool,
    /// Print first what has happened since then, a time like 2026-03-01T12:00:00Z or how long ago,
    /// like 10m; then all that happens, until the container is deleted
    #[arg(long, value_name = "TIME", value_parser = asked::since, conflicts_with = "stats")]
    pub since: Option<SystemTime>,
    /// Print when processes wait for this long within such a time, like memory:some:150ms/1s; may
    /// be repeated
    #[arg(long, value_name = "RESOURCE:some|full:STALL/WINDOW", value_parser = asked::pressure, conflicts_with = "stats")]
    pub pressure: Vec<Pressing>,
    /// Form of the output; prometheus is what is used, printed once
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "json")]
    pub format: Format,
}

/// Form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A JSON object a line
    Json,
    /// What Prometheus reads, for a file of node_exporter's textfile collector
    Prometheus,
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

/// Between two prints of what is used, unless it is said.
const INTERVAL: Duration = Duration::from_secs(5);

/// Print events until the container has ended, or what it uses now.
pub fn run(args: &Args, global: &Global) -> Result<u8> {
    if args.format == Format::Prometheus {
        return metrics(args, global).context("events");
    }
    match &args.id {
        Some(id) => events(id, args, global).with_context(|| format!("events {}", id.escape_debug())),
        None => all(args, global).context("events"),
    }
}

fn events(id: &str, args: &Args, global: &Global) -> Result<u8> {
    let container = global.store().open(&id.parse()?)?;
    if args.since.is_some() || !args.pressure.is_empty() {
        if !args.pressure.is_empty() {
            container.cgroup()?;
        }
        drop(container);
        return follow::follow(Some(id.parse()?), args, global);
    }
    container.allow(Command::Events)?;
    let cgroup = container.cgroup()?;
    if args.stats {
        print_stats(id, cgroup.stats()?)?;
        return Ok(0);
    }
    watch(id, &container, &cgroup, args.interval.unwrap_or(INTERVAL)).map(|()| 0)
}

/// What runc prints: what is used, and that a process was killed for memory.
fn watch(id: &str, container: &Container, cgroup: &Cgroup, interval: Duration) -> Result<()> {
    let Some(init) = container.pidfd()? else { return Ok(()) };
    let mut watch = Watch::new(cgroup, init)?;
    let mut next = Instant::now() + interval;
    loop {
        match watch.wait(next) {
            News::Oom => print_event(&Event { kind: "oom", id, data: None })?,
            News::Ended => return Ok(()),
            News::None => {
                next = Instant::now() + interval;
                if let Err(err) = cgroup.stats().and_then(|stats| print_stats(id, stats)) {
                    // It may have gone while it was read.
                    return if watch.wait(Instant::now()) == News::Ended { Ok(()) } else { Err(err) };
                }
            }
        }
    }
}

/// What is used, in the form of Prometheus.
fn metrics(args: &Args, global: &Global) -> Result<u8> {
    for (option, is_given) in [
        ("--since", args.since.is_some()),
        ("--pressure", !args.pressure.is_empty()),
        ("--interval", args.interval.is_some()),
    ] {
        if is_given {
            bail!("--format prometheus: it is printed once, {option} is of events that follow");
        }
    }
    let mut samples = Vec::new();
    match &args.id {
        Some(id) => {
            let of_one = || -> Result<Sample> {
                let container = global.store().open(&id.parse()?)?;
                let status = container.allow(Command::Events)?;
                Sample::of(&container, status, Some(&container.cgroup()?))
            };
            samples.push(of_one().with_context(|| id.escape_debug().to_string())?);
        }
        None => {
            for (_, container) in global.store().list()? {
                let container = container?;
                let status = container.status()?;
                let runs = refuse(status, Command::Events, container.id()).is_none();
                let cgroup = container.state.open_cgroup().ok().flatten().filter(|_| runs);
                // It may stop while it is read.
                let sample = Sample::of(&container, status, cgroup.as_ref());
                samples.push(sample.or_else(|_| Sample::of(&container, Status::Stopped, None))?);
            }
        }
    }
    print(&prometheus::page(&samples))
}

/// Of all containers: what those that run use, or what happens to them.
fn all(args: &Args, global: &Global) -> Result<u8> {
    if !args.stats {
        return follow::follow(None, args, global);
    }
    for (id, container) in global.store().list()? {
        let container = container?;
        // What has stopped, or stops meanwhile, uses nothing.
        if let (Ok(_), Ok(Some(cgroup))) = (container.allow(Command::Events), container.state.open_cgroup())
            && let Ok(stats) = cgroup.stats()
        {
            print_stats(id.as_str(), stats)?;
        }
    }
    Ok(0)
}

fn print_stats(id: &str, stats: Stats) -> Result<()> {
    print_event(&Event { kind: "stats", id, data: Some(stats) })
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
