# The root file system, mounts and their options, /dev, masked and read-only paths, propagation.
# shellcheck shell=bash

# mountinfo of the container in OUT, by destination: `mount_at /dev` prints the fields
mount_at() { awk -v d="$1" '$5 == d {line = $0} END {print line}' <<<"$OUT"; }

# ---- the default config ----

test_default_mounts() {
  in_container 'cat /proc/self/mountinfo'
  assert_match "$(mount_at /proc)" ' - proc '
  assert_match "$(mount_at /dev)" ' /dev rw,nosuid - tmpfs .*size=65536k.*mode=755' # strictatime: no relatime
  assert_match "$(mount_at /dev/pts)" ' /dev/pts rw,nosuid,noexec[^ ]* - devpts .*gid=5,mode=620,ptmxmode=666'
  assert_match "$(mount_at /dev/shm)" ' rw,nosuid,nodev,noexec[^ ]* - tmpfs .*size=65536k'
  assert_match "$(mount_at /dev/mqueue)" ' rw,nosuid,nodev,noexec[^ ]* - mqueue '
  assert_match "$(mount_at /sys)" ' ro,nosuid,nodev,noexec[^ ]* - sysfs '
  assert_match "$(mount_at /sys/fs/cgroup)" ' ro,nosuid,nodev,noexec[^ ]* - cgroup2 '
}

test_the_host_is_not_in_the_mount_table() {
  in_container 'cat /proc/self/mountinfo | cut -d" " -f5'
  assert_no_match "$OUT" "$T"
  assert_eq "$(head -1 <<<"$OUT")" /
}

test_root_is_read_only() {
  in_container '! touch /file 2>/dev/null && ! touch /etc/passwd 2>/dev/null && ! mkdir /dir 2>/dev/null'
}

test_root_is_writable() {
  in_container 'echo text >/file && cat /file' rw
  assert_eq "$OUT" text
  assert_eq "$(<"$B/rootfs/file")" text
}

test_default_dev_is_writable_and_sys_is_not() {
  in_container 'touch /dev/shm/x && ! touch /sys/x 2>/dev/null && ! mkdir /sys/fs/cgroup/x 2>/dev/null'
}

# ---- /dev ----

test_default_devices() {
  in_container 'stat -c "%n %F %t:%T %a %u:%g" /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty'
  assert_eq "$OUT" '/dev/null character special file 1:3 666 0:0
/dev/zero character special file 1:5 666 0:0
/dev/full character special file 1:7 666 0:0
/dev/random character special file 1:8 666 0:0
/dev/urandom character special file 1:9 666 0:0
/dev/tty character special file 5:0 666 0:0'
}

test_default_links() {
  in_container 'for l in fd stdin stdout stderr ptmx; do readlink /dev/$l; done'
  assert_eq "$OUT" $'/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\npts/ptmx'
}

test_devices_work() {
  in_container 'echo x >/dev/null; head -c 4 /dev/zero | od -An -tx1; head -c 8 /dev/urandom | wc -c; echo x 2>/dev/null >/dev/full || echo full'
  assert_match "$OUT" $'00 00 00 00\n8\n.*full'
}

test_extra_device() {
  in_container 'stat -c "%F %t:%T %a %u:%g" /dev/extra; head -c 2 /dev/extra | od -An -tx1' \
    '.linux.devices = [{path: "/dev/extra", type: "c", major: 1, minor: 5, fileMode: 432, uid: 7, gid: 8}] |
     .linux.resources.devices += [{allow: true, type: "c", major: 1, minor: 5, access: "rwm"}] | caps(["CAP_DAC_OVERRIDE"])'
  assert_eq "$OUT" $'character special file 1:5 660 7:8\n 00 00'
}

test_extra_device_in_a_new_folder_and_a_pipe() {
  in_container 'stat -c %F /dev/sub/dir/node; stat -c %F /dev/pipe' \
    '.linux.devices = [{path: "/dev/sub/dir/node", type: "c", major: 1, minor: 3}, {path: "/dev/pipe", type: "p"}]'
  assert_eq "$OUT" $'character special file\nfifo'
}

test_device_that_is_not_allowed() {
  in_container '! head -c 1 /dev/mem 2>/dev/null && echo denied' '.linux.devices = [{path: "/dev/mem", type: "c", major: 1, minor: 1}] |
    caps(["CAP_SYS_RAWIO", "CAP_MKNOD", "CAP_DAC_OVERRIDE"])'
  assert_eq "$OUT" denied
}

