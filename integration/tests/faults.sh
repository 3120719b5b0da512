# Faults: every system call of `create`, `run` and `exec` fails once, and parent and init are killed at each message. Nothing stays.
# The faults are strace's (tampering, strace(1)): the program under test is the one that is shipped.
# shellcheck shell=bash
CASE_LIMIT=240

# Calls whose failure says nothing about the runtime: memory, the C library's start and end, what strace does itself; and
# close, which on a real kernel frees the descriptor whatever it answers, while a tampered one leaves it open; and umask, which
# cannot fail.
HARMLESS=' close close_range umask brk mmap munmap mremap mprotect madvise exit exit_group rt_sigreturn arch_prctl set_tid_address set_robust_list rseq
 sigaltstack sched_getaffinity getrandom restart_syscall uname poll futex clock_gettime gettid getpid clock_nanosleep '

# traced ARGS...: the runtime under strace; status in RC, standard error in $T/err. strace itself stays until the last process
# that it traces is gone, which the init of a created container is not; so the runtime's end is read from the trace.
traced() {
  : >"$T/trace"
  strace -f -q -o "$T/trace" "${INJECT[@]}" "$RUNTIME" --root "$ROOT" "$@" >"$T/out" 2>"$T/err" </dev/null &
  TRACER=$!
  eventually has_ended
}
has_ended() {
  local main line
  read -r main _ <"$T/trace" || return 1
  line=$(grep -m1 -E "^$main +\+\+\+ (exited|killed)" "$T/trace") || return 1
  case $line in
    *'exited with '*) line=${line#*exited with } RC=${line%% *} ;;
    *) RC=137 ;;
  esac
}

# untrace: delete the container, if there is one, and wait for strace.
untrace() {
  rt delete --force c1
  [ "$RC" = 0 ] || fail "$1: delete: $ERR"
  wait "$TRACER" || :
}

