# update: new limits of a container that is there; each is in the cgroup, and it bites.
# shellcheck shell=bash disable=SC2016 # $names in single quotes are jq's

made() { # [JQ-FILTER]: the container c1, created
  bundle c1 "args([\"sleep\", \"1000\"]) | ${1:-.}"
  run_ok create --bundle "$B" c1
}

test_pids_limit() {
  requires controller pids
  bundle c1 'sh("while [ ! -e /tmp/go ]; do sleep 0.05; done; sleep 100 & sleep 100 & echo all; wait") | tmpfs("/tmp"; [])'
  run_ok run --detach --bundle "$B" c1
  local log=$LOG
  run_ok update --pids-limit 2 c1
  assert_limits pids.max=2
  pid_of c1
  : >"/proc/$PID/root/tmp/go"
  eventually has_counted pids.events max
  assert_no_match "$(<"$log")" all
}

test_pids_limit_of_none_and_of_nothing() {
  requires controller pids
  differs runc,crun "0 is no limit in 1.1 and 1.8"
  made '.linux.resources.pids = {limit: 9}'
  run_ok update --pids-limit -1 c1
  assert_limits pids.max=max
  run_ok update --pids-limit=0 c1
  assert_limits pids.max=1
}

test_options_may_follow_the_id() {
  requires controller pids
  differs crun "one argument only"
  made
  run_ok update c1 --pids-limit 77
  assert_limits pids.max=77
}

test_memory_and_swap() {
  requires controller memory
  differs crun "a suffix makes it 0"
  made '.linux.resources.memory = {limit: 67108864}'
  run_ok update --memory 32M c1
  assert_limits memory.max=33554432
  run_ok update --memory 40M --memory-reservation 20m c1
  assert_limits memory.max=41943040 memory.low=20971520
  run_ok update --memory -1 c1
  assert_limits memory.max=max
}

test_memory_swap_is_the_sum() {
  requires controller memory
  requires file "$V2$BASE/runner/memory.swap.max"
  differs crun "a suffix makes it 0"
  made '.linux.resources.memory = {limit: 67108864, swap: 67108864}'
  assert_limits memory.swap.max=0
  run_ok update --memory 64M --memory-swap 96M c1
  assert_limits memory.max=67108864 memory.swap.max=33554432
  run_ok update --memory-swap -1 c1
  assert_limits memory.swap.max=max
}

test_memory_swap_alone_goes_with_the_memory_in_force() {
  requires controller memory
  requires file "$V2$BASE/runner/memory.swap.max"
  differs runc,crun "an error, or the sum itself"
  made '.linux.resources.memory = {limit: 67108864}'
  run_ok update --memory-swap 96M c1
  assert_limits memory.max=67108864 memory.swap.max=33554432
  run_fails 1 'memory.swap: 1048576 is below memory.limit, 67108864' update --memory-swap 1M c1
  assert_limits memory.swap.max=33554432
}

test_less_memory_than_in_use_kills() {
  requires controller memory
  bundle c1 '.linux.resources.memory = {limit: 67108864, swap: 67108864} | tmpfs("/tmp"; []) |
    sh("head -c 33554432 /dev/zero >/tmp/big; echo ready; sleep 1000")'
  run_ok run --detach --bundle "$B" c1
  eventually is_line_in ready "$LOG"
  rt update --memory 16777216 --memory-swap 16777216 c1
  eventually has_status c1 stopped
}

test_check_before_update_refuses_less_than_in_use() {
  requires controller memory
  differs runc,crun "1.1 and 1.8 do not check"
  bundle c1 '.linux.resources.memory = {limit: 67108864} | tmpfs("/tmp"; []) |
    sh("head -c 33554432 /dev/zero >/tmp/big; echo ready; sleep 1000")'
  run_ok run --detach --bundle "$B" c1
  eventually is_line_in ready "$LOG"
  echo '{"memory": {"limit": 16777216, "checkBeforeUpdate": true}, "pids": {"limit": 50}}' >"$T/r.json"
  run_fails 1 'rejecting memory limit' update --resources "$T/r.json" c1
  echo '{"memory": {"limit": 8388608, "swap": 16777216, "checkBeforeUpdate": true}}' >"$T/r.json"
  run_fails 1 'rejecting memory\+swap limit' update --resources "$T/r.json" c1
  assert_limits memory.max=67108864
  assert_status c1 running
}

test_cpu_quota_throttles() {
  requires controller cpu
  bundle c1 'sh("while :; do :; done")'
  run_ok run --detach --bundle "$B" c1
  run_ok update --cpu-quota 5000 --cpu-period 50000 c1
  assert_limits "cpu.max=5000 50000"
  eventually has_counted cpu.stat nr_throttled
}

test_a_period_alone_keeps_the_quota() {
  requires controller cpu
  differs crun "drops the quota"
  made '.linux.resources.cpu = {quota: 20000, period: 100000}'
  run_ok update --cpu-period 50000 c1
  assert_limits "cpu.max=20000 50000"
}

