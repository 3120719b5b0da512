# What the container's process is given: program, environment, folder, ids, capabilities, limits, signals, file descriptors.
# shellcheck shell=bash

# Fields of /proc/self/status in OUT.
assert_status_line() { assert_match "$OUT" "(^|"$'\n'")$1:[[:space:]]*$2("$'\n'"|$)"; } # NAME REGEX

# ---- args ----

test_args_are_passed_as_they_are() {
  bundle c1 'args(["sh", "-c", "for a; do echo \"<$a>\"; done", "zero", "a b", "", "*", "\"q\"", "ä"])'
  run_ok run --bundle "$B" c1
  assert_eq "$OUT" $'<a b>\n<>\n<*>\n<"q">\n<ä>'
}

test_program_is_found_by_path_inside_of_the_root() {
  bundle c1 'rw | .process.env = ["PATH=/nowhere:/opt/tools:/bin"] | args(["tool"])'
  mkdir "$B/rootfs/opt/tools"
  printf '#!/bin/sh\necho found $0\n' >"$B/rootfs/opt/tools/tool"
  chmod +x "$B/rootfs/opt/tools/tool"
  run_ok run --bundle "$B" c1
  assert_eq "$OUT" 'found /opt/tools/tool'
}

test_program_is_not_found_outside_of_the_root() {
  bundle c1 'args(["mmdebstrap"]) | .process.env = ["PATH=/usr/bin:/bin"]'
  run_fails 1 'executable file .?mmdebstrap.? not found in \$PATH|executable file not found in \$PATH' run --bundle "$B" c1
}

test_path_search_passes_over_what_cannot_be_executed() {
  bundle c1 'rw | .process.env = ["PATH=/opt/a:/opt/b:/opt/c"] | args(["tool"])'
  mkdir -p "$B/rootfs/opt"/{a/tool,b,c}
  echo text >"$B/rootfs/opt/b/tool"
  printf '#!/bin/sh\necho third\n' >"$B/rootfs/opt/c/tool"
  chmod +x "$B/rootfs/opt/c/tool"
  run_ok run --bundle "$B" c1
  assert_eq "$OUT" third
}

test_missing_program() {
  bundle c1 'args(["nosuch"])'
  run_fails 1 'executable file .*not found in \$PATH' run --bundle "$B" c1
  run_fails 1 'executable file .*not found in \$PATH' create --bundle "$B" c1
}

test_missing_program_given_by_path() {
  bundle c1 'args(["/bin/nosuch"])'
  run_fails 1 'no such file or directory' run --bundle "$B" c1
}

test_missing_program_is_named_in_the_text_that_engines_know() {
  differs crun "other words"
  bundle c1 'args(["nosuch"])'
  run_fails 1 'exec: \\*"nosuch\\*": executable file not found in \$PATH' create --bundle "$B" c1
}

test_program_that_is_a_folder() {
  differs crun "says not found"
  bundle c1 'args(["/etc"])'
  run_fails 1 'permission denied|is a directory' run --bundle "$B" c1
}

test_program_without_the_execute_bit() {
  bundle c1 'args(["/etc/passwd"])'
  run_fails 1 'permission denied' run --bundle "$B" c1
}

test_program_in_no_known_format() {
  bundle c1 'args(["/opt/text"])'
  printf 'neither ELF nor script\n' >"$B/rootfs/opt/text"
  chmod +x "$B/rootfs/opt/text"
  run_ok create --bundle "$B" c1
  rt start c1 # the kernel refuses it at the execve, in the container's process
  eventually has_status c1 stopped
}

test_script_whose_interpreter_is_missing() {
  bundle c1 'args(["/opt/script"])'
  printf '#!/bin/nosuch\n' >"$B/rootfs/opt/script"
  chmod +x "$B/rootfs/opt/script"
  rt run --bundle "$B" c1
  [ "$RC" != 0 ] || fail "accepted"
}

test_program_that_is_a_symlink() {
  bundle c1 'args(["/opt/echo", "through a link"])'
  ln -s /bin/echo "$B/rootfs/opt/echo" # absolute: must resolve inside of the root
  run_ok run --bundle "$B" c1
  assert_eq "$OUT" 'through a link'
}

# ---- env ----

