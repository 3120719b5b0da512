//! What a bundle asks of this machine, and what of it is ignored.

use super::{Finding, Verdict};
use crate::config::unknown::Unknown;

/// Of a bundle that `compiled` to a plan with these warnings, or did not, whose config.json has the
/// fields `unknown`.
pub fn findings(compiled: Result<&[String], String>, unknown: &[Unknown]) -> Vec<Finding> {
    let name = "config.json";
    let mut findings = match compiled {
        Err(reason) => {
            vec![Finding::lacks(name, reason, "no container is made of this bundle", "").needed()]
        }
        Ok(warnings) => {
            let tolerated = warnings.iter().map(|warning| Finding::new(name, Verdict::Partly, warning));
            std::iter::once(Finding::ok(name, "a container can be made of it")).chain(tolerated).collect()
        }
    };
    findings.extend(unknown.iter().map(|unknown| {
        let remedy = unknown.meant.map_or(String::new(), |name| format!("the name {name}"));
        let found = format!("{}: unknown field", unknown.field);
        Finding::new(name, Verdict::Partly, found).with("it asks for nothing", &remedy)
    }));
    findings
}
