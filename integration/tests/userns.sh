# User namespaces: new and joined, id-mapped mounts; and time namespaces, which a user namespace may own.
# shellcheck shell=bash

# A root filesystem of its own that belongs to the container's root.
own_rootfs() { # ID
  bundle "$1"
  rm -rf "$B/rootfs"
  cp -a "$WORK/rootfs" "$B/rootfs"
  chown -R 100000:200000 "$B/rootfs"
  chmod 755 "$WORK" "$T" # runc and crun walk the path as the container's root
}

# As in_container, in a new user namespace.
in_user_container() { # SCRIPT [JQ-OPTION...] [FILTER]
  local script=$1
  shift
  local filter=.
  if [ $# -gt 0 ]; then filter=${*: -1}; set -- "${@:1:$#-1}"; fi
  [ -d "$T/c1/rootfs/owned" ] || { own_rootfs c1; mkdir "$B/rootfs/owned"; chown 100000:200000 "$B/rootfs/owned"; }
  bundle c1 "$@" --arg script "$script" "userns | sh(\$script) | $filter"
  run_ok run --bundle "$B" c1
}

test_root_inside_is_a_user_outside() {
  in_user_container 'id -u; id -g; id -G; cat /proc/self/uid_map /proc/self/gid_map | tr -s " "; touch /owned/x; stat -c %u:%g /owned/x' rw
  assert_eq "$OUT" $'0\n0\n0\n 0 100000 65536\n 0 200000 65536\n0:0'
  assert_eq "$(stat -c %u:%g "$B/rootfs/owned/x")" 100000:200000
}

test_a_plain_user_inside() {
  in_user_container 'id -u; id -g; id -G; grep ^Cap /proc/self/status | tr -s "\t\n" " "' \
    '.process.user = {uid: 1000, gid: 1001, additionalGids: [5, 6]} | caps([])'
  assert_match "$OUT" $'^1000\n1001\n1001 5 6\n'
  assert_no_match "$OUT" 'CapEff: 0*[1-9a-f]'
}

test_files_of_the_host_belong_to_nobody() {
  mkdir "$T/host"
  touch "$T/host/f"
  in_user_container 'stat -c %u:%g /m/f; ! touch /m/g 2>/dev/null' --arg s "$T/host" 'bind($s; "/m"; [])'
  assert_eq "$OUT" 65534:65534
}

test_every_default_mount_and_device_is_there() {
  in_user_container '
    for d in /proc /dev /dev/pts /dev/shm /dev/mqueue /sys /sys/fs/cgroup; do grep -q " $d " /proc/self/mounts || echo "no $d"; done
    for d in null zero full random urandom tty; do test -c /dev/$d || echo "no $d"; done
    echo hello >/dev/null; head -c 4 /dev/zero | wc -c; test -L /dev/ptmx && test -d /dev/fd/'
  assert_eq "$OUT" 4
}

test_a_device_of_the_host() {
  in_user_container 'stat -c %t:%T /dev/kmsg' '.linux.devices = [{path: "/dev/kmsg", type: "c", major: 1, minor: 11}]'
  assert_eq "$OUT" 1:b
}

test_domainname_by_sysctl() { # which is how Docker passes its option
  differs runc,crun 'they write the file, which is of the machine'
  in_user_container 'cat /proc/sys/kernel/domainname' '.linux.sysctl = {"kernel.domainname": "sea.example"}'
  assert_eq "$OUT" sea.example
}

test_the_hosts_ptmx_is_not_taken() { # which a privileged container of an ordinary user's Docker is given with all the others
  in_user_container 'readlink /dev/ptmx' '.linux.devices = [{path: "/dev/ptmx", type: "c", major: 5, minor: 2}]'
  assert_eq "$OUT" pts/ptmx
}

test_a_fifo() {
  differs runc,crun 'they bind one of the host'
  in_user_container 'test -p /dev/pipe && stat -c %a /dev/pipe' '.linux.devices = [{path: "/dev/pipe", type: "p", fileMode: 384}]'
  assert_eq "$OUT" 600
}

test_a_device_that_is_another_on_the_host_is_refused() {
  own_rootfs c1
  differs runc,crun 'the node of the host is bound whatever it is'
  bundle c1 'userns | .linux.devices = [{path: "/dev/zero", type: "c", major: 1, minor: 3}]'
  run_fails 1 "linux\.devices\[0\]: the host's /dev/zero is not the device 1:3" run --bundle "$B" c1
}

test_masked_and_readonly_paths() {
  own_rootfs c1
  mkdir "$B/rootfs/owned" "$B/rootfs/masked"
  touch "$B/rootfs/owned/f" "$B/rootfs/masked/f"
  echo secret >"$B/rootfs/secret"
  in_user_container 'cat /secret; ls /masked; touch /owned/x 2>/dev/null || echo read-only' \
    'rw | .linux.maskedPaths = ["/secret", "/masked"] | .linux.readonlyPaths = ["/owned"]'
  assert_eq "$OUT" read-only
}

test_message_queues_belong_to_its_root() {
  in_user_container 'stat -c %u:%g /dev/mqueue'
  assert_eq "$OUT" 0:0
}

test_names_and_kernel_parameters() {
  in_user_container 'hostname; cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax /proc/sys/fs/mqueue/msg_max' \
    '.hostname = "inside" | .linux.sysctl = {"net.ipv4.ip_forward": "1", "kernel.msgmax": "4321", "fs.mqueue.msg_max": "17"}'
  assert_eq "$OUT" $'inside\n1\n4321\n17'
}

test_oom_score_adj_is_set_from_outside() {
  in_user_container 'cat /proc/self/oom_score_adj' '.process.oomScoreAdj = 321'
  assert_eq "$OUT" 321
}

test_limits_above_the_callers_are_set_from_outside() {
  [ "$MODE" != native ] || requires uml # this machine's root may raise no limit
  ulimit -n 4096
  local limits='.process.rlimits = [{type: "RLIMIT_NOFILE", soft: 5000, hard: 6000}]'
  bundle c1 "userns | sh(\"ulimit -Sn; ulimit -Hn; exec sleep 100\") | $limits"
  run_ok run --detach --bundle "$B" c1
  eventually is_line_in 6000 "$LOG"
  assert_eq "$(<"$LOG")" $'5000\n6000'
  run_ok exec c1 sh -c 'ulimit -Sn; ulimit -Hn'
  assert_eq "$OUT" $'5000\n6000'
  pid_of c1
  bundle c2 "join_ns(\"user\"; \"/proc/$PID/ns/user\") | sh(\"ulimit -Hn\") | $limits"
  run_ok run --bundle "$B" c2
  assert_eq "$OUT" 6000
}
test_a_terminal_and_its_console() {
  own_rootfs c1
  bundle c1 'userns | .process.terminal = true | sh("tty; stat -c %u /dev/console")'
  local out
  out=$(timeout 20 "$STAGE/helpers/tty" "$RUNTIME" --root "$ROOT" run --bundle "$B" c1 </dev/null)
  assert_match "$out" '/dev/(pts/0|console)'
}

test_no_capability_over_the_host() {
  in_user_container 'grep CapEff /proc/self/status; ! mount -t tmpfs x /sys/kernel 2>/dev/null || true; ! hostname x' \
    'del(.process.capabilities)'
  assert_match "$OUT" 'CapEff:.0000000000000000'
}

test_all_capabilities_hold_inside() {
  in_user_container 'mount -t tmpfs x /owned && grep -q " /owned " /proc/self/mounts && hostname new && hostname; ip link set lo down && echo net; mknod /owned/n c 1 3 || echo no-node' \
    'rw | caps(["CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_MKNOD"])'
  assert_eq "$OUT" $'new\nnet\nno-node'
}

test_create_start_state_kill_delete() {
  own_rootfs c1
  bundle c1 'userns | args(["sleep", "1000"])'
  run_ok create --bundle "$B" c1
  assert_status c1 created
  run_ok start c1
  pid_of c1
  assert_match "$(tr -s ' ' <"/proc/$PID/uid_map")" '0 100000 65536'
  run_ok kill c1 KILL
  eventually has_status c1 stopped
  run_ok delete c1
}

test_hooks_run_as_roots_of_their_namespaces() {
  own_rootfs c1
  bundle c1 --arg t "$T" 'userns | args(["true"])
    | hook("createRuntime"; "id -u >\($t)/runtime; cat /proc/self/uid_map >\($t)/map")
    | hook("createContainer"; "id -u >/dev/shm/knarr-hook.$$; cat /dev/shm/knarr-hook.$$ 1>&2; rm /dev/shm/knarr-hook.$$")'
  run_ok run --bundle "$B" c1
  assert_eq "$(<"$T/runtime")" 0
  assert_match "$(tr -s ' ' <"$T/map")" '0 0 4294967295'
}

# ---- the way to the root filesystem is closed to the container's root ----
test_a_bundle_in_a_private_folder() {
  differs runc,crun 'the container root has to walk the path'
  own_rootfs c1
  chmod 700 "$T"
  in_user_container 'id -u'
  assert_eq "$OUT" 0
}

test_a_bind_source_in_a_private_folder() {
  differs crun 'the container root has to walk the path'
  mkdir -p "$T/secret/shared"
  chmod 700 "$T/secret"
  echo data >"$T/secret/shared/f"
  in_user_container 'cat /m/f' --arg s "$T/secret/shared" 'bind($s; "/m"; [])'
  assert_eq "$OUT" data
}

# ---- inherited namespaces ----
test_with_the_hosts_network_sys_is_the_hosts() {
  differs runc 'a new sysfs is refused by the kernel'
  in_user_container 'ls -d /sys/class/net/lo; readlink /proc/self/ns/net; ! mount -o remount,rw /sys 2>/dev/null' 'no_ns("network")'
  assert_match "$OUT" '/sys/class/net/lo'
  assert_line "$OUT" "$(readlink /proc/self/ns/net)"
}

test_with_the_hosts_processes_proc_is_the_hosts() {
  differs runc 'a new proc is refused by the kernel'
  in_user_container "test -d /proc/$$ && echo host" 'no_ns("pid")'
  assert_eq "$OUT" host
}

# ---- joined ----
joined_user() { # FILTER: a container in the user namespace of another one; OUT is what it shows
  own_rootfs c0
  bundle c0 'userns | args(["sleep", "1000"])'
  run_ok run --detach --bundle "$B" c0
  pid_of c0
  in_user_container "$show" --arg p "/proc/$PID/ns" "$1"
}
show='for n in user net ipc; do readlink /proc/self/ns/$n; done; id -u; tr -s " " </proc/self/uid_map; grep -q proc /proc/self/mounts && hostname'

test_joined_user_namespace() {
  differs runc 'mappings are demanded'
  joined_user 'del(.linux.uidMappings, .linux.gidMappings) | join_ns("user"; $p + "/user")'
  assert_line "$OUT" "$(readlink "/proc/$PID/ns/user")"
  assert_no_match "$OUT" "$(readlink "/proc/$PID/ns/net")"
  assert_line "$OUT" ' 0 100000 65536'
}

test_joined_user_namespace_with_its_mappings() {
  joined_user 'join_ns("user"; $p + "/user")'
  assert_line "$OUT" "$(readlink "/proc/$PID/ns/user")"
}

test_joined_user_namespace_with_other_mappings() {
  differs runc,crun 'the mappings are not compared'
  own_rootfs c0
  bundle c0 'userns | args(["sleep", "1000"])'
  run_ok run --detach --bundle "$B" c0
  pid_of c0
  own_rootfs c1
  bundle c1 --arg p "/proc/$PID/ns/user" 'userns | join_ns("user"; $p) | .linux.uidMappings[0].hostID = 300000'
  run_fails 1 'mappings|maps other ids' run --bundle "$B" c1
}

test_all_of_a_pod_with_a_user_namespace() {
  joined_user 'join_ns("user"; $p + "/user") | join_ns("network"; $p + "/net") | join_ns("ipc"; $p + "/ipc") | join_ns("uts"; $p + "/uts")
    | join_ns("pid"; $p + "/pid") | del(.hostname)'
  local n
  for n in user net ipc; do assert_line "$OUT" "$(readlink "/proc/$PID/ns/$n")"; done
}

test_new_user_namespace_and_a_network_of_the_hosts() {
  in_user_container 'readlink /proc/self/ns/net; id -u; test -d /proc/1' 'join_ns("network"; "/proc/self/ns/net") | no_ns("x")
    | .mounts |= map(select(.type != "sysfs"))'
  assert_line "$OUT" 0
  assert_line "$OUT" "$(readlink /proc/self/ns/net)"
}

# ---- id-mapped mounts ----
# The file systems of User-mode Linux's kernel, an older one, map no ids.
id_mapped() { # FILTER: a container that shows who owns /m/f, a file of user 0 in a bind mount
  mkdir -p "$T/host/below"
  touch "$T/host/f"
  in_user_container 'stat -c %u:%g /m/f; if touch /m/new; then stat -c %u:%g /m/new; fi' --arg s "$T/host" "$1"
}

test_idmap_as_the_user_namespace() {
  requires native 'a file system that maps ids'
  differs crun,runc 'too old'
  id_mapped 'bind($s; "/m"; ["idmap"])'
  assert_eq "$OUT" $'0:0\n0:0'
  assert_eq "$(stat -c %u:%g "$T/host/new")" 0:0
}

test_idmap_with_mappings_of_its_own() {
  requires native 'a file system that maps ids'
  differs crun,runc 'too old'
  id_mapped 'bind($s; "/m"; ["idmap"]) | .mounts[-1] += {uidMappings: ids(100007; 10), gidMappings: ids(200008; 10)}'
  # Root of the container is 100000, which no id of the files is mapped to.
  assert_match "$OUT" '^7:8'
  assert_absent "$T/host/new"
}

test_idmap_without_a_user_namespace() {
  requires native 'a file system that maps ids'
  differs crun,runc 'too old'
  mkdir "$T/host"
  touch "$T/host/f"
  in_container 'stat -c %u:%g /m/f' --arg s "$T/host" 'bind($s; "/m"; []) | .mounts[-1] += {uidMappings: ids(7; 10), gidMappings: ids(8; 10)}'
  assert_eq "$OUT" 7:8
}

idmap_below() { # OPTION: who owns a file of a mount below the bind mount
  requires native 'a file system that maps ids'
  mkdir -p "$T/host/below"
  mount -t tmpfs x "$T/host/below"
  touch "$T/host/below/f"
  in_user_container 'stat -c %u:%g /m/below/f' --arg s "$T/host" --arg o "$1" 'bind($s; "/m"; ["rbind", $o])'
  umount "$T/host/below"
}
test_idmap_leaves_mounts_below() { differs crun,runc 'too old'; idmap_below idmap; assert_eq "$OUT" 65534:65534; }
test_ridmap_maps_mounts_below() { differs crun,runc 'too old'; idmap_below ridmap; assert_eq "$OUT" 0:0; }

test_idmap_of_a_filesystem_that_cannot() {
  differs crun,runc 'too old'
  own_rootfs c1
  bundle c1 'userns | bind("/proc"; "/m"; ["idmap"])'
  run_fails 1 'mounts\[[0-9]+\] /m: mount_setattr /proc idmap: .*EINVAL' run --bundle "$B" c1
}

# ---- refused ----
test_no_mappings() { refused 'mapping' 'userns | del(.linux.uidMappings, .linux.gidMappings)'; }
test_only_uid_mappings() { refused 'mapping|newgidmap|setgroups|invalid' 'userns | del(.linux.gidMappings)'; }
test_mappings_without_a_namespace() {
  differs runc,crun 'accepted'
  refused 'linux.uidMappings: needs a user namespace' '.linux.uidMappings = ids(0; 1)'
}
test_overlapping_ranges() { refused 'range|uid_map|invalid' 'userns | .linux.uidMappings += ids(5; 5)'; }
test_a_user_that_is_not_mapped() { refused 'map|invalid|setresgid|setgroups' 'userns | .process.user.uid = 70000'; }
test_idmap_without_mappings() {
  differs crun,runc 'too old'
  refused 'mounts\[[0-9]+\].options: "idmap" needs' 'bind("/tmp"; "/m"; ["idmap"])'
}
test_idmap_with_uid_mappings_only() {
  differs crun,runc 'too old'
  refused 'gidMappings: missing' 'bind("/tmp"; "/m"; []) | .mounts[-1] += {uidMappings: ids(7; 10)}'
}

# ---- time namespaces ----
uptime_inside='cut -d. -f1 /proc/uptime; readlink /proc/self/ns/time'
test_new_time_namespace() {
  requires file /proc/self/ns/time
  differs runc,crun 'too old'
  in_container "$uptime_inside" '.linux.namespaces += [{type: "time"}]'
  assert_no_match "$OUT" "$(readlink /proc/self/ns/time)"
}

test_offsets_of_both_clocks() {
  requires file /proc/self/ns/time
  differs runc,crun 'too old'
  in_container "$uptime_inside; cat /proc/self/timens_offsets | tr -s ' '" \
    '.linux.namespaces += [{type: "time"}] | .linux.timeOffsets = {boottime: {secs: 1000000000, nanosecs: 5}, monotonic: {secs: 7}}'
  [ "${OUT%%$'\n'*}" -ge 1000000000 ] || fail "the clock did not jump: $OUT"
  assert_match "$OUT" 'monotonic 7 0'
  assert_match "$OUT" 'boottime 1000000000 5'
}

test_offsets_in_a_user_namespace() {
  requires file /proc/self/ns/time
  differs runc,crun 'too old'
  in_user_container "$uptime_inside" '.linux.namespaces += [{type: "time"}] | .linux.timeOffsets = {boottime: {secs: 1000000000}}'
  [ "${OUT%%$'\n'*}" -ge 1000000000 ] || fail "the clock did not jump: $OUT"
}

test_joined_time_namespace() {
  requires file /proc/self/ns/time
  differs runc,crun 'too old'
  bundle c0 '.linux.namespaces += [{type: "time"}] | .linux.timeOffsets = {boottime: {secs: 1000000000}} | args(["sleep", "1000"])'
  run_ok run --detach --bundle "$B" c0
  pid_of c0
  in_container "$uptime_inside" --arg p "/proc/$PID/ns/time" '.linux.namespaces += [{type: "time", path: $p}]'
  assert_line "$OUT" "$(readlink "/proc/$PID/ns/time")"
  [ "${OUT%%$'\n'*}" -ge 1000000000 ] || fail "the clock did not jump: $OUT"
}

test_a_time_namespace_where_the_kernel_has_none() {
  [ ! -e /proc/self/ns/time ] || skip 'the kernel has time namespaces'
  refused 'time' '.linux.namespaces += [{type: "time"}]'
}

test_offsets_without_a_time_namespace() {
  differs runc,crun 'too old'
  refused 'time|offset' '.linux.timeOffsets = {boottime: {secs: 10}}'
}
test_offsets_of_another_clock() {
  differs runc,crun 'too old'
  refused 'linux.timeOffsets.realtime: is not a clock' '.linux.namespaces += [{type: "time"}] | .linux.timeOffsets = {realtime: {secs: 10}}'
}
test_offsets_that_the_kernel_refuses() {
  requires file /proc/self/ns/time
  differs runc,crun 'too old'
  refused 'linux.timeOffsets: .*\(E' '.linux.namespaces += [{type: "time"}] | .linux.timeOffsets = {monotonic: {secs: -1000000000000}}'
}

# ---- exec ----
with_user_container() { # FILTER: a running container c1 in a user namespace
  own_rootfs c1
  bundle c1 "userns | args([\"sleep\", \"1000\"]) | ${1:-.}"
  run_ok run --detach --bundle "$B" c1
}
test_exec() {
  with_user_container
  pid_of c1
  run_ok exec c1 sh -c 'id -u; id -G; tr -s " " </proc/self/uid_map; readlink /proc/self/ns/user; hostname'
  assert_match "$OUT" $'^0\n0\n 0 100000 65536\n'
  assert_line "$OUT" "$(readlink "/proc/$PID/ns/user")"
}
test_exec_as_a_user_with_groups() {
  with_user_container
  run_ok exec --user 1000:1001 --additional-gids 7 c1 sh -c 'id -u; id -G'
  assert_eq "$OUT" $'1000\n1001 7'
}
test_exec_as_a_user_that_is_not_mapped() {
  with_user_container
  run_fails 255 'setres[ug]id|invalid|not mapped' exec --user 70000 c1 true
}
test_exec_with_a_terminal() {
  with_user_container
  differs crun 'there is no terminal'
  local out
  out=$(timeout 20 "$STAGE/helpers/tty" "$RUNTIME" --root "$ROOT" exec -t c1 sh -c tty </dev/null) || fail "$out"
  assert_match "$out" '/dev/pts/0'
}
test_exec_on_processors() {
  differs runc,crun 'too old'
  requires native 'two processors'
  with_user_container
  echo '{"user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["grep", "Cpus_allowed_list", "/proc/self/status"],
    "execCPUAffinity": {"initial": "0", "final": "1"}}' >"$T/process.json"
  run_ok exec --process "$T/process.json" c1
  assert_match "$OUT" '[^0-9]1$'
}
test_exec_with_a_policy_that_takes_rights() {
  differs runc,crun 'too old'
  requires native 'real-time scheduling in a cgroup'
  with_user_container
  echo '{"user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["sh", "-c", "cut -d\" \" -f40,41 /proc/self/stat"],
    "scheduler": {"policy": "SCHED_FIFO", "priority": 4}}' >"$T/process.json"
  run_ok exec --process "$T/process.json" c1
  assert_eq "$OUT" '4 1'
}

