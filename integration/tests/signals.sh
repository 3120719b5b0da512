# kill: names and numbers; what `run` in the foreground forwards.
# shellcheck shell=bash

# A container c1 whose program writes the name of each signal that it gets, to $LOG.
catcher() { # [FILTER]
  bundle c1 "sh(\"for s in HUP INT QUIT USR1 USR2 TERM WINCH CONT ALRM 34 64; do trap \\\"echo \$s\\\" \$s; done; echo ready; while :; do sleep 0.05; done\") | ${1:-.}"
}
caught() { is_line_in "$1" "$LOG"; }
start_catcher() {
  catcher "$@"
  run_ok run --detach --bundle "$B" c1
  eventually caught ready
  CAUGHT=$LOG
}
arrives() { # NAME ARG...: after `kill c1 ARG`, the program got NAME
  local name=$1
  shift
  : >"$CAUGHT.mark"
  run_ok kill c1 "$@"
  eventually is_line_in "$name" "$CAUGHT"
}

test_signal_by_name() { start_catcher; arrives USR1 USR1; arrives HUP HUP; arrives WINCH WINCH; }
test_signal_by_sig_name() { start_catcher; arrives USR2 SIGUSR2; arrives INT SIGINT; }
test_signal_by_number() { start_catcher; arrives USR1 10; arrives USR2 12; arrives TERM 15; }
test_signal_by_default_is_term() { start_catcher; arrives TERM; }
test_signal_name_in_lower_case() { differs crun "names in upper case only"; start_catcher; arrives USR1 usr1; arrives USR2 sigusr2; }

test_signal_0_only_asks() {
  start_catcher
  run_ok kill c1 0
  assert_status c1 running
}

test_signal_that_is_unknown() {
  differs crun "takes any word"
  start_catcher
  run_fails 1 'signal' kill c1 NOSUCH
  run_fails 1 'signal|invalid' kill c1 999
  assert_status c1 running
}

test_realtime_signal_by_number() {
  bundle c1 'sh("trap \"echo rt\" 34; echo ready; while :; do sleep 0.05; done")'
  run_ok run --detach --bundle "$B" c1
  local log=$LOG
  eventually is_line_in ready "$log"
  run_ok kill c1 34
  eventually is_line_in rt "$log"
}

test_signal_to_a_created_container() {
  bundle c1 'args(["sleep", "100"])'
  run_ok create --bundle "$B" c1
  run_ok kill c1 KILL
  eventually has_status c1 stopped
}

# Engines stop a container that they have not started yet as any other, and wait for their whole grace period.
test_any_signal_that_ends_a_process_ends_a_created_container() {
  differs crun "stays created"
  local signal
  bundle c1 'args(["sleep", "100"])'
  for signal in TERM INT HUP QUIT; do
    run_ok create --bundle "$B" c1
    run_ok kill c1 $signal
    eventually has_status c1 stopped
    run_fails 1 'stopped|not.*created|exited|cannot start' start c1
    run_ok delete c1
  done
  [ "$RUNTIME_NAME" != runc ] || return 0 # the others it ignores
  for signal in USR1 USR2 ALRM ABRT SEGV 34 64; do
    run_ok create --bundle "$B" c1
    run_ok kill c1 $signal
    eventually has_status c1 stopped
    run_ok delete c1
  done
}

test_a_signal_that_ends_no_process_leaves_a_created_container() {
  bundle c1 'sh("echo ran")'
  run_ok create --bundle "$B" c1
  local log=$LOG signal
  for signal in WINCH URG CHLD CONT TSTP; do run_ok kill c1 $signal; done
  run_ok start c1
  eventually is_line_in ran "$log"
}

test_a_created_container_ends_by_a_signal_however_it_was_made() {
  differs crun "stays created"
  local change
  for change in 'userns' 'no_ns("pid")' '.process.terminal = false | hook("startContainer"; "true")' '.process.user.uid = 1000'; do
    rm -rf "$T/c1"
    bundle c1 "args([\"sleep\", \"100\"]) | $change"
    chmod 755 "$T" "$WORK"
    # the caller ignores or blocks it
    RC=0
    python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
os.execv(sys.argv[1], sys.argv[1:])' "$RUNTIME" --root "$ROOT" create --bundle "$B" c1 >"$T/out" 2>&1 || fail "$(<"$T/out")"
    run_ok kill c1 TERM
    eventually has_status c1 stopped
    run_ok delete c1
  done
}

test_the_process_has_default_signals_after_it_waited_for_the_start() {
  bundle c1 'args(["grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status"])'
  run_ok create --bundle "$B" c1
  local log=$LOG
  run_ok start c1
  eventually grep -q SigCgt "$log"
  assert_eq "$(tr -s '\t\n' ' ' <"$log")" 'SigBlk: 0000000000000000 SigIgn: 0000000000000000 SigCgt: 0000000000000000 '
}

test_a_created_container_ends_by_a_signal_to_its_pidfd() {
  differs crun "has no --pidfd-socket"
  bundle c1 'args(["sleep", "100"])'
  python3 -c 'import array, os, signal, socket, sys, time
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1] + ".new")
server.listen()
os.rename(sys.argv[1] + ".new", sys.argv[1])
connection, _ = server.accept()
_, [(_, _, raw)], _, _ = connection.recvmsg(100, socket.CMSG_SPACE(4))
while not os.path.exists("created"):
    time.sleep(0.02)
