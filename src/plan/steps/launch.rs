//! How the parent makes init.

use super::text::names;
use crate::config::{IdMaps, Namespace};
use std::fmt::{self, Display, Formatter};

/// How init is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The `CLONE_NEW…` flags of clone3(2).
    pub new: u64,
    /// Whether it is born in the container's cgroup.
    pub into_cgroup: bool,
    /// Whether the parent enters an existing pid namespace for the call, so that the child is born
    /// in it.
    pub joins_pid: bool,
    /// Joined by a process between parent and init: the parent could not come back from them, init
    /// has no right to enter.
    pub through: Vec<Namespace>,
    /// What the mappings of a joined user namespace must be; empty where nothing is said.
    pub expected_maps: IdMaps,
}

impl Display for Launch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.joins_pid {
            write!(f, "setns pid, ")?;
        }
        if !self.through.is_empty() {
            write!(f, "through a process that joins {}", names(&self.through))?;
            if !self.expected_maps.is_empty() {
                write!(f, " (which must map {})", self.expected_maps)?;
            }
            write!(f, ": ")?;
        }
        write!(f, "clone3")?;
        if self.into_cgroup {
            write!(f, " into-cgroup")?;
        }
        for kind in Namespace::ALL {
            if self.new & kind.clone_flag() as u64 != 0 {
                write!(f, " new-{}", kind.name())?;
            }
        }
        if self.joins_pid { write!(f, ", setns back") } else { Ok(()) }
    }
}
