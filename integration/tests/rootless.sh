# Containers of an ordinary user, without any right of root's.
# shellcheck shell=bash

# shellcheck source=../words/seccomp.sh
. "$STAGE/words/seccomp.sh"
# shellcheck source=../words/user.sh
. "$STAGE/words/user.sh"

test_root_inside_is_the_user() {
  as_user
  in_own_container 'id -u; id -g; tr -s " " </proc/self/uid_map; tr -s " " </proc/self/gid_map; cat /proc/self/setgroups; touch /tmp/x && stat -c %u /tmp/x' 'rw'
  assert_eq "$OUT" $'0\n0\n 0 1000 1\n 0 1000 1\ndeny\n0'
  assert_eq "$(stat -c %u "$B/rootfs/tmp/x")" 1000
}

test_all_of_sys_is_read_only() {
  differs runc,crun "another config.json, or only its top"
  as_user
  in_own_container 'grep -c " /sys/fs/cgroup " /proc/self/mounts; grep " /sys" /proc/self/mounts | grep -vE "^[^ ]+ [^ ]+ [^ ]+ (ro|[^ ]*,ro)[, ]"; ls /sys/fs/cgroup/cgroup.procs'
  assert_match "$OUT" '^[1-9][0-9]*'$'\n''/sys/fs/cgroup/cgroup.procs$'
}

# Their own cgroup, in which they may write outside.
test_the_sessions_cgroups_are_out_of_reach() {
  differs runc,crun "another config.json, or only its top"
  mkdir "$V2$BASE/session"
  chown -R 1000:1000 "$V2$BASE/session"
  as_user
  in_own_container 'find() { for f in "$1"/*; do [ "${f##*/}" != session ] || echo "$f"; [ ! -d "$f" ] || [ -L "$f" ] || find "$f"; done; }
    find /sys/fs/cgroup; for f in $(find /sys/fs/cgroup); do echo 1 >$f/cgroup.kill && echo killed; mkdir $f/x && echo made; done; true' 'no_ns("cgroup")'
  assert_match "$OUT" '/session'
  assert_no_match "$OUT" 'killed|made'
  rmdir "$V2$BASE/session"
}

test_mounts_devices_and_masks() {
  as_user
  in_own_container 'for d in /proc /dev /dev/pts /dev/shm /sys; do grep -q " $d " /proc/self/mounts || echo "no $d"; done
    for d in null zero full random urandom tty; do test -c /dev/$d || echo "no $d"; done; echo x >/dev/null; cat /proc/keys; touch /x 2>/dev/null || echo read-only'
  assert_eq "$OUT" read-only
}

test_its_life() {
  as_user
  own_bundle c1 'args(["sleep", "1000"])'
  run_ok create --bundle "$B" c1
  assert_status c1 created
  run_ok start c1
  assert_status c1 running
  run_ok exec c1 sh -c 'id -u; hostname'
  assert_match "$OUT" '^0'
  run_ok kill c1 KILL
  eventually has_status c1 stopped
  run_ok delete c1
  assert_unknown c1
}

test_exec_status_and_errors() {
  as_user
  own_bundle c1 'args(["sleep", "1000"])'
  run_ok run --detach --bundle "$B" c1
  rt exec c1 sh -c 'exit 7'
  assert_eq "$RC" 7
  rt exec c1 /nonexistent
  [ "$RC" != 0 ] || fail 'no error'
  run_ok delete --force c1
}

test_exec_in_one_that_is_only_created() {
  differs runc,crun 'runc does it'
  as_user
  own_bundle c1 'args(["sleep", "1000"])'
  run_ok create --bundle "$B" c1
  run_fails 255 'only created.*only root can enter.*EPERM' exec c1 true
  assert_status c1 created
  run_ok start c1
  run_ok exec c1 true
}

test_delete_force_ends_all_processes() {
  as_user
  own_bundle c1 'sh("sleep 1001 & sleep 1002")'
  run_ok run --detach --bundle "$B" c1
  run_ok delete --force c1
  ! pgrep -x -f 'sleep 1001' || fail 'a process is left'
}

