//! What config.json may ask for, in the words that the parser takes: the vocabulary of `knarr
//! features`.

use super::annotation;
use oci_spec::runtime as oci;
use serde::Serialize;
use serde_json::Value;

/// The words for one field.
fn words<T: Serialize>(values: &[T]) -> Vec<Value> {
    values.iter().filter_map(|value| serde_json::to_value(value).ok()).collect()
}

/// `hooks`, by name.
pub const HOOKS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// Actions of `linux.seccomp`.
pub fn seccomp_actions() -> Vec<Value> {
    use oci::LinuxSeccompAction as Action;
    words(&[
        Action::ScmpActAllow,
        Action::ScmpActErrno,
        Action::ScmpActKill,
        Action::ScmpActKillProcess,
        Action::ScmpActKillThread,
        Action::ScmpActLog,
        Action::ScmpActNotify,
        Action::ScmpActTrace,
        Action::ScmpActTrap,
    ])
}

/// Operators of `linux.seccomp.syscalls[].args[]`.
pub fn seccomp_operators() -> Vec<Value> {
    use oci::LinuxSeccompOperator as Operator;
    words(&[
        Operator::ScmpCmpEq,
        Operator::ScmpCmpGe,
        Operator::ScmpCmpGt,
        Operator::ScmpCmpLe,
        Operator::ScmpCmpLt,
        Operator::ScmpCmpMaskedEq,
        Operator::ScmpCmpNe,
    ])
}

/// Architectures of `linux.seccomp` that programs here may be of. Others are accepted: the kernel
/// never reports them.
pub fn seccomp_arches() -> Vec<Value> {
    use oci::Arch;
    words(&[
        Arch::ScmpArchAarch64,
        Arch::ScmpArchArm,
        Arch::ScmpArchLoongarch64,
        Arch::ScmpArchPpc64le,
        Arch::ScmpArchRiscv64,
        Arch::ScmpArchS390,
        Arch::ScmpArchS390x,
        Arch::ScmpArchX32,
        Arch::ScmpArchX86,
        Arch::ScmpArchX86_64,
    ])
}

/// Flags of `linux.seccomp`, each with its bit for the kernel; none for one that a process with one
/// thread has no use for.
pub fn seccomp_flags() -> Vec<(Value, Option<u32>)> {
    use super::seccomp::{FLAG_LOG, FLAG_NEW_LISTENER, FLAG_SPEC_ALLOW, FLAG_WAIT_KILLABLE_RECV};
    use oci::LinuxSeccompFilterFlag as Flag;
    let bits =
        [Some(FLAG_LOG), Some(FLAG_SPEC_ALLOW), None, Some(FLAG_WAIT_KILLABLE_RECV | FLAG_NEW_LISTENER)];
    let flags = words(&[
        Flag::SeccompFilterFlagLog,
        Flag::SeccompFilterFlagSpecAllow,
        Flag::SeccompFilterFlagTsync,
        Flag::SeccompFilterFlagWaitKillableRecv,
    ]);
    flags.into_iter().zip(bits).collect()
}

/// Modes of `linux.memoryPolicy`.
pub fn memory_modes() -> Vec<Value> {
    use oci::MemoryPolicyModeType as Mode;
    words(&[
        Mode::MpolBind,
        Mode::MpolDefault,
        Mode::MpolInterleave,
        Mode::MpolLocal,
        Mode::MpolPreferred,
        Mode::MpolPreferredMany,
        Mode::MpolWeightedInterleave,
    ])
}

/// Flags of `linux.memoryPolicy`.
pub fn memory_flags() -> Vec<Value> {
    use oci::MemoryPolicyFlagType as Flag;
    words(&[Flag::MpolFNumaBalancing, Flag::MpolFRelativeNodes, Flag::MpolFStaticNodes])
}

/// Annotations that change what is done, so that engines let only trusted users set them. A dot at
/// the end: a prefix.
pub const UNSAFE_ANNOTATIONS: [&str; 12] = [
    annotation::SYSTEMD_PROPERTY,
    annotation::KEEP_ORIGINAL_GROUPS,
    annotation::DELEGATE_CGROUP,
    annotation::SYSTEMD_SUBGROUP,
    annotation::MOUNT_CONTEXT_TYPE,
    annotation::OVERLAY,
    annotation::OVERLAY_LOWER,
    annotation::INIT,
    annotation::LANDLOCK,
    annotation::CORE_SCHED,
    annotation::ID_RANGE,
    annotation::CRIU_CONFIG,
];
