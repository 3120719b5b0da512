//! What a cgroup has used, in the form of `runc events --stats`: names and units of cgroup v1,
//! times in nanoseconds.

use super::Cgroup;
use crate::proc::list::ranges;
use anyhow::Result;
use serde::Serialize;
use std::collections::BTreeMap;

/// All of it. What cgroup v2 does not count is zero or left out, as in runc.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    pub cpu: Cpu,
    pub cpuset: Cpuset,
    pub memory: Memory,
    pub pids: Pids,
    pub blkio: Blkio,
    pub hugetlb: BTreeMap<String, Hugetlb>,
    pub intel_rdt: BTreeMap<String, String>,
    pub network_interfaces: Option<Vec<String>>,
}

/// `cpu`: cpu.stat and cpu.pressure.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Cpu {
    pub usage: CpuUsage,
    pub throttling: Throttling,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Psi>,
}

/// Processor time in nanoseconds, of cpu.stat.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct CpuUsage {
    #[serde(skip_serializing_if = "is_zero")]
    pub total: u64,
    pub kernel: u64,
    pub user: u64,
}

/// How the bandwidth limit has bitten, of cpu.stat; nanoseconds.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Throttling {
    #[serde(skip_serializing_if = "is_zero")]
    pub periods: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub throttled_periods: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub throttled_time: u64,
}

/// Pressure stall information, Documentation/accounting/psi.rst.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Psi {
    pub some: Pressure,
    pub full: Pressure,
}

/// A line of a pressure file: averages in percent, the total in microseconds.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Pressure {
    pub avg10: f64,
    pub avg60: f64,
    pub avg300: f64,
    pub total: u64,
}

/// `cpuset`: cpuset.cpus and cpuset.mems; the rest is of cgroup v1, and zero.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Cpuset {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<u16>,
    pub cpu_exclusive: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mems: Vec<u16>,
    pub mem_hardwall: u64,
    pub mem_exclusive: u64,
    pub memory_migrate: u64,
    pub memory_spread_page: u64,
    pub memory_spread_slab: u64,
    pub memory_pressure: u64,
    pub sched_load_balance: u64,
    pub sched_relax_domain_level: i64,
}

/// `memory`, in bytes: memory.current, memory.stat and their neighbours.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Memory {
    #[serde(skip_serializing_if = "is_zero")]
    pub cache: u64,
    pub usage: MemoryEntry,
    /// Memory and swap together, as cgroup v1 had it.
    pub swap: MemoryEntry,
    pub kernel: MemoryEntry,
    #[serde(rename = "kernelTCP")]
    pub kernel_tcp: MemoryEntry,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub raw: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Psi>,
}

/// One kind of memory. Without a limit, `limit` is the largest number.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize)]
pub struct MemoryEntry {
    pub limit: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub usage: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub max: u64,
    pub failcnt: u64,
}

/// `pids`: pids.current and pids.max.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Pids {
    #[serde(skip_serializing_if = "is_zero")]
    pub current: u64,
    /// Zero is none.
    #[serde(skip_serializing_if = "is_zero")]
    pub limit: u64,
}

/// `blkio`: io.stat, under the names of cgroup v1.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Blkio {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_service_bytes_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_serviced_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Psi>,
}

/// One count of one device.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct BlkioEntry {
    #[serde(skip_serializing_if = "is_zero")]
    pub major: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub minor: u64,
    pub op: &'static str,
    #[serde(skip_serializing_if = "is_zero")]
    pub value: u64,
}