test_env_is_exactly_what_the_config_says() {
  export SECRET=of-the-caller
  bundle c1 'args(["/bin/env"]) | .process.env = ["A=1", "B=x=y", "C=", "HOME=/h"]'
  run_ok run --bundle "$B" c1
  assert_eq "$(sort <<<"$OUT")" $'A=1\nB=x=y\nC=\nHOME=/h'
}

test_home_comes_from_passwd() {
  bundle c1 'args(["/bin/env"])'
  run_ok run --bundle "$B" c1
  assert_line "$OUT" HOME=/root
  bundle c1 'args(["/bin/env"]) | .process.user = {uid: 1000, gid: 1000}'
  run_ok run --bundle "$B" c1
  assert_line "$OUT" HOME=/home/user
}

test_home_of_an_unknown_user() {
  differs crun "sets none"
  bundle c1 'args(["/bin/env"]) | .process.user = {uid: 4321, gid: 0}'
  run_ok run --bundle "$B" c1
  assert_line "$OUT" HOME=/
}

test_home_that_no_program_could_be_given() {
  differs runc,crun "fail, or cut it off"
  local home
  for home in '/a\0b' "/$(head -c 200000 /dev/zero | tr '\0' x)"; do
    rm -rf "$T/c1"
    bundle c1 'sh("echo $HOME")'
    rm "$B/rootfs/etc/passwd" # a link to that of other bundles
    printf "root:x:0:0::$home:/bin/sh\n" >"$B/rootfs/etc/passwd"
    run_ok run --bundle "$B" c1
    assert_eq "$OUT" /
  done
}

test_empty_home_is_replaced() {
  differs crun "1.8 keeps it empty"
  bundle c1 'args(["/bin/env"]) | .process.env += ["HOME="]'
  run_ok run --bundle "$B" c1
  assert_line "$OUT" HOME=/root
}

test_home_that_is_set_is_kept() {
  in_container 'echo "$HOME"' '.process.env += ["HOME=/srv"]'
  assert_eq "$OUT" /srv
}

test_last_of_a_repeated_variable_wins() {
  in_container 'echo "$A"' '.process.env += ["A=first", "A=last"]'
  assert_eq "$OUT" last
}

test_env_entry_without_an_equals_sign() {
  differs crun "drops it"
  bundle c1 '.process.env += ["NAME"]'
  run_fails 1 'env' create --bundle "$B" c1
}

# ---- cwd ----

test_cwd() {
  in_container 'pwd' '.process.cwd = "/etc"'
  assert_eq "$OUT" /etc
}

test_missing_cwd_is_made() {
  in_container 'pwd; ls -ld . | head -c 10' 'rw | .process.cwd = "/srv/deep/folder"'
  assert_eq "$OUT" $'/srv/deep/folder\ndrwxr-xr-x'
  assert_exists "$B/rootfs/srv/deep/folder"
}

test_missing_cwd_is_made_below_a_read_only_root() {
  in_container 'pwd' '.process.cwd = "/made/here"'
  assert_eq "$OUT" /made/here
}

test_missing_cwd_behind_a_symlink_stays_inside() {
  bundle c1 'rw | args(["pwd"]) | .process.cwd = "/escape/made"'
  ln -s "$T" "$B/rootfs/escape"
  rt run --bundle "$B" c1
  assert_absent "$T/made"
}

test_cwd_that_only_the_user_may_enter() {
  bundle c1 'args(["pwd"]) | .process.cwd = "/home/user" | .process.user = {uid: 1000, gid: 1000}'
  chmod 700 "$B/rootfs/home/user"
  run_ok run --bundle "$B" c1
  assert_eq "$OUT" /home/user
}

test_cwd_that_is_a_file() {
  bundle c1 '.process.cwd = "/etc/passwd"'
  run_fails 1 'not a directory' create --bundle "$B" c1
}

# ---- user ----

test_user_ids() {
  in_container 'id -u; id -g; id -G' '.process.user = {uid: 1000, gid: 2000, additionalGids: [5, 3000, 2000]}'
  assert_match "$OUT" $'^1000\n2000\n'
  local groups
  groups=$(tail -1 <<<"$OUT" | tr ' ' '\n' | sort -un | tr '\n' ' ')
  assert_eq "$groups" '5 2000 3000 '
}

