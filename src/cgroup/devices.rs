//! The device filter of a cgroup.

use super::Cgroup;
use crate::fault::{Call, Outcome};
use crate::sys::bpf;
use std::os::fd::AsFd;

/// Which filters may be on a cgroup already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filters {
    /// None: it was just made.
    None,
    /// Those of an earlier container, or of the container as it was made.
    Replaced,
}

impl Cgroup {
    /// Attach the device filter, in place of those that are there; an empty one allows everything.
    /// The new one is in force before the old ones are taken off. So at no time more is allowed
    /// than by one of them.
    pub fn filter_devices(&self, insns: &[u64], old: Filters) -> Outcome {
        let old = match old {
            Filters::Replaced => bpf::device_filters(self.as_fd()).call(|| "bpf BPF_PROG_QUERY".into())?,
            Filters::None => Vec::new(),
        };
        if !insns.is_empty() {
            let program = bpf::load_device_filter(insns).call(|| "bpf BPF_PROG_LOAD".into())?;
            bpf::attach_device_filter(self.as_fd(), program.as_fd()).call(|| "bpf BPF_PROG_ATTACH".into())?;
        }
        for program in old {
            bpf::detach_device_filter(self.as_fd(), program.as_fd()).call(|| "bpf BPF_PROG_DETACH".into())?;
        }
        Ok(())
    }
}
