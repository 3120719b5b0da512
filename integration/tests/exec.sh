# exec: another process in a container that is there.
# shellcheck shell=bash disable=SC2016 # scripts are for the shell in the container

# shellcheck source=../words/exec.sh
. "$STAGE/words/exec.sh"

# ---- exit status ----

test_exit_status_is_the_commands() {
  running
  rt exec c1 sh -c 'exit 7'
  assert_eq "$RC" 7
  rt exec c1 true
  assert_eq "$RC" 0
}

test_exit_status_of_a_signal() {
  running
  rt exec c1 sh -c 'kill -KILL $$'
  assert_eq "$RC" 137
  rt exec c1 sh -c 'kill -TERM $$'
  assert_eq "$RC" 143
}

test_options_end_at_the_id() {
  running
  run_ok exec c1 echo -t --user 5 -- -x
  assert_eq "$OUT" '-t --user 5 -- -x'
}

# ---- where the process is ----

test_process_is_in_all_namespaces_of_init() {
  running
  pid_of c1
  local kind
  within 'for n in pid net ipc uts mnt cgroup user; do readlink /proc/self/ns/$n; done'
  for kind in pid net ipc uts mnt cgroup user; do assert_line "$OUT" "$(readlink "/proc/$PID/ns/$kind")"; done
  [ "$(readlink "/proc/$PID/ns/pid")" != "$(readlink /proc/self/ns/pid)" ] || fail "no namespace of its own"
}

test_process_is_in_the_containers_cgroup() {
  running
  "$RUNTIME" --root "$ROOT" exec c1 sleep 1000 &
  eventually eval '[ "$(wc -l <"$C/cgroup.procs")" = 2 ]'
  run_ok kill --all c1 KILL
  wait %1 || :
}

test_process_leads_a_session_of_its_own() {
  differs crun "1.8 stays in the caller's"
  running
  within 'cut -d" " -f1,6 /proc/self/stat; cut -d" " -f1,6 /proc/$$/stat'
  local _ pid session
  { read -r _; read -r pid session; } <<<"$OUT"
  assert_eq "$session" "$pid"
}

# The serial number of the session keyring by keyctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0), of init and of exec.
same_session_keyring() { # FILTER
  local serial='$| = 1; print syscall('"${NR[keyctl]}"', 0, -3, 0)' log
  requires debian
  bundle c1 --arg r "$DEBIAN" --arg s "$serial; sleep 100" ".root.path = \$r | args([\"perl\", \"-e\", \$s]) | $1"
  run_ok run --detach --bundle "$B" c1
  log=$LOG
  eventually test -s "$log"
  run_ok exec c1 perl -e "$serial"
  assert_eq "$OUT" "$(<"$log")"
}
test_process_has_the_containers_session_keyring() { differs crun "the caller's"; same_session_keyring .; }
test_process_has_the_session_keyring_of_a_user_namespace() {
  differs crun "the caller's"
  differs runc 'the container root has to walk the path'
  same_session_keyring userns
}

test_joined_namespaces_are_joined_again() {
  unshare --net --uts sh -c 'ip link set lo up; hostname joined; exec sleep 1000' &
  local other=$!
  eventually grep -q sleep "/proc/$other/comm" # from there on it has its namespaces
  running "join_ns(\"network\"; \"/proc/$other/ns/net\") | join_ns(\"uts\"; \"/proc/$other/ns/uts\") | del(.hostname)"
  local net
  net=$(readlink "/proc/$other/ns/net")
  kill -KILL $other # the namespaces live on with the container
  within 'readlink /proc/self/ns/net; cat /proc/sys/kernel/hostname'
  assert_eq "$OUT" "$net"$'\njoined'
}

test_without_a_pid_namespace() {
  running 'no_ns("pid")'
  within 'readlink /proc/self/ns/pid; exit 0'
  rt exec c1 sh -c 'exit 9'
  assert_eq "$RC" 9
}

test_without_a_mount_namespace_the_root_is_the_containers() {
  differs crun,runc "the root is the host's"
  bundle c1 'args(["/bin/sleep", "1000"]) | no_ns("mount") | del(.mounts, .linux.maskedPaths, .linux.readonlyPaths, .root.readonly)'
  echo here >"$B/rootfs/marker"
  run_ok run --detach --bundle "$B" c1
  run_ok exec c1 /bin/cat /marker
  assert_eq "$OUT" here
  rm "$B/rootfs/marker"
}

test_in_a_container_without_pivot() {
  bundle c1 'args(["sleep", "1000"])'
  run_ok run --detach --no-pivot --bundle "$B" c1
  within 'ls /bin/busybox && ! ls /work 2>/dev/null; echo $(stat -c %i /) $(stat -c %i /proc/1/root/)'
  local a b
  { read -r _; read -r a b; } <<<"$OUT"
  assert_eq "$a" "$b"
}

# ---- detached, pid file, sockets ----