test_supplementary_groups_are_not_inherited() {
  bundle c1 'args(["/bin/cat", "/proc/self/status"])'
  setpriv --groups 7,8 "$RUNTIME" --root "$ROOT" run --bundle "$B" c1 >"$T/out"
  slurp OUT "$T/out"
  assert_status_line Groups '(0 ?)?'
}

test_all_four_ids_are_set() {
  in_container 'cat /proc/self/status' '.process.user = {uid: 1000, gid: 2000}'
  assert_status_line Uid $'1000\t1000\t1000\t1000'
  assert_status_line Gid $'2000\t2000\t2000\t2000'
}

test_umask_default_and_given() {
  in_container 'umask'
  assert_eq "$OUT" 0022
  in_container 'umask' '.process.user.umask = 63'
  assert_eq "$OUT" 0077
}

# ---- capabilities ----

test_capability_sets_of_root() {
  in_container 'cat /proc/self/status' '.process.capabilities = {
    bounding: ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW", "CAP_SYS_ADMIN"], permitted: ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"],
    effective: ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"], inheritable: ["CAP_CHOWN", "CAP_KILL"], ambient: ["CAP_KILL"]} | .process.noNewPrivileges = false'
  assert_status_line CapBnd 0000000000202021
  assert_status_line CapInh 0000000000000021
  # uid 0 gains at execve what is in the bounding set
  assert_status_line CapPrm 0000000000202021
  assert_status_line CapEff 0000000000202021
}

test_capability_sets_of_a_user() {
  in_container 'cat /proc/self/status' '.process.user = {uid: 1000, gid: 1000} | .process.capabilities = {
    bounding: ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"], permitted: ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"],
    effective: ["CAP_CHOWN", "CAP_KILL"], inheritable: ["CAP_KILL", "CAP_NET_RAW"], ambient: ["CAP_KILL"]}'
  assert_status_line CapBnd 0000000000002021
  assert_status_line CapInh 0000000000002020
  assert_status_line CapPrm 0000000000000020
  assert_status_line CapEff 0000000000000020
  assert_status_line CapAmb 0000000000000020
}

test_no_capabilities_at_all() {
  in_container 'cat /proc/self/status' '.process.capabilities = {}'
  assert_status_line CapBnd 0000000000000000
  assert_status_line CapPrm 0000000000000000
  assert_status_line CapEff 0000000000000000
  assert_status_line CapInh 0000000000000000
  assert_status_line CapAmb 0000000000000000
}

test_no_capabilities_object_means_none() {
  differs runc "without the object it drops nothing"
  differs crun "the same"
  in_container 'cat /proc/self/status' 'del(.process.capabilities)'
  assert_status_line CapBnd 0000000000000000
  assert_status_line CapEff 0000000000000000
}

test_unknown_capability_is_a_warning() {
  differs crun "silent"
  bundle c1 '.process.capabilities.bounding += ["CAP_NOSUCH"] | sh("echo ran")'
  FLAGS=(--log "$T/log.json" --log-format json)
  run_ok run --bundle "$B" c1
  assert_eq "$OUT" ran
  assert_jq "$(<"$T/log.json")" 'select(.level == "warning") | .msg | test("CAP_NOSUCH")'
}

# ---- limits and other settings ----

test_rlimits() {
  in_container 'cat /proc/self/limits' '.process.rlimits = [
    {type: "RLIMIT_NOFILE", soft: 100, hard: 200}, {type: "RLIMIT_CORE", soft: 0, hard: 0}, {type: "RLIMIT_STACK", soft: 1048576, hard: 2097152}]'
  assert_match "$OUT" 'Max open files +100 +200 '
  assert_match "$OUT" 'Max core file size +0 +0 '
  assert_match "$OUT" 'Max stack size +1048576 +2097152 '
}

test_rlimit_is_seen_by_ulimit() {
  in_container 'ulimit -Sn; ulimit -Hn' '.process.rlimits = [{type: "RLIMIT_NOFILE", soft: 64, hard: 128}]'
  assert_eq "$OUT" $'64\n128'
}

test_rlimit_above_the_hard_limit() {
  requires uml "CAP_SYS_RESOURCE"
  in_container 'ulimit -Hn' '.process.rlimits = [{type: "RLIMIT_NOFILE", soft: 500000, hard: 600000}]'
  assert_eq "$OUT" 600000
}

