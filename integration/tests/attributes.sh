# How the process gets processors, disks and memory, under which execution domain it runs, and its security labels.
# shellcheck shell=bash

# ---- scheduler: fields 18 (priority), 19 (nice), 40 (rt_priority), 41 (policy) of /proc/PID/stat ----
stat_fields='cut -d" " -f19,40,41 /proc/self/stat' # in cut, whose parent is a shell of the same kind
scheduler() { # FILTER EXPECTED
  differs runc,crun 'too old'
  in_container "$stat_fields" ".process.scheduler = $1"
  assert_eq "$OUT" "$2"
}
test_scheduler_other_with_nice() { scheduler '{policy: "SCHED_OTHER", nice: 7}' '7 0 0'; }
test_scheduler_batch() { scheduler '{policy: "SCHED_BATCH", nice: 3}' '3 0 3'; }
test_scheduler_idle() { scheduler '{policy: "SCHED_IDLE"}' "$(nice) 0 5"; }
# Kernels with CONFIG_RT_GROUP_SCHED, like User-mode Linux's, give no real-time policy in a cgroup v2.
test_scheduler_fifo() { requires native; scheduler '{policy: "SCHED_FIFO", priority: 12}' "$(nice) 12 1"; }
test_scheduler_rr() { requires native; scheduler '{policy: "SCHED_RR", priority: 99}' "$(nice) 99 2"; }
test_scheduler_reset_on_fork() {
  requires native 'real-time scheduling in a cgroup'
  # The shell has the policy, and cut, its child, has not.
  differs runc,crun 'too old'
  in_container 'cut -d" " -f41 /proc/$$/stat; cut -d" " -f41 /proc/self/stat; :' \
    '.process.scheduler = {policy: "SCHED_FIFO", priority: 12, flags: ["SCHED_FLAG_RESET_ON_FORK"]}'
  assert_eq "$OUT" $'1\n0'
}
test_scheduler_deadline() {
  differs runc,crun 'too old'
  in_container 'cut -d" " -f41 /proc/$$/stat; :' '.process.scheduler = {policy: "SCHED_DEADLINE", runtime: 10000000,
    deadline: 20000000, period: 20000000, flags: ["SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_DL_OVERRUN", "SCHED_FLAG_RECLAIM"]}'
  assert_eq "$OUT" 6
}
test_scheduler_in_a_user_namespace() {
  requires native 'real-time scheduling in a cgroup'
  differs runc,crun 'too old'
  bundle c1
  rm -rf "$B/rootfs"
  cp -a "$WORK/rootfs" "$B/rootfs"
  bundle c1 "userns | .process.scheduler = {policy: \"SCHED_FIFO\", priority: 5} | sh(\"cut -d' ' -f40,41 /proc/self/stat\")"
  run_ok run --bundle "$B" c1
  assert_eq "$OUT" '5 1'
}
test_scheduler_that_linux_has_not() { differs runc,crun 'too old'; refused 'scheduler|SCHED_ISO' '.process.scheduler = {policy: "SCHED_ISO"}'; }
test_scheduler_that_nobody_has() {
  differs runc,crun 'too old'
  refused 'process.scheduler.*SCHED_FOO' '.process.scheduler = {policy: "SCHED_FOO"}'
}
scheduler_refused() { differs runc,crun 'too old'; refused "process.scheduler.$1" ".process.scheduler = $2"; }
test_scheduler_nice_out_of_range() { scheduler_refused 'nice: 20 is not' '{policy: "SCHED_OTHER", nice: 20}'; }
test_scheduler_priority_of_other() { scheduler_refused 'priority: 5 is not' '{policy: "SCHED_OTHER", priority: 5}'; }
test_scheduler_priority_of_fifo_missing() { scheduler_refused 'priority: 0 is not' '{policy: "SCHED_FIFO"}'; }
test_scheduler_deadline_of_other() { scheduler_refused 'deadline: only' '{policy: "SCHED_OTHER", deadline: 5}'; }
test_scheduler_unknown_flag() { scheduler_refused 'flags' '{policy: "SCHED_OTHER", flags: ["SCHED_FLAG_FOO"]}'; }
test_scheduler_that_the_kernel_refuses() {
  differs runc,crun 'too old'
  refused 'process.scheduler: sched_setattr: .*EINVAL' '.process.scheduler = {policy: "SCHED_DEADLINE", runtime: 5000000, deadline: 2000000, period: 1000000}'
}

