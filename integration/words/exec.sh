# Words of the cases about exec.
# shellcheck shell=bash disable=SC2016,SC2034 # scripts are for the shell in the container; the test files read the variables

TTY=$STAGE/helpers/tty

# running [JQ-OPTION...] [FILTER]: a container c1 that sleeps
running() {
  if [ $# -gt 0 ]; then bundle c1 "${@:1:$#-1}" "args([\"sleep\", \"1000\"]) | ${*: -1}"; else bundle c1 'args(["sleep", "1000"])'; fi
  run_ok run --detach --bundle "$B" c1
}
# within [OPTION...] SCRIPT: run SCRIPT in c1; it exits 0; OUT is what it wrote
within() { run_ok exec "${@:1:$#-1}" c1 sh -c "${*: -1}"; }
# process FILTER: a file $T/process.json: the process of the default config, then FILTER
process() { jq "$JQ_WORDS"' .process | .terminal = false | '"$1" "$WORK/base.json" >"$T/process.json"; }
# exec_fails REGEX ARG...
exec_fails() {
  local regex=$1 status=255
  shift
  if [ "$RUNTIME_NAME" = crun ]; then # 1 or 255
    rt exec "$@"
    status=$RC
    [ "$status" != 0 ] || fail "$(said exec "$@")"
  fi
  run_fails "$status" "$regex" exec "$@"
}
