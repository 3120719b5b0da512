# exec: what the process takes from config.json, from flags and from --process.
# shellcheck shell=bash disable=SC2016 # scripts are for the shell in the container

# shellcheck source=../words/exec.sh
. "$STAGE/words/exec.sh"

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
