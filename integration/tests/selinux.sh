# Labels of SELinux, in enforcing mode, under a policy of the tests' own (helpers/selinux.cil).
# lsm: selinux
# shellcheck shell=bash

# shellcheck source=../words/selinux.sh
. "$STAGE/words/selinux.sh"

# labelled LABEL SCRIPT [FILTER]: run SCRIPT with the label
labelled() { enforcing; in_container "$2" --arg l "$1" ".process.selinuxLabel = \$l | ${3:-.}"; }
# file_with LABEL TEXT: a file `secret` with the label in the container's root
file_with() { rm -f "$T/secret"; echo "$2" >"$T/secret"; chcon "$1" "$T/secret"; }
# file_mount: a jq filter that binds it
file_mount() { echo "bind(\"$T/secret\"; \"/secret\"; [])"; }
label_of() { stat -c %C "/proc/$PID/root$1"; }
created() { # FILTER: c1 is created with the labels
  enforcing
  bundle c1 --arg process "$PROCESS" --arg files "$FILES" \
    ".process.selinuxLabel = \$process | .linux.mountLabel = \$files | args([\"sleep\", \"100\"]) | $1"
  run_ok run --detach --bundle "$B" c1
  pid_of c1
}
own_rootfs() { # of c1, for a user namespace
  bundle c1
  rm -rf "$B/rootfs"
  cp -a "$WORK/rootfs" "$B/rootfs"
  chmod 755 "$WORK" "$T" # runc and crun walk the path as the container's root
}

# ---- the process ----
test_process_has_the_label() {
  labelled "$PROCESS" 'cat /proc/self/attr/current'
  assert_eq "$OUT" "$PROCESS"
}
test_without_a_label_it_has_the_callers() {
  enforcing
  in_container 'cat /proc/self/attr/current'
  assert_eq "$OUT" "$RUNTIME_LABEL"
}
test_label_of_a_user_without_rights() {
  labelled "$PROCESS" 'id -u; cat /proc/self/attr/current' '.process.user = {uid: 1000, gid: 1000} | caps([])'
  assert_eq "$OUT" "1000"$'\n'"$PROCESS"
}
test_label_with_no_new_privileges() {
  labelled "$PROCESS" 'cat /proc/self/attr/current' '.process.noNewPrivileges = true'
  assert_eq "$OUT" "$PROCESS"
}
test_label_in_a_user_namespace() {
  enforcing
  own_rootfs
  bundle c1 --arg l "$PROCESS" 'userns | sh("cat /proc/self/attr/current") | .process.selinuxLabel = $l'
  run_ok run --bundle "$B" c1
  assert_eq "$OUT" "$PROCESS"
}
test_label_of_an_init_and_its_process() {
  differs runc,crun 'have no --init'
  enforcing
  bundle c1 --arg l "$PROCESS" '.process.selinuxLabel = $l | sh("cat /proc/1/attr/current; echo; cat /proc/self/attr/current")'
  rt run --init --bundle "$B" c1
  assert_eq "$(tr -d '\0' <"$LOG")" "$PROCESS"$'\n'"$PROCESS"
}
test_hooks_of_the_container_have_it_too() {
  enforcing
  bundle c1 --arg l "$PROCESS" '.process.selinuxLabel = $l | args(["true"])
    | hook("startContainer"; "read -r label </proc/self/attr/current; [ \"$label\" = '"$PROCESS"' ] || { echo $label; exit 1; }")'
  run_ok run --bundle "$B" c1
}
test_what_the_domain_may_not_read_is_refused() {
  enforcing
  file_with system_u:object_r:secret_t:s0 told
  labelled "$PROCESS" 'cat /secret 2>&1; :' "$(file_mount)"
  assert_match "$OUT" 'Permission denied'
  labelled system_u:system_r:spc_t:s0 'cat /secret 2>&1; :' "$(file_mount)"
  assert_eq "$OUT" told
}
test_categories_part_containers() {
  enforcing
  file_with system_u:object_r:container_file_t:s0:c3 told
  labelled "$PROCESS" 'cat /secret 2>&1; :' "$(file_mount)"
  assert_match "$OUT" 'Permission denied'
  labelled system_u:system_r:container_t:s0:c3 'cat /secret 2>&1; :' "$(file_mount)"
  assert_eq "$OUT" told
}
test_label_that_the_policy_has_not() {
  enforcing
  refused 'process.selinuxLabel: .*frob_t.*EINVAL|frob_t.*invalid argument|keycreate.*invalid argument' '.process.selinuxLabel = "system_u:system_r:frob_t:s0"'
  bundle c1 '.process.selinuxLabel = "nonsense"'
  run_fails 1 'process.selinuxLabel: .*nonsense.*attr/exec: .*EINVAL|invalid argument' run --no-new-keyring --bundle "$B" c1
}
test_label_that_nobody_may_become() {
  enforcing
  bundle c1 '.process.selinuxLabel = "system_u:system_r:stranger_t:s0" | args(["true"])'
  rt run --bundle "$B" c1
  assert_match "${ERR,,}" 'permission denied'
  [ "$RC" != 0 ]
}

