# Whoever shares the root filesystem renames what is mounted on while the container is made: what is meant is protected all the same,
# wherever its name leads by then.
# shellcheck shell=bash disable=SC2016

# moved DIRECTORY FILTER SCRIPT: a container whose hook moves DIRECTORY of its root filesystem away, where its mounts are made and not
# yet protected, and puts a decoy there; then SCRIPT runs.
moved() {
  rm -rf "$T/c1"
  bundle c1 --arg s "$3" --arg d "$1" "sh(\$s) | rw | caps([\"CAP_SYS_ADMIN\", \"CAP_DAC_OVERRIDE\"]) |
    .root.readonly = false | $2 | hook(\"createRuntime\"; \"cd $T/c1/rootfs && mv \" + \$d + \" away && mkdir -p \" + \$d + \"/sys \" + \$d + \"/data && echo decoy >\" + \$d + \"/keys\")"
  rm -rf "$B/rootfs" && cp -a "$WORK/rootfs" "$B/rootfs"
  rt run --bundle "$B" c1
}

test_control_a_hook_can_move_what_is_mounted_on() {
  moved proc '.linux.maskedPaths = [] | .linux.readonlyPaths = []' 'cat /proc/keys; test -d /away/1 && echo procfs; test -w /away/sys/kernel && cat /away/sys/kernel/ostype'
  [ "$RC" = 0 ] || fail "$(said)"
  assert_eq "$OUT" $'decoy\nprocfs\nLinux'
}

test_masks_cover_the_procfs_that_was_mounted() {
  differs runc,crun "not looked at"
  moved proc '.linux.maskedPaths = ["/proc/version", "/proc/fs"] | .linux.readonlyPaths = []' \
    'cat /away/version; ls /away/fs; test -d /away/1 && echo procfs'
  [ "$RC" = 0 ] || fail "$(said)"
  assert_eq "$OUT" procfs
}

test_read_only_paths_of_the_procfs_that_was_mounted() {
  differs runc,crun "not looked at"
  moved proc '.linux.maskedPaths = [] | .linux.readonlyPaths = ["/proc/sys", "/proc/fs"]' \
    'grep -c " /away/[fs].* ro[, ]" /away/self/mounts; (echo x >/away/sys/kernel/hostname) 2>&1'
  assert_match "$OUT" '^2'
  assert_match "$OUT" 'Read-only'
}

test_masks_in_a_volume() {
  differs runc,crun "not looked at"
  mkdir -p "$T/volume/data"
  echo secret >"$T/volume/secret"
  echo secret >"$T/volume/data/secret"
  moved mnt "bind(\"$T/volume\"; \"/mnt\"; []) | .linux.maskedPaths = [\"/mnt/secret\", \"/mnt/data\"]" 'cat /away/secret /away/data/secret; ls /away'
  assert_eq "$OUT" $'data\nsecret'
}

test_a_tmpfs_turns_read_only_wherever_it_is() {
  differs runc,crun "not looked at"
  moved mnt 'tmpfs("/mnt"; ["ro"])' 'test -e /mnt/keys && touch /away/x'
  assert_match "$ERR" 'Read-only'
}

test_a_volume_is_remounted_wherever_it_is() {
  differs runc,crun "not looked at"
  mkdir "$T/volume"
  moved mnt "bind(\"$T/volume\"; \"/mnt\"; []) | mount({destination: \"/mnt\", options: [\"remount\", \"ro\"]})" 'touch /away/x'
  assert_match "$ERR" 'Read-only'
}
