//! The kernel as such: its version, the mount API, seccomp, security modules.

use super::{Caller, Finding, Verdict, apart};
use crate::host;
use crate::sys::mount::{self, Follow, Reach};
use crate::sys::schedule::{self, CoreScope};
use crate::sys::{self, Errno, bpf, landlock, refusals};
use std::path::Path;

/// The oldest kernel that is supported.
const OLDEST: (u32, u32) = (5, 14);

pub(super) fn version() -> Finding {
    let release = host::release();
    let finding = match host::at_least(&release, OLDEST) {
        Some(true) => Finding::ok("Linux", release),
        _ => Finding::lacks(
            "Linux",
            release,
            "no container runs: system calls and flags of Linux 5.14 are used",
            "boot Linux 5.14 or later",
        ),
    };
    finding.needed()
}

/// Clone a tree, as is done with every bind mount and root filesystem.
pub(super) fn mount_api(caller: Caller) -> Finding {
    let namespaces = match caller {
        Caller::Root => libc::CLONE_NEWNS,
        Caller::User => libc::CLONE_NEWNS | libc::CLONE_NEWUSER,
    };
    let tried = apart(namespaces, || mount::clone_tree(Path::new("/"), Reach::Tree, Follow::Last).map(drop));
    let effect = "no container runs: mounts are made by it";
    let remedy =
        "allow open_tree(2), fsopen(2) and move_mount(2): an engine's seccomp filter or LSM forbids them";
    Finding::tried("mount API", tried, "open_tree(2) clones a tree", effect, remedy).needed()
}

/// Where places begin among the numbers of errors.
const PLACES: i32 = 64;

/// Newer system calls, each asked for something that cannot be had.
pub(super) fn calls(caller: Caller) -> Finding {
    let namespaces = match caller {
        Caller::Root => libc::CLONE_NEWNS,
        Caller::User => libc::CLONE_NEWNS | libc::CLONE_NEWUSER,
    };
    // The exit status of the child is what it has to say: the place of the call, above the
    // numbers that clone3(2) itself answers with.
    let tried = apart(namespaces, || match refusals::first() {
        Some(place) => Err(Errno::from_raw(place as i32 + PLACES)),
        None => Ok(()),
    });
    let refused = tried.err().map(|answer| {
        let place = usize::try_from(answer as i32 - PLACES).ok();
        place.and_then(refusals::name).unwrap_or("clone3")
    });
    let finding = match refused {
        None => Finding::ok("system calls", "those that are needed are allowed"),
        Some(name) => Finding::lacks(
            "system calls",
            format!("{name}(2) is refused"),
            "no container runs: it is called for each",
            &format!("allow {name}(2): an engine's seccomp filter or LSM forbids it"),
        ),
    };
    finding.needed()
}

pub(super) fn seccomp() -> Vec<Finding> {
    let actions = host::read("/proc/sys/kernel/seccomp/actions_avail").unwrap_or_default();
    let has = |flag: u64| bpf::has_seccomp_flags(flag as u32);
    let filters = if has(0) && !actions.is_empty() {
        Finding::ok("seccomp", format!("actions {}", actions.trim()))
    } else {
        Finding::lacks(
            "seccomp",
            "no filters",
            "a config.json with linux.seccomp is refused; engines write one into each",
            "a kernel with CONFIG_SECCOMP_FILTER",
        )
    };
    let listener = if has(libc::SECCOMP_FILTER_FLAG_NEW_LISTENER) {
        Finding::ok("seccomp notification", "a filter may have a listener")
    } else {
        let effect = "SCMP_ACT_NOTIFY and linux.seccomp.listenerPath are refused";
        Finding::lacks("seccomp notification", "no listeners", effect, "a kernel with CONFIG_SECCOMP_FILTER")
    };
    vec![filters, listener]
}

/// Security modules that label processes.
pub(super) fn modules() -> Vec<Finding> {
    let module = |name: &str, enabled: bool, field: &str| {
        if enabled {
            Finding::ok(name, "enabled")
        } else {
            let effect = format!("a config.json with {field} is refused");
            Finding::new(name, Verdict::None, "not enabled").with(&effect, "")
        }
    };
    vec![
        module("AppArmor", host::apparmor(), "process.apparmorProfile"),
        module("SELinux", host::selinux(), "process.selinuxLabel or linux.mountLabel"),
    ]
}

/// Which version of Landlock there is.
pub(super) fn landlock() -> Finding {
    match landlock::version() {
        Some(version) => Finding::ok("Landlock", format!("version {version}")),
        None => {
            let effect = "the annotation org.knarr.landlock with rules is refused; a sandbox has one wall";
            Finding::new("Landlock", Verdict::None, "not enabled")
                .with(effect, "lsm=landlock,... to the kernel")
        }
    }
}

/// Give a process that ends at once a cookie of its own.
pub(super) fn core_scheduling() -> Finding {
    let name = "core scheduling";
    let effect = "the annotation org.knarr.core-sched is refused";
    match apart(0, || schedule::own_core(CoreScope::Process)) {
        Ok(()) => Finding::ok(name, "a container may have cores of its own"),
        Err(errno) => {
            let known = schedule::without_cores(errno);
            let found = if known.is_empty() { sys::describe(errno) } else { known.into() };
            Finding::new(name, Verdict::None, found).with(effect, "")
        }
    }
}

/// Load a device filter, without attaching it.
pub(super) fn device_filter() -> sys::Result<()> {
    // r0 = 1; exit. Of `struct bpf_insn` only the value has an order of bytes.
    let [a, b, c, d] = 1i32.to_ne_bytes();
    let yes = u64::from_ne_bytes([0xb7, 0, 0, 0, a, b, c, d]);
    let exit = u64::from_ne_bytes([0x95, 0, 0, 0, 0, 0, 0, 0]);
    bpf::load_device_filter(&[yes, exit]).map(drop)
}
