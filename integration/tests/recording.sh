# run --record, and profile: what containers use, and a profile of it.
# shellcheck shell=bash

# shellcheck source=../words/sandbox.sh
. "$STAGE/words/sandbox.sh"
# shellcheck source=../words/seccomp.sh
. "$STAGE/words/seccomp.sh"

# recorded SCRIPT [FILTER]: a container is recorded in $T/record, and RECORD is that.
recorded() {
  only_knarr
  rm -rf "$T/c1"
  bundle c1 --arg script "$1" "sh(\$script) | rw | ${2:-.}"
  rt run --record "$T/record" --bundle "$B" c1
  slurp RECORD "$T/record"
}
# patched FILTER: the bundle $B has what `profile` prints, then FILTER.
patched() {
  run_ok profile "$T/record"
  printf %s "$OUT" >"$T/patch"
  jq -s "$JQ_WORDS .[0] * .[1] | $1" "$B/config.json" "$T/patch" >"$B/patched"
  mv "$B/patched" "$B/config.json"
}

test_what_is_used_is_written_down() {
  recorded 'mkdir /tmp/x; echo a >/tmp/x/y; cd /tmp; echo b >z; cat /dev/zero | head -c 1 >/dev/null; rm z; wget -q http://127.0.0.1:1/ 2>/dev/null; cat /proc/version >/dev/null'
  assert_eq "$RC" 0 "$ERR"
  assert_jq "$RECORD" '.version == 1 and (.unseen | length) >= 2 and .refused == {}'
  assert_jq "$RECORD" '.syscalls | (.mkdir // .mkdirat).count == 1 and .execve.count >= 4 and .socket.values == [2]'
  assert_jq "$RECORD" '.sockets == ["connect AF_INET 127.0.0.1:1"]'
  assert_jq "$RECORD" '.syscalls | (.clone // .vfork // .fork).count >= 4'
  assert_jq "$RECORD" '[.written[][]] | contains(["/tmp/x", "/tmp/x/y", "/tmp/z"]) and (contains(["/proc/version"]) | not)'
  assert_jq "$RECORD" '.devices["c 1:5"] == {access: ["r"], paths: ["/dev/zero"]} and .devices["c 1:3"].access == ["w"]'
  assert_eq "$(stat -c %F "$T/record")" 'regular file'
  assert_eq "$(cd "$T" && echo record*)" record
}

of_a_sandbox() {
  "$1" --record "$HOME_OF/record" box -- sh -c 'mkdir /tmp/x; echo y >/tmp/x/y; exit 7'
  assert_eq "$RC" 7 "$ERR"
  assert_jq "$(<"$HOME_OF/record")" '.written["/tmp"] == ["/tmp/x", "/tmp/x/y"] and .syscalls.execve.count >= 1'
  rm "$HOME_OF/record"
}
test_of_a_sandbox() { HOME=$T; both of_a_sandbox; }

test_what_the_filter_refuses_stays_refused_and_is_told() {
  local filter
  filter=$(profile SCMP_ACT_ALLOW "$(rule '["mkdir", "mkdirat"]' SCMP_ACT_ERRNO 'errnoRet: 28')")
  recorded 'mkdir /tmp/x 2>&1; echo status $?' "$filter"
  assert_match "$OUT" $'No space left.*\nstatus 1'
  assert_jq "$RECORD" '(.refused.mkdir // .refused.mkdirat) == [28] and (.syscalls | has("mkdir") or has("mkdirat") | not)'
  rt run --record "$T/record" --explain --bundle "$B" c1
  assert_match "$ERR" 'is refused \(ENOSPC\) by linux.seccomp.syscalls\[0\]'
}

test_many_processes_threads_and_signals() {
  only_knarr
  local script
  script='my $n = 0; $SIG{USR1} = sub { $n++ }; kill USR1 => $$ for 1..200;
    my @t = map { threads->create(sub { open my $f, ">", "/dev/null"; 1 }) } 1..8; $_->join for @t;
    for (1..20) { fork or exit 3; } 1 while wait > 0; print "$n\n"; exit 5'
  requires debian
  bundle c1 --arg r "$DEBIAN" --arg s "$script" '.root.path = $r | args(["perl", "-Mthreads", "-e", $s])'
  rt run --record "$T/record" --bundle "$B" c1
  assert_eq "$RC $OUT" '5 200' "$ERR"
  assert_jq "$(<"$T/record")" '.syscalls.kill.count == 200 and .syscalls.rt_sigreturn.count == 200'
}

test_a_container_runs_under_its_own_profile_and_one_call_more_is_refused() {
  recorded 'mkdir /dev/shm/x && echo a >/dev/shm/x/y && cat /dev/shm/x/y && rm -r /dev/shm/x'
  assert_eq "$RC $OUT" '0 a' "$ERR"
  patched .
  assert_jq "$(<"$T/patch")" '.root.readonly and (.linux.seccomp.syscalls | length) >= 1 and ((has("process") | not) or .process.capabilities.bounding == [])'
  run_ok run --bundle "$B" c1
  assert_eq "$OUT" a
  # One call more, one that it never made.
  jq "$JQ_WORDS"' sh("ln -s a /dev/shm/l 2>&1; echo status $?")' "$B/config.json" >"$B/more"
  rt run --config more --bundle "$B" c1
  assert_match "$OUT" $'not permitted\nstatus 1'
  # The root is read-only.
  jq "$JQ_WORDS"' sh("mkdir /x 2>&1; echo status $?")' "$B/config.json" >"$B/more"
  rt run --config more --bundle "$B" c1
  assert_match "$OUT" $'ead-only file system\nstatus 1'
}

