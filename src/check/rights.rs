//! The capabilities of the caller: what root lacks, as in a container or a service, and what that
//! means.

use super::{Caller, Finding};
use caps::{CapSet, Capability, CapsHashSet};

/// What knarr uses, and what fails without it.
const USED: [(Capability, &str); 12] = [
    (Capability::CAP_SYS_ADMIN, "no container runs, but in a user namespace"),
    (Capability::CAP_SYS_CHROOT, "no container runs that joins a mount namespace, nor one with --no-pivot"),
    (Capability::CAP_SETUID, "no process runs as another user"),
    (Capability::CAP_SETGID, "no process runs with other groups"),
    (Capability::CAP_SETPCAP, "no capability is dropped, so no container runs that has not all of them"),
    (Capability::CAP_CHOWN, "files, pipes and terminals are not given to the container's users"),
    (Capability::CAP_DAC_OVERRIDE, "files of other users are out of reach: bundles, mount targets, state"),
    (Capability::CAP_MKNOD, "no devices are made"),
    (Capability::CAP_KILL, "processes of other users are not signalled"),
    (Capability::CAP_NET_ADMIN, "no device filter is attached, no network device moved"),
    (Capability::CAP_BPF, "no device filter is loaded"),
    (
        Capability::CAP_SYS_RESOURCE,
        "process.rlimits above the caller's own, and a lower oom_score_adj, are refused",
    ),
];

const REMEDY: &str = "give it: --cap-add of an engine, CapabilityBoundingSet= of a service";

/// What is missing in the caller's sets.
pub(super) fn all(caller: Caller) -> Vec<Finding> {
    if caller == Caller::User {
        return Vec::new();
    }
    let read = |set| caps::read(None, set).ok();
    match (read(CapSet::Effective), read(CapSet::Bounding)) {
        (Some(effective), Some(bounding)) => missing(&effective, &bounding),
        _ => Vec::new(),
    }
}

fn missing(effective: &CapsHashSet, bounding: &CapsHashSet) -> Vec<Finding> {
    let lacks = |(used, effect): &(Capability, &str)| {
        (!effective.contains(used))
            .then(|| Finding::lacks(&used.to_string(), "not in the effective set", effect, REMEDY))
    };
    let mut findings: Vec<Finding> = USED.iter().filter_map(lacks).collect();
    let known =
        |capability: &Capability| crate::sys::cred::in_bounding_set(capability.index().into()).is_some();
    let mut never: Vec<Capability> =
        caps::all().into_iter().filter(|one| known(one) && !bounding.contains(one)).collect();
    never.sort_by_key(Capability::index);
    if !never.is_empty() {
        let names: Vec<String> = never.iter().map(Capability::to_string).collect();
        let effect = "no container has them without a user namespace, whatever process.capabilities says";
        findings.push(Finding::lacks("bounding set", format!("without {}", names.join(" ")), effect, REMEDY));
    }
    if findings.is_empty() {
        findings.push(Finding::ok("capabilities", "all that are used"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;

    #[test]
    fn what_is_missing_is_told() {
        let all = caps::all();
        let found = missing(&all, &all);
        assert_eq!((found.len(), found[0].verdict), (1, Verdict::Ok));
        let without =
            |one: Capability| all.iter().copied().filter(|other| *other != one).collect::<CapsHashSet>();
        let found = missing(&without(Capability::CAP_MKNOD), &all);
        assert_eq!((found.len(), found[0].name.as_str()), (1, "CAP_MKNOD"));
        assert_eq!(found[0].effect.as_deref(), Some("no devices are made"));
        let found = missing(&all, &without(Capability::CAP_SYS_RESOURCE));
        assert_eq!(
            (found[0].name.as_str(), found[0].found.as_str()),
            ("bounding set", "without CAP_SYS_RESOURCE")
        );
        // What nothing here uses is none of its business.
        assert_eq!(missing(&without(Capability::CAP_SYSLOG), &all)[0].verdict, Verdict::Ok);
    }
}
