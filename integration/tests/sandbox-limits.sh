# run --host-root: what a sandbox may use, and for how long.
# shellcheck shell=bash

# shellcheck source=../words/sandbox.sh
. "$STAGE/words/sandbox.sh"

test_memory() {
  requires controller memory
  only_knarr
  box --memory 32M box -- sh -c 'head -c 64m /dev/zero | tail -c 64m | wc -c'
  assert_no_match "$OUT" 67108864
  box --memory 32M box -- sh -c 'cat /sys/fs/cgroup/memory.max'
  assert_eq "$OUT" 33554432 "$ERR"
}

test_processes() {
  requires controller pids
  only_knarr
  box --pids 20 --timeout 20s box -- sh -c 'f() { f | f & }; f 2>/dev/null; sleep 0.5; cat /sys/fs/cgroup/pids.max'
  assert_match "$OUT$ERR" '20|fork'
}

test_processors() {
  requires controller cpu
  only_knarr
  box --cpus 0.5 box -- cat /sys/fs/cgroup/cpu.max
  assert_eq "$OUT" '50000 100000' "$ERR"
}

test_what_cannot_be_limited_is_an_error() {
  only_knarr
  rt --cgroup-manager disabled run --host-root --memory 32M box -- true
  assert_eq "$RC" 1
  assert_match "$ERR" 'memory'
  as_user --pids 20 box -- true
  [ "$MODE" = vm ] || { assert_eq "$RC" 1; assert_match "$ERR" 'pids|cgroup'; }
  local option
  for option in '--memory 1X' '--pids 0' '--cpus none' '--cpus 0' '--timeout 5'; do
    # shellcheck disable=SC2086
    box $option box -- true
    assert_eq "$RC" 1
    assert_match "$ERR" "${option% *}"
  done
}

of_timeout() {
  local begin=$SECONDS
  "$1" --timeout 300ms box -- sleep 100
  assert_eq "$RC" 124 "$ERR"
  [ $((SECONDS - begin)) -lt 9 ] || fail 'it took too long'
  "$1" --timeout 20s box -- sh -c 'exit 7'
  assert_eq "$RC" 7 "$ERR"
  "$1" --timeout 300ms box -- sh -c 'trap "echo ended; exit 3" TERM; sleep 100 & wait'
  assert_eq "$RC $OUT" '124 ended' "$ERR"
}
test_it_ends_in_time() { both of_timeout; }