test_the_default_root_is_the_sessions() {
  as_user
  own_bundle c1 'args(["sleep", "1000"])'
  "$RUNTIME" run --detach --bundle "$B" own </dev/null >/dev/null 2>"$T/err" || fail "$(<"$T/err")"
  assert_match "$("$RUNTIME" list --quiet)" own
  [ -n "$(find "$T/run" -mindepth 2 -maxdepth 2 -name own)" ] || fail "not below $T/run"
  "$RUNTIME" delete --force own
}

test_called_by_root_of_the_users_namespace() { # as Podman does
  as_user
  own_bundle c1 'no_ns("user") | del(.linux.uidMappings, .linux.gidMappings) | .linux.namespaces += [{type: "network"}] | .annotations["run.oci.keep_original_groups"] = "1"
    | sh("id -u; for d in null zero full random urandom tty; do test -c /dev/$d || echo no $d; done; echo x >/dev/null; echo end")'
  cat >"$T/as-root" <<SH
#!/bin/sh
XDG_RUNTIME_DIR=$T/run exec setpriv --reuid 1000 --regid 1000 --clear-groups --inh-caps=-all -- unshare --user --map-root-user --mount $T/.runtime "\$@"
SH
  chmod 755 "$T/as-root"
  env -u USER "$T/as-root" run --detach --bundle "$B" c1 >out 2>err </dev/null || fail "$(<err)"
  env -u USER "$T/as-root" list -q >ids; assert_eq "$(<ids)" c1
  eventually is_line_in end out
  assert_eq "$(<out)" $'0\nend'
  assert_exists "$T/run/${RUNTIME_NAME}/c1"
  env -u USER "$T/as-root" delete --force c1
}
test_a_terminal() {
  as_user
  own_bundle c1 '.process.terminal = true | sh("tty")'
  local out
  out=$(timeout 20 "$STAGE/helpers/tty" "$RUNTIME" --root "$ROOT" run --bundle "$B" c1 </dev/null) || fail "$out"
  assert_match "$out" '/dev/(pts/0|console)'
}

test_ids_of_subuid() {
  differs runc 'it gives no supplementary groups'
  as_user
  in_own_container 'id -u; tr -s " " </proc/self/uid_map' '.linux.uidMappings += [{containerID: 1, hostID: 100000, size: 65536}] |
    .linux.gidMappings += [{containerID: 1, hostID: 100000, size: 65536}] | .process.user = {uid: 5, gid: 6, additionalGids: [7]}'
  assert_eq "$OUT" $'5\n 0 1000 1\n 1 100000 65536'
}

test_a_network_of_its_own() {
  as_user
  in_own_container 'cat /sys/class/net/lo/flags 2>/dev/null; ip link set lo down' '.linux.namespaces += [{type: "network"}] |
    .mounts |= map(if .destination == "/sys" then {destination: "/sys", type: "sysfs", source: "sysfs", options: ["ro"]} else . end) | caps(["CAP_NET_ADMIN"])'
  assert_match "$OUT" '^0x'
}

test_a_folder_of_the_users() {
  as_user
  mkdir "$T/data"
  echo data >"$T/data/f"
  chown -R 1000:1000 "$T/data"
  in_own_container 'cat /data/f; echo new >/data/g; touch /ro/x 2>/dev/null || echo read-only' --arg s "$T/data" \
    'rw | bind($s; "/data"; []) | bind($s; "/ro"; ["ro"])'
  assert_eq "$OUT" $'data\nread-only'
  assert_eq "$(stat -c %u "$T/data/g")" 1000
}

test_offsets_of_a_time_namespace() {
  differs runc,crun 'too old'
  requires file /proc/self/ns/time
  as_user
  in_own_container 'cut -d. -f1 /proc/uptime' '.linux.namespaces += [{type: "time"}] | .linux.timeOffsets = {boottime: {secs: 1000000000}}'
  [ "$OUT" -ge 1000000000 ] || fail "the clock did not jump: $OUT"
}

