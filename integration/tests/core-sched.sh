# The annotation org.knarr.core-sched: a core scheduling cookie of the container's own, or another's.
# shellcheck shell=bash

own() { differs runc,crun "no such annotation"; }
CORE='def core(v): .annotations["org.knarr.core-sched"] = v | args(["sh", "-c", "sleep 100 & wait"]);'

# core COMMAND PID: prctl PR_SCHED_CORE of it (0: GET, 1: CREATE); what the kernel says in COOKIE, a number or an errno's name.
core() {
  COOKIE=$(/usr/bin/python3 - "$1" "$2" <<'PY'
import ctypes, errno, os, sys
command, pid = map(int, sys.argv[1:])
cookie, c = ctypes.c_ulonglong(0), ctypes.CDLL(None, use_errno=True)
args = (0, ctypes.addressof(cookie)) if command == 0 else (1, 0)
refused = c.prctl(62, ctypes.c_ulong(command), ctypes.c_ulong(pid), *map(ctypes.c_ulong, args))
print(errno.errorcode[ctypes.get_errno()] if refused else cookie.value)
PY
  ) || skip 'needs python3'
}
has_cores() { own; core 1 0; [ "$COOKIE" = 0 ] || skip "needs a kernel with core scheduling, and SMT: $COOKIE"; }
lacks_cores() { own; core 1 0; [ "$COOKIE" != 0 ] || skip 'needs a kernel without core scheduling, or no SMT'; }
cookie_of() { # VARIABLE PID: its cookie, not 0
  core 0 "$2"
  [[ $COOKIE =~ ^[0-9]+$ && $COOKIE != 0 ]] || fail "the cookie of $2 is $COOKIE"
  printf -v "$1" %s "$COOKIE"
}
runs() { # ID FILTER: run it; its pid in PID, that of its child in CHILD
  bundle "$1" "$CORE $2"
  run_ok run -d --bundle "$B" "$1"
  pid_of "$1"
  eventually child_of "$PID"
}
child_of() { slurp CHILD "/proc/$1/task/$1/children"; CHILD=${CHILD%% *}; [ -n "$CHILD" ]; }
executes() { # ID [OPTION...]: a process of exec; its pid in EXECUTED
  run_ok exec -d --pid-file "$T/exec.pid" "${@:2}" "$1" sleep 100
  slurp EXECUTED "$T/exec.pid"
}

test_all_processes_share_a_cookie_of_their_own() {
  has_cores
  local own child executed other
  runs c1 'core("own")'
  cookie_of own "$PID"
  cookie_of child "$CHILD"
  assert_eq "$child" "$own"
  executes c1
  cookie_of executed "$EXECUTED"
  assert_eq "$executed" "$own"
  runs c2 'core("own")'
  cookie_of other "$PID"
  [ "$other" != "$own" ] || fail "both have the cookie $own"
  core 0 $$
  assert_eq "$COOKIE" 0 "the caller's"
}

test_an_init_that_reaps_has_it_too() {
  has_cores
  local own child
  runs c1 'core("own") | .annotations["org.knarr.init"] = "true"'
  cookie_of own "$PID"
  cookie_of child "$CHILD"
  assert_eq "$child" "$own"
}

test_a_cookie_is_shared() {
  has_cores
  local own shared executed
  runs c1 'core("own")'
  cookie_of own "$PID"
  runs c2 'core("share:c1")'
  cookie_of shared "$PID"
  assert_eq "$shared" "$own"
  executes c2
  cookie_of executed "$EXECUTED"
  assert_eq "$executed" "$own"
  # It outlives the container that had it first.
  run_ok delete --force c1
  runs c3 'core("share:c2")'
  cookie_of shared "$PID"
  assert_eq "$shared" "$own"
}

test_in_a_user_namespace() {
  has_cores
  local own shared executed
  runs c1 'userns | core("own")'
  cookie_of own "$PID"
  executes c1
  cookie_of executed "$EXECUTED"
  assert_eq "$executed" "$own"
  runs c2 'userns | core("share:c1")'
  cookie_of shared "$PID"
  assert_eq "$shared" "$own"
}

test_only_the_cookie_of_a_container_that_has_one_and_runs() {
  has_cores
  runs c1 'del(.annotations) | args(["sh", "-c", "sleep 100 & wait"])'
  bundle c2 "$CORE core(\"share:c1\")"
  run_fails 1 'org.knarr.core-sched: container c1: it has no core scheduling cookie' run --bundle "$B" c2
  run_ok delete --force c1
  runs c1 'core("own")'
  run_ok kill c1 KILL
  eventually has_status c1 stopped
  bundle c2 "$CORE core(\"share:c1\")"
  run_fails 1 'org.knarr.core-sched: container c1: it does not run' run --bundle "$B" c2
}

test_a_machine_without_it_is_told() {
  lacks_cores
  local why
  case $COOKIE in
    ENODEV) why='no core scheduling: the processors have no SMT' ;;
    *) why='no core scheduling: the kernel is built without it' ;;
  esac
  bundle c1 "$CORE core(\"own\")"
  run_fails 1 "annotations.org.knarr.core-sched: prctl PR_SCHED_CORE CREATE: $why .*\($COOKIE\)" run --bundle "$B" c1
  rt check
  assert_match "$OUT" "core scheduling .*$why"
}

test_another_container_must_be_there() {
  own
  bundle c1 "$CORE core(\"share:nobody\")"
  run_fails 1 'annotations.org.knarr.core-sched: container nobody: container does not exist' run --bundle "$B" c1
}

test_values_are_checked() {
  own
  local value
  for value in own1 share share: share:a/b share:.. '' OWN; do
    bundle c1 --arg v "$value" "$CORE core(\$v)"
    run_fails 1 'annotations.org.knarr.core-sched: ' create --bundle "$B" c1
    run_fails 1 'annotations.org.knarr.core-sched: ' plan --id c1 "$B"
  done
  bundle c1 "$CORE core(\"share:c1\")"
  run_fails 1 '"share:c1" is this container itself' run --bundle "$B" c1
}
