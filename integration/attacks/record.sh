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
