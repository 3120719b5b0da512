# Checkpoint and restore, by CRIU: going on where a container was: at once, under another name, on a terminal, in rounds.
# shellcheck shell=bash disable=SC2016 # scripts are for the shell in the container

# shellcheck source=../words/checkpoint.sh
. "$STAGE/words/checkpoint.sh"

test_processes_go_on_where_they_were() {
  with_criu
  counting c1
  local word=$WORD n=$N
  checkpoint c1
  assert_unknown c1
  assert_absent "$C"
  restore --pid-file "$T/pid" c1
  assert_status c1 running
  pid_of c1
  assert_eq "$(<"$T/pid")" "$PID"
  goes_on_from c1 "$word" "$n"
  run_ok kill c1 KILL
  eventually has_status c1 stopped
  run_ok delete c1
}

test_twice_and_under_another_name() {
  with_criu
  counting c1
  local word=$WORD n=$N
  checkpoint c1
  restore c2
  goes_on_from c2 "$word" "$n"
  rm -r "$T/images"
  checkpoint c2
  restore c1
  goes_on_from c1 "$word" "$n"
  run_ok delete --force c1
}

test_in_another_containers_cgroup() {
  with_criu
  differs runc 'makes the cgroup anew that the first one had'
  counting c1
  local word=$WORD n=$N old=$C
  checkpoint c1
  bundle c2 --arg script "$COUNTS" 'sh($script)'
  restore c2
  pid_of c2
  assert_eq "$(grep ^0: "/proc/$PID/cgroup")" "0::$BASE/c2"
  assert_absent "$old"
  goes_on_from c2 "$word" "$n"
  run_ok delete --force c2
  assert_absent "$C"
}

test_an_option_may_be_repeated() {
  with_criu
  counting c1
  checkpoint --leave-running --leave-running --file-locks --file-locks c1
  assert_status c1 running
  run_ok delete --force c1
}

test_a_container_may_go_on() {
  with_criu
  counting c1
  local word=$WORD n=$N
  pid_of c1
  local pid=$PID
  checkpoint --leave-running c1
  pid_of c1
  assert_eq "$PID" "$pid"
  goes_on_from c1 "$word" "$n"
  run_ok delete --force c1
  restore c1
  goes_on_from c1 "$word" "$n"
  run_ok delete --force c1
}

test_a_paused_container() {
  with_criu
  counting c1
  local word=$WORD n=$N
  run_ok pause c1
  checkpoint c1
  assert_unknown c1
  restore c1
  goes_on_from c1 "$word" "$n"
  run_ok delete --force c1
}

test_in_the_foreground() {
  with_criu
  bundle c1 'sh("trap \"exit 7\" TERM; touch /dev/shm/ready; while :; do sleep 0.02; done")'
  detached c1
  eventually eval 'rt exec c1 test -e /dev/shm/ready; [ "$RC" = 0 ]'
  checkpoint c1
  "$RUNTIME" --root "$ROOT" "${FLAGS[@]}" restore --bundle "$B" --image-path "$T/images" c1 >/dev/null 2>&1 </dev/null &
  local pid=$! rc=0
  eventually eval 'rt state c1; [[ $OUT == *running* ]]'
  kill -TERM "$pid"
  wait "$pid" || rc=$?
  assert_eq "$rc" 7
  assert_unknown c1
}

test_a_terminal() {
  with_criu
  bundle c1 '.process.terminal = true | sh("n=0; while :; do n=$((n + 1)); echo \"line $n\"; sleep 0.02; done")'
  local tty=$STAGE/helpers/tty
  "$tty" listen "$T/sock" "$T/info" >"$T/console" &
  eventually test -S "$T/sock"
  run_ok run --detach --console-socket "$T/sock" --bundle "$B" c1
  eventually grep -q 'line 3' "$T/console"
  checkpoint c1
  wait
  "$tty" listen "$T/sock2" "$T/info2" >"$T/console2" &
  eventually test -S "$T/sock2"
  restore --console-socket "$T/sock2" c1
  eventually grep -q 'line' "$T/console2"
  assert_match "$(tr -d '\r' <"$T/console2" | head -1)" '^line [0-9]+$'
  grep -qx 'line 1' <(tr -d '\r' <"$T/console2") && fail 'it has begun anew'
  run_ok delete --force c1
}