test_unset_rlimits_are_inherited() {
  bundle c1 'args(["/bin/cat", "/proc/self/limits"]) | .process.rlimits = []'
  (ulimit -c 4 && ulimit -n 333 && "$RUNTIME" --root "$ROOT" run --bundle "$B" c1) >"$T/out"
  assert_match "$(<"$T/out")" 'Max open files +333 +333 '
  assert_match "$(<"$T/out")" 'Max core file size +4096 +4096 '
}

test_no_new_privileges() {
  in_container 'cat /proc/self/status' '.process.noNewPrivileges = true'
  assert_status_line NoNewPrivs 1
  in_container 'cat /proc/self/status' '.process.noNewPrivileges = false'
  assert_status_line NoNewPrivs 0
}

test_oom_score_adj() {
  in_container 'cat /proc/self/oom_score_adj' '.process.oomScoreAdj = 321'
  assert_eq "$OUT" 321
}

test_unset_oom_score_adj_is_inherited() {
  bundle c1 'args(["/bin/cat", "/proc/self/oom_score_adj"])'
  (echo 77 >"/proc/$BASHPID/oom_score_adj" && exec "$RUNTIME" --root "$ROOT" run --bundle "$B" c1) >"$T/out"
  assert_eq "$(<"$T/out")" 77
}

test_oom_score_adj_may_be_lowered() {
  requires uml "CAP_SYS_RESOURCE"
  in_container 'cat /proc/self/oom_score_adj' '.process.oomScoreAdj = -500'
  assert_eq "$OUT" -500
}

test_signals_are_neither_ignored_nor_blocked() {
  bundle c1 'args(["/bin/cat", "/proc/self/status"])'
  run_ok run --bundle "$B" c1
  assert_status_line SigBlk 0000000000000000
  assert_status_line SigIgn 0000000000000000
}

test_signals_that_the_caller_ignores_or_blocks_are_reset() {
  differs runc,crun "some pass through"
  bundle c1 'args(["/bin/cat", "/proc/self/status"])'
  "$STAGE/helpers/bad-signals" "$RUNTIME" --root "$ROOT" run --bundle "$B" c1 >"$T/out"
  slurp OUT "$T/out"
  assert_status_line SigBlk 0000000000000000
  assert_status_line SigIgn 0000000000000000
}

test_the_process_is_the_first_and_a_session_leader() {
  in_container 'echo $$; cut -d" " -f1,4,5,6 /proc/1/stat'
  assert_eq "$OUT" $'1\n1 0 1 1'
}

test_the_program_is_dumpable_again() {
  bundle c1 'args(["sleep", "100"])'
  run_ok run -d --bundle "$B" c1
  pid_of c1
  assert_eq "$(stat -c %u "/proc/$PID")" 0
  assert_match "$(readlink "/proc/$PID/exe")" '/bin/busybox$'
}

# ---- session keyring ----

# Its serial number, by keyctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0).
serial="print syscall(${NR[keyctl]}, 0, -3, 0)"
session_keyring() { # RUN-OPTION...: that of a container, in OUT
  bundle c1 --arg r "$DEBIAN" --arg s "$serial" '.root.path = $r | args(["perl", "-e", $s])'
  run_ok run "$@" --bundle "$B" c1
}

test_session_keyring_is_new() {
  requires debian
  session_keyring
  assert_match "$OUT" '^[1-9][0-9]*$'
  [ "$OUT" != "$(perl -e "$serial")" ] || fail "it is the caller's"
}

test_session_keyring_is_named_after_the_container() {
  differs crun "another name"
  requires file /proc/keys
  in_container 'cat /proc/keys' '.linux.maskedPaths = []'
  assert_match "$OUT" 'keyring +_ses.c1'
}

test_no_new_keyring_keeps_the_callers() {
  requires debian
  local mine
  mine=$(perl -e "$serial")
  session_keyring --no-new-keyring
  assert_eq "$OUT" "$mine"
}

# ---- file descriptors ----

# fds_of ARG...: the numbers that are open in the container when run like that, with fds 3, 4, 5 and 9 open in the caller
list_fds='cd /proc/self/fd && for f in *; do [ ! -e "$f" ] || echo "$f $(readlink "$f")"; done'

test_only_stdio_survives() {
  bundle c1 --arg s "$list_fds" 'sh($s)'
  touch "$T/file"
  "$RUNTIME" --root "$ROOT" run --bundle "$B" c1 3<"$T/file" 4<"$T/file" 5<"$T/file" 9</ >"$T/out"
  assert_eq "$(cut -d' ' -f1 "$T/out" | tr '\n' ' ')" '0 1 2 '
}

