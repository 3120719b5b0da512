# exec: the status of the container, errors and signals.
# shellcheck shell=bash disable=SC2016 # scripts are for the shell in the container

# shellcheck source=../words/exec.sh
. "$STAGE/words/exec.sh"

# ---- status ----

test_created() {
  bundle c1 'args(["sleep", "1000"])'
  run_ok create --bundle "$B" c1
  within 'echo in'
  assert_eq "$OUT" in
  assert_status c1 created
  run_ok start c1
  assert_status c1 running
}

test_stopped() {
  bundle c1 'args(["true"])'
  run_ok run --detach --bundle "$B" c1
  eventually has_status c1 stopped
  exec_fails 'stopped|not running' c1 true
}

test_unknown_container() {
  exec_fails "$UNKNOWN" none true
}

freeze() { echo 1 >"$C/cgroup.freeze"; eventually grep -q 'frozen 1' "$C/cgroup.events"; }

test_paused() {
  differs runc "1.1 asks another hierarchy on a hybrid machine"
  running
  freeze
  exec_fails 'paused' c1 true
  echo 0 >"$C/cgroup.freeze"
}

test_paused_says_who_froze_it() {
  differs runc,crun "do not say"
  running
  freeze
  exec_fails "paused.*, by cgroup.freeze of $C( |\$|\\))" c1 true
  echo 0 >"$C/cgroup.freeze"
  bundle c2 ".linux.cgroupsPath = \"$BASE/above/c2\" | args([\"sleep\", \"100\"])"
  run_ok run --detach --bundle "$B" c2
  echo 1 >"$V2$BASE/above/cgroup.freeze"
  eventually grep -q 'frozen 1' "$V2$BASE/above/c2/cgroup.events"
  exec_fails "paused.*, by cgroup.freeze of $V2$BASE/above( |\$|\\))" c2 true
  echo 0 >"$V2$BASE/above/cgroup.freeze"
  run_ok exec c2 true
  run_ok delete --force c2
  rmdir "$V2$BASE/above" 2>/dev/null || :
}

test_paused_and_ignored() {
  differs crun "has no such flag"
  running
  freeze
  "$RUNTIME" --root "$ROOT" exec --ignore-paused c1 echo resumed >"$T/out" &
  eventually eval '[ "$(wc -l <"$C/cgroup.procs")" = 2 ]'
  assert_eq "$(<"$T/out")" ''
  echo 0 >"$C/cgroup.freeze"
  wait %1
  assert_eq "$(<"$T/out")" resumed
}

# held_at_clone3: whom strace traces stands still, at that call as far as the kernel tells
held_at_clone3() {
  local pid call before
  pid=$(pgrep -P "$(pgrep -x strace)") || return
  call=$(cat "/proc/$pid/syscall" 2>/dev/null) || call='435 '
  [[ $call == '435 '* ]] || return
  before=$(grep -e ^State -e ctxt "/proc/$pid/status"); sleep 0.3
  [[ $before == *'t (tracing stop)'* && $before == "$(grep -e ^State -e ctxt "/proc/$pid/status")" ]]
}
# Whoever owns a cgroup below may do so at any moment, and never thaw it.
test_frozen_between_the_look_and_the_birth() {
  differs runc,crun "wait for ever"
  running
  local rc=0 begun=$SECONDS
  strace -q -o /dev/null -e trace=clone3 -e inject=clone3:delay_enter=2000000 "$RUNTIME" --root "$ROOT" exec c1 true 2>"$T/err" &
  eventually held_at_clone3
  freeze
  wait %1 || rc=$?
  [ $((SECONDS - begun)) -le 20 ] || fail "it took $((SECONDS - begun)) s"
  assert_eq "$rc" 255
  assert_match "$(<"$T/err")" 'paused.*: cgroup .* is frozen, and nobody has thawed it for 5s'
  echo 0 >"$C/cgroup.freeze"
  eventually eval '[ "$(wc -l <"$C/cgroup.procs")" = 1 ]'
  run_ok exec c1 true
}

test_frozen_for_a_moment_it_is_waited_for() {
  running
  strace -q -o /dev/null -e trace=clone3 -e inject=clone3:delay_enter=2000000 "$RUNTIME" --root "$ROOT" exec c1 echo resumed >"$T/out" 2>"$T/err" &
  eventually held_at_clone3
  freeze
  eventually eval '[ "$(wc -l <"$C/cgroup.procs")" = 2 ]'
  nap
  echo 0 >"$C/cgroup.freeze"
  wait %1
  assert_eq "$(<"$T/out")" resumed
}

test_interrupted_in_a_paused_container() {
  differs runc,crun "wait for ever"
  running
  freeze
  "$RUNTIME" --root "$ROOT" exec --ignore-paused c1 touch /tmp/ran >"$T/out" 2>&1 &
  eventually eval '[ "$(wc -l <"$C/cgroup.procs")" = 2 ]'
  kill -TERM %1
  local rc=0
  wait %1 || rc=$?
  assert_eq "$rc" 143
  echo 0 >"$C/cgroup.freeze"
  eventually eval '[ "$(wc -l <"$C/cgroup.procs")" = 1 ]'
}

test_container_that_ends_meanwhile() {
  running
  local n
  for n in 1 2 3 4 5 6 7 8 9 10 11 12; do
    [ "$n" = 1 ] || { run_ok delete --force c1; running; }
    for _ in 1 2 3; do "$RUNTIME" --root "$ROOT" exec c1 sleep 1000 >/dev/null 2>"$T/err.$n.$_" & done
    [ $((n % 3)) = 0 ] || nap
    run_ok kill c1 KILL
    wait $(jobs -p) || : # each within the case's time
  done
}

