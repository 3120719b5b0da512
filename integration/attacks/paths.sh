# An image in which links lie where a runtime makes and mounts things: nothing outside of it is made, covered, read or changed.
# shellcheck shell=bash disable=SC2016

# hostile [JQ-OPTION...] [FILTER]: a bundle c1 whose root filesystem is a copy that may be changed, and a folder $OUT_OF_IT of the host's
# with a file in it. $UP leads from anywhere inside to the host's root.
UP=/../../../../../../../../../..
hostile() {
  disposable
  bundle c1 "$@"
  rm -rf "$B/rootfs" && cp -a "$WORK/rootfs" "$B/rootfs"
  OUT_OF_IT=$T/outside
  mkdir -p "$OUT_OF_IT/folder"
  echo host >"$OUT_OF_IT/file"
  BEFORE=$(look)
}
look() { find "$OUT_OF_IT" -printf '%p %y %m %s %T@\n' | sort; cat "$OUT_OF_IT/file"; mountpoint -q "$OUT_OF_IT" && echo mounted || :; }
# tried: c1 runs, or is refused; nothing is changed outside.
tried() {
  rt run --bundle "$B" c1
  assert_eq "$(look)" "$BEFORE" 'what is outside'
  assert_no_match "$OUT$ERR" 'secret-of-the-host'
}

test_control_what_lies_outside_is_watched() {
  hostile 'args(["true"])'
  run_ok run --bundle "$B" c1
  touch "$OUT_OF_IT/made"
  [ "$(look)" != "$BEFORE" ] || fail 'nothing is seen'
}

test_a_link_as_the_target_of_each_kind_of_mount() { # CVE-2015-3627, 2015-3630, 2015-1335, 2019-18837
  local mount
  mkdir -p "$T/volume"
  echo volume >"$T/volume/file"
  for mount in 'tmpfs("/x"; [])' 'tmpfs("/x/new"; [])' 'bind($v; "/x"; [])' 'bind($v; "/x/new"; [])' 'bind($v + "/file"; "/x/file"; [])' \
    'bind($v + "/file"; "/x/newfile"; [])' 'mount({destination: "/x", type: "cgroup", source: "cgroup", options: ["ro"]})' \
    'mount({destination: "/x/mq", type: "mqueue", source: "mqueue"})' 'mount({destination: "/x", type: "proc", source: "proc"})' \
    'mount({destination: "/x/../x/sub", type: "tmpfs", source: "tmpfs"})'; do
    rm -rf "$T/c1" "$T/outside"
    hostile --arg v "$T/volume" "rw | args([\"true\"]) | $mount"
    ln -s "$UP$OUT_OF_IT" "$B/rootfs/x"
    tried
  done
}

test_links_of_several_steps() {
  hostile 'rw | args(["true"]) | tmpfs("/a/b/c"; []) | tmpfs("/d/../e/f"; [])'
  mkdir "$B/rootfs/a"
  ln -s ../link "$B/rootfs/a/b"
  ln -s "$UP$OUT_OF_IT" "$B/rootfs/link"
  ln -s a/b "$B/rootfs/d"
  ln -s "$UP$OUT_OF_IT/folder" "$B/rootfs/e"
  tried
}

test_a_file_that_is_made_behind_a_link_of_nothing() { # CVE-2024-45310
  hostile --arg v "$T/volume" 'rw | args(["true"]) | bind($v; "/new/file"; []) | bind($v; "/newfile"; [])'
  echo volume >"$T/volume"
  ln -s "$UP$OUT_OF_IT/made" "$B/rootfs/newfile"
  ln -s "$UP$OUT_OF_IT/folder/made" "$B/rootfs/new"
  tried
}

test_dev_of_the_image_is_a_link() { # CVE-2026-41579, 2026-47766
  local filter
  for filter in . '.mounts |= map(select(.destination | startswith("/dev") | not))' '.linux.devices = [{path: "/dev/made", type: "c", major: 1, minor: 3}]'; do
    rm -rf "$T/c1" "$T/outside"
    hostile "rw | args([\"true\"]) | $filter"
    rm -rf "$B/rootfs/dev"
    ln -s "$UP$OUT_OF_IT" "$B/rootfs/dev"
    tried
  done
}

