# exec: another process in a container that is there.
# shellcheck shell=bash disable=SC2016 # scripts are for the shell in the container

TTY=$STAGE/helpers/tty

# running [JQ-OPTION...] [FILTER]: a container c1 that sleeps
running() {
  if [ $# -gt 0 ]; then bundle c1 "${@:1:$#-1}" "args([\"sleep\", \"1000\"]) | ${*: -1}"; else bundle c1 'args(["sleep", "1000"])'; fi
  run_ok run --detach --bundle "$B" c1
}
# within [OPTION...] SCRIPT: run SCRIPT in c1; it exits 0; OUT is what it wrote
within() { run_ok exec "${@:1:$#-1}" c1 sh -c "${*: -1}"; }
# process FILTER: a file $T/process.json: the process of the default config, then FILTER
process() { jq "$JQ_WORDS"' .process | .terminal = false | '"$1" "$WORK/base.json" >"$T/process.json"; }
# exec_fails REGEX ARG...
exec_fails() {
  local regex=$1 status=255
  shift
  if [ "$RUNTIME_NAME" = crun ]; then # 1 or 255
    rt exec "$@"
    status=$RC
    [ "$status" != 0 ] || fail "$(said exec "$@")"
  fi
  run_fails "$status" "$regex" exec "$@"
}

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
  local serial='$| = 1; print syscall(250, 0, -3, 0)' log
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

# ---- what it takes from config.json, and what flags change ----

test_environment_is_that_of_the_config() {
  running '.process.env += ["A=1", "B=2"]'
  within 'echo $A$B$C'
  assert_eq "$OUT" 12
}

test_env_adds_and_replaces() {
  differs crun "1.8 drops the rest"
  running '.process.env += ["A=1", "B=2"]'
  within -e A=3 -e C=4 -e 'D=x y' 'env | grep -c ^A=; echo $A$B$C $D'
  assert_eq "$OUT" $'1\n324 x y'
}

test_env_that_is_none() {
  differs runc,crun "take it"
  running
  exec_fails '--env: "A" is not of the form NAME=value' -e A c1 true
}

test_home_is_that_of_the_user() {
  differs crun "1.8 drops the rest of the environment"
  running
  within -u 1000 'echo $HOME'
  assert_eq "$OUT" /home/user
  within 'echo $HOME'
  assert_eq "$OUT" /root
  within -e HOME=/x 'echo $HOME'
  assert_eq "$OUT" /x
}

test_cwd() {
  differs crun "1.8 takes /"
  running '.process.cwd = "/tmp"'
  within pwd
  assert_eq "$OUT" /tmp
  within --cwd /home/user pwd
  assert_eq "$OUT" /home/user
}

test_cwd_that_is_not_there() {
  running
  exec_fails 'no such file or directory' --cwd /nope c1 true
  assert_absent "$B/rootfs/nope"
}

test_cwd_that_is_relative() {
  differs crun "takes it"
  running
  exec_fails 'absolute' --cwd tmp c1 true
}

test_user() {
  running
  within -u 1000:1001 'id -u; id -g; id -G'
  assert_eq "$OUT" $'1000\n1001\n1001'
  within --user 1000 'id -u; id -g'
  assert_eq "$OUT" $'1000\n0'
}

test_user_that_is_no_number() {
  differs crun "takes 0"
  running
  exec_fails 'root|uid' --user root c1 true
}

test_user_4294967295_does_not_keep_root() {
  differs crun "1.8 takes it"
  running
  local user
  for user in 4294967295 -1 0:4294967295; do
    rt exec "--user=$user" c1 id -u
    [ "$RC" != 0 ] || fail "it ran: $OUT"
  done
}

test_additional_gids() {
  differs crun "has no such flag"
  running
  within -u 1000:1000 -g 7 -g 8 'id -G'
  assert_match "$OUT" '1000 7 8'
}

test_groups_of_the_caller_are_not_the_processes() {
  running
  RC=0
  OUT=$(python3 -c 'import os, sys; os.setgroups([5, 6, 7]); os.execv(sys.argv[1], sys.argv[1:])' "$RUNTIME" --root "$ROOT" exec c1 id -G)
  assert_eq "$OUT" 0
}

test_capabilities_are_those_of_the_config() {
  running 'caps(["CAP_CHOWN", "CAP_KILL"])'
  within 'grep Cap /proc/self/status'
  assert_eq "$(tr -d '\t' <<<"$OUT")" 'CapInh:0000000000000000
CapPrm:0000000000000021
CapEff:0000000000000021
CapBnd:0000000000000021
CapAmb:0000000000000000'
}

test_cap_adds_but_makes_nothing_inheritable() {
  differs crun "1.8 makes it inheritable and ambient"
  running 'caps(["CAP_CHOWN"])'
  within --cap CAP_KILL --cap CAP_NET_RAW 'grep Cap /proc/self/status'
  assert_eq "$(tr -d '\t' <<<"$OUT")" 'CapInh:0000000000000000
CapPrm:0000000000002021
CapEff:0000000000002021
CapBnd:0000000000002021
CapAmb:0000000000000000'
}

test_cap_is_ambient_where_it_is_inheritable() {
  differs crun "1.8 has other rules"
  running 'caps(["CAP_KILL"]) | .process.capabilities.inheritable = ["CAP_KILL"]'
  within -u 1000 --cap CAP_KILL 'grep -E "CapAmb|CapEff" /proc/self/status'
  assert_eq "$(tr -d '\t' <<<"$OUT")" 'CapEff:0000000000000020
CapAmb:0000000000000020'
}

test_cap_that_is_unknown() {
  differs runc,crun "ignore it"
  running
  exec_fails '--cap: unknown capability "CAP_FROB"' --cap CAP_FROB c1 true
}

test_no_new_privs() {
  running '.process.noNewPrivileges = false'
  within 'grep NoNewPrivs /proc/self/status'
  assert_match "$OUT" 'NoNewPrivs:.0'
  within --no-new-privs 'grep NoNewPrivs /proc/self/status'
  assert_match "$OUT" 'NoNewPrivs:.1'
}

test_rlimits_and_umask_are_those_of_the_config() {
  differs runc,crun "1.1 has umask 0022, 1.8 no limits"
  running '.process.rlimits = [{type: "RLIMIT_NOFILE", soft: 77, hard: 88}] | .process.user.umask = 63'
  within 'ulimit -Sn; ulimit -Hn; umask'
  assert_eq "$OUT" $'77\n88\n0077'
}

test_oom_score_is_the_containers_not_the_callers() {
  differs crun "1.8 leaves the caller's"
  running '.process.oomScoreAdj = 300'
  echo 500 >/proc/self/oom_score_adj
  within 'cat /proc/self/oom_score_adj'
  echo 0 >/proc/self/oom_score_adj 2>/dev/null || :
  assert_eq "$OUT" 300
}

test_a_config_that_changed_after_create_changes_nothing() {
  differs runc "reads the bundle's"
  running '.process.env += ["A=1"]'
  echo broken >"$B/config.json"
  within 'echo $A'
  assert_eq "$OUT" 1
}

test_apparmor_flag() {
  requires file /sys/kernel/security/apparmor
  requires file /sbin/apparmor_parser
  printf 'profile knarr-it {\nfile,\ndeny /etc/passwd r,\n}\n' | apparmor_parser -K -r
  running
  run_ok exec --apparmor knarr-it c1 sh -c 'cat /proc/self/attr/current; cat /etc/passwd 2>&1 || :'
  assert_match "$OUT" '^knarr-it \(enforce\)'
  assert_match "$OUT" 'Permission denied'
}

test_label_flags_where_there_is_no_such_module() {
  running
  [ -e /sys/module/apparmor ] || exec_fails 'apparmor' --apparmor x c1 true
  [ -e /sys/fs/selinux ] || exec_fails 'selinux|keycreate' --process-label x c1 true
}

# ---- --process ----

test_process_file() {
  differs runc "1.1 has umask 0022"
  running '.process.env += ["A=1"]'
  process '.args = ["sh", "-c", "echo $A$B; id -u; id -g; pwd; umask; ulimit -n; grep -E \"NoNew|CapEff\" /proc/self/status"] | .env = ["PATH=/bin", "B=2"] |
    .user = {uid: 1000, gid: 1001, additionalGids: [7], umask: 7} | .cwd = "/tmp" | .rlimits = [{type: "RLIMIT_NOFILE", soft: 99, hard: 99}] | .noNewPrivileges = true'
  run_ok exec --process "$T/process.json" c1
  assert_eq "$OUT" $'2\n1000\n1001\n/tmp\n0007\n99\nCapEff:\t0000000000000000\nNoNewPrivs:\t1'
}

test_process_file_without_capabilities_has_the_containers() {
  running
  process 'del(.capabilities) | .args = ["grep", "CapEff", "/proc/self/status"]'
  run_ok exec -p "$T/process.json" c1
  assert_match "$OUT" 'CapEff:.0000000020000420'
  process '.capabilities = {} | .args = ["grep", "CapEff", "/proc/self/status"]'
  run_ok exec -p "$T/process.json" c1
  assert_match "$OUT" 'CapEff:.0000000000000000'
}
test_process_file_without_limits_has_the_containers() {
  differs runc,crun "have the caller's"
  running '.process.rlimits = [{type: "RLIMIT_NOFILE", soft: 77, hard: 88}]'
  process 'del(.rlimits) | .args = ["sh", "-c", "ulimit -Sn; ulimit -Hn"]'
  run_ok exec -p "$T/process.json" c1
  assert_eq "$OUT" $'77\n88'
}
test_process_file_without_a_user_has_the_containers() {
  differs runc,crun "1.1 and 1.8 take root"
  running '.process.user = {uid: 1000, gid: 1001}'
  process 'del(.user) | .args = ["id"]'
  run_ok exec -p "$T/process.json" c1
  assert_match "$OUT" 'uid=1000.* gid=1001'
}
test_process_file_says_or_leaves_no_new_privileges() {
  differs runc,crun "take it as false if it is not there"
  running '.process.noNewPrivileges = true'
  process 'del(.noNewPrivileges) | .args = ["grep", "NoNewPrivs", "/proc/self/status"]'
  run_ok exec -p "$T/process.json" c1
  assert_match "$OUT" '1$'
  process '.noNewPrivileges = false | .args = ["grep", "NoNewPrivs", "/proc/self/status"]'
  run_ok exec -p "$T/process.json" c1
  assert_match "$OUT" '0$'
}
test_process_file_without_a_profile_has_the_containers() {
  requires file /sys/kernel/security/apparmor
  requires file /sbin/apparmor_parser
  printf 'profile knarr-it {\nfile,\nsignal,\n}\n' | apparmor_parser -K -r
  running '.process.apparmorProfile = "knarr-it"'
  process '.args = ["cat", "/proc/self/attr/current"]'
  run_ok exec -p "$T/process.json" c1
  assert_match "$OUT" '^knarr-it \(enforce\)'
  [ "$RUNTIME_NAME" = crun ] || run_ok exec --apparmor '' c1 cat /proc/self/attr/current
  assert_match "$OUT" '^knarr-it \(enforce\)'
}
test_process_file_without_environment_has_none() {
  differs crun "takes the container's"
  running '.process.env += ["A=1"]'
  process 'del(.env) | .args = ["/bin/sh", "-c", "echo /$A/"]'
  run_ok exec -p "$T/process.json" c1
  assert_eq "$OUT" //
}

test_process_file_with_errors() {
  differs crun "other words"
  running
  exec_fails 'no such file' --process "$T/none.json" c1
  echo '{' >"$T/process.json"
  exec_fails 'json|parse|unexpected' --process "$T/process.json" c1
  process '.args = []'
  exec_fails 'args' --process "$T/process.json" c1
}

test_process_file_that_lacks_something_names_it() {
  differs runc,crun "other words"
  running
  local file=$T/process.json
  echo '{}' >"$file"
  exec_fails 'process: missing field `cwd` ' --process "$file" c1
  echo '{"args": ["true"], "user": {"uid": 0, "gid": 0}}' >"$file"
  exec_fails 'process: missing field `cwd` ' --process "$file" c1
  echo '{"args": ["true"], "cwd": "/", "scheduler": {"nice": 1}}' >"$file"
  exec_fails 'process.scheduler: missing field `policy` ' --process "$file" c1
  echo '{"args": ["true"], "cwd": "/a\u0000b"}' >"$file"
  exec_fails 'process.cwd: contains a NUL character' --process "$file" c1
}

test_process_file_with_nulls() {
  differs crun "takes some only"
  running
  process '.user = null | .rlimits = null | .capabilities = null | .args = ["id", "-u"]'
  run_ok exec --process "$T/process.json" c1
  assert_eq "$OUT" 0
}

test_process_file_with_relative_cwd() {
  differs crun "takes it"
  running
  process '.cwd = "tmp" | .args = ["true"]'
  exec_fails 'cwd' --process "$T/process.json" c1
}

test_process_file_beside_a_command_or_a_flag() {
  differs runc,crun "ignore the rest"
  running
  process '.args = ["true"]'
  exec_fails 'the file is the whole process, a command cannot change it' --process "$T/process.json" c1 true
  exec_fails '--user cannot change it' --process "$T/process.json" --user 1 c1
}

test_no_command() {
  differs crun "other words"
  running
  rt exec c1
  [ "$RC" != 0 ] || fail "it ran"
  assert_match "$ERR" 'command|args'
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
  exec_fails 'sub cgroup|below the container' --cgroup ../runner c1 true
  exec_fails 'sub cgroup|below the container' --cgroup a/../.. c1 true
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

# ---- status ----

test_created() {
  bundle c1 'args(["sleep", "1000"])'
  run_ok create --bundle "$B" c1
  within 'echo in'
  assert_eq "$OUT" in
  assert_status c1 created
  run_ok start c1
  assert_status c1 running
}

test_stopped() {
  bundle c1 'args(["true"])'
  run_ok run --detach --bundle "$B" c1
  eventually has_status c1 stopped
  exec_fails 'stopped|not running' c1 true
}

test_unknown_container() {
  exec_fails "$UNKNOWN" none true
}

freeze() { echo 1 >"$C/cgroup.freeze"; eventually grep -q 'frozen 1' "$C/cgroup.events"; }

test_paused() {
  differs runc "1.1 asks another hierarchy on a hybrid machine"
  running
  freeze
  exec_fails 'paused' c1 true
  echo 0 >"$C/cgroup.freeze"
}

test_paused_and_ignored() {
  differs crun "has no such flag"
  running
  freeze
  "$RUNTIME" --root "$ROOT" exec --ignore-paused c1 echo resumed >"$T/out" &
  eventually eval '[ "$(wc -l <"$C/cgroup.procs")" = 2 ]'
  assert_eq "$(<"$T/out")" ''
  echo 0 >"$C/cgroup.freeze"
  wait %1
  assert_eq "$(<"$T/out")" resumed
}

test_interrupted_in_a_paused_container() {
  differs runc,crun "wait for ever"
  running
  freeze
  "$RUNTIME" --root "$ROOT" exec --ignore-paused c1 touch /tmp/ran >"$T/out" 2>&1 &
  eventually eval '[ "$(wc -l <"$C/cgroup.procs")" = 2 ]'
  kill -TERM %1
  local rc=0
  wait %1 || rc=$?
  assert_eq "$rc" 143
  echo 0 >"$C/cgroup.freeze"
  eventually eval '[ "$(wc -l <"$C/cgroup.procs")" = 1 ]'
}

test_container_that_ends_meanwhile() {
  running
  local n
  for n in 1 2 3 4 5 6 7 8 9 10 11 12; do
    [ "$n" = 1 ] || { run_ok delete --force c1; running; }
    for _ in 1 2 3; do "$RUNTIME" --root "$ROOT" exec c1 sleep 1000 >/dev/null 2>"$T/err.$n.$_" & done
    [ $((n % 3)) = 0 ] || nap
    run_ok kill c1 KILL
    wait $(jobs -p) || : # each within the case's time
  done
}

test_the_status_of_a_process_that_ends_with_its_container() {
  running
  "$RUNTIME" --root "$ROOT" exec --pid-file "$T/pid" c1 sleep 1000 &
  eventually [ -s "$T/pid" ]
  run_ok kill c1 KILL
  local rc=0
  wait %1 || rc=$?
  assert_eq "$rc" 137
}

# ---- errors ----

test_command_that_is_not_there() {
  running
  exec_fails 'executable file.*not found' c1 nope
  exec_fails 'no such file or directory' c1 /nope
}

test_command_that_cannot_be_executed() {
  running
  exec_fails 'permission denied' c1 /etc/passwd
  exec_fails 'is a directory|permission denied' c1 /etc
}

test_log_tells_what_a_shell_would_exit_with() {
  differs runc,crun "text only"
  running
  code() { rm -f "$T/log"; rt --log "$T/log" --log-format json exec c1 "$@"; assert_eq "$RC" 255; jq -r '"\(.code) \(.field) \(.errno)"' "$T/log.json" 2>/dev/null || jq -r '"\(.code) \(.field) \(.errno)"' "$T/log"; }
  assert_eq "$(code nope)" 'command-not-found process.args[0] null'
  assert_eq "$(code /nope)" 'command-not-found process.args[0] ENOENT'
  assert_eq "$(code /etc/passwd)" 'command-not-executable process.args[0] EACCES'
}

test_error_begins_with_what_engines_look_for() {
  differs crun "other words"
  running
  exec_fails 'exec failed: ' c1 nope
}

test_failed_exec_leaves_no_process() {
  running
  "$STAGE/helpers/no-reap" "$RUNTIME" --root "$ROOT" exec c1 nope >"$T/out" 2>&1 &
  eventually grep -q '^status' "$T/out"
  local children
  children=$(<"/proc/$!/task/$!/children")
  if [ "$RUNTIME_NAME" = crun ]; then kill $!; differs crun "1.8 leaves one unreaped"; fi
  assert_eq "$children" ''
  kill $!
}

test_foreground_exec_reaps_its_children() {
  running
  "$STAGE/helpers/no-reap" "$RUNTIME" --root "$ROOT" exec c1 true >"$T/out" 2>&1 &
  eventually is_line_in 'status 0' "$T/out"
  assert_eq "$(<"/proc/$!/task/$!/children")" ''
  kill $!
}

# ---- signals ----

test_signals_are_forwarded() {
  running
  "$RUNTIME" --root "$ROOT" exec c1 sh -c 'for s in HUP INT QUIT USR1 USR2 TERM; do trap "echo $s" $s; done; echo ready; while :; do sleep 0.05; done' >"$T/out" &
  eventually is_line_in ready "$T/out"
  local name
  for name in HUP INT QUIT USR1 USR2 TERM; do
    kill "-$name" %1
    eventually is_line_in "$name" "$T/out"
  done
  run_ok kill c1 KILL
  wait %1 || :
}

test_signal_that_may_not_be_sent_does_not_end_the_wait() {
  running '.process.capabilities = {}'
  setpriv --bounding-set=-kill "$RUNTIME" --root "$ROOT" exec -u 1000:1000 c1 sh -c 'echo ready; while [ ! -e /tmp/go ]; do sleep 0.05; done; exit 3' >"$T/out" 2>"$T/err" &
  eventually is_line_in ready "$T/out"
  kill -TERM %1
  [ "$RUNTIME_NAME" != knarr ] || eventually is_line_in 'knarr: warning: signal 15 to the container: operation not permitted (EPERM)' "$T/err"
  touch "$B/rootfs/tmp/go"
  local rc=0
  wait %1 || rc=$?
  assert_eq "$rc" 3
}

test_signal_state_is_fresh() {
  running
  (trap '' HUP USR1 PIPE; exec "$RUNTIME" --root "$ROOT" exec c1 grep -E 'Sig(Blk|Ign)' /proc/self/status) >"$T/out"
  assert_eq "$(tr -d '\t' <"$T/out")" $'SigBlk:0000000000000000\nSigIgn:0000000000000000'
}

test_caller_that_ignores_the_end_of_children() {
  differs crun "1.8 says 1"
  running
  local rc=0
  (trap '' CHLD; exec "$RUNTIME" --root "$ROOT" exec c1 sh -c 'exit 7') || rc=$?
  assert_eq "$rc" 7
}

# ---- terminals ----

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
  { "$RUNTIME" --root "$ROOT" exec -t c1 sh -c 'echo first; busybox seq 1 100000; exit 4' </dev/null || echo $? >"$T/rc"; } | head -n 1 >/dev/null
  assert_eq "$(<"$T/rc")" 4
  { "$RUNTIME" --root "$ROOT" exec -t c1 busybox seq 1 100000 </dev/null; echo $? >"$T/rc"; } | head -n 1 >/dev/null
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

# ---- seccomp ----

filter() { # ACTION
  printf '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    syscalls: [{names: ["mkdir", "mkdirat"], action: "%s"}]}' "$1"
}

test_the_containers_filter_holds() {
  local nnp
  for nnp in true false; do
    [ $nnp = true ] || run_ok delete --force c1
    running "$(filter SCMP_ACT_ERRNO) | rw | .process.noNewPrivileges = $nnp"
    within 'mkdir /tmp/x 2>&1 || echo refused; grep -E "Seccomp:|CapEff" /proc/self/status'
    assert_match "$OUT" 'not permitted.*refused'
    assert_match "$OUT" 'Seccomp:.2'
    assert_no_match "$OUT" 'CapEff:.[0-9a-f]*[2367abef][0-9a-f]{5}$' "CAP_SYS_ADMIN"
  done
}

test_the_containers_filter_holds_for_a_process_file() {
  running "$(filter SCMP_ACT_ERRNO) | rw"
  process '.args = ["mkdir", "/tmp/x"]'
  rt exec --process "$T/process.json" c1
  assert_eq "$RC" 1
  assert_match "$ERR" 'not permitted'
}

test_notify_agent_gets_the_process() {
  requires native
  differs crun "1.8 sends another form"
  differs runc "1.1 here is built without it"
  "$STAGE/helpers/seccomp-agent" "$T/agent.sock" "$T/state.json" &
  eventually [ -S "$T/agent.sock" ]
  bundle c1 "args([\"sleep\", \"1000\"]) | rw | $(filter SCMP_ACT_NOTIFY) | .linux.seccomp.listenerPath = \"$T/agent.sock\" | .linux.seccomp.listenerMetadata = \"meta\""
  run_ok run --detach --bundle "$B" c1
  eventually [ -s "$T/state.json" ]
  pid_of c1
  rm "$T/agent.sock" "$T/state.json"
  "$STAGE/helpers/seccomp-agent" "$T/agent.sock" "$T/state.json" &
  eventually [ -S "$T/agent.sock" ]
  rt exec --pid-file "$T/pid" c1 mkdir /tmp/x
  assert_eq "$RC" 1
  assert_match "$ERR" 'No medium found'
  assert_jq "$(<"$T/state.json")" ".fds == [\"seccompFd\"] and .metadata == \"meta\" and .state.id == \"c1\" and .state.status == \"running\" and
    .state.pid == $PID and .pid == $(<"$T/pid")"
}

test_notify_agent_that_is_not_there() {
  requires native
  differs runc,crun "1.1 here is built without it; 1.8 has other words"
  "$STAGE/helpers/seccomp-agent" "$T/agent.sock" "$T/state.json" &
  eventually [ -S "$T/agent.sock" ]
  bundle c1 "args([\"sleep\", \"1000\"]) | rw | $(filter SCMP_ACT_NOTIFY) | .linux.seccomp.listenerPath = \"$T/agent.sock\""
  run_ok run --detach --bundle "$B" c1
  rm "$T/agent.sock"
  exec_fails 'linux.seccomp.listenerPath: .*no such file' c1 mkdir /tmp/x
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

# ---- attacks ----

test_cwd_by_a_descriptor_of_the_runtime() { # CVE-2024-21626
  differs runc,crun "old versions fall for it"
  running
  local n
  for n in 3 4 5 6 7 8 9 10; do
    rt exec --cwd "/proc/self/fd/$n" c1 ls ../../../..
    [ "$RC" != 0 ] || assert_no_match "$OUT" 'state|lost\+found|boot' "fd $n"
    rt exec --cwd "/proc/self/fd/$n/../../.." c1 cat "/proc/self/fd/$n/../../../etc/hostname"
    [ "$RC" != 0 ] || fail "fd $n leads out: $OUT"
  done
}

test_program_by_a_descriptor_of_the_runtime() {
  differs runc,crun "old versions fall for it"
  running
  local n
  for n in 3 4 5 6 7 8 9 10; do
    rt exec c1 "/proc/self/fd/$n/bin/sh" -c 'echo out'
    [ "$RC" != 0 ] || fail "fd $n leads out"
  done
}

test_executing_the_runtime_itself_gives_no_way_to_the_hosts_file() { # CVE-2019-5736
  differs runc,crun "not for old versions"
  running 'rw'
  local before
  before=$(sha256sum <"$RUNTIME")
  ln -s /proc/self/exe "$B/rootfs/tmp/self"
  printf '#!/proc/self/exe\n' >"$B/rootfs/tmp/script"
  chmod +x "$B/rootfs/tmp/script"
  # Inside: whoever comes has its executable opened and written as often as can be.
  run_ok exec -d c1 sh -c 'while :; do for p in /proc/[0-9]*; do [ "$p" = /proc/1 ] || [ "$p" = "/proc/$$" ] || { echo broken >>"$p/exe"; } 2>/dev/null && [ ! "$(readlink $p/exe)" = /bin/busybox ] && echo $p >>/tmp/written; done; done'
  local n
  for n in {1..20}; do
    rt exec c1 /tmp/self --version
    rt exec c1 /tmp/script --version
    rt exec c1 /proc/self/exe --version
  done
  assert_eq "$(sha256sum <"$RUNTIME")" "$before"
}

test_nothing_of_the_host_is_seen_of_a_process_that_comes() { # CVE-2016-9962
  differs runc,crun "a race that old versions lose"
  # With CAP_SYS_PTRACE, the strongest that a container without a user namespace may be given for this.
  running 'rw | caps(["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_KILL"])'
  cat >"$B/rootfs/tmp/spy" <<'SPY'
me=$$
here=$(stat -Lc %d:%i /)
while :; do
  for p in /proc/[0-9]*; do
    [ "$p" != /proc/1 ] && [ "$p" != /proc/$me ] || continue
    echo "looked at $(readlink "$p/exe")" >>/tmp/looked
    root=$(stat -Lc %d:%i "$p/root/" 2>/dev/null) && [ "$root" != "$here" ] && echo "root $root" >>/tmp/seen
    cwd=$(readlink "$p/cwd" 2>/dev/null) && [ "$cwd" != / ] && echo "cwd $cwd" >>/tmp/seen
    for f in "$p"/fd/*; do readlink "$f" >>/tmp/fds 2>/dev/null; done
  done
done
SPY
  run_ok exec -d c1 sh /tmp/spy
  local n
  for n in {1..60}; do rt exec c1 true; assert_eq "$RC" 0; done
  grep -q 'looked at /knarr' "$B/rootfs/tmp/looked" || fail "it was never seen before its execve, so nothing is proven"
  assert_absent "$B/rootfs/tmp/seen"
  assert_no_match "$(cat "$B/rootfs/tmp/fds")" "cgroup|$ROOT|state.json|pidfd"
}

test_preserved_descriptors_are_only_those_of_the_caller() {
  differs runc,crun "old versions pass on their own"
  running
  local n
  for n in 1 2 3 4 5 6 7; do
    rt exec --preserve-fds "$n" c1 true
    assert_eq "$RC" 255 "$n descriptors that are not open"
  done
}

test_passwd_that_is_a_fifo_or_endless() {
  differs runc,crun "wait for ever"
  running 'rw'
  rm "$B/rootfs/etc/passwd"
  mkfifo "$B/rootfs/etc/passwd"
  within 'echo $HOME'
  assert_eq "$OUT" /
  rm "$B/rootfs/etc/passwd"
  ln -s /dev/zero "$B/rootfs/etc/passwd"
  within 'echo $HOME'
  assert_eq "$OUT" /
}

test_devpts_that_is_none() {
  differs runc,crun "old versions take it"
  running 'rw | .mounts |= map(select(.destination != "/dev/pts")) | tmpfs("/dev/pts"; [])'
  within 'echo >/dev/pts/ptmx'
  exec_fails '/dev/pts/ptmx' -t c1 true </dev/null
}
