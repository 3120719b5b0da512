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

test_run_with_a_terminal_but_there_is_none() {
  bundle c1 "$with_terminal | sh(\"true\")"
  run_fails 1 'terminal|tty|console|ioctl' run --bundle "$B" c1 # its standard input is /dev/null, the others are files
  [ "$RUNTIME_NAME" != knarr ] || assert_match "$ERR" 'process.terminal: .*--console-socket'
}

test_run_with_the_sessions_terminal_only() {
  differs crun "refuses it"
  bundle c1 "$with_terminal | sh(\"test -t 0 && echo yes\")"
  "$TTY" sh -c 'exec "$0" "$@" </dev/null >out 2>&1' "$RUNTIME" --root "$ROOT" run --bundle "$B" c1 || fail "$(<"$T/out")"
  assert_match "$(<"$T/out")" 'yes'
}

# The character for it is lost to a program that goes to raw mode before it reads, as a shell does for each line.
test_the_end_of_input_reaches_a_program_that_edits_lines() {
  differs runc,crun "do not say it"
  local i
  bundle c1 "$with_terminal | args([\"sh\"])"
  for i in 1 2 3 4 5 6 7 8; do
    RC=0
    timeout 10 "$TTY" sh -c 'exec "$0" "$@" </dev/null' "$RUNTIME" --root "$ROOT" run --bundle "$B" c1 >"$T/tty" || RC=$?
    assert_eq "$RC" 0 "try $i"
    RC=0
    echo 'exit 7' | timeout 10 "$TTY" sh -c 'exec "$0" "$@" <&5' "$RUNTIME" --root "$ROOT" run --bundle "$B" c1 >"$T/tty" 5<&0 || RC=$?
    assert_eq "$RC" 7 "try $i of a line"
  done
}

# hung_up [COMMAND...]: `run` c1 on a terminal, by COMMAND, whose other side goes once `ready` was written; its status in $T/rc
hung_up() {
  python3 -c 'import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
seen = b""
while b"ready" not in seen:
    seen += os.read(terminal, 4096)
os.close(terminal)
os.waitpid(pid, 0)' "$@" sh -c 'trap : HUP; rc=0; "$@" || rc=$?; echo $rc >"$0/rc"' "$T" "$RUNTIME" --root "$ROOT" run --bundle "$B" c1 || fail "$*"
  eventually [ -s "$T/rc" ]
}
test_a_terminal_that_is_gone_is_gone_for_the_process() {
  differs runc,crun "go on without it"
  bundle c1 "$with_terminal | sh(\"echo ready; cat; echo \$? >/read\") | rw"
  hung_up setsid -w # no signal tells the runtime
  assert_exists "$B/rootfs/read"
  rm -r "$T/rc" "$B"
  bundle c1 "$with_terminal | sh(\"echo ready; cat; echo \$? >/read\") | rw"
  hung_up env --ignore-signal=HUP
  assert_exists "$B/rootfs/read"
}
test_a_terminal_that_is_gone_is_one_hangup() {
  differs runc,crun "go on without it"
  local by
  for by in env 'setsid -w'; do
    rm -rf "$T/c1" "$T/rc"
    bundle c1 "$with_terminal | sh(\"trap 'echo hup >>/hups; sleep 1; exit 3' HUP; echo ready; while :; do sleep 0.1; done\") | rw"
    # shellcheck disable=SC2086 # words
    hung_up $by
    assert_eq "$(<"$B/rootfs/hups")" hup "$by"
    assert_eq "$(<"$T/rc")" 3 "$by"
  done
}

test_the_callers_terminal_is_restored() {
  bundle c1 "$with_terminal | sh(\"true\")"
  "$TTY" sh -c 'stty -a >'"$T/before"'; "$0" "$@"; stty -a >'"$T/after" "$RUNTIME" --root "$ROOT" run --bundle "$B" c1 >"$T/tty"
  assert_eq "$(<"$T/after")" "$(<"$T/before")"
}

# ---- the relay ----

