# What a container sees of the host's own nodes and folders, and did not ask for, it cannot change: neither mode nor owner, times
# or attributes. A masked file is the host's /dev/null, and so is what engines give as standard input.
# shellcheck shell=bash disable=SC2016

NODES=(null zero full random urandom tty)

# Nodes of the case's own in place of the machine's, which a wall that has a hole must not cost.
own_nodes() {
  local name minor
  mkdir "$T/dev"
  mount -t tmpfs dev "$T/dev"
  for name in null:3 zero:5 full:7 random:8 urandom:9 tty:0; do
    minor=${name#*:} name=${name%:*}
    mknod -m 666 "$T/dev/$name" c "$([ "$name" = tty ] && echo 5 || echo 1)" "$minor"
    mount --bind "$T/dev/$name" "/dev/$name"
  done
  exec </dev/null
}
nodes() { stat -c '%n %a %u:%g %Y %Z' "$T/dev"/*; "$STAGE/helpers/inode" "$T/dev"/*; }
# assert_unharmed BEFORE: the machine's nodes are back; those of the case are as they were.
assert_unharmed() {
  local after
  after=$(nodes)
  umount -l "${NODES[@]/#//dev/}" "$T/dev"
  exec </dev/null
  assert_eq "$after" "$1" 'nodes of the host'
}

# To be tried on each FILE: all that changes something of it but its content and its attributes.
CHANGE='change() {
  for f; do
    busybox chmod 600 $f && echo "mode of $f"
    busybox chown 1:1 $f && echo "owner of $f"
    busybox touch -d 2001-01-01 $f && echo "time of $f"
  done 2>/dev/null
  true
}'
MASKS='.linux.maskedPaths = ["/proc/keys", "/proc/timer_list", "/sys/firmware", "/etc/passwd", "/nosuch"]'

# unharmed SCRIPT [FILTER]: a container in which SCRIPT runs, its standard input and output being /dev/null, does nothing to them.
unharmed() {
  local before
  own_nodes
  before=$(nodes)
  bundle c1 --arg script "$CHANGE; $1" "rw | sh(\$script) | $MASKS | ${2:-.}"
  rt run --bundle "$B" c1
  assert_unharmed "$before"
  [ "$RC" = 0 ] || fail "$(said)"
}

test_control_the_containers_own_nodes_can_be_changed() {
  unharmed 'change /dev/zero; test "$(stat -c "%a %u" /dev/zero)" = "600 1" && echo x >/etc/passwd && test -z "$(cat /proc/keys)" && echo so' \
    'caps(["CAP_FOWNER", "CAP_CHOWN", "CAP_DAC_OVERRIDE"])'
  assert_match "$OUT" so
}

test_masked_files() {
  differs runc,crun "not looked at"
  unharmed 'change /proc/keys /proc/timer_list /etc/passwd' 'caps(["CAP_FOWNER", "CAP_CHOWN", "CAP_DAC_OVERRIDE"])'
  assert_eq "$OUT" ''
}

test_masked_files_without_capabilities() {
  differs runc,crun "not looked at"
  unharmed 'change /proc/keys /etc/passwd' 'caps([]) | .root.readonly = true'
  assert_eq "$OUT" ''
}

test_masked_files_keep_what_dev_null_does() {
  unharmed 'echo x >/proc/keys && echo x >/etc/passwd && test -z "$(cat /proc/keys /etc/passwd)" && echo null'
  assert_eq "$OUT" null
}

test_standard_descriptors_are_not_the_hosts() {
  differs runc,crun "not looked at"
  unharmed 'change /proc/self/fd/0 /proc/self/fd/2 >/tmp/changed; test -c /proc/self/fd/0 && echo x >&2 && stat -L -c "%t:%T" /proc/self/fd/0'
  assert_eq "$OUT" 1:3
}

test_standard_descriptors_of_exec() {
  differs runc,crun "not looked at"
  local before
  own_nodes
  before=$(nodes)
  bundle c1 'rw | args(["sleep", "100"]) | caps(["CAP_FOWNER", "CAP_CHOWN"])'
  run_ok run --detach --bundle "$B" c1
  "$RUNTIME" --root "$ROOT" exec c1 sh -c "$CHANGE; change /proc/self/fd/0 /proc/self/fd/1; echo x" </dev/null >/dev/null 2>"$T/err"
  assert_unharmed "$before"
  run_ok exec c1 sh -c 'stat -L -c "%a %u %t:%T" /dev/null'
  assert_eq "$OUT" '600 1 1:3' "the container's own"
}

test_exec_without_a_null_of_the_containers() {
  differs runc,crun "not looked at"
  bundle c1 'rw | args(["sleep", "100"]) | caps(["CAP_FOWNER", "CAP_CHOWN"])'
  run_ok run --detach --bundle "$B" c1
  run_ok exec c1 sh -c 'rm /dev/null; echo >/dev/null'
  run_fails 255 '/dev/null .*is not the null device' exec c1 true </dev/null
  run_ok exec c1 sh -c 'rm -f /dev/null; busybox mkfifo /dev/null' < <(:)
  run_fails 255 '/dev/null .*is not the null device' exec c1 true </dev/null
  run_ok exec c1 true < <(:)
}

test_devices_that_are_bound_in_a_user_namespace() {
  differs runc,crun "not looked at"
  unharmed 'change /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty /proc/keys /proc/self/fd/0; echo x >/dev/null && head -c 1 /dev/zero | busybox wc -c' \
    'userns | .linux.uidMappings = ids(0; 65536) | .linux.gidMappings = ids(0; 65536)'
  assert_eq "$OUT" 1
}

# attributes FILES [FILTER]: a container of Debian's, in which extended attributes, access lists and file attributes (chattr(1)) of
# FILES are set; OUT names what could be.
attributes() {
  requires debian
  local before
  own_nodes
  before=$(nodes)
  cat >"$T/perl" <<'PERL'
$acl = pack("L(SSL)5", 2, 1, 7, ~0, 2, 7, 1, 4, 7, ~0, 0x10, 7, ~0, 0x20, 7, ~0); # user 1 may do all
for $f (@ARGV) {
  for (["system.posix_acl_access", $acl], ["user.x", "x"], ["trusted.x", "x"], ["security.x", "x"]) {
    syscall(SETXATTR, $f, $_->[0], $_->[1], length $_->[1], 0) == 0 and print "$_->[0] of $f\n";
  }
  $args = pack("Q3", 0x10, 0, 0); # FS_XFLAG_APPEND, by file_setattr
  syscall(469, -100, $f, $args, length $args, 0) == 0 and print "file attributes of $f\n";
  sysopen($h, $f, 2048) or next; # O_NONBLOCK
  $flags = pack("L", 0x40); # FS_NODUMP_FL
  ioctl($h, 0x40086602, $flags) and print "flags of $f\n"; # FS_IOC_SETFLAGS
}
PERL
  bundle c1 --arg script "$(sed "s/SETXATTR/${NR[setxattr]}/" "$T/perl")" --arg root "$DEBIAN" --arg files "$1" \
    ".root = {path: \$root, readonly: true} | args([\"perl\", \"-e\", \$script] + (\$files | split(\" \"))) |
     caps([\"CAP_FOWNER\", \"CAP_CHOWN\", \"CAP_DAC_OVERRIDE\", \"CAP_SETFCAP\", \"CAP_LINUX_IMMUTABLE\"]) | $MASKS | ${2:-.}"
  rt run --bundle "$B" c1
  assert_unharmed "$before"
  [ "$RC" = 0 ] || fail "$(said)"
}

test_control_attributes_of_the_containers_own_nodes_can_be_changed() {
  attributes '/dev/zero'
  assert_match "$OUT" 'system.posix_acl_access of /dev/zero'
}

test_attributes_of_masked_files() {
  differs runc,crun "not looked at"
  attributes '/proc/keys /proc/timer_list /etc/passwd'
  assert_eq "$OUT" ''
}

# These are the container's own.
test_attributes_of_standard_descriptors() {
  differs runc,crun "not looked at"
  attributes '/proc/self/fd/0'
  assert_match "$OUT" 'system.posix_acl_access of /proc/self/fd/0'
}

test_attributes_of_devices_that_are_bound_in_a_user_namespace() {
  differs runc,crun "not looked at"
  attributes '/dev/null /dev/zero /dev/tty /proc/keys' 'userns | .linux.uidMappings = ids(0; 65536) | .linux.gidMappings = ids(0; 65536)'
  assert_eq "$OUT" ''
}

# The notification socket's folder is the host's too.
# The commands themselves make and use the socket meanwhile, so of times the year counts, which the container changes to 2001.
of_notify() { stat -c '%n %a %u:%g %y' "$ROOT"/c1/notify{,/*} | sed -E 's/ ([0-9]{4})-.*/ \1/'; "$STAGE/helpers/inode" "$ROOT"/c1/notify{,/*}; }
test_the_notification_folder() {
  differs runc,crun "not looked at"
  local before
  NOTIFY_SOCKET=$T/notify.sock
  export NOTIFY_SOCKET
  bundle c1 --arg script "$CHANGE; change /run/notify /run/notify/*; touch /run/notify/x; rm /run/notify/notify.sock; echo done" 'sh($script)'
  run_ok create --bundle "$B" c1
  before=$(of_notify)
  run_ok start c1
  eventually has_status c1 stopped
  assert_eq "$(of_notify)" "$before"
}