test_dev_that_is_bound_from_the_host_is_left_alone() {
  mkdir "$T/dev"
  mknod "$T/dev/null" c 1 3
  chmod 600 "$T/dev/null"
  in_container 'ls -a /dev' --arg d "$T/dev" '.mounts |= map(select(.destination | startswith("/dev") | not)) | bind($d; "/dev"; [])'
  assert_eq "$OUT" $'.\n..\nnull'
  assert_eq "$(stat -c %a "$T/dev/null")" 600
}

# ---- bind mounts ----

test_bind_read_write() {
  mkdir "$T/src"
  in_container 'echo inside >/mnt/file' --arg s "$T/src" 'bind($s; "/mnt"; ["rw"])'
  assert_eq "$(<"$T/src/file")" inside
}

test_bind_read_only() {
  mkdir "$T/src"
  echo text >"$T/src/file"
  in_container 'cat /mnt/file; ! echo x 2>/dev/null >/mnt/file' --arg s "$T/src" 'bind($s; "/mnt"; ["ro"])'
  assert_eq "$OUT" text
  touch "$T/src/still-writable"
}

test_bind_of_a_file() {
  echo text >"$T/file"
  in_container 'cat /opt/new/file; cat /etc/passwd' --arg s "$T/file" 'rw | bind($s; "/opt/new/file"; []) | bind($s; "/etc/passwd"; ["ro"])'
  assert_eq "$OUT" $'text\ntext'
}

test_bind_makes_the_destination() {
  in_container 'ls -ld /a/b/c | head -c 10' 'rw | bind("/etc"; "/a/b/c"; ["ro"])'
  assert_eq "$OUT" 'drwxr-xr-x'
}

test_bind_source_relative_to_the_bundle() {
  differs crun "relative to the current folder"
  bundle c1
  mkdir "$B/data"
  echo text >"$B/data/file"
  bundle c1 'args(["/bin/cat", "/mnt/file"]) | bind("data"; "/mnt"; ["ro"])'
  run_ok run --bundle "$B" c1
  assert_eq "$OUT" text
}

test_bind_without_type_or_with_type_none() {
  in_container 'test -e /mnt/passwd && test -e /srv/passwd' \
    'mount({destination: "/mnt", source: "/etc", options: ["bind", "ro"]}) | mount({destination: "/srv", type: "none", source: "/etc", options: ["rbind", "ro"]})'
}

test_rbind_takes_what_is_mounted_below_and_bind_does_not() {
  mkdir -p "$T/src/sub"
  mount -t tmpfs tmpfs "$T/src/sub"
  touch "$T/src/sub/below"
  in_container 'ls /mnt/sub; echo -; ls /opt/sub' --arg s "$T/src" 'bind($s; "/opt"; []) | mount({destination: "/mnt", type: "bind", source: $s, options: ["rbind"]})'
  umount "$T/src/sub"
  assert_eq "$OUT" $'below\n-'
}

test_rro_is_read_only_all_the_way_down() {
  differs crun "1.8 leaves what is below"
  mkdir -p "$T/src/sub"
  mount -t tmpfs tmpfs "$T/src/sub"
  in_container '! touch /mnt/x 2>/dev/null && ! touch /mnt/sub/x 2>/dev/null && touch /opt/sub/y' --arg s "$T/src" \
    'mount({destination: "/mnt", type: "bind", source: $s, options: ["rbind", "rro"]}) | mount({destination: "/opt", type: "bind", source: $s, options: ["rbind", "ro"]})'
  umount "$T/src/sub"
}

test_bind_keeps_the_flags_of_its_source() {
  differs crun "drops them"
  mkdir "$T/src"
  mount -t tmpfs -o nosuid,nodev,noexec tmpfs "$T/src"
  in_container 'cat /proc/self/mountinfo' --arg s "$T/src" 'bind($s; "/mnt"; [])'
  umount "$T/src"
  assert_match "$(mount_at /mnt)" ' rw,nosuid,nodev,noexec'
}

# ---- options that work ----

