# --init: PID 1 that reaps orphans, and the process as its child.
# shellcheck shell=bash

only_knarr() { differs runc,crun 'have no init of their own'; }

with_init() { # SCRIPT [JQ-OPTION...] [FILTER]
  local script=$1 filter=.
  shift
  if [ $# -gt 0 ]; then filter=${*: -1}; set -- "${@:1:$#-1}"; fi
  bundle c1 "$@" --arg script "$script" "rw | sh(\$script) | $filter"
  rt run --init --bundle "$B" c1
}

test_the_process_is_a_child_of_an_init() {
  only_knarr
  with_init 'echo $$ $PPID; tr "\0" " " </proc/1/cmdline'
  assert_match "$OUT" '^2 1'
  assert_match "$OUT" 'knarr-init '
  assert_eq "$RC" 0
}

test_by_annotation() {
  only_knarr
  bundle c1 'sh("echo $$") | .annotations["org.knarr.init"] = "true"'
  run_ok run --bundle "$B" c1
  assert_eq "$OUT" 2
  bundle c1 'sh("echo $$") | .annotations["org.knarr.init"] = "false"'
  run_ok run --bundle "$B" c1
  assert_eq "$OUT" 1
  refused 'annotations.org.knarr.init: "1" is none of' '.annotations["org.knarr.init"] = "1"'
}

test_an_init_alone() {
  only_knarr
  bundle c1 'args(["/nothing"]) | .root.path = "empty" | .mounts = [] | del(.linux.maskedPaths, .linux.readonlyPaths) | .annotations["org.knarr.init"] = "pause"'
  mkdir "$B/empty"
  run_ok create --bundle "$B" c1
  run_ok start c1
  local pid; run_ok state c1; pid=$(jq .pid <<<"$OUT")
  assert_eq "$(tr '\0' ' ' <"/proc/$pid/cmdline")" 'knarr-init '
  assert_eq "$(ls "/proc/$pid/fd")" ''
  # Whoever joins its pid namespace leaves orphans to it.
  bundle c2 --arg ns "/proc/$pid/ns/pid" 'sh("(sleep 0.05 & exec true) ; sleep 0.3; ps -o ppid,stat,args") | .linux.namespaces |= map(if .type == "pid" then .path = $ns else . end)'
  run_ok run --bundle "$B" c2
  [[ $OUT != *Z* ]] || fail "a zombie: $OUT"
  run_ok kill c1 TERM
  eventually has_status c1 stopped
  run_ok delete c1
}

test_its_status_is_the_processs() {
  only_knarr
  with_init 'exit 7'
  assert_eq "$RC" 7
  with_init 'kill -9 $$'
  assert_eq "$RC" 137
  with_init 'kill -TERM $$'
  assert_eq "$RC" 143
}

test_a_bomb_of_orphans_leaves_no_zombie() {
  only_knarr
  with_init 'for i in $(seq 200); do (sh -c "sleep 0.01 & exit" &); done; sleep 1; ps -o stat | grep -c Z'
  assert_eq "$OUT" 0
  # What it is compared with.
  bundle c1 'rw | sh("for i in $(seq 20); do (sh -c \"true & exit\" &); done; exec sleep 100")'
  run_ok run --detach --bundle "$B" c1
  eventually eval 'rt exec c1 sh -c "ps -o stat | grep -c Z"; [ "${OUT:-0}" -gt 0 ]'
  run_ok delete --force c1
}

test_signals_reach_the_process() {
  only_knarr
  local signal
  for signal in TERM INT HUP USR1 USR2 WINCH RTMIN+3; do
    bundle c1 --arg s "$signal" 'rw | args(["sh", "-c", "trap \"echo got $0; exit 3\" $0 2>/dev/null || trap \"echo got $0; exit 3\" 37; touch /dev/shm/ready; while :; do sleep 0.02; done", $s])'
    run_ok run --init --detach --bundle "$B" c1
    local log=$LOG
    eventually eval 'rt exec c1 test -e /dev/shm/ready; [ "$RC" = 0 ]'
    if [ "$signal" = RTMIN+3 ]; then run_ok kill c1 37; else run_ok kill c1 "$signal"; fi
    eventually is_line_in "got $signal" "$log"
    eventually has_status c1 stopped
    run_ok delete c1
  done
}

test_an_unhandled_signal_ends_the_container() {
  only_knarr
  bundle c1 'args(["sleep", "100"])'
  run_ok run --init --detach --bundle "$B" c1
  run_ok kill c1 TERM # which PID 1 without a handler would not even see
  eventually has_status c1 stopped
  run_ok delete c1
}

# It is PID 1, which gets no signal that it has no handler for: so it has them blocked from before its execve(2) on.
test_a_signal_that_comes_at_once_is_not_lost() {
  only_knarr
  local i
  bundle c1 'args(["sleep", "100"])'
  for i in {1..12}; do
    run_ok run --init --detach --bundle "$B" c1
    run_ok kill c1 TERM
    eventually has_status c1 stopped
    run_ok delete c1
  done
}

test_it_has_what_the_process_has_and_no_more() {
  only_knarr
  with_init 'for p in 1 self; do grep -E "^(Uid|Gid|Groups|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp):" /proc/$p/status | md5sum; done; ls -A /proc/1/fd | wc -l' \
    '.process.user = {uid: 0, gid: 7, additionalGids: [8]} | .process.noNewPrivileges = true | .linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", architectures: ["SCMP_ARCH_X86_64"], syscalls: [{names: ["acct"], action: "SCMP_ACT_ERRNO"}]}'
  assert_eq "$RC" 0
  assert_eq "$(sed -n 1p <<<"$OUT")" "$(sed -n 2p <<<"$OUT")"
  assert_eq "$(sed -n 3p <<<"$OUT")" 0
}

test_as_an_ordinary_user() {
  only_knarr
  with_init 'id -u; grep CapEff /proc/1/status' '.process.user = {uid: 1000, gid: 1000} | .process.capabilities.ambient = []'
  assert_eq "$OUT" $'1000\nCapEff:\t0000000000000000'
}

test_its_file_cannot_be_written() {
  only_knarr
  with_init 'cat /proc/1/exe >/dev/null && ! (: >>/proc/1/exe) 2>/dev/null && echo sealed' 'caps(["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_SYS_ADMIN"])'
  assert_eq "$OUT" sealed
}

test_nothing_of_the_host_is_in_its_memory() {
  only_knarr
  SECRET_OF_THE_HOST=treasure with_init 'tr "\0" "\n" </proc/1/environ | grep -c treasure; grep -c "'"$(basename "$T")"'" /proc/1/maps' 'caps(["CAP_SYS_PTRACE"])'
  assert_eq "$OUT" $'0\n0'
}

test_it_is_small() {
  only_knarr
  with_init 'sleep 0.1; sed -n "s/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p" /proc/1/status; grep Threads /proc/1/status'
  local rss=${OUT%%$'\n'*}
  [ "$rss" -lt 700 ] || fail "$rss kB"
  assert_match "$OUT" $'Threads:\t1'
}

test_output_ends_when_the_process_closes_it() {
  only_knarr
  bundle c1 'args(["sh", "-c", "exec >&- 2>&-; sleep 100"])'
  mkfifo "$T/out"
  exec {in}<>"$T/out"
  "$RUNTIME" --root "$ROOT" run --init --detach --bundle "$B" c1 >"$T/out" 2>&1
  exec {reader}<"$T/out" {in}<&-
  read -t 5 -r _ <&"$reader" && fail 'something was written' || [ $? = 1 ] || fail 'the pipe is still open'
  run_ok delete --force c1
}

test_a_terminal() {
  only_knarr
  bundle c1 'rw | args(["sh", "-c", "tty; stty size; trap \"echo interrupted; exit 5\" INT; echo ready; while :; do sleep 0.05; done"]) | .process.terminal = true | .process.consoleSize = {height: 33, width: 44}'
  python3 - "$RUNTIME" "$ROOT" "$B" >"$T/out" <<'PY'
import os, pty, sys
pid, master = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], [sys.argv[1], "--root", sys.argv[2], "run", "--init", "--bundle", sys.argv[3], "c1"])
seen = b""
while b"ready" not in seen:
    seen += os.read(master, 1000)
