# mounts add, remove, list: what is mounted into a container that is there, and taken away again.
# shellcheck shell=bash

running() { # [JQ-FILTER]: c1 runs
  bundle c1 "args([\"sleep\", \"100\"]) | rw | ${1:-.}"
  run_ok run -d --bundle "$B" c1
}
own() { differs runc,crun "what knarr does beside crun's two commands"; }
inside() { run_ok exec c1 "$@"; } # COMMAND...
mounted() { run_ok exec c1 cat /proc/self/mountinfo; [[ $OUT == *" $1 "* ]]; }
folder() { mkdir "$T/data" && echo there >"$T/data/file"; }
file_of() { jq -n "$1" >"$T/mounts.json"; } # FILTER

test_a_file_as_crun_takes_it() {
  differs runc "no such command"
  folder
  running
  jq -n --arg s "$T/data" '[{destination: "/data", type: "bind", source: $s, options: ["bind", "ro"]}]' >"$T/mounts.json"
  run_ok mounts add c1 "$T/mounts.json"
  inside cat /data/file
  assert_eq "$OUT" there
  rt exec c1 touch /data/new
  assert_match "$ERR$OUT" 'Read-only'
  run_ok mounts remove c1 "$T/mounts.json"
  mounted /data && fail "still there: $OUT"
  assert_exists "$T/data/file"
}

test_bind_by_options() {
  own
  folder
  running
  run_ok mounts add c1 --source "$T/data" --target /deep/er/data --options rbind,ro
  inside cat /deep/er/data/file
  assert_eq "$OUT" there
  run_ok mounts list c1 --format json
  assert_jq "$OUT" 'map([.destination, .type, .source]) == [["/deep/er/data", "bind", $s]]' --arg s "$T/data"
  run_ok state c1
  assert_jq "$OUT" '.mounts | map(.destination) == ["/deep/er/data"]'
  run_ok mounts remove c1 --target /deep/er/data
  run_ok mounts list c1 --format json
  assert_eq "$OUT" '[]'
  mounted /deep/er/data && fail "still there"
  run_ok state c1
  assert_jq "$OUT" 'has("mounts") | not'
}

test_a_file_is_mounted_on_a_file() {
  own
  echo text >"$T/one"
  running
  run_ok mounts add c1 --source "$T/one" --target /etc/one
  inside cat /etc/one
  assert_eq "$OUT" text
  run_ok mounts remove c1 --target /etc/one
  inside cat /etc/one
  assert_eq "$OUT" ''
}

test_tmpfs() {
  own
  running
  run_ok mounts add c1 --type tmpfs --target /scratch --options size=1m,nosuid,noexec
  mounted /scratch || fail "not there: $OUT"
  assert_match "$OUT" '/scratch rw,nosuid,noexec[^'$'\n'']* - tmpfs [^'$'\n'']*size=1024k'
  run_ok mounts remove c1 --all
  mounted /scratch && fail "still there"
  true
}

test_a_tmpfs_that_is_read_only() {
  own
  running
  run_ok mounts add c1 --type tmpfs --target /scratch --options ro
  mounted /scratch || fail "not there"
  assert_match "$OUT" '/scratch ro,'
}

test_proc_is_that_of_the_container() {
  own
  running
  run_ok mounts add c1 --type proc --source proc --target /proc2
  inside cat /proc2/1/comm
  assert_eq "$OUT" sleep
}

test_overlay_of_folders_of_the_host() {
  own
  mkdir "$T/low" "$T/up" "$T/work"
  echo low >"$T/low/file"
  running
  run_ok mounts add c1 --type overlay --target /merged --options "lowerdir=$T/low,upperdir=$T/up,workdir=$T/work"
  inside sh -c 'cat /merged/file; echo new >/merged/new'
  assert_eq "$OUT" low
  assert_eq "$(<"$T/up/new")" new
  run_ok mounts remove c1 --target /merged
}

test_id_mapped() {
  own
  folder
  running 'userns'
  chown 0:0 "$T/data" "$T/data/file"
  run_ok mounts add c1 --source "$T/data" --target /mnt --options rbind,idmap
  inside stat -c %u:%g /mnt/file
  assert_eq "$OUT" 0:0
  jq -n --arg s "$T/data" '[{destination: "/opt", type: "bind", source: $s, options: ["rbind"],
    uidMappings: [{containerID: 0, hostID: 100007, size: 1}], gidMappings: [{containerID: 0, hostID: 200007, size: 1}]}]' >"$T/mounts.json"
  run_ok mounts add c1 "$T/mounts.json"
  inside stat -c %u:%g /opt/file
  assert_eq "$OUT" 7:7
}

test_in_a_user_namespace() {
  own
  folder
  running 'userns'
  run_ok mounts add c1 --source "$T/data" --target /mnt
  run_ok mounts add c1 --type tmpfs --target /opt
  inside sh -c 'cat /mnt/file; stat -c %u /opt'
  assert_eq "$OUT" $'there\n0'
  run_ok mounts remove c1 --all
  mounted /mnt && fail "still there"
  mounted /opt && fail "still there"
  true
}

test_before_start_and_while_paused() {
  own
  folder
  bundle c1 'sh("cat /data/file; sleep 100") | rw'
  run_ok create --bundle "$B" c1
  local log=$LOG
  run_ok mounts add c1 --source "$T/data" --target /data
  run_ok start c1
  eventually is_line_in there "$log"
  run_ok pause c1
  run_ok mounts add c1 --source "$T/data" --target /more
  run_ok mounts remove c1 --target /data
  run_ok resume c1
  inside cat /more/file
}

test_a_symlink_stays_inside() {
  own
  folder
  mkdir "$T/outside"
  running
  inside busybox ln -s "$T/outside" /away
  run_ok mounts add c1 --source "$T/data" --target /away/x
  assert_absent "$T/outside/x"
  inside cat "$T/outside/x/file"
  assert_eq "$OUT" there
}

