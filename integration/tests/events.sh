# events: what a container uses, in runc's form, and when a process is killed for memory.
# shellcheck shell=bash

running() { # [JQ-FILTER]: c1 burns processor time
  bundle c1 "sh(\"while :; do :; done\") | ${1:-.}"
  run_ok run --detach --bundle "$B" c1
}
watch() { # [ARG...]: events c1 in the background; its output in $T/events
  "$RUNTIME" --root "$ROOT" events "$@" c1 >"$T/events" 2>"$T/events.err" &
  EVENTS=$!
}
has_event() { jq -es --arg type "$1" 'any(.[]; .type == $type)' "$T/events" >/dev/null; }
has_stats() { [ "$(grep -c '"type":"stats"' "$T/events")" -ge "$1" ]; }
has_ended() { [ ! -e "/proc/$1" ] || grep -q '^State:.*Z' "/proc/$1/status"; }

test_stats_has_runcs_form() {
  differs crun "no such command"
  running
  run_ok events --stats c1
  assert_eq "$(wc -l <<<"$OUT")" 1
  assert_jq "$OUT" '.type == "stats" and .id == "c1" and (keys == ["data", "id", "type"])'
  assert_jq "$OUT" '.data | keys == ["blkio", "cpu", "cpuset", "hugetlb", "intel_rdt", "memory", "network_interfaces", "pids"]'
  assert_jq "$OUT" '.data.cpu.usage | has("kernel") and has("user")'
  assert_jq "$OUT" '.data.memory | .usage | has("limit") and has("failcnt")'
  # Who waits for an event of the type `oom` may look for the word.
  assert_jq "$OUT" '.data.memory | keys - ["cache", "usage", "swap", "kernel", "kernelTCP", "raw", "psi"] == []'
}

test_stats_counts_processor_time() {
  differs crun "no such command"
  running
  local before
  has_used() { run_ok events --stats c1; [ "$(jq '.data.cpu.usage.total // 0' <<<"$OUT")" -gt "$1" ]; }
  eventually has_used 0
  before=$(jq '.data.cpu.usage.total' <<<"$OUT")
  eventually has_used "$before"
  assert_jq "$OUT" '.data.cpu.usage | .total >= .user and .total < 60000000000'
}

test_stats_has_pressure() {
  differs runc,crun "1.1 has none"
  [ -e /proc/pressure/cpu ] || skip "this kernel does not account pressure"
  cat /proc/pressure/cpu >/dev/null 2>&1 || skip "this kernel does not account pressure"
  running
  run_ok events --stats c1
  assert_jq "$OUT" '.data.cpu.psi | .some.avg10 >= 0 and (.full | has("total")) and (.some.total | type == "number")'
}

test_stats_of_limits_and_memory() {
  differs crun "no such command"
  requires controller memory
  requires controller pids
  running '.linux.resources += {memory: {limit: 67108864}, pids: {limit: 99}}'
  run_ok events --stats c1
  assert_jq "$OUT" '.data.pids == {current: 1, limit: 99}'
  assert_jq "$OUT" '.data.memory.usage | .limit == 67108864 and .usage > 0'
  assert_jq "$OUT" '.data.memory.raw | has("anon") and has("file")'
}

test_stats_of_throttling() {
  differs crun "no such command"
  requires controller cpu
  running '.linux.resources.cpu = {quota: 5000, period: 50000}'
  has_throttled() { run_ok events --stats c1; jq -e '.data.cpu.throttling | .throttledPeriods > 0 and .periods > 0 and .throttledTime > 0' <<<"$OUT" >/dev/null; }
  eventually has_throttled
}

test_events_are_printed_at_the_interval_until_the_container_ends() {
  differs crun "no such command"
  differs runc "1.1 needs the memory controller, and does not always end"
  running
  watch --interval 100ms
  eventually has_stats 3
  run_ok kill c1 KILL
  wait "$EVENTS"
  jq -e . "$T/events" >/dev/null
  assert_eq "$(<"$T/events.err")" ''
}

watches() { readlink "/proc/$1/fd/"* 2>/dev/null | grep -q pidfd; } # PID
test_events_end_when_the_container_is_deleted() {
  differs runc,crun "no such command, or needs the memory controller"
  running
  watch --interval 1h
  eventually watches "$EVENTS"
  run_ok delete --force c1
  wait "$EVENTS"
  assert_eq "$(<"$T/events")" ''
}

test_an_oom_kill_is_an_event() {
  differs crun "no such command"
  requires controller memory
  # The first process lives on: sh waits for its child, which is killed.
  bundle c1 '.linux.resources.memory = {limit: 16777216, swap: 16777216} | tmpfs("/tmp"; []) |
    sh("while [ ! -e /tmp/go ]; do sleep 0.05; done; head -c 33554432 /dev/zero >/tmp/big; rm /tmp/big; sleep 1000")'
  run_ok run --detach --bundle "$B" c1
  watch --interval 1h
  pid_of c1
  eventually test -e "/proc/$PID/root/tmp"
  nap
  : >"/proc/$PID/root/tmp/go"
  eventually has_event oom
  assert_jq "$(grep oom "$T/events" | head -1)" '. == {type: "oom", id: "c1"}'
  run_ok delete --force c1
  wait "$EVENTS" || [ "$RUNTIME_NAME" = runc ]
}

test_events_of_a_paused_container() {
  differs crun "no such command"
  running
  run_ok pause c1
  run_ok events --stats c1
  assert_jq "$OUT" '.type == "stats"'
}

test_events_of_a_stopped_container() {
  differs crun "no such command"
  bundle c1 'args(["true"])'
  run_ok run --detach --bundle "$B" c1
  eventually has_status c1 stopped
  run_fails 1 'container with id c1 is not running' events --stats c1
  run_fails 1 'container with id c1 is not running' events c1
}

test_events_of_no_container() { differs crun "no such command"; run_fails 1 "$UNKNOWN" events --stats c1; }

test_an_interval_of_nothing_is_an_error() {
  differs crun "no such command"
  running
  rt events --interval 0s c1
  assert_eq "$RC" 1
  assert_match "$ERR" 'interval|greater than 0'
  rt events --interval 5 c1
  assert_eq "$RC" 1
}

test_a_reader_that_goes_ends_events() {
  differs runc,crun "goes on"
  running
  "$RUNTIME" --root "$ROOT" events --interval 50ms c1 2>"$T/err" | head -n 1 >/dev/null || :
  assert_match "$(<"$T/err")" 'standard output'
}