/// Huge pages of one size, in bytes.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Hugetlb {
    #[serde(skip_serializing_if = "is_zero")]
    pub usage: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub max: u64,
    pub failcnt: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Cgroup {
    /// What it has used until now. A controller that is not there leaves its part empty.
    pub fn stats(&self) -> Result<Stats> {
        let keyed = |name: &str| Ok::<_, anyhow::Error>(keyed(&self.text(name)?));
        Ok(Stats {
            cpu: cpu(&keyed("cpu.stat")?, self.psi("cpu.pressure")?),
            cpuset: Cpuset {
                cpus: list(&self.text("cpuset.cpus.effective")?),
                mems: list(&self.text("cpuset.mems.effective")?),
                ..Cpuset::default()
            },
            memory: self.memory()?,
            pids: Pids {
                current: number(&self.text("pids.current")?),
                limit: number(&self.text("pids.max")?),
            },
            blkio: blkio(&self.text("io.stat")?, self.psi("io.pressure")?),
            hugetlb: self.hugetlb()?,
            ..Stats::default()
        })
    }

    /// How often its limits of memory were met, by what has happened then.
    pub fn memory_events(&self) -> Result<BTreeMap<String, u64>> {
        Ok(keyed(&self.text("memory.events")?))
    }

    fn text(&self, name: &str) -> Result<String> {
        Ok(self.read_if_there(name)?.unwrap_or_default())
    }

    fn psi(&self, name: &str) -> Result<Option<Psi>> {
        Ok(self.read_if_there(name)?.map(|text| psi(&text)))
    }

    fn memory(&self) -> Result<Memory> {
        let events = keyed(&self.text("memory.events")?);
        let entry = |module: &str| -> Result<MemoryEntry> {
            Ok(MemoryEntry {
                usage: number(&self.text(&format!("{module}.current"))?),
                // Linux 5.19; of swap 6.5.
                max: number(&self.text(&format!("{module}.peak"))?),
                limit: limit(&self.text(&format!("{module}.max"))?),
                failcnt: 0,
            })
        };
        let mut usage = entry("memory")?;
        usage.failcnt = events.get("max").copied().unwrap_or(0);
        let swap = entry("memory.swap")?;
        let raw = keyed(&self.text("memory.stat")?);
        Ok(Memory {
            cache: raw.get("file").copied().unwrap_or(0),
            usage,
            swap: MemoryEntry {
                usage: usage.usage + swap.usage,
                limit: if swap.limit == u64::MAX { u64::MAX } else { usage.limit.saturating_add(swap.limit) },
                ..MemoryEntry::default()
            },
            raw,
            psi: self.psi("memory.pressure")?,
            ..Memory::default()
        })
    }

    fn hugetlb(&self) -> Result<BTreeMap<String, Hugetlb>> {
        let mut sizes = BTreeMap::new();
        for name in self.files()? {
            let Some(size) = name.strip_prefix("hugetlb.").and_then(|name| name.strip_suffix(".current"))
            else {
                continue;
            };
            if size.ends_with(".rsvd") {
                continue;
            }
            let events = keyed(&self.text(&format!("hugetlb.{size}.events"))?);
            let usage = number(&self.text(&name)?);
            let failcnt = events.get("max").copied().unwrap_or(0);
            sizes.insert(size.to_string(), Hugetlb { usage, failcnt, max: 0 });
        }
        Ok(sizes)
    }
}

/// Lines of a key and a number.
pub(super) fn keyed(text: &str) -> BTreeMap<String, u64> {
    let pair = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.to_string(), value.parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

/// A number; zero for `max` and for nothing.
fn number(text: &str) -> u64 {
    text.trim().parse().unwrap_or(0)
}

/// A limit as runc prints it: `max` is the largest number.
fn limit(text: &str) -> u64 {
    if text.trim() == "max" { u64::MAX } else { number(text) }
}

/// The numbers of a list like `0-3,7`.
fn list(text: &str) -> Vec<u16> {
    let ranges = ranges(text, usize::from(u16::MAX)).unwrap_or_default();
    ranges.into_iter().flat_map(|(first, last)| first as u16..=last as u16).collect()
}

fn cpu(stat: &BTreeMap<String, u64>, psi: Option<Psi>) -> Cpu {
    let count = |key: &str| stat.get(key).copied().unwrap_or(0);
    Cpu {
        usage: CpuUsage {
            total: count("usage_usec") * 1000,
            kernel: count("system_usec") * 1000,
            user: count("user_usec") * 1000,
        },
        throttling: Throttling {
            periods: count("nr_periods"),
            throttled_periods: count("nr_throttled"),
            throttled_time: count("throttled_usec") * 1000,
        },
        psi,
    }
}

pub(super) fn psi(text: &str) -> Psi {
    let mut psi = Psi::default();
    for line in text.lines() {
        let mut words = line.split(' ');
        let pressure = match words.next() {
            Some("some") => &mut psi.some,
            Some("full") => &mut psi.full,
            _ => continue,
        };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            match key {
                "avg10" => pressure.avg10 = value.parse().unwrap_or(0.0),
                "avg60" => pressure.avg60 = value.parse().unwrap_or(0.0),
                "avg300" => pressure.avg300 = value.parse().unwrap_or(0.0),
                _ => pressure.total = number(value),
            }
        }
    }
    psi
}