signal.pidfd_send_signal(array.array("i", raw)[0], signal.SIGTERM)' "$T/sock" &
  eventually [ -S "$T/sock" ]
  run_ok create --pidfd-socket "$T/sock" --bundle "$B" c1
  touch created
  wait %1
  eventually has_status c1 stopped
}

test_kill_reaches_the_init_only() {
  bundle c1 'sh("(trap \"echo child\" USR1; echo ready; while :; do sleep 0.05; done) & trap \"echo init\" USR1; wait; while :; do sleep 0.05; done")'
  run_ok run --detach --bundle "$B" c1
  local log=$LOG
  eventually is_line_in ready "$log"
  run_ok kill c1 USR1
  eventually is_line_in init "$log"
  assert_no_match "$(<"$log")" child
}

test_kill_all_reaches_every_process() {
  bundle c1 'sh("(trap \"echo child\" USR1; echo ready; while :; do sleep 0.05; done) & trap \"echo init\" USR1; while :; do sleep 0.05; done")'
  run_ok run --detach --bundle "$B" c1
  local log=$LOG
  eventually is_line_in ready "$log"
  run_ok kill --all c1 USR1
  eventually is_line_in init "$log"
  eventually is_line_in child "$log"
}

test_kill_all_with_kill() {
  differs runc "1.1 warns of what has ended meanwhile"
  bundle c1 'sh("sleep 100 & sleep 100 & echo ready; sleep 100")'
  run_ok run --detach --bundle "$B" c1
  eventually is_line_in ready "$LOG"
  run_ok kill -a c1 KILL
  eventually has_status c1 stopped
}

test_kill_of_a_container_that_shares_the_pid_namespace_takes_all() {
  # Its children are not the init's to take along: every process of the cgroup must go.
  differs crun "kills the init only"
  differs runc "1.1 needs --all"
  bundle c1 'sh("sleep 1000 & echo $!; echo ready; sleep 1000") | no_ns("pid")'
  run_ok run --detach --bundle "$B" c1
  eventually is_line_in ready "$LOG"
  local child
  child=$(head -1 "$LOG")
  assert_exists "/proc/$child"
  run_ok kill c1 KILL
  eventually is_gone "$child"
}

test_delete_force_takes_all_processes_without_a_pid_namespace() {
  differs runc "1.1 kills the init only"
  bundle c1 'sh("sleep 1000 & echo $!; echo ready; exec sleep 1000") | no_ns("pid")'
  run_ok run --detach --bundle "$B" c1
  eventually is_line_in ready "$LOG"
  local child
  child=$(head -1 "$LOG")
  run_ok delete --force c1
  eventually is_gone "$child"
}

test_kill_all_after_the_init_is_gone() {
  differs crun "1.8 finds nothing to kill"
  bundle c1 'sh("sleep 1000 & echo $!; echo ready") | no_ns("pid")'
  run_ok run --detach --bundle "$B" c1
  local log=$LOG
  eventually has_status c1 stopped
  run_ok kill --all c1 KILL
  eventually is_gone "$(head -1 "$log")"
}

# ---- run in the foreground ----

foreground_catcher() { # starts `run` in the background of the case; RUN is its pid
  catcher
  LOG=$T/foreground
  "$RUNTIME" --root "$ROOT" run --bundle "$B" c1 >"$LOG" 2>&1 &
  RUN=$!
  eventually caught ready
}

test_run_forwards_signals() {
  foreground_catcher
  local name
  for name in TERM HUP INT QUIT USR1 USR2 ALRM CONT 64; do
    kill "-$name" "$RUN"
    eventually caught "$name"
  done
  assert_status c1 running
  run_ok kill c1 KILL
  local rc=0
  wait "$RUN" || rc=$?
  assert_eq "$rc" 137
}

test_run_forwards_the_first_real_time_signal() {
  differs runc "its language keeps that one for itself"
  foreground_catcher
  kill -34 "$RUN"
  eventually caught 34
  run_ok kill c1 KILL
  wait "$RUN" || :
}

test_run_ends_with_128_and_the_forwarded_signal() {
  bundle c1 'sh("trap - TERM; echo ready; exec sleep 100") | no_ns("pid")' # the first process of a PID namespace has no default action
  LOG=$T/foreground
  "$RUNTIME" --root "$ROOT" run --bundle "$B" c1 >"$LOG" 2>&1 &
  eventually caught ready
  nap
  kill -TERM %1
  local rc=0
  wait %1 || rc=$?
  assert_eq "$rc" 143
}

test_run_is_not_ended_by_a_child_that_ends() {
  in_container 'for i in 1 2 3; do true & done; wait; echo all'
  assert_eq "$OUT" all
}

test_killed_run_leaves_a_container_that_can_be_deleted() {
  foreground_catcher
  pid_of c1
  kill -KILL "$RUN"
  wait "$RUN" || :
  run_ok delete --force c1
  eventually is_gone "$PID"
  assert_absent "$C"
}
