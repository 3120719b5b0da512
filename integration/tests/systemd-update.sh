# Limits of a scope: what systemd has no property for outlasts each update, and every pair of updates ends as it does without systemd.
# pids: host
# shellcheck shell=bash disable=SC2016 # $names in single quotes are jq's

. "$STAGE/words/systemd.sh"

# systemd writes to the cgroup after it has answered; this answer comes after that.
after_systemd() { show Id >"$T/id"; }

test_a_leftover_cgroup_that_is_frozen_is_refused() {
  differs runc,crun "wait for ever"
  scope c1 .
  mkdir "$C"
  echo 1 >"$C/cgroup.freeze"
  run_fails 1 'linux.cgroupsPath: systemd: start it-c1.scope: cgroup .*it-c1.scope is frozen, by cgroup.freeze of' create --bundle "$B" c1
  run_fails 1 'is frozen' run --bundle "$B" c1
  assert_eq "$(<"$C/cgroup.freeze")" 1
  echo 0 >"$C/cgroup.freeze"
  run_ok create --bundle "$B" c1
  run_ok delete --force c1
  eventually test ! -e "$C"
}

test_a_slice_that_is_frozen_is_refused() {
  differs runc,crun "wait for ever"
  scope c1 '.linux.cgroupsPath = "itz.slice:it:c1"'
  systemctl start itz.slice
  echo 1 >"$V2/itz.slice/cgroup.freeze"
  run_fails 1 'linux.cgroupsPath: systemd: start it-c1.scope: cgroup .*itz.slice is frozen, by cgroup.freeze of .*itz.slice' create --bundle "$B" c1
  eventually is_unloaded
  echo 0 >"$V2/itz.slice/cgroup.freeze"
  run_ok create --bundle "$B" c1
  run_ok delete --force c1
  systemctl stop itz.slice
}

test_a_scope_that_is_there_and_frozen_is_refused() {
  differs runc,crun "other words"
  systemd-run --quiet --scope --unit it-c1 sleep 1000 &
  scope c1 .
  eventually grep -q . "$C/cgroup.procs"
  systemctl freeze "$UNIT"
  run_fails 1 'linux.cgroupsPath: systemd: start it-c1.scope: ' create --bundle "$B" c1
  run_fails 1 'linux.cgroupsPath: systemd: start it-c1.scope: ' run --bundle "$B" c1
  assert_property FreezerState=frozen
  systemctl thaw "$UNIT"
  systemctl stop "$UNIT"
  wait
}

test_a_leftover_cgroup_with_processes_is_refused_and_left_alone() {
  differs runc,crun "share it"
  scope c1 .
  mkdir "$C"
  sleep 1000 &
  local pid=$!
  echo "$pid" >"$C/cgroup.procs"
  run_fails 1 'linux.cgroupsPath: systemd: start it-c1.scope: cgroup .*it-c1.scope is not empty: 1 processes are in it' create --bundle "$B" c1
  assert_exists "/proc/$pid/exe"
  kill "$pid"
  wait "$pid" || :
  rmdir "$C"
}

test_a_period_without_a_quota_is_kept() {
  differs runc,crun "systemd takes it back"
  scope c1 .
  run_ok create --bundle "$B" c1
  run_ok update --cpu-period 50000 c1
  after_systemd
  assert_limits "cpu.max=max 50000"
  run_ok update --cpu-quota 30000 c1
  after_systemd
  assert_limits "cpu.max=30000 50000"
  assert_property CPUQuotaPerSecUSec=600ms CPUQuotaPeriodUSec=50ms
}

test_a_period_without_a_quota_outlasts_a_reload() {
  differs runc,crun "systemd takes it back"
  scope c1 '.linux.resources.cpu = {period: 50000}'
  run_ok create --bundle "$B" c1
  assert_limits "cpu.max=max 50000"
  systemctl daemon-reload
  after_systemd
  run_ok update --cpu-quota 30000 c1
  after_systemd
  assert_limits "cpu.max=30000 50000"
}

test_what_is_no_property_outlasts_an_update() {
  differs runc,crun "systemd takes it back"
  scope c1 '.linux.resources += {cpu: {period: 50000, shares: 512}, memory: {limit: 67108864}, pids: {limit: 1},
    unified: {"memory.oom.group": "1", "memory.zswap.max": "1048576"}}'
  run_ok create --bundle "$B" c1
  local kept=("cpu.max=max 50000" cpu.weight=59 memory.oom.group=1 memory.zswap.max=1048576)
  after_systemd
  assert_limits "${kept[@]}" pids.max=1
  run_ok update --memory 32M c1
  after_systemd
  assert_limits "${kept[@]}" memory.max=33554432
  run_ok update --cpu-share 1024 --pids-limit 20 c1
  after_systemd
  kept[1]=cpu.weight=100
  assert_limits "${kept[@]}" pids.max=20
  # as Kubernetes changes a pod in place: all of it, each time
  echo '{"memory": {"limit": 50331648}, "cpu": {"shares": 256, "quota": 20000, "period": 100000}, "unified": {"memory.oom.group": "1"}}' >"$T/r.json"
  run_ok update --resources "$T/r.json" c1
  after_systemd
  assert_limits memory.max=50331648 "cpu.max=20000 100000" memory.oom.group=1 memory.zswap.max=1048576
}

test_no_longer_idle_is_told() {
  differs runc,crun "no such option, or other values"
  scope c1 '.linux.resources.cpu = {idle: 1}'
  run_ok create --bundle "$B" c1
  assert_limits cpu.idle=1
  run_ok update --cpu-idle 0 c1
  after_systemd
  assert_limits cpu.idle=0 cpu.weight=100
  systemctl daemon-reload
  run_ok update --cpu-quota 20000 c1
  after_systemd
  assert_limits cpu.idle=0 cpu.weight=100 "cpu.max=20000 100000"
  run_ok update --cpu-share 512 c1
  run_ok update --cpu-idle 0 c1
  after_systemd
  assert_limits cpu.idle=0 cpu.weight=59
}

# pairs OPTION: an update with it, then one with each of the others: the cgroup is as that of a container without systemd.
pairs() {
  differs runc,crun "no burst and no idle, or systemd takes them back"
  requires vm "systemd as PID 1"
  local first=$1 second scope plain file
  for second in cpu-period=50000 cpu-quota=30000 cpu-burst=1000 cpu-share=512 cpu-idle=1; do
    [ "$first" != "$second" ] || continue
    FLAGS=()
    bundle c2 'args(["sleep", "1000"])'
    plain=$C
    run_ok create --bundle "$B" c2
    scope c1 .
    scope=$C
    run_ok create --bundle "$B" c1
    for file in "$first" "$second"; do
      rt update "--$file" c2
      local rc=$RC
      rt update "--$file" c1
      assert_eq "$RC" "$rc" "--$first, then --$second: $ERR"
    done
    after_systemd
    for file in cpu.max cpu.max.burst cpu.weight cpu.idle; do
      assert_eq "$(<"$scope/$file")" "$(<"$plain/$file")" "--$first, then --$second: $file"
    done
    run_ok delete --force c1
    run_ok delete --force c2
    eventually is_unloaded
  done
}
test_a_period_and_then_another() { pairs cpu-period=50000; }
test_a_quota_and_then_another() { pairs cpu-quota=30000; }
test_a_burst_and_then_another() { pairs cpu-burst=1000; }
test_shares_and_then_another() { pairs cpu-share=512; }
test_idle_and_then_another() { pairs cpu-idle=1; }
