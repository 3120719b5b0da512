# What a filter or a rule for devices refuses is refused by every entry into the kernel, and in every form: by the numbers of i386 in
# programs of either width, within socketcall(2), by the numbers of x32. User-mode Linux has none of these; all is harmless elsewhere.
# shellcheck shell=bash

# shellcheck source=../words/seccomp.sh
. "$STAGE/words/seccomp.sh"

# by_int80 WIDTH CALL FILTER: a program of that width makes an i386 call; RC is its errno.
by_int80() {
  [ "$HOSTTYPE" = x86_64 ] || skip 'needs x86-64'
  [ "$MODE" != uml ] || requires native 'a kernel that takes calls of i386'
  bundle c1
  rm -rf "$B/rootfs"
  cp -a "$WORK/rootfs" "$B/rootfs"
  "$STAGE/helpers/int80" "$1" "$2" "$B/rootfs/bin/int80"
  bundle c1 "args([\"/bin/int80\"]) | rw | $3"
  rt run --bundle "$B" c1
}
NO_FOLDERS=$(profile SCMP_ACT_ALLOW "$(rule '["mkdir", "mkdirat"]' SCMP_ACT_ERRNO 'errnoRet: 28')")
NO_SOCKETS=$(profile SCMP_ACT_ALLOW "$(rule '["socket"]' SCMP_ACT_ERRNO 'errnoRet: 28')")
X86_64='.linux.seccomp.architectures = ["SCMP_ARCH_X86_64"]'
# A device that no driver has: who may open it is told so, ENXIO.
NOBODYS='.linux.devices += [{path: "/tmp/x", type: "c", major: 240, minor: 77, fileMode: 438}]'

test_control_calls_of_i386_that_nothing_refuses() {
  local width call
  for width in 32 64; do
    for call in mkdir socket; do
      by_int80 $width $call 'del(.linux.seccomp)'
      assert_eq "$width $call $RC" "$width $call 0"
    done
    by_int80 $width mkdir "$NO_SOCKETS"
    assert_eq "$RC" 0
    assert_exists "$B/rootfs/tmp/x"
    by_int80 $width socket "$NO_FOLDERS"
    assert_eq "$RC" 0
    by_int80 $width open "$NOBODYS | .linux.resources.devices = [{allow: false, access: \"rwm\"}, {allow: true, type: \"c\", major: 240, minor: 77, access: \"r\"}]"
    assert_eq "$RC" 6
  done
}

test_a_call_of_i386() {
  local width
  for width in 32 64; do
    by_int80 $width mkdir "$NO_FOLDERS"
    assert_eq "$RC" 28
    assert_absent "$B/rootfs/tmp/x"
  done
}

test_a_call_of_i386_where_the_profile_does_not_list_it() {
  local width
  for width in 32 64; do
    by_int80 $width mkdir "$NO_FOLDERS | $X86_64"
    assert_eq "$RC" 159
    assert_absent "$B/rootfs/tmp/x"
  done
}

test_a_call_within_another() { # the arguments lie in memory, where no filter sees them
  local width
  for width in 32 64; do
    by_int80 $width socket "$NO_SOCKETS"
    assert_eq "$RC" 28
  done
}

test_a_device_by_a_call_of_i386() {
  local width
  for width in 32 64; do
    by_int80 $width open "$NOBODYS | .linux.resources.devices = [{allow: false, access: \"rwm\"}]"
    assert_eq "$RC" 1
  done
}

X32='my $r = syscall(39 | 0x40000000); print $r == -1 ? "errno " . ($! + 0) : "pid $r"' # getpid
by_x32() { [ "$HOSTTYPE" = x86_64 ] || skip 'needs x86-64'; by_perl "$X32" "$1"; } # FILTER
NO_PID=$(profile SCMP_ACT_ALLOW "$(rule '["getpid"]' SCMP_ACT_ERRNO 'errnoRet: 28')")

test_control_a_number_of_x32_that_nothing_refuses() { # or the kernel does not have them
  by_x32 'del(.linux.seccomp)'
  assert_match "$OUT" '^(pid 1|errno 38)$'
}

test_a_number_of_x32() {
  by_x32 "$NO_PID"
  assert_match "$OUT" '^errno (28|38)$'
}

test_a_number_of_x32_where_the_profile_does_not_list_it() {
  differs runc,crun 'old versions let them pass to the kernel'
  by_x32 "$NO_PID | $X86_64"
  [ "$RC" = 159 ] || assert_match "$OUT" '^errno (28|38)$'
}
