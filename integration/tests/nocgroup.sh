# --cgroup-manager disabled: a container without a cgroup of its own.
# shellcheck shell=bash

without() { # JQ-FILTER: the bundle c1 and the option
  differs runc "no such option"
  FLAGS=(--cgroup-manager disabled)
  bundle c1 "del(.linux.resources) | $1"
}

test_no_cgroup_is_made() {
  without 'args(["sleep", "1000"])'
  run_ok create --bundle "$B" c1
  pid_of c1
  assert_eq "$(grep ^0:: "/proc/$PID/cgroup")" "$(grep ^0:: /proc/self/cgroup)"
  assert_absent "$C"
  run_ok start c1
  assert_status c1 running
}

test_the_whole_life_works_without_the_option() {
  without 'args(["sleep", "1000"])'
  run_ok create --bundle "$B" c1
  FLAGS=()
  assert_status c1 created
  run_ok start c1
  run_ok list --format json
  assert_jq "$OUT" '.[0].status == "running"'
  run_ok kill c1 KILL
  eventually has_status c1 stopped
  run_ok delete c1
  assert_unknown c1
}

test_run_exits_with_the_status() {
  without 'sh("exit 7")'
  rt run --bundle "$B" c1
  assert_eq "$RC" 7
}

test_kill_all_and_delete_force() {
  differs crun "kill --all needs a cgroup"
  without 'sh("sleep 1000 & echo ready; wait")'
  run_ok run --detach --bundle "$B" c1
  eventually is_line_in ready "$LOG"
  run_ok kill --all c1 KILL
  eventually has_status c1 stopped
  run_ok delete --force c1
}

test_limits_are_refused() {
  differs crun "leaves them out in silence"
  without 'args(["true"]) | .linux.resources.pids = {limit: 9}'
  run_fails 1 'linux.resources.pids.limit: needs a cgroup, and there is none' create --bundle "$B" c1
}

test_device_rules_are_a_warning() {
  differs crun "leaves them out in silence"
  without 'args(["true"]) | .linux.resources.devices = [{allow: false, access: "rwm"}]'
  rt run --bundle "$B" c1
  assert_eq "$RC" 0
  assert_eq "$ERR" 'knarr: warning: linux.resources.devices: ignored, there is no cgroup (--cgroup-manager disabled)'
}

test_what_needs_a_cgroup_says_so() {
  differs crun "other words"
  without 'args(["sleep", "1000"])'
  run_ok run --detach --bundle "$B" c1
  local command
  for command in pause 'events --stats' 'update --pids-limit 9' 'ps --format json'; do
    # shellcheck disable=SC2086 # words
    run_fails 1 'has no cgroup' $command c1
  done
  run_fails 1 'container not paused' resume c1
}

test_it_works_without_any_cgroup_tree() {
  differs crun "looks for one"
  without 'args(["echo", "ran"]) | .mounts |= map(select(.type != "cgroup")) | no_ns("cgroup")'
  # shellcheck disable=SC2016 # expanded by the inner shell
  unshare --mount sh -c 'umount -l /sys/fs/cgroup; exec "$@"' sh "$RUNTIME" --root "$ROOT" "${FLAGS[@]}" run --bundle "$B" c1 >"$T/out"
  assert_eq "$(<"$T/out")" ran
}
