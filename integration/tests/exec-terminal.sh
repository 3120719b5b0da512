# exec: with a terminal.
# shellcheck shell=bash disable=SC2016 # scripts are for the shell in the container

# shellcheck source=../words/exec.sh
. "$STAGE/words/exec.sh"

# on_terminal [TTY-OPTION...] -- EXEC-ARG...: `exec` on a terminal of its own; RC, OUT (carriage returns taken out)
on_terminal() {
  local options=()
  while [ "$1" != -- ]; do options+=("$1"); shift; done
  shift
  RC=0
  "$TTY" "${options[@]}" "$RUNTIME" --root "$ROOT" exec "$@" >"$T/tty" 2>"$T/tty.err" || RC=$?
  OUT=$(tr -d '\r' <"$T/tty")
}

test_tty() {
  running
  on_terminal -- -t c1 sh -c 'test -t 0 && test -t 1 && test -t 2 && echo yes; exit 5'
  assert_eq "$OUT" yes
  assert_eq "$RC" 5
}

test_without_tty_there_is_no_terminal() {
  bundle c1 '.process.terminal = true | args(["sleep", "1000"])'
  "$TTY" listen "$T/sock" "$T/info" >"$T/console" 2>&1 &
  eventually [ -S "$T/sock" ]
  run_ok run --detach --console-socket "$T/sock" --bundle "$B" c1
  within 'test ! -t 0 && test ! -t 1 && echo none'
  assert_eq "$OUT" none
}

test_tty_is_in_the_containers_devpts_and_is_the_controlling_one() {
  running
  on_terminal -- --tty c1 sh -c 'readlink /proc/self/fd/0; echo to the terminal >/dev/tty'
  assert_match "$OUT" $'/dev/pts/[0-9]+\nto the terminal'
}

test_tty_does_not_become_the_containers_console() {
  bundle c1 '.process.terminal = true | args(["sleep", "1000"])'
  "$TTY" listen "$T/sock" "$T/info" >"$T/console" 2>&1 &
  eventually [ -S "$T/sock" ]
  run_ok run --detach --console-socket "$T/sock" --bundle "$B" c1
  on_terminal -- -t c1 sh -c 'stat -c %t:%T /dev/console; readlink /proc/self/fd/0'
  assert_eq "$OUT" $'88:0\n/dev/pts/1'
  eventually is_gone none
}

test_tty_has_the_callers_size_and_follows_it() {
  differs crun "1.8 has no size"
  differs runc "1.1 sets it after the start"
  running
  on_terminal --size 33x101 --send resize:40x120 -- -t c1 sh -c 'busybox stty size; echo ready; i=0; until [ "$(busybox stty size)" = "40 120" ]; do sleep 0.1; i=$((i+1)); [ $i -lt 80 ] || exit 9; done; echo resized'
  assert_line "$OUT" '33 101'
  assert_line "$OUT" resized
}

test_tty_belongs_to_the_user() {
  differs crun "1.8 leaves it to root"
  running
  on_terminal -- -t -u 1000:1000 c1 sh -c 'stat -c %u "$(readlink /proc/self/fd/0)"'
  assert_eq "$OUT" 1000
}

test_tty_a_megabyte_typed_comes_back() {
  differs runc,crun "may get stuck"
  running
  OUT=$("$STAGE/helpers/paste" 1048576 "$RUNTIME" --root "$ROOT" exec -t c1 sh -c 'busybox stty raw -echo; echo ready; busybox head -c 1048576')
  assert_eq "$OUT" '1048576 same'
}

test_tty_whose_reader_is_gone_does_not_end_the_process() {
  differs runc,crun "need a terminal of the caller's"
  running
  "$TTY" sh -c '{ "$0" "$@" </dev/null || echo $? >rc; } | head -n 1 >/dev/null' "$RUNTIME" --root "$ROOT" exec -t c1 sh -c 'echo first; busybox seq 1 100000; exit 4'
  assert_eq "$(<"$T/rc")" 4
  "$TTY" sh -c '{ "$0" "$@" </dev/null; echo $? >rc; } | head -n 1 >/dev/null' "$RUNTIME" --root "$ROOT" exec -t c1 busybox seq 1 100000
  assert_eq "$(<"$T/rc")" 0
}

test_tty_that_a_child_keeps_open_does_not_keep_the_command() {
  running
  on_terminal -- -t c1 sh -c '(trap "" HUP; busybox yes) & echo left; exit 6'
  assert_eq "$RC" 6
  run_ok kill c1 KILL
}

