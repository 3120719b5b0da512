//! `knarr check`: what is read from the kernel's files.

use knarr::check::holders;
use knarr::host::at_least;
use knarr::host::{id_ranges, user_name};
use knarr::proc::cgroup::Holder;

#[test]
fn releases_are_compared_by_their_first_two_numbers() {
    let table = [
        ("5.14.0", Some(true)),
        ("5.14", Some(true)),
        ("6.1.0-18-amd64", Some(true)),
        ("10.0", Some(true)),
        ("5.13.19", Some(false)),
        ("4.18.0-553.el8", Some(false)),
        ("", None),
        ("linux", None),
    ];
    for (release, expected) in table {
        assert_eq!(at_least(release, (5, 14)), expected, "{release}");
    }
}

const CGROUPS: &str = "#subsys_name\thierarchy\tnum_cgroups\tenabled
cpuset\t0\t1\t1
cpu\t3\t40\t1
blkio\t9\t1\t1
memory\t0\t1\t0
pids\t0\t40\t1
";

const MOUNTS: &str = "\
25 24 0:23 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 none rw
26 24 0:24 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
27 24 0:25 / /sys/fs/cgroup/systemd rw - cgroup systemd rw,none,name=systemd
";

#[test]
fn each_controller_has_a_holder() {
    let found = holders("pids", CGROUPS, MOUNTS);
    let expected = [
        // Switched off by cgroup_disable=.
        ("memory", Holder::Disabled),
        ("cpu", Holder::V1(Some("/sys/fs/cgroup/cpu,cpuacct".into()), 3)),
        ("pids", Holder::V2),
        // Mounted where this process does not see it; it has another name there.
        ("io", Holder::V1(None, 9)),
        // Of the v2 tree, but not given to this part of it.
        ("cpuset", Holder::Free),
        // Not in the kernel.
        ("hugetlb", Holder::Unknown),
    ];
    assert_eq!(found, expected);
}

#[test]
fn ranges_of_ids_are_of_names_and_numbers() {
    let text = "web:100000:65536\n1000:300000:10\nother:1:2\nweb:x:1\nweb:500000:0\n\n";
    let passwd = "root:x:0:0::/:\nweb:x:1000:1000::/:\n";
    let name = user_name(passwd, 1000);
    assert_eq!(name, Some("web"));
    assert_eq!(id_ranges(text, name, 1000), [(100_000, 65536), (300_000, 10)]);
    assert_eq!(id_ranges(text, None, 7), []);
}
