//! Pressure: triggers on the files of a cgroup, Documentation/accounting/psi.rst.

use super::stats::{Pressure, psi};
use super::{Cgroup, open_below, reread};
use crate::fault::Refusal;
use crate::sys::{Errno, fs};
use anyhow::Result;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    Cpu,
    Io,
    Memory,
}

/// Who waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// At least one process.
    Some,
    /// All that are not idle.
    Full,
}

/// When pressure is told of: so many microseconds of waiting within so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pressing {
    pub resource: Resource,
    pub share: Share,
    pub stall_us: u64,
    pub window_us: u64,
}

impl Resource {
    /// As the kernel's file has it.
    pub fn name(self) -> &'static str {
        match self {
            Resource::Cpu => "cpu",
            Resource::Io => "io",
            Resource::Memory => "memory",
        }
    }
}

impl Share {
    /// As the kernel's line has it.
    pub fn name(self) -> &'static str {
        match self {
            Share::Some => "some",
            Share::Full => "full",
        }
    }
}

/// A trigger of the kernel's; poll(2) reports it by `POLLPRI`.
#[derive(Debug)]
pub struct Trigger {
    asked: Pressing,
    file: OwnedFd,
}

impl Trigger {
    /// Ask the kernel for it.
    pub fn new(cgroup: &Cgroup, asked: Pressing) -> Result<Trigger> {
        let name = format!("{}.pressure", asked.resource.name());
        let file = match open_below(cgroup.as_fd(), &name, fs::O_RDWR | fs::O_NONBLOCK) {
            Err(Errno::ENOENT | Errno::EOPNOTSUPP) => return Err(none(&name)),
            opened => opened.map_err(|errno| cgroup.refused("open", &name, errno))?,
        };
        let text = format!("{} {} {}", asked.share.name(), asked.stall_us, asked.window_us);
        match fs::write_once(file.as_fd(), text.as_bytes()) {
            Ok(()) => Ok(Trigger { asked, file }),
            Err(Errno::EOPNOTSUPP) => Err(none(&name)),
            Err(errno) => {
                let call = format!("write {name} {text:?} of {}{}", cgroup.path().display(), hint(errno));
                Err(Refusal::kernel(call, errno).into())
            }
        }
    }

    /// What was asked for.
    pub fn asked(&self) -> Pressing {
        self.asked
    }

    /// For poll(2).
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// What the file says now; none where the cgroup is gone.
    pub fn read(&self) -> Option<Pressure> {
        let all = psi(&reread(&self.file).ok()?);
        Some(match self.asked.share {
            Share::Some => all.some,
            Share::Full => all.full,
        })
    }
}

fn none(name: &str) -> anyhow::Error {
    let why = "the kernel does not account pressure (CONFIG_PSI, psi=1, and 1 in cgroup.pressure)";
    Refusal::message(format!("{name} is not there: {why}")).into()
}

/// What the kernel does not say.
fn hint(errno: Errno) -> &'static str {
    match errno {
        Errno::EINVAL => " (a time of 0.5 s to 10 s; without CAP_SYS_RESOURCE a multiple of 2 s)",
        _ => "",
    }
}
