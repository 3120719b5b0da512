# sd_notify(3): what a container says to who waits for it on the host.
# shellcheck shell=bash disable=SC2016 # scripts are for the shell in the container

# perl in the container: say MESSAGE. The socket is that of the environment.
say='use Socket; sub say { socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die $!; send($s, $_[0], 0, pack_sockaddr_un($ENV{NOTIFY_SOCKET})) or die "send: $!"; } $| = 1; '

# speaker PERL [FILTER]: a bundle c1 whose program is PERL
speaker() { bundle c1 --arg r "$DEBIAN" --arg s "$say $1" ".root.path = \$r | args([\"perl\", \"-e\", \$s]) | ${2:-.}"; }
listen() {
  "$STAGE/helpers/notified" "$T/host.sock" "$T/said" &
  LISTENER=$!
  eventually [ -S "$T/host.sock" ]
  export NOTIFY_SOCKET=$T/host.sock
}
deaf() { unset NOTIFY_SOCKET; kill $LISTENER; wait $LISTENER || :; }

test_run_detached_returns_when_the_container_is_ready() {
  requires debian
  differs crun "another place for the socket"
  listen
  speaker 'sleep 1; say("READY=1\nSTATUS=up"); sleep 100'
  run_ok run --detach --bundle "$B" c1
  pid_of c1
  assert_match "$(<"$T/said")" 'READY=1'
  assert_match "$(<"$T/said")" "MAINPID=$PID"
  deaf
}

test_start_returns_when_the_container_is_ready() {
  requires debian
  differs crun "another place for the socket"
  listen
  speaker 'sleep 1; say("READY=1"); sleep 100'
  run_ok create --bundle "$B" c1
  assert_absent "$T/said"
  run_ok start c1
  pid_of c1
  assert_match "$(<"$T/said")" "MAINPID=$PID"
  deaf
}

test_start_returns_when_the_container_ends_without_a_word() {
  requires debian
  listen
  speaker 'exit 3'
  run_ok create --bundle "$B" c1
  run_ok start c1
  eventually has_status c1 stopped
  deaf
}

test_run_in_the_foreground_passes_on_and_ends_with_the_container() {
  requires debian
  differs runc,crun "1.1 does not end; 1.8 has another place for the socket"
  listen
  speaker 'say("STATUS=a=b"); say("READY=1\nSTATUS=up"); say("EXTEND_TIMEOUT_USEC=5"); sleep 1; exit 4'
  rt run --bundle "$B" c1
  assert_eq "$RC" 4
  assert_eq "$(<"$T/said")" $'STATUS=a=b\n--\nREADY=1\nSTATUS=up\n--\nEXTEND_TIMEOUT_USEC=5\n--'
  deaf
}

test_run_in_the_foreground_of_a_container_that_never_says_ready() {
  differs runc "never ends"
  listen
  bundle c1 'sh("exit 4")'
  rt run --bundle "$B" c1
  assert_eq "$RC" 4
  deaf
}

test_what_is_about_the_hosts_processes_is_not_passed_on() {
  requires debian
  differs runc,crun "pass on other things"
  listen
  speaker 'say("MAINPID=1"); say("NOTIFYACCESS=all"); say("FDSTORE=1\nREADY=1\nMAINPID=1"); sleep 100'
  run_ok run --detach --bundle "$B" c1
  pid_of c1
  assert_eq "$(<"$T/said")" $'READY=1\nMAINPID='"$PID"$'\n--\nBARRIER=1\n--'
  deaf
}

test_no_line_hides_in_another_one() {
  requires debian
  differs runc,crun "pass on other things"
  listen
  speaker 'say("STATUS=x\rMAINPID=765\nWATCHDOG=1"); say("STATUS=x\0NOTIFYACCESS=all"); say("STATUS=a\eb\rFDSTOREREMOVE=1\nREADY=1"); sleep 100'
  run_ok run --detach --bundle "$B" c1
  pid_of c1
  assert_eq "$(<"$T/said")" $'STATUS=x\nWATCHDOG=1\n--\nSTATUS=x\n--\nREADY=1\nMAINPID='"$PID"$'\n--\nBARRIER=1\n--'
  deaf
}

test_the_socket_is_usable_by_another_user() {
  requires debian
  differs crun "another place for the socket"
  listen
  speaker 'say("READY=1"); sleep 100' '.process.user = {uid: 1000, gid: 1000}'
  run_ok run --detach --bundle "$B" c1
  assert_match "$(<"$T/said")" 'READY=1'
  deaf
}

test_without_who_waits_there_is_no_socket() {
  in_container 'echo "<$NOTIFY_SOCKET>"; ls -d /run/notify 2>/dev/null || echo none'
  assert_eq "$OUT" $'<>\nnone'
}

test_a_host_that_does_not_listen_does_not_matter() {
  differs runc,crun "fail or wait"
  export NOTIFY_SOCKET=$T/none.sock
  bundle c1 'sh("exit 4")'
  rt run --bundle "$B" c1
  assert_eq "$RC" 4
  run_ok run --detach --bundle "$B" c1
  eventually has_status c1 stopped
  unset NOTIFY_SOCKET
}

test_delete_while_the_container_gets_ready() {
  differs runc,crun "wait, or have another place"
  listen
  bundle c1 'sh("sleep 1000")'
  run_ok create --bundle "$B" c1
  pid_of c1
  "$RUNTIME" --root "$ROOT" start c1 &
  eventually grep -Eq 'sh|sleep' "/proc/$PID/comm" # before that `start` may say that init is gone
  run_ok delete --force c1
  wait $!
  deaf
}

test_a_word_that_never_comes_is_bounded() {
  differs runc,crun "no such option"
  listen
  bundle c1 'args(["sleep", "100"])'
  FLAGS=(--timeout 1s)
  run_fails 1 'run c1: not done within 1s: it waits for the notification that it is ready' run --detach --bundle "$B" c1
  FLAGS=()
  assert_unknown c1
  run_ok create --bundle "$B" c1
  FLAGS=(--timeout 1s)
  run_fails 1 'start c1: not done within 1s: it waits for the notification that it is ready' start c1
  FLAGS=()
  deaf
}