test_detach_does_not_wait() {
  running
  run_ok exec --detach c1 sleep 1000
  eventually eval '[ "$(wc -l <"$C/cgroup.procs")" = 2 ]'
}

test_pid_file_has_the_pid_on_the_host() {
  running
  run_ok exec -d --pid-file "$T/pid" c1 sleep 2000
  local pid args
  pid=$(<"$T/pid")
  assert_match "$pid" '^[0-9]+$'
  assert_eq "$(wc -c <"$T/pid")" "${#pid}" "bytes"
  args=$(tr '\0' ' ' <"/proc/$pid/cmdline")
  assert_eq "$args" 'sleep 2000 '
}

test_pid_file_in_the_foreground_is_there_while_it_runs() {
  running
  "$RUNTIME" --root "$ROOT" exec --pid-file "$T/pid" c1 sleep 1000 &
  eventually [ -s "$T/pid" ]
  kill -KILL "$(<"$T/pid")"
  local rc=0
  wait %1 || rc=$?
  assert_eq "$rc" 137
}

test_pid_file_that_cannot_be_written_is_an_error() {
  running '.process.cwd = "/tmp" | rw'
  exec_fails 'no such file' -d --pid-file "$T/none/pid" c1 touch ran
  nap
  [ "$RUNTIME_NAME" != knarr ] || assert_absent "$B/rootfs/tmp/ran"
}

test_no_pid_file_of_a_process_that_never_ran() {
  running
  exec_fails 'no such file' --pid-file "$T/pid" c1 /nope
  assert_absent "$T/pid"
}

test_detached_process_is_the_callers_to_reap() {
  running
  "$STAGE/helpers/no-reap" "$RUNTIME" --root "$ROOT" exec -d --pid-file "$T/pid" c1 sleep 1000 >"$T/out" &
  eventually is_line_in 'status 0' "$T/out"
  local stat
  stat=$(<"/proc/$(<"$T/pid")/stat")
  assert_match "$stat" "^[0-9]+ \(sleep\) [SRD] $! "
  kill $!
}

test_pidfd_socket() {
  differs crun,runc "1.8 and 1.1 have no such flag"
  bundle c1 'args(["sleep", "1000"])'
  "$STAGE/helpers/take-fd" "$T/create.sock" "$T/create" &
  eventually [ -S "$T/create.sock" ]
  run_ok run --detach --pidfd-socket "$T/create.sock" --bundle "$B" c1
  eventually [ -s "$T/create" ]
  pid_of c1
  assert_eq "$(<"$T/create")" "standard $PID"
  "$STAGE/helpers/take-fd" "$T/exec.sock" "$T/exec" &
  eventually [ -S "$T/exec.sock" ]
  run_ok exec --detach --pidfd-socket "$T/exec.sock" --pid-file "$T/pid" c1 sleep 1000
  eventually [ -s "$T/exec" ]
  assert_eq "$(<"$T/exec")" "setns $(<"$T/pid")"
}

test_sockets_that_are_not_there() {
  running
  exec_fails 'no such file|connect' --tty --detach --console-socket "$T/none.sock" c1 true
  [ "$RUNTIME_NAME" != knarr ] || exec_fails '--pidfd-socket .*no such file' --pidfd-socket "$T/none.sock" c1 true
}

# ---- descriptors ----

list_fds='cd /proc/self/fd && for f in *; do [ ! -e "$f" ] || echo "$f $(readlink "$f")"; done'

test_only_stdio_survives() {
  running
  touch "$T/file"
  "$RUNTIME" --root "$ROOT" exec c1 sh -c "$list_fds" 3<"$T/file" 4<"$T/file" 9</ >"$T/out" </dev/null
  assert_eq "$(cut -d' ' -f1 "$T/out" | tr '\n' ' ')" '0 1 2 '
}

test_preserve_fds() {
  running
  echo three >"$T/3"
  echo four >"$T/4"
  "$RUNTIME" --root "$ROOT" exec --preserve-fds 2 c1 sh -c "cat <&3; cat <&4; $list_fds" 3<"$T/3" 4<"$T/4" 5<"$T/3" 7</ >"$T/out" </dev/null
  assert_match "$(<"$T/out")" $'three\nfour\n'
  assert_eq "$(grep -E '^[0-9]+ ' "$T/out" | cut -d' ' -f1 | tr '\n' ' ')" '0 1 2 3 4 '
}

test_preserve_fds_with_holes_passes_what_is_there() {
  differs runc "fills the holes with what it has opened itself"
  running
  echo five >"$T/5"
  "$RUNTIME" --root "$ROOT" exec --preserve-fds 3 c1 sh -c "cat <&5; $list_fds" 5<"$T/5" >"$T/out" </dev/null
  assert_eq "$(grep -E '^[0-9]+ ' "$T/out" | cut -d' ' -f1 | tr '\n' ' ')" '0 1 2 5 '
  assert_line "$(<"$T/out")" five
}