fn blkio(stat: &str, psi: Option<Psi>) -> Blkio {
    let mut blkio = Blkio { psi, ..Blkio::default() };
    for line in stat.lines() {
        let mut words = line.split(' ');
        let numbers = words.next().and_then(|device| device.split_once(':'));
        let Some((Ok(major), Ok(minor))) = numbers.map(|(a, b)| (a.parse(), b.parse())) else { continue };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let (list, op) = match key {
                "rbytes" => (&mut blkio.io_service_bytes_recursive, "Read"),
                "wbytes" => (&mut blkio.io_service_bytes_recursive, "Write"),
                "dbytes" => (&mut blkio.io_service_bytes_recursive, "Discard"),
                "rios" => (&mut blkio.io_serviced_recursive, "Read"),
                "wios" => (&mut blkio.io_serviced_recursive, "Write"),
                "dios" => (&mut blkio.io_serviced_recursive, "Discard"),
                _ => continue,
            };
            list.push(BlkioEntry { major, minor, op, value: number(value) });
        }
    }
    blkio
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_kernel_are_read_as_runc_prints_them() {
        let stat = keyed(
            "usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_periods 7\nnr_throttled 1\nthrottled_usec 9\n",
        );
        let cpu = serde_json::to_value(cpu(&stat, None)).unwrap();
        let golden = serde_json::json!({ "usage": { "total": 5000, "kernel": 2000, "user": 3000 },
            "throttling": { "periods": 7, "throttledPeriods": 1, "throttledTime": 9000 } });
        assert_eq!(cpu, golden);
        let blkio = serde_json::to_value(blkio(
            "8:16 rbytes=10 wbytes=0 rios=2 wios=0 dbytes=0 dios=0 cost.usage=4\n7:0 \n",
            None,
        ));
        let entry = |op: &str, value: u64| match value {
            0 => serde_json::json!({ "major": 8, "minor": 16, "op": op }),
            value => serde_json::json!({ "major": 8, "minor": 16, "op": op, "value": value }),
        };
        let golden = serde_json::json!({
            "ioServiceBytesRecursive": [entry("Read", 10), entry("Write", 0), entry("Discard", 0)],
            "ioServicedRecursive": [entry("Read", 2), entry("Write", 0), entry("Discard", 0)] });
        assert_eq!(blkio.unwrap(), golden);
    }

    #[test]
    fn pressure_lists_and_limits() {
        let psi = psi(
            "some avg10=0.50 avg60=0.00 avg300=1.25 total=77\nfull avg10=0.10 avg60=0.00 avg300=0.00 total=5\n",
        );
        assert_eq!((psi.some.avg10, psi.some.avg300, psi.some.total, psi.full.total), (0.5, 1.25, 77, 5));
        assert_eq!(list("0-3,7\n"), [0, 1, 2, 3, 7]);
        assert_eq!(list("\n"), [] as [u16; 0]);
        assert_eq!([limit("max\n"), limit("4096\n"), limit(""), number("max\n")], [u64::MAX, 4096, 0, 0]);
    }
}