# ---- ioPriority ----
io_priority() { # CLASS LEVEL EXPECTED
  differs runc,crun 'too old'
  in_container 'ionice -p 1' --arg c "$1" --argjson l "$2" '.process.ioPriority = {class: $c, priority: $l}'
  assert_eq "$OUT" "$3"
}
test_io_priority_best_effort() { io_priority IOPRIO_CLASS_BE 6 'best-effort: prio 6'; }
test_io_priority_idle() { io_priority IOPRIO_CLASS_IDLE 0 idle; }
test_io_priority_real_time() { io_priority IOPRIO_CLASS_RT 3 'realtime: prio 3'; }
test_io_priority_of_a_class_that_nobody_has() {
  differs runc,crun 'too old'
  refused 'process.ioPriority' '.process.ioPriority = {class: "IOPRIO_CLASS_FOO", priority: 1}'
}
test_io_priority_out_of_range() {
  differs runc,crun 'too old'
  refused 'process.ioPriority.priority: 8 is not in 0 to 7' '.process.ioPriority = {class: "IOPRIO_CLASS_BE", priority: 8}'
}

# ---- personality ----
test_personality_of_32_bit() {
  requires native 'a kernel that runs 32-bit programs'
  differs runc 'too old'
  in_container 'uname -m' '.linux.personality = {domain: "LINUX32"}'
  assert_eq "$OUT" i686
}
test_personality_of_linux() {
  differs runc 'too old'
  in_container 'uname -m' '.linux.personality = {domain: "LINUX"}'
  assert_eq "$OUT" "$(uname -m)"
}
test_personality_unknown() { differs runc 'too old'; refused 'persona' '.linux.personality = {domain: "BSD"}'; }
test_personality_with_flags() {
  differs runc,crun 'flags are ignored'
  refused 'linux.personality.flags: "X": no flags are defined' '.linux.personality = {domain: "LINUX", flags: ["X"]}'
}

# ---- memoryPolicy: numa_maps shows the policy of a mapping that has none of its own, that is, the process's ----
memory_policy() { # FILTER REGEX
  differs runc,crun 'too old'
  requires file /proc/self/numa_maps
  in_container 'head -n 1 /proc/self/numa_maps' ".linux.memoryPolicy = $1"
  assert_match "$OUT" "$2"
}
test_memory_policy_bind() { memory_policy '{mode: "MPOL_BIND", nodes: "0"}' ' bind:0 '; }
test_memory_policy_interleave() { memory_policy '{mode: "MPOL_INTERLEAVE", nodes: "0", flags: ["MPOL_F_STATIC_NODES"]}' ' interleave=static:0 '; }
test_memory_policy_preferred() { memory_policy '{mode: "MPOL_PREFERRED", nodes: "0"}' ' prefer:0 '; }
test_memory_policy_preferred_many() { memory_policy '{mode: "MPOL_PREFERRED_MANY", nodes: "0", flags: ["MPOL_F_RELATIVE_NODES"]}' ' prefer \(many\)=relative:0 '; }
test_memory_policy_local() { memory_policy '{mode: "MPOL_LOCAL"}' ' local '; }
test_memory_policy_default() { memory_policy '{mode: "MPOL_DEFAULT"}' ' default '; }
test_memory_policy_that_the_kernel_refuses() {
  differs runc,crun 'too old'
  refused 'linux.memoryPolicy: set_mempolicy nodes "63": .*(EINVAL|ENOSYS)' '.linux.memoryPolicy = {mode: "MPOL_BIND", nodes: "63"}'
}
test_memory_policy_unknown() {
  differs runc,crun 'too old'
  refused 'linux.memoryPolicy' '.linux.memoryPolicy = {mode: "MPOL_FOO", nodes: "0"}'
}
test_memory_policy_nodes_that_are_no_list() {
  differs runc,crun 'too old'
  refused 'linux.memoryPolicy.nodes: invalid memory policy node: "0-" is not a list' '.linux.memoryPolicy = {mode: "MPOL_BIND", nodes: "0-"}'
}
test_memory_policy_unknown_flag() {
  differs runc,crun 'too old'
  refused 'linux.memoryPolicy' '.linux.memoryPolicy = {mode: "MPOL_BIND", nodes: "0", flags: ["MPOL_F_FOO"]}'
}

