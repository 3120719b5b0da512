# What a container can do to its own cgroup, if it may write there, does not keep it from being looked at, stopped and removed; and a
# cgroup is not taken for another one of the same path.
# shellcheck shell=bash disable=SC2016

WRITABLE='.mounts |= map(if .type == "cgroup" then .options -= ["ro"] else . end) | .linux.namespaces += [{type: "cgroup"}] | .linux.namespaces |= unique_by(.type)'

# maker SCRIPT [FILTER]: a container c1 that runs SCRIPT in its cgroup, in which it may write, and then sleeps.
maker() {
  bundle c1 --arg s "cd /sys/fs/cgroup && $1; echo made; sleep 1000" "sh(\$s) | $WRITABLE | ${2:-.}"
  run_ok run --detach --bundle "$B" c1
  eventually is_line_in made "$LOG"
}
# ends: all that is done to it works, and nothing stays.
ends() {
  run_ok ps --format json c1
  run_ok pause c1
  run_ok resume c1
  run_ok kill --all c1 USR1
  run_ok delete --force c1
  assert_absent "$C"
}

test_control_a_cgroup_below() { maker 'mkdir below'; assert_exists "$C/below"; ends; }

test_names_that_are_no_text() {
  differs runc,crun "not looked at"
  maker 'mkdir "$(printf "a\\377b")" "$(printf "a\\377b/\\n")" "a b"'
  ends
}

test_more_cgroups_than_descriptors() {
  differs runc,crun "not looked at"
  maker 'for i in $(busybox seq 1100); do mkdir c$i; done'
  ulimit -n 64
  ends
}

test_cgroups_deeper_than_a_path_is_long() {
  differs runc,crun "not looked at"
  maker 'for i in $(busybox seq 1100); do mkdir dddd && cd dddd || break; done'
  ulimit -n 64
  ends
}

# ---- another one of the same path ----

test_delete_of_a_stopped_one_leaves_who_is_in_its_cgroup_by_now() {
  differs runc,crun "not looked at"
  bundle c1 'args(["true"])'
  run_ok run --detach --bundle "$B" c1
  eventually has_status c1 stopped
  bundle c2 --arg c "$BASE/c1" 'args(["sleep", "1000"]) | .linux.cgroupsPath = $c | no_ns("pid")'
  run_ok run --detach --bundle "$B" c2
  run_ok ps --format json c1
  assert_eq "$OUT" '[]'
  rt kill --all c1 KILL
  run_ok delete c1
  assert_status c2 running
  run_ok delete --force c2
  rmdir "$V2$BASE/c1" # it was there before c2
}

test_delete_of_a_stopped_one_leaves_one_that_was_made_anew() {
  differs runc,crun "not looked at"
  bundle c1 'args(["true"])'
  run_ok run --detach --bundle "$B" c1
  eventually has_status c1 stopped
  rmdir "$C"
  bundle c2 --arg c "$BASE/c1" 'args(["sleep", "1000"]) | .linux.cgroupsPath = $c | no_ns("pid")'
  run_ok run --detach --bundle "$B" c2
  run_ok delete --force c1
  assert_status c2 running
  run_ok delete --force c2
  assert_absent "$C"
}

# ---- frozen above ----

test_create_below_a_frozen_cgroup() {
  differs runc,crun "wait"
  mkdir "$V2$BASE/ice"
  echo 1 >"$V2$BASE/ice/cgroup.freeze"
  bundle c1 --arg c "$BASE/ice/c1" 'args(["true"]) | .linux.cgroupsPath = $c'
  run_fails 1 'frozen' create --bundle "$B" c1
  mkdir "$V2$BASE/ice/c1"
  run_fails 1 'frozen' create --bundle "$B" c1
  echo 0 >"$V2$BASE/ice/cgroup.freeze"
  run_ok create --bundle "$B" c1
  run_ok delete c1
  rmdir "$V2$BASE/ice/c1" "$V2$BASE/ice"
}

test_exec_where_init_has_moved_into_a_frozen_cgroup() {
  differs runc,crun "wait"
  maker 'mkdir init && echo 1 >init/cgroup.procs && for c in $(cat cgroup.controllers); do echo "+$c" >cgroup.subtree_control; done'
  echo 1 >"$C/init/cgroup.freeze"
  run_fails 255 'paused' exec c1 true
  echo 0 >"$C/init/cgroup.freeze"
  run_ok exec c1 true
  ends
}