test_all_or_nothing() {
  own
  folder
  running
  jq -n --arg s "$T/data" '[{destination: "/a", type: "bind", source: $s, options: ["bind"]},
    {destination: "/b", type: "tmpfs", source: "x"},
    {destination: "/c", type: "tmpfs", source: "x", options: ["frob=1"]}]' >"$T/mounts.json"
  run_fails 1 'mounts\[2\] /c: fsconfig frob.*EINVAL' mounts add c1 "$T/mounts.json"
  mounted /a && fail "/a is there"
  mounted /b && fail "/b is there"
  run_ok mounts list c1 --format json
  assert_eq "$OUT" '[]'
}

test_what_the_container_mounts_is_not_taken_away() {
  own
  folder
  running 'caps(["CAP_SYS_ADMIN"])'
  run_ok mounts add c1 --source "$T/data" --target /data
  inside sh -c 'busybox umount /data && mount -t tmpfs own /data && touch /data/own'
  run_ok mounts remove c1 --target /data
  inside ls /data
  assert_eq "$OUT" own
  run_ok mounts list c1 --format json
  assert_eq "$OUT" '[]'
}

test_what_is_covered_is_told() {
  own
  folder
  running 'caps(["CAP_SYS_ADMIN"])'
  run_ok mounts add c1 --source "$T/data" --target /data
  inside mount -t tmpfs own /data
  run_fails 1 '/data.*covered' mounts remove c1 --target /data
  inside busybox umount /data
  run_ok mounts remove c1 --target /data
  mounted /data && fail "still there"
  true
}

test_what_was_moved_is_found() {
  own
  folder
  running 'caps(["CAP_SYS_ADMIN"])'
  run_ok mounts add c1 --source "$T/data" --target /data
  inside sh -c 'mkdir /elsewhere && mount --move /data /elsewhere'
  run_ok mounts remove c1 --target /data
  mounted /elsewhere && fail "still there"
  true
}

test_what_is_refused() {
  own
  folder
  running
  run_fails 1 'mounts\[0\].destination.*root filesystem itself' mounts add c1 --type tmpfs --target /
  run_fails 1 'mounts\[0\].destination.*inside /proc' mounts add c1 --source "$T/data" --target /proc/sys
  run_fails 1 'mounts\[0\].*remount' mounts add c1 --type none --target /dev --options remount,ro
  run_fails 1 'mounts\[0\] /x: open_tree .*ENOENT' mounts add c1 --source "$T/none" --target /x
  run_fails 1 '/x.*not added' mounts remove c1 --target /x
  run_fails 1 'does not exist' mounts add c2 --type tmpfs --target /x
  rt mounts add c1 --type tmpfs
  assert_eq "$RC" 1
  assert_match "$ERR" 'required.*FILE'
  run_ok kill c1 KILL
  eventually has_status c1 stopped
  run_fails 1 'not running' mounts add c1 --type tmpfs --target /x
}

test_without_a_mount_namespace_of_its_own() {
  own
  bundle c1 'args(["sleep", "100"]) | no_ns("mount") | del(.mounts, .linux.maskedPaths, .linux.readonlyPaths) | .root.readonly = false'
  run_ok run -d --bundle "$B" c1
  run_fails 1 'no mount namespace of its own' mounts add c1 --type tmpfs --target /x
}

test_a_checkpoint_names_what_was_added() {
  own
  running
  run_ok mounts add c1 --type tmpfs --target /scratch
  run_fails 1 'mounts: /scratch was added' checkpoint c1
  assert_status c1 running
}

test_two_at_one_place_go_in_turn() {
  own
  folder
  running
  run_ok mounts add c1 --source "$T/data" --target /data
  run_ok mounts add c1 --type tmpfs --target /data
  run_ok mounts remove c1 --target /data
  inside cat /data/file
  run_ok mounts remove c1 --target /data
  run_fails 1 'not added' mounts remove c1 --target /data
}

# ---- a source in the container's own root ----
test_a_source_in_the_containers_root_is_looked_up_in_the_container() {
  own
  mkdir "$T/secret" && echo host >"$T/secret/file"
  running
  mkdir "$B/rootfs/data"
  echo own >"$B/rootfs/data/file"
  run_ok mounts add c1 --source "$B/rootfs/data" --target /a
  inside cat /a/file
  assert_eq "$OUT" own
  run_ok mounts remove c1 --all
  rm -r "$B/rootfs/data"
  ln -s "$T/secret" "$B/rootfs/data"
  run_fails 1 'mounts\[0\] /a: open_tree .*(no such file or directory|ENOENT)' mounts add c1 --source "$B/rootfs/data" --target /a
  jq -n '[{destination: "/a", type: "bind", source: "rootfs/data", options: ["bind"]}]' >"$T/mounts.json"
  run_fails 1 'ENOENT' mounts add c1 "$T/mounts.json"
  run_fails 1 'own root' mounts add c1 --source "$B/other/../rootfs/data" --target /a
  mounted /a && fail "there: $OUT"
  true
}

# ---- what the container did with it meanwhile ----
test_a_mount_that_was_moved_away_and_hidden_behind_a_link_to_its_inside() {
  own
  folder
  mkdir "$T/data/sub"
  running '.process.capabilities |= map_values(. + ["CAP_SYS_ADMIN"])'
  run_ok mounts add c1 --source "$T/data" --target /vol/x
  inside sh -c 'mv /vol /old; mkdir /vol; ln -s /old/x/sub /vol/x'
  run_ok mounts remove c1 --target /vol/x
  mounted /old/x && fail "still there: $OUT"
  assert_exists "$T/data/file"
}
