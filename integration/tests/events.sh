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

# ---- what happens to a container ----
follow() { # [ARG...]: events in the background, which prints all that happens; its output in $T/events
  "$RUNTIME" --root "$ROOT" events "$@" >"$T/events" 2>"$T/events.err" &
  EVENTS=$!
  until follows "$EVENTS"; do [ ! -s "$T/events.err" ] || fail "$(<"$T/events.err")"; nap; done
}
follows() { readlink "/proc/$1/fd/"* 2>/dev/null | grep -q inotify && [ -e "$ROOT/@events" ]; } # PID
types() { jq -r .type "$T/events" | tr '\n' ' '; }
has_types() { [ "$(types)" = "$1 " ]; }
event() { jq -c --arg type "$1" 'select(.type == $type)' "$T/events" | head -1; }

test_all_that_happens_is_told_from_the_past_on() {
  differs runc,crun "prints what is used, and kills for memory"
  bundle c1 'sh("trap \"exit 7\" TERM; while :; do sleep 0.1; done")'
  run_ok create --bundle "$B" c1
  run_ok start c1
  run_ok pause c1
  run_ok resume c1
  rt exec c1 sh -c 'exit 3'
  assert_eq "$RC" 3
  follow --since 1h c1
  eventually has_types 'create start pause resume exec exec-exit'
  run_ok pause c1
  run_ok resume c1
  run_ok exec c1 true
  run_ok kill c1 TERM
  eventually has_types 'create start pause resume exec exec-exit pause resume exec exec-exit exit'
  run_ok delete c1
  wait "$EVENTS"
  has_types 'create start pause resume exec exec-exit pause resume exec exec-exit exit delete' || fail "$(types)"
  assert_eq "$(<"$T/events.err")" ''
  assert_jq "$(jq -s . "$T/events")" 'all(.[]; .id == "c1" and (.time | fromdateiso8601? // (.[:19] + "Z" | fromdateiso8601)) > 1700000000)'
  assert_jq "$(jq -s 'map(.time)' "$T/events")" '. == sort'
  assert_jq "$(event exec)" '.command == "sh" and (.pid | type == "number")'
  assert_jq "$(event exec-exit)" '.status == 3 and has("signal") == false'
  assert_absent "$ROOT/@events"
}

# ended_with FILTER: what the event of the end has. Before 6.15 the kernel tells nobody but the parent.
ended_with() {
  if [ "$(printf '6.15\n%s\n' "$(uname -r)" | sort -V | head -n 1)" = 6.15 ]; then
    assert_jq "$(event exit)" "$1"
  else
    assert_jq "$(event exit)" '.pid > 0 and has("status") == false'
  fi
}
test_an_end_has_its_status_or_its_signal() {
  differs runc,crun "prints what is used, and kills for memory"
  bundle c1 'sh("sleep 1000; exit 9")'
  run_ok run --detach --bundle "$B" c1
  follow --since 0s c1
  run_ok kill c1 KILL
  eventually has_types exit
  ended_with '.status == 137 and .signal == 9 and .pid > 0'
  run_ok delete c1
  wait "$EVENTS"
  bundle c2 'args(["sh", "-c", "sleep 0.5; exit 9"])'
  run_ok create --bundle "$B" c2
  follow --since 0 c2
  run_ok start c2
  eventually has_types 'create start exit'
  ended_with '.status == 9 and has("signal") == false'
  run_ok delete c2
  wait "$EVENTS"
}

test_the_end_of_a_detached_process_of_exec() {
  differs runc,crun "prints what is used, and kills for memory"
  bundle c1 'args(["sleep", "1000"])'
  run_ok run --detach --bundle "$B" c1
  run_ok exec --detach c1 sh -c 'while [ ! -e /proc/1/root/dev/shm/go ]; do sleep 0.1; done; exit 5'
  follow --since 1h c1
  eventually has_types 'create start exec'
  assert_jq "$(event exec)" '.detached'
  pid_of c1
  : >"/proc/$PID/root/dev/shm/go"
  eventually has_types 'create start exec exec-exit'
  [ "$(event exec | jq .pid)" = "$(event exec-exit | jq .pid)" ] || fail "$(<"$T/events")"
  jq -e 'select(.type == "exec-exit") | (.status // 5) == 5' "$T/events" >/dev/null || fail "$(<"$T/events")"
  kill -TERM "$EVENTS"
  wait "$EVENTS" || assert_eq $? 143
  assert_absent "$ROOT/@events"
}

test_updates_are_told() {
  differs runc,crun "prints what is used, and kills for memory"
  requires controller pids
  bundle c1 'args(["sleep", "1000"])'
  run_ok run --detach --bundle "$B" c1
  run_fails 1 'pids' update --unified pids.max=no c1
  run_ok update --pids-limit 50 c1
  follow --since 1h c1
  eventually has_types 'create start update'
  run_ok update --pids-limit 60 c1
  eventually has_types 'create start update update'
}

