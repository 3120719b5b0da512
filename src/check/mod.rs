//! What this machine offers and lacks for containers: each answer comes from trying it, where that
//! is cheap.

pub mod bundle;
mod cgroup;
mod kernel;
mod namespaces;
mod programs;
mod rights;

pub use cgroup::holders;

use crate::placeholder::apart;
use crate::sys;
use serde::Serialize;

/// Whether something is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is, and works.
    Ok,
    /// It is, in part.
    Partly,
    /// It is not, and something does not work without it.
    Lacks,
    /// It is not, and need not be.
    None,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub name: String,
    /// Whether it is there.
    pub verdict: Verdict,
    /// What was found, or how the kernel answered.
    pub found: String,
    /// Whether no container runs without it.
    pub needed: bool,
    /// What does not work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    fn new(name: &str, verdict: Verdict, found: impl Into<String>) -> Finding {
        Finding { name: name.into(), verdict, found: found.into(), needed: false, effect: None, remedy: None }
    }

    fn ok(name: &str, found: impl Into<String>) -> Finding {
        Finding::new(name, Verdict::Ok, found)
    }

    /// It is not there: what does not work, and what would help.
    fn lacks(name: &str, found: impl Into<String>, effect: &str, remedy: &str) -> Finding {
        Finding::new(name, Verdict::Lacks, found).with(effect, remedy)
    }

    /// Of something that was tried.
    fn tried(name: &str, result: sys::Result<()>, found: &str, effect: &str, remedy: &str) -> Finding {
        match result {
            Ok(()) => Finding::ok(name, found),
            Err(errno) => Finding::lacks(name, sys::describe(errno), effect, remedy),
        }
    }

    fn with(mut self, effect: &str, remedy: &str) -> Finding {
        let text = |text: &str| Some(text.to_string()).filter(|text| !text.is_empty());
        (self.effect, self.remedy) = (text(effect), text(remedy));
        self
    }

    fn needed(mut self) -> Finding {
        self.needed = true;
        self
    }
}

/// Who asks: what root may do is more than what others may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    Root,
    User,
}

/// Look at all of it.
pub fn all() -> Vec<Finding> {
    let caller = if nix::unistd::geteuid().is_root() { Caller::Root } else { Caller::User };
    let mut findings = vec![kernel::version(), kernel::mount_api(caller), kernel::calls(caller)];
    findings.extend(rights::all(caller));
    findings.extend(namespaces::all(caller));
    findings.extend(cgroup::all(caller));
    findings.extend(kernel::seccomp());
    findings.extend(kernel::modules());
    findings.push(kernel::landlock());
    findings.push(kernel::core_scheduling());
    findings.extend(programs::all(caller));
    findings
}

/// Whether containers run here.
pub fn able(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| !finding.needed || finding.verdict != Verdict::Lacks)
}
