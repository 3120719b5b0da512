# Somebody who shares the root filesystem exchanges names in it, all the time, while containers are made of it: what is made is what was
# asked for, or nothing. RACE_SECONDS says for how long each is tried, 3 by default.
# shellcheck shell=bash disable=SC2016
CASE_LIMIT=$((90 + ${RACE_SECONDS:-3}))

# race NAME SCRIPT [FILTER]: /NAME and /NAME.other of the root filesystem are exchanged while containers that run SCRIPT are made. Each
# that starts appends what it says to $T/said. STARTED and TRIED are how many.
race() {
  requires uml
  differs runc,crun "not looked at"
  local deadline exchange
  rm -rf "$B/rootfs" && cp -a "$T/shared" "$B/rootfs"
  "$STAGE/helpers/exchange" "$B/rootfs/$1" "$B/rootfs/$1.other" &
  exchange=$!
  STARTED=0 TRIED=0
  deadline=$((SECONDS + ${RACE_SECONDS:-3}))
  while [ $SECONDS -lt $deadline ]; do
    rt run --bundle "$B" c1
    TRIED=$((TRIED + 1))
    [ "$RC" != 0 ] || STARTED=$((STARTED + 1))
    [ -z "$OUT" ] || printf '%s\n' "$OUT" >>"$T/said"
    [ ! -e "$ROOT/c1" ] || fail "left a container: $(said)"
  done
  kill $exchange
  wait $exchange 2>/dev/null || :
  # A runtime that refuses everything has shown nothing.
  [ $((STARTED * 10)) -ge $((TRIED * 3)) ] || fail "only $STARTED of $TRIED containers started: $ERR"
}
shared() { cp -a "$WORK/rootfs" "$T/shared"; mkdir "$T/outside"; touch "$T/said"; }
nothing_outside() { assert_eq "$(ls -A "$T/outside")" '' 'the folder outside of the root filesystem'; }

test_control_names_are_exchanged() {
  requires uml
  mkdir "$T/a" "$T/b"
  touch "$T/a/old"
  "$STAGE/helpers/exchange" "$T/a" "$T/b" &
  eventually [ -e "$T/b/old" ]
  eventually [ -e "$T/a/old" ]
  kill $!
}

test_the_target_of_a_volume() {
  shared
  mkdir -p "$T/volume" "$T/shared/target"
  echo volume >"$T/volume/file"
  ln -s "/../../../../../../../../$T/outside" "$T/shared/target.other"
  bundle c1 --arg v "$T/volume" 'sh("cat /target/file 2>/dev/null; touch /target/touched") | bind($v; "/target"; [])'
  race target
  nothing_outside
  assert_no_match "$(sort -u "$T/said" | grep -v '^volume$')" .
}

test_a_target_that_is_made() {
  shared
  mkdir "$T/shared/way"
  ln -s "/../../../../../../../../$T/outside" "$T/shared/way.other"
  bundle c1 'rw | args(["true"]) | tmpfs("/way/to/it"; [])'
  race way
  nothing_outside
}

test_the_folder_that_proc_is_mounted_on() {
  shared
  mkdir -p "$T/shared/proc.other/sys/kernel" "$T/shared/proc.other/self/attr"
  bundle c1 'rw | caps(["CAP_DAC_OVERRIDE"]) | sh("for p in /proc /proc.other; do cd $p && [ -e 1/stat ] && { cat version; echo x >sys/kernel/domainname && echo writable; }; done 2>/dev/null; true") |
    .linux.maskedPaths = ["/proc/version"] | .linux.readonlyPaths = ["/proc/sys"]'
  race proc
  assert_eq "$(sort -u "$T/said")" ''
}

test_dev() {
  shared
  ln -s "/../../../../../../../../$T/outside" "$T/shared/dev.other"
  bundle c1 'args(["true"])'
  race dev
  nothing_outside
}

test_the_working_directory() {
  shared
  mkdir "$T/shared/work"
  ln -s "/../../../../../../../../$T/outside" "$T/shared/work.other"
  bundle c1 'rw | .process.cwd = "/work/here" | args(["touch", "touched"])'
  race work
  nothing_outside
}
