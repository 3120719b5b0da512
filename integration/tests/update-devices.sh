# update --device-add, --device-remove: the rule and the node of a device, in one act.
# shellcheck shell=bash

own() { differs runc,crun "no such option"; }
DENIED='.linux.resources.devices = [{allow: false, access: "rwm"}]'
running() { # [JQ-FILTER]: c1 runs, and may open no device but the usual ones
  bundle c1 "args([\"sleep\", \"100\"]) | $DENIED | caps([\"CAP_MKNOD\", \"CAP_DAC_OVERRIDE\", \"CAP_SYSLOG\", \"CAP_SYS_ADMIN\"]) | ${1:-.}"
  run_ok run -d --bundle "$B" c1
}
opens() { rt exec c1 sh -c "exec 3<$1"; [ "$RC" = 0 ]; } # PATH in the container
absent() { run_ok exec c1 sh -c "test ! -e $1"; }

test_a_device_is_added_and_taken_away() {
  own
  running
  opens /dev/kmsg && fail "it is there already"
  run_ok update --device-add /dev/kmsg:r c1
  opens /dev/kmsg || fail "$(said)"
  run_ok exec c1 stat -c '%F %t %T' /dev/kmsg
  assert_eq "$OUT" 'character special file 1 b'
  rt exec c1 sh -c 'exec 3>/dev/kmsg'
  assert_match "$ERR$OUT" 'not permitted'
  run_ok state c1
  assert_jq "$OUT" '.devices == [{path: "/dev/kmsg", type: "c", major: 1, minor: 11, access: "r"}]'
  run_ok update --device-remove /dev/kmsg c1
  absent /dev/kmsg
  run_ok exec c1 busybox mknod /dev/kmsg c 1 11
  opens /dev/kmsg && fail "the rule is still there"
  run_ok state c1
  assert_jq "$OUT" 'has("devices") | not'
}

test_at_another_path_with_all_rights() {
  own
  running
  run_ok update --device-add /dev/kmsg:/dev/deep/log c1
  run_ok exec c1 sh -c 'exec 3<>/dev/deep/log'
  run_ok update --device-remove /dev/deep/log c1
  absent /dev/deep/log
}

test_in_a_user_namespace_it_is_bound() {
  own
  running userns
  run_ok update --device-add /dev/kmsg:/dev/log:r c1
  run_ok exec c1 stat -c '%F %t %T' /dev/log
  assert_eq "$OUT" 'character special file 1 b'
  run_ok update --device-remove /dev/log c1
  absent /dev/log
  run_ok exec c1 cat /proc/self/mountinfo
  assert_no_match "$OUT" ' /dev/log '
}

test_what_is_there_is_not_covered_and_the_rule_goes_back() {
  own
  running
  run_ok exec c1 sh -c 'echo own >/dev/kmsg'
  run_fails 1 '--device-add /dev/kmsg: .*EEXIST' update --device-add /dev/kmsg c1
  run_ok exec c1 sh -c 'cat /dev/kmsg; rm /dev/kmsg; mknod /dev/kmsg c 1 11'
  assert_eq "$OUT" own
  opens /dev/kmsg && fail "the rule is there"
  run_ok state c1
  assert_jq "$OUT" 'has("devices") | not'
}

test_all_or_nothing() {
  own
  running
  run_ok exec c1 sh -c 'echo own >/dev/b'
  run_fails 1 'EEXIST' update --device-add /dev/kmsg:/dev/a --device-add /dev/kmsg:/dev/b c1
  absent /dev/a
  run_ok exec c1 busybox mknod /dev/a c 1 11
  opens /dev/a && fail "the rule is there"
  true
}

test_limits_that_are_refused_take_the_device_back() {
  own
  running
  rt update --device-add /dev/kmsg --unified none.such=1 c1
  [ "$RC" = 1 ] || fail "$(said)"
  absent /dev/kmsg
}

test_a_device_of_the_containers_own_in_its_place_stays() {
  own
  running
  run_ok update --device-add /dev/kmsg c1
  run_ok exec c1 sh -c 'rm /dev/kmsg; mknod /dev/kmsg c 1 3'
  run_ok update --device-remove /dev/kmsg c1
  run_ok exec c1 stat -c '%t %T' /dev/kmsg
  assert_eq "$OUT" '1 3'
}

test_what_is_refused() {
  own
  running
  run_fails 1 '--device-add /etc/passwd: is not a device' update --device-add /etc/passwd c1
  run_fails 1 '--device-add /dev/none: .*ENOENT' update --device-add /dev/none c1
  run_fails 1 '--device-add .*rwx' update --device-add /dev/kmsg:/dev/x:rwx c1
  run_fails 1 '--device-add .*absolute' update --device-add /dev/kmsg:log c1
  run_fails 1 '--device-remove /dev/null: was not added' update --device-remove /dev/null c1
  run_fails 1 '--device-add: --resources has devices' update --device-add /dev/kmsg --resources - c1 <<<'{"devices": []}'
}

test_a_container_without_rules_stays_without() {
  own
  bundle c1 'args(["sleep", "100"]) | .linux.resources.devices = [{allow: true, access: "rwm"}] | caps(["CAP_MKNOD", "CAP_DAC_OVERRIDE", "CAP_SYSLOG"])'
  run_ok run -d --bundle "$B" c1
  run_ok update --device-add /dev/kmsg c1
  run_ok exec c1 sh -c 'mknod /dev/again c 1 11; exec 3</dev/again'
  run_ok update --device-remove /dev/kmsg c1
  run_ok exec c1 sh -c 'exec 3</dev/again'
  absent /dev/kmsg
}

test_a_checkpoint_names_what_was_added() {
  own
  running
  run_ok update --device-add /dev/kmsg c1
  run_fails 1 'devices: /dev/kmsg was added' checkpoint c1
  assert_status c1 running
}

test_a_container_that_covers_a_device_does_not_keep_the_rule() {
  own
  running 'userns | rw'
  mknod "$T/fuse" c 10 229 && chmod 666 "$T/fuse"
  run_ok update --device-add "$T/fuse:/dev/deep/log:r" c1
  run_ok exec c1 sh -c 'touch /tmp/f && mount -o bind /dev/deep/log /tmp/f && mount -t tmpfs t /dev/deep'
  opens /tmp/f || fail "$(said)"
  run_fails 1 'EBUSY' update --device-remove /dev/deep/log c1
  opens /tmp/f && fail "the rule is still there"
  run_ok state c1
  assert_jq "$OUT" '.devices | length == 1'
  run_ok exec c1 busybox umount /dev/deep
  run_ok update --device-remove /dev/deep/log c1
  run_ok state c1
  assert_jq "$OUT" 'has("devices") | not'
}
