# Where something is short, a command works or says in one line what it could not have, and leaves nothing: descriptors, memory, stack,
# processes, room in the state folder.
# shellcheck shell=bash disable=SC2016
CASE_LIMIT=120

WRONG=''
# scarce WHAT LIMIT...: run, create and exec with `ulimit LIMIT...`: each works or fails well. WORKED is whether run did.
scarce() {
  local what=$1 real=$RUNTIME words
  shift
  printf '#!/bin/bash\nulimit -S %s\nexec "%s" "$@"\n' "$*" "$real" >"$T/scarce"
  chmod 755 "$T/scarce"
  WORKED=''
  run_ok run --detach --bundle "$T/c2" c2
  for words in "run --bundle $T/c1 c1" "create --bundle $T/c1 c1" 'exec c2 true' 'state c2' 'ps --format json c2' 'delete --force c2'; do
    RUNTIME=$T/scarce
    # shellcheck disable=SC2086 # words
    rt $words
    RUNTIME=$real
    [[ $words != run* ]] || SAID="$RC: $ERR"
    [[ $RC != 0 || $words != run* ]] || WORKED=1
    [ "$RC" = 0 ] || { [ "$RC" -le 2 ] || [ "$RC" = 255 ]; } && [ "$(grep -c . <<<"$ERR")" -le 1 ] || WRONG+="$what: $words: status $RC: $ERR"$'\n'
    [[ $words != create* ]] || [ "$RC" != 0 ] || run_ok delete --force c1
    [[ $words == *' c2' || $words == exec* ]] || { [ ! -e "$ROOT/c1" ] && [ ! -e "$C" ]; } || { WRONG+="$what: $words: left something: $ERR"$'\n'; run_ok delete --force c1; }
  done
  run_ok delete --force c2
}
bundles() { bundle c2 'args(["sleep", "1000"])'; bundle c1 'sh("echo ran") | del(.process.rlimits)'; }
right() { [ -z "$WRONG" ] || fail "$WRONG"; }

test_control_limits_that_are_high_enough() {
  bundles
  scarce descriptors -n 256
  [ -n "$WORKED" ] || fail "it does not run: $SAID"
  right
}

test_descriptors() {
  differs runc,crun "not looked at"
  local n
  bundles
  for n in 40 30 25 20 18 16 15 14 13 12 11 10 9 8 7 6 5 4; do scarce "$n descriptors" -n $n; done
  [ -z "$WORKED" ] || fail 'four are enough?'
  right
}

test_memory() {
  differs runc,crun "not looked at"
  local kb
  bundles
  # Beside the program itself: one that cannot be mapped is not executed.
  for kb in 30000 10000 6000 4000 3000 2000; do scarce "$kb KiB of memory" -v $((kb + $(stat -c %s "$RUNTIME") / 1024)); done
  right
}

test_stack() {
  differs runc,crun "not looked at"
  local kb
  bundles
  for kb in 1024 512 256 128 64 48 32 24; do
    scarce "$kb KiB of stack" -s $kb
    [ -n "$WORKED" ] || WRONG+="$kb KiB of stack: it does not run: $SAID"$'\n'
  done
  in_container 'echo' # the words of lib.sh, without a limit
  right
}

test_the_stack_of_the_process_is_the_callers() {
  bundle c1 'args(["sh", "-c", "ulimit -s; ulimit -Hs"])'
  (ulimit -Ss 300; ulimit -Hs 512; run_ok run --bundle "$B" c1; assert_eq "$OUT" $'300\n512')
}

test_a_full_state_folder() {
  differs runc,crun "not looked at"
  local kb
  bundles
  mkdir "$T/small"
  for kb in 4 8 12 16 20 24; do
    mount -t tmpfs -o size=${kb}k small "$T/small"
    ROOT=$T/small/state
    rt run --bundle "$T/c1" c1
    [ "$RC" = 0 ] || { [ "$RC" = 1 ] && [ "$(wc -l <<<"$ERR")" = 1 ] && [[ $ERR == *ENOSPC* ]]; } || WRONG+="$kb KiB: status $RC: $ERR"$'\n'
    [ ! -e "$ROOT/c1" ] && [ ! -e "$C" ] || WRONG+="$kb KiB: left something: $ERR"$'\n'
    umount "$T/small"
  done
  ROOT=$T/state
  right
}

test_a_read_only_state_folder() {
  differs runc,crun "not looked at"
  bundles
  mkdir "$T/ro"
  mount -t tmpfs ro "$T/ro"
  ROOT=$T/ro/state
  run_ok run --detach --bundle "$T/c2" c2
  mount -o remount,ro "$T/ro"
  run_fails 1 'EROFS' run --bundle "$T/c1" c1
  run_ok state c2
  run_ok exec c2 true
  rt delete --force c2 # what it can
  assert_match "$ERR" 'EROFS'
  assert_absent "$V2$BASE/c2"
  mount -o remount,rw "$T/ro"
  run_ok delete --force c2
  umount "$T/ro"
  ROOT=$T/state
}

