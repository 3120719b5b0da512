# --timeout: what a command waited for is named, and everything is taken back; a file system that hangs holds up nobody else.
# shellcheck shell=bash

own() { differs runc,crun "no such option"; }
quick() { # SECONDS COMMAND...: it is done within the time
  local end=$((SECONDS + $1))
  shift
  "$@"
  [ $SECONDS -le $end ] || fail "took too long: $*"
}
hung() { # $T/hung is a file system that does not answer
  requires file /dev/fuse
  mkdir "$T/hung"
  "$STAGE/helpers/hung-fuse" "$T/hung" >"$T/fuse" 2>&1 &
  FUSE=$!
  eventually is_line_in mounted "$T/fuse"
}
heal() { kill "$FUSE" && wait "$FUSE" || :; umount -l "$T/hung"; }

test_a_hook_of_create() {
  own
  bundle c1 'args(["true"]) | hook("createRuntime"; "sleep 1000") | hook("poststop"; "echo gone >>/tmp/knarr-it-gone")'
  rm -f /tmp/knarr-it-gone
  FLAGS=(--timeout 1s)
  quick 5 run_fails 1 'create c1: not done within 1s: it waits for hooks.createRuntime\[0\] /bin/sh' create --bundle "$B" c1
  assert_eq "$(</tmp/knarr-it-gone)" gone
  rm /tmp/knarr-it-gone
  ! pgrep -f 'sleep 1000' >/dev/null || fail "the hook is there"
}

test_a_hook_of_run_and_in_the_container() {
  own
  bundle c1 'args(["true"]) | hook("createContainer"; "sleep 1000")'
  FLAGS=(--timeout 1s)
  quick 5 run_fails 1 'run c1: not done within 1s: it waits for .*createContainer' run --bundle "$B" c1
}

test_what_runs_is_not_bounded() {
  own
  FLAGS=(--timeout 1s)
  bundle c1 'sh("sleep 2; echo done; exit 7")'
  rt run --bundle "$B" c1
  assert_eq "$RC $OUT" '7 done'
  bundle c2 'args(["sleep", "100"])'
  run_ok run -d --bundle "$B" c2
  rt exec c2 sh -c 'sleep 2; echo done; exit 6'
  assert_eq "$RC $OUT" '6 done'
}

test_signals_reach_what_runs() {
  own
  bundle c1 'sh("trap \"echo got; exit 5\" TERM; echo up; while :; do sleep 0.05; done")'
  "$RUNTIME" --root "$ROOT" --timeout 5s run --bundle "$B" c1 >"$T/out" 2>&1 &
  local runtime=$! rc=0
  eventually is_line_in up "$T/out"
  kill -TERM $runtime
  wait $runtime || rc=$?
  assert_eq "$rc $(tail -n 1 "$T/out")" '5 got'
}

test_a_bind_source_that_hangs() {
  own
  hung
  bundle c1 --arg s "$T/hung/sub" 'args(["true"]) | rw | bind($s; "/mnt"; [])'
  FLAGS=(--timeout 1s)
  quick 6 run_fails 1 "not done within 1s: it waits for .*$T/hung/sub" create --bundle "$B" c1
  FLAGS=()
  heal
}

test_others_go_on_beside_what_hangs() {
  own
  hung
  bundle c1 --arg s "$T/hung/sub" 'args(["true"]) | rw | bind($s; "/mnt"; [])'
  "$RUNTIME" --root "$ROOT" create --bundle "$B" c1 >"$T/out" 2>&1 &
  local stuck=$!
  eventually has_status c1 creating
  bundle c2 'args(["sleep", "100"])'
  quick 2 run_ok run -d --bundle "$B" c2
  quick 2 run_ok exec c2 true
  quick 2 run_ok list
  assert_match "$OUT" 'c1 .*creating'
  quick 2 run_ok state c1
  quick 2 run_ok delete --force c2
  kill -KILL $stuck
  quick 11 run_ok delete --force c1
  heal
  wait $stuck || :
}

test_a_process_that_hangs_is_told() {
  own
  hung
  bundle c1 --arg s "$T" 'sh("exec cat /mnt/hung/file") | rw | bind($s; "/mnt"; ["rbind"])'
  run_ok run -d --bundle "$B" c1
  hangs() { is_line_in asked "$T/fuse"; }
  pid_of c1
  eventually hangs
  quick 11 run_fails 1 'outlives SIGKILL: process [0-9]+ hangs in the kernel, in .*; its cgroup and its record are left' delete --force c1
  heal
  run_ok delete --force c1
  assert_unknown c1
}

test_delete_of_what_is_locked_names_who_locks_it() {
  own
  bundle c1 'args(["sleep", "100"])'
  run_ok run -d --bundle "$B" c1
  flock -x "$ROOT/c1" sleep 1000 &
  local holder=$!
  nap
  nap
  FLAGS=(--timeout 1s)
  quick 4 run_fails 1 'delete c1: not done within 1s: it waits for the lock of .*c1, which process [0-9]+ \(flock\) holds' delete c1
  FLAGS=()
  kill "$(pgrep -P $holder)" $holder 2>/dev/null || :
  wait $holder || :
}

test_a_poststop_hook_does_not_hold_up_delete_by_force() {
  own
  bundle c1 'args(["sleep", "100"]) | hook("poststop"; "sleep 1000")'
  run_ok run -d --bundle "$B" c1
  quick 11 rt delete --force c1
  assert_match "$ERR" 'poststop.*killed'
  assert_unknown c1
}

test_start_with_a_hook_that_hangs() {
  own
  bundle c1 'args(["sleep", "100"]) | hook("startContainer"; "sleep 1000")'
  run_ok create --bundle "$B" c1
  FLAGS=(--timeout 1s)
  quick 5 rt start c1
  assert_eq "$RC" 1
  assert_match "$ERR" 'start c1: not done within 1s: it waits for the start of the process'
  FLAGS=()
  eventually has_status c1 stopped
}

test_exec_in_a_frozen_cgroup() {
  own
  requires controller pids # a v2 cgroup of one's own
  bundle c1 'args(["sleep", "100"])'
  run_ok run -d --bundle "$B" c1
  run_ok pause c1
  FLAGS=(--timeout 1s)
  quick 5 rt exec --ignore-paused c1 true
  assert_eq "$RC" 255
  assert_match "$ERR" 'not done within 1s: .*frozen'
  FLAGS=()
  run_ok resume c1
  run_ok exec c1 true
}

test_another_container_of_that_name_stays() {
  own
  bundle c1 'args(["sleep", "100"])'
  run_ok run -d --bundle "$B" c1
  FLAGS=(--timeout 1s)
  run_fails 1 'exists already' create --bundle "$B" c1
  assert_status c1 running
}

test_times_are_read() {
  own
  FLAGS=(--timeout soon)
  rt list
  assert_eq "$RC" 1
  assert_match "$ERR" 'timeout'
}