test_arguments_are_told_apart() {
  only_knarr
  requires debian
  local script
  # Another family, by the same call.
  script='socket(my $s, 2, 1, 0) ? print "inet\n" : print "inet: $!\n"; socket(my $t, 16, 3, 0) ? print "netlink\n" : print "netlink: $!\n"'
  bundle c2 --arg r "$DEBIAN" --arg s "$script" '.root.path = $r | args(["perl", "-MSocket", "-e", $s])'
  jq '.process.args[3] = "socket(my $s, 2, 1, 0) or die"' "$B/config.json" >"$B/first"
  rt run --record "$T/record" --config first --bundle "$B" c2
  assert_eq "$RC" 0 "$ERR"
  patched .
  rt run --bundle "$B" c2
  assert_eq "$OUT" $'inet\nnetlink: Operation not permitted' "$ERR"
}

asks_of_capabilities() { # the kernel that is here has the tracepoint
  jq -e '.capabilities' "$T/record" >/dev/null || skip "the kernel does not tell of capabilities: $(jq -r '.unseen[] | select(startswith("capabilities"))' "$T/record")"
}
test_capabilities_that_were_asked_for() {
  recorded 'touch /tmp/x && chown 5 /tmp/x && echo made' 'caps(["CAP_CHOWN", "CAP_NET_RAW", "CAP_SYS_CHROOT"])'
  assert_eq "$OUT" made "$ERR"
  asks_of_capabilities
  assert_jq "$RECORD" '.capabilities == ["CAP_CHOWN"]'
  patched .
  assert_jq "$(<"$T/patch")" '.process.capabilities.bounding == ["CAP_CHOWN"]'
  rm -f "$B/rootfs/tmp/x"
  jq '.root.readonly = false' "$B/config.json" >"$B/own"
  run_ok run --config own --bundle "$B" c1
  assert_eq "$OUT" made
  # What it never asked for is gone; another process asks for what it likes and is not recorded.
  jq "$JQ_WORDS"' sh("grep CapBnd /proc/self/status") | del(.linux.seccomp)' "$B/config.json" >"$B/more"
  run_ok run --config more --bundle "$B" c1
  assert_eq "$OUT" $'CapBnd:\t0000000000000001'
}
test_without_a_cgroup_capabilities_are_not_known() {
  only_knarr
  FLAGS=(--cgroup-manager disabled)
  bundle c1 'args(["true"]) | del(.linux.resources)'
  rt run --record "$T/record" --bundle "$B" c1
  assert_jq "$(<"$T/record")" '.capabilities == null and (.unseen | contains(["capabilities: the container has no cgroup"]))'
}

test_a_device_has_a_rule() {
  only_knarr
  [ -c /dev/fuse ] || skip "needs /dev/fuse"
  local device='.linux.devices = [{path: "/dev/fuse", type: "c", major: 10, minor: 229, fileMode: 438}] | .linux.resources.devices = [{allow: true, access: "rwm"}]'
  recorded ': </dev/fuse && echo opened' "$device"
  [[ $ERR != *'not permitted'* ]] || skip "an outer cgroup refuses /dev/fuse"
  assert_eq "$OUT" opened "$ERR"
  patched .
  assert_jq "$(<"$T/patch")" '.linux.resources.devices == [{allow: false, access: "rwm"}, {allow: true, type: "c", major: 10, minor: 229, access: "r"}]'
  run_ok run --bundle "$B" c1
  jq "$JQ_WORDS"' sh(": <>/dev/fuse && echo opened")' "$B/config.json" >"$B/more"
  rt run --config more --bundle "$B" c1
  assert_match "$ERR" 'not permitted'
}

test_dockers_and_kubernetes_formats() {
  recorded 'echo a'
  run_ok profile --format docker "$T/record" "$T/record"
  jq --argjson seccomp "$OUT" '.linux.seccomp = $seccomp' "$B/config.json" >"$B/docker"
  run_ok run --config docker --bundle "$B" c1
  assert_eq "$OUT" a
  run_ok profile --format kubernetes "$T/record"
  assert_line "$OUT" '  readOnlyRootFilesystem: true'
  assert_line "$OUT" '    localhostProfile: "profiles/record.json"'
}

