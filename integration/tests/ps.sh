# ps: the container's processes, by their pids on the host.
# shellcheck shell=bash

three() {
  bundle c1 'sh("sleep 1000 & sleep 1000 & echo ready; wait")'
  run_ok run --detach --bundle "$B" c1
  eventually is_line_in ready "$LOG"
  eventually both_sleep
}
both_sleep() { [ "$(grep -lx sleep $(sed 's|.*|/proc/&/comm|' "$C/cgroup.procs") | wc -l)" = 2 ]; } # past their execve(2)

test_ps_json_is_an_array_of_host_pids() {
  three
  pid_of c1
  run_ok ps --format json c1
  assert_jq "$OUT" 'length == 3 and (map(type) | unique) == ["number"] and index($p | tonumber) != null' --arg p "$PID"
  local pid
  for pid in $(jq '.[]' <<<"$OUT"); do assert_match "$(<"/proc/$pid/cgroup")" "$BASE/c1"; done
}

test_ps_sees_sub_cgroups() {
  differs runc,crun "1.1 and 1.8 differ by driver and version"
  three
  mkdir "$C/sub"
  sleep 1000 &
  local other=$!
  echo "$other" >"$C/sub/cgroup.procs"
  run_ok ps -f json c1
  assert_jq "$OUT" 'length == 4 and index($p | tonumber) != null' --arg p "$other"
  kill "$other"
  wait "$other" || :
  rmdir "$C/sub"
}

test_ps_table_is_that_of_ps() {
  differs crun "only pids"
  three
  pid_of c1
  run_ok ps c1
  assert_match "${OUT%%$'\n'*}" '^UID +PID +PPID'
  assert_eq "$(wc -l <<<"$OUT")" 4
  assert_match "$OUT" "$PID"
  assert_no_match "$OUT" bash
}

# The columns that ps(1) prints, where there is one; and without one.
test_ps_table_needs_no_ps() {
  requires native "ps(1) finds no boot time in UML"
  differs runc,crun "ps(1) is called, or only pids are printed"
  three
  pid_of c1
  run_ok ps c1 -ef
  local theirs=$OUT
  PATH=/nonexistent run_ok ps c1
  assert_eq "$(awk '{print $1, $2, $3, $6, $8, $9}' <<<"$OUT")" "$(awk '{print $1, $2, $3, $6, $8, $9}' <<<"$theirs")"
  assert_match "$OUT" "root +$PID +"
}

test_ps_options_follow_the_id() {
  requires native "ps(1) finds no boot time in UML"
  differs crun "only pids"
  three
  pid_of c1
  run_ok ps c1 -e -o pid,comm
  assert_match "${OUT%%$'\n'*}" '^ *PID COMMAND$'
  assert_eq "$(wc -l <<<"$OUT")" 4
  assert_eq "$(grep -c sleep <<<"$OUT")" 2
  run_ok ps c1 aux
  assert_match "${OUT%%$'\n'*}" '^USER +PID'
  assert_eq "$(wc -l <<<"$OUT")" 4
}

test_ps_without_a_pid_column_is_an_error() {
  differs crun "only pids"
  three
  run_fails 1 'PID' ps c1 -e -o comm
}

test_ps_with_an_option_that_ps_refuses() {
  differs runc,crun "more lines, or options are ignored"
  three
  run_fails 1 'ps c1: ps --frob: error' ps c1 --frob
}

test_ps_of_a_created_container() {
  bundle c1 'args(["sleep", "100"])'
  run_ok create --bundle "$B" c1
  pid_of c1
  run_ok ps --format json c1
  assert_jq "$OUT" '. == [($p | tonumber)]' --arg p "$PID"
}

test_ps_of_a_stopped_container_is_empty() {
  differs runc,crun "null, or an error"
  bundle c1 'args(["true"])'
  run_ok run --detach --bundle "$B" c1
  eventually has_status c1 stopped
  run_ok ps --format json c1
  assert_eq "$OUT" '[]'
}

test_ps_of_what_outlives_init() {
  differs runc,crun "null, or an error"
  bundle c1 'sh("sleep 1000 & echo $!") | no_ns("pid")'
  run_ok run --detach --bundle "$B" c1
  eventually has_status c1 stopped
  local left
  slurp left "$LOG"
  run_ok ps --format json c1
  assert_jq "$OUT" 'length == 1'
  assert_match "$(tr '\0' ' ' <"/proc/$(jq '.[0]' <<<"$OUT")/cmdline")" 'sleep 1000'
  run_ok delete --force c1
}

test_ps_of_a_paused_container() {
  three
  run_ok pause c1
  run_ok ps --format json c1
  assert_jq "$OUT" 'length == 3'
}

test_ps_of_no_container() { differs crun "status 253"; run_fails 1 "$UNKNOWN" ps --format json c1; }