test_kills_for_memory_are_told_with_their_numbers() {
  differs runc,crun "prints what is used, and kills for memory"
  requires controller memory
  bundle c1 '.linux.resources.memory = {limit: 16777216, swap: 16777216} | tmpfs("/tmp"; []) |
    sh("while :; do while [ ! -e /tmp/go ]; do sleep 0.05; done; rm /tmp/go; (echo 1000 >/proc/self/oom_score_adj; exec head -c 33554432 /dev/zero >/tmp/big); : >/tmp/big; done")'
  run_ok run --detach --bundle "$B" c1
  pid_of c1
  eventually test -e "/proc/$PID/root/tmp"
  : >"/proc/$PID/root/tmp/go"
  eventually has_counted memory.events oom_kill
  follow --since 1h c1
  eventually has_event oom
  assert_jq "$(event oom)" '.oom_kill >= 1 and has("oom") and has("time") == false'
  : >"/proc/$PID/root/tmp/go"
  has_second() { jq -es 'any(.[]; .type == "oom" and .oom_kill >= 2 and has("time"))' "$T/events" >/dev/null; }
  eventually has_second
}

test_a_shortage_in_which_nobody_can_be_killed_is_told() {
  differs runc,crun "prints what is used, and kills for memory"
  requires controller memory
  bundle c1 '.linux.resources.memory = {limit: 16777216, swap: 16777216} | tmpfs("/tmp"; []) | .process.oomScoreAdj = -1000 |
    sh("while [ ! -e /tmp/go ]; do sleep 0.05; done; head -c 33554432 /dev/zero >/tmp/big; : >/tmp/big; sleep 1000")'
  run_ok run --detach --bundle "$B" c1
  pid_of c1
  eventually test -e "/proc/$PID/root/tmp"
  follow --since 1h c1
  : >"/proc/$PID/root/tmp/go"
  eventually has_event oom
  assert_jq "$(event oom)" '.oom >= 1 and .oom_kill == 0 and has("time")'
  assert_status c1 running
}

test_a_kill_that_ends_a_container_of_run_is_not_missed() {
  differs runc,crun "prints what is used, and kills for memory"
  requires controller memory
  bundle c1 '.linux.resources.memory = {limit: 16777216, swap: 16777216} | tmpfs("/tmp"; []) |
    sh("sleep 0.5; echo 1000 >/proc/self/oom_score_adj; exec head -c 33554432 /dev/zero >/tmp/big")'
  follow --all
  rt run --bundle "$B" c1
  assert_eq "$RC" 137
  eventually has_event delete
  kill "$EVENTS"; wait "$EVENTS" || :
  has_types 'create start oom exit delete' || fail "$(<"$T/events")"
  assert_jq "$(event oom)" '.oom_kill == 1'
  assert_jq "$(event exit)" '.status == 137 and .signal == 9'
}

test_a_kill_is_told_before_the_end_also_if_the_cgroup_is_gone() {
  differs runc,crun "prints what is used, and kills for memory"
  requires controller memory
  follow --all
  # It looks when the cgroup has been removed, and not yet the record.
  bundle c1 --arg events "$EVENTS" '.linux.resources.memory = {limit: 16777216, swap: 16777216} | tmpfs("/tmp"; []) |
    .hooks.poststop = [{path: "/bin/sh", args: ["sh", "-c", "kill -CONT \($events); sleep 0.2"]}] |
    sh("sleep 1; echo 1000 >/proc/self/oom_score_adj; exec head -c 33554432 /dev/zero >/tmp/big")'
  "$RUNTIME" --root "$ROOT" run --bundle "$B" c1 & local run=$!
  eventually has_event start
  kill -STOP "$EVENTS"
  wait "$run" || assert_eq $? 137
  eventually has_event delete
  kill "$EVENTS"; wait "$EVENTS" || :
  has_types 'create start oom exit delete' || fail "$(<"$T/events")"
}

test_all_containers_are_told_of() {
  differs runc,crun "prints what is used, and kills for memory"
  local i
  bundle c1 'args(["sleep", "1000"])'
  run_ok run --detach --bundle "$B" c1
  follow # no id: all of them
  for ((i = 0; i < 10; i++)); do
    bundle "s$i" 'sh("exit 4")'
    rt run --bundle "$B" "s$i"
    assert_eq "$RC" 4
  done
  run_ok pause c1
  has_all() { [ "$(grep -c '"type":"delete"' "$T/events")" = 10 ] && has_event pause; }
  eventually has_all
  for ((i = 0; i < 10; i++)); do
    assert_eq "$(jq -r --arg id "s$i" 'select(.id == $id) | .type' "$T/events" | tr '\n' ' ')" 'create start exit delete '
    assert_jq "$(jq -s . "$T/events")" 'any(.[]; .id == $id and .type == "exit" and .status == 4 and has("time"))' --arg id "s$i"
  done
  assert_eq "$(jq -r 'select(.id == "c1") | .type' "$T/events")" pause
  kill -INT "$EVENTS" && wait "$EVENTS" || :
  run_ok events --stats --all
  assert_jq "$OUT" '.type == "stats" and .id == "c1"'
}