test_what_cannot_be_recorded_is_an_error_and_leaves_nothing() {
  only_knarr
  bundle c1 'args(["true"])'
  run_fails 1 '--record: .*/none: no such file' run --record "$T/none/record" --bundle "$B" c1
  run_fails 1 '--record: .*: a folder' run --record "$T" --bundle "$B" c1
  run_fails 1 '--record: .*/none: no such file' create --record "$T/none/record" --bundle "$B" c1
  assert_absent "$ROOT/c1"
  bundle c2 "args([\"true\"]) | $(profile SCMP_ACT_ALLOW "$(rule '["sendmsg"]' SCMP_ACT_ERRNO)")"
  run_fails 1 'linux.seccomp: refuses sendmsg' run --record "$T/record" --bundle "$B" c2
  bundle c3 'args(["/no/such"])'
  run_fails 1 'no such file' run --record "$T/record" --bundle "$B" c3
  assert_absent "$T/record"
}

test_what_is_no_recording_is_an_error() {
  only_knarr
  recorded 'true'
  echo '{' >"$T/bad"
  run_fails 1 'profile: .*/bad: EOF' profile "$T/record" "$T/bad"
  jq '.version = 2' "$T/record" >"$T/bad"
  run_fails 1 'version: 2 is not 1' profile "$T/bad"
  jq '.syscalls = {}' "$T/record" >"$T/bad"
  run_fails 1 'no program was executed' profile "$T/bad"
  run_fails 1 'no such file' profile "$T/none"
}

# started NAME: `start` ends, and whoever reads what it says is not held up, while the container runs.
started() {
  run_ok start "$1"
  assert_status "$1" running
}

test_what_is_created_is_recorded_from_its_start() {
  only_knarr
  bundle c1 'sh("mkdir /tmp/x; while [ ! -e /tmp/go ]; do sleep 0.1; done; echo y >/tmp/x/y; cat /dev/zero | head -c 1 >/dev/null") | rw'
  (cd "$T" && run_ok create --record record --bundle "$B" c1)
  assert_absent "$T/record"
  started c1
  assert_absent "$T/record"
  : >"$B/rootfs/tmp/go"
  eventually has_status c1 stopped
  eventually test -e "$T/record"
  assert_jq "$(<"$T/record")" '.version == 1 and ([.written[][]] | contains(["/tmp/x", "/tmp/x/y"])) and .devices["c 1:5"].access == ["r"]'
  run_ok delete c1
  # A folder that has gone meanwhile is told by start; what is never started is not recorded.
  mkdir "$T/later"
  run_ok create --record "$T/later/record" --bundle "$B" c2
  rmdir "$T/later"
  run_fails 1 '--record: .*/later: no such file' start c2
  run_ok delete --force c2
  run_ok create --record "$T/never" --bundle "$B" c3
  run_ok delete --force c3
  assert_absent "$T/never"
}

test_a_detached_run_is_recorded() {
  only_knarr
  bundle c1 'sh("mkdir /tmp/x; sleep 0.3; exit 3") | rw'
  run_ok run --detach --record "$T/record" --bundle "$B" c1
  assert_absent "$T/record"
  eventually test -e "$T/record"
  assert_jq "$(<"$T/record")" '.syscalls | (.mkdir // .mkdirat).count == 1'
  run_ok delete --force c1
}

test_a_detached_recording_holds_no_folder_of_the_callers() {
  only_knarr
  mkdir "$T/here"
  mount -t tmpfs here "$T/here"
  bundle c1 'sh("sleep 1; mkdir /tmp/x") | rw'
  (cd "$T/here" && run_ok run --detach --record "$T/record" --bundle "$B" c1)
  umount "$T/here"
  eventually test -e "$T/record"
  assert_jq "$(<"$T/record")" '.syscalls | (.mkdir // .mkdirat).count == 1'
  run_ok delete --force c1
}

test_a_signal_to_the_callers_group_does_not_end_the_recording() {
  only_knarr
  bundle c1 'sh("sleep 0.5; mkdir /tmp/x; exit 3") | rw'
  # As of who ends a job with all that came of it. The container has a session of its own.
  setsid --wait bash -c '"$@" >/dev/null 2>&1; kill -TERM 0' - "$RUNTIME" --root "$ROOT" run --detach --record "$T/record" --bundle "$B" c1 || :
  eventually test -e "$T/record"
  assert_jq "$(<"$T/record")" '.syscalls | (.mkdir // .mkdirat).count == 1'
  run_ok delete --force c1
}

# The command may write where the record goes: it plants links there, and exchanges the folder.
test_the_record_goes_to_no_place_of_the_containers_choosing() {
  only_knarr
  mkdir -p "$T/out/sub" "$T/host"
  echo host >"$T/host/file"
  bundle c1 --arg s "$T/out" 'sh("for n in $(seq 1 400); do ln -s /host/file /out/sub/record.$n.tmp; done
      mv /out/sub /out/old; ln -s /host /out/sub") | bind($s; "/out"; []) | rw'
  # As on the host: where its links lead to.
  sed -i "s#/host#$T/host#g" "$B/config.json"
  local before
  before=$(find "$T/host" -printf '%p %s %T@\n')
  rt run --record "$T/out/sub/record" --bundle "$B" c1
  assert_eq "$RC" 0 "$ERR"
  assert_eq "$(find "$T/host" -printf '%p %s %T@\n')" "$before"
  assert_jq "$(<"$T/out/old/record")" '.version == 1'
}
