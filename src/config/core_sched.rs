//! The annotation `org.knarr.core-sched`: with whom processes share the threads of a core.

use super::{Invalid, annotation};
use crate::id::Id;
use std::collections::BTreeMap;

/// Whose core scheduling cookie processes have: those with the same one may be on the threads of a
/// core at once, and nobody else beside them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CoreSched {
    /// One of the container's own.
    Own,
    /// That of another container.
    Shared(Id),
}

/// What the annotation asks for.
pub(super) fn resolve(annotations: &BTreeMap<String, String>) -> Result<Option<CoreSched>, Invalid> {
    let Some(text) = annotations.get(annotation::CORE_SCHED) else { return Ok(None) };
    let invalid = |reason: String| Invalid::new(format!("annotations.{}", annotation::CORE_SCHED), reason);
    match text.strip_prefix("share:") {
        _ if text == "own" => Ok(Some(CoreSched::Own)),
        Some(id) => id.parse().map(CoreSched::Shared).map(Some).map_err(|err| invalid(format!("{err:#}"))),
        None => Err(invalid(format!("{text:?} is neither \"own\" nor \"share:ID\""))),
    }
}
