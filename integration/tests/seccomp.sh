# seccomp: what a filter does to the calls of a container, on a real kernel.
# shellcheck shell=bash

# shellcheck source=../words/seccomp.sh
. "$STAGE/words/seccomp.sh"

test_errno() {
  in_container 'mkdir /tmp/x 2>&1 || echo refused' \
    "$(profile SCMP_ACT_ALLOW "$(rule '["mkdir", "mkdirat"]' SCMP_ACT_ERRNO)") | rw"
  assert_match "$OUT" 'not permitted.*refused'
}

test_errno_ret() {
  in_container 'mkdir /tmp/x 2>&1 || echo refused' \
    "$(profile SCMP_ACT_ALLOW "$(rule '["mkdir", "mkdirat"]' SCMP_ACT_ERRNO 'errnoRet: 28')") | rw"
  assert_match "$OUT" 'No space left.*refused'
}

test_kill_process() {
  bundle c1 'sh("mkdir /tmp/x; echo lives") | rw | '"$(profile SCMP_ACT_ALLOW "$(rule '["mkdir", "mkdirat"]' SCMP_ACT_KILL_PROCESS)")"
  rt run --bundle "$B" c1
  # sh makes mkdir's child; a child that was killed does not end its parent.
  assert_match "$OUT" lives
  assert_absent "$B/rootfs/tmp/x"
}

test_kill_process_ends_it_with_sigsys() {
  bundle c1 'args(["mkdir", "/tmp/x"]) | rw | '"$(profile SCMP_ACT_ALLOW "$(rule '["mkdir", "mkdirat"]' SCMP_ACT_KILL_PROCESS)")"
  rt run --bundle "$B" c1
  assert_eq "$RC" 159 "128 + SIGSYS"
}

test_trap_ends_it_with_sigsys() {
  bundle c1 'args(["mkdir", "/tmp/x"]) | rw | '"$(profile SCMP_ACT_ALLOW "$(rule '["mkdir", "mkdirat"]' SCMP_ACT_TRAP)")"
  rt run --bundle "$B" c1
  assert_eq "$RC" 159 "128 + SIGSYS"
}

test_trace_without_a_tracer_is_enosys() {
  in_container 'mkdir /tmp/x 2>&1 || echo refused' \
    "$(profile SCMP_ACT_ALLOW "$(rule '["mkdir", "mkdirat"]' SCMP_ACT_TRACE)") | rw"
  assert_match "$OUT" 'not implemented.*refused'
}

test_log_lets_the_call_pass() {
  in_container 'mkdir /tmp/x && echo made' "$(profile SCMP_ACT_ALLOW "$(rule '["mkdir", "mkdirat"]' SCMP_ACT_LOG)") | rw"
  assert_eq "$OUT" made
}

test_argument_operators() {
  # kill(2) of a shell by itself; the signal is argument 1. Where the rule matches, the call is refused and the shell lives.
  local op value signal meets
  while read -r op value signal meets; do
    # shellcheck disable=SC2016
    in_container "sh -c 'kill -$signal \$\$; echo lives'; echo status \$?" \
      "$(profile SCMP_ACT_ALLOW "$(rule '["kill"]' SCMP_ACT_ERRNO "args: [{index: 1, value: $value, op: \"$op\"}]")")"
    if [ "$meets" = yes ]; then
      assert_match "$OUT" lives "$op $value against signal $signal"
    else
      assert_match "$OUT" "status $((128 + signal))" "$op $value against signal $signal"
    fi
  done <<'CASES'
SCMP_CMP_EQ 10 10 yes
SCMP_CMP_EQ 10 12 no
SCMP_CMP_NE 15 10 yes
SCMP_CMP_NE 10 10 no
SCMP_CMP_GE 10 10 yes
SCMP_CMP_GE 11 10 no
SCMP_CMP_GT 9 10 yes
SCMP_CMP_GT 10 10 no
SCMP_CMP_LE 10 10 yes
SCMP_CMP_LE 9 10 no
SCMP_CMP_LT 11 10 yes
SCMP_CMP_LT 10 10 no
CASES
}