# ---- exec ----
test_exec_has_the_containers_label() {
  created .
  run_ok exec c1 cat /proc/self/attr/current
  assert_eq "$OUT" "$PROCESS"
}
test_exec_with_a_label() {
  created .
  run_ok exec --process-label system_u:system_r:spc_t:s0:c3 c1 cat /proc/self/attr/current
  assert_eq "$OUT" system_u:system_r:spc_t:s0:c3
}
test_exec_with_a_process_file() {
  created .
  jq '{args: ["cat", "/proc/self/attr/current"], cwd: "/", user: {uid: 0, gid: 0}, env: ["PATH=/bin"], selinuxLabel: "system_u:system_r:spc_t:s0"}' \
    -n >"$T/process.json"
  run_ok exec --process "$T/process.json" c1
  assert_eq "$OUT" system_u:system_r:spc_t:s0
}
test_exec_with_a_process_file_without_a_label() {
  created .
  jq '{args: ["cat", "/proc/self/attr/current"], cwd: "/", user: {uid: 0, gid: 0}, env: ["PATH=/bin"]}' -n >"$T/process.json"
  run_ok exec --process "$T/process.json" c1
  assert_eq "$OUT" "$PROCESS"
  run_ok exec --process-label '' c1 cat /proc/self/attr/current
  assert_eq "$OUT" "$PROCESS"
}
test_exec_with_a_label_that_the_policy_has_not() {
  created .
  rt exec --process-label system_u:system_r:frob_t:s0 c1 true
  assert_match "${ERR,,}" 'frob_t.*einval|invalid argument'
  assert_status c1 running
  assert_eq "$(wc -l <"$C/cgroup.procs")" 1
}

# ---- keys ----
keyring_label() { # ID FILTER: the label of the session keyring that a container with this id and label makes, in LABEL
  enforcing
  differs crun 'the keyring has another name'
  bundle "$1" --arg l "$PROCESS" "del(.linux.maskedPaths) | .process.selinuxLabel = \$l | args([\"sleep\", \"100\"]) | $2"
  run_ok run --detach --bundle "$B" "$1"
  run_ok exec "$1" cat /proc/keys
  [[ $OUT =~ ([0-9a-f]{8})\ [^:]*\ _ses.$1: ]] || fail "no session keyring in: $OUT"
  LABEL=$("$STAGE/helpers/key-label" "${BASH_REMATCH[1]}")
}
test_session_keyring_has_the_label() { keyring_label labelled .; assert_eq "$LABEL" "$PROCESS"; }
test_session_keyring_without_a_label() { keyring_label plain 'del(.process.selinuxLabel)'; assert_eq "$LABEL" "$RUNTIME_LABEL"; }

# ---- mountLabel ----
test_new_filesystems_have_the_label() {
  created 'tmpfs("/mnt"; [])'
  local path
  for path in /dev /dev/null /dev/fd /dev/pts /dev/pts/ptmx /dev/shm /mnt; do assert_eq "$(label_of $path)" "$FILES" $path; done
  assert_match "$(grep ' /mnt ' "/proc/$PID/mountinfo")" "context=\"?$FILES"
  run_ok exec c1 sh -c 'echo x >/mnt/file && cat /mnt/file'
  assert_eq "$OUT" x
  assert_eq "$(label_of /mnt/file)" "$FILES"
}
test_message_queues_have_the_label_and_kernel_filesystems_have_not() {
  created .
  assert_eq "$(label_of /dev/mqueue)" "$FILES"
  assert_eq "$(label_of /proc/version)" system_u:object_r:file_t:s0
  assert_eq "$(label_of /sys/kernel)" system_u:object_r:file_t:s0
}
test_bind_mounts_keep_their_labels() {
  enforcing
  file_with system_u:object_r:container_file_t:s0:c1 x
  created "$(file_mount)"
  assert_eq "$(label_of /secret)" system_u:object_r:container_file_t:s0:c1
  assert_eq "$(label_of /bin/busybox)" system_u:object_r:container_file_t:s0
}
test_masked_folders_have_the_label() {
  created '.linux.maskedPaths = ["/opt"]'
  assert_eq "$(label_of /opt)" "$FILES"
}
test_another_context_than_that_of_all_files() {
  differs runc 'has no such annotation'
  created '.annotations["run.oci.mount_context_type"] = "rootcontext" | tmpfs("/mnt"; [])'
  assert_eq "$(label_of /mnt)" "$FILES"
  run_ok exec c1 touch /mnt/file
  # One of the root only: files get theirs by policy.
  assert_no_match "$(grep ' /mnt ' "/proc/$PID/mountinfo")" ' context='
}
test_a_context_of_the_mount_itself_comes_first() {
  differs runc,crun 'the kernel refuses two'
  created 'tmpfs("/mnt"; ["context=system_u:object_r:container_file_t:s0:c1"])'
  assert_eq "$(label_of /mnt)" system_u:object_r:container_file_t:s0:c1
}
test_an_overlay_has_the_label() {
  differs runc,crun 'have no overlay root'
  created 'rw | .annotations["org.knarr.overlay"] = "ephemeral"'
  assert_eq "$(label_of /bin/busybox)" "$FILES"
  run_ok exec c1 touch /new
  assert_eq "$(label_of /new)" "$FILES"
}
test_mount_label_in_a_user_namespace() {
  enforcing
  own_rootfs
  created userns
  for path in /dev /dev/pts /dev/shm /dev/mqueue; do assert_eq "$(label_of $path)" "$FILES" $path; done
}
test_mount_label_that_the_policy_has_not() {
  enforcing
  refused 'frob_t.*EINVAL|invalid argument' '.linux.mountLabel = "system_u:object_r:frob_t:s0"'
}
test_features_tell_of_it() {
  differs crun 'too old'
  enforcing
  run_ok features
  assert_jq "$OUT" '.linux.selinux.enabled'
}
