//! The cgroup tree: where it is, and which controllers are in it.

use super::kernel::device_filter;
use super::{Caller, Finding, Verdict};
use crate::host;
use crate::proc::cgroup::{Holder, holder};
use crate::sys::{self, fs};
use std::os::fd::AsFd;
use std::path::Path;

/// Controllers, and what is refused without them.
const CONTROLLERS: [(&str, &str); 6] = [
    ("memory", "limits of memory"),
    ("cpu", "shares and quotas of CPU time"),
    ("pids", "limits of the number of processes"),
    ("io", "weights and throttles of disks"),
    ("cpuset", "sets of CPUs and memory nodes"),
    ("hugetlb", "limits of huge pages"),
];

/// Who has each controller, from cgroup.controllers of the v2 tree's root, /proc/cgroups and
/// /proc/self/mountinfo.
pub fn holders(v2: &str, cgroups: &str, mountinfo: &str) -> Vec<(&'static str, Holder)> {
    CONTROLLERS.map(|(name, _)| (name, holder(name, v2, cgroups, mountinfo))).to_vec()
}

pub(super) fn all(caller: Caller) -> Vec<Finding> {
    let root = match host::cgroup_root() {
        Ok(root) => root,
        Err(_) => return vec![no_tree(caller)],
    };
    let read = |path: &Path| host::read(path).unwrap_or_default();
    let v2 = read(&root.join("cgroup.controllers"));
    let (cgroups, mounts) = (read(Path::new("/proc/cgroups")), read(Path::new("/proc/self/mountinfo")));
    let holders = holders(&v2, &cgroups, &mounts);
    let mut findings = vec![tree(&root, &holders)];
    findings.extend(holders.iter().map(controller));
    if caller == Caller::Root {
        findings.push(writable(&root));
        findings.push(filter());
    }
    findings.push(systemd());
    findings
}

fn no_tree(caller: Caller) -> Finding {
    let effect = "no container runs, but with --cgroup-manager disabled";
    let found = Finding::lacks("cgroup v2", "not mounted", effect, "mount -t cgroup2 none /sys/fs/cgroup");
    // Those of an ordinary user have no cgroup unless they ask for one.
    if caller == Caller::Root { found.needed() } else { found }
}

fn tree(root: &Path, holders: &[(&str, Holder)]) -> Finding {
    let place = root.display();
    if holders.iter().any(|(_, holder)| matches!(holder, Holder::V1(..))) {
        let finding =
            Finding::new("cgroup v2", Verdict::Partly, format!("{place}, beside cgroup v1 (hybrid)"));
        let effect = "controllers that v1 holds are not in it";
        return finding.with(effect, "boot with systemd.unified_cgroup_hierarchy=1 or cgroup_no_v1=all");
    }
    Finding::ok("cgroup v2", place.to_string())
}

fn controller((name, holder): &(&str, Holder)) -> Finding {
    let title = format!("{name} controller");
    let refused = CONTROLLERS.iter().find(|(known, _)| known == name).map_or("", |(_, what)| *what);
    let effect = format!("{refused} are refused");
    match holder {
        Holder::V2 => Finding::ok(&title, "in the v2 tree"),
        Holder::V1(place, _) => {
            let place =
                place.as_ref().map_or("held by cgroup v1".into(), |p| format!("held by cgroup v1 at {p}"));
            Finding::lacks(&title, place, &effect, &format!("boot with cgroup_no_v1={name}"))
        }
        Holder::Free => {
            let remedy = "enable it in cgroup.subtree_control of the cgroups above";
            Finding::lacks(&title, "not delegated to this tree", &effect, remedy)
        }
        Holder::Disabled | Holder::Unknown => {
            let remedy = format!("boot without cgroup_disable={name}, or a kernel that has it");
            Finding::lacks(&title, "not in this kernel, or switched off", &effect, &remedy)
        }
    }
}

fn writable(root: &Path) -> Finding {
    let name = format!("knarr-check-{}", std::process::id());
    let make = || -> sys::Result<()> {
        let root = fs::open(root, fs::O_PATH | fs::O_DIRECTORY, 0)?;
        fs::mkdirat(root.as_fd(), &name, 0o755)?;
        fs::unlinkat(root.as_fd(), &name, fs::Unlink::Dir)
    };
    let effect = "no container runs, but with --cgroup-manager disabled";
    let remedy = "mount it writable, or have it delegated";
    Finding::tried("cgroups", make(), "can be made", effect, remedy).needed()
}

fn filter() -> Finding {
    let effect = "no container runs that has a cgroup: which devices it may use cannot be limited";
    let remedy = "run it with CAP_BPF and CAP_NET_ADMIN, on a kernel with CONFIG_CGROUP_BPF";
    Finding::tried("device filter", device_filter(), "can be loaded", effect, remedy).needed()
}

fn systemd() -> Finding {
    if Path::new("/run/systemd/system").is_dir() {
        return Finding::ok("systemd", "runs");
    }
    let effect = "--systemd-cgroup does not work; cgroups are made directly";
    Finding::new("systemd", Verdict::None, "does not run").with(effect, "")
}