test_masked_argument() {
  # 12 & 8 = 8: signal 12 is refused, signal 10 too (10 & 8 = 8), signal 4 is not.
  local filter
  filter=$(profile SCMP_ACT_ALLOW "$(rule '["kill"]' SCMP_ACT_ERRNO 'args: [{index: 1, value: 8, valueTwo: 8, op: "SCMP_CMP_MASKED_EQ"}]')")
  in_container "sh -c 'kill -12 \$\$; echo lives'; sh -c 'kill -10 \$\$; echo lives too'; sh -c 'kill -4 \$\$'; echo status \$?" "$filter"
  assert_match "$OUT" 'lives.*lives too.*status 132'
}

test_two_arguments_must_both_match() {
  in_container 'sh -c "kill -10 \$\$"; echo status $?' \
    "$(profile SCMP_ACT_ALLOW "$(rule '["kill"]' SCMP_ACT_ERRNO 'args: [{index: 0, value: 999999, op: "SCMP_CMP_EQ"}, {index: 1, value: 10, op: "SCMP_CMP_EQ"}]')")"
  assert_eq "$OUT" 'status 138'
}

test_unknown_calls_are_skipped() {
  in_container 'mkdir /tmp/x 2>&1 || echo refused' \
    "$(profile SCMP_ACT_ALLOW "$(rule '["no_such_call", "mkdir", "mkdirat"]' SCMP_ACT_ERRNO)") | rw"
  assert_match "$OUT" refused
}

test_filter_without_no_new_privs() {
  in_container 'mkdir /tmp/x 2>&1 || echo refused; grep -E "Seccomp:|NoNewPrivs|CapEff" /proc/self/status' \
    "$(profile SCMP_ACT_ALLOW "$(rule '["mkdir", "mkdirat"]' SCMP_ACT_ERRNO)") | rw | .process.noNewPrivileges = false"
  assert_match "$OUT" 'refused.*'
  assert_match "$OUT" 'NoNewPrivs:.0'
  assert_match "$OUT" 'Seccomp:.2'
  assert_no_match "$OUT" 'CapEff:.[0-9a-f]*[2367abef][0-9a-f]{5}$' "CAP_SYS_ADMIN stays not"
}

test_filter_without_no_new_privs_as_another_user() {
  in_container 'mkdir /tmp/x 2>&1 || echo refused; grep CapEff /proc/self/status' \
    "$(profile SCMP_ACT_ALLOW "$(rule '["mkdir", "mkdirat"]' SCMP_ACT_ERRNO)") | rw |
      .process.noNewPrivileges = false | .process.user = {uid: 1000, gid: 1000}"
  assert_match "$OUT" 'not permitted'
  assert_match "$OUT" 'CapEff:.0000000000000000'
}

test_notify_agent_answers() {
  requires native
  "$STAGE/helpers/seccomp-agent" "$T/agent.sock" "$T/state.json" &
  eventually [ -S "$T/agent.sock" ]
  bundle c1 "sh(\"mkdir /tmp/x 2>&1; echo status \$?\") | rw | $(profile SCMP_ACT_ALLOW "$(rule '["mkdir", "mkdirat"]' SCMP_ACT_NOTIFY)") |
    .linux.seccomp.listenerPath = \"$T/agent.sock\" | .linux.seccomp.listenerMetadata = \"meta\""
  rt run --bundle "$B" c1
  wait
  assert_match "$OUT" 'No medium found'
  assert_match "$OUT" 'status 1'
  assert_jq "$(<"$T/state.json")" '.fds == ["seccompFd"] and .metadata == "meta" and .state.id == "c1" and .pid > 0 and .state.pid == .pid'
}

