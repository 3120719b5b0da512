# TRACEPARENT and TRACESTATE: in the records of the log, and by annotation in the environment of hooks.
# shellcheck shell=bash

own() { differs runc,crun "no such annotation"; }
PARENT=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01

test_each_record_has_the_trace() {
  own
  export TRACEPARENT=$PARENT TRACESTATE=vendor=1
  FLAGS=(--log "$T/log" --log-format json)
  rt state none
  assert_jq "$(<"$T/log")" '.level == "error" and .traceparent == $p and .tracestate == "vendor=1"' --arg p "$PARENT"
  rm "$T/log"
  unset TRACEPARENT
  rt state none
  assert_jq "$(<"$T/log")" 'has("traceparent") or has("tracestate") | not'
}

test_what_is_no_trace_is_not_passed_on() {
  own
  export TRACEPARENT=$'x"\nlevel=' TRACESTATE=vendor=1
  FLAGS=(--log "$T/log" --log-format json)
  rt state none
  assert_jq "$(<"$T/log")" 'has("traceparent") or has("tracestate") | not'
}

test_hooks_are_told_if_that_is_asked_for() {
  own
  export TRACEPARENT=$PARENT
  local say='echo $TRACEPARENT >>"$OUT_FILE"'
  hooked() { # FILTER
    rm -rf "$T/c1" "$T/out"
    bundle c1 --arg s "$say" --arg out "$T/out" "args([\"true\"]) | .hooks.createRuntime = [{path: \"/bin/sh\", args: [\"sh\", \"-c\", \$s], env: [\"OUT_FILE=\" + \$out]}] | .hooks.createContainer = .hooks.createRuntime | $1"
    run_ok run --bundle "$B" c1
  }
  hooked .
  assert_eq "$(<"$T/out")" ''
  hooked '.annotations = {"org.knarr.trace-hooks": "true"}'
  assert_eq "$(<"$T/out")" "$PARENT"$'\n'"$PARENT"
}

test_the_process_is_not_told() {
  own
  export TRACEPARENT=$PARENT
  in_container 'echo "[$TRACEPARENT]"' '.annotations = {"org.knarr.trace-hooks": "true"}'
  assert_eq "$OUT" '[]'
}