# calls_of ARGS...: "NAME COUNT" for each call, where COUNT is the most that one process made, in CALLS.
calls_of() {
  INJECT=()
  traced "$@"
  [ "$RC" = 0 ] || fail "the run without faults: status $RC: $(<"$T/err")"
  untrace "without faults"
  count_calls
}
count_calls() {
  CALLS=$(awk '{sub(/\(.*/, "", $2); if ($2 ~ /^[a-z0-9_]+$/) n[$1" "$2]++}
    END {for (k in n) {split(k, p, " "); if (n[k] > m[p[2]]) m[p[2]] = n[k]} for (c in m) print c, m[c]}' "$T/trace" | sort)
}

# clean WHAT: neither a container's folder nor its cgroup is there, nor a process in it.
clean() {
  state_entries
  [ ! -e "${STATES[0]-}" ] || fail "$1: left ${STATES[*]}"$'\n'"$(<"$T/err")"
  [ ! -e "$C" ] || fail "$1: left the cgroup $C"$'\n'"$(<"$T/err")"
}

# fail_each VERB...: fail each call of the command, one at a time.
fail_each() {
  local name count n
  local failures=0 unnamed=0
  calls_of "$@" --bundle "$B" c1
  while read -r name count; do
    [[ $HARMLESS == *" $name "* ]] && continue
    for ((n = 1; n <= count; n++)); do
      INJECT=(-e "inject=$name:error=EIO:when=$n")
      traced "$@" --bundle "$B" c1
      if [ "$RC" = 0 ]; then
        untrace "$name #$n"
      else
        wait "$TRACER" || :
        failures=$((failures + 1))
        # The container of a `run` that failed after its end, while it was deleted, is still there to be deleted.
        [ "$1" != run ] || rt delete --force c1
        # One line that names what was tried, and but for a few calls whose errno says more than one thing, EIO. Rust's own start
        # aborts where rt_sigaction fails.
        [ "$(wc -l <"$T/err")" -le 2 ] || fail "$name #$n: more than one line:"$'\n'"$(<"$T/err")"
        [ "$name" = rt_sigaction ] || grep -qE '^knarr: .+: .+' "$T/err" || fail "$name #$n: nothing is named: $(<"$T/err")"
        grep -qF '(EIO)' "$T/err" || unnamed=$((unnamed + 1))
      fi
      clean "$name #$n"
    done
  done <<<"$CALLS"
  [ "$unnamed" -lt 20 ] || fail "$unnamed of $failures errors do not say EIO"
  [ "$failures" -gt 60 ] || fail "only $failures faults had an effect"
}

test_each_failing_call_of_create_leaves_nothing() {
  differs runc,crun "many calls, many threads"
  requires native
  bundle c1 'args(["true"])'
  fail_each create
}

test_each_failing_call_of_run_leaves_nothing() {
  differs runc,crun "many calls, many threads"
  requires native
  bundle c1 'args(["true"])'
  fail_each run
}

# kill_at_each CALL: SIGKILL whoever makes its Nth CALL; a killed parent's traces go with the next delete.
kill_at_each() {
  local n
  for n in 1 2 3 4; do
    INJECT=(-e "inject=$1:signal=KILL:when=$n")
    traced create --bundle "$B" c1
    untrace "SIGKILL at $1 #$n"
    clean "SIGKILL at $1 #$n"
  done
}

test_parent_and_init_killed_at_each_message() {
  differs runc,crun "other messages"
  requires native
  mkdir -p "$T/hooks"
  bundle c1 'args(["true"]) | .hooks = {createRuntime: [{path: "/bin/true"}], createContainer: [{path: "/bin/true"}]}'
  kill_at_each sendmsg
  kill_at_each recvmsg
  kill_at_each clone3
}

is_stopped() { grep -qE '^[0-9]+ +--- stopped by SIGSTOP' "$T/trace" || has_ended; }
goes_on() {
  local pid
  while read -r pid _; do kill -CONT "$pid" 2>/dev/null || :; done < <(grep -E '^[0-9]+ +--- stopped by SIGSTOP' "$T/trace")
  has_ended
}
# stop_at CALL N ARGS...: the runtime, of which whoever makes its Nth CALL gets SIGSTOP. FIRST is the first of them, if there is one.
# Meanwhile others are not held up.
stop_at() {
  local what="SIGSTOP at $1 #$2" rc=0
  : >"$T/trace"
  strace -f -q -o "$T/trace" -e "inject=$1:signal=STOP:when=$2" "$RUNTIME" --root "$ROOT" "${@:3}" >"$T/out" 2>"$T/err" </dev/null &
  TRACER=$!
  eventually is_stopped
  FIRST=$(awk '/--- stopped by SIGSTOP/ {print $1; exit}' "$T/trace")
  [ -n "$FIRST" ] || return 0
  STOPPED=$((STOPPED + 1))
  timeout 5 "$RUNTIME" --root "$ROOT" list >"$T/list" 2>&1 || rc=$?
  [ "$rc" = 0 ] || fail "$what: list: $rc: $(<"$T/list")"
}
# stopped_at_each CALL THEN: `create`; THEN is what the first gets: CONT or KILL. Afterwards nothing stays.
stopped_at_each() {
  local n
  for n in 1 2 3 4; do
    stop_at "$1" $n create --bundle "$B" c1
    [ -z "$FIRST" ] || kill -"$2" "$FIRST"
    eventually goes_on
    [ "$2" = KILL ] && [ -n "$FIRST" ] || [ "$RC" = 0 ] || fail "SIGSTOP at $1 #$n, then SIGCONT: status $RC: $(<"$T/err")"
    untrace "SIGSTOP at $1 #$n, then $2"
    clean "SIGSTOP at $1 #$n, then $2"
  done
}

test_parent_and_init_stopped_at_each_message() {
  differs runc,crun "other messages"
  requires native
  local call STOPPED=0
  bundle c1 'args(["true"]) | .hooks = {createRuntime: [{path: "/bin/true"}], createContainer: [{path: "/bin/true"}]}'
  for call in sendmsg recvmsg clone3; do
    stopped_at_each $call CONT
    stopped_at_each $call KILL
  done
  [ $STOPPED -ge 10 ] || fail "only $STOPPED were stopped"
}

test_a_killed_create_makes_way_for_the_next() {
  differs runc,crun "the folder stays in the way"
  requires native
  bundle c1 'args(["true"])'
  INJECT=(-e "inject=clone3:signal=KILL:when=1")
  traced create --bundle "$B" c1
  wait "$TRACER" || :
  run_ok create --bundle "$B" c1
  assert_status c1 created
}

# alone WHAT: in the container's cgroup there is its init only, and that is not ended.
only_init() { [ "$(<"$C/cgroup.procs")" = "$PID" ]; }
alone() {
  eventually only_init
  # Only the last thing, the wait for its end, fails after the process has run.
  [ ! -e "$T/pid" ] || [ "$RC" != 255 ] || [[ $1 == waitid* ]] || fail "$1: left a pid file"
}

test_each_failing_call_of_exec_leaves_nothing() {
  differs runc,crun "many calls, many threads"
  requires native
  local name count n failures=0 unnamed=0
  bundle c1 'args(["sleep", "1000"]) | .process.rlimits = []'
  run_ok run --detach --bundle "$B" c1
  pid_of c1
  INJECT=()
  traced exec --pid-file "$T/pid" c1 true
  wait "$TRACER" || :
  assert_eq "$RC" 0
  count_calls
  while read -r name count; do
    [[ $HARMLESS == *" $name "* ]] && continue
    for ((n = 1; n <= count; n++)); do
      INJECT=(-e "inject=$name:error=EIO:when=$n")
      rm -f "$T/pid"
      traced exec --pid-file "$T/pid" c1 true
      wait "$TRACER" || :
      if [ "$RC" != 0 ]; then
        failures=$((failures + 1))
        [ "$(wc -l <"$T/err")" -le 1 ] || [ "$name" = rt_sigaction ] || fail "$name #$n: more than one line:"$'\n'"$(<"$T/err")"
        [ "$name" = rt_sigaction ] || grep -qE '^knarr: .+: .+' "$T/err" || fail "$name #$n: nothing is named, status $RC: $(<"$T/err")"
        grep -qF '(EIO)' "$T/err" || unnamed=$((unnamed + 1))
      fi
      alone "$name #$n"
    done
  done <<<"$CALLS"
  [ "$unnamed" -lt 20 ] || fail "$unnamed of $failures errors do not say EIO"
  [ "$failures" -gt 40 ] || fail "only $failures faults had an effect"
  assert_status c1 running
}

test_exec_killed_at_each_message() {
  differs runc,crun "other messages"
  requires native
  local call n
  bundle c1 'args(["sleep", "1000"])'
  run_ok run --detach --bundle "$B" c1
  pid_of c1
  for call in clone3 setns sendmsg recvmsg waitid; do
    for n in 1 2 3; do
      INJECT=(-e "inject=$call:signal=KILL:when=$n")
      traced exec c1 true
      wait "$TRACER" || :
      alone "SIGKILL at $call #$n"
    done
  done
}

# exec_stopped_at_each CALL THEN: as stopped_at_each. Meanwhile another `exec` works.
exec_stopped_at_each() {
  local n rc
  for n in 1 2 3; do
    stop_at "$1" $n exec c1 true
    if [ -n "$FIRST" ]; then
      rc=0
      timeout 5 "$RUNTIME" --root "$ROOT" exec c1 true >"$T/list" 2>&1 || rc=$?
      [ "$rc" = 0 ] || fail "SIGSTOP at $1 #$n: another exec: $rc: $(<"$T/list")"
      kill -"$2" "$FIRST"
    fi
    eventually goes_on
    wait "$TRACER" || :
    [ "$2" = KILL ] && [ -n "$FIRST" ] || [ "$RC" = 0 ] || fail "SIGSTOP at $1 #$n, then SIGCONT: status $RC: $(<"$T/err")"
    alone "SIGSTOP at $1 #$n, then $2"
  done
}

test_exec_stopped_at_each_message() {
  differs runc,crun "other messages"
  requires native
  local call STOPPED=0
  bundle c1 'args(["sleep", "1000"])'
  run_ok run --detach --bundle "$B" c1
  pid_of c1
  for call in clone3 setns sendmsg recvmsg waitid; do
    exec_stopped_at_each $call CONT
    exec_stopped_at_each $call KILL
  done
  assert_status c1 running
  [ $STOPPED -ge 10 ] || fail "only $STOPPED were stopped"
}

# CRIU traces the processes itself, so only the command's own calls are failed, and of these not the many that only read.
CRIU_HARMLESS='read|readlink|statx|newfstatat|fstatfs|fcntl|prctl|geteuid|lseek|execve|rt_sigaction|rt_sigprocmask|prlimit64|setsockopt|shutdown'
own_calls() { # COMMAND...: "NAME COUNT" of its calls, in CALLS
  strace -q -o "$T/trace" "$@" >"$T/out" 2>"$T/err" </dev/null || fail "without faults: $(<"$T/err")"
  CALLS=$(sed -nE 's/^([a-z0-9_]+)\(.*/\1/p' "$T/trace" | sort | uniq -c | awk '{print $2, $1}' | grep -vE "^($CRIU_HARMLESS) ")
}
with_fault() { # NAME N COMMAND...
  RC=0
  strace -q -o "$T/trace" -e "inject=$1:error=EIO:when=$2" "${@:3}" >"$T/out" 2>"$T/err" </dev/null || RC=$?
}

test_each_failing_call_of_restore_leaves_nothing() {
  differs runc,crun "many calls, many threads"
  requires native
  requires criu
  local restore name count n failures=0
  FLAGS=(--criu "$CRIU")
  bundle c1 'args(["sleep", "1000"])'
  "$RUNTIME" --root "$ROOT" run --detach --bundle "$B" c1 </dev/null >/dev/null 2>&1
  run_ok checkpoint --image-path "$T/images" c1
  restore=("$RUNTIME" --root "$ROOT" --criu "$CRIU" restore --detach --bundle "$B" --image-path "$T/images" c1)
  own_calls "${restore[@]}"
  rt delete --force c1
  while read -r name count; do
    [[ $HARMLESS == *" $name "* ]] && continue
    for ((n = 1; n <= count; n++)); do
      with_fault "$name" "$n" "${restore[@]}"
      if [ "$RC" = 0 ]; then
        run_ok delete --force c1
      else
        failures=$((failures + 1))
        # CRIU complains for itself when it is left alone.
        [ "$(grep -vc '^Error (criu/' "$T/err")" -le 2 ] || fail "$name #$n: more than one line:"$'\n'"$(<"$T/err")"
        grep -qE '^knarr: .+: .+' "$T/err" || fail "$name #$n: nothing is named: $(<"$T/err")"
      fi
      clean "$name #$n"
    done
  done <<<"$CALLS"
  [ "$failures" -gt 40 ] || fail "only $failures faults had an effect"
}

# Only the command itself is traced.
own_is_stopped() { grep -q '^--- stopped by SIGSTOP' "$T/trace" || grep -qE '^\+\+\+ (exited|killed)' "$T/trace"; }
own_has_ended() { grep -qE '^\+\+\+ (exited|killed)' "$T/trace"; }
# restore_with SIGNAL CALL N: `restore` gets it at its Nth CALL. FIRST is its pid, if there were as many.
restore_with() {
  : >"$T/trace"
  strace -q -o "$T/trace" -e "inject=$2:signal=$1:when=$3" "${RESTORE[@]}" >"$T/out" 2>"$T/err" </dev/null &
  TRACER=$!
  eventually own_is_stopped
  FIRST=''
  grep -q "SIG$1" "$T/trace" || return 0
  COUNT=$((COUNT + 1)) FIRST=gone
  [ "$1" = KILL ] || read -r FIRST <"/proc/$TRACER/task/$TRACER/children" || :
}
restored() { # WHAT: the command has ended well, and what it made is deleted
  eventually own_has_ended
  RC=0
  wait "$TRACER" || RC=$?
  [ "$RC" = 0 ] || fail "$1: status $RC: $(<"$T/err")"
  run_ok delete --force c1
  clean "$1"
}
killed() { # WHAT: what it has left goes with the next delete
  eventually own_has_ended
  wait "$TRACER" || :
  rt delete --force c1
  [ "$RC" = 0 ] || fail "$1: delete: $ERR"
  clean "$1"
}

test_restore_stopped_and_killed_at_each_message() {
  differs runc,crun "other messages"
  requires native
  requires criu
  local call n COUNT=0
  FLAGS=(--criu "$CRIU")
  bundle c1 'args(["sleep", "1000"])'
  "$RUNTIME" --root "$ROOT" run --detach --bundle "$B" c1 </dev/null >/dev/null 2>&1
  run_ok checkpoint --image-path "$T/images" c1
  RESTORE=("$RUNTIME" --root "$ROOT" --criu "$CRIU" restore --detach --bundle "$B" --image-path "$T/images" c1)
  for call in clone3 sendmsg recvmsg; do
    for n in 1 2 3 4 5 6 7 8; do
      restore_with STOP $call $n
      [ -n "$FIRST" ] || { restored "without $call #$n"; break; }
      timeout 5 "$RUNTIME" --root "$ROOT" list >"$T/list" 2>&1 || fail "SIGSTOP at $call #$n: list: $(<"$T/list")"
      kill -CONT "$FIRST"
      restored "SIGSTOP at $call #$n, then SIGCONT"
      restore_with STOP $call $n
      kill -KILL "$FIRST"
      killed "SIGSTOP at $call #$n, then SIGKILL"
      restore_with KILL $call $n
      killed "SIGKILL at $call #$n"
    done
  done
  [ $COUNT -ge 24 ] || fail "only $COUNT signals had an effect"
  "${RESTORE[@]}" </dev/null >/dev/null 2>&1 # the images are as they were
  assert_status c1 running
}

test_each_failing_call_of_checkpoint_leaves_a_container() {
  differs runc,crun "many calls, many threads"
  requires native
  requires criu
  local name count n failures=0
  FLAGS=(--criu "$CRIU")
  bundle c1 'args(["sleep", "1000"])'
  start() { "$RUNTIME" --root "$ROOT" run --detach --bundle "$B" c1 </dev/null >/dev/null 2>&1; }
  start
  own_calls "$RUNTIME" --root "$ROOT" --criu "$CRIU" checkpoint --leave-running --image-path "$T/images" c1
  while read -r name count; do
    [[ $HARMLESS == *" $name "* ]] && continue
    for ((n = 1; n <= count; n++)); do
      with_fault "$name" "$n" "$RUNTIME" --root "$ROOT" --criu "$CRIU" checkpoint --leave-running --image-path "$T/images" c1
      [ "$RC" = 0 ] || failures=$((failures + 1))
      assert_status c1 running
    done
  done <<<"$CALLS"
  [ "$failures" -gt 15 ] || fail "only $failures faults had an effect"
  run_ok checkpoint --image-path "$T/images" c1
  clean checkpoint
}