test_a_quota_alone_keeps_the_period() {
  requires controller cpu
  differs crun "sets the default period"
  made '.linux.resources.cpu = {quota: 20000, period: 50000}'
  run_ok update --cpu-quota 10000 c1
  assert_limits "cpu.max=10000 50000"
  run_ok update --cpu-quota -1 c1
  assert_limits "cpu.max=max 50000"
}

test_cpu_shares_burst_and_idle() {
  requires controller cpu
  differs runc,crun "1.1 and 1.8 have no burst and no idle"
  made '.linux.resources.cpu = {quota: 20000, period: 100000}'
  run_ok update --cpu-share 512 --cpu-burst 5000 c1
  assert_limits cpu.weight=59 cpu.max.burst=5000 "cpu.max=20000 100000"
  run_ok update --cpu-idle 1 c1
  assert_limits cpu.idle=1
  run_fails 1 'linux.resources.cpu.shares: write cpu.weight "100": invalid argument' update --cpu-share 1024 c1
  run_ok update --cpu-idle 0 --cpu-share 1024 c1
  assert_limits cpu.idle=0 cpu.weight=100
}

test_a_quota_below_the_burst_takes_it_along() {
  requires controller cpu
  differs runc,crun "1.1 and 1.8 have no burst"
  made '.linux.resources.cpu = {quota: 20000, period: 100000, burst: 20000}'
  run_ok update --cpu-quota 5000 --cpu-burst 1000 c1
  assert_limits "cpu.max=5000 100000" cpu.max.burst=1000
}

test_resources_from_standard_input_and_from_a_file() {
  requires controller pids
  requires controller memory
  made
  echo '{"pids": {"limit": 33}, "memory": {"limit": 50331648}}' >"$T/r.json"
  "$RUNTIME" --root "$ROOT" update --resources - c1 <"$T/r.json"
  assert_limits pids.max=33 memory.max=50331648
  echo '{"pids": {"limit": 44}}' >"$T/r.json"
  run_ok update -r "$T/r.json" c1
  assert_limits pids.max=44 memory.max=50331648
}

test_resources_as_engines_send_them() {
  differs crun "needs the cpuset controller for an empty list"
  requires controller memory
  requires controller cpu
  requires controller pids
  made '.linux.resources += {memory: {limit: 67108864}, pids: {limit: 50}}'
  # containerd and CRI-O send zeroes, empty lists and v1-only fields along.
  echo '{"memory":{"limit":33554432,"swap":33554432},"cpu":{"shares":512,"quota":20000,"period":100000,"cpus":"","mems":""},"blockIO":{},"unified":{},"hugepageLimits":[],"pids":{"limit":60}}' >"$T/r.json"
  run_ok update --resources "$T/r.json" c1
  assert_limits memory.max=33554432 "cpu.max=20000 100000" pids.max=60
}

test_unified_values_on_the_command_line() {
  requires controller memory
  requires controller pids
  differs runc,crun "no such option"
  made
  run_ok update --unified memory.high=33554432 --unified pids.max=12 c1
  assert_limits memory.high=33554432 pids.max=12
  run_fails 1 'linux.resources.unified.cgroup.procs' update --unified cgroup.procs=1 c1
  run_fails 1 '"frob" is not FILE=VALUE' update --unified frob c1
}

test_a_refused_value_leaves_the_earlier_ones() {
  requires controller memory
  requires controller pids
  requires controller cpu
  differs runc,crun "the values before it stay changed, or the text is another"
  made '.linux.resources += {memory: {limit: 67108864}, pids: {limit: 50}, cpu: {quota: 20000, period: 100000}}'
  run_fails 1 'update c1: linux.resources.unified.memory.high: write memory.high "frob": invalid argument \(EINVAL\)' \
    update --memory 32M --pids-limit 7 --cpu-quota 5000 --unified memory.high=frob c1
  assert_limits memory.max=67108864 pids.max=50 "cpu.max=20000 100000"
  # without one that was there before
  run_fails 1 'cpu.max.burst' update --memory-reservation 1M --cpu-burst 50000 c1
  assert_limits memory.low=0
}

test_wrong_values_are_errors_before_anything_is_changed() {
  differs runc,crun "other words, or none"
  made
  run_fails 1 'linux.resources.blockIO.weight: 5 is not between 10 and 1000' update --blkio-weight 5 c1
  run_fails 1 'linux.resources.cpu.cpus: "x" is not a list' update --cpuset-cpus x c1
  run_fails 1 'linux.resources.cpu.idle: 2 is not 0 or 1' update --cpu-idle 2 c1
  rt update --memory 64X c1
  assert_eq "$RC" 1
  assert_match "$ERR" "64X.*not a size like 64M"
  rt update --pids-limit many c1
  assert_eq "$RC" 1
  assert_match "$ERR" many
  run_fails 1 '--l3-cache-schema: the container has no group of resctrl' update --l3-cache-schema L3:0=f c1
}

