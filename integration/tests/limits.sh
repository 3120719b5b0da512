# linux.resources: each limit is in the cgroup, and it bites.
# shellcheck shell=bash disable=SC2016 # $names in single quotes are jq's

test_a_fork_too_many_fails() {
  requires controller pids
  bundle c1 '.linux.resources.pids = {limit: 2} | sh("sleep 100 & sleep 100 & echo all; wait")'
  run_ok create --bundle "$B" c1
  assert_limits pids.max=2
  run_ok start c1
  eventually has_counted pids.events max
  [ -z "$(<"$LOG")" ] || fail "it forked: $(<"$LOG")"
}

test_a_limit_of_zero_leaves_the_first_process() {
  requires controller pids
  differs runc,crun "no limit in 1.1 and 1.8"
  bundle c1 '.linux.resources.pids = {limit: 0} | sh("sleep 100 & echo forked; wait")'
  run_ok create --bundle "$B" c1
  assert_limits pids.max=1
  local log=$LOG
  run_ok start c1
  eventually has_status c1 stopped
  assert_no_match "$(<"$log")" forked
}

test_no_limit_of_processes() {
  requires controller pids
  bundle c1 '.linux.resources.pids = {limit: -1} | args(["sleep", "100"])'
  run_ok create --bundle "$B" c1
  assert_limits pids.max=max
}

test_too_much_memory_is_killed() {
  requires controller memory
  # Files of a tmpfs are the container's memory, and cannot be dropped.
  bundle c1 '.linux.resources.memory = {limit: 16777216, swap: 16777216} | tmpfs("/tmp"; []) |
    sh("head -c 33554432 /dev/zero >/tmp/big; echo survived")'
  run_ok create --bundle "$B" c1
  assert_limits memory.max=16777216
  [ ! -e "$C/memory.swap.max" ] || assert_limits memory.swap.max=0
  local log=$LOG
  run_ok start c1
  eventually has_counted memory.events oom_kill
  run_ok delete --force c1
  [[ "$(<"$log")" != survived ]] || [ -n "$(<"${log%out}err")" ] || fail "nothing was killed"
}

test_a_limit_of_memory_that_is_too_low_to_start_in_is_named() {
  differs runc,crun "say that init has died"
  requires controller memory
  bundle c1 '.linux.resources.memory = {limit: 65536} | args(["true"])'
  run_fails 1 'linux.resources.memory.limit: 65536 bytes of memory are too few to start in.*oom_kill' run --bundle "$B" c1
}

test_a_limit_of_processes_that_is_too_low_for_hooks_is_named() {
  differs runc,crun "other words"
  requires controller pids
  bundle c1 '.linux.resources.pids = {limit: 1} | hook("startContainer"; "true") | args(["true"])'
  run_fails 1 'hooks.startContainer.*EAGAIN.*linux.resources.pids.limit' run --bundle "$B" c1
}

test_exec_without_room_for_its_process_names_the_limit() {
  differs runc,crun "other words"
  requires controller pids
  bundle c1 '.linux.resources.pids = {limit: 1} | args(["sleep", "100"])'
  run_ok run --detach --bundle "$B" c1
  local room
  for room in 1 2; do
    echo $room >"$C/pids.max"
    run_fails 255 "linux.resources.pids.limit: 1 processes are in the container, and its limit is $room \(pids.max\).*clone3.*EAGAIN" exec c1 true
  done
  echo 4 >"$C/pids.max"
  run_ok exec c1 true
}

test_exec_that_is_killed_for_memory_names_the_limit() {
  differs runc,crun "other words"
  requires controller memory
  bundle c1 'args(["sleep", "1000"]) | .process.oomScoreAdj = -1000'
  run_ok run --detach --bundle "$B" c1
  run_ok exec c1 true
  jq '.process + {args: ["true"], oomScoreAdj: 1000}' "$B/config.json" >"$T/process.json"
  echo 0 >"$C/memory.swap.max" 2>/dev/null || :
  echo 65536 >"$C/memory.max" 2>/dev/null || :
  rt exec --process "$T/process.json" c1
  assert_eq "$RC" 255
  assert_match "$ERR" 'linux.resources.memory.limit: .*65536 bytes.*oom_kill'
}

test_memory_reservation_and_unlimited_memory() {
  requires controller memory
  bundle c1 '.linux.resources.memory = {limit: -1, reservation: 33554432} | args(["sleep", "100"])'
  run_ok create --bundle "$B" c1
  assert_limits memory.max=max memory.low=33554432
}

test_a_quota_throttles() {
  requires controller cpu
  bundle c1 '.linux.resources.cpu = {quota: 5000, period: 50000} | sh("while :; do :; done")'
  run_ok create --bundle "$B" c1
  assert_limits "cpu.max=5000 50000"
  run_ok start c1
  eventually has_counted cpu.stat nr_throttled
}

test_cpu_burst_up_to_the_quota() {
  requires controller cpu
  differs runc,crun "1.1 and 1.8 have no burst"
  bundle c1 '.linux.resources.cpu = {quota: 5000, period: 50000, burst: 5000} | args(["sleep", "100"])'
  run_ok create --bundle "$B" c1
  assert_limits "cpu.max=5000 50000" cpu.max.burst=5000
  run_ok delete --force c1
  bundle c2 '.linux.resources.cpu = {quota: 5000, period: 50000, burst: 50000}'
  run_fails 1 'cpu' create --bundle "$B" c2
}

test_cpu_shares() {
  requires controller cpu
  differs runc,crun "1.1 and 1.8 have the straight line"
  bundle c1 '.linux.resources.cpu = {shares: 512, idle: 0} | args(["sleep", "100"])'
  run_ok create --bundle "$B" c1
  assert_limits cpu.weight=59 cpu.idle=0
}

