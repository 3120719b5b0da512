# A process that looks dead, or that one call does not reach, is one of the container's all the same.
# shellcheck shell=bash disable=SC2016

# threads PERL [FILTER]: a container c1 whose main thread does PERL, while another one goes on.
threads() {
  requires debian
  bundle c1 --arg r "$DEBIAN" --arg s "use threads; threads->create(sub { sleep 1 while 1 })->detach; $1" \
    ".root.path = \$r | args([\"perl\", \"-e\", \$s]) | ${2:-.}"
}
end_alone="sleep 1; syscall(${NR[exit]}, 0);" # of one thread
main_thread_is_gone() { local stat; slurp stat "/proc/$PID/stat" && [[ $stat == *') Z '* ]]; }
# without_main_thread [FILTER]: c1 runs, but /proc says that it is a zombie. PID is its process.
without_main_thread() {
  threads "$end_alone" "${1:-.}"
  run_ok run --detach --bundle "$B" c1
  pid_of c1
  eventually main_thread_is_gone
}

test_control_a_process_that_has_ended_is_stopped() {
  threads 'sleep 1; exit 3'
  run_ok run --detach --bundle "$B" c1
  eventually has_status c1 stopped
  run_ok delete c1
}

test_it_runs_although_its_main_thread_has_ended() {
  differs runc,crun "not looked at"
  without_main_thread
  assert_status c1 running
  run_fails 1 'running' delete c1
  run_ok kill c1 KILL
  eventually has_status c1 stopped
  run_ok delete c1
}

# The namespaces are those of its other threads.
test_exec_although_its_main_thread_has_ended() {
  differs runc,crun "not looked at"
  local namespaces=""
  without_main_thread '.hostname = "box" | userns'
  namespaces=$(readlink "/proc/$PID/task"/*/ns/{mnt,pid,net,uts,ipc,user} 2>/dev/null | sort -u || :)
  assert_eq "$(wc -l <<<"$namespaces")" 6
  run_ok exec c1 sh -c 'readlink /proc/self/ns/*; hostname; cat /proc/1/stat'
  assert_eq "$(grep -Fx "$namespaces" <<<"$OUT" | sort -u)" "$namespaces"
  assert_line "$OUT" box
  assert_match "$OUT" ') Z '
  run_ok exec --detach c1 sleep 1000
  run_ok delete --force c1
}

test_delete_by_force_ends_it() {
  differs runc,crun "not looked at"
  without_main_thread
  run_ok delete --force c1
  eventually is_gone "$PID"
}

test_delete_by_force_without_a_pid_namespace() {
  differs runc,crun "not looked at"
  without_main_thread 'no_ns("pid")'
  run_ok delete --force c1
  assert_absent "$C"
}

test_kill_without_a_pid_namespace() {
  differs runc,crun "not looked at"
  without_main_thread 'no_ns("pid")'
  run_ok kill c1 KILL
  eventually has_status c1 stopped
}

test_one_that_outlives_init_without_a_pid_namespace() {
  differs runc,crun "not looked at"
  threads "fork or do { threads->create(sub { sleep 1 while 1 })->detach; sleep 1; syscall(${NR[exit]}, 0) }; sleep 2; exit 0" 'no_ns("pid")'
  run_ok run --detach --bundle "$B" c1
  eventually has_status c1 stopped
  run_ok kill --all c1 KILL
  run_ok delete c1
  assert_absent "$C"
}

test_without_a_cgroup() {
  differs runc,crun "not looked at"
  FLAGS=(--cgroup-manager disabled)
  without_main_thread 'del(.linux.resources, .linux.cgroupsPath)'
  assert_status c1 running
  run_fails 1 'running' delete c1
  run_ok delete --force c1
  eventually is_gone "$PID"
}