test_processes() {
  requires controller pids
  differs runc,crun "not looked at"
  local n
  bundles
  mkdir "$V2$BASE/few"
  printf '#!/bin/bash\necho $$ >"%s/cgroup.procs"\nexec "%s" "$@"\n' "$V2$BASE/few" "$RUNTIME" >"$T/scarce"
  chmod 755 "$T/scarce"
  for n in 1 2 3 4; do
    echo $n >"$V2$BASE/few/pids.max"
    RUNTIME=$T/scarce rt run --bundle "$T/c1" c1
    [ "$RC" = 0 ] || { [ "$RC" = 1 ] && [ "$(wc -l <<<"$ERR")" = 1 ]; } || WRONG+="$n processes: status $RC: $ERR"$'\n'
    [ ! -e "$ROOT/c1" ] && [ ! -e "$C" ] || WRONG+="$n processes: left something: $ERR"$'\n'
  done
  rmdir "$V2$BASE/few"
  right
}

# The runtime itself is killed for memory, with init or without it: the next command puts away what it left.
test_memory_of_the_cgroup_that_the_command_is_in() {
  requires controller memory
  differs runc,crun "not looked at"
  local kb words real=$RUNTIME worked='' killed=''
  bundles
  run_ok run --detach --bundle "$T/c2" c2
  mkdir "$V2$BASE/few"
  printf '#!/bin/bash\necho $$ >"%s/cgroup.procs"\nexec "%s" "$@"\n' "$V2$BASE/few" "$RUNTIME" >"$T/scarce"
  chmod 755 "$T/scarce"
  for kb in 64 256 512 768 1024 1280 1536 1792 2048 2560 3072 4096 8192 65536; do
    for words in "run --bundle $T/c1 c1" "create --bundle $T/c1 c1" 'exec c2 true' 'state c2' 'ps --format json c2'; do
      echo max >"$V2$BASE/few/memory.max"
      echo $((kb * 1024)) >"$V2$BASE/few/memory.max"
      RUNTIME=$T/scarce
      # shellcheck disable=SC2086 # words
      rt $words
      RUNTIME=$real
      case $RC in
        0) worked+=" $kb" ;;
        137) killed=1 ;;
        *) { [ "$RC" -le 2 ] || [ "$RC" = 255 ]; } && [ "$(grep -c . <<<"$ERR")" = 1 ] || WRONG+="$kb KiB: $words: status $RC: $ERR"$'\n' ;;
      esac
      [ ! -e "$ROOT/c1" ] || run_ok delete --force c1
      [ ! -e "$C" ] || WRONG+="$kb KiB: $words: status $RC: left a cgroup: $ERR"$'\n'
    done
    assert_status c2 running
  done
  rmdir "$V2$BASE/few"
  run_ok delete --force c2
  # The controls: the most is enough for each, the least for none.
  [[ $worked == *' 65536 65536 65536 65536 65536' && $worked != *' 64 '* && $killed ]] || fail "worked:$worked, killed: $killed"
  right
}

test_hundreds_of_commands_at_once() {
  differs runc,crun "not looked at"
  local i n rc
  bundle c1 'args(["sleep", "1000"]) | del(.linux.cgroupsPath)'
  for i in {1..50}; do
    jq --arg c "$BASE/m$i" '.linux.cgroupsPath = $c' "$B/config.json" >"$B/config.$i.json"
  done
  for n in {1..10}; do
    for i in {1..50}; do
      case $(((n * 7 + i) % 6)) in
        0) set -- run --detach --config "$B/config.$i.json" --bundle "$B" "m$i" ;;
        1) set -- create --config "$B/config.$i.json" --bundle "$B" "m$i" ;;
        2) set -- start "m$i" ;;
        3) set -- exec "m$i" true ;;
        4) set -- kill "m$i" KILL ;;
        5) set -- delete --force "m$i" ;;
      esac
      { rc=0; "$RUNTIME" --root "$ROOT" "$@" >>"$T/many.out" 2>>"$T/many.err" </dev/null || rc=$?; echo $rc >>"$T/many.done"; } &
    done
  done
  wait
  [ "$(wc -l <"$T/many.done")" = 500 ] || fail "$(wc -l <"$T/many.done") of 500 ended by themselves"
  # 0, an error of its own, or 137 of a process of exec that `kill` has ended with its container; no other signal.
  ! grep -vxE '0|1|2|137|255' "$T/many.done" || fail 'a command was ended'
  grep -qx 0 "$T/many.done" || fail 'none has succeeded'
  ! grep -iE 'panic|overflow|EMFILE|EBADF|internal' "$T/many.err" || fail 'something broke'
  for i in {1..50}; do run_ok delete --force "m$i"; done
}
