# One cgroup a container, in cgroup v2: where it is, when it is joined, what is left of it.
# shellcheck shell=bash

procs() { slurp PROCS "$1/cgroup.procs"; }

# Parents that the runtime made may stay for others or go with the container.
rm_if_empty() { local d; for d; do [ ! -e "$d" ] || rmdir "$d"; done; }

test_absolute_path_is_relative_to_the_hierarchy() {
  bundle c1 'args(["sleep", "100"])'
  run_ok create --bundle "$B" c1
  pid_of c1
  assert_line "$(<"/proc/$PID/cgroup")" "0::$BASE/c1"
  procs "$C"
  assert_eq "$PROCS" "$PID"
}

test_absolute_path_with_missing_parents() {
  bundle c1 --arg b "$BASE" '.linux.cgroupsPath = $b + "/deep/er/c1" | args(["sleep", "100"])'
  run_ok create --bundle "$B" c1
  pid_of c1
  assert_line "$(<"/proc/$PID/cgroup")" "0::$BASE/deep/er/c1"
  run_ok delete --force c1
  assert_absent "$V2$BASE/deep/er/c1"
  rm_if_empty "$V2$BASE"/{deep/er,deep}
}

test_relative_path() {
  differs crun "relative to the root"
  bundle c1 '.linux.cgroupsPath = "rel/c1" | args(["sleep", "100"])'
  run_ok create --bundle "$B" c1
  pid_of c1
  # below the cgroup that this runtime's own cgroup is in
  assert_line "$(<"/proc/$PID/cgroup")" "0::$BASE/rel/c1"
  run_ok delete --force c1
  rm_if_empty "$V2$BASE/rel"
}

test_no_path() {
  differs crun "below the root"
  bundle c1 'del(.linux.cgroupsPath) | args(["sleep", "100"])'
  run_ok create --bundle "$B" c1
  pid_of c1
  assert_line "$(<"/proc/$PID/cgroup")" "0::$BASE/c1"
  run_ok delete --force c1
  assert_absent "$V2$BASE/c1"
}

test_paths_that_lead_out_are_clamped() {
  requires uml "the cgroup of another may be the target"
  bundle c1 --arg b "$BASE" '.linux.cgroupsPath = $b + "/../../../" + $b + "/c1" | args(["sleep", "100"])'
  rt create --bundle "$B" c1
  [ "$RC" != 0 ] || { pid_of c1; assert_match "$(<"/proc/$PID/cgroup")" "0::$BASE/c1"; }
}

test_the_init_is_in_its_cgroup_from_birth() {
  # A hook that runs before the container's own cgroup could have been joined late would see it elsewhere.
  bundle c1 --arg t "$T" 'hook("prestart"; "pid=$(sed \"s/.*\\\"pid\\\": *\\([0-9]*\\).*/\\1/\"); cat /proc/$pid/cgroup >\($t)/cgroup") |
    .hooks.prestart[0].env = ["PATH=/usr/bin:/bin"] | args(["true"])'
  run_ok run --bundle "$B" c1
  assert_line "$(<"$T/cgroup")" "0::$BASE/c1"
}

test_children_are_in_the_cgroup() {
  bundle c1 'sh("sleep 100 & sleep 100 & echo ready; sleep 100; true")'
  run_ok run --detach --bundle "$B" c1
  eventually is_line_in ready "$LOG"
  eventually has_procs "$C" 4
}

has_procs() { procs "$1"; [ "$(wc -w <<<"$PROCS")" = "$2" ]; }

test_limits_are_set() {
  requires controller memory
  requires controller pids
  requires controller cpu
  bundle c1 '.linux.resources += {memory: {limit: 67108864}, pids: {limit: 99}, cpu: {shares: 512, quota: 50000, period: 100000}} | args(["sleep", "100"])'
  run_ok create --bundle "$B" c1
  assert_eq "$(<"$C/memory.max")" 67108864
  assert_eq "$(<"$C/pids.max")" 99
  assert_eq "$(<"$C/cpu.max")" '50000 100000'
}

test_pids_limit_holds() {
  requires controller pids
  bundle c1 '.linux.resources.pids = {limit: 3} | sh("sleep 1 & sleep 1 & sleep 1 & sleep 1 & wait; echo all")'
  rt run --bundle "$B" c1
  assert_no_match "$OUT" all
}

test_limit_of_a_controller_that_is_not_in_v2_is_refused() {
  [[ " $(<"$V2/cgroup.controllers") " != *" memory "* ]] || skip "needs a v2 tree without the memory controller"
  bundle c1 '.linux.resources.memory = {limit: 67108864}'
  run_fails 1 'memory' create --bundle "$B" c1
}

test_no_limits_no_controllers_needed() {
  bundle c1 'del(.linux.resources) | args(["true"])'
  run_ok run --bundle "$B" c1
}

