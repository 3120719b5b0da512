# seccomp: what a filter does to the calls of a container, on a real kernel.
# shellcheck shell=bash

# profile ACTION [RULE...]: a jq filter that sets a profile with a default action and rules for system calls.
profile() {
  local action=$1 rules=''
  shift
  for rule in "$@"; do rules+="${rules:+,}$rule"; done
  printf '.linux.seccomp = {defaultAction: "%s", architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"], syscalls: [%s]}' \
    "$action" "$rules"
}
rule() { printf '{names: %s, action: "%s"%s}' "$1" "$2" "${3:+, $3}"; } # NAMES-JSON ACTION [MORE]

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

test_flags_are_taken() {
  differs runc "1.1 knows no flags"
  in_container 'mkdir /tmp/x 2>&1 || echo refused' \
    "$(profile SCMP_ACT_ALLOW "$(rule '["mkdir", "mkdirat"]' SCMP_ACT_ERRNO)") | .linux.seccomp.flags = [\"SECCOMP_FILTER_FLAG_LOG\", \"SECCOMP_FILTER_FLAG_SPEC_ALLOW\"] | rw"
  assert_match "$OUT" refused
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
