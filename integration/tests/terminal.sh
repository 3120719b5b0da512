# process.terminal: in the foreground on the caller's terminal, and handed over by the console socket.
# shellcheck shell=bash

TTY=$STAGE/helpers/tty
with_terminal='.process.terminal = true'

# on_terminal [TTY-OPTION...]: `run` c1 on a terminal of its own; RC, OUT (carriage returns taken out)
on_terminal() {
  RC=0
  "$TTY" "$@" "$RUNTIME" --root "$ROOT" run --bundle "$B" c1 >"$T/tty" 2>"$T/tty.err" || RC=$?
  OUT=$(tr -d '\r' <"$T/tty")
}

# create_with_console [TTY-OPTION...]: create c1, its console taken by a receiver: INFO, and what is written there in $T/console
create_with_console() {
  "$TTY" listen "$T/sock" "$T/info" "$@" >"$T/console" 2>"$T/console.err" &
  eventually test -S "$T/sock"
  run_ok create --console-socket "$T/sock" --bundle "$B" c1
  eventually test -e "$T/info"
  slurp INFO "$T/info"
}
on_console() { local text; text=$(tr -d '\r' <"$T/console"); [[ $'\n'$text$'\n' == *$'\n'"$1"$'\n'* ]]; }

test_run_gives_a_terminal() {
  bundle c1 "$with_terminal | sh(\"test -t 0 && test -t 1 && test -t 2 && echo yes; exit 5\")"
  on_terminal
  assert_eq "$OUT" yes
  assert_eq "$RC" 5
}

test_run_terminal_reads_what_is_typed() {
  bundle c1 "$with_terminal | sh(\"echo ready; read line; echo \\\"got \$line\\\"\")"
  on_terminal --send 'hello\n'
  assert_line "$OUT" 'got hello'
}

test_run_terminal_lines_end_with_one_carriage_return() {
  bundle c1 "$with_terminal | sh(\"echo a; echo b\")"
  on_terminal
  assert_eq "$(od -An -c "$T/tty" | tr -d ' \n')" 'a\r\nb\r\n'
}

test_run_terminal_has_the_callers_size() {
  differs crun "1.8 has no size"
  differs runc "1.1 sets it after the start"
  bundle c1 "$with_terminal | sh(\"stty size\")"
  on_terminal --size 33x101
  assert_line "$OUT" '33 101'
}

test_run_terminal_size_follows() {
  differs crun "1.8 has no size"
  bundle c1 "$with_terminal | sh(\"trap : WINCH; stty size; echo ready; i=0; until [ \\\"\$(stty size)\\\" = '40 120' ]; do sleep 0.1; i=\$((i+1)); [ \$i -lt 80 ] || exit 9; done; echo resized\")"
  on_terminal --size 33x101 --send resize:40x120
  assert_line "$OUT" resized
}

test_run_terminal_interrupt_key() {
  bundle c1 "$with_terminal | sh(\"trap 'echo interrupted; exit 3' INT; echo ready; while :; do sleep 0.1; done\")"
  on_terminal --send '\x03'
  assert_match "$OUT" interrupted
  assert_eq "$RC" 3
}

test_run_terminal_end_of_file_key() {
  bundle c1 "$with_terminal | sh(\"echo ready; cat; echo end\")"
  on_terminal --send '\x04'
  assert_line "$OUT" end
}

test_terminal_is_the_controlling_terminal() {
  bundle c1 "$with_terminal | sh(\"echo to the terminal >/dev/tty; cut -d' ' -f7 /proc/1/stat\")"
  on_terminal
  assert_match "$OUT" $'to the terminal\n[1-9]'
}

test_terminal_is_in_the_containers_devpts() {
  bundle c1 "$with_terminal | sh(\"tty; stat -c %t:%T /dev/console /dev/pts/0; ls -l /proc/self/fd/0\")"
  on_terminal
  assert_match "$OUT" '/dev/pts/0'
  local console pts
  { read -r _; read -r console; read -r pts; } <<<"$OUT"
  assert_eq "$console" "$pts"
}

test_terminal_belongs_to_the_user() {
  bundle c1 "$with_terminal | .process.user = {uid: 1000, gid: 1000} | sh(\"stat -c %u:%g /dev/pts/0; echo x >/dev/console\")"
  on_terminal
  assert_match "$OUT" '1000:5'
}

test_no_terminal_no_console() {
  in_container 'test ! -t 0 && ! test -e /dev/console'
}

test_run_with_terminal_but_stdin_is_not_one() {
  differs crun "refuses it"
  bundle c1 "$with_terminal | sh(\"test -t 0 && echo yes\")"
  # stdout is a terminal, stdin is not
  RC=0
  "$TTY" sh -c 'exec "$0" "$@" </dev/null' "$RUNTIME" --root "$ROOT" run --bundle "$B" c1 >"$T/tty" || RC=$?
  assert_match "$(<"$T/tty")" 'yes'
}

test_the_callers_terminal_is_restored() {
  bundle c1 "$with_terminal | sh(\"true\")"
  "$TTY" sh -c 'stty -a >'"$T/before"'; "$0" "$@"; stty -a >'"$T/after" "$RUNTIME" --root "$ROOT" run --bundle "$B" c1 >"$T/tty"
  assert_eq "$(<"$T/after")" "$(<"$T/before")"
}

# ---- console socket ----

test_console_socket_gets_one_message_with_one_terminal() {
  bundle c1 "$with_terminal | sh(\"sleep 100\")"
  create_with_console
  assert_jq "$INFO" '.fds == 1 and .messages == 1 and .bytes >= 1 and .bytes < 4096 and .tty and .closed and (.truncated | not)'
}

test_console_socket_terminal_works() {
  bundle c1 "$with_terminal | sh(\"echo ready; read line; echo \\\"got \$line\\\"; sleep 100\")"
  create_with_console --send 'hello\n'
  run_ok start c1
  eventually on_console 'got hello'
}

test_console_size() {
  bundle c1 "$with_terminal | .process.consoleSize = {height: 40, width: 120} | sh(\"stty size; sleep 100\")"
  create_with_console
  run_ok start c1
  eventually on_console '40 120'
  assert_jq "$INFO" '.size == [40, 120]'
}

test_console_size_without_terminal_is_ignored() {
  in_container 'echo ran' '.process.consoleSize = {height: 40, width: 120}'
  assert_eq "$OUT" ran
}

test_console_does_not_add_carriage_returns() {
  differs runc,crun "leave that to the receiver"
  bundle c1 "$with_terminal | sh(\"sleep 100\")"
  create_with_console
  assert_jq "$INFO" '.onlcr | not'
}

test_console_socket_with_run_detached() {
  bundle c1 "$with_terminal | sh(\"echo ready; sleep 100\")"
  "$TTY" listen "$T/sock" "$T/info" >"$T/console" 2>&1 &
  eventually test -S "$T/sock"
  run_ok run --detach --console-socket "$T/sock" --bundle "$B" c1
  eventually on_console ready
}

test_console_socket_path_may_be_relative() {
  differs crun "1.8 looks in the bundle"
  differs runc "1.1 looks in the bundle"
  bundle c1 "$with_terminal | sh(\"sleep 100\")"
  "$TTY" listen "$T/sock" "$T/info" >"$T/console" 2>&1 &
  eventually test -S "$T/sock"
  cd "$T"
  run_ok create --console-socket sock --bundle "$B" c1
  eventually test -e "$T/info"
}

test_console_hangs_up_when_the_container_ends() {
  bundle c1 "$with_terminal | sh(\"true\")"
  create_with_console
  run_ok start c1
  wait %1 # the receiver ends at the hang-up
}