# What startContainer hooks execute is the container's.
hooked_by() { # SCRIPT PROFILE FILTER
  bundle c1 "args([\"true\"]) | rw | $2 | hook(\"startContainer\"; \"$1\") | $3"
}
test_start_container_hooks_are_under_the_filter() {
  hooked_by 'mkdir /tmp/x' "$(profile SCMP_ACT_ALLOW "$(rule '["mkdir", "mkdirat"]' SCMP_ACT_ERRNO)")" '.process.noNewPrivileges = false'
  run_fails 1 'hook' run --bundle "$B" c1
  assert_absent "$B/rootfs/tmp/x"
}
test_start_container_hook_that_the_filter_kills_is_told() {
  differs runc,crun "status 255, or a status of 159 in the words"
  hooked_by 'exec mkdir /tmp/x' "$(profile SCMP_ACT_ALLOW "$(rule '["mkdir", "mkdirat"]' SCMP_ACT_KILL_PROCESS)")" .
  run_fails 1 'hook.*bad system call' run --bundle "$B" c1
}
test_start_container_hooks_are_under_the_filter_with_no_new_privs() {
  hooked_by 'mkdir /tmp/x' "$(profile SCMP_ACT_ALLOW "$(rule '["mkdir", "mkdirat"]' SCMP_ACT_ERRNO)")" '.process.noNewPrivileges = true'
  run_fails 1 'hook' run --bundle "$B" c1
  assert_absent "$B/rootfs/tmp/x"
}
test_start_container_hooks_where_clone3_is_unknown() { # as profiles of engines have it
  hooked_by 'mkdir /tmp/x' "$(profile SCMP_ACT_ALLOW "$(rule '["clone3"]' SCMP_ACT_ERRNO 'errnoRet: 38')")" .
  run_ok run --bundle "$B" c1
  assert_exists "$B/rootfs/tmp/x"
}
test_start_container_hook_that_fails_where_sendmsg_is_refused() {
  hooked_by 'exit 3' "$(profile SCMP_ACT_ALLOW "$(rule '["sendmsg", "sendto"]' SCMP_ACT_ERRNO)")" .
  run_fails 1 'hook.*3' run --bundle "$B" c1
}
test_notify_agent_answers_start_container_hooks() {
  requires native
  "$STAGE/helpers/seccomp-agent" "$T/agent.sock" "$T/state.json" &
  eventually [ -S "$T/agent.sock" ]
  hooked_by 'mkdir /tmp/x 2>/tmp/said || :' "$(profile SCMP_ACT_ALLOW "$(rule '["mkdir", "mkdirat"]' SCMP_ACT_NOTIFY)")" \
    ".linux.seccomp.listenerPath = \"$T/agent.sock\""
  run_ok run --bundle "$B" c1
  wait
  assert_match "$(<"$B/rootfs/tmp/said")" 'No medium found'
}

test_notify_agent_that_is_not_there() {
  bundle c1 "args([\"true\"]) | $(profile SCMP_ACT_ALLOW "$(rule '["mkdir"]' SCMP_ACT_NOTIFY)") | .linux.seccomp.listenerPath = \"$T/none.sock\""
  run_fails 1 'no such file|listener' run --bundle "$B" c1
}

test_action_errors() {
  differs runc,crun "accepts some"
  bundle c1 "$(profile SCMP_ACT_ALLOW "$(rule '["mkdir"]' SCMP_ACT_ALLOW 'errnoRet: 1')")"
  run_fails 1 'linux\.seccomp' create --bundle "$B" c1
  bundle c2 "$(profile SCMP_ACT_ALLOW "$(rule '["mkdir"]' SCMP_ACT_NOTIFY)")"
  run_fails 1 'linux\.seccomp' create --bundle "$B" c2
  bundle c3 "$(profile SCMP_ACT_ALLOW "$(rule '["mkdir"]' SCMP_ACT_FROB)")"
  run_fails 1 'linux\.seccomp' create --bundle "$B" c3
}

test_listener_metadata_without_a_listener() {
  differs runc,crun "ignore it"
  bundle c1 "$(profile SCMP_ACT_ALLOW) | .linux.seccomp.listenerMetadata = \"x\""
  run_fails 1 'linux.seccomp.listenerMetadata: .*without listenerPath' create --bundle "$B" c1
}

test_unknown_flag_is_an_error() {
  differs crun "accepts it"
  bundle c1 "$(profile SCMP_ACT_ALLOW "$(rule '["mkdir"]' SCMP_ACT_ERRNO)") | .linux.seccomp.flags = [\"SECCOMP_FILTER_FLAG_FROB\"]"
  run_fails 1 'flag' create --bundle "$B" c1
}