test_nobody_may_look_into_a_waiting_init() {
  as_user
  own_bundle c1 'args(["sleep", "1000"])'
  run_ok create --bundle "$B" c1
  pid_of c1
  ! setpriv --reuid 1000 --regid 1000 --clear-groups --inh-caps=-all -- readlink "/proc/$PID/root" 2>/dev/null || fail 'its root can be followed'
}

# ---- what an ordinary user cannot have ----
refused() { # REGEX FILTER
  own_bundle c1 "$2"
  run_fails 1 "$1" run --bundle "$B" c1
}
test_ids_that_are_not_given_to_the_user() {
  as_user
  refused 'newuidmap|uid_map|permi' '.linux.uidMappings[0].hostID = 0'
}
test_no_user_namespace() {
  as_user
  refused 'permi|user namespace' 'no_ns("user") | del(.linux.uidMappings, .linux.gidMappings)'
}
test_a_limit_without_a_cgroup() {
  differs runc,crun 'it is left out in silence'
  as_user
  refused 'linux.cgroupsPath|pids|permission' '.linux.resources = {pids: {limit: 10}}'
}
test_an_id_mapped_mount() {
  differs runc,crun 'too old'
  as_user
  refused 'only root can map the ids' 'bind("/tmp"; "/m"; ["idmap"])'
}
test_exec_has_the_oom_score_of_the_container() {
  differs crun "1.8 leaves the caller's"
  as_user
  own_bundle c1 'args(["sleep", "1000"]) | .process.oomScoreAdj = 300'
  run_ok run --detach --bundle "$B" c1
  run_ok exec c1 cat /proc/self/oom_score_adj
  assert_eq "$OUT" 300
}

test_a_lower_oom_score() {
  differs runc 'it is left out in silence'
  as_user
  refused 'oom_score_adj|oomScoreAdj' '.process.oomScoreAdj = -500'
}
test_supplementary_groups() {
  as_user
  refused 'additionalGids|setgroups|mapped|gid|group' '.process.user.additionalGids = [0]'
}

# in_namespace: from here on the runtime is called by root of a user namespace of user 1000's, as rootless engines do it.
in_namespace() {
  as_user
  cat >"$RUNTIME" <<SH
#!/bin/sh
echo 1000:100000:65536 >$T/subids
exec unshare --mount sh -c 'mount --bind $T/subids /etc/subuid && mount --bind $T/subids /etc/subgid &&
  XDG_RUNTIME_DIR=$T/run exec setpriv --reuid 1000 --regid 1000 --clear-groups --inh-caps=-all -- unshare --user --mount --map-root-user --map-auto -- $T/.runtime "\$@"' sh "\$@"
SH
}

test_root_of_a_user_namespace() {
  in_namespace
  differs runc,crun 'need a cgroup that this user may write'
  own_bundle c1 'rw | sh("id -u; tr -s \" \" </proc/self/uid_map; for d in null zero full random urandom tty; do test -c /dev/$d || echo no $d; done; touch /x && stat -c %u /x; test -e /dev/pts/ptmx && echo pts") | del(.linux.uidMappings, .linux.gidMappings) | no_ns("user") | no_ns("cgroup")'
  run_ok run --bundle "$B" c1
  assert_eq "$OUT" $'0\n 0 1000 1\n 1 100000 65535\n0\npts'
  assert_eq "$(stat -c %u "$B/rootfs/x")" 1000
  run_ok run --overlay --bundle "$B" c1
  assert_match "$OUT" $'0\n 0 1000 1'
}

test_root_of_another_user_namespace_of_the_user_deletes() {
  in_namespace
  differs runc,crun 'need a cgroup that this user may write'
  own_bundle c1 'args(["sleep", "100"]) | del(.linux.uidMappings, .linux.gidMappings) | no_ns("user") | no_ns("cgroup")'
  run_ok run --detach --bundle "$B" c1
  eventually has_status c1 running
  run_ok delete --force c1
}

