# A system call that fails always, as a seccomp filter of an outer sandbox has it: a command works without it, or says in one line which
# one it is, and leaves nothing, although the call fails in the cleaning up too.
# shellcheck shell=bash disable=SC2016
CASE_LIMIT=120

ERRNOS=(ENOSYS EPERM)

# without CALL ERRNO ARG...: the runtime, to which CALL is refused; RC, OUT and ERR as ever.
without() {
  local real=$RUNTIME call=$1 errno=$2
  printf '#!/bin/sh\nexec "%s" "%s" "%s" "%s" "$@"\n' "$STAGE/helpers/refuse" "$call" "$errno" "$real" >"$T/refused"
  chmod 755 "$T/refused"
  RUNTIME=$T/refused
  rt "${@:3}"
  RUNTIME=$real
}

WRONG=''
wrong() { WRONG+="$*: status $RC: $ERR"$'\n'; }
right() { [ -z "$WRONG" ] || fail "$WRONG"; }
# told CALL ERRNO WHAT: it worked, or one line says that CALL was refused.
told() {
  [ "$RC" != 0 ] || return 0
  [[ $3 != resume* || $ERR != *'not paused' ]] || return 0 # as pause was refused
  [ "$(wc -l <<<"$ERR")" = 1 ] || wrong "$* (more than one line)"
  [[ $ERR == *"${1%at}"* && $ERR == *"$2"* ]] || wrong "$*"
}
# nothing WHAT: no record, cgroup or process of c1.
nothing() {
  state_entries
  [ ! -e "${STATES[0]-}" ] && [ ! -e "$C" ] && return
  wrong "$* left ${STATES[*]}"
  run_ok delete --force c1
}

# always CALL...: each refused to each command.
always() {
  local call errno verb
  differs runc,crun "not looked at"
  bundle c1 'sh("echo ran") | .linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW"}'
  for call; do
    for errno in "${ERRNOS[@]}"; do
      without "$call" "$errno" run --bundle "$B" c1
      told "$call" "$errno" run
      # That its end cannot be waited for is not known before it runs.
      [ "$RC" = 0 ] || [ "$OUT" = '' ] || [ "$call" = waitid ] || wrong "$call $errno: it ran"
      nothing "$call $errno run"
      without "$call" "$errno" create --bundle "$B" c1
      told "$call" "$errno" create
      [ "$RC" != 0 ] || run_ok delete --force c1
      nothing "$call $errno create"
    done
  done
  right
}
# others CALL...: each refused to what is done with a container.
others() {
  local call errno words
  differs runc,crun "not looked at"
  for call; do
    for errno in "${ERRNOS[@]}"; do
      bundle c1 'args(["sleep", "1000"])'
      run_ok create --bundle "$B" c1
      for words in 'start c1' 'state c1' 'exec c1 true' 'ps --format json c1' 'pause c1' 'resume c1' \
        'events --stats c1' 'kill c1 USR1' 'list --quiet' 'kill --all c1 KILL' 'delete --force c1'; do
        # shellcheck disable=SC2086 # words
        without "$call" "$errno" $words
        told "$call" "$errno" "$words"
      done
      run_ok delete --force c1
      nothing "$call $errno"
    done
  done
  right
}

# `check` says of each that no container runs here, if none does.
test_check_finds_out() {
  differs runc,crun "no check"
  local call errno
  bundle c1 'sh("echo ran") | .linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW"}'
  rt check
  assert_match "$OUT" 'Containers run here' # the control
  for call in clone3 openat2 close_range pidfd_send_signal faccessat2 open_tree move_mount fsopen fsconfig fsmount mount_setattr pivot_root \
    bpf keyctl seccomp fsetxattr statx; do
    for errno in "${ERRNOS[@]}"; do
      without "$call" "$errno" run --bundle "$B" c1
      [ "$RC" != 0 ] || continue
      without "$call" "$errno" check
      [[ $OUT == *"${call/bpf/device filter}"* && $OUT == *'No container runs here'* ]] || wrong "$call $errno: check: $OUT"
    done
  done
  right
}