test_noexec() { in_container 'cp /bin/busybox /mnt/true && ! /mnt/true 2>/dev/null' 'tmpfs("/mnt"; ["noexec"])'; }
test_exec() { in_container 'cp /bin/busybox /mnt/true && /mnt/true' 'tmpfs("/mnt"; ["exec"])'; }
test_nodev() { in_container 'mknod /mnt/null c 1 3 && ! (echo x >/mnt/null) 2>/dev/null' 'caps(["CAP_MKNOD"]) | tmpfs("/mnt"; ["nodev"])'; }
test_nosuid() {
  in_container 'cp /bin/busybox /mnt/id && chmod 4755 /mnt/id && cp /bin/busybox /srv/id && chmod 4755 /srv/id && /bin/busybox setpriv --reuid 1000 true 2>/dev/null; cat /proc/self/mountinfo' \
    'tmpfs("/mnt"; ["nosuid"]) | tmpfs("/srv"; [])'
  assert_match "$(mount_at /mnt)" ' rw,nosuid'
  assert_no_match "$(mount_at /srv)" nosuid
}
test_nosymfollow() {
  differs crun "not known"
  in_container 'ln -s /etc/passwd /mnt/l; ! cat /mnt/l 2>/dev/null' 'tmpfs("/mnt"; ["nosymfollow"])'
}
test_tmpfs_size_mode_and_owner() {
  in_container 'df -k /new | tail -1; stat -c "%a %u:%g" /new' 'rw | tmpfs("/new"; ["size=128k", "mode=1770", "uid=5", "gid=6"])'
  assert_match "$OUT" $' 128 .*\n1770 5:6'
}
test_tmpfs_keeps_the_mode_of_the_folder() {
  differs crun "1.8 makes it 1777"
  bundle c1 'sh("stat -c %a /opt/dir") | tmpfs("/opt/dir"; [])'
  mkdir "$B/rootfs/opt/dir"
  chmod 2750 "$B/rootfs/opt/dir"
  run_ok run --bundle "$B" c1
  assert_eq "$OUT" 2750
}
test_an_empty_option_is_none() { # Podman writes one
  in_container 'stat -c %a /new; test -f /srv/passwd' 'rw | tmpfs("/new"; ["rw", "", "mode=1770"]) | bind("/etc"; "/srv"; ["", "ro"])'
  assert_eq "$OUT" 1770
}
test_tmpfs_read_only() { in_container '! touch /mnt/x 2>/dev/null' 'tmpfs("/mnt"; ["ro"])'; }
test_tmpcopyup() {
  bundle c1 'rw | sh("cat /opt/dir/file && echo new >/opt/dir/file") | tmpfs("/opt/dir"; ["tmpcopyup"])'
  mkdir "$B/rootfs/opt/dir"
  echo old >"$B/rootfs/opt/dir/file"
  run_ok run --bundle "$B" c1
  assert_eq "$OUT" old
  assert_eq "$(<"$B/rootfs/opt/dir/file")" old
}
test_atime_options() {
  in_container 'cat /proc/self/mountinfo' 'tmpfs("/mnt"; ["noatime"]) | tmpfs("/srv"; ["nodiratime", "relatime"]) | tmpfs("/opt"; ["strictatime"])'
  assert_match "$(mount_at /mnt)" ' rw,noatime '
  assert_match "$(mount_at /srv)" ' rw,nodiratime,relatime |rw,relatime,nodiratime'
  assert_match "$(mount_at /opt)" ' /opt rw '
}
test_the_last_option_wins() {
  differs crun "the first one does"
  in_container 'cat /proc/self/mountinfo' 'tmpfs("/mnt"; ["ro", "nosuid", "rw", "suid"]) | tmpfs("/srv"; ["rw", "ro"])'
  assert_match "$(mount_at /mnt)" ' /mnt rw,relatime '
  assert_match "$(mount_at /srv)" ' /srv ro,relatime '
}
test_mounts_are_made_in_order() {
  in_container 'ls /mnt /mnt/sub' 'tmpfs("/mnt"; []) | bind("/etc"; "/mnt/sub"; ["ro"]) | tmpfs("/mnt/sub"; [])'
  assert_eq "$OUT" $'/mnt:\nsub\n\n/mnt/sub:'
}

test_overlay() {
  mkdir "$T"/{lower,upper,work}
  echo low >"$T/lower/file"
  mount -t tmpfs tmpfs "$T/work" && mkdir "$T/work"/{u,w}
  in_container 'cat /mnt/file; echo up >/mnt/new' --arg t "$T" \
    'mount({destination: "/mnt", type: "overlay", source: "overlay", options: ["lowerdir=\($t)/lower", "upperdir=\($t)/work/u", "workdir=\($t)/work/w"]})'
  assert_eq "$OUT" low
  assert_eq "$(<"$T/work/u/new")" up
  umount "$T/work"
}

# ---- destinations that lead out ----