test_sealed_executable() {
  differs runc,crun "old versions leave a file that is only busy"
  bundle c1 'args(["sleep", "100"])'
  run_ok create --bundle "$B" c1
  pid_of c1
  local before
  before=$(sha256sum <"$RUNTIME")
  ! sh -c "echo broken >>/proc/$PID/exe" 2>"$T/err" || fail "the executable of init could be written"
  assert_match "$(<"$T/err")" 'Read-only file system|Operation not permitted|Text file busy'
  assert_no_match "$(<"$T/err")" 'Text file busy' "a file that is only busy can be written later"
  assert_eq "$(sha256sum <"$RUNTIME")" "$before"
}

test_the_upper_half_of_an_argument_counts() { # the second one of lseek(2) has 64 bits
  by_perl 'for my $n (5, 5 + 2**32) { my $r = syscall('"${NR[lseek]}"', -1, $n, 0); print $! + 0, " " }' \
    "$(profile SCMP_ACT_ALLOW "$(rule '["lseek"]' SCMP_ACT_ERRNO 'errnoRet: 28, args: [{index: 1, value: 5, op: "SCMP_CMP_EQ"}]')")"
  assert_eq "$OUT" '28 9 '
}

# ---- what is killed ----
test_a_profile_that_kills_before_execve_is_named() {
  differs runc,crun "take it for the end of the process"
  local forbids='.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["execve"], action: "SCMP_ACT_KILL_PROCESS"}]}' words
  words='linux.seccomp: .*SIGSYS.*before it was executed'
  refused "$words" "args([\"true\"]) | $forbids"
  # `start` tells it while nobody has reaped init, which is not its child.
  "$STAGE/helpers/no-reap" "$RUNTIME" --root "$ROOT" create --bundle "$B" c1 >"$T/reaper" 2>&1 </dev/null &
  eventually is_line_in 'status 0' "$T/reaper"
  run_fails 1 "$words" start c1
  assert_status c1 stopped
  run_ok delete c1
  kill %1
  bundle c1 'args(["mkdir", "/tmp/x"]) | rw | '"$(profile SCMP_ACT_ALLOW "$(rule '["mkdir", "mkdirat"]' SCMP_ACT_KILL_PROCESS)")"
  rt run --bundle "$B" c1
  assert_eq "$RC: $ERR" '159: ' 'a process that was executed'
}

thread='my $t = threads->create(sub { syscall('"${NR[sched_yield]}"'); print "not killed\n" }); sleep 1; $| = 1; print "main goes on\n"; exit 3'
test_kill_thread_kills_the_thread_alone() {
  by_perl "$thread" "$(profile SCMP_ACT_ALLOW "$(rule '["sched_yield"]' SCMP_ACT_KILL_THREAD)")"
  assert_match "$OUT" 'main goes on'
  assert_no_match "$OUT" 'not killed'
}
test_kill_is_kill_thread() {
  by_perl "$thread" "$(profile SCMP_ACT_ALLOW "$(rule '["sched_yield"]' SCMP_ACT_KILL)")"
  assert_match "$OUT" 'main goes on'
}
test_kill_process_kills_all_threads() {
  by_perl "$thread" "$(profile SCMP_ACT_ALLOW "$(rule '["sched_yield"]' SCMP_ACT_KILL_PROCESS)")"
  assert_eq "$OUT" ''
  assert_eq "$RC" 159
}
test_trap_can_be_caught() {
  by_perl '$SIG{SYS} = sub { print "caught\n" }; syscall('"${NR[sched_yield]}"'); print "goes on\n"' "$(profile SCMP_ACT_ALLOW "$(rule '["sched_yield"]' SCMP_ACT_TRAP)")"
  assert_eq "$OUT" $'caught\ngoes on'
}

