//! Limits: what the plan says is written to a cgroup's files.

use super::{Cgroup, open_below};
use crate::plan::resources::{Check, Refusal, Write};
use crate::sys::{self, Errno, fs};
use anyhow::{Context, Result, bail};
use std::fmt;
use std::os::fd::AsFd;

/// What the kernel, or the state of this machine, does not allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The controller that it is about.
    pub controller: String,
    /// What was tried, with its object.
    pub call: String,
    /// The kernel's answer.
    pub errno: Option<Errno>,
    /// What the answer means here; empty if it speaks for itself.
    pub text: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.text.is_empty() {
            write!(f, "{}", self.call)
        } else {
            write!(f, "{}: {}", self.call, self.text)
        }
    }
}

impl std::error::Error for Refused {}

impl Cgroup {
    /// Do one write.
    pub fn limit(&self, write: &Write) -> std::result::Result<(), Refused> {
        let errno = match (self.put(&write.file, &write.value), &write.refusal) {
            (Ok(()), _)
            | (Err(Errno::ENOENT), Refusal::NeedsNoFile)
            | (Err(Errno::EINVAL), Refusal::Again) => return Ok(()),
            // EOPNOTSUPP: the device's scheduler is not BFQ.
            (Err(Errno::ENOENT | Errno::EOPNOTSUPP), Refusal::Instead { file, value }) => {
                return self.put(file, value).map_err(|errno| refused(write, file, value, errno));
            }
            (Err(errno), _) => errno,
        };
        Err(refused(write, &write.file, &write.value, errno))
    }

    /// Do all of `writes`, in order, up to the first that is refused.
    pub fn apply(&self, writes: &[Write]) -> Result<()> {
        for write in writes {
            self.limit(write).map_err(|refused| match refused.errno {
                Some(errno) => anyhow::Error::new(errno).context(refused).context(write.field.clone()),
                None => anyhow::Error::new(refused).context(write.field.clone()),
            })?;
        }
        Ok(())
    }

    /// An error unless `check` holds.
    pub fn check(&self, check: &Check) -> Result<()> {
        let text = self.read(check.file)?;
        let used: u64 = text.trim().parse().with_context(|| format!("{}: {text:?}", check.file))?;
        if used >= check.below {
            bail!(
                "{}: {} is not above the {used} in use (memory.checkBeforeUpdate)",
                check.field,
                check.below
            );
        }
        Ok(())
    }

    pub(super) fn put(&self, file: &str, value: &str) -> sys::Result<()> {
        let fd = open_below(self.as_fd(), file, fs::O_WRONLY)?;
        fs::write_once(fd.as_fd(), value.as_bytes())
    }
}

fn refused(write: &Write, file: &str, value: &str, errno: Errno) -> Refused {
    let text = match errno {
        Errno::ENOENT => format!("the {} controller has no such file here", write.controller),
        Errno::EACCES => "the kernel does not let it be written".to_string(),
        _ => String::new(),
    };
    Refused {
        controller: write.controller.clone(),
        call: format!("write {file} {value:?}"),
        errno: Some(errno),
        text,
    }
}
