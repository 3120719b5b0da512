//! What the processes of a container have used: the file of `run --record`.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A recording, or several as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Recording {
    /// Of this form: 1.
    pub version: u32,
    /// `SCMP_ARCH_*` of the calls.
    pub architectures: BTreeSet<String>,
    /// What was made, by name.
    pub syscalls: BTreeMap<String, Made>,
    /// What the container's filter has answered with an errno, by name.
    pub refused: BTreeMap<String, BTreeSet<u16>>,
    /// What the kernel has asked for; `None`: not known.
    pub capabilities: Option<BTreeSet<String>>,
    /// What was opened, as `c 1:3`.
    pub devices: BTreeMap<String, Opened>,
    /// Paths that were to be written, by the mount that they are on.
    pub written: BTreeMap<String, BTreeSet<String>>,
    /// Where sockets were bound or connected to.
    pub sockets: BTreeSet<String>,
    /// What is not in here.
    pub unseen: BTreeSet<String>,
}

/// The uses of a system call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Made {
    /// How often.
    pub count: u64,
    /// The values of the argument that matters, or of the bits of it that do.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub values: BTreeSet<u64>,
}

/// The uses of a device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opened {
    /// Of the letters `r` and `w`.
    pub access: BTreeSet<char>,
    /// The names that it was opened by.
    pub paths: BTreeSet<String>,
}

/// The form of the file.
pub const VERSION: u32 = 1;

impl Default for Recording {
    fn default() -> Recording {
        Recording {
            version: VERSION,
            architectures: BTreeSet::new(),
            syscalls: BTreeMap::new(),
            refused: BTreeMap::new(),
            capabilities: None,
            devices: BTreeMap::new(),
            written: BTreeMap::new(),
            sockets: BTreeSet::new(),
            unseen: BTreeSet::new(),
        }
    }
}

impl Recording {
    /// Add what another one has.
    pub fn merge(&mut self, other: Recording) {
        self.architectures.extend(other.architectures);
        for (name, made) in other.syscalls {
            let own = self.syscalls.entry(name).or_default();
            own.count = own.count.saturating_add(made.count);
            own.values.extend(made.values);
        }
        for (name, errnos) in other.refused {
            self.refused.entry(name).or_default().extend(errnos);
        }
        // What one does not know, all together do not.
        self.capabilities = match (self.capabilities.take(), other.capabilities) {
            (Some(own), Some(others)) => Some(own.into_iter().chain(others).collect()),
            _ => None,
        };
        for (name, opened) in other.devices {
            let own = self.devices.entry(name).or_default();
            own.access.extend(opened.access);
            own.paths.extend(opened.paths);
        }
        for (mount, paths) in other.written {
            self.written.entry(mount).or_default().extend(paths);
        }
        self.sockets.extend(other.sockets);
        self.unseen.extend(other.unseen);
    }
}