# ---- execCPUAffinity: create only checks it ----
test_exec_cpu_affinity_does_not_touch_the_container() {
  in_container 'grep Cpus_allowed_list /proc/self/status' '.process.execCPUAffinity = {initial: "0", final: "0"}'
  assert_eq "$OUT" "$(grep Cpus_allowed_list /proc/self/status)"
}
test_exec_cpu_affinity_that_is_no_list() {
  differs runc,crun 'too old'
  refused 'process.execCPUAffinity.initial' '.process.execCPUAffinity = {initial: "x"}'
}

# ---- security labels ----
apparmor_profile() { # NAME RULES: load it
  requires file /sys/kernel/security/apparmor
  requires file /sbin/apparmor_parser
  printf 'profile %s {\n%s\n}\n' "$1" "$2" | apparmor_parser -K -r
}
test_apparmor_profile_confines() {
  apparmor_profile knarr-it $'file,\nsignal,\ndeny /etc/passwd r,\n'
  in_container 'cat /proc/self/attr/current; cat /etc/passwd 2>&1 || true' '.process.apparmorProfile = "knarr-it"'
  assert_match "$OUT" '^knarr-it \(enforce\)'
  assert_match "$OUT" 'Permission denied'
}
test_apparmor_profile_with_no_new_privileges() {
  apparmor_profile knarr-it $'file,\n'
  in_container 'cat /proc/self/attr/current' '.process.apparmorProfile = "knarr-it" | .process.noNewPrivileges = true'
  assert_match "$OUT" '^knarr-it \(enforce\)'
}
test_apparmor_unconfined() {
  requires file /sys/kernel/security/apparmor
  in_container 'cat /proc/self/attr/current' '.process.apparmorProfile = "unconfined"'
  assert_match "$OUT" '^unconfined'
}
test_apparmor_profile_that_does_not_exist() {
  requires file /sys/kernel/security/apparmor
  refused 'apparmor|attr/exec' '.process.apparmorProfile = "knarr-none"'
}
test_apparmor_profile_and_a_false_proc() {
  requires file /sys/kernel/security/apparmor
  differs crun,runc 'a new procfs would be needed'
  refused 'process.apparmorProfile: .*not a procfs' '.process.apparmorProfile = "unconfined" | .mounts |= map(if .type == "proc" then .type = "tmpfs" else . end) | del(.linux.maskedPaths, .linux.readonlyPaths)'
}
test_apparmor_where_there_is_none() {
  [ ! -e /sys/module/apparmor ] || skip 'AppArmor is there'
  refused 'apparmor' '.process.apparmorProfile = "docker-default"'
}
test_selinux_label_where_there_is_none() {
  [ ! -e /sys/fs/selinux ] || skip 'SELinux is there'
  refused 'selinux|keycreate' '.process.selinuxLabel = "system_u:system_r:container_t:s0"'
}
test_mount_label_where_there_is_none() {
  differs runc,crun 'it is dropped, or a mount option that the kernel refuses'
  [ ! -e /sys/fs/selinux ] || skip 'SELinux is there'
  refused 'linux.mountLabel: .*SELinux is not enabled' '.linux.mountLabel = "system_u:object_r:container_file_t:s0"'
}