test_nothing_is_missed_between_past_and_present() {
  differs runc,crun "prints what is used, and kills for memory"
  local i
  bundle c1 'args(["sleep", "1000"])'
  run_ok run --detach --bundle "$B" c1
  (for ((i = 0; i < 60; i++)); do "$RUNTIME" --root "$ROOT" pause c1; "$RUNTIME" --root "$ROOT" resume c1; done) &
  local writer=$!
  # Readers that begin in the midst of it have all, once, in order.
  for ((i = 0; i < 8; i++)); do
    "$RUNTIME" --root "$ROOT" events --since 1h c1 >"$T/events.$i" 2>"$T/events.err" &
    nap
  done
  wait "$writer"
  run_ok delete --force c1
  for ((i = 0; i < 8; i++)); do
    is_whole() { [ "$(tail -1 "$T/events.$i" | jq -r .type)" = delete ]; }
    eventually is_whole
    assert_eq "$(jq -r .type "$T/events.$i" | tr '\n' ' ')" "create start $(for ((j = 0; j < 60; j++)); do printf 'pause resume '; done)exit delete "
  done
}

test_a_journal_has_a_limit() {
  differs runc,crun "prints what is used, and kills for memory"
  bundle c1 'args(["sleep", "1000"])'
  run_ok run --detach --bundle "$B" c1
  run_ok pause c1; run_ok resume c1
  follow --since 1h c1
  eventually has_types 'create start pause resume'
  # As of years.
  for ((i = 0; i < 9000; i++)); do echo '{"type":"update","id":"c1","time":"2026-03-01T12:00:00.000000000Z"}'; done >>"$ROOT/c1/events"
  run_ok pause c1
  [ "$(stat -c %b "$ROOT/c1/events")" -lt 600 ] || fail "$(stat "$ROOT/c1/events")"
  has_last() { [ "$(tail -1 "$T/events" | jq -r .type)" = pause ]; }
  eventually has_last
  jq -e . "$T/events" >/dev/null
  kill "$EVENTS"; wait "$EVENTS" || :
  follow --since 1h c1
  eventually has_last
  jq -e . "$T/events" >/dev/null
}

test_words_of_times_are_checked() {
  differs runc,crun "no such options"
  running
  wrong() { rt events "${@:2}"; assert_eq "$RC" 1; assert_match "$ERR" "$1"; }
  wrong "since.*not a time like" --since yesterday c1
  wrong "cannot be used with" --since 1h --stats c1
  wrong "cannot be used with" --all c1
  run_fails 1 "$UNKNOWN" events --since 1h c2
  assert_absent "$ROOT/@events"
}

# ---- pressure ----
has_pressure() { cat /proc/pressure/cpu >/dev/null 2>&1; }

test_pressure_is_told_with_its_averages() {
  differs runc,crun "no such option"
  has_pressure || skip "this kernel does not account pressure"
  # More that want to run than there are processors.
  bundle c1 'sh("for i in $(seq 64); do while :; do :; done & done; wait")'
  run_ok run --detach --bundle "$B" c1
  follow --pressure cpu:some:100ms/2s --pressure memory:full:9s/10s c1
  eventually has_event pressure
  assert_jq "$(event pressure)" '.id == "c1" and .resource == "cpu" and .share == "some" and .stall_us == 100000 and .window_us == 2000000'
  assert_jq "$(event pressure)" '(.avg10, .avg60, .avg300 | type == "number") and .total > 100000 and has("time")'
  run_ok delete --force c1
  wait "$EVENTS"
  assert_eq "$(jq -r .type "$T/events" | sort -u | tr '\n' ' ')" 'delete exit pressure '
  assert_eq "$(jq -r 'select(.type == "pressure").resource' "$T/events" | sort -u)" cpu
  # A window has one at most. Without CAP_SYS_RESOURCE it is of whole two seconds.
  [ "$(grep -c pressure "$T/events")" -lt 20 ] || fail "$(<"$T/events")"
}

# A window that is no multiple of 2 s takes CAP_SYS_RESOURCE, which not every machine gives to root.
test_pressure_of_memory_within_a_second() {
  differs runc,crun "no such option"
  disposable
  has_pressure || skip "this kernel does not account pressure"
  requires controller memory
  bundle c1 'sh("dd if=/dev/zero of=/dev/shm/fill bs=1M count=40; sleep 100") | .linux.resources.unified = {"memory.high": "8388608"}'
  run_ok run -d --bundle "$B" c1
  follow --pressure memory:some:150ms/1s c1
  eventually has_event pressure
  assert_jq "$(event pressure)" '.resource == "memory" and .share == "some" and .stall_us == 150000 and .window_us == 1000000'
  run_ok delete --force c1
  wait "$EVENTS"
}

