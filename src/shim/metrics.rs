//! What a container uses, as containerd counts it: io.containerd.cgroups.v2.Metrics
//! (containerd/cgroups, cgroup2/stats/metrics.proto).

use crate::cgroup::Cgroup;
use crate::cgroup::stats::{Blkio, Memory, Stats};
use crate::protobuf::Message;
use anyhow::Result;
use std::collections::BTreeMap;

/// The name of the message.
pub const NAME: &str = "io.containerd.cgroups.v2.Metrics";

/// The fields of `MemoryStat`, from 1 on, by their names in memory.stat.
const MEMORY: [&str; 31] = [
    "anon",
    "file",
    "kernel_stack",
    "slab",
    "sock",
    "shmem",
    "file_mapped",
    "file_dirty",
    "file_writeback",
    "anon_thp",
    "inactive_anon",
    "active_anon",
    "inactive_file",
    "active_file",
    "unevictable",
    "slab_reclaimable",
    "slab_unreclaimable",
    "pgfault",
    "pgmajfault",
    // Linux 5.9 has split these three; anonymous memory is not counted here, as by others.
    "workingset_refault_file",
    "workingset_activate_file",
    "workingset_nodereclaim",
    "pgrefill",
    "pgscan",
    "pgsteal",
    "pgactivate",
    "pgdeactivate",
    "pglazyfree",
    "pglazyfreed",
    "thp_fault_alloc",
    "thp_collapse_alloc",
];

/// The fields of `MemoryEvents`, from 1 on.
const EVENTS: [&str; 5] = ["low", "high", "max", "oom", "oom_kill"];

/// The message for `cgroup`.
pub fn read(cgroup: &Cgroup) -> Result<Vec<u8>> {
    let stats = cgroup.stats()?;
    let swap = Swap {
        usage: cgroup.number("memory.swap.current"),
        limit: cgroup.number("memory.swap.max"),
        peak: cgroup.number("memory.swap.peak"),
    };
    Ok(metrics(&stats, &swap, &cgroup.memory_events()?).into_bytes())
}

/// Swap alone; the statistics have it together with memory.
struct Swap {
    usage: Option<u64>,
    limit: Option<u64>,
    peak: Option<u64>,
}

fn metrics(stats: &Stats, swap: &Swap, told: &BTreeMap<String, u64>) -> Message {
    let mut out = Message::default();
    let mut pids = Message::default();
    // Zero is none in the statistics, the largest number here.
    let limit = if stats.pids.limit == 0 { u64::MAX } else { stats.pids.limit };
    pids.number(1, stats.pids.current).number(2, limit);
    let mut cpu = Message::default();
    let (usage, throttling) = (&stats.cpu.usage, &stats.cpu.throttling);
    cpu.number(1, usage.total / 1000).number(2, usage.user / 1000).number(3, usage.kernel / 1000);
    cpu.number(4, throttling.periods).number(5, throttling.throttled_periods);
    cpu.number(6, throttling.throttled_time / 1000);
    out.message(1, &pids)
        .message(2, &cpu)
        .message(4, &memory(&stats.memory, swap))
        .message(6, &io(&stats.blkio));
    for (size, pages) in &stats.hugetlb {
        let mut entry = Message::default();
        entry.number(1, pages.usage).number(2, pages.max).text(3, size);
        out.message(7, &entry);
    }
    let mut events = Message::default();
    for (field, name) in (1..).zip(EVENTS) {
        events.number(field, told.get(name).copied().unwrap_or(0));
    }
    out.message(8, &events);
    out
}

fn memory(memory: &Memory, swap: &Swap) -> Message {
    let mut out = Message::default();
    for (field, name) in (1..).zip(MEMORY) {
        out.number(field, memory.raw.get(name).copied().unwrap_or(0));
    }
    out.number(32, memory.usage.usage).number(33, memory.usage.limit);
    out.number(34, swap.usage.unwrap_or(0)).number(35, swap.limit.unwrap_or(u64::MAX));
    out.number(36, memory.usage.max).number(37, swap.peak.unwrap_or(0));
    out
}

/// One entry a device, in place of one a number.
fn io(blkio: &Blkio) -> Message {
    let mut devices: BTreeMap<(u64, u64), [u64; 4]> = BTreeMap::new();
    let lists = [(&blkio.io_service_bytes_recursive, 0), (&blkio.io_serviced_recursive, 2)];
    for (entry, first) in lists.iter().flat_map(|(list, first)| list.iter().map(move |entry| (entry, first)))
    {
        let numbers = devices.entry((entry.major, entry.minor)).or_default();
        match entry.op {
            "Read" => numbers[*first] = entry.value,
            "Write" => numbers[first + 1] = entry.value,
            _ => {}
        }
    }
    let mut out = Message::default();
    for ((major, minor), [read_bytes, written_bytes, reads, writes]) in devices {
        let mut entry = Message::default();
        entry.number(1, major).number(2, minor).number(3, read_bytes).number(4, written_bytes);
        entry.number(5, reads).number(6, writes);
        out.message(1, &entry);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protobuf::{Value, fields};

    #[test]
    fn numbers_are_where_containerd_looks_for_them() {
        let mut stats = Stats::default();
        stats.pids.current = 3;
        stats.cpu.usage.total = 5_000_000;
        stats.memory.usage.usage = 4096;
        stats.memory.raw.insert("anon".into(), 7);
        let swap = Swap { usage: Some(9), limit: None, peak: None };
        let message = metrics(&stats, &swap, &BTreeMap::from([("oom_kill".into(), 2)]));
        let all = fields(message.bytes()).unwrap();
        let number = |field: u32, inner: u32| -> Option<u64> {
            let Value::Bytes(bytes) = all.iter().find(|(number, _)| *number == field)?.1 else { return None };
            match fields(bytes)?.into_iter().find(|(number, _)| *number == inner)?.1 {
                Value::Number(number) => Some(number),
                Value::Bytes(_) => None,
            }
        };
        assert_eq!((number(1, 1), number(1, 2), number(2, 1)), (Some(3), Some(u64::MAX), Some(5000)));
        assert_eq!((number(4, 1), number(4, 32), number(4, 34)), (Some(7), Some(4096), Some(9)));
        assert_eq!((number(4, 35), number(8, 5)), (Some(u64::MAX), Some(2)));
    }
}
