//! Annotations that change what is done.

/// Before the name of a property of the container's scope, where systemd makes it.
pub const SYSTEMD_PROPERTY: &str = "org.systemd.property.";
/// The cgroup below the container's scope that the process is in, where systemd makes that.
pub const SYSTEMD_SUBGROUP: &str = "run.oci.systemd.subgroup";
/// The cgroup below the container's that the process is in and manages.
pub const DELEGATE_CGROUP: &str = "run.oci.delegate-cgroup";
/// `1`: the process keeps the caller's supplementary groups.
pub const KEEP_ORIGINAL_GROUPS: &str = "run.oci.keep_original_groups";
/// What `linux.mountLabel` is to a new mount: `context` (the default), `fscontext`,
/// `defcontext` or `rootcontext`.
pub const MOUNT_CONTEXT_TYPE: &str = "run.oci.mount_context_type";
/// Changes of the root filesystem go to memory (`ephemeral`) or to this folder.
pub const OVERLAY: &str = "org.knarr.overlay";
/// The read-only layers of the root filesystem, the top one first: overlayfs's `lowerdir`.
pub const OVERLAY_LOWER: &str = "org.knarr.overlay.lowerdir";
/// CRIU's configuration file, for checkpoint and restore; empty is none.
pub const CRIU_CONFIG: &str = "org.criu.config";
/// `true`: PID 1 is an init that reaps, and the process is its child. `pause`: it is alone.
pub const INIT: &str = "org.knarr.init";
/// `true`: hooks of the host's are told what the caller is traced by.
pub const TRACE_HOOKS: &str = "org.knarr.trace-hooks";
/// `pid`: new mounts of proc show processes alone, so that nothing of it has to be masked.
pub const PROC_SUBSET: &str = "org.knarr.proc-subset";
/// `true`: a name in `linux.seccomp` that no machine has a system call of is an error.
pub const SECCOMP_STRICT: &str = "org.knarr.seccomp-strict";
/// What landlock(7) keeps the process from: `true`, or rules in JSON.
pub const LANDLOCK: &str = "org.knarr.landlock";
/// With whom processes share the threads of a core: `own`, or `share:ID`.
pub const CORE_SCHED: &str = "org.knarr.core-sched";
/// How many ids the user namespace has, where those of the machine are left to be found: `1` or
/// `65536`.
pub const ID_RANGE: &str = "org.knarr.id-range";

/// What annotations that only describe an image begin with, of the image specification.
pub const IMAGE: &str = "org.opencontainers.image.";

/// Whether an annotation of this name is known to tell a runtime what to do, this one or
/// another.
pub fn is_instruction(name: &str) -> bool {
    let runtimes = [
        SYSTEMD_PROPERTY,
        "run.oci.",
        "org.knarr.",
        "org.criu.",
        "io.katacontainers.",
        "module.wasm.",
        "dev.gvisor.",
        "cdi.k8s.io/",
        "krun.",
        "com.github.containers.virtcontainers.",
    ];
    runtimes.iter().any(|prefix| name.starts_with(prefix))
}
