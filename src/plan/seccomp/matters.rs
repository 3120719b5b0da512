//! The arguments of calls that say what a call is about: those that filters look at, and paths.

/// How an argument is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One of these, or another number.
    Choice(&'static [(u64, &'static str)]),
    /// Some of these bits; others say nothing.
    Bits(&'static [(u64, &'static str)]),
    /// A number of the kernel's, which people know as hexadecimal.
    Hex,
    /// The address of a path.
    Path,
}

impl Kind {
    /// The bits of the argument that are told apart; none for an address.
    pub fn mask(self) -> Option<u64> {
        match self {
            Kind::Choice(_) | Kind::Hex => Some(u32::MAX.into()),
            Kind::Bits(names) => Some(names.iter().fold(0, |mask, (bit, _)| mask | bit)),
            Kind::Path => None,
        }
    }
}

/// An argument that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matter {
    /// 0 to 5.
    pub index: usize,
    pub kind: Kind,
}

/// `AF_*`
const FAMILIES: &[(u64, &str)] = &[
    (1, "AF_UNIX"),
    (2, "AF_INET"),
    (10, "AF_INET6"),
    (16, "AF_NETLINK"),
    (17, "AF_PACKET"),
    (38, "AF_ALG"),
    (40, "AF_VSOCK"),
];

/// `CLONE_NEW*`; that of time namespaces is a signal to clone(2).
const NAMESPACES: &[(u64, &str)] = &[
    (0x0002_0000, "CLONE_NEWNS"),
    (0x0200_0000, "CLONE_NEWCGROUP"),
    (0x0400_0000, "CLONE_NEWUTS"),
    (0x0800_0000, "CLONE_NEWIPC"),
    (0x1000_0000, "CLONE_NEWUSER"),
    (0x2000_0000, "CLONE_NEWPID"),
    (0x4000_0000, "CLONE_NEWNET"),
];

/// By name, sorted.
const TABLE: &[(&str, Matter)] = &[
    row("acct", 0, Kind::Path),
    row("arch_prctl", 0, Kind::Hex),
    row("bpf", 0, Kind::Hex),
    row("chmod", 0, Kind::Path),
    row("chown", 0, Kind::Path),
    row("chroot", 0, Kind::Path),
    row("clone", if cfg!(target_arch = "s390x") { 1 } else { 0 }, Kind::Bits(NAMESPACES)),
    row("execve", 0, Kind::Path),
    row("execveat", 1, Kind::Path),
    row("fchmodat", 1, Kind::Path),
    row("fchmodat2", 1, Kind::Path),
    row("fchownat", 1, Kind::Path),
    row("fsopen", 0, Kind::Path),
    row("ioctl", 1, Kind::Hex),
    row("keyctl", 0, Kind::Hex),
    row("lchown", 0, Kind::Path),
    row("link", 1, Kind::Path),
    row("linkat", 3, Kind::Path),
    row("mkdir", 0, Kind::Path),
    row("mkdirat", 1, Kind::Path),
    row("mknod", 0, Kind::Path),
    row("mknodat", 1, Kind::Path),
    row("mount", 1, Kind::Path),
    row("move_mount", 3, Kind::Path),
    row("name_to_handle_at", 1, Kind::Path),
    row("open", 0, Kind::Path),
    row("open_tree", 1, Kind::Path),
    row("openat", 1, Kind::Path),
    row("openat2", 1, Kind::Path),
    row("personality", 0, Kind::Hex),
    row("pivot_root", 0, Kind::Path),
    row("prctl", 0, Kind::Hex),
    row("ptrace", 0, Kind::Hex),
    row("quotactl", 1, Kind::Path),
    row("rename", 1, Kind::Path),
    row("renameat", 3, Kind::Path),
    row("renameat2", 3, Kind::Path),
    row("rmdir", 0, Kind::Path),
    row("setns", 1, Kind::Bits(NAMESPACES)),
    row("socket", 0, Kind::Choice(FAMILIES)),
    row("socketpair", 0, Kind::Choice(FAMILIES)),
    row("swapoff", 0, Kind::Path),
    row("swapon", 0, Kind::Path),
    row("symlink", 1, Kind::Path),
    row("symlinkat", 2, Kind::Path),
    row("truncate", 0, Kind::Path),
    row("umount2", 0, Kind::Path),
    row("unlink", 0, Kind::Path),
    row("unlinkat", 1, Kind::Path),
    row("unshare", 0, Kind::Bits(NAMESPACES)),
];

const fn row(name: &'static str, index: usize, kind: Kind) -> (&'static str, Matter) {
    (name, Matter { index, kind })
}

/// The argument of this call that matters most, if one does.
pub fn of(name: &str) -> Option<Matter> {
    TABLE.binary_search_by_key(&name, |(name, _)| name).ok().map(|at| TABLE[at].1)
}

/// The argument as the kernel's headers write it; none for a path.
pub fn text(kind: Kind, value: u64) -> Option<String> {
    match kind {
        Kind::Choice(names) => {
            let name = names.iter().find(|(known, _)| *known == value & 0xffff_ffff);
            Some(name.map_or_else(|| value.to_string(), |(_, name)| (*name).to_string()))
        }
        Kind::Bits(names) => {
            let set = names.iter().filter(|(bit, _)| value & bit != 0).map(|(_, name)| *name);
            let set: Vec<&str> = set.collect();
            Some(if set.is_empty() { format!("{value:#x}") } else { set.join("|") })
        }
        Kind::Hex => Some(format!("{:#x}", value & 0xffff_ffff)),
        Kind::Path => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_of_calls() {
        assert!(TABLE.is_sorted_by_key(|(name, _)| name));
        let machine = crate::plan::seccomp::machine::NATIVE;
        assert!(TABLE.iter().all(|(name, _)| *name == "arch_prctl" || machine.call(name).is_some()));
    }

    #[test]
    fn arguments_are_read() {
        let of = |name: &str, value: u64| text(of(name).unwrap().kind, value).unwrap();
        assert_eq!(of("socket", 16), "AF_NETLINK");
        assert_eq!(of("socket", 99), "99");
        assert_eq!(of("unshare", 0x1002_0000), "CLONE_NEWNS|CLONE_NEWUSER");
        assert_eq!(of("ioctl", 0xffff_ffff_0000_5401), "0x5401");
        assert!(super::of("read").is_none());
    }
}