test_kill_all_ends_sub_cgroups_too() {
  differs runc "1.1 does not look below"
  bundle c1 'args(["sleep", "1000"])'
  run_ok run --detach --bundle "$B" c1
  mkdir "$C/sub"
  sleep 1000 &
  echo $! >"$C/sub/cgroup.procs"
  local moved=$!
  run_ok kill --all c1 KILL
  eventually has_status c1 stopped
  wait "$moved" || assert_eq $? 137
  run_ok delete c1
  assert_absent "$C"
}

test_delete_removes_sub_cgroups() {
  bundle c1 'args(["true"])'
  run_ok create --bundle "$B" c1
  mkdir -p "$C/a/b" "$C/c"
  run_ok start c1
  eventually has_status c1 stopped
  run_ok delete c1
  assert_absent "$C"
}

test_delete_force_of_many_processes() {
  bundle c1 'sh("i=0; while [ $i -lt 50 ]; do sleep 1000 & i=$((i+1)); done; echo ready; wait")'
  run_ok run --detach --bundle "$B" c1
  eventually is_line_in ready "$LOG"
  run_ok delete --force c1
  assert_absent "$C"
}

test_cgroup_that_is_not_empty_is_refused() {
  differs runc,crun "1.1 only warns, crun accepts it"
  bundle c1
  mkdir "$C"
  sleep 1000 &
  echo $! >"$C/cgroup.procs"
  run_fails 1 'not empty|cgroup' create --bundle "$B" c1
  kill -0 %1 # its process is not ours to kill
  kill %1
  wait %1 || :
  rmdir "$C"
}

test_cgroup_that_is_frozen_is_refused_at_once() {
  differs crun "hangs"
  bundle c1
  mkdir "$C"
  echo 1 >"$C/cgroup.freeze"
  local before=$SECONDS
  run_fails 1 'frozen|freez' create --bundle "$B" c1
  [ $((SECONDS - before)) -lt 5 ] || fail "took $((SECONDS - before)) s"
  [ "$RUNTIME_NAME" != knarr ] || assert_match "$ERR" "/c1 is frozen, by cgroup.freeze of .*/c1\$"
  rmdir "$C"
}

test_two_containers_cannot_share_a_cgroup() {
  differs runc,crun "1.1 only warns, crun accepts it"
  bundle c1 'args(["sleep", "100"])'
  run_ok create --bundle "$B" c1
  run_fails 1 'cgroup' create --bundle "$B" c2
  assert_status c1 created
}

test_delete_while_another_sits_in_the_cgroup() {
  differs runc "1.1 leaves both"
  # A process that someone else put there (an engine's helper) goes with the container at delete --force.
  bundle c1 'args(["sleep", "1000"])'
  run_ok run --detach --bundle "$B" c1
  sleep 1000 &
  local other=$!
  echo "$other" >"$C/cgroup.procs"
  run_ok delete --force c1
  assert_absent "$C"
  eventually is_gone "$other"
}

test_devices_are_denied_by_default() {
  in_container 'mknod /tmp/sda b 8 0 2>/dev/null; ! head -c 1 /tmp/sda 2>/dev/null; mknod /tmp/null c 1 3 && echo x >/tmp/null && echo ok' \
    'tmpfs("/tmp"; []) | caps(["CAP_MKNOD", "CAP_DAC_OVERRIDE"])'
  assert_eq "$OUT" ok
}

test_all_controllers_of_the_tree_are_enabled() {
  requires uml 'a tree with controllers'
  bundle c1 'args(["sleep", "1000"]) | del(.linux.resources)'
  run_ok run --detach --bundle "$B" c1
  local controller
  for controller in cpu io memory pids; do [[ " $(<"$C/cgroup.controllers") " == *" $controller "* ]] || fail "no $controller"; done
}

test_a_container_hands_controllers_on() {
  requires uml 'a tree with controllers'
  in_container 'cd /sys/fs/cgroup && mkdir sub && echo 1 >sub/cgroup.procs && echo "+pids +memory" >cgroup.subtree_control && cat sub/cgroup.controllers' \
    '(.mounts[] | select(.destination == "/sys/fs/cgroup") | .options) -= ["ro"]'
  assert_eq "$OUT" 'memory pids'
}

test_a_path_that_can_be_made_in_part_only() {
  differs runc,crun "what was made of it stays"
  local slice=$V2$BASE/slice
  mkdir "$slice"
  echo 1 >"$slice/cgroup.max.depth"
  bundle c1 --arg path "$BASE/slice/a/b/c" '.linux.cgroupsPath = $path'
  run_fails 1 'linux.cgroupsPath.*EAGAIN' create --bundle "$B" c1
  bundle c1 --arg path "$BASE/slice/cgroup.procs" '.linux.cgroupsPath = $path'
  run_fails 1 'linux.cgroupsPath.*ENOTDIR' create --bundle "$B" c1
  rmdir "$slice"
}
