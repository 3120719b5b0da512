# Names, numbers and records do not lead to another container, another cgroup or another process.
# shellcheck shell=bash disable=SC2016

# shellcheck source=../words/exec.sh
. "$STAGE/words/exec.sh"

test_control_an_id_and_a_cgroup_below() {
  disposable
  running '.linux.cgroupsPath += "/below"'
  pid_of c1
  assert_match "$(<"/proc/$PID/cgroup")" "0::$BASE/c1/below"
  run_ok delete --force c1
  rmdir "$C" 2>/dev/null || :
}

seen() { find "$T/victim" "$B" -printf '%p %m %s\n' | sort; }
test_ids_that_are_paths() { # CVE-2015-1331
  disposable
  local id verb before
  mkdir "$T/victim"
  echo host >"$T/victim/state.json"
  bundle c1 'args(["true"])'
  before=$(seen)
  for id in ../victim . .. / a/b "$T/victim" '' './c1' 'c1/../../victim' $'a\nb'; do
    rt create --bundle "$B" "$id"
    [ "$RC" != 0 ] || fail "'$id' is an id"
    for verb in start state 'kill' 'delete --force' 'pause' 'ps'; do
      # shellcheck disable=SC2086 # words
      rt $verb "$id"
    done
    rt exec "$id" true
    [ "$RC" != 0 ] || fail "'$id' is a container"
  done
  assert_eq "$(seen)" "$before"
}

test_cgroups_that_climb() {
  disposable
  differs crun "not looked at"
  local path before
  before=$(cat "$V2/cgroup.procs" | wc -l)
  for path in / '' .. ../.. "$BASE/../.." "$BASE/c1/../../.." ../../../c1; do
    rm -rf "$T/c1"
    bundle c1 --arg p "$path" 'args(["sleep", "1000"]) | .linux.cgroupsPath = $p'
    rt run --detach --bundle "$B" c1
    if [ "$RC" = 0 ]; then
      pid_of c1
      assert_no_match "$(<"/proc/$PID/cgroup")" '^0::/$|\.\.' "$path"
      run_ok delete --force c1
    fi
  done
  [ "$(cat "$V2/cgroup.procs" | wc -l)" -ge $((before / 2)) ] || fail 'processes of the root cgroup are gone'
  running
  for path in .. ../ a/../.. /.. /../..; do
    rt exec --cgroup "$path" c1 cat /proc/self/cgroup
    [ "$RC" != 0 ] || assert_no_match "$OUT" '\.\.' "--cgroup $path"
  done
}

test_unified_keys_that_are_no_controllers() {
  disposable
  differs runc,crun "not looked at"
  local key
  bundle c1 'args(["true"]) | .linux.resources.unified = {"pids.max": "50"}'
  run_ok run --bundle "$B" c1 # the control
  for key in cgroup.procs cgroup.kill ../cgroup.kill memory.max/../cgroup.kill cgroup.subtree_control '' . ../../cpu.max; do
    rm -rf "$T/c1"
    bundle c1 --arg k "$key" 'args(["true"]) | .linux.resources.unified = {($k): "1"}'
    rt run --bundle "$B" c1
    [ "$RC" != 0 ] || fail "unified $key"
  done
}

test_a_pid_that_is_another_process_by_now() {
  disposable
  differs runc,crun "another record"
  sleep 1000 &
  local canary=$!
  running
  run_ok kill c1 KILL
  eventually has_status c1 stopped
  jq -c --argjson p "$canary" '.pid = $p' "$ROOT/c1/state.json" >"$T/new"
  cp "$T/new" "$ROOT/c1/state.json"
  assert_status c1 stopped
  rt kill c1 KILL
  rt kill --all c1 KILL
  rt exec c1 true
  [ "$RC" != 0 ] || fail 'exec entered a process of the host'
  run_ok delete --force c1
  kill -0 $canary || fail 'a process of the host was killed'
  kill $canary
}

# More than a message may hold.
test_more_mappings_than_the_kernel_takes() { # CVE-2021-43784
  disposable
  bundle c1 'userns | args(["true"]) | .linux.uidMappings = [range(400) | {containerID: ., hostID: (100000 + 2 * .), size: 1}] |
    .linux.gidMappings = .linux.uidMappings'
  rt run --bundle "$B" c1
  [ "$RC" != 0 ] || fail 'four hundred?'
  bundle c2 'userns | sh("cat /proc/self/uid_map | busybox wc -l") | .linux.uidMappings = [range(300) | {containerID: ., hostID: (100000 + 2 * .), size: 1}] |
    .linux.gidMappings = .linux.uidMappings'
  rm -rf "$B/rootfs" && cp -a "$WORK/rootfs" "$B/rootfs"
  chmod 755 "$WORK" "$T"
  run_ok run --bundle "$B" c2 # the control
  assert_eq "$OUT" 300
}

test_a_property_of_systemd_that_starts_something() { # CVE-2024-3154
  disposable
  differs runc,crun "not looked at"
  local property
  for property in ExecStart ExecStopPost Wants OnFailure FailureAction User Slice; do
    rm -rf "$T/c1"
    bundle c1 --arg k "org.systemd.property.$property" 'args(["true"]) | .annotations[$k] = "\"/bin/touch\"" | .linux.cgroupsPath = "system.slice:it:c1"'
    FLAGS=(--systemd-cgroup)
    rt run --bundle "$B" c1
    [ "$RC" != 0 ] || fail "$property is set"
    assert_match "$ERR" "org.systemd.property.$property"
  done
  FLAGS=()
}
