# What lies in the state folder, and whoever holds on to it, does not decide about other containers or keep a command for ever.
# shellcheck shell=bash disable=SC2016

# hold: connect to c1's start socket and say nothing. HOLDER is the process.
hold() {
  /usr/bin/python3 -c 'import socket, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.connect(sys.argv[1]); print("held", flush=True); time.sleep(1000)' \
    "$ROOT/c1/start.sock" >"$T/held.$1" &
  HOLDERS+=($!)
  eventually is_line_in held "$T/held.$1"
}

test_control_a_start_that_nobody_holds_up() {
  bundle c1 'args(["true"])'
  run_ok create --bundle "$B" c1
  run_ok start c1
}

test_start_passes_those_that_hold_its_socket() {
  differs runc,crun "no such socket"
  local i
  bundle c1 'args(["sleep", "1000"])'
  run_ok create --bundle "$B" c1
  for i in 1 2 3; do hold $i; done
  assert_status c1 created
  run_ok start c1
  assert_status c1 running
  kill "${HOLDERS[@]}"
}

test_the_start_socket_is_its_owners_whatever_the_umask() {
  differs runc,crun "no such socket"
  bundle c1 'args(["true"])'
  umask 0
  run_ok create --bundle "$B" c1
  umask 022
  assert_eq "$(stat -c '%a %u' "$ROOT/c1/start.sock")" '600 0'
  run_ok start c1
}

# ---- a record that is damaged ----

# damaged TEXT [FILTER]: c1 runs, and its state.json becomes TEXT.
damaged() {
  bundle c1 "args([\"sleep\", \"1000\"]) | ${2:-.}"
  run_ok run --detach --bundle "$B" c1
  pid_of c1
  printf %s "$1" >"$ROOT/c1/state.json"
}

test_a_damaged_record_is_forced_away_with_its_processes() {
  differs runc,crun "other records"
  local text
  for text in '' '{' 'null' '{"pid": "x"}' '{"cgroup": {"path": "/"}}' $'\377'; do
    damaged "$text" 'no_ns("pid")'
    run_fails 1 'state.json' delete c1
    rt delete --force c1
    [ "$RC" = 0 ] || fail "$(said)"
    assert_match "$ERR" 'warning: .*state.json.* cannot be read; its cgroup was removed'
    eventually is_gone "$PID"
    assert_absent "$C"
    assert_unknown c1
    rm -rf "$B"
  done
}

test_a_missing_record_is_forced_away_with_its_processes() {
  differs runc,crun "other records"
  damaged x
  rm "$ROOT/c1/state.json"
  rt delete --force c1
  assert_eq "$RC" 0
  eventually is_gone "$PID"
  assert_absent "$C"
}

test_a_damaged_record_of_a_default_cgroup() {
  differs runc,crun "other records"
  damaged x 'del(.linux.cgroupsPath)'
  C=$V2$(sed -n 's/^0:://p' "/proc/$PID/cgroup")
  assert_exists "$C"
  rt delete --force c1
  assert_eq "$RC" 0
  assert_absent "$C"
}

test_a_damaged_record_names_nobody_elses_cgroup() {
  differs runc,crun "other records"
  bundle c2 'args(["sleep", "1000"])'
  run_ok run --detach --bundle "$B" c2
  mkdir "$T/empty" "$V2$BASE/others"
  local path
  for path in "$T/empty" "$V2$BASE/others" "$V2$BASE/c2" "$V2" "$T"; do
    FLAGS=(--cgroup-manager disabled)
    damaged "$(jq -nc --arg p "$path" '{cgroup: {path: $p, depth: 9}}')" 'del(.linux.cgroupsPath, .linux.resources)'
    rt delete --force c1
    assert_eq "$RC" 0
    assert_match "$ERR" 'no cgroup of it was found, nor any process'
    kill -KILL "$PID"
    eventually is_gone "$PID"
    assert_exists "$path"
    rm -rf "$B"
  done
  FLAGS=()
  assert_status c2 running
  rmdir "$V2$BASE/others"
}

test_a_record_that_names_an_empty_folder_leaves_it() {
  differs runc,crun "other records"
  mkdir "$T/empty"
  bundle c1 'args(["true"])'
  run_ok run --detach --bundle "$B" c1
  eventually has_status c1 stopped
  jq -c --arg p "$T/empty" '.cgroup.path = $p' "$ROOT/c1/state.json" >"$T/state.new"
  cp "$T/state.new" "$ROOT/c1/state.json"
  run_fails 1 'empty is not a cgroup' delete c1
  run_fails 1 'empty is not a cgroup' delete --force c1
  assert_exists "$T/empty"
  jq -c --arg p "$C" '.cgroup.path = $p' "$T/state.new" >"$ROOT/c1/state.json"
  run_ok delete c1
}

# ---- who holds up whom ----

test_delete_by_force_says_who_holds_the_lock() {
  differs runc,crun "no lock"
  bundle c1 'args(["sleep", "1000"])'
  run_ok run --detach --bundle "$B" c1
  flock "$ROOT/c1" sleep 1000 &
  local holder=$!
  eventually eval '! flock --nonblock "$ROOT/c1" true'
  run_fails 1 "delete c1: locked for 10 s by process [0-9]+ \((flock|sleep)\)" delete --force c1
  kill "$holder" $(<"/proc/$holder/task/$holder/children")
  run_ok delete --force c1
}

test_delete_by_force_says_who_has_to_reap_whom() {
  differs runc,crun "other words"
  bundle c1 'args(["sleep", "1000"])'
  run_ok run --detach --bundle "$B" c1
  "$STAGE/helpers/no-reap" "$RUNTIME" --root "$ROOT" exec --detach c1 sleep 1000 >"$T/out" 2>&1 &
  eventually is_line_in 'status 0' "$T/out"
  run_fails 1 "init outlives SIGKILL: it waits for process [0-9]+, which has ended, and which its parent $! \(no-reap\) has to reap" delete --force c1
  kill $!
  wait $! || :
  run_ok delete --force c1
}