test_resources_that_cannot_be_read() {
  differs runc,crun "other words"
  made
  run_fails 1 '--resources /nonexistent: no such file' update --resources /nonexistent c1
  echo '{"memory": {"limit": "64M"}}' >"$T/r.json"
  run_fails 1 'memory.limit: .*r.json line 1' update --resources "$T/r.json" c1
  echo '{"memory"' >"$T/r.json"
  run_fails 1 'r.json line ' update --resources "$T/r.json" c1
}

test_a_limit_whose_controller_is_absent() {
  [[ " $(<"$V2/cgroup.controllers") " != *" cpuset "* ]] || skip "needs a v2 tree without the cpuset controller"
  differs runc,crun "other words"
  made
  run_fails 1 'linux.resources.cpu.cpus: the cpuset controller is not in the cgroup v2 tree' update --cpuset-cpus 0 c1
}

test_a_limit_of_which_create_knew_nothing() {
  requires controller pids
  mkdir "$V2$BASE/above"
  bundle c1 --arg b "$BASE" '.linux.cgroupsPath = $b + "/above/c1" | args(["sleep", "1000"])'
  run_ok create --bundle "$B" c1
  run_ok update --pids-limit 9 c1
  assert_eq "$(<"$V2$BASE/above/c1/pids.max")" 9
  run_ok delete --force c1
  rmdir "$V2$BASE/above"
}

test_v1_only_values_are_warnings() {
  differs runc,crun "silent, or an error"
  made
  rt update --kernel-memory 64M --cpu-rt-runtime 1000 c1
  assert_eq "$RC" 0
  assert_match "$ERR" 'linux.resources.memory.kernel: ignored'
  assert_match "$ERR" 'linux.resources.cpu.realtimeRuntime: ignored'
}

test_device_rules_are_replaced() {
  differs runc,crun "update leaves devices alone"
  bundle c1 'tmpfs("/tmp"; []) | caps(["CAP_MKNOD", "CAP_DAC_OVERRIDE", "CAP_SYSLOG"]) |
    .linux.resources.devices = [{allow: false, access: "rwm"}] |
    sh("mknod /tmp/kmsg c 1 11; while :; do if true </tmp/kmsg; then echo open; else echo denied; fi >/tmp/new 2>/dev/null; mv /tmp/new /tmp/verdict; sleep 0.02; done 2>/dev/null")'
  run_ok run --detach --bundle "$B" c1
  pid_of c1
  verdict() { is_line_in "$1" "/proc/$PID/root/tmp/verdict"; }
  eventually verdict denied
  echo '{"devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 1, "minor": 11, "access": "r"}]}' >"$T/r.json"
  run_ok update --resources "$T/r.json" c1
  eventually verdict open
  echo '{"devices": [{"allow": false, "access": "rwm"}]}' >"$T/r.json"
  run_ok update --resources "$T/r.json" c1
  eventually verdict denied
  echo '{"devices": [{"allow": true}]}' >"$T/r.json"
  run_ok update --resources "$T/r.json" c1
  eventually verdict open
  # nothing about devices leaves them alone
  echo '{"cpu": {}}' >"$T/r.json"
  run_ok update --resources "$T/r.json" c1
  nap
  verdict open
}

test_device_rules_that_are_replaced_while_run_waits() {
  bundle c1 'args(["sleep", "1000"])'
  "$RUNTIME" --root "$ROOT" run --bundle "$B" c1 &
  running() { rt state c1; [[ $OUT == *'"running"'* ]]; }
  eventually running
  rt update --resources - c1 <<<'{"devices": [{"allow": true, "access": "rwm"}]}'
  [ "$RC" = 0 ] || fail "$(said)"
  run_ok kill c1 KILL
  local rc=0
  wait %1 || rc=$?
  assert_eq "$rc" 137
  assert_unknown c1
}

test_wrong_device_rules_change_nothing() {
  differs runc,crun "update leaves devices alone"
  made
  echo '{"devices": [{"allow": true, "type": "c", "access": "xyz"}]}' >"$T/r.json"
  run_fails 1 'linux.resources.devices\[0\].access' update --resources "$T/r.json" c1
}

test_update_of_a_paused_container() {
  requires controller pids
  made
  run_ok start c1
  run_ok pause c1
  run_ok update --pids-limit 9 c1
  assert_limits pids.max=9
  assert_status c1 paused
}

test_update_of_a_stopped_container() {
  differs crun "other words"
  bundle c1 'args(["true"])'
  run_ok run --detach --bundle "$B" c1
  eventually has_status c1 stopped
  run_fails 1 'not running' update --pids-limit 9 c1
}

test_update_of_no_container() { run_fails 1 "$UNKNOWN" update --pids-limit 9 c1; }

test_update_of_nothing() { made; run_ok update c1; assert_status c1 created; }