test_container_that_ends_meanwhile_and_is_not_reaped() {
  differs runc,crun "other words"
  bundle c1 'args(["sleep", "1000"])'
  "$STAGE/helpers/no-reap" "$RUNTIME" --root "$ROOT" run --detach --bundle "$B" c1 >"$T/out" 2>&1 &
  local parent=$! rc=0
  eventually is_line_in 'status 0' "$T/out"
  strace -f -q -o /dev/null -e trace=setns -e inject=setns:delay_enter=1000000 "$RUNTIME" --root "$ROOT" exec c1 true 2>"$T/err" &
  eventually eval '[ "$(wc -l <"$C/cgroup.procs")" = 2 ]'
  pid_of c1
  kill -KILL "$PID" # the init alone
  wait %2 || rc=$?
  assert_eq "$rc" 255
  assert_match "$(<"$T/err")" 'exec failed: c1: the container has stopped meanwhile: '
  kill "$parent"
}

test_the_status_of_a_process_that_ends_with_its_container() {
  running
  "$RUNTIME" --root "$ROOT" exec --pid-file "$T/pid" c1 sleep 1000 &
  eventually [ -s "$T/pid" ]
  run_ok kill c1 KILL
  local rc=0
  wait %1 || rc=$?
  assert_eq "$rc" 137
}

# ---- errors ----

test_command_that_is_not_there() {
  running
  exec_fails 'executable file.*not found' c1 nope
  exec_fails 'no such file or directory' c1 /nope
}

test_command_that_cannot_be_executed() {
  running
  exec_fails 'permission denied' c1 /etc/passwd
  exec_fails 'is a directory|permission denied' c1 /etc
}

test_log_tells_what_a_shell_would_exit_with() {
  differs runc,crun "text only"
  running
  code() { rm -f "$T/log"; rt --log "$T/log" --log-format json exec c1 "$@"; assert_eq "$RC" 255; jq -r '"\(.code) \(.field) \(.errno)"' "$T/log.json" 2>/dev/null || jq -r '"\(.code) \(.field) \(.errno)"' "$T/log"; }
  assert_eq "$(code nope)" 'command-not-found process.args[0] null'
  assert_eq "$(code /nope)" 'command-not-found process.args[0] ENOENT'
  assert_eq "$(code /etc/passwd)" 'command-not-executable process.args[0] EACCES'
}

test_error_begins_with_what_engines_look_for() {
  differs crun "other words"
  running
  exec_fails 'exec failed: ' c1 nope
}

test_failed_exec_leaves_no_process() {
  running
  "$STAGE/helpers/no-reap" "$RUNTIME" --root "$ROOT" exec c1 nope >"$T/out" 2>&1 &
  eventually grep -q '^status' "$T/out"
  local children
  children=$(<"/proc/$!/task/$!/children")
  if [ "$RUNTIME_NAME" = crun ]; then kill $!; differs crun "1.8 leaves one unreaped"; fi
  assert_eq "$children" ''
  kill $!
}

test_foreground_exec_reaps_its_children() {
  running
  "$STAGE/helpers/no-reap" "$RUNTIME" --root "$ROOT" exec c1 true >"$T/out" 2>&1 &
  eventually is_line_in 'status 0' "$T/out"
  assert_eq "$(<"/proc/$!/task/$!/children")" ''
  kill $!
}

# ---- signals ----

test_signals_are_forwarded() {
  running
  "$RUNTIME" --root "$ROOT" exec c1 sh -c 'for s in HUP INT QUIT USR1 USR2 TERM; do trap "echo $s" $s; done; echo ready; while :; do sleep 0.05; done' >"$T/out" &
  eventually is_line_in ready "$T/out"
  local name
  for name in HUP INT QUIT USR1 USR2 TERM; do
    kill "-$name" %1
    eventually is_line_in "$name" "$T/out"
  done
  run_ok kill c1 KILL
  wait %1 || :
}

test_signal_that_may_not_be_sent_does_not_end_the_wait() {
  running '.process.capabilities = {}'
  setpriv --bounding-set=-kill "$RUNTIME" --root "$ROOT" exec -u 1000:1000 c1 sh -c 'echo ready; while [ ! -e /tmp/go ]; do sleep 0.05; done; exit 3' >"$T/out" 2>"$T/err" &
  eventually is_line_in ready "$T/out"
  kill -TERM %1
  [ "$RUNTIME_NAME" != knarr ] || eventually is_line_in 'knarr: warning: signal 15 to the container: operation not permitted (EPERM)' "$T/err"
  touch "$B/rootfs/tmp/go"
  local rc=0
  wait %1 || rc=$?
  assert_eq "$rc" 3
}

test_signal_state_is_fresh() {
  running
  (trap '' HUP USR1 PIPE; exec "$RUNTIME" --root "$ROOT" exec c1 grep -E 'Sig(Blk|Ign)' /proc/self/status) >"$T/out"
  assert_eq "$(tr -d '\t' <"$T/out")" $'SigBlk:0000000000000000\nSigIgn:0000000000000000'
}

test_caller_that_ignores_the_end_of_children() {
  differs crun "1.8 says 1"
  running
  local rc=0
  (trap '' CHLD; exec "$RUNTIME" --root "$ROOT" exec c1 sh -c 'exit 7') || rc=$?
  assert_eq "$rc" 7
}