os.write(master, b"\x03")
try:
    while True:
        data = os.read(master, 1000)
        if not data: break
        seen += data
except OSError:
    pass
print(seen.decode().replace("\r", ""), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
PY
  slurp OUT "$T/out"
  assert_match "$OUT" '/dev/(console|pts/0)'
  assert_match "$OUT" 'interrupted'
  assert_match "$OUT" ' 5$'
}

test_descriptors_are_announced_to_the_process() {
  only_knarr
  bundle c1 'args(["sh", "-c", "echo $LISTEN_FDS $LISTEN_PID $$; cat <&3"])'
  echo passed >"$T/file"
  OUT=$(exec 3<"$T/file"; sh -c 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"' sh "$RUNTIME" --root "$ROOT" run --init --bundle "$B" c1)
  assert_eq "$OUT" $'1 2 2\npassed'
}

test_a_program_that_cannot_be_executed() {
  only_knarr
  bundle c1 'args(["/no/such"])'
  run_fails 1 'no such file' run --init --bundle "$B" c1
  bundle c1 'args(["/bad"])'
  printf '#!/no/such/interpreter\n' >"$B/rootfs/bad"
  chmod 755 "$B/rootfs/bad"
  rt run --init --bundle "$B" c1
  assert_eq "$RC" 127
  assert_match "$ERR" 'knarr-init: exec: .*/bad.*: no such file or directory'
  assert_match "$ERR" 'its interpreter "/no/such/interpreter" is not there'
  printf 'no program' >"$B/rootfs/bad"
  rt run --init --bundle "$B" c1
  assert_eq "$RC" 126
  assert_match "$ERR" 'a script whose first line does not begin with'
}

test_it_says_why_where_the_filter_lets_it_open_nothing() {
  only_knarr
  local action
  bundle c1
  printf '#!/no/such/interpreter\n' >"$B/rootfs/bad"
  chmod 755 "$B/rootfs/bad"
  for action in SCMP_ACT_ERRNO SCMP_ACT_KILL_PROCESS; do
    bundle c1 --arg action $action 'args(["/bad"]) |
      .linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["open", "openat2"], action: $action},
        {names: ["openat"], action: $action, args: [{index: 2, value: 2048, valueTwo: 2048, op: "SCMP_CMP_MASKED_EQ"}]}]}'
    rt run --init --bundle "$B" c1
    assert_eq "$RC" 127 "$action"
    assert_match "$ERR" 'knarr-init: exec: .*/bad.*its interpreter "/no/such/interpreter" is not there.*: no such file or directory'
    assert_no_match "$ERR" 'why='
  done
}

test_exec_and_delete_as_ever() {
  only_knarr
  bundle c1 'args(["sleep", "100"])'
  run_ok create --init --bundle "$B" c1
  assert_status c1 created
  run_ok start c1
  run_ok exec c1 sh -c 'echo $PPID'
  assert_eq "$OUT" 0
  run_ok kill c1 KILL
  eventually has_status c1 stopped
  run_ok delete c1
}

test_without_a_pid_namespace() {
  only_knarr
  with_init 'sh -c "sleep 0.05 & echo \$! >/dev/shm/orphan"; sleep 0.3; test -e /proc/$(cat /dev/shm/orphan) && echo zombie || echo reaped; exit 4' 'no_ns("pid")'
  assert_eq "$OUT" reaped
  assert_eq "$RC" 4
}
