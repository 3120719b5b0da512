# One case for each bug that was found by reading or by chance, so that it does not come back.
# shellcheck shell=bash

test_parallel_creates_of_one_id_make_one_container() {
  bundle c1 'args(["sleep", "100"])'
  local round i made
  for round in 1 2 3 4 5 6 7 8; do
    for i in 1 2 3 4 5 6 7 8; do
      { "$RUNTIME" --root "$ROOT" create --bundle "$B" c1 >/dev/null 2>&1 </dev/null && echo made >"$T/made.$i"; } &
    done
    wait
    made=("$T"/made.*)
    assert_eq "${#made[@]}" 1 "creates that succeeded in round $round"
    assert_status c1 created
    run_ok delete --force c1
    rm -f "$T"/made.*
  done
}

test_run_passes_on_no_descriptor_of_its_own() {
  bundle c1 'args(["true"])'
  exec 3>&- 4>&-
  run_fails 1 'descriptor 3 is not open|not open|bad file' run --preserve-fds 1 --bundle "$B" c1
}

test_absurd_number_of_descriptors() {
  bundle c1 'args(["true"])'
  differs runc,crun "other words"
  run_fails 1 'preserve-fds' run --preserve-fds 4294967295 --bundle "$B" c1
}

test_device_filter_of_an_earlier_container_goes() {
  differs runc,crun "not looked at"
  local taken=$V2$BASE/taken
  # /dev/kmsg is not among the devices that are allowed by default.
  # shellcheck disable=SC2016
  local words='rw | caps(["CAP_MKNOD", "CAP_SYSLOG"]) | .linux.cgroupsPath = $c | sh("mknod /dev/k c 1 11; exec 3>>/dev/k && echo opened")'
  mkdir "$taken"
  bundle c1 --arg c "$BASE/taken" "$words | .linux.resources.devices = [{allow: true, type: \"c\", major: 1, minor: 11, access: \"m\"}]"
  rt run --bundle "$B" c1
  assert_match "$ERR" 'not permitted' "what the first container may not"
  assert_exists "$taken"
  bundle c2 --arg c "$BASE/taken" "$words | .linux.resources.devices = [{allow: true, access: \"rwm\"}]"
  rt run --bundle "$B" c2
  rmdir "$taken"
  assert_eq "$OUT" opened "what the second one may"
}

test_terminal_that_hung_up_costs_no_time() {
  differs runc,crun "not looked at"
  bundle c1 '.process.terminal = true | sh("exec </dev/null >/dev/null 2>&1; sleep 2")'
  "$STAGE/helpers/tty" "$RUNTIME" --root "$ROOT" run --bundle "$B" c1 >/dev/null 2>&1 &
  local tty=$! pid
  eventually [ -e "$ROOT/c1/state.json" ]
  sleep 0.7
  pid=$(ps -o pid= --ppid "$tty" | tr -d " ")
  local before after
  before=$(cut -d' ' -f14 "/proc/$pid/stat")
  sleep 0.5
  after=$(cut -d' ' -f14 "/proc/$pid/stat")
  wait "$tty" || :
  [ $((after - before)) -lt 25 ] || fail "the relay used $((after - before)) of 50 ticks"
}

test_remount_with_parameters_is_refused() {
  differs runc,crun "passes them on"
  bundle c1 'args(["true"]) | tmpfs("/mnt"; []) | mount({destination: "/mnt", options: ["remount", "size=1k"]})'
  run_fails 1 'mounts\[8\].*size.*remount' run --bundle "$B" c1
}

test_hook_with_a_timeout_beyond_time() {
  bundle c1 'args(["true"]) | .hooks = {createRuntime: [{path: "/bin/true", timeout: 9223372036854774784}]}'
  differs runc,crun "overflows"
  run_ok run --bundle "$B" c1
}
