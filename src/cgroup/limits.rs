//! Limits: what the plan says is written to a cgroup's files.

use super::{Cgroup, open_below};
use crate::config::resources::Limit;
use crate::config::update::Current;
use crate::fault::{Call, Fault, Outcome, Refusal};
use crate::plan::resources::{Check, OnRefusal, Write};
use crate::sys::{self, Errno, fs};
use anyhow::{Context, Result, bail};
use std::os::fd::AsFd;

/// What systemd writes when a property of a scope changes: also the files of its controller for
/// which it was told nothing, or has no property at all. Not pids.max, of which it is told
/// something else than the cgroup has, until init is born.
const SYSTEMDS: [&str; 15] = [
    "cpuset.cpus",
    "cpuset.mems",
    // Before the weight, which a cgroup that is idle refuses.
    "cpu.idle",
    "cpu.weight",
    "cpu.max",
    "memory.min",
    "memory.low",
    "memory.high",
    "memory.max",
    "memory.swap.max",
    "memory.zswap.max",
    "memory.zswap.writeback",
    "memory.oom.group",
    "io.bfq.weight",
    "io.weight",
];

impl Cgroup {
    /// What is in the files that systemd writes over, to be put back.
    pub fn held(&self) -> Vec<(&'static str, String)> {
        let first = |text: String| text.lines().next().unwrap_or_default().to_string();
        SYSTEMDS.into_iter().filter_map(|file| Some((file, first(self.read(file).ok()?)))).collect()
    }

    /// Write what was `held` wherever it is something else now.
    pub fn hold(&self, held: &[(&'static str, String)]) -> Outcome {
        for (file, value) in held {
            let is_there = self.read(file).is_ok_and(|text| text.lines().next().unwrap_or_default() == value);
            if !is_there {
                self.put(file, value).call(|| format!("write {file} {value:?}"))?;
            }
        }
        Ok(())
    }

    /// Do one write.
    pub fn limit(&self, write: &Write) -> std::result::Result<(), Fault> {
        let errno = match (self.put(&write.file, &write.value), &write.on_refusal) {
            (Ok(()), _)
            | (Err(Errno::ENOENT), OnRefusal::NeedsNoFile)
            | (Err(Errno::EINVAL), OnRefusal::Again) => return Ok(()),
            // EOPNOTSUPP: the device's scheduler is not BFQ.
            (Err(Errno::ENOENT | Errno::EOPNOTSUPP), OnRefusal::Instead { file, value }) => {
                return self.put(file, value).map_err(|errno| refused(write, file, value, errno));
            }
            (Err(errno), _) => errno,
        };
        Err(refused(write, &write.file, &write.value, errno))
    }

    /// What is in force.
    pub fn current(&self) -> Result<Current> {
        let limit = |text: &str| match text.trim() {
            "max" => Some(Limit::Max),
            text => text.parse().ok().map(Limit::To),
        };
        let cpu = self.read_if_there("cpu.max")?.unwrap_or_default();
        let (quota, period) = cpu.trim().split_once(' ').unwrap_or_default();
        let is_idle = self.read_if_there("cpu.idle")?.is_some_and(|text| text.trim() == "1");
        let weight = self.read_if_there("cpu.weight")?.and_then(|text| text.trim().parse().ok());
        Ok(Current {
            weight: weight.filter(|_| !is_idle),
            quota_us: limit(quota),
            period_us: period.parse().ok(),
            memory: self.read_if_there("memory.max")?.as_deref().and_then(limit),
        })
    }

    /// What undoes `write` later: a file and what to write to it. None if that cannot be told.
    pub fn before(&self, write: &Write) -> Option<(String, String)> {
        let other = match &write.on_refusal {
            OnRefusal::Instead { file, value } => Some((file, value)),
            _ => None,
        };
        let (file, value, text) = std::iter::once((&write.file, &write.value))
            .chain(other)
            .find_map(|(file, value)| Some((file, value, self.read(file).ok()?)))?;
        Some((file.clone(), old_value(value, &text)))
    }

    /// An error unless `check` holds.
    pub fn check(&self, check: &Check) -> Result<()> {
        let text = self.read(check.file)?;
        let used: u64 = text.trim().parse().with_context(|| format!("{}: {text:?}", check.file))?;
        let (what, limit) = match check.with_swap {
            Some(sum) if used >= sum => ("memory+swap", sum),
            _ if used >= check.below => ("memory", check.below),
            _ => return Ok(()),
        };
        bail!(
            "{}: rejecting {what} limit: {limit} is not above the {used} in use (memory.checkBeforeUpdate)",
            check.field
        )
    }

    /// Write to one of its files.
    pub fn put(&self, file: &str, value: &str) -> sys::Result<()> {
        let fd = open_below(self.as_fd(), file, fs::O_WRONLY)?;
        // A write(2) of nothing does nothing; an empty line empties cpuset.cpus.
        let value = if value.is_empty() { "\n" } else { value };
        fs::write_once(fd.as_fd(), value.as_bytes())
    }
}

/// What `text`, the content of a file, has in the place that `new` takes. In a file that has a line
/// for each device the place is that line, and a device without one has no limit.
fn old_value(new: &str, text: &str) -> String {
    let mut words = new.split(' ');
    let device = words.next().filter(|word| word.contains(':') || new.contains('='));
    let Some(device) = device else { return text.lines().next().unwrap_or_default().into() };
    if let Some(line) = text.lines().find(|line| line.split(' ').next() == Some(device)) {
        return line.into();
    }
    let unlimited = words.map(|word| match word.split_once('=') {
        Some((key, _)) => format!(" {key}=max"),
        None => " default".into(),
    });
    format!("{device}{}", unlimited.collect::<String>())
}

fn refused(write: &Write, file: &str, value: &str, errno: Errno) -> Fault {
    let text = match errno {
        Errno::ENOENT => format!("the {} controller has no such file here", write.controller),
        Errno::EACCES => "the kernel does not let it be written".to_string(),
        _ => String::new(),
    };
    Refusal::kernel(format!("write {file} {value:?}"), errno).with_text(text).of(&write.field)
}

#[cfg(test)]
mod tests {
    use super::old_value;

    #[test]
    fn what_a_write_replaces_is_found_in_the_file() {
        assert_eq!(old_value("50000 100000", "max 100000\n"), "max 100000");
        assert_eq!(old_value("500", "default 100\n8:0 200\n"), "default 100");
        assert_eq!(old_value("8:0 500", "default 100\n8:0 200\n"), "8:0 200");
        assert_eq!(old_value("8:16 500", "default 100\n8:0 200\n"), "8:16 default");
        assert_eq!(old_value("8:0 rbps=1", "8:0 rbps=5 wbps=max\n"), "8:0 rbps=5 wbps=max");
        assert_eq!(old_value("8:16 rbps=1", "8:0 rbps=5\n"), "8:16 rbps=max");
        assert_eq!(old_value("mlx hca_handle=1", ""), "mlx hca_handle=max");
    }
}