# ---- flags ----
flags_in_force() { # FLAG-JSON PATTERN [MORE-JQ]: what seccomp(2) is called with
  requires native strace
  requires file /usr/bin/strace
  differs runc '1.1.5 knows no flags'
  bundle c1 "args([\"true\"]) | $(profile SCMP_ACT_ALLOW "$(rule '["mkdir"]' SCMP_ACT_ERRNO)") | .linux.seccomp.flags = $1 | ${3:-.}"
  strace -f -o "$T/trace" -e trace=seccomp "$RUNTIME" --root "$ROOT" run --bundle "$B" c1 >"$T/out" 2>&1 || fail "$(<"$T/out")"
  assert_match "$(<"$T/trace")" "$2"
}
test_flag_log() { flags_in_force '["SECCOMP_FILTER_FLAG_LOG"]' 'SECCOMP_FILTER_FLAG_LOG, '; }
test_flag_spec_allow() { flags_in_force '["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]' 'SECCOMP_FILTER_FLAG_SPEC_ALLOW, '; }
test_flag_tsync_is_for_threads() {
  differs runc 'it asks for it'
  flags_in_force '["SECCOMP_FILTER_FLAG_TSYNC"]' 'SECCOMP_SET_MODE_FILTER, (0|SECCOMP_FILTER_FLAG_TSYNC), '
}
test_flags_together() { flags_in_force '["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"]' 'SECCOMP_FILTER_FLAG_LOG\|SECCOMP_FILTER_FLAG_SPEC_ALLOW, '; }
test_flag_wait_killable_recv_is_for_a_listener() {
  requires native strace # before the agent is there
  requires file /usr/bin/strace
  differs runc,crun 'too old'
  "$STAGE/helpers/seccomp-agent" "$T/agent.sock" "$T/state.json" &
  eventually [ -S "$T/agent.sock" ]
  flags_in_force '["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]' 'SECCOMP_FILTER_FLAG_NEW_LISTENER\|(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV|0x20), ' \
    ".linux.seccomp.syscalls += [{names: [\"mkdir\", \"mkdirat\"], action: \"SCMP_ACT_NOTIFY\"}] | .linux.seccomp.listenerPath = \"$T/agent.sock\" | sh(\"mkdir /tmp/x; :\") | del(.linux.seccomp.syscalls[0])"
  wait
}
test_flag_log_reaches_the_log_of_the_kernel() {
  requires uml 'the log of the kernel'
  bundle c1 "args([\"mkdir\", \"/tmp/x\"]) | $(profile SCMP_ACT_ALLOW "$(rule '["mkdir", "mkdirat"]' SCMP_ACT_ERRNO)") | .linux.seccomp.flags = [\"SECCOMP_FILTER_FLAG_LOG\"]"
  rt run --bundle "$B" c1
  [ "$RC" != 0 ] || fail 'the call passed'
  dmesg | grep 'type=1326.*exe="/bin/busybox"' >/dev/null || fail "$(dmesg | tail -5)"
}

test_a_strict_profile_has_no_name_that_is_no_call() {
  local profile
  # A name of another machine's is one; without the annotation a mistyped one is skipped.
  profile=$(profile SCMP_ACT_ALLOW "$(rule '["mkdir", "s390_pci_mmio_read"]' SCMP_ACT_ERRNO)")
  in_container 'echo runs' "$profile | .annotations[\"org.knarr.seccomp-strict\"] = \"true\""
  assert_eq "$OUT" runs
  profile=$(profile SCMP_ACT_ALLOW "$(rule '["mkdir", "mkdri", "chmodd"]' SCMP_ACT_ERRNO)")
  in_container 'echo runs' "$profile"
  assert_eq "$OUT" runs
  differs runc,crun "no such annotation"
  rm -rf "$T/c1"
  refused 'linux.seccomp.syscalls\[0\].names\[1\]: "mkdri" is no system call of any machine, syscalls\[0\].names\[2\] "chmodd"' \
    "$profile | .annotations[\"org.knarr.seccomp-strict\"] = \"true\""
  rm -rf "$T/c1"
  refused 'annotations.org.knarr.seccomp-strict: "yes" is neither "true" nor "false"' \
    "$profile | .annotations[\"org.knarr.seccomp-strict\"] = \"yes\""
}