test_destination_that_is_relative_is_below_the_root() {
  in_container 'test -d /srv; grep -c " /srv " /proc/self/mountinfo' 'mount({destination: "srv", type: "tmpfs", source: "tmpfs"})'
  assert_match "$OUT" '1$'
}

test_no_mounts_at_all() {
  differs runc "needs /proc"
  differs crun "wants the list"
  bundle c1 'sh("echo hello") | del(.mounts, .linux.maskedPaths, .linux.readonlyPaths)'
  run_ok run --bundle "$B" c1
  assert_eq "$OUT" hello
}

test_destination_symlinks_stay_inside() {
  differs crun "refuses dangling links"
  bundle c1 'rw | sh("cat /proc/self/mountinfo") | tmpfs("/abs"; []) | tmpfs("/up/made"; []) | tmpfs("/opt/../../../../mnt"; [])'
  ln -s /srv "$B/rootfs/abs"
  ln -s ../../../../.. "$B/rootfs/up"
  run_ok run --bundle "$B" c1
  assert_match "$(mount_at /srv)" tmpfs
  assert_match "$(mount_at /made)" tmpfs
  assert_match "$(mount_at /mnt)" tmpfs
  assert_absent /made
}

test_destination_symlink_to_the_hosts_folder() {
  differs crun "refuses dangling links"
  mkdir "$T/host"
  bundle c1 --arg d "/link/made" 'rw | sh("true") | bind("/etc"; $d; ["ro"])'
  ln -s "$T/host" "$B/rootfs/link"
  run_ok run --bundle "$B" c1
  assert_eq "$(ls "$T/host")" ''
}

test_destination_in_proc() {
  differs crun "allows it"
  bundle c1 'bind("/etc"; "/proc/self"; [])'
  run_fails 1 'proc' create --bundle "$B" c1
  bundle c1 'bind("/etc/passwd"; "/proc/uptime"; []) | sh("cat /proc/uptime")' # a file that lxcfs replaces
  run_ok run --bundle "$B" c1
  assert_match "$OUT" root:
}

test_proc_that_is_a_symlink() {
  differs crun "follows it"
  bundle c1 'rw | sh("true")'
  rmdir "$B/rootfs/proc"
  ln -s /tmp "$B/rootfs/proc"
  run_fails 1 'proc' create --bundle "$B" c1
}

# ---- masked and read-only paths ----

test_masked_paths() {
  in_container 'cat /etc/passwd; ls /etc2; head -c 1 /proc/keys | wc -c; echo end' \
    '.linux.maskedPaths += ["/etc/passwd", "/none", "/srv"] | rw | bind("/etc"; "/etc2"; ["ro"]) | .linux.maskedPaths += ["/etc2"]'
  assert_eq "$OUT" $'0\nend'
}

test_a_path_that_is_masked_twice_has_one_mask() {
  differs runc,crun "a mount for each"
  in_container 'cat /proc/self/mountinfo' '.linux.maskedPaths = ["/opt", "/proc/keys", "/opt/", "/opt", "/proc/keys"]'
  assert_eq "$(grep -c ' /opt ' <<<"$OUT") $(grep -c ' /proc/keys ' <<<"$OUT")" '1 1'
}

test_masked_folder_is_read_only() {
  in_container '! touch /opt/x 2>/dev/null; cat /proc/self/mountinfo' 'rw | .linux.maskedPaths = ["/opt"]'
  assert_match "$(mount_at /opt)" ' /opt ro[, ].* - tmpfs '
}

test_readonly_paths() {
  in_container '! touch /opt/x 2>/dev/null && touch /home/x && ! (echo 1 >/proc/sys/net/ipv4/ip_forward) 2>/dev/null && cat /opt/file' \
    'rw | .linux.readonlyPaths += ["/opt", "/none"] | bind("/etc/passwd"; "/opt/file"; [])'
  assert_match "$OUT" root:
}

test_readonly_paths_keep_other_flags() {
  differs crun "drops them"
  in_container 'cat /proc/self/mountinfo' 'tmpfs("/mnt"; ["nosuid", "nodev", "noexec"]) | .linux.readonlyPaths += ["/mnt"]'
  assert_match "$(mount_at /mnt)" ' /mnt ro,nosuid,nodev,noexec'
}

# ---- Docker's mounts ----