test_preserve_fds() {
  bundle c1 'sh("cat <&3; cat <&4; [ ! -e /proc/self/fd/5 ]")'
  echo three >"$T/3"
  echo four >"$T/4"
  "$RUNTIME" --root "$ROOT" run --preserve-fds 2 --bundle "$B" c1 3<"$T/3" 4<"$T/4" 5<"$T/4" 9</ >"$T/out"
  assert_eq "$(<"$T/out")" $'three\nfour'
}

test_preserve_fds_with_create_and_start() {
  bundle c1 'sh("cat <&3")'
  echo three >"$T/3"
  "$RUNTIME" --root "$ROOT" create --preserve-fds=1 --bundle "$B" c1 3<"$T/3" >"$T/out"
  run_ok start c1
  eventually has_status c1 stopped
  assert_eq "$(<"$T/out")" three
}

test_preserve_fds_of_an_fd_that_the_caller_did_not_open() {
  differs runc,crun "what they opened themselves passes into the container"
  bundle c1
  run_fails 1 'preserve|fd|file descriptor' create --preserve-fds 1 --bundle "$B" c1
  exec 3</dev/null 5</dev/null # 6 is not open
  run_fails 1 'preserve|fd|file descriptor' create --preserve-fds 4 --bundle "$B" c1
}

# Engines pass the number of the last one, whatever is below it.
test_preserve_fds_with_holes_passes_what_is_there() {
  differs runc "fills the holes with what it has opened itself"
  local change
  for change in . '.annotations = {"org.knarr.init": "true"}' 'hook("startContainer"; "exit 0")'; do
    bundle c1 --arg s "$list_fds" "sh(\"cat <&5; \" + \$s) | $change"
    echo five >"$T/5"
    "$RUNTIME" --root "$ROOT" run --preserve-fds 4 --bundle "$B" c1 5<"$T/5" 6</dev/null >"$T/out"
    assert_line "$(<"$T/out")" five "$change"
    assert_eq "$(grep -E '^[0-9]+ ' "$T/out" | cut -d' ' -f1 | tr '\n' ' ')" '0 1 2 5 6 ' "$change"
    rm -rf "$T/c1"
  done
}

test_listen_fds() {
  differs crun "sets LISTEN_PID only"
  bundle c1 'sh("echo $LISTEN_FDS $LISTEN_PID; cat <&3; cat <&4")'
  echo three >"$T/3"
  echo four >"$T/4"
  (exec 3<"$T/3" 4<"$T/4"; LISTEN_FDS=2 LISTEN_PID=$BASHPID exec "$RUNTIME" --root "$ROOT" run --bundle "$B" c1) >"$T/out"
  assert_eq "$(<"$T/out")" $'2 1\nthree\nfour'
}

test_listen_fds_within_a_time() {
  differs runc,crun "have no --timeout"
  bundle c1 'sh("echo $LISTEN_FDS $LISTEN_PID; cat <&3")'
  echo three >"$T/3"
  (exec 3<"$T/3"; LISTEN_FDS=1 LISTEN_PID=$BASHPID exec "$RUNTIME" --root "$ROOT" --timeout 30s run --bundle "$B" c1) >"$T/out"
  assert_eq "$(<"$T/out")" $'1 1\nthree'
}

test_stdio_that_is_closed() {
  differs crun "fails"
  bundle c1 'sh("exit 7")'
  local rc=0
  "$RUNTIME" --root "$ROOT" run --bundle "$B" c1 <&- >&- 2>&- || rc=$?
  assert_eq "$rc" 7
}

test_the_runtime_is_not_reachable_for_writing() {
  # An open file of the runtime, taken from /proc/PID/exe before the execve, must not be a way to write the host's file later.
  bundle c1 'args(["sleep", "100"])'
  run_ok create --bundle "$B" c1
  pid_of c1
  exec 9<"/proc/$PID/exe"
  run_ok delete --force c1
  [ "$(stat -Lc '%d:%i' /proc/self/fd/9)" != "$(stat -Lc '%d:%i' "$RUNTIME")" ] || ! (: >>/proc/self/fd/9) 2>/dev/null ||
    fail "the runtime's own file can be written"
}