# ---- the cgroup of a user namespace ----
writable_cgroup='(.mounts[] | select(.destination == "/sys/fs/cgroup") | .options) -= ["ro"]'

test_a_writable_cgroup_belongs_to_the_container() {
  differs runc "with the cgroupfs driver it stays the host root's"
  in_user_container 'cd /sys/fs/cgroup && stat -c %u:%g . cgroup.procs && mkdir sub && echo 1 >sub/cgroup.procs && grep ^0:: /proc/self/cgroup; ! echo 5 >pids.max 2>/dev/null; ! chmod 0666 cgroup.freeze 2>/dev/null && echo mine' "$writable_cgroup"
  assert_eq "${OUT%%$'\n'0::*}" $'0:0\n0:0'
  assert_match "$OUT" $'0::/(sub)?\nmine$'
}

test_a_read_only_cgroup_stays_the_hosts() {
  in_user_container 'stat -c %u /sys/fs/cgroup'
  assert_eq "$OUT" 65534
}

test_without_a_cgroup_namespace_the_cgroup_stays_the_hosts() {
  own_rootfs c1
  bundle c1 "userns | no_ns(\"cgroup\") | args([\"sleep\", \"1000\"]) | .mounts |= map(select(.type != \"cgroup\"))"
  run_ok create --bundle "$B" c1
  assert_eq "$(stat -c %u "$C")" 0
}
