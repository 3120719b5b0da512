# No process of a container has ids, groups, capabilities, keys or a terminal that nobody gave it.
# shellcheck shell=bash disable=SC2016

# shellcheck source=../words/exec.sh
. "$STAGE/words/exec.sh"

sets() { sed -n 's/^Cap\(...\):\t/\1 /p' <<<"$1"; }
NONE=0000000000000000

test_control_capabilities_that_are_given() {
  disposable
  in_container 'cat /proc/self/status' 'caps(["CAP_KILL"])'
  assert_line "$(sets "$OUT")" 'Eff 0000000000000020'
}

test_nothing_is_inheritable_or_ambient_unless_it_is_asked_for() { # CVE-2022-29162, 2022-27650, 2016-8867
  disposable
  in_container 'cat /proc/self/status' 'caps(["CAP_KILL"])'
  assert_line "$(sets "$OUT")" "Inh $NONE"
  assert_line "$(sets "$OUT")" "Amb $NONE"
  in_container 'cat /proc/self/status' 'caps(["CAP_KILL"]) | .process.user = {uid: 1000, gid: 1000}'
  assert_line "$(sets "$OUT")" "Eff $NONE"
  assert_line "$(sets "$OUT")" "Amb $NONE"
  running 'caps(["CAP_KILL"])'
  within --cap CAP_NET_RAW 'cat /proc/self/status'
  assert_line "$(sets "$OUT")" "Inh $NONE"
  assert_line "$(sets "$OUT")" "Amb $NONE"
  within --user 1000:1000 --cap CAP_NET_RAW 'cat /proc/self/status'
  assert_line "$(sets "$OUT")" "Inh $NONE"
  mkdir "$T/spec"
  (cd "$T/spec" && run_ok spec)
  assert_jq "$(<"$T/spec/config.json")" '.process.capabilities | (.inheritable // []) == []'
}

test_a_user_that_is_no_number() { # CVE-2016-3697, 2026-30892
  disposable
  differs runc,crun "not looked at"
  local user
  running
  within --user 1000:1001 'id -u; id -g' # the control
  assert_eq "$OUT" $'1000\n1001'
  for user in -1 4294967295 4294967296 0:4294967295 root nobody 1000x 0x0 ' 0' 1000:root 1000:-1 18446744073709551616; do
    rt exec "--user=$user" c1 id -u
    [ "$RC" != 0 ] || fail "$user is $OUT"
  done
  for user in -1 4294967295 4294967296; do
    bundle c2 --argjson u "$user" 'args(["true"]) | .process.user.uid = $u'
    rt run --bundle "$B" c2
    [ "$RC" != 0 ] || fail "$user runs"
  done
}

test_groups_of_the_caller_are_dropped() { # CVE-2022-36109, 2022-2989, 2022-2995, 2023-25173
  disposable
  local real=$RUNTIME
  printf '#!/bin/sh\nexec setpriv --groups 6,27 "%s" "$@"\n' "$real" >"$T/with-groups"
  chmod 755 "$T/with-groups"
  bundle c1 'args(["sleep", "1000"]) | .process.user = {uid: 1000, gid: 1000}'
  assert_eq "$(setpriv --groups 6,27 id -G)" '0 6 27' # the control
  RUNTIME=$T/with-groups
  run_ok run --detach --bundle "$B" c1
  pid_of c1
  assert_match "$(<"/proc/$PID/status")" $'Groups:\t ?\n'
  run_ok exec --user 5:5 c1 sh -c 'grep Groups /proc/self/status'
  assert_match "$OUT" $'^Groups:[ \t]*$'
  run_ok delete --force c1
  RUNTIME=$real
}