test_root_of_a_user_namespace_that_may_drop_no_groups() {
  in_namespace
  differs runc,crun 'need a cgroup that this user may write'
  sed -i 's/--map-root-user --map-auto/--map-root-user/' "$RUNTIME"
  own_bundle c1 'sh("cat /proc/self/setgroups") | del(.linux.uidMappings, .linux.gidMappings) | no_ns("user") | no_ns("cgroup")'
  run_ok run --bundle "$B" c1
  assert_eq "$OUT" deny
}

test_the_pid_namespace_of_another_container() { # --pid container:c1, of an ordinary user's Docker
  in_namespace
  differs runc,crun 'need a cgroup that this user may write'
  own_bundle c1 'args(["sleep", "1000"]) | del(.linux.uidMappings, .linux.gidMappings) | no_ns("user") | no_ns("cgroup")'
  run_ok run --detach --bundle "$B" c1
  eventually has_status c1 running
  pid_of c1
  sed -i "s/unshare --user --mount --map-root-user --map-auto/nsenter --target $PID --user --preserve-credentials unshare --mount/" "$RUNTIME"
  own_bundle c2 --arg p "/proc/$PID/ns/pid" 'sh("tr \"\\0\" \" \" </proc/1/cmdline") |
    del(.linux.uidMappings, .linux.gidMappings) | no_ns("user") | no_ns("cgroup") | join_ns("pid"; $p)'
  run_ok run --bundle "$B" c2
  assert_eq "$OUT" 'sleep 1000 '
}

test_the_folder_of_root_is_told_from_ones_own() {
  differs runc,crun 'say permission denied'
  own_bundle c1
  as_user
  sed -i 's/XDG_RUNTIME_DIR=[^ ]* exec/exec env -u XDG_RUNTIME_DIR/' "$RUNTIME"
  chmod 755 "$T"
  local rc=0
  "$RUNTIME" create --bundle "$B" c1 >"$T/out" 2>&1 || rc=$?
  assert_eq "$rc" 1
  assert_match "$(<"$T/out")" 'create c1: --root /run/knarr .*XDG_RUNTIME_DIR.*spec --rootless.*permission denied'
}

test_standard_pipes_belong_to_the_process_user() {
  as_user
  own_bundle c1 'sh("read line </dev/stdin; echo $line >/dev/stdout") | .process.user = {uid: 5, gid: 5} | .linux.uidMappings += [{containerID: 1, hostID: 100000, size: 100}] | .linux.gidMappings += [{containerID: 1, hostID: 100000, size: 100}]'
  OUT=$(echo word | setpriv --reuid 1000 --regid 1000 --clear-groups cat | { chown 1000:1000 /proc/self/fd/0; "$RUNTIME" --root "$ROOT" run --bundle "$B" c1; } 2>"$T/err" | { chown 1000:1000 /proc/self/fd/0; cat; })
  assert_eq "$OUT" word "$(<"$T/err")"
}

test_kill_all_of_a_stopped_container_is_done() {
  as_user
  own_bundle c1 'args(["true"])'
  run_ok run --detach --bundle "$B" c1
  eventually has_status c1 stopped
  run_ok kill --all c1 TERM
  run_ok kill --all c1 KILL
}

# ---- cgroups ----

# What a user's own systemd does for them: the cgroup above the caller's belongs to the user.
delegated() {
  as_user
  chown 1000:1000 "$V2$BASE" "$V2$BASE/cgroup.procs" "$V2$BASE/cgroup.subtree_control" "$V2$BASE/cgroup.threads"
}
undelegated() { chown 0:0 "$V2$BASE" "$V2$BASE/cgroup.procs" "$V2$BASE/cgroup.subtree_control" "$V2$BASE/cgroup.threads"; }