test_preserve_fds_that_are_not_open() {
  differs runc,crun "pass on what they have opened, or fail later"
  running
  exec_fails 'descriptor 3 is not open' --preserve-fds 1 c1 true
}

test_listen_fds() {
  differs runc "says that the process is pid 1"
  differs crun "sets LISTEN_PID only"
  running '.process.env += ["LISTEN_FDNAMES=stale"]'
  echo three >"$T/3"
  (exec 3<"$T/3"; LISTEN_FDS=1 LISTEN_PID=$BASHPID LISTEN_FDNAMES=web exec "$RUNTIME" --root "$ROOT" exec c1 sh -c 'echo $LISTEN_FDS $LISTEN_FDNAMES; [ $LISTEN_PID = $$ ] && echo mine; cat <&3') >"$T/out"
  assert_eq "$(<"$T/out")" $'1 web\nmine\nthree'
}

test_listen_fds_of_another_process() {
  differs crun "takes them"
  running
  OUT=$(LISTEN_FDS=1 LISTEN_PID=1 LISTEN_FDNAMES=web "$RUNTIME" --root "$ROOT" exec c1 sh -c 'echo "<$LISTEN_FDS$LISTEN_FDNAMES>"')
  assert_eq "$OUT" '<>'
}

test_stdio_that_is_closed() {
  differs crun "fails"
  running
  local rc=0
  "$RUNTIME" --root "$ROOT" exec c1 sh -c 'exit 7' <&- >&- 2>&- || rc=$?
  assert_eq "$rc" 7
}

# ---- cgroup ----

test_cgroup_below_the_containers() {
  differs crun "1.8: only what is not above"
  differs runc "1.1: not on a hybrid machine"
  running
  mkdir "$C/sub"
  run_ok exec -d --cgroup sub --pid-file "$T/pid" c1 sleep 1000
  assert_eq "$(<"$C/sub/cgroup.procs")" "$(<"$T/pid")"
  run_ok exec -d --cgroup / --pid-file "$T/pid" c1 sleep 1000
  assert_line "$(<"$C/cgroup.procs")" "$(<"$T/pid")"
}

test_cgroup_that_is_not_there() {
  differs crun "makes it"
  running
  exec_fails 'no such file' --cgroup nope c1 true
  assert_absent "$C/nope"
}

test_cgroup_that_climbs() {
  differs crun "1.8 takes it"
  running
  exec_fails 'is not a sub cgroup path|below the container' --cgroup ../runner c1 true
  exec_fails 'is not a sub cgroup path|below the container' --cgroup a/../.. c1 true
}

test_init_that_has_moved_into_a_cgroup_of_its_own() {
  requires uml
  requires controller memory
  differs crun "1.8 fails"
  running
  pid_of c1
  mkdir "$C/init"
  echo "$PID" >"$C/init/cgroup.procs"
  echo +memory >"$C/cgroup.subtree_control" # from here the container's cgroup itself takes no process
  run_ok exec -d --pid-file "$T/pid" c1 sleep 1000
  assert_line "$(<"$C/init/cgroup.procs")" "$(<"$T/pid")"
}

# There no limit of the container's holds.
test_init_that_is_elsewhere_while_its_cgroup_takes_no_process() {
  requires uml
  requires controller memory
  differs runc,crun "follow it, or fail in other words"
  running
  pid_of c1
  mkdir "$V2$BASE/elsewhere" "$C/init"
  echo "$PID" >"$V2$BASE/elsewhere/cgroup.procs"
  echo +memory >"$C/cgroup.subtree_control"
  exec_fails "init is in cgroup .*/elsewhere, which is not below the container's" c1 true
  assert_eq "$(<"$V2$BASE/elsewhere/cgroup.procs")" "$PID"
  echo "$PID" >"$C/init/cgroup.procs"
  run_ok exec c1 true
  rmdir "$V2$BASE/elsewhere"
}

test_init_whose_cgroup_is_gone() {
  differs runc,crun "1.1 and 1.8 fail on pure cgroup v2"
  running
  pid_of c1
  mkdir "$V2$BASE/elsewhere"
  echo "$PID" >"$V2$BASE/elsewhere/cgroup.procs"
  rmdir "$C"
  run_ok exec -d --pid-file "$T/pid" c1 sleep 1000
  assert_line "$(<"$V2$BASE/elsewhere/cgroup.procs")" "$(<"$T/pid")"
  kill -KILL "$PID"
  eventually rmdir "$V2$BASE/elsewhere"
}

# ---- many ----

test_fifty_at_once() {
  running
  local n rc=0
  for n in {1..50}; do "$RUNTIME" --root "$ROOT" exec c1 echo "$n" >"$T/out.$n" & done
  for n in $(jobs -p); do wait "$n" || rc=$?; done
  assert_eq "$rc" 0
  assert_eq "$(cat "$T"/out.* | sort -n | tr '\n' ' ')" "$(echo {1..50} '')"
  eventually eval '[ "$(wc -l <"$C/cgroup.procs")" = 1 ]'
}