test_tty_of_a_command_that_cannot_run_is_restored() {
  running
  "$TTY" sh -c 'stty -a >'"$T/before"'; "$0" "$@"; stty -a >'"$T/after" "$RUNTIME" --root "$ROOT" exec -t c1 /nope >"$T/tty" 2>&1
  assert_eq "$(<"$T/after")" "$(<"$T/before")"
}

test_console_socket() {
  running
  "$TTY" listen "$T/sock" "$T/info" --send 'hello\n' >"$T/console" 2>"$T/console.err" &
  eventually [ -S "$T/sock" ]
  run_ok exec --tty --detach --console-socket "$T/sock" c1 sh -c 'echo ready; read line; echo "got $line"; sleep 1000'
  eventually [ -e "$T/info" ]
  assert_jq "$(<"$T/info")" '.fds == 1 and .messages == 1 and .bytes >= 1 and .tty and .closed'
  eventually eval 'tr -d "\r" <"$T/console" | grep -q "got hello"'
}

test_console_socket_terminal_is_as_the_kernel_makes_it() {
  running
  "$TTY" listen "$T/sock" "$T/info" >"$T/console" 2>"$T/console.err" &
  eventually [ -S "$T/sock" ]
  run_ok exec --tty --detach --console-socket "$T/sock" c1 sh -c 'echo a; echo b; sleep 1000'
  eventually [ -e "$T/info" ]
  assert_jq "$(<"$T/info")" '.fresh'
  eventually eval '[ "$(wc -c <"$T/console")" -ge 6 ]'
  assert_eq "$(od -An -c "$T/console" | tr -d ' \n')" 'a\r\nb\r\n'
}

test_tty_lines_end_with_one_carriage_return() {
  running
  "$TTY" "$RUNTIME" --root "$ROOT" exec -t c1 sh -c 'echo a; echo b' >"$T/tty"
  assert_match "$(od -An -c "$T/tty" | tr -d ' \n')" 'a\\r\\nb\\r\\n$'
}

# The runtime hears what its child tells 0.3 s late.
SLOW=(strace -q -o /dev/null -e trace=recvmsg -e inject=recvmsg:delay_exit=300000)

test_tty_is_as_it_will_be_before_the_process_runs() {
  differs crun "1.8 has no size"
  differs runc "1.1 sets it after the start"
  running
  RC=0
  OUT=$("$TTY" --size 33x101 "${SLOW[@]}" "$RUNTIME" --root "$ROOT" exec -t c1 sh -c 'busybox stty size; busybox stty -a' | tr -d '\r') || RC=$?
  assert_eq "$RC" 0
  assert_line "$OUT" '33 101'
  assert_match "$OUT" '-onlcr'
}

test_console_socket_that_takes_nothing() {
  running rw
  python3 -c 'import socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
server.accept()[0].close()
server.accept()' "$T/sock" &
  eventually [ -S "$T/sock" ]
  RC=0
  "${SLOW[@]}" "$RUNTIME" --root "$ROOT" exec -t -d --console-socket "$T/sock" c1 touch /tmp/ran 2>"$T/err" || RC=$?
  [ "$RC" != 0 ] || fail "it ran"
  [ "$RUNTIME_NAME" != knarr ] || assert_match "$(<"$T/err")" '--console-socket: sendmsg: broken pipe'
  assert_absent "$B/rootfs/tmp/ran"
  kill %1
}

test_console_size_of_a_process_file() {
  differs crun "1.8 has no size"
  running
  process '.terminal = true | .consoleSize = {height: 40, width: 120} | .args = ["sh", "-c", "busybox stty size; sleep 1000"]'
  "$TTY" listen "$T/sock" "$T/info" >"$T/console" 2>"$T/console.err" &
  eventually [ -S "$T/sock" ]
  run_ok exec --detach --console-socket "$T/sock" --process "$T/process.json" c1
  eventually eval 'tr -d "\r" <"$T/console" | grep -q "40 120"'
}

test_tty_but_there_is_none() {
  differs crun "relays to whatever there is"
  running
  exec_fails 'terminal|tty|console' -t c1 true
}

test_tty_and_detach_need_a_console_socket() {
  differs crun "other words"
  running
  exec_fails 'console.socket' --tty --detach c1 true
}

test_console_socket_needs_a_tty() {
  differs crun "takes it"
  running
  "$TTY" listen "$T/sock" "$T/info" >"$T/console" 2>&1 &
  eventually [ -S "$T/sock" ]
  exec_fails 'console.socket' --detach --console-socket "$T/sock" c1 true
  kill %1
}
