# What the commands of each container cost may fall, and rise only on purpose: system calls and page faults, which are the same on
# each machine but for what a kernel has or has not, and how the binary lies in the page cache. The figures are those of the release build with some room; docs/performance.md
# says what they stand for.
# shellcheck shell=bash

budget() { # CALLS FAULTS FAULTS-WITH-GLIBC ARG...: the arguments have %i in the id
  [ "$RUNTIME_NAME" = knarr ] || skip "what knarr costs"
  requires native
  [ "$(stat -c %s "$RUNTIME")" -lt 20000000 ] || skip "not a release build"
  local calls=$1 faults=$2 took
  ! grep -q GLIBC_TUNABLES "$RUNTIME" || faults=$3 # more code, and not in the order of use
  shift 3
  took=$("$STAGE/helpers/cost" "$RUNTIME" --root "$ROOT" "$@")
  [ "${took% *}" -le "$calls" ] || fail "${took% *} system calls, $calls are allowed"
  [ "${took#* }" -le "$faults" ] || fail "${took#* } page faults, $faults are allowed"
}

test_of_run() {
  bundle c1 'args(["true"])'
  budget 620 275 330 run --bundle "$B" 'r%i'
}

test_of_create_and_state_and_exec() {
  bundle c1 'args(["sleep", "100"])'
  run_ok run --detach --bundle "$B" c1
  budget 70 80 105 state c1
  budget 330 225 290 exec c1 true
}