test_mounts_as_docker_asks_for_them() {
  mkdir "$T/volume"
  echo 127.0.0.1 localhost >"$T/hosts"
  in_container 'cat /etc/hosts; touch /data/x; cat /proc/self/mountinfo' --arg t "$T" 'rw | .mounts = [
    {destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"]},
    {destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "strictatime", "mode=755", "size=65536k"]},
    {destination: "/dev/pts", type: "devpts", source: "devpts", options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
    {destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"]},
    {destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["ro", "nosuid", "noexec", "nodev"]},
    {destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"]},
    {destination: "/dev/shm", type: "tmpfs", source: "shm", options: ["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"]},
    {destination: "/data", type: "bind", source: ($t + "/volume"), options: ["rbind", "rprivate"]},
    {destination: "/etc/hosts", type: "bind", source: ($t + "/hosts"), options: ["rbind", "rprivate"]}] |
    .linux.maskedPaths = ["/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
      "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"]'
  assert_match "$OUT" '127.0.0.1 localhost'
  assert_match "$(mount_at /proc)" ' rw,nosuid,nodev,noexec'
  assert_match "$(mount_at /dev/shm)" 'size=65536k'
  assert_exists "$T/volume/x"
}

# ---- propagation ----

tag() { # DESTINATION: its propagation fields
  mount_at "$1" | sed -E 's/.* [0-9]+:[0-9]+ [^ ]+ [^ ]+ [^ ]+ (.*) ?- .*/\1/; s/:[0-9]+//g; s/ *$//'
}

test_mount_propagation_options() {
  differs crun "only with rootfsPropagation"
  mkdir "$T"/{private,shared,slave,unbindable}
  in_container 'cat /proc/self/mountinfo' --arg t "$T" 'bind($t + "/private"; "/mnt"; ["rprivate"]) | bind($t + "/shared"; "/srv"; ["rshared"]) |
    bind($t + "/slave"; "/opt"; ["rslave"]) | bind($t + "/unbindable"; "/var"; ["unbindable"])'
  assert_eq "$(tag /mnt)" ''
  assert_eq "$(tag /srv)" shared
  assert_eq "$(tag /var)" unbindable
}

test_root_is_private_by_default() {
  in_container 'cat /proc/self/mountinfo'
  assert_no_match "$OUT" 'shared:'
}

# What the host mounts later below the root folder does not show inside.
test_root_is_no_slave_of_the_hosts_mount() {
  mkdir "$T/shared"
  mount -t tmpfs tmpfs "$T/shared"
  mount --make-shared "$T/shared"
  bundle c1
  cp -al "$B/rootfs" "$T/copy" && mv "$B" "$T/shared/c1" 2>/dev/null || { cp -a "$B" "$T/shared/c1"; }
  B=$T/shared/c1
  mkdir -p "$B/rootfs/sub"
  jq "$JQ_WORDS"'sh("cat /proc/self/mountinfo; echo ready; until [ -e /dev/shm/go ]; do sleep 0.02; done; ls /sub")' "$B/config.json" >"$T/config.json"
  cp "$T/config.json" "$B/config.json"
  run_ok run --detach --bundle "$B" c1
  local log=$LOG
  eventually is_line_in ready "$log"
  mount -t tmpfs tmpfs "$B/rootfs/sub"
  touch "$B/rootfs/sub/late"
  run_ok exec c1 touch /dev/shm/go
  eventually has_status c1 stopped
  umount "$B/rootfs/sub"
  umount "$T/shared"
  assert_no_match "$(<"$log")" late
  assert_no_match "$(grep ' / / ' "$log" || :)" 'master:'
}

test_masks_that_are_given_twice_are_made_once() {
  differs runc,crun "make each of them"
  in_container 'grep -c " /proc/interrupts " /proc/self/mountinfo; grep -c " /proc/sys " /proc/self/mountinfo' \
    '.linux.maskedPaths = ["/proc/interrupts", "/proc/interrupts/", "/proc//interrupts", "/proc/interrupts"] | .linux.readonlyPaths = ["/proc/sys", "/proc/sys/", "/proc/sys"]'
  assert_eq "$OUT" $'1\n1'
}

# The bundle on a shared mount: what is mounted there later reaches the container, or not.
propagates() { # PROPAGATION
  mkdir "$T/vol"
  mount -t tmpfs tmpfs "$T/vol"
  mount --make-shared "$T/vol"
  mkdir "$T/vol/sub"
  bundle c1 --arg v "$T/vol" --arg p "$1" '.linux.rootfsPropagation = $p | mount({destination: "/mnt", type: "bind", source: $v, options: ["rbind", $p]}) |
    sh("echo ready; until [ -e /go ] || [ -e /mnt/go ]; do sleep 0.02; done; ls /mnt/sub")'
  run_ok run --detach --bundle "$B" c1
  local log=$LOG
  eventually is_line_in ready "$log"
  mount -t tmpfs tmpfs "$T/vol/sub"
  touch "$T/vol/sub/late" "$T/vol/go"
  eventually has_status c1 stopped
  umount "$T/vol/sub"
  umount "$T/vol"
  SEEN=$(tail -n +2 "$log")
}
test_root_propagation_slave_lets_host_mounts_in() { propagates rslave; assert_eq "$SEEN" late; }
test_root_propagation_private_does_not() { propagates rprivate; assert_eq "$SEEN" ''; }

test_root_propagation_values() {
  local p
  for p in private rprivate slave rslave shared rshared; do
    in_container 'cat /proc/self/mountinfo' --arg p "$p" '.linux.rootfsPropagation = $p'
    [[ $p != *private ]] || assert_eq "$(tag /)" ''
  done
}

test_root_propagation_unbindable() {
  differs runc "cannot bind its own root then"
  in_container 'cat /proc/self/mountinfo' '.linux.rootfsPropagation = "unbindable"'
  assert_eq "$(tag /)" unbindable
}

# ---- the root itself ----

test_no_pivot() {
  bundle c1 'sh("ls /; cat /proc/self/mountinfo")'
  run_ok run --no-pivot --bundle "$B" c1
  assert_match "$OUT" rootfs$'\n'\|bin
  assert_line "$OUT" home
}

test_root_that_is_a_mount_point() {
  mkdir "$T/c1"
  cp -al "$WORK/rootfs" "$T/c1/rootfs"
  mount --bind "$T/c1/rootfs" "$T/c1/rootfs"
  bundle c1 'sh("ls -d /bin")'
  run_ok run --bundle "$B" c1
  umount "$T/c1/rootfs"
  assert_eq "$OUT" /bin
}

test_root_on_a_shared_mount_is_unchanged_on_the_host() {
  mkdir "$T/c1"
  mount -t tmpfs tmpfs "$T/c1"
  mount --make-shared "$T/c1"
  cp -a "$WORK/rootfs" "$T/c1/rootfs"
  bundle c1 'args(["true"]) | tmpfs("/mnt"; [])'
  run_ok run --bundle "$B" c1
  assert_match "$(grep " $T/c1 " /proc/self/mountinfo)" 'shared:'
  umount "$T/c1"
}

test_no_way_back_to_the_old_root() {
  in_container 'ls / /..; cd /; cd ..; pwd; cat /proc/self/mountinfo | wc -l; readlink /proc/1/root; readlink /proc/1/cwd'
  assert_match "$OUT" $'\n/\n/$'
}

test_cgroup_mount_shows_the_containers_cgroup() {
  in_container 'cat /sys/fs/cgroup/cgroup.procs'
  assert_match "$OUT" '^1(\n|$)'
}

# ---- symlinks as source and destination: crun's extensions ----
symlinks() { # a folder with a link to a file outside of it, and a root filesystem with one
  differs runc 'it has no such option'
  mkdir -p "$T/host"
  echo outside >"$T/outside"
  ln -s "$T/outside" "$T/host/link"
}
test_copy_symlink() {
  differs crun 'too old'
  symlinks
  in_container 'readlink /tmp/l' --arg s "$T/host/link" 'rw | tmpfs("/tmp"; []) | bind($s; "/tmp/l"; ["copy-symlink"])'
  assert_eq "$OUT" "$T/outside"
}
test_copy_symlink_of_a_file_binds_it() {
  symlinks
  in_container 'cat /tmp/l; test ! -L /tmp/l' --arg s "$T/outside" 'tmpfs("/tmp"; []) | bind($s; "/tmp/l"; ["copy-symlink"])'
  assert_eq "$OUT" outside
}
test_copy_symlink_onto_another() {
  differs crun 'too old'
  symlinks
  bundle c1 --arg s "$T/host/link" 'bind($s; "/l"; ["copy-symlink"])'
  rm -rf "$B/rootfs"
  cp -a "$WORK/rootfs" "$B/rootfs"
  ln -s /elsewhere "$B/rootfs/l"
  run_fails 1 'symlink|/l' run --bundle "$B" c1
}
test_src_nofollow() {
  differs crun 'too old'
  symlinks
  in_container 'readlink /tmp/l' --arg s "$T/host/link" 'tmpfs("/tmp"; []) | bind($s; "/tmp/l"; ["src-nofollow"])'
  assert_eq "$OUT" "$T/outside"
}
test_dest_nofollow() {
  differs crun 'too old'
  symlinks
  bundle c1 --arg s "$T/outside" 'sh("cat /l; cat /target") | bind($s; "/l"; ["dest-nofollow"])'
  rm -rf "$B/rootfs"
  cp -a "$WORK/rootfs" "$B/rootfs"
  echo target >"$B/rootfs/target"
  ln -s target "$B/rootfs/l"
  run_ok run --bundle "$B" c1
  assert_eq "$OUT" $'outside\ntarget'
}
test_dest_nofollow_of_a_parent_still_follows() {
  symlinks
  in_container 'cat /tmp/dir/f' --arg s "$T/outside" 'sh("cat /tmp/dir/f") | tmpfs("/tmp"; []) | bind($s; "/tmp/dir/f"; ["dest-nofollow"])'
  assert_eq "$OUT" outside
}

# ---- overlay as a mount ----
test_overlay_of_two_layers() {
  mkdir -p "$T"/{lower1,lower2,upper,work}
  echo one >"$T/lower1/f"
  echo two >"$T/lower2/f"
  echo two >"$T/lower2/g"
  in_container 'cat /m/f /m/g; echo new >/m/h; rm /m/g' --arg t "$T" \
    'mount({destination: "/m", type: "overlay", source: "overlay", options: ["lowerdir=\($t)/lower1:\($t)/lower2", "upperdir=\($t)/upper", "workdir=\($t)/work"]})'
  assert_eq "$OUT" $'one\ntwo'
  assert_eq "$(<"$T/upper/h")" new
  [ -c "$T/upper/g" ] || fail 'no whiteout'
}
test_overlay_of_what_is_not_there() {
  bundle c1 'mount({destination: "/m", type: "overlay", source: "overlay", options: ["lowerdir=/nonexistent"]})'
  run_fails 1 'no such file or directory|invalid argument' run --bundle "$B" c1
}

test_nothing_that_is_stacked_on_the_hosts_root_stays() {
  differs runc,crun 'only the uppermost is detached, and the root of the host stays'
  mount --rbind / / # of this file's own mount namespace
  trap 'umount -l /' EXIT
  in_container 'ls -d /../tmp >/dev/null; cat /../only-here; cut -d" " -f5 /proc/self/mountinfo | grep -cx /' 'rw | hook("createContainer"; "echo inside >only-here")'
  assert_eq "$OUT" $'inside\n1'
  bundle c2 'sh("sleep 100")'
  run_ok run --detach --bundle "$B" c2
  run_ok exec c2 sh -c 'cat /proc/self/mountinfo'
  assert_eq "$(awk '$5 == "/"' <<<"$OUT" | wc -l)" 1
  run_ok delete --force c2
}

test_a_shared_root_where_all_mounts_of_the_host_are_shared() {
  # As systemd has them, and as engines ask for it where a volume is to be propagated both ways.
  local p
  mkdir "$T/vol"
  mount -t tmpfs tmpfs "$T/vol"
  mount --make-rshared /
  trap 'mount --make-rprivate /; umount "$T/vol"' EXIT
  for p in shared rshared; do
    bundle c1 --arg t "$T" --arg p "$p" 'rw | .linux.rootfsPropagation = $p | bind($t + "/vol"; "/vol"; ["rbind", "rshared"]) | caps(["CAP_SYS_ADMIN"]) |
      sh("grep \" / / .* shared:\" /proc/self/mountinfo >/dev/null || grep -c \" / .*shared:\" /proc/self/mountinfo; mkdir -p /vol/in && mount -t tmpfs tmpfs /vol/in && echo x >/vol/in/file && echo mounted")'
    run_ok run --bundle "$B" c1
    assert_match "$OUT" mounted
    assert_eq "$(<"$T/vol/in/file")" x "$p"
    umount "$T/vol/in"
  done
}

test_tmpfs_has_the_mode_of_what_it_covers_or_else_the_kernels() {
  differs crun "1.8 always takes the kernel's"
  in_container 'stat -c "%a %n" /opt /opt/new /missing/t /missing/up' 'rw | tmpfs("/opt"; []) | tmpfs("/opt/new"; ["mode=0700"]) |
    tmpfs("/missing/t"; []) | tmpfs("/missing/up"; ["tmpcopyup"])'
  assert_eq "$OUT" "$(printf '755 /opt\n700 /opt/new\n1777 /missing/t\n1777 /missing/up')"
}

# ---- sources in the container's own root ----

test_a_source_that_an_earlier_mount_brings() {
  mkdir -p "$T/src/x/sub" && echo hello >"$T/src/x/f"
  mkdir "$T/below" && echo below >"$T/below/g"
  in_container 'cat /srv/f /opt; ls /srv/sub; touch /srv/new 2>/dev/null || echo read-only' --arg s "$T/src" --arg r "$T/c1/rootfs" --arg b "$T/below" \
    'bind($s; "/mnt"; []) | bind($b; "/mnt/x/sub"; []) | bind($r + "/mnt/x"; "/srv"; ["rbind", "ro"]) | bind($r + "/mnt/x/f"; "/opt/file"; []) | .process.args[2] |= sub("/opt;"; "/opt/file;")'
  assert_eq "$OUT" $'hello\nhello\ng\nread-only'
}

test_a_source_in_the_own_root_stays_below_it() {
  differs runc,crun "follow it on the host"
  bundle c1
  mkdir -p "$B/rootfs/inside" "$T/outside"
  echo inside >"$B/rootfs/inside/f"
  mkdir -p "$B/rootfs$T/outside" && echo inside >"$B/rootfs$T/outside/f"
  echo outside >"$T/outside/f"
  ln -s "$T/outside" "$B/rootfs/way"
  jq "$JQ_WORDS"' sh("cat /srv/f") | bind($r + "/way"; "/srv"; [])' --arg r "$B/rootfs" "$B/config.json" >"$T/config" && cp "$T/config" "$B/config.json"
  run_ok run --bundle "$B" c1
  assert_eq "$OUT" inside
}

test_a_source_in_the_own_root_in_a_user_namespace() {
  chmod 755 "$T" "$WORK"
  mkdir -p "$T/src/x" && echo hello >"$T/src/x/f"
  in_container 'cat /tmp/f' --arg s "$T/src" --arg r "$T/c1/rootfs" 'userns | bind($s; "/mnt"; []) | bind($r + "/mnt/x"; "/tmp"; ["ro"])'
  assert_eq "$OUT" hello
}

test_a_source_in_the_own_root_that_is_missing() {
  bundle c1
  refused 'rootfs/mnt/none.*no such file|no such file.*rootfs/mnt/none' "bind(\"$T/c1/rootfs/mnt/none\"; \"/srv\"; [])"
}

# ---- proc without masks ----
nested() { # OPTIONS: a user namespace in the container mounts a proc of its own
  echo 'unshare -U -r -p -f -m sh -c "mount -t proc '"${1:-}"' proc /proc && echo pid \$\$ of \$(ls -d /proc/[0-9]* | head -1)" 2>&1'
}

test_a_proc_of_processes_alone_may_be_mounted_again_in_a_user_namespace() {
  differs runc,crun "no such annotation"
  # Whoever maps user 0 takes CAP_SETFCAP for it; another user does not.
  local user='.process.user = {uid: 1000, gid: 1000}'
  # Linux 7 lets it be of processes alone, too, and only that; older ones a whole one as well.
  in_container "$(nested) || $(nested '-o subset=pid') || echo refused" "$user | .annotations[\"org.knarr.proc-subset\"] = \"pid\""
  assert_match "$OUT" 'pid 1 of /proc/1'
  # A control: what masks cover keeps another one from being mounted.
  rm -rf "$T/c1"
  in_container "$(nested) || echo refused" "$user"
  assert_match "$OUT" 'mount.*refused'
}

test_a_proc_of_processes_alone_has_nothing_else() {
  differs runc,crun "no such annotation"
  in_container 'ls /proc | grep -v "^[0-9]" | sort | tr "\n" " "; for f in kcore sysrq-trigger sys; do [ ! -e "/proc/$f" ]; done && grep -c " /proc/" /proc/self/mountinfo || :' \
    '.annotations["org.knarr.proc-subset"] = "pid"'
  assert_match "$OUT" '^self thread-self'
  assert_match "$OUT" $'\n?0$'
  for wrong in all ''; do
    rm -rf "$T/c1"
    refused "annotations.org.knarr.proc-subset: \"$wrong\" is not \"pid\"" ".annotations[\"org.knarr.proc-subset\"] = \"$wrong\""
  done
  rm -rf "$T/c1"
  refused 'annotations.org.knarr.proc-subset: no mount is of type proc' \
    '.annotations["org.knarr.proc-subset"] = "pid" | .mounts |= map(select(.type != "proc"))'
}
