# linux.namespaces: new, inherited, or joined by path; hostname and domainname.
# shellcheck shell=bash

# What the container's program sees, as link targets of its namespaces.
show='for n in cgroup ipc mnt net pid uts; do readlink /proc/self/ns/$n; done'
own() { readlink "/proc/self/ns/$1"; }

test_new_namespaces() {
  in_container "$show"
  local n
  for n in cgroup ipc mnt net pid uts; do assert_no_match "$OUT" "$(own "$n")"; done
}

inherited() { # FILE TYPE: without TYPE in the list the container has the caller's, and all others are new
  in_container "$show" --arg t "$2" 'no_ns($t) | if $t == "uts" then del(.hostname) else . end'
  local n
  for n in cgroup ipc mnt net pid uts; do
    if [ "$n" = "$1" ]; then assert_line "$OUT" "$(own "$n")"; else assert_no_match "$OUT" "$(own "$n")"; fi
  done
}
test_inherited_cgroup() { inherited cgroup cgroup; }
test_inherited_ipc() { inherited ipc ipc; }
test_inherited_network() { inherited net network; }
test_inherited_pid() { inherited pid pid; }
test_inherited_uts() { inherited uts uts; }

test_no_new_namespaces_but_mount() {
  in_container "$show" '.linux.namespaces = [{type: "mount"}] | del(.hostname)'
  local n
  for n in cgroup ipc net pid uts; do assert_line "$OUT" "$(own "$n")"; done
  assert_no_match "$OUT" "$(own mnt)"
}

joined() { # FILE TYPE: joined by the path of another container's namespace
  bundle c0 'args(["sleep", "1000"])'
  run_ok run --detach --bundle "$B" c0
  pid_of c0
  local theirs
  theirs=$(readlink "/proc/$PID/ns/$1")
  in_container "readlink /proc/self/ns/$1" --arg t "$2" --arg p "/proc/$PID/ns/$1" \
    'join_ns($t; $p) | if $t == "uts" then del(.hostname) else . end'
  assert_eq "$OUT" "$theirs"
}
test_no_linux_at_all() {
  differs runc,crun "want the object"
  bundle c1 'sh("echo hello") | del(.linux, .mounts, .hostname, .root.readonly)'
  run_ok run --bundle "$B" c1
  assert_eq "$OUT" hello
}

test_joined_ipc() { joined ipc ipc; }
test_joined_network() { joined net network; }
test_joined_pid() { joined pid pid; }
test_joined_uts() { joined uts uts; }
test_joined_cgroup() { joined cgroup cgroup; }

test_joined_pid_namespace_shares_processes() {
  bundle c0 'args(["sleep", "1000"])'
  run_ok run --detach --bundle "$B" c0
  pid_of c0
  in_container 'cat /proc/1/cmdline | tr "\0" " "; test $$ != 1' --arg p "/proc/$PID/ns/pid" 'join_ns("pid"; $p)'
  assert_eq "$OUT" 'sleep 1000 '
  assert_status c0 running
}

test_joined_all_that_engines_join() {
  bundle c0 'args(["sleep", "1000"])'
  run_ok run --detach --bundle "$B" c0
  pid_of c0
  in_container 'hostname; ip addr show lo | grep -c inet || :' --arg p "/proc/$PID/ns" \
    'join_ns("network"; $p + "/net") | join_ns("ipc"; $p + "/ipc") | join_ns("uts"; $p + "/uts") | join_ns("pid"; $p + "/pid") | del(.hostname)'
  assert_match "$OUT" '^runc'
}

test_joined_by_a_bind_mounted_file() {
  touch "$T/net"
  unshare --net sh -c "mount --bind /proc/self/ns/net '$T/net'"
  in_container 'readlink /proc/self/ns/net' --arg p "$T/net" 'join_ns("network"; $p)'
  assert_eq "$OUT" "net:[$(stat -Lc %i "$T/net")]"
  umount "$T/net"
}

test_joined_mount_namespace() {
  bundle c0 'args(["sleep", "1000"]) | tmpfs("/mnt"; [])'
  run_ok run --detach --bundle "$B" c0
  pid_of c0
  local theirs
  theirs=$(readlink "/proc/$PID/ns/mnt")
  differs runc,crun "set up the root inside of the joined namespace"
  bundle c1 --arg p "/proc/$PID/ns/mnt" 'sh("readlink /proc/self/ns/mnt") | join_ns("mount"; $p) | .mounts = []'
  rt run --bundle "$B" c1
  [ "$RC" != 0 ] || assert_eq "$OUT" "$theirs"
  assert_status c0 running
}

test_own_namespace_by_path_is_the_same_as_inherited() {
  in_container 'readlink /proc/self/ns/net' 'join_ns("network"; "/proc/self/ns/net")'
  assert_eq "$OUT" "$(own net)"
}

