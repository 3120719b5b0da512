//! /proc/PID/cgroup and /proc/cgroups, cgroups(7).

use super::mountinfo;
use procfs::{CGroupControllers, FromBufRead};

/// A hierarchy, and where a process is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place<'a> {
    /// The controllers of a v1 hierarchy, or `name=` and its name; none are the v2 tree.
    pub controllers: Vec<&'a str>,
    /// The process's path there.
    pub path: &'a str,
}

/// All hierarchies that a process is in.
pub fn places(text: &str) -> impl Iterator<Item = Place<'_>> {
    text.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let controllers = controllers.split(',').filter(|name| !name.is_empty()).collect();
        Some(Place { controllers, path })
    })
}

/// A process's path in the v2 tree. After a removal the kernel adds ` (deleted)`.
pub fn v2_path(text: &str) -> Option<&str> {
    places(text).find(|place| place.controllers.is_empty()).map(|place| place.path)
}

/// Who has a controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// The v2 tree.
    V2,
    /// A v1 hierarchy, mounted here or nowhere that is seen, and its number.
    V1(Option<String>, u32),
    /// The v2 tree's root has it not, though no v1 hierarchy does.
    Free,
    /// It is switched off on the kernel's command line.
    Disabled,
    /// The kernel has none.
    Unknown,
}

/// Who has the controller `name` of cgroup v2: from cgroup.controllers of the v2 tree's root,
/// /proc/cgroups and /proc/self/mountinfo.
pub fn holder(name: &str, v2: &str, cgroups: &str, mountinfo: &str) -> Holder {
    if v2.split_ascii_whitespace().any(|listed| listed == name) {
        return Holder::V2;
    }
    let of_v1 = if name == "io" { "blkio" } else { name };
    let Ok(CGroupControllers(known)) = CGroupControllers::from_buf_read(cgroups.as_bytes()) else {
        return Holder::Unknown;
    };
    match known.iter().find(|controller| controller.name == of_v1) {
        None => Holder::Unknown,
        Some(controller) if !controller.enabled => Holder::Disabled,
        Some(controller) if controller.hierarchy == 0 => Holder::Free,
        Some(controller) => Holder::V1(mountinfo::v1_controller(mountinfo, of_v1), controller.hierarchy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        let text = "4:cpu,cpuacct:/a\n1:name=systemd:/x:y\n0::/user.slice\n";
        let found: Vec<Place<'_>> = places(text).collect();
        assert_eq!(found[0], Place { controllers: vec!["cpu", "cpuacct"], path: "/a" });
        assert_eq!(found[1], Place { controllers: vec!["name=systemd"], path: "/x:y" });
        assert_eq!(v2_path(text), Some("/user.slice"));
        assert_eq!(v2_path("4:cpu:/a\n"), None);
    }

    #[test]
    fn a_controller_is_looked_for() {
        let mounts = "30 25 0:26 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
                      31 25 0:27 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio\n\
                      32 25 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n";
        let cgroups = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t2\t1\t1\nblkio\t3\t1\t1\n\
                       memory\t4\t1\t1\npids\t0\t1\t1\nrdma\t0\t1\t0\n";
        let of = |name| holder(name, "hugetlb misc", cgroups, mounts);
        assert_eq!(of("cpu"), Holder::V1(Some("/sys/fs/cgroup/cpu,cpuacct".into()), 2));
        assert_eq!(of("io"), Holder::V1(Some("/sys/fs/cgroup/blkio".into()), 3));
        assert_eq!(of("memory"), Holder::V1(None, 4));
        assert_eq!((of("pids"), of("rdma"), of("frob")), (Holder::Free, Holder::Disabled, Holder::Unknown));
        assert_eq!(of("misc"), Holder::V2);
    }
}
