//! The steps that plans are made of: the parent's before init exists, the launch, the parent's
//! while init waits, and init's.
//!
//! Each kind of step is an enum of its own with its text beside it, and whoever takes steps matches
//! all of a kind: a new one does not compile until it has a text and somebody who takes it.

mod enter;
mod host;
mod launch;
mod process;
mod root;
mod settle;
pub(super) mod text;
mod tree;

pub use enter::{EnterStep, Groups, SessionKeyring};
pub use host::HostStep;
pub use launch::Launch;
pub use process::{AbstractNames, Computed, ProcessStep};
pub use root::{
    Console, CopyUp, Filesystem, GlassStep, Lookup, MountStep, OverlayStep, RootStep, Source, Writable,
};
pub use settle::{HardLimit, NetDevice, Settle};
pub use tree::{IdSource, Tree};

use std::fmt::{self, Display, Formatter};

/// What init does, in the container's namespaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// To be in the namespaces.
    Enter(EnterStep),
    /// To be in the root filesystem.
    Root(RootStep),
    /// To become the process.
    Process(ProcessStep),
}

impl From<EnterStep> for Step {
    fn from(step: EnterStep) -> Step {
        Step::Enter(step)
    }
}

impl From<RootStep> for Step {
    fn from(step: RootStep) -> Step {
        Step::Root(step)
    }
}

impl From<ProcessStep> for Step {
    fn from(step: ProcessStep) -> Step {
        Step::Process(step)
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Step::Enter(step) => write!(f, "{step}"),
            Step::Root(step) => write!(f, "{step}"),
            Step::Process(step) => write!(f, "{step}"),
        }
    }
}
