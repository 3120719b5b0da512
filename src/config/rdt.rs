//! `linux.intelRdt`: a share of the last-level cache and of memory bandwidth (resctrl(5) of the
//! kernel's documentation).

use super::Invalid;
use oci_spec::runtime::{LinuxIntelRdt, Spec};

/// A group of resctrl.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rdt {
    /// The group's name; none for one of the container's own.
    pub group: Option<String>,
    /// Lines of its schemata that a group that is there already must have: the specification
    /// compares these two.
    pub compared: Vec<String>,
    /// Lines that are written in any case, after those.
    pub written: Vec<String>,
    /// Whether the container's use is counted in a monitoring group of its own.
    pub monitoring: bool,
}

pub(super) fn resolve(rdt: &LinuxIntelRdt) -> Rdt {
    let lines = |schema: &Option<String>| {
        let lines = schema.iter().flat_map(|schema| schema.lines());
        lines.map(|line| line.trim().to_string()).filter(|line| !line.is_empty()).collect::<Vec<_>>()
    };
    #[allow(deprecated, reason = "enableMonitoring took the place of both in runtime-spec 1.3")]
    let before = [rdt.enable_cmt(), rdt.enable_mbm()];
    let mut compared = lines(rdt.l3_cache_schema());
    compared.extend(lines(rdt.mem_bw_schema()));
    Rdt {
        group: rdt.clos_id().clone().filter(|id| !id.is_empty()),
        compared,
        written: rdt.schemata().clone().unwrap_or_default(),
        monitoring: rdt.enable_monitoring() == &Some(true) || before.contains(&&Some(true)),
    }
}

/// The group's name is one of a directory; lines are lines.
pub(super) fn check(spec: &Spec) -> Result<(), Invalid> {
    let Some(rdt) = spec.linux().as_ref().and_then(|l| l.intel_rdt().as_ref()) else { return Ok(()) };
    let id = rdt.clos_id().as_deref().unwrap_or_default();
    if matches!(id, "." | ".." | "info" | "mon_groups" | "mon_data") || id.contains(['/', '\0', '\n']) {
        return Err(Invalid::new("linux.intelRdt.closID", format!("\"{id}\" is not the name of a group")));
    }
    for (i, line) in rdt.schemata().iter().flatten().enumerate() {
        if line.contains('\n') || !line.contains(':') {
            let field = format!("linux.intelRdt.schemata[{i}]");
            return Err(Invalid::new(field, format!("{line:?} is not a line of schemata like L3:0=f")));
        }
    }
    Ok(())
}