# Whoever is asked for the settings of a terminal that knarr has given back: before and after.
# around COMMAND: on a terminal, COMMAND for sh, where run is `"$0" "$@"`; the settings before and after in $T/before and $T/after
around() {
  "$TTY" sh -c "stty -a >'$T/before'; $1; stty -a >'$T/after'" "$RUNTIME" --root "$ROOT" run --bundle "$B" c1 >"$T/tty" 2>&1
  [[ "$(<"$T/before")" == *'-icanon'* ]] && fail "it was raw before"
  assert_eq "$(<"$T/after")" "$(<"$T/before")"
}

test_a_megabyte_typed_comes_back() {
  differs runc,crun "may get stuck"
  bundle c1 "$with_terminal | sh(\"busybox stty raw -echo; echo ready; busybox head -c 1048576\")"
  OUT=$("$STAGE/helpers/paste" 1048576 "$RUNTIME" --root "$ROOT" run --bundle "$B" c1)
  assert_eq "$OUT" '1048576 same'
}

test_input_that_nobody_reads_does_not_stop_the_output() {
  differs runc,crun "may get stuck"
  bundle c1 "$with_terminal | sh(\"busybox stty raw -echo; echo ready; sleep 1; i=0; while [ \$i -lt 100 ]; do echo line \$i; i=\$((i+1)); done\")"
  OUT=$("$STAGE/helpers/paste" 300000 "$RUNTIME" --root "$ROOT" run --bundle "$B" c1)
  assert_match "$OUT" '^[0-9]+ different$'
  assert_no_match "$OUT" '^0 '
}

test_the_terminal_is_restored_after_an_error() {
  bundle c1 "$with_terminal | args([\"/nope\"])"
  around '"$0" "$@"'
  assert_match "$(<"$T/tty")" 'no such file'
}

test_the_terminal_is_restored_after_a_signal() {
  local signal
  for signal in TERM HUP INT QUIT; do
    rm -rf "$T/c1"
    bundle c1 "$with_terminal | sh(\"trap 'exit 3' $signal; echo ready; while :; do sleep 0.05; done\")"
    around '"$0" "$@" & p=$!; fg=1; i=0; until grep -q ready '"$T/tty"' 2>/dev/null; do sleep 0.05; done; kill -'$signal' $p; wait $p' &
    wait $! || fail "$signal: $(<"$T/tty")"
  done
}

test_run_that_is_stopped_goes_on_in_raw_mode() {
  differs crun "1.8 leaves the terminal as the shell has it"
  differs runc "leaves the terminal as the shell has it"
  bundle c1 "$with_terminal | sh(\"echo ready; sleep 100\")"
  "$TTY" sh -c 'echo $$ >'"$T/pid"'; tty >'"$T/name"'; exec "$0" "$@"' "$RUNTIME" --root "$ROOT" run --bundle "$B" c1 >"$T/tty" 2>&1 &
  eventually is_line_in $'ready\r' "$T/tty"
  local terminal pid
  terminal=$(<"$T/name") pid=$(<"$T/pid")
  is_raw() { [[ "$(stty -a <"$terminal")" == *'-icanon'* ]]; }
  eventually is_raw
  kill -STOP "$pid"
  eventually grep -q '^State:.*stopped' "/proc/$pid/status"
  stty sane <"$terminal" # as a shell does
  ! is_raw || fail "it is still raw"
  kill -CONT "$pid"
  eventually is_raw
  run_ok kill c1 KILL
  wait %1 || :
}

is_full() { # FIFO: it takes nothing more
  python3 -c 'import os, select, sys; fd = os.open(sys.argv[1], os.O_WRONLY | os.O_NONBLOCK); sys.exit(bool(select.select([], [fd], [], 0)[1]))' "$1"
}
test_a_reader_that_does_not_read_keeps_no_signal_back() {
  differs runc,crun "wait for the reader"
  bundle c1 "$with_terminal | sh(\"trap 'exit 3' TERM; busybox yes & wait\")"
  mkfifo "$T/out"
  "$TTY" sh -c 'echo $$ >pid; exec "$0" "$@" >out </dev/null' "$RUNTIME" --root "$ROOT" run --bundle "$B" c1 &
  local rc=0
  exec 8<"$T/out"
  IFS= read -r _ <&8 # and no more
  eventually has_status c1 running
  eventually is_full "$T/out"
  kill -TERM "$(<"$T/pid")"
  eventually has_status c1 stopped
  kill -TERM "$(<"$T/pid")" # what it wrote is still to be read, but a signal ends that too
  wait %1 || rc=$?
  assert_eq "$rc" 3
  exec 8<&-
}

