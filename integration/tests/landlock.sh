# The annotation org.knarr.landlock with rules: paths, ports and scopes, for the process and for exec.
# shellcheck shell=bash

own() { differs runc,crun "no such annotation"; }
has_landlock() { # LEAST: the version of the interface
  own
  VERSION=$(/usr/bin/python3 -c 'import ctypes; print(ctypes.CDLL(None).syscall(444, None, 0, 1))') || skip 'needs python3'
  [ "$VERSION" -ge "$1" ] || skip "needs version $1 of Landlock"
}
read -rd '' RULES <<'JQ' || :
def rules(r): .annotations["org.knarr.landlock"] = (r | tojson);
def programs: {path: "/bin", allow: ["read", "execute"]};
JQ
walled() { # SCRIPT FILTER: run the script behind the rules
  rm -rf "$T/c1"
  bundle c1 --arg s "$1" "$RULES rw | sh(\$s) | $2"
  rt run --bundle "$B" c1
}

test_only_paths_that_are_allowed() {
  has_landlock 3
  local try='cat /etc/passwd | head -n 1; cat /opt/own; echo x >/tmp/new && echo written; echo x >/opt/own && echo overwritten; rm /opt/own && echo removed'
  control() { bundle c1 --arg s "$try" 'rw | sh($s)'; echo mine >"$B/rootfs/opt/own"; run_ok run --bundle "$B" c1; }
  control
  assert_eq "$OUT" $'root:x:0:0:root:/root:/bin/sh\nmine\nwritten\noverwritten\nremoved'
  rm -rf "$T/c1"
  bundle c1 --arg s "$try" "$RULES rw | sh(\$s) | rules({paths: [programs, {path: \"/opt\", allow: [\"read\"]}, {path: \"/tmp\", allow: [\"read\", \"write\"]}]})"
  echo mine >"$B/rootfs/opt/own"
  rt run --bundle "$B" c1
  assert_eq "$OUT" $'mine\nwritten'
}

test_a_process_of_exec_is_behind_the_rules() {
  has_landlock 3
  bundle c1 "$RULES rw | args([\"sleep\", \"100\"]) | rules({paths: [programs]})"
  run_ok run -d --bundle "$B" c1
  rt exec c1 cat /etc/passwd
  assert_match "$ERR" 'Permission denied'
  run_ok exec c1 cat /bin/busybox
}

test_a_file_may_be_a_path() {
  has_landlock 3
  walled 'head -n 1 /etc/passwd; cat /etc/group; echo x >>/etc/passwd' 'rules({paths: [programs, {path: "/etc/passwd", allow: ["read"]}]})'
  assert_eq "$OUT" root:x:0:0:root:/root:/bin/sh
}

test_execution_is_for_what_is_allowed() {
  has_landlock 3
  walled '/mnt/tool; /bin/true && echo true' 'rules({paths: [programs, {path: "/mnt", allow: ["read"]}]})'
  rm -rf "$T/c1"
  bundle c1 "$RULES rw | sh(\"/mnt/tool; true && echo true\") | rules({paths: [programs, {path: \"/mnt\", allow: [\"read\"]}]})"
  cp "$B/rootfs/bin/busybox" "$B/rootfs/mnt/tool"
  rt run --bundle "$B" c1
  assert_eq "$OUT" true
  assert_match "$ERR" 'Permission denied'
}

test_only_some_rights_are_denied() {
  has_landlock 3
  walled 'head -n 1 /etc/passwd; echo x >/tmp/x || echo denied' 'rules({deny: ["write"], paths: []})'
  assert_eq "$OUT" $'root:x:0:0:root:/root:/bin/sh\ndenied'
}

test_ports() {
  has_landlock 4
  walled 'busybox nc -l -p 8080 -e echo hello & sleep 0.2; busybox nc -l -p 9090 2>/dev/null || echo bind refused; busybox nc 127.0.0.1 8080 </dev/null; busybox nc 127.0.0.1 9091 </dev/null 2>&1 | grep -o "Permission denied"; wait' \
    'rules({ports: {bind: [8080], connect: [8080]}})'
  assert_match "$OUT" 'bind refused'
  assert_match "$OUT" 'hello'
  assert_match "$OUT" 'Permission denied'
}

test_signals_stay_inside() {
  has_landlock 6
  # Without a pid namespace of its own the container sees this process, which is root's too.
  sleep 1000 &
  local victim=$!
  walled "kill -0 $victim && echo reached" 'no_ns("pid") | rules({scopes: []})'
  assert_eq "$OUT" reached # the control
  walled "kill -0 $victim || echo scoped" 'no_ns("pid") | rules({scopes: ["signal"]})'
  assert_eq "$OUT" scoped
  kill $victim
}

test_with_init() {
  has_landlock 3
  walled 'cat /etc/passwd 2>/dev/null || echo denied' '.annotations["org.knarr.init"] = "true" | rules({paths: [programs]})'
  assert_eq "$OUT" denied "$ERR"
}

test_a_path_that_is_not_there() {
  has_landlock 3
  bundle c1 "$RULES args([\"true\"]) | rules({paths: [{path: \"/none\", allow: [\"read\"]}]})"
  run_fails 1 'annotations.org.knarr.landlock: open /none.*ENOENT' run --bundle "$B" c1
}

test_what_is_wrong_is_named() {
  own
  wrong() { refused "annotations.org.knarr.landlock.*$1" ".annotations[\"org.knarr.landlock\"] = $2"; }
  wrong 'paths\[0\].allow.*reed' '({paths: [{path: "/", allow: ["reed"]}]} | tojson)'
  wrong 'paths\[0\].path.*absolute' '({paths: [{path: "x", allow: []}]} | tojson)'
  wrong 'scopes.*sockets' '({scopes: ["sockets"]} | tojson)'
  wrong 'pathes' '({pathes: []} | tojson)'
  wrong 'neither' '"yes"'
  wrong EOF '"{"'
}

test_a_kernel_that_lacks_what_is_asked_is_an_error() {
  own
  VERSION=$(/usr/bin/python3 -c 'import ctypes; print(ctypes.CDLL(None).syscall(444, None, 0, 1))') || skip 'needs python3'
  [ "$VERSION" -lt 6 ] || skip "this kernel has all of it"
  bundle c1 "$RULES args([\"true\"]) | rules({scopes: [\"signal\"]})"
  run_fails 1 'annotations.org.knarr.landlock: .*Landlock 6' run --bundle "$B" c1
}

test_check_tells_the_version() {
  own
  rt check --format json
  assert_match "$OUT" 'Landlock'
}
