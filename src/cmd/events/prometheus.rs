//! What containers use, in the text form that Prometheus reads: exposition_formats.md, version
//! 0.0.4, with its names and base units.

use crate::cgroup::stats::{BlkioEntry, Psi, Stats};
use crate::cgroup::{Cgroup, Counts};
use crate::state::{Container, Status};
use crate::time;
use anyhow::Result;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// What is told of one container.
pub(super) struct Sample {
    id: String,
    bundle: String,
    status: Status,
    /// In seconds since 1970.
    started: Option<f64>,
    /// None of one that has stopped.
    used: Option<Used>,
}

struct Used {
    stats: Stats,
    counts: Option<Counts>,
}

impl Sample {
    /// Of a container, and its cgroup as long as it runs.
    pub(super) fn of(container: &Container, status: Status, cgroup: Option<&Cgroup>) -> Result<Sample> {
        let used = |cgroup: &Cgroup| -> Result<Used> {
            let stats = cgroup.stats()?;
            // Where the controller is not, nothing is counted.
            let counts = if stats.memory.raw.is_empty() { None } else { Some(counts(cgroup)?) };
            Ok(Used { stats, counts })
        };
        let started = container.started().and_then(|at| time::parse(&at));
        let started = started.filter(|_| status != Status::Created);
        Ok(Sample {
            id: container.id().into(),
            bundle: text(&container.state.about.bundle),
            status,
            started: started.and_then(|at| Some(at.duration_since(UNIX_EPOCH).ok()?.as_secs_f64())),
            used: cgroup.map(used).transpose()?,
        })
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn counts(cgroup: &Cgroup) -> Result<Counts> {
    let events = cgroup.memory_events()?;
    let count = |key: &str| events.get(key).copied().unwrap_or(0);
    Ok(Counts { oom: count("oom"), oom_kill: count("oom_kill") })
}

/// A metric: what is told of it, and its lines.
struct Metric {
    kind: &'static str,
    help: &'static str,
    lines: Vec<String>,
}

/// All metrics, by name: the lines of one stand together.
#[derive(Default)]
struct Page(BTreeMap<&'static str, Metric>);

impl Page {
    fn add(&mut self, name: &'static str, help: &'static str, labels: &[(&str, &str)], value: f64) {
        // What counts ends in _total, and what does not may fall.
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        let labels: Vec<String> =
            labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
        let metric = self.0.entry(name).or_insert(Metric { kind, help, lines: Vec::new() });
        metric.lines.push(format!("{name}{{{}}} {value}", labels.join(",")));
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// The page of all samples.
pub(super) fn page(samples: &[Sample]) -> String {
    let mut page = Page::default();
    for sample in samples {
        of_container(&mut page, sample);
    }
    let mut text = String::new();
    for (name, Metric { kind, help, lines }) in page.0 {
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        lines.iter().for_each(|line| text.extend([line, "\n"]));
    }
    text
}

fn of_container(page: &mut Page, sample: &Sample) {
    let id = ("id", sample.id.as_str());
    page.add("knarr_container_info", "The container, by its bundle.", &[id, ("bundle", &sample.bundle)], 1.0);
    let status = sample.status.to_string();
    page.add("knarr_container_status", "The status that it has.", &[id, ("status", &status)], 1.0);
    if let Some(at) = sample.started {
        page.add("knarr_container_start_time_seconds", "When its process was let go.", &[id], at);
    }
    let Some(Used { stats, counts }) = &sample.used else { return };
    of_cpu(page, id, stats);
    of_memory(page, id, stats, *counts);
    page.add("knarr_container_pids", "Processes and threads.", &[id], stats.pids.current as f64);
    if stats.pids.limit != 0 {
        let help = "The limit of processes and threads.";
        page.add("knarr_container_pids_limit", help, &[id], stats.pids.limit as f64);
    }
    let mut io = |name, help, entries: &[BlkioEntry]| {
        for entry in entries {
            let device = format!("{}:{}", entry.major, entry.minor);
            let labels = [id, ("device", &*device), ("operation", &*entry.op.to_ascii_lowercase())];
            page.add(name, help, &labels, entry.value as f64);
        }
    };
    let blkio = &stats.blkio;
    io("knarr_container_io_bytes_total", "Bytes of a disk.", &blkio.io_service_bytes_recursive);
    io("knarr_container_io_operations_total", "Operations of a disk.", &blkio.io_serviced_recursive);
    for (size, pages) in &stats.hugetlb {
        let labels = [id, ("pagesize", size.as_str())];
        page.add("knarr_container_hugetlb_usage_bytes", "Huge pages.", &labels, pages.usage as f64);
    }
    let psi = [("cpu", &stats.cpu.psi), ("memory", &stats.memory.psi), ("io", &stats.blkio.psi)];
    for (resource, psi) in psi {
        if let Some(Psi { some, full }) = psi {
            for (share, pressure) in [("some", some), ("full", full)] {
                let labels = [id, ("resource", resource), ("share", share)];
                let help = "Time in which processes waited for a resource.";
                let seconds = pressure.total as f64 / 1e6;
                page.add("knarr_container_pressure_seconds_total", help, &labels, seconds);
            }
        }
    }
}

fn of_cpu(page: &mut Page, id: (&str, &str), stats: &Stats) {
    let seconds = |ns: u64| ns as f64 / 1e9;
    let (usage, throttling) = (&stats.cpu.usage, &stats.cpu.throttling);
    for (name, help, value) in [
        ("knarr_container_cpu_seconds_total", "Processor time.", seconds(usage.total)),
        ("knarr_container_cpu_user_seconds_total", "Processor time of programs.", seconds(usage.user)),
        ("knarr_container_cpu_system_seconds_total", "Processor time of the kernel.", seconds(usage.kernel)),
        ("knarr_container_cpu_periods_total", "Periods of the quota.", throttling.periods as f64),
        (
            "knarr_container_cpu_throttled_periods_total",
            "Periods in which the quota was used up.",
            throttling.throttled_periods as f64,
        ),
        (
            "knarr_container_cpu_throttled_seconds_total",
            "Time of waiting for more of the quota.",
            seconds(throttling.throttled_time),
        ),
    ] {
        page.add(name, help, &[id], value);
    }
}

fn of_memory(page: &mut Page, id: (&str, &str), stats: &Stats, counts: Option<Counts>) {
    let Some(Counts { oom, oom_kill }) = counts else { return };
    let memory = &stats.memory;
    // Memory and swap together, as of cgroup v1.
    let swap = memory.swap.usage.saturating_sub(memory.usage.usage);
    for (name, help, value) in [
        ("knarr_container_memory_usage_bytes", "Memory.", memory.usage.usage),
        ("knarr_container_memory_cache_bytes", "Memory that holds files.", memory.cache),
        ("knarr_container_memory_swap_usage_bytes", "Swap.", swap),
        ("knarr_container_memory_limit_hits_total", "How often its limit was met.", memory.usage.failcnt),
        ("knarr_container_memory_oom_total", "How often memory was short.", oom),
        ("knarr_container_memory_oom_kills_total", "Processes killed for it.", oom_kill),
    ] {
        page.add(name, help, &[id], value as f64);
    }
    // Of kernels before 5.19 nobody knows.
    if memory.usage.max != 0 {
        page.add("knarr_container_memory_peak_bytes", "The most memory.", &[id], memory.usage.max as f64);
    }
    if memory.usage.limit != u64::MAX {
        let limit = memory.usage.limit as f64;
        page.add("knarr_container_memory_limit_bytes", "The limit of memory.", &[id], limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_metric_stand_together_below_its_type() {
        let of = |id: &str, bundle: &str| Sample {
            id: id.into(),
            bundle: bundle.into(),
            status: Status::Stopped,
            started: Some(1_772_366_400.5),
            used: None,
        };
        let golden = "# HELP knarr_container_info The container, by its bundle.\n\
            # TYPE knarr_container_info gauge\n\
            knarr_container_info{id=\"a\",bundle=\"/b\"} 1\n\
            knarr_container_info{id=\"b\",bundle=\"/q\\\"\\\\ \\n\"} 1\n\
            # HELP knarr_container_start_time_seconds When its process was let go.\n\
            # TYPE knarr_container_start_time_seconds gauge\n\
            knarr_container_start_time_seconds{id=\"a\"} 1772366400.5\n\
            knarr_container_start_time_seconds{id=\"b\"} 1772366400.5\n\
            # HELP knarr_container_status The status that it has.\n\
            # TYPE knarr_container_status gauge\n\
            knarr_container_status{id=\"a\",status=\"stopped\"} 1\n\
            knarr_container_status{id=\"b\",status=\"stopped\"} 1\n";
        assert_eq!(page(&[of("a", "/b"), of("b", "/q\"\\ \n")]), golden);
    }

    #[test]
    fn units_are_seconds_and_bytes() {
        let mut stats = Stats::default();
        stats.cpu.usage.total = 1_500_000_000;
        stats.memory.usage.limit = u64::MAX;
        stats.memory.usage.usage = 4096;
        let used = Used { stats, counts: Some(Counts { oom: 3, oom_kill: 2 }) };
        let (id, bundle) = ("a".into(), "/b".into());
        let text = page(&[Sample { id, bundle, status: Status::Running, started: None, used: Some(used) }]);
        for line in [
            "# TYPE knarr_container_cpu_seconds_total counter",
            "knarr_container_cpu_seconds_total{id=\"a\"} 1.5",
            "knarr_container_memory_usage_bytes{id=\"a\"} 4096",
            "knarr_container_memory_oom_kills_total{id=\"a\"} 2",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}: {text}");
        }
        assert!(!text.contains("limit_bytes"), "{text}");
    }
}