test_a_terminal_that_takes_nothing_keeps_no_signal_back() {
  differs runc,crun "wait for it"
  bundle c1 "$with_terminal | sh(\"trap 'exit 3' TERM; busybox yes & wait\")"
  python3 -c 'import os, pty, select, sys, time
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
print(pid, flush=True)
sys.stdin.read() # and nothing is read from the terminal
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
' "$RUNTIME" --root "$ROOT" run --bundle "$B" c1 < <(eventually [ -e "$T/go" ]) >"$T/out" &
  eventually [ -s "$T/out" ]
  local pid
  pid=$(head -n 1 "$T/out")
  eventually has_status c1 running
  is_asleep() { local a b; a=$(<"/proc/$pid/schedstat"); sleep 0.2; b=$(<"/proc/$pid/schedstat"); [ "$a" = "$b" ]; }
  eventually is_asleep
  kill -TERM "$pid"
  eventually has_status c1 stopped
  kill -TERM "$pid" # what it wrote is still to be read, but a signal ends that too
  touch "$T/go"
  wait %1
  assert_eq "$(tail -n 1 "$T/out")" 3
}

test_a_reader_that_is_gone_does_not_end_the_container() {
  differs runc,crun "need a terminal of the caller's"
  bundle c1 "$with_terminal | sh(\"i=0; while [ \$i -lt 2000 ]; do echo line \$i; i=\$((i+1)); done; exit 4\")"
  "$TTY" sh -c '{ "$0" "$@" </dev/null || echo $? >rc; } | head -n 1 >/dev/null' "$RUNTIME" --root "$ROOT" run --bundle "$B" c1
  assert_eq "$(<"$T/rc")" 4
}

test_the_end_of_input_ends_a_line_that_has_begun() {
  differs runc,crun "say end once"
  bundle c1 "$with_terminal | sh(\"busybox stty -echo; echo ready; busybox cat; echo end\")"
  { eventually [ -e "$T/go" ]; printf 'no line break'; } | "$TTY" sh -c 'exec "$0" "$@" <&5' "$RUNTIME" --root "$ROOT" run --bundle "$B" c1 >"$T/tty" 5<&0 &
  eventually is_line_in $'ready\r' "$T/tty"
  touch "$T/go"
  wait %1
  assert_match "$(<"$T/tty")" 'no line break.?end'
}

test_all_that_was_written_before_the_end_arrives() {
  bundle c1 "$with_terminal | sh(\"busybox seq 1 5000\")"
  on_terminal
  assert_eq "$OUT" "$(seq 1 5000)"
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

# A terminal that goes to a console socket is its receiver's, who may have switched the output processing of its own off.
test_console_is_as_the_kernel_makes_it() {
  bundle c1 "$with_terminal | sh(\"echo a; echo b\")"
  create_with_console
  assert_jq "$INFO" '.fresh'
  run_ok start c1
  wait %1
  assert_eq "$(od -An -c "$T/console" | tr -d ' \n')" 'a\r\nb\r\n'
}

test_run_detached_console_is_as_the_kernel_makes_it() {
  bundle c1 "$with_terminal | sh(\"echo a; echo b; sleep 100\")"
  "$TTY" listen "$T/sock" "$T/info" >"$T/console" 2>&1 &
  eventually test -S "$T/sock"
  run_ok run --detach --console-socket "$T/sock" --bundle "$B" c1
  eventually eval '[ "$(wc -c <"$T/console")" -ge 6 ]'
  assert_eq "$(od -An -c "$T/console" | tr -d ' \n')" 'a\r\nb\r\n'
}

# One that is relayed adds none: the caller's own terminal does.
test_run_terminal_that_is_relayed_has_no_onlcr() {
  differs crun "leaves it to both"
  bundle c1 "$with_terminal | sh(\"stty -a\")"
  on_terminal
  assert_match "$OUT" '-onlcr'
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
