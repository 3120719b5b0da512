# Somebody who shares the root filesystem exchanges names in it, all the time, while containers are made of it: what is made is what was
# asked for, or nothing. RACE_SECONDS says for how long each is tried.
# shellcheck shell=bash disable=SC2016
CASE_LIMIT=$((90 + RACE_SECONDS))

# race NAME SCRIPT [FILTER]: /NAME and /NAME.other of the root filesystem are exchanged while containers that run SCRIPT are made. Each
# that starts appends what it says to $T/said. STARTED and TRIED are how many; `run -v` shows them.
race() {
  disposable
  differs runc,crun "not looked at"
  local deadline exchange
  rm -rf "$B/rootfs" && cp -a "$T/shared" "$B/rootfs"
  "$STAGE/helpers/exchange" "$B/rootfs/$1" "$B/rootfs/$1.other" &
  exchange=$!
  STARTED=0 TRIED=0
  deadline=$((SECONDS + RACE_SECONDS))
  # What is refused half of the time is so for chance: a few more tell.
  while [ $SECONDS -lt $deadline ] || { [ $((STARTED * 10)) -lt $((TRIED * 3)) ] && [ $SECONDS -lt $((deadline + 20)) ]; }; do
    rt run --bundle "$B" c1
    TRIED=$((TRIED + 1))
    [ "$RC" != 0 ] || STARTED=$((STARTED + 1))
    [ -z "$OUT" ] || printf '%s\n' "$OUT" >>"$T/said"
    [ ! -e "$ROOT/c1" ] || fail "left a container: $(said)"
  done
  echo "$TRIED tried, $STARTED started" >"$T/note"
  kill $exchange
  wait $exchange 2>/dev/null || :
  # A runtime that refuses everything has shown nothing.
  [ $((STARTED * 10)) -ge $((TRIED * 3)) ] || fail "only $STARTED of $TRIED containers started: $ERR"
}
shared() { disposable; cp -a "$WORK/rootfs" "$T/shared"; mkdir "$T/outside"; touch "$T/said"; }
nothing_outside() { assert_eq "$(ls -A "$T/outside")" '' 'the folder outside of the root filesystem'; }

test_control_names_are_exchanged() {
  disposable
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
  # Nodes that are made in the root filesystem itself, as /dev is elsewhere just then, can be opened there.
  mkdir "$T/c1"
  mount -t tmpfs -o dev bundle "$T/c1"
  bundle c1 'args(["true"])'
  race dev
  umount -l "$T/c1"
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

test_the_target_of_a_cgroup_mount() {
  shared
  mkdir "$T/shared/cg"
  ln -s "/../../../../../../../../$T/outside" "$T/shared/cg.other"
  bundle c1 'sh("for p in /cg /cg.other; do [ -e $p/cgroup.procs ] && { echo cgroup; echo 1 >$p/cgroup.max.depth && echo writable; mkdir $p/made && echo made; }; done 2>/dev/null; true") |
    mount({destination: "/cg", type: "cgroup", source: "cgroup", options: ["ro", "nosuid", "noexec", "nodev"]})'
  race cg
  nothing_outside
  assert_eq "$(sort -u "$T/said")" cgroup 'what a container says'
}

test_the_console() {
  shared
  local real=$RUNTIME
  : >"$T/shared/dev/console"
  ln -s "/../../../../../../../../$T/outside/made" "$T/shared/dev/console.other"
  printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$STAGE/helpers/tty" "$real" >"$T/with-terminal"
  chmod 755 "$T/with-terminal"
  bundle c1 'rw | .process.terminal = true | .mounts |= map(select(.destination | IN("/dev", "/dev/shm", "/dev/mqueue") | not)) |
    sh("test -t 0 && test -c /proc/self/fd/0 && echo terminal")'
  RUNTIME=$T/with-terminal race dev/console
  nothing_outside
  # What is refused is said there too.
  assert_eq "$(tr -d '\r' <"$T/said" | grep -v '^knarr: run c1: process.terminal: ' | sort -u)" terminal 'what a container says'
}
