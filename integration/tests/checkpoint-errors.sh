# Checkpoint and restore, by CRIU: what is refused, and what a killed command leaves.
# shellcheck shell=bash disable=SC2016 # scripts are for the shell in the container

# shellcheck source=../words/checkpoint.sh
. "$STAGE/words/checkpoint.sh"

test_only_what_runs() {
  with_criu
  bundle c1 'args(["true"])'
  run_ok create --bundle "$B" c1
  run_fails 1 'created' checkpoint --image-path "$T/images" c1
  run_ok start c1
  eventually has_status c1 stopped
  run_fails 1 'stopped' checkpoint --image-path "$T/images" c1
  run_ok delete c1
  run_fails 1 "$UNKNOWN" checkpoint --image-path "$T/images" c1
}

test_what_cannot_be_restored_is_refused_before() {
  with_criu
  differs runc 'has none of this'
  mkdir "$T/volume"
  bundle c1 --arg t "$T" 'args(["sleep", "100"]) | rw'
  run_ok run --detach --overlay --bundle "$B" c1
  run_fails 1 '--overlay: the layers of an overlay' checkpoint --image-path "$T/images" c1
  run_ok delete --force c1
  bundle c1 'args(["sleep", "100"]) | .annotations["org.knarr.overlay"] = "ephemeral"'
  run_ok run --detach --bundle "$B" c1
  run_fails 1 'annotations.org.knarr.overlay: the layers' checkpoint --image-path "$T/images" c1
  run_ok delete --force c1
  bundle c1 'args(["sleep", "100"])'
  run_ok run --detach --init --bundle "$B" c1
  run_fails 1 'a container with --init cannot be checkpointed' checkpoint --image-path "$T/images" c1
  run_ok delete --force c1
  bundle c1 --arg t "$T" 'args(["sleep", "100"]) | mount({destination: "/mnt", type: "bind", source: ($t + "/volume"), options: ["bind"], uidMappings: ids(1000; 10), gidMappings: ids(1000; 10)})'
  run_ok run --detach --bundle "$B" c1
  run_fails 1 'mounts.[0-9]+. /mnt: an id-mapped mount' checkpoint --image-path "$T/images" c1
  assert_status c1 running
  run_ok delete --force c1
}

test_a_checkpoint_with_wrong_words() {
  with_criu
  differs runc 'says less, and writes an empty folder first'
  counting c1
  run_fails 1 'relative to --image-path' checkpoint --image-path "$T/images" --parent-path /abs c1
  run_fails 1 'parent-path nowhere: .*ENOENT' checkpoint --image-path "$T/images" --parent-path nowhere c1
  run_fails 1 'status-fd: descriptor 77 is not open' checkpoint --status-fd 77 c1
  rt checkpoint --page-server 7 c1
  assert_match "$ERR" '"7" is not of the form ADDRESS:PORT'
  rt checkpoint --manage-cgroups-mode frob c1
  assert_match "$ERR" "invalid value 'frob'"
  run_fails 1 'image-path .*/file/x: .*not a directory' checkpoint --image-path "$B/config.json/file/x" c1
  FLAGS=(--criu /nonexistent)
  run_fails 1 '/nonexistent: no such file' checkpoint --image-path "$T/images" c1
  FLAGS=(--criu no-such-criu)
  run_fails 1 'no-such-criu: executable file not found in .PATH' checkpoint --image-path "$T/images" c1
  FLAGS=(--criu /bin/true)
  run_fails 1 '/bin/true: CRIU has ended without an answer' checkpoint --image-path "$T/images" c1
  assert_status c1 running
  run_ok delete --force c1
}

