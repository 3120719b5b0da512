# run --host-root: Landlock as a second wall, and --strict.
# shellcheck shell=bash

# shellcheck source=../words/sandbox.sh
. "$STAGE/words/sandbox.sh"

has_landlock() { # LEAST: the version of the interface
  local version
  version=$(/usr/bin/python3 -c 'import ctypes; print(ctypes.CDLL(None).syscall(444, None, 0, 1))' 2>/dev/null) || skip 'needs python3'
  [ "$version" -ge "$1" ] || skip "needs version $1 of Landlock"
}

test_a_descriptor_of_the_host_lets_nothing_be_written() {
  has_landlock 1
  only_knarr
  local try='cat /proc/self/fd/3/file; echo x >/proc/self/fd/3/made && echo written; rm /proc/self/fd/3/file 2>/dev/null && echo removed; echo x >/inside && echo inside'
  mkdir "$T/host"
  echo seen >"$T/host/file"
  # The control: a container without it.
  bundle c1 --arg script "$try" 'rw | sh($script)'
  run_ok run --preserve-fds 1 --bundle "$B" c1 3<"$T/host"
  assert_eq "$OUT" $'seen\nwritten\nremoved\ninside'
  rm "$T/host/made"
  echo seen >"$T/host/file"
  rt run --host-root --preserve-fds 1 box -- sh -c "$try" 3<"$T/host"
  assert_eq "$OUT" $'seen\ninside' "$ERR"
  assert_eq "$(ls "$T/host")" file
  # A process of exec is behind it, too.
  run_ok run --host-root --detach box -- sleep 100
  rt exec --preserve-fds 1 box sh -c "$try" 3<"$T/host"
  assert_eq "$OUT" $'seen\ninside' "$ERR"
}

test_standard_descriptors_can_be_opened_again() {
  only_knarr
  box box -- sh -c 'echo out >>/dev/stdout; echo err >>/dev/stderr; echo fd >>/proc/self/fd/1; ln -s a /link'
  assert_eq "$OUT" $'out\nfd' "$ERR"
  assert_eq "$ERR" err
}

of_abstract() {
  "$1" --net host box -- /usr/bin/python3 -c "$CONNECT"
  assert_eq "$OUT" refused "$ERR"
}
test_abstract_names_are_closed_with_the_hosts_network() {
  has_landlock 6
  only_knarr
  CONNECT='import socket
s = socket.socket(socket.AF_UNIX)
try: s.connect("\0knarr-it-abstract"); print("answered")
except OSError: print("refused")'
  /usr/bin/python3 -c 'import socket, time
s = socket.socket(socket.AF_UNIX); s.bind("\0knarr-it-abstract"); s.listen(9); time.sleep(1000)' &
  eventually grep -q knarr-it-abstract /proc/net/unix
  assert_eq "$(/usr/bin/python3 -c "$CONNECT")" answered # the control
  both of_abstract
  kill %1
}

of_strict() {
  local try='import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def call(*args):
    ctypes.set_errno(0)
    return "done" if libc.syscall(*args) >= 0 else ctypes.get_errno()
print(call('"${NR[ptrace]}, 0, 0, 0, 0), call(425, 8, 0), call(${NR[bpf]}, 0, 0, 0), call(${NR[unshare]}, 0x10000000), call(${NR[keyctl]}, 0, -3, 0), call(${NR[userfaultfd]}, 1))"
  # ptrace TRACEME, io_uring_setup, bpf, unshare of a user namespace, keyctl, userfaultfd
  "$1" box -- /usr/bin/python3 -c "$try"
  assert_match "$OUT" '^done '
  "$1" --strict box -- /usr/bin/python3 -c "$try"
  assert_eq "$OUT" '1 1 1 1 1 1' "$ERR"
  "$1" --strict box -- sh -c 'echo works'
  assert_eq "$OUT" works "$ERR"
}
test_strict() {
  only_knarr
  [ -x /usr/bin/python3 ] || skip 'needs python3'
  both of_strict
}
