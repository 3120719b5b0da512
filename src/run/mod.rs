//! The parent: acts on the plan in the host's namespaces, makes init, and undoes everything if anything fails.

mod birth;
pub mod create;
pub mod criu;
mod death;
pub mod delete;
pub mod exec;
pub mod foreground;
mod launch;
mod net_devices;
pub mod notify;
mod overlay;
pub mod rdt;
mod relay;
pub mod salvage;
mod scope;
pub mod seal;
mod settle;
pub mod start;
mod undo;
pub mod update;

use crate::cgroup::Refused;
use crate::channel::Fault;
use crate::sys::{self, Errno};
use std::fmt;

/// A step of the plan that failed, as users read it: the field of config.json, what was tried, the kernel's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepFault {
    /// The field of config.json; empty where nothing there asked for the step.
    pub field: String,
    /// What was tried, with its object.
    pub call: String,
    /// The kernel's answer.
    pub errno: Option<Errno>,
    /// What the kernel said beside it.
    pub text: String,
}

impl From<Fault> for StepFault {
    fn from(fault: Fault) -> StepFault {
        let errno = (fault.errno != 0).then(|| Errno::from_raw(fault.errno));
        StepFault { field: fault.field, call: fault.call, errno, text: fault.text }
    }
}

impl StepFault {
    /// `call`, which `field` asked for, failed; with the kernel's answer, unless it was not the kernel that said no.
    fn new(field: &str, call: impl Into<String>, errno: impl Into<Option<Errno>>) -> StepFault {
        StepFault { field: field.into(), call: call.into(), errno: errno.into(), text: String::new() }
    }

    /// A cgroup refused what `field` asks for.
    fn refused(field: &str, refused: Refused) -> StepFault {
        let Refused { call, errno, text, .. } = refused;
        StepFault { field: field.into(), call, errno, text }
    }
}

impl fmt::Display for StepFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A hook's message names its own field.
        if !self.field.is_empty() && !self.call.starts_with(&self.field) {
            write!(f, "{}: ", self.field)?;
        }
        write!(f, "{}", self.call)?;
        match self.errno {
            Some(errno) if self.text.is_empty() => write!(f, ": {}", sys::describe(errno)),
            Some(errno) => write!(f, ": {} ({errno:?})", self.text),
            None => Ok(()),
        }
    }
}

impl std::error::Error for StepFault {}