test_pressure_where_the_kernel_accounts_none() {
  differs runc,crun "no such option"
  ! has_pressure || skip "this kernel accounts pressure"
  bundle c1 'args(["sleep", "1000"])'
  run_ok run --detach --bundle "$B" c1
  run_fails 1 '^knarr: events c1: --pressure: memory.pressure is not there: the kernel does not account pressure' events --pressure memory:some:150ms/1s c1
  assert_absent "$ROOT/@events"
}

test_words_of_pressure_are_checked() {
  differs runc,crun "no such option"
  local word
  running
  for word in memory disk:some:150ms/1s memory:most:150ms/1s memory:some:150/1s memory:some:2s/1s memory:some:1ms/60s; do
    rt events --pressure "$word" c1
    assert_eq "$RC" 1 "$word"
    assert_match "$ERR" "invalid value '$word' for '--pressure" "$word"
  done
}

# ---- Prometheus ----
is_page() { # TEXT: each line is of the text form, each metric stands together below its help and type, no series twice
  awk '
    /^# HELP [a-z_]+ ./ { if (seen[$3]++) bad("twice: " $0); name = $3; next }
    /^# TYPE [a-z_]+ (counter|gauge)$/ { if ($3 != name) bad("not below its help: " $0); next }
    /^[a-z_]+\{([a-z]+="([^"\\]|\\["\\n])*",?)*\} [0-9.]+$/ {
      split($0, part, "{"); if (part[1] != name) bad("not below its type: " $0)
      key = $0; sub(/ [0-9.]+$/, "", key); if (seen[key]++) bad("twice: " $0); next
    }
    { bad("no line of the form: " $0) }
    function bad(why) { print why; failed = 1; exit 1 }
    END { exit failed }' <<<"$1" || fail "$1"
  # Where it is, the reader of Prometheus itself for Python.
  ! python3 -c 'import prometheus_client' 2>/dev/null ||
    python3 -c 'import sys; from prometheus_client.parser import text_string_to_metric_families as f; list(f(sys.stdin.read()))' <<<"$1" || fail "$1"
}

test_prometheus_reads_what_containers_use() {
  differs runc,crun "no such option"
  local odd=$'q"\\ \nx'
  running
  mkdir "$T/$odd"
  bundle c2 'args(["true"])'
  cp -al "$B/." "$T/$odd"
  run_ok run --keep --bundle "$T/$odd" c2
  run_ok events --format prometheus c1
  is_page "$OUT"
  assert_line "$OUT" '# TYPE knarr_container_cpu_seconds_total counter'
  assert_match "$OUT" $'\nknarr_container_cpu_seconds_total\\{id="c1"\\} [0-9]+'
  assert_line "$OUT" 'knarr_container_status{id="c1",status="running"} 1'
  assert_no_match "$OUT" c2
  run_ok events --format prometheus
  is_page "$OUT"
  assert_line "$OUT" 'knarr_container_status{id="c2",status="stopped"} 1'
  assert_line "$OUT" 'knarr_container_info{id="c2",bundle="'"$T"'/q\"\\ \nx"} 1'
  [ "$(grep -c 'knarr_container_start_time_seconds{' <<<"$OUT")" = 2 ] || fail "$OUT"
  run_ok events --stats --all --format prometheus
  is_page "$OUT"
}

test_prometheus_has_limits_and_kills() {
  differs runc,crun "no such option"
  requires controller memory
  requires controller pids
  running '.linux.resources += {memory: {limit: 67108864}, pids: {limit: 99}}'
  run_ok events --format prometheus c1
  is_page "$OUT"
  assert_line "$OUT" 'knarr_container_memory_limit_bytes{id="c1"} 67108864'
  assert_line "$OUT" 'knarr_container_pids_limit{id="c1"} 99'
  assert_line "$OUT" 'knarr_container_memory_oom_kills_total{id="c1"} 0'
}

test_prometheus_is_printed_once() {
  differs runc,crun "no such option"
  running
  run_fails 1 "$UNKNOWN" events --format prometheus c3
  for option in '--since 1h' '--interval 1s' '--pressure cpu:some:1s/2s'; do
    # shellcheck disable=SC2086 # two words
    run_fails 1 "printed once, ${option% *} is of events" events --format prometheus $option c1
  done
  rt events --format xml c1
  assert_eq "$RC" 1
  run_ok kill c1 KILL
  eventually has_status c1 stopped
  run_fails 1 'container with id c1 is not running' events --format prometheus c1
}