test_control_a_filter_that_refuses_another_call() { ERRNOS=(EPERM); always mknodat; assert_match "$ERR" 'mknod'; }
test_new_calls_of_create() { always clone3 openat2 close_range pidfd_open faccessat2; }
test_mount_calls_of_create() { always open_tree move_mount fsopen fsconfig fsmount mount_setattr pivot_root; }
test_other_calls_of_create() { always bpf keyctl seccomp pidfd_send_signal fsetxattr statx memfd_create waitid flock socketpair; }
test_calls_of_what_is_done_with_a_container() { others clone3 openat2 close_range pidfd_open faccessat2 setns keyctl; }
test_more_calls_of_what_is_done_with_a_container() { others pidfd_send_signal fgetxattr flock waitid socketpair statx; }

# The standard library makes this call first of all, and ends the program where it is refused.
test_without_poll_nothing_begins() {
  differs runc,crun "not looked at"
  local errno
  bundle c1 'sh("echo ran")'
  for errno in "${ERRNOS[@]}"; do
    without poll "$errno" run --bundle "$B" c1
    assert_eq "$RC$OUT$ERR" 134
    nothing "poll $errno"
  done
  right
}

# limits: what c1's cgroup has of what `update` changes.
limits() { echo "$(<"$C/pids.max") $(<"$C/memory.max")"; }
# updates CALL...: each refused to `update`, which changes both limits or none.
updates() {
  local call errno
  requires controller pids
  requires controller memory
  differs runc,crun "not looked at"
  bundle c1 'args(["sleep", "1000"]) | .linux.resources = {pids: {limit: 50}, memory: {limit: 268435456}}'
  run_ok run --detach --bundle "$B" c1
  for call; do
    for errno in "${ERRNOS[@]}"; do
      run_ok update --pids-limit 50 --memory 268435456 c1
      without "$call" "$errno" update --pids-limit 77 --memory 536870912 c1
      # One that may not write has nothing to say it with.
      [ "$call" = write ] || told "$call" "$errno" update
      case "$RC $(limits)" in
        '0 77 536870912') ;;
        '0 '*) wrong "update, $call $errno, which says that all is well: $(limits)" ;;
        *' 50 268435456') REFUSED=1 ;;
        *) wrong "update, $call $errno: $(limits)" ;;
      esac
      assert_status c1 running
    done
  done
  run_ok delete --force c1
  right
}
test_control_update_where_another_call_is_refused() { ERRNOS=(EPERM) REFUSED=''; updates mknodat; assert_eq "$RC$REFUSED" 0; }
test_calls_of_update() {
  REFUSED=''
  updates openat2 openat read write flock fgetxattr pidfd_open fstatfs newfstatat fcntl
  [ -n "$REFUSED" ] || fail 'nothing was refused'
}

# A filter may end who makes the call in place of refusing it.
test_init_that_a_filter_ends_before_it_is_ready() {
  differs runc,crun "not looked at"
  bundle c1 'args(["true"]) | .hostname = "box"'
  without sethostname KILL run --bundle "$B" c1
  [[ $RC == 1 && $ERR == *'seccomp filter'*'SIGSYS'* && $(wc -l <<<"$ERR") == 1 ]] || wrong run
  nothing run
  without sethostname KILL create --bundle "$B" c1
  [[ $RC == 1 && $ERR == *'seccomp filter'*'SIGSYS'* && $(wc -l <<<"$ERR") == 1 ]] || wrong create
  nothing create
  bundle c2 'args(["sleep", "1000"])'
  run_ok run --detach --bundle "$B" c2
  without setns KILL exec c2 true
  [[ $RC == 255 && $ERR == *'seccomp filter'*'SIGSYS'* && $(wc -l <<<"$ERR") == 1 ]] || wrong exec
  without setns EPERM exec c2 true # the control
  [[ $RC == 255 && $ERR == *setns* && $ERR != *SIGSYS* ]] || wrong control
  run_ok delete --force c2
  right
}