test_a_restore_with_wrong_words() {
  with_criu
  counting c1
  checkpoint --leave-running c1
  run_fails 1 'exists|in use' restore --detach --bundle "$B" --image-path "$T/images" c1
  run_ok delete --force c1
  differs runc 'leaves mounts'
  run_fails 1 'image-path: .*/nowhere/descriptors.json: .*ENOENT' restore --detach --bundle "$B" --image-path "$T/nowhere" c1
  run_fails 1 'config.json .*ENOENT' restore --detach --bundle "$T" --image-path "$T/images" c1
  run_fails 1 'needs --console-socket|no terminal' restore --detach --console-socket "$T/nowhere" --bundle "$B" --image-path "$T/images" c1
  FLAGS=(--criu /bin/true)
  run_fails 1 'without an answer' restore --detach --bundle "$B" --image-path "$T/images" c1
  FLAGS=(--criu "$CRIU")
  rm "$T"/images/pages-*
  run_fails 1 'CRIU: .*its log: .*restore.log' restore --detach --bundle "$B" --image-path "$T/images" c1
}

test_a_volume_that_is_gone() {
  with_criu
  mkdir "$T/volume"
  counting c1 --arg t "$T" 'bind($t + "/volume"; "/mnt"; [])'
  checkpoint c1
  rmdir "$T/volume"
  run_fails 1 'no such file' restore --detach --bundle "$B" --image-path "$T/images" c1
  mkdir "$T/volume"
  restore c1
  run_ok delete --force c1
}

test_a_runtime_that_is_killed_leaves_no_mount() {
  with_criu
  differs runc 'mounts on the host meanwhile'
  counting c1 --arg t "$T" 'hook("createRuntime"; "! [ -e " + $t + "/slow ] || { touch " + $t + "/began; sleep 100; }")'
  checkpoint c1
  touch "$T/slow"
  mounts_now
  local before=$MOUNTS
  "$RUNTIME" --root "$ROOT" "${FLAGS[@]}" restore --detach --bundle "$B" --image-path "$T/images" c1 >/dev/null 2>&1 </dev/null &
  local pid=$!
  eventually test -e "$T/began"
  mounts_now
  assert_eq "$MOUNTS" "$before"
  kill -KILL "$pid"
  wait "$pid" || :
  pkill -KILL -f 'sleep 100'
  run_ok delete --force c1
}

test_lsm_options_as_podman_asks() {
  with_criu
  rt restore --lsm-mount-context
  assert_match "$ERR" 'flag needs an argument'
  run_ok checkpoint --help
  run_ok restore --help
}

# Images hold the memory of the container.
test_images_are_the_callers_alone() {
  with_criu
  differs runc,crun "not looked at"
  umask 0
  counting c1
  checkpoint c1
  umask 022
  assert_eq "$(stat -c %a "$T/images")" 700
  assert_eq "$(find "$T/images" -type f ! -perm 600)" ''
}

# The root of a user namespace reads some of them when it is restored: it may by its group.
test_images_of_a_user_namespace_are_its_roots_and_the_callers() {
  with_criu
  differs runc,crun "not looked at"
  chmod 755 "$WORK" "$T"
  umask 0
  counting c1 'rw | userns'
  checkpoint c1
  umask 022
  assert_eq "$(stat -c '%a %u %g' "$T/images")" '710 0 200000'
  assert_eq "$(find "$T/images" -type f ! -perm 600 ! -perm 640)" ''
  assert_eq "$(find "$T/images" -name '*.img' ! -gid 200000)" ''
  run_ok restore --detach --bundle "$B" --image-path "$T/images" c1
  assert_status c1 running
}

# Of all mounts of the machine's cgroup2 there is one set of options.
test_the_options_of_the_cgroup_tree_stay() {
  with_criu
  differs runc,crun "not looked at"
  local before
  before=$(grep ' cgroup2 ' /proc/self/mounts)
  counting c1
  checkpoint c1
  assert_eq "$(grep ' cgroup2 ' /proc/self/mounts)" "$before"
  run_ok restore --detach --bundle "$B" --image-path "$T/images" c1
  assert_eq "$(grep ' cgroup2 ' /proc/self/mounts)" "$before"
}
