//! What is asked: config.json, loaded, checked against the runtime specification and resolved.
//!
//! Only this module names oci-spec. What leaves it has no `Option` that stands for a default.

use std::fmt;

/// A value in config.json that the runtime specification forbids, or that this runtime cannot honour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The place in config.json, as `mounts[2].destination`.
    pub field: String,
    /// What is wrong with it: lower case, no full stop, with the value quoted.
    pub reason: String,
}

impl Invalid {
    /// An invalid value at `field`.
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Invalid { field: field.into(), reason: reason.into() }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.reason)
    }
}

impl std::error::Error for Invalid {}