test_hooks() {
  with_criu
  counting c1 --arg t "$T" 'hook("prestart"; "cat >>" + $t + "/prestart; echo >>" + $t + "/prestart") | hook("createRuntime"; "echo createRuntime >>" + $t + "/hooks")
    | hook("poststop"; "echo poststop >>" + $t + "/hooks")'
  checkpoint c1
  assert_eq "$(<"$T/hooks")" $'createRuntime\npoststop'
  restore c1
  assert_eq "$(<"$T/hooks")" $'createRuntime\npoststop\ncreateRuntime'
  pid_of c1
  assert_jq "$(tail -1 "$T/prestart")" ".pid == $PID and .id == \"c1\""
  run_ok delete --force c1
  assert_eq "$(tail -1 "$T/hooks")" poststop
}

test_a_failing_hook_of_restore() {
  with_criu
  counting c1 --arg t "$T" 'hook("createRuntime"; "! [ -e " + $t + "/broken ] || { echo broken; exit 1; }") | hook("poststop"; "echo poststop >>" + $t + "/hooks")'
  checkpoint c1
  touch "$T/broken"
  differs runc 'does not say which hook failed'
  run_fails 1 'hooks.createRuntime.0. /bin/sh: error running createRuntime hook #0: exit status 1: broken' restore --detach --bundle "$B" --image-path "$T/images" c1
  rm "$T/broken"
  restore c1
  run_ok delete --force c1
}

test_memory_on_demand() {
  with_criu
  requires vm # the page server of CRIU 4.1 does not work on Linux 6.18
  counting c1
  local word=$WORD n=$N port=27113
  mkfifo "$T/status"
  exec {status}<>"$T/status"
  "$RUNTIME" --root "$ROOT" "${FLAGS[@]}" checkpoint --lazy-pages --page-server 127.0.0.1:$port --status-fd 9 --image-path "$T/images" --work-path "$T/work" c1 9>"$T/status" &
  local dump=$! byte
  IFS= read -rd '' -n 1 -t 20 -u "$status" byte || fail 'no byte on the status descriptor'
  "$CRIU" lazy-pages --page-server --address 127.0.0.1 --port $port -D "$T/images" -W "$T/work" &
  local daemon=$!
  eventually test -S "$T/work/lazy-pages.socket"
  bundle c2
  run_ok restore --detach --lazy-pages --bundle "$T/c2" --image-path "$T/images" --work-path "$T/work" c2
  goes_on_from c2 "$word" "$n"
  wait "$dump" || fail 'the checkpoint has failed'
  wait "$daemon" || fail 'criu lazy-pages has failed'
  assert_unknown c1
  run_ok delete --force c2
}

test_memory_in_rounds() {
  with_criu
  requires vm # a kernel that tracks changes of memory
  counting c1
  local word=$WORD n=$N
  run_ok checkpoint --pre-dump --image-path "$T/first" c1
  goes_on_from c1 "$word" "$n"
  n=$N
  run_ok checkpoint --parent-path ../first --image-path "$T/images" c1
  assert_exists "$T/images/parent"
  restore c1
  goes_on_from c1 "$word" "$n"
  run_ok delete --force c1
}

test_memory_in_rounds_where_nothing_is_tracked() {
  with_criu
  requires native
  counting c1
  local n=$N
  run_fails 1 'CRIU' checkpoint --pre-dump --image-path "$T/images" c1
  goes_on_from c1 "$WORD" "$n"
  run_ok delete --force c1
}

test_within_a_time() {
  with_criu
  differs runc,crun 'no such option'
  counting c1
  local word=$WORD n=$N
  FLAGS+=(--timeout 20s)
  checkpoint c1
  restore c1
  goes_on_from c1 "$word" "$n"
}

test_a_criu_that_hangs_is_bounded() {
  with_criu
  differs runc,crun 'no such option'
  printf '#!/bin/sh\nexec sleep 100\n' >"$T/hangs"
  chmod +x "$T/hangs"
  counting c1
  local word=$WORD n=$N
  FLAGS=(--criu "$T/hangs" --timeout 2s)
  run_fails 1 'not done within 2s: it waits for .*CRIU' checkpoint --image-path "$T/images" c1
  FLAGS=(--criu "$CRIU")
  assert_status c1 running
  goes_on_from c1 "$word" "$n"
  checkpoint c1
  FLAGS=(--criu "$T/hangs" --timeout 2s)
  run_fails 1 'not done within 2s: it waits for .*CRIU' restore --detach --bundle "$B" --image-path "$T/images" c1
  FLAGS=(--criu "$CRIU")
  assert_unknown c1
  restore c1
  goes_on_from c1 "$word" "$n"
}
