# pause and resume: no process of the container does anything meanwhile, and everything else about it still works.
# shellcheck shell=bash

counting() { # the file count of the container c1 grows; emptied each time, it would wait for the disk each time
  bundle c1 'rw | sh("while :; do echo; done >/count")'
  run_ok run --detach --bundle "$B" c1
  eventually test -s "$B/rootfs/count"
}
read_count() { COUNT=$(stat -c %s "$B/rootfs/count"); }
counts_on() { local before; read_count; before=$COUNT; nap; read_count; [ "$COUNT" != "$before" ]; }

test_pause_stops_all_progress_until_resume() {
  counting
  run_ok pause c1
  assert_status c1 paused
  local before now
  read_count
  before=$COUNT
  for _ in {1..10}; do nap; done
  read_count
  now=$COUNT
  assert_eq "$now" "$before" "the count of a paused container"
  run_ok resume c1
  assert_status c1 running
  eventually counts_on
}

test_pause_reaches_sub_cgroups() {
  differs crun "returns while they still stop, now and then"
  counting
  mkdir "$C/sub"
  sleep 1000 &
  local other=$!
  echo "$other" >"$C/sub/cgroup.procs"
  run_ok pause c1
  assert_line "$(<"$C/sub/cgroup.events")" 'frozen 1'
  run_ok resume c1
  assert_line "$(<"$C/sub/cgroup.events")" 'frozen 0'
  kill "$other"
  wait "$other" || :
  rmdir "$C/sub"
}

# The kernel calls a cgroup frozen as soon as its own processes are, whatever those below it still do. Busy ones that share
# a processor stop one after the other, as each gets its turn.
test_pause_waits_for_processes_of_sub_cgroups() {
  differs crun "returns while they still stop"
  bundle c1 'args(["sleep", "100"])'
  run_ok run --detach --bundle "$B" c1
  mkdir "$C/sub" "$C/sub/below"
  local busy=()
  for _ in {1..40}; do
    (echo "$BASHPID" >"$C/sub/below/cgroup.procs" && while :; do :; done) &
    busy+=($!)
  done
  all_there() { [ "$(grep -c . "$C/sub/below/cgroup.procs")" -eq 40 ]; }
  eventually all_there
  for _ in {1..5}; do
    run_ok pause c1
    assert_line "$(<"$C/sub/cgroup.events")" 'frozen 1'
    assert_line "$(<"$C/sub/below/cgroup.events")" 'frozen 1'
    run_ok resume c1
    assert_line "$(<"$C/sub/below/cgroup.events")" 'frozen 0'
  done
  kill -KILL "${busy[@]}"
  wait "${busy[@]}" || :
}

test_pause_of_a_created_container() {
  differs crun "the status is created"
  bundle c1 'args(["sleep", "100"])'
  run_ok create --bundle "$B" c1
  run_ok pause c1
  assert_status c1 paused
  run_fails 1 'paused' start c1
  run_ok resume c1
  assert_status c1 created
  run_ok start c1
  assert_status c1 running
}

test_pause_twice() {
  differs crun "exit status 0"
  counting
  run_ok pause c1
  run_fails 1 'container not running' pause c1
  assert_status c1 paused
  run_ok resume c1
}

test_resume_of_a_running_container() {
  differs crun "exit status 0"
  counting
  run_fails 1 'container not paused' resume c1
}

test_pause_and_resume_of_a_stopped_container() {
  differs crun "exit status 0, or another text"
  bundle c1 'args(["true"])'
  run_ok run --detach --bundle "$B" c1
  eventually has_status c1 stopped
  run_fails 1 'container not running' pause c1
  run_fails 1 'container not paused' resume c1
}

test_pause_and_resume_of_no_container() {
  run_fails 1 "$UNKNOWN" pause c1
  run_fails 1 "$UNKNOWN" resume c1
}

test_kill_of_a_paused_container() {
  counting
  run_ok pause c1
  run_ok kill c1 KILL
  eventually has_status c1 stopped
  run_ok delete c1
  assert_absent "$C"
}

test_a_signal_to_a_paused_container_waits_for_resume() {
  bundle c1 'sh("trap \"exit 7\" TERM; echo ready; while :; do sleep 0.05; done")'
  run_ok run --detach --bundle "$B" c1
  eventually is_line_in ready "$LOG"
  run_ok pause c1
  run_ok kill c1 TERM
  assert_status c1 paused
  run_ok resume c1
  eventually has_status c1 stopped
}

test_delete_of_a_paused_container_needs_force() {
  counting
  run_ok pause c1
  run_fails 1 'paused|not stopped|state' delete c1
  assert_status c1 paused
  pid_of c1
  run_ok delete --force c1
  eventually is_gone "$PID"
  assert_absent "$C"
}

test_pause_and_resume_many_times() {
  bundle c1 'sh("i=0; while [ $i -lt 20 ]; do sleep 1000 & i=$((i+1)); done; echo ready; wait")'
  run_ok run --detach --bundle "$B" c1
  eventually is_line_in ready "$LOG"
  for _ in {1..10}; do
    run_ok pause c1
    run_ok resume c1
  done
  assert_status c1 running
}

test_resume_below_a_frozen_cgroup_says_so() {
  differs runc,crun "no such case"
  bundle c1 --arg b "$BASE" '.linux.cgroupsPath = $b + "/above/c1" | args(["sleep", "100"])'
  mkdir "$V2$BASE/above"
  run_ok run --detach --bundle "$B" c1
  echo 1 >"$V2$BASE/above/cgroup.freeze"
  eventually has_status c1 paused
  CASE_LIMIT=60
  run_fails 1 'above/c1: still frozen, by a cgroup above it' resume c1
  echo 0 >"$V2$BASE/above/cgroup.freeze"
  eventually has_status c1 running
  run_ok delete --force c1
  rmdir "$V2$BASE/above"
}
