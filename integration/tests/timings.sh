# --timings: where the time of a command goes.
# shellcheck shell=bash

own() { differs runc,crun "no such option"; }

test_steps_hooks_and_waits_with_start_and_duration() {
  own
  bundle c1 'args(["true"]) | hook("createRuntime"; "sleep 0.3") | hook("poststart"; "true")'
  FLAGS=(--timings "$T/timings")
  run_ok run --bundle "$B" c1
  local lines
  lines=$(jq -s . "$T/timings")
  assert_jq "$lines" 'length > 20 and all(.name != "" and (.start | startswith("20")) and .startTimeUnixNano > 1e18)'
  assert_jq "$lines" 'any(.name == "the container: pivot_root" and .durationNano > 0)'
  assert_jq "$lines" 'any((.name | startswith("hooks.createRuntime[0] /bin/sh")) and .durationNano > 3e8 and .durationNano < 2e9)'
  assert_jq "$lines" 'any(.name | startswith("hooks.poststart[0]"))'
  assert_jq "$lines" '[.[].startTimeUnixNano] | . == sort'
}

test_a_table() {
  own
  bundle c1 'args(["true"])'
  FLAGS=(--timings -)
  rt run --bundle "$B" c1
  assert_eq "$RC" 0
  assert_match "$ERR" '[0-9]+\.[0-9]{3} ms +[0-9]+\.[0-9]{3} ms  the container: (pivot_root|chroot)'
}

test_of_exec_with_the_trace() {
  own
  bundle c1 'args(["sleep", "100"])'
  run_ok run -d --bundle "$B" c1
  export TRACEPARENT=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
  FLAGS=(--timings "$T/timings")
  run_ok exec c1 true
  assert_jq "$(jq -s . "$T/timings")" 'length > 3 and all(.traceId == "0af7651916cd43dd8448eb211c80319c" and .parentSpanId == "b7ad6b7169203331")'
}

test_a_command_that_fails_writes_them_too() {
  own
  bundle c1 'args(["true"]) | hook("createRuntime"; "exit 3")'
  FLAGS=(--timings "$T/timings")
  rt run --bundle "$B" c1
  assert_eq "$RC" 1
  assert_jq "$(jq -s . "$T/timings")" 'any(.name | startswith("hooks.createRuntime[0]"))'
}

test_a_file_that_cannot_be_written() {
  own
  bundle c1 'args(["true"])'
  FLAGS=(--timings /none/such)
  rt run --bundle "$B" c1
  assert_eq "$RC" 0
  assert_match "$ERR" 'warning: --timings /none/such: .*ENOENT'
}