test_hostname() {
  local before
  before=$(hostname)
  in_container 'hostname; cat /proc/sys/kernel/hostname' '.hostname = "box-1.example"'
  assert_eq "$OUT" $'box-1.example\nbox-1.example'
  assert_eq "$(hostname)" "$before"
}

test_hostname_in_a_joined_uts_namespace() {
  bundle c0 'args(["sleep", "1000"]) | .hostname = "first"'
  run_ok run --detach --bundle "$B" c0
  pid_of c0
  in_container 'hostname' --arg p "/proc/$PID/ns/uts" 'join_ns("uts"; $p) | .hostname = "second"'
  assert_eq "$OUT" second
}

test_domainname() {
  differs runc "1.1 has no domainname"
  in_container 'cat /proc/sys/kernel/domainname' '.domainname = "example.org"'
  assert_eq "$OUT" example.org
}

test_network_namespace_has_only_a_loopback() {
  in_container 'ls /sys/class/net'
  assert_eq "$OUT" lo
}

test_loopback_of_a_new_network_namespace_is_up() {
  in_container 'cat /sys/class/net/lo/flags; ip addr show lo' '.process.capabilities.effective = []'
  assert_match "$OUT" '127\.0\.0\.1/8'
}

test_ipc_namespace_is_empty() {
  local id
  id=$(ipcmk -M 4096 | grep -o '[0-9]*')
  in_container 'tail -n +2 /proc/sysvipc/shm | wc -l'
  ipcrm -m "$id"
  assert_eq "$OUT" 0
}

test_cgroup_namespace_is_rooted_in_the_containers_cgroup() {
  in_container 'cat /proc/self/cgroup'
  assert_line "$OUT" '0::/'
}

test_message_queues_belong_to_root() {
  in_container 'stat -c %u:%g /dev/mqueue'
  assert_eq "$OUT" 0:0
}

test_mount_namespace_does_not_leak_to_the_host() {
  bundle c1 'args(["sleep", "100"]) | tmpfs("/mnt"; [])'
  run_ok run --detach --bundle "$B" c1
  assert_no_match "$(</proc/self/mountinfo)" "$B/rootfs"
}

test_root_that_is_read_only_without_a_new_mount_namespace() {
  differs crun "takes no config without mounts"
  differs runc "needs a /proc in the root folder then"
  bundle c1 'no_ns("mount") | del(.mounts, .linux.maskedPaths, .linux.readonlyPaths) | .root.readonly = true | sh("touch /x && echo wrote")'
  rt run --bundle "$B" c1
  assert_eq "$RC $OUT" '0 wrote' "$ERR"
  [ "$RUNTIME_NAME" != knarr ] || assert_match "$ERR" 'warning: root.readonly'
  rm "$B/rootfs/x"
}

# ---- kernel parameters ----

parameters='.linux.sysctl = {"net.ipv4.ip_forward": "1", "kernel.msgmax": "4321", "fs.mqueue.msg_max": "17"}'
shows_parameters() { in_container 'cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax /proc/sys/fs/mqueue/msg_max' "$parameters | ${1:-.}"; assert_eq "$OUT" $'1\n4321\n17'; }

test_sysctl() { shows_parameters; }

test_sysctl_where_the_runtimes_proc_sys_is_read_only() {
  mount --bind /proc/sys /proc/sys
  mount -o remount,bind,ro /proc/sys
  trap 'umount /proc/sys' EXIT
  shows_parameters
}

test_sysctl_where_the_runtimes_proc_sys_is_covered() {
  mkdir -p "$T/sys/net/ipv4" "$T/sys/kernel" "$T/sys/fs/mqueue"
  touch "$T/sys/net/ipv4/ip_forward" "$T/sys/kernel/msgmax" "$T/sys/fs/mqueue/msg_max"
  cp -r /proc/sys/kernel/{cap_last_cap,ngroups_max,osrelease,pid_max} "$T/sys/kernel/"
  mount --bind "$T/sys" /proc/sys
  trap 'umount /proc/sys' EXIT
  shows_parameters
  assert_eq "$(<"$T/sys/kernel/msgmax")" ''
}

test_sysctl_in_a_joined_namespace_where_proc_sys_is_read_only() {
  bundle c2 'args(["sleep", "100"])'
  run_ok run --detach --bundle "$B" c2
  pid_of c2
  mount --bind /proc/sys /proc/sys
  mount -o remount,bind,ro /proc/sys
  trap 'umount /proc/sys' EXIT
  shows_parameters "join_ns(\"network\"; \"/proc/$PID/ns/net\") | join_ns(\"ipc\"; \"/proc/$PID/ns/ipc\")"
}