# ---- supplementary groups of the caller (Podman's --group-add keep-groups) ----
with_groups() { # the runtime, called by a user with groups 4242 and 4243
  differs runc 'it has no such annotation'
  real=$RUNTIME RUNTIME=$T/with-groups
  printf '#!/bin/sh\nexec setpriv --groups 4242,4243 -- %s "$@"\n' "$real" >"$RUNTIME"
  chmod +x "$RUNTIME"
}
test_original_groups_are_dropped() { with_groups; in_container 'id -G'; assert_eq "$OUT" 0; }
test_original_groups_are_kept() {
  with_groups
  in_container 'id -G' '.annotations["run.oci.keep_original_groups"] = "1"'
  assert_eq "$OUT" '0 4242 4243'
}
test_original_groups_are_kept_or_others_given() {
  differs runc,crun 'the annotation wins'
  bundle c1 '.annotations["run.oci.keep_original_groups"] = "1" | .process.user.additionalGids = [5]'
  run_fails 1 'process.user.additionalGids: given with' run --bundle "$B" c1
}

test_no_mapping_of_the_runtime_leads_to_the_hosts_file() {
  differs runc,crun "their init is another program"
  bundle c1 'args(["sleep", "100"])'
  run_ok create --bundle "$B" c1
  pid_of c1
  local own file files=("/proc/$PID/map_files"/*) before
  own=$(stat -Lc '%d:%i' "$RUNTIME")
  before=$(sha256sum <"$RUNTIME")
  [ ${#files[@]} -ge 2 ] || fail "no mappings are seen"
  assert_no_match "$(<"/proc/$PID/maps")" "$RUNTIME"
  for file in "${files[@]}" "/proc/$PID/exe"; do
    { : >>"$file"; } 2>/dev/null && fail "$file can be written"
  done
  [ "$(stat -Lc '%d:%i' "/proc/$PID/exe")" != "$own" ] || fail "/proc/PID/exe is the host's file"
  assert_eq "$(sha256sum <"$RUNTIME")" "$before"
}

# ---- the working directory is entered with root's rights first, then with the user's ----
test_cwd_that_only_root_may_enter() {
  bundle c1 'rw | .process.user = {uid: 1000, gid: 1000} | caps([]) | .process.cwd = "/private" | sh("pwd")'
  rm -rf "$B/rootfs"
  cp -a "$WORK/rootfs" "$B/rootfs"
  mkdir -m 700 "$B/rootfs/private"
  run_ok run --bundle "$B" c1
  assert_eq "$OUT" /private
}
# ---- --debug ----
test_debug_goes_to_standard_error() {
  bundle c1 'args(["true"])'
  FLAGS=(--debug)
  rt run --bundle "$B" c1
  assert_eq "$RC" 0
  assert_match "$ERR" 'level=debug'
}
test_debug_goes_to_the_log() {
  bundle c1 'args(["true"])'
  FLAGS=(--debug --log "$T/log" --log-format json)
  rt run --bundle "$B" c1
  assert_eq "$RC" 0
  assert_eq "$ERR" ''
  assert_jq "$(head -n 1 "$T/log")" '.level == "debug"'
}

# ---- processors: the caller's are not the container's ----

ALLOWED='sed -n "s/^Cpus_allowed_list:.//p" /proc/self/status'
all_processors() { ALL=$(taskset -c "$(</sys/devices/system/cpu/possible)" sed -n 's/^Cpus_allowed_list:.//p' /proc/self/status); [[ $ALL == *[-,]* ]] || skip "needs two processors"; }
on_the_first() { taskset -c "${ALL%%[-,]*}" "$RUNTIME" --root "$ROOT" "$@"; }

test_the_callers_processors_are_not_the_containers() {
  all_processors
  local change
  for change in . userns 'del(.linux.cgroupsPath)' 'no_ns("pid")' '.process.user.uid = 1000'; do
    rm -rf "$T/c1"
    chmod 755 "$T" "$WORK"
    bundle c1 --arg s "$ALLOWED" "sh(\$s) | $change"
    OUT=$(on_the_first run --bundle "$B" c1 2>/dev/null)
    assert_eq "$OUT" "$ALL" "$change"
  done
  find "$V2$BASE" -depth -type d -name c1 -exec rmdir {} +
}

test_the_callers_processors_are_not_those_of_exec() {
  all_processors
  bundle c1 'args(["sleep", "1000"])'
  run_ok run --detach --bundle "$B" c1
  assert_eq "$(on_the_first exec c1 sh -c "$ALLOWED")" "$ALL"
}

test_exec_on_initial_processors_alone_keeps_them() {
  differs crun "resets them"
  all_processors
  local first=${ALL%%[-,]*}
  bundle c1 --arg first "$first" 'args(["sleep", "1000"]) | .process.execCPUAffinity = {initial: $first}'
  run_ok run --detach --bundle "$B" c1
  assert_eq "$(on_the_first exec c1 sh -c "$ALLOWED")" "$first"
}

test_the_cgroups_processors_are_the_containers() {
  requires controller cpuset
  all_processors
  local first=${ALL%%[-,]*}
  bundle c1 --arg first "$first" --arg s "$ALLOWED" 'sh($s) | .linux.resources.cpu.cpus = $first'
  assert_eq "$("$RUNTIME" --root "$ROOT" run --bundle "$B" c1 2>/dev/null)" "$first"
}

# ---- programs that are there and do not run ----

test_a_program_that_is_there_and_does_not_run_says_why() {
  differs runc,crun "say what execve says"
  bundle c1
  local bin=$B/rootfs/bin
  printf '#!/nope/sh -e\necho x\n' >"$bin/no-interpreter"
  printf '#!/bin/sh\r\necho x\r\n' >"$bin/cr-lf"
  printf 'echo x\n' >"$bin/no-shebang"
  : >"$bin/empty"
  cp /bin/ls "$bin/no-loader"
  cp --remove-destination "$WORK/rootfs/bin/busybox" "$bin/other"
  printf '\x08\x00' | dd of="$bin/other" bs=1 seek=18 conv=notrunc status=none
  chmod 755 "$bin"/{no-interpreter,cr-lf,no-shebang,empty,no-loader,other}
  says() { refused "exec: \"/bin/$1\": $2" "args([\"/bin/$1\"])"; }
  says no-interpreter 'its interpreter "/nope/sh" is not there.*no such file or directory \(enoent\)'
  says cr-lf 'its first line ends in cr lf.*"/bin/sh\\r".*no such file or directory \(enoent\)'
  says no-shebang 'a script whose first line does not begin with "#!".*exec format error'
  says empty 'it is empty.*exec format error'
  says no-loader 'its loader "/lib[^"]*" is not there.*no such file or directory \(enoent\)'
  says other "it is a program for mips, and this machine is $(uname -m).*exec format error"
}

# forbids ACTION: a jq filter with a profile that does not let the process open a file.
forbids() { echo '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["open", "openat", "openat2", "read"], action: "'"$1"'"}]}'; }

test_it_says_why_where_the_filter_lets_it_open_nothing() {
  differs runc,crun "say what execve says"
  bundle c1
  local action
  printf '#!/nope/sh -e\necho x\n' >"$B/rootfs/bin/no-interpreter"
  cp /bin/ls "$B/rootfs/bin/no-loader"
  chmod 755 "$B/rootfs/bin"/no-*
  for action in SCMP_ACT_ERRNO SCMP_ACT_KILL_PROCESS; do
    refused 'exec: "/bin/no-interpreter": its interpreter "/nope/sh" is not there.*\(enoent\)' "args([\"/bin/no-interpreter\"]) | $(forbids $action)"
    refused 'exec: "/bin/no-loader": its loader "/lib[^"]*" is not there.*\(enoent\)' "args([\"/bin/no-loader\"]) | $(forbids $action)"
    refused 'exec: "/bin/no-loader": its loader "/lib[^"]*" is not there.*\(enoent\)' \
      "args([\"/bin/no-loader\"]) | $(forbids $action) | hook(\"startContainer\"; \"true\") | .process.env += [\"HOME=/\"] | .linux.seccomp.syscalls[0].names = [\"open\", \"openat2\"]"
  done
  bundle c1 "args([\"sleep\", \"100\"]) | $(forbids SCMP_ACT_KILL_PROCESS) | del(.linux.seccomp.syscalls[0].names[-1])"
  run_ok run --detach --bundle "$B" c1
  run_fails 255 'exec: "/bin/no-interpreter": its interpreter "/nope/sh" is not there' exec c1 /bin/no-interpreter
}
