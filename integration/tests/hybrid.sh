# A host whose controllers are in cgroup v1 and whose v2 tree is mounted below: the view of the machine as it is.
# view: hybrid
# shellcheck shell=bash

hybrid() {
  requires native "UML has pure cgroup v2"
  [ "$V2" = /sys/fs/cgroup/unified ] || skip "this machine is not hybrid: its v2 tree is $V2"
  differs runc,crun "take the v1 hierarchies"
}

test_the_v2_tree_is_used() {
  hybrid
  bundle c1 'args(["sleep", "100"])'
  run_ok create --bundle "$B" c1
  pid_of c1
  assert_line "$(<"/proc/$PID/cgroup")" "0::$BASE/c1"
  assert_eq "$(grep -v ^0: "/proc/$PID/cgroup")" "$(grep -v ^0: /proc/self/cgroup)" "v1 cgroups"
  run_ok delete --force c1
  assert_absent "$C"
}

test_run() { hybrid; in_container 'echo ran'; assert_eq "$OUT" ran; }

test_kill_and_delete() {
  hybrid
  bundle c1 'sh("sleep 100 & echo ready; sleep 100") | no_ns("pid")'
  run_ok run --detach --bundle "$B" c1
  eventually is_line_in ready "$LOG"
  run_ok kill c1 KILL
  eventually has_status c1 stopped
  run_ok delete c1
}

test_cgroup_mount_shows_the_v2_cgroup() {
  hybrid
  in_container 'cat /sys/fs/cgroup/cgroup.procs'
  assert_match "$OUT" '^1(\n|$)'
}

test_a_limit_whose_controller_is_in_v1_is_refused() {
  hybrid
  bundle c1 '.linux.resources.memory = {limit: 67108864}'
  run_fails 1 'linux.resources.memory.limit: the memory controller is not in the cgroup v2 tree: cgroup v1 has it, at /' create --bundle "$B" c1
  bundle c1 '.linux.resources.pids = {limit: 10}'
  run_fails 1 'pids' create --bundle "$B" c1
}

test_devices_are_denied() {
  hybrid
  in_container 'mknod /tmp/mem c 1 1; ! head -c 1 /tmp/mem 2>/dev/null && echo denied' 'tmpfs("/tmp"; []) | caps(["CAP_MKNOD", "CAP_DAC_OVERRIDE", "CAP_SYS_RAWIO"])'
  assert_eq "$OUT" denied
}