test_a_session_of_its_own() { # CVE-2016-10124, 2017-5226
  disposable
  running
  pid_of c1
  session() { local stat; slurp stat "/proc/$1/stat"; stat=${stat##*) }; set -- $stat; echo "$4"; }
  assert_eq "$(session "$PID")" "$PID"
  [ "$(session $$)" != "$PID" ] || fail 'one session'
  "$RUNTIME" --root "$ROOT" exec --detach --pid-file "$T/pid" c1 sleep 1000
  assert_eq "$(session "$(<"$T/pid")")" "$(<"$T/pid")"
}

# with_key COMMAND...: a session keyring with the key user:secret.
with_key() {
  /usr/bin/python3 - "$@" <<PY
import ctypes, os, sys
libc = ctypes.CDLL(None)
libc.syscall(${NR[keyctl]}, 1, b"of-the-caller", 0, 0, 0) # keyctl: join session keyring
if libc.syscall(${NR[add_key]}, b"user", b"secret", b"hunter2", 7, -3) < 0: sys.exit("add_key")
os.execvp(sys.argv[1], sys.argv[1:])
PY
}
FIND='($type, $name) = ("user", "secret"); $n = syscall('"${NR[keyctl]}"', 10, -3, $type, $name, 0); print $n > 0 ? "found\n" : "none\n"' # keyctl: search

test_keys_of_the_caller() {
  disposable
  differs crun "not looked at"
  requires debian
  requires file /proc/keys
  bundle c1 --arg r "$DEBIAN" --arg s "$FIND" '.root.path = $r | args(["perl", "-e", $s])'
  local real=$RUNTIME
  printf '#!/bin/bash\n%s\n%s\nwith_key "%s" "$@"\n' "$(declare -p NR)" "$(declare -f with_key)" "$real" >"$T/with-key"
  chmod 755 "$T/with-key"
  RUNTIME=$T/with-key
  run_ok run --no-new-keyring --bundle "$B" c1 # the control
  assert_eq "$OUT" found
  run_ok run --bundle "$B" c1
  assert_eq "$OUT" none
  bundle c1 --arg r "$DEBIAN" '.root.path = $r | args(["sleep", "1000"])'
  run_ok run --detach --bundle "$B" c1
  run_ok exec c1 perl -e "$FIND"
  assert_eq "$OUT" none
  RUNTIME=$real
}

test_the_filter_is_one_of_processes_of_exec_too() {
  disposable
  differs crun "it keeps filters in the state folder"
  running '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 95}]} | rw'
  within 'mkdir /tmp/x 2>&1; grep Seccomp: /proc/self/status'
  assert_match "$OUT" 'not supported'
  assert_match "$OUT" $'Seccomp:\t2'
  local filter
  for filter in '{defaultAction: "SCMP_ACT_NO"}' '{defaultAction: "SCMP_ACT_ALLOW", architectures: ["SCMP_ARCH_NO"]}' \
    '{defaultAction: "SCMP_ACT_ALLOW", flags: ["SECCOMP_FILTER_FLAG_NO"]}' \
    '{defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["mkdir"], action: "SCMP_ACT_ERRNO", args: [{index: 0, value: 1, op: "SCMP_CMP_NO"}]}]}'; do
    bundle c2 "args([\"true\"]) | .linux.seccomp = $filter"
    rt run --bundle "$B" c2
    [ "$RC" != 0 ] || fail "$filter runs"
  done
}

test_devices_that_nobody_allows() {
  disposable
  differs crun "not looked at"
  local try='mknod /dev/disk b 7 0; mknod /dev/log c 1 11; for d in disk log; do (: </dev/$d) 2>/dev/null && echo "$d is read"; (: >>/dev/$d) 2>/dev/null && echo "$d is written"; done; true'
  in_container "$try" 'caps(["CAP_MKNOD", "CAP_DAC_OVERRIDE", "CAP_SYS_RAWIO"]) | .linux.resources.devices = [{allow: true, access: "rwm"}]' # the control
  assert_match "$OUT" 'log is (read|written)' # to read it may take CAP_SYSLOG
  local filter
  for filter in '.' 'del(.linux.resources)' '.linux.resources = {}' '.linux.resources.devices = []' '.linux.resources.devices = [{allow: false, access: "rwm"}]'; do
    in_container "$try" "caps([\"CAP_MKNOD\", \"CAP_DAC_OVERRIDE\", \"CAP_SYS_RAWIO\"]) | $filter"
    assert_eq "$OUT" '' "$filter"
    rm -rf "$T/c2"
    bundle c2 "args([\"sleep\", \"1000\"]) | caps([\"CAP_MKNOD\", \"CAP_DAC_OVERRIDE\", \"CAP_SYS_RAWIO\"]) | $filter"
    run_ok run --detach --bundle "$B" c2
    run_ok exec c2 sh -c "$try"
    assert_eq "$OUT" '' "$filter: exec"
    run_ok delete --force c2
  done
}