test_a_container_without_limits_has_a_cgroup_where_the_user_may_make_one() {
  differs crun "makes none"
  delegated
  own_bundle c1 'args(["sleep", "1000"]) | del(.linux.cgroupsPath, .linux.resources)'
  run_ok run --detach --bundle "$B" c1
  assert_exists "$V2$BASE/c1/cgroup.procs"
  run_ok pause c1
  assert_status c1 paused
  run_ok resume c1
  run_ok ps --format json c1
  assert_jq "$OUT" 'length == 1'
  run_ok exec c1 true
  run_ok kill c1 KILL
  eventually has_status c1 stopped
  run_ok delete c1
  assert_absent "$V2$BASE/c1"
  undelegated
}

test_a_container_without_a_cgroup_says_why() {
  as_user
  own_bundle c1 'args(["sleep", "1000"]) | del(.linux.cgroupsPath, .linux.resources)'
  run_ok run --detach --bundle "$B" c1
  [ "$RUNTIME_NAME" = knarr ] || return 0
  run_fails 1 'the container has no cgroup: .* a user who may make none beside the caller.s own' pause c1
}

notified() { # FILTER: an agent is to answer mkdir(2) of c1
  as_user
  own_bundle c1 --arg agent "$T/agent.sock" "$(profile SCMP_ACT_ALLOW "$(rule '["mkdir", "mkdirat"]' SCMP_ACT_NOTIFY)") |
    .linux.seccomp.listenerPath = \$agent | $1"
}
agent() { # for one process, and anybody
  rm -f "$T/agent.sock"
  "$STAGE/helpers/seccomp-agent" "$T/agent.sock" "$T/state.json" &
  eventually [ -S "$T/agent.sock" ]
  chmod 777 "$T/agent.sock"
}

test_a_seccomp_agent_answers() {
  notified 'sh("mkdir /tmp/x 2>&1")'
  agent
  rt run --bundle "$B" c1
  assert_match "$OUT$ERR" 'No medium found'
  wait
  assert_jq "$(<"$T/state.json")" '.fds == ["seccompFd"] and .state.id == "c1"'
}

test_a_seccomp_agent_is_there_before_the_first_call() { # which is read(2), of init, and the agent refuses what it is asked
  notified "args([\"true\"]) | .linux.seccomp.syscalls += [$(rule '["read", "close"]' SCMP_ACT_NOTIFY)]"
  agent
  run_fails 1 'read: no medium found' run --bundle "$B" c1
  wait
}

test_a_seccomp_agent_answers_exec() {
  notified 'args(["sleep", "1000"])'
  agent
  run_ok run --detach --bundle "$B" c1
  agent
  rt exec c1 mkdir /tmp/x
  assert_match "$ERR" 'No medium found'
  run_ok delete --force c1
  wait
}

test_a_seccomp_agent_that_would_answer_what_its_descriptor_comes_by() {
  differs runc,crun "make it without"
  notified "args([\"true\"]) | .linux.seccomp.syscalls += [$(rule '["sendmsg"]' SCMP_ACT_NOTIFY)]"
  run_fails 1 'linux.seccomp.listenerPath: .*by sendmsg' run --bundle "$B" c1
}

test_mounts_are_added_and_taken_away() {
  differs runc,crun "no such command, or none for an ordinary user"
  as_user
  mkdir "$T/data"
  echo there >"$T/data/file"
  own_bundle c1 'args(["sleep", "100"]) | rw'
  run_ok run -d --bundle "$B" c1
  run_ok mounts add c1 --source "$T/data" --target /data
  run_ok mounts add c1 --type tmpfs --target /scratch --options size=1m
  run_ok exec c1 sh -c 'cat /data/file; stat -c %u /scratch'
  assert_eq "$OUT" $'there\n0'
  run_fails 1 'mounts\[0\] /m: only root can mount overlay' mounts add c1 --type overlay --target /m --options "lowerdir=$T/data:$T"
  run_ok mounts remove c1 --all
  run_ok exec c1 cat /proc/self/mountinfo
  assert_no_match "$OUT" ' /(data|scratch) '
}