test_cpu_idle() {
  requires controller cpu
  differs runc,crun "the kernel refuses the weight of an idle cgroup"
  bundle c1 '.linux.resources.cpu = {shares: 512, idle: 1} | args(["sleep", "100"])'
  rt create --bundle "$B" c1
  assert_eq "$RC" 0
  assert_match "$ERR" 'warning: linux.resources.cpu.shares'
  assert_limits cpu.idle=1
}

test_unified_is_applied_last() {
  requires controller memory
  requires controller pids
  bundle c1 '.linux.resources += {memory: {limit: 67108864}, pids: {limit: 50},
    unified: {"memory.high": "33554432", "pids.max": "60", "memory.oom.group": "1"}} | args(["sleep", "100"])'
  run_ok create --bundle "$B" c1
  assert_limits memory.max=67108864 memory.high=33554432 pids.max=60 memory.oom.group=1
}

test_unified_file_of_an_absent_controller() {
  bundle c1 '.linux.resources.unified = {"frob.max": "1"}'
  if [ "$RUNTIME_NAME" = knarr ]; then
    run_fails 1 'linux.resources.unified.frob.max: the frob controller is not in the cgroup v2 tree' create --bundle "$B" c1
  fi
  run_fails 1 'frob' create --bundle "$B" c1
}

test_unified_file_that_is_not_there() {
  requires controller memory
  bundle c1 '.linux.resources.unified = {"memory.frob": "1"}'
  run_fails 1 'memory.frob' create --bundle "$B" c1
}

test_unified_value_that_is_refused() {
  requires controller memory
  bundle c1 '.linux.resources.unified = {"memory.high": "frob"}'
  run_fails 1 'memory.high' create --bundle "$B" c1
}

test_unified_files_of_the_cgroup_itself_are_refused() {
  differs runc,crun "writes them"
  local key
  for key in cgroup.procs cgroup.kill cgroup.freeze cgroup.subtree_control; do
    bundle c1 --arg key "$key" '.linux.resources.unified = {($key): "1"}'
    run_fails 1 "linux.resources.unified.$key" create --bundle "$B" c1
  done
}

test_unified_names_lead_nowhere_else() {
  local key
  for key in ../pids.max /etc/passwd memory/x.y; do
    bundle c1 --arg key "$key" '.linux.resources.unified = {($key): "1"}'
    run_fails 1 'unified|file|invalid' create --bundle "$B" c1
  done
}

test_weight_of_block_devices() {
  requires controller io
  differs runc "without BFQ nothing is written"
  bundle c1 '.linux.resources.blockIO = {weight: 500} | args(["sleep", "100"])'
  mkdir "$V2$BASE/probe"
  local bfq='' io=''
  [ ! -e "$V2$BASE/probe/io.bfq.weight" ] || bfq=1
  [ ! -e "$V2$BASE/probe/io.weight" ] || io=1
  rmdir "$V2$BASE/probe"
  if [ -z "$bfq$io" ]; then
    run_fails 1 'io.weight' create --bundle "$B" c1
    return
  fi
  run_ok create --bundle "$B" c1
  if [ -n "$bfq" ]; then assert_match "$(<"$C/io.bfq.weight")" '500$'; else assert_limits "io.weight=default 4950"; fi
}

test_throttle_of_a_device_that_is_not_there() {
  requires controller io
  bundle c1 '.linux.resources.blockIO.throttleReadBpsDevice = [{major: 4095, minor: 77, rate: 1048576}]'
  run_fails 1 'io.max|rbps' create --bundle "$B" c1
}

test_swap_needs_memory() {
  bundle c1 '.linux.resources.memory = {swap: 67108864}'
  run_fails 1 'swap' create --bundle "$B" c1
  bundle c1 '.linux.resources.memory = {limit: 67108864, swap: 33554432}'
  run_fails 1 'swap' create --bundle "$B" c1
}

test_fields_of_cgroup_v1_are_warnings() {
  differs crun "errors"
  bundle c1 '.linux.resources += {memory: {swappiness: 10, disableOOMKiller: true}, network: {classID: 1}} | args(["true"])'
  rt run --bundle "$B" c1
  assert_eq "$RC" 0
  [[ $RUNTIME_NAME == runc ]] || assert_eq "$(grep -c 'warning: linux.resources' <<<"$ERR")" 3
}

test_parents_get_the_controllers_that_are_needed() {
  requires controller pids
  bundle c1 --arg b "$BASE" '.linux.cgroupsPath = $b + "/deep/er/c1" | .linux.resources.pids = {limit: 9} | args(["sleep", "100"])'
  run_ok create --bundle "$B" c1
  assert_eq "$(<"$V2$BASE/deep/er/c1/pids.max")" 9
  run_ok delete --force c1
  rmdir "$V2$BASE"/{deep/er,deep} 2>/dev/null || :
}

test_a_parent_with_processes_is_an_error() {
  requires controller pids
  requires controller memory
  differs runc,crun "make the cgroup threaded"
  mkdir "$V2$BASE/full"
  sleep 1000 &
  echo $! >"$V2$BASE/full/cgroup.procs"
  local limit
  for limit in 'pids.limit = 9' 'memory.limit = 67108864'; do
    bundle c1 --arg b "$BASE" '.linux.cgroupsPath = $b + "/full/c1" | .linux.resources.'"$limit"
    run_fails 1 "linux.resources.${limit% =*}: enable ${limit%%.*} below .*/full: processes are in it" create --bundle "$B" c1
  done
  assert_eq "$(<"$V2$BASE/full/cgroup.type")" domain
  kill %1
  wait %1 || :
  rmdir "$V2$BASE/full"
}