test_null_of_the_image_is_a_link() { # CVE-2025-31133
  hostile 'rw | sh("cat /proc/sys/kernel/ostype /proc/version; echo secret >/proc/version; true") |
    .linux.maskedPaths = ["/proc/version", "/etc"] | .mounts |= map(select(.destination | startswith("/dev") | not))'
  mkdir -p "$B/rootfs/dev"
  rm -f "$B/rootfs/dev/null"
  ln -s "$UP$OUT_OF_IT/file" "$B/rootfs/dev/null"
  rt run --bundle "$B" c1
  assert_eq "$(look)" "$BEFORE" 'what is outside'
  [ "$RC" != 0 ] || assert_eq "$OUT" Linux
}

test_the_working_directory_is_behind_a_link() {
  hostile 'rw | .process.cwd = "/work/new/folder" | args(["touch", "made"])'
  ln -s "$UP$OUT_OF_IT" "$B/rootfs/work"
  tried
}

test_standard_descriptors_and_the_console_are_links() { # CVE-2015-3627, 2025-52565
  hostile 'rw | sh("echo x") | .mounts |= map(select(.destination | startswith("/dev") | not))'
  mkdir -p "$B/rootfs/dev/pts"
  local name
  for name in stdin stdout stderr fd console tty ptmx pts/ptmx pts/0 core; do
    rm -rf "$B/rootfs/dev/$name"
    ln -s "$UP$OUT_OF_IT/file" "$B/rootfs/dev/$name"
  done
  tried
}

test_the_notification_folder_is_behind_a_link() {
  differs runc,crun "not looked at"
  hostile 'rw | args(["true"])'
  rm -rf "$B/rootfs/run"
  ln -s "$UP$OUT_OF_IT" "$B/rootfs/run"
  /usr/bin/python3 -c 'import socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(sys.argv[1])' "$T/notify.sock"
  NOTIFY_SOCKET=$T/notify.sock tried
}

test_volumes_over_parts_of_proc() { # CVE-2015-3631
  differs crun "not looked at"
  local target
  mkdir -p "$T/volume/attr" "$T/volume/kernel"
  echo volume >"$T/volume/file"
  for target in self self/attr sys sys/kernel 1 thread-self sysrq-trigger; do
    rm -rf "$T/c1" "$T/outside"
    hostile --arg v "$T/volume" "rw | args([\"true\"]) | bind(\$v; \"/proc/$target\"; [])"
    rt run --bundle "$B" c1
    [ "$RC" != 0 ] || fail "/proc/$target can be covered"
  done
}

test_a_cgroup_tree_of_the_hosts_stays_read_only() { # CVE-2023-25809
  disposable
  in_container '! echo 1 >/sys/fs/cgroup/cgroup.max.depth && ! mkdir /sys/fs/cgroup/made && echo refused' \
    'no_ns("cgroup") | caps(["CAP_DAC_OVERRIDE"])'
  assert_eq "$OUT" refused
  chmod 755 "$WORK" "$T"
  bundle c1 'userns | no_ns("cgroup") | sh("! echo 1 >/sys/fs/cgroup/cgroup.max.depth && ! mkdir /sys/fs/cgroup/made && echo refused")'
  rm -rf "$B/rootfs" && cp -a "$WORK/rootfs" "$B/rootfs"
  run_ok run --bundle "$B" c1
  assert_eq "$OUT" refused
}

test_mounts_do_not_reach_the_host() {
  disposable
  mkdir "$T/peer"
  mount -t tmpfs peer "$T/peer"
  mount --make-shared "$T/peer"
  mkdir "$T/peer/rootfs"
  bundle c1 --arg r "$T/peer/rootfs" '.root.path = $r | args(["true"])'
  cp -a "$WORK/rootfs/." "$T/peer/rootfs"
  local before after
  before=$(</proc/self/mountinfo)
  run_ok run --keep --bundle "$B" c1
  after=$(</proc/self/mountinfo)
  run_ok delete c1
  umount "$T/peer"
  assert_eq "$after" "$before"
}
