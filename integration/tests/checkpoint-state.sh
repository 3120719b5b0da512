# Checkpoint and restore, by CRIU: what is kept of a process and its files.
# shellcheck shell=bash disable=SC2016 # scripts are for the shell in the container

# shellcheck source=../words/checkpoint.sh
. "$STAGE/words/checkpoint.sh"
# shellcheck source=../words/visible.sh
. "$STAGE/words/visible.sh"

test_what_the_process_is_stays() {
  with_criu
  local ids='{"uid": 1000, "gid": 100, "additionalGids": [10, 20], "umask": 23}'
  [ "$MODE" != native ] || ids='{"uid": 0, "gid": 0, "additionalGids": [10, 20], "umask": 23}' # CRIU needs CAP_SYS_RESOURCE for others
  counting c1 --argjson ids "$ids" 'rw | caps(["CAP_KILL", "CAP_NET_BIND_SERVICE"]) | .process.user = $ids
    | .process.noNewPrivileges = true | .process.oomScoreAdj = 321 | .process.rlimits = [{type: "RLIMIT_NOFILE", soft: 77, hard: 99}]
    | .hostname = "there" | .linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 71}]}'
  facts() {
    pid_of c1
    grep -E '^(Uid|Gid|Groups|Umask|Cap|NoNewPrivs|Seccomp)' "/proc/$PID/status"
    grep -E 'open files' "/proc/$PID/limits"
    cat "/proc/$PID/oom_score_adj"
    tr '\0' '\n' <"/proc/$PID/environ"
    readlink "/proc/$PID/cwd"
    run_ok exec c1 cat /proc/sys/kernel/hostname
    echo "$OUT"
    [ "$RUNTIME_NAME" = runc ] || awk '{print $5, $6}' "/proc/$PID/mountinfo" | sort
  }
  facts >"$T/before"
  checkpoint c1
  restore c1
  facts >"$T/after"
  diff "$T/before" "$T/after" || fail 'it has changed'
  grep -qx there "$T/after"
  assert_eq "$(cat "/proc/$PID/cgroup" | grep -c "^0::$BASE/c1$")" 1
  run_ok delete --force c1
}

test_nothing_of_the_host_is_to_be_seen() {
  with_criu
  counting c1
  checkpoint c1
  secrets_of_the_caller
  restore c1
  pid_of c1
  nothing_of_the_hosts
  run_ok delete --force c1
}

test_a_filter_still_refuses() {
  with_criu
  bundle c1 'rw | sh("while ! [ -e /dev/shm/go ]; do sleep 0.02; done; mkdir /dev/shm/new 2>/dev/shm/said; sleep 100")
    | .linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 71}]}'
  detached c1
  checkpoint c1
  restore c1
  run_ok exec c1 touch /dev/shm/go
  eventually eval 'rt exec c1 cat /dev/shm/said; [[ $OUT == *"Protocol error"* ]]'
  run_ok delete --force c1
}

test_limits_are_in_force_again() {
  with_criu
  requires controller pids
  counting c1 '.linux.resources.pids.limit = 7'
  checkpoint c1
  restore c1
  assert_limits pids.max=7
  rt exec c1 sh -c 'for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done; wait'
  assert_match "$ERR" "can't fork"
  run_ok delete --force c1
}

test_devices_are_refused_again() {
  with_criu
  counting c1 'rw | caps(["CAP_MKNOD"])'
  checkpoint c1
  restore c1
  rt exec c1 sh -c 'busybox mknod /dev/kmsg c 1 11 && cat /dev/kmsg'
  assert_match "$ERR" 'not permitted'
  run_ok delete --force c1
}

test_volumes_are_the_hosts_again() {
  with_criu
  mkdir -p "$T/volume/below" "$T/ro"
  echo one >"$T/file"
  mount -t tmpfs below "$T/volume/below"
  counting c1 --arg t "$T" 'rw | bind($t + "/volume"; "/mnt/volume"; []) | bind($t + "/file"; "/opt/file"; []) | bind($t + "/ro"; "/mnt/ro"; ["ro", "nosuid"]) | tmpfs("/var"; ["size=1m"])'
  run_ok exec c1 sh -c 'echo kept >/var/kept; echo before >/mnt/volume/said'
  checkpoint c1
  echo two >"$T/file"
  restore c1
  run_ok exec c1 cat /var/kept /opt/file /mnt/volume/said
  assert_eq "$OUT" $'kept\ntwo\nbefore'
  run_ok exec c1 sh -c 'echo after >/mnt/volume/said'
  assert_eq "$(<"$T/volume/said")" after
  rt exec c1 touch /mnt/ro/x
  assert_match "$ERR" 'Read-only'
  run_ok delete --force c1
  umount "$T/volume/below"
}

test_mounts_below_a_volume() {
  with_criu
  differs runc 'does not know mounts below a volume'
  mkdir -p "$T/volume/a b"
  mount -t tmpfs below "$T/volume/a b"
  counting c1 --arg t "$T" 'rw | mount({destination: "/mnt/volume", type: "bind", source: ($t + "/volume"), options: ["rbind"]})'
  run_ok exec c1 sh -c 'echo there >"/mnt/volume/a b/x"'
  checkpoint c1
  restore c1
  run_ok exec c1 cat '/mnt/volume/a b/x'
  assert_eq "$OUT" there
  run_ok delete --force c1
  umount "$T/volume/a b"
}

test_a_destination_through_a_symlink() {
  with_criu
  mkdir "$T/volume"
  bundle c1
  mkdir -p "$B/rootfs/real"
  ln -s ../real "$B/rootfs/var/link"
  counting c1 --arg t "$T" 'rw | bind($t + "/volume"; "/var/link/volume"; [])'
  checkpoint c1
  restore c1
  run_ok exec c1 touch /real/volume/x
  assert_exists "$T/volume/x"
  run_ok delete --force c1
}

test_a_missing_target_is_made_again() {
  with_criu
  mkdir "$T/volume"
  counting c1 --arg t "$T" 'rw | bind($t + "/volume"; "/made/for/it"; [])'
  checkpoint c1
  rm -r "$B/rootfs/made"
  restore c1
  run_ok exec c1 touch /made/for/it/x
  assert_exists "$T/volume/x"
  run_ok delete --force c1
}

test_many_processes_and_their_pipes() {
  with_criu
  bundle c1 'sh("(n=0; while :; do n=$((n + 1)); echo $n; sleep 0.02; done) | (while read -r n; do echo $n >/dev/shm/n; done)")'
  detached c1
  passed() { rt exec c1 cat /dev/shm/n; [[ $OUT =~ ^[0-9]+$ ]] && [ "$OUT" -gt "$1" ]; }
  eventually passed 3
  local n=$OUT shells before
  shells() { run_ok exec c1 cat /proc/1/task/1/children && shells=$(xargs -n 1 <<<"$OUT" | sort -n); }
  shells
  assert_eq "$(wc -l <<<"$shells")" 2
  before=$shells
  checkpoint c1
  restore c1
  eventually passed "$n"
  shells
  assert_eq "$shells" "$before" 'the pids'
  run_ok delete --force c1
}

test_output_goes_to_the_new_pipe() {
  with_criu
  bundle c1 'sh("n=0; while :; do n=$((n + 1)); echo $n; sleep 0.02; done")'
  mkfifo "$T/first" "$T/second"
  cat "$T/first" >"$T/first.out" &
  cat "$T/second" >"$T/second.out" &
  "$RUNTIME" --root "$ROOT" run --detach --bundle "$B" c1 >"$T/first" 2>/dev/null </dev/null
  eventually test -s "$T/first.out"
  checkpoint c1
  "$RUNTIME" --root "$ROOT" "${FLAGS[@]}" restore --detach --bundle "$B" --image-path "$T/images" c1 >"$T/second" 2>/dev/null </dev/null
  eventually test -s "$T/second.out"
  run_ok delete --force c1
  wait
  local last first
  last=$(tail -1 "$T/first.out") first=$(head -1 "$T/second.out")
  [ $((first - last)) -le 2 ] && [ "$first" -ge "$last" ] || fail "from $last to $first"
}

test_null_stays_null_whatever_the_caller_has() {
  with_criu
  counting c1
  local word=$WORD n=$N
  checkpoint c1
  "$RUNTIME" --root "$ROOT" "${FLAGS[@]}" restore --detach --bundle "$B" --image-path "$T/images" c1 < <(:) > >(cat >"$T/out") 2>&1
  goes_on_from c1 "$word" "$n"
  pid_of c1
  assert_eq "$(readlink "/proc/$PID/fd/0")" /dev/null
  run_ok delete --force c1
}

test_output_to_a_file_of_the_hosts() {
  with_criu
  differs runc 'cannot save a container that writes to a file'
  bundle c1 'sh("n=0; while :; do n=$((n + 1)); echo $n; sleep 0.02; done")'
  run_ok run --detach --bundle "$B" c1
  local log=$LOG n
  eventually test -s "$log"
  checkpoint c1
  n=$(wc -l <"$log")
  # The same file, as it was: CRIU checks its size.
  "$RUNTIME" --root "$ROOT" "${FLAGS[@]}" restore --detach --bundle "$B" --image-path "$T/images" c1 >>"$log" 2>>"${log%out}err" </dev/null
  eventually eval '[ "$(wc -l <"$log")" -gt "$n" ]'
  run_ok delete --force c1
  diff "$log" <(seq "$(wc -l <"$log")") || fail 'it has not gone on'
}

test_a_lock_of_a_file() {
  with_criu
  requires vm # /proc/locks names no process of a pid namespace
  bundle c1 'bind("/usr"; "/usr"; ["ro"]) | args(["/usr/bin/flock", "/dev/shm/lock", "sh", "-c", "touch /dev/shm/ready; while :; do sleep 0.1; done"])'
  ln -s usr/lib "$B/rootfs/lib"
  ln -s usr/lib64 "$B/rootfs/lib64"
  detached c1
  eventually eval 'rt exec c1 test -e /dev/shm/ready; [ "$RC" = 0 ]'
  run_fails 1 'CRIU' checkpoint --image-path "$T/images" c1
  assert_status c1 running
  checkpoint --file-locks c1
  restore --file-locks c1
  rt exec c1 /usr/bin/flock -n /dev/shm/lock true
  assert_eq "$RC" 1
  run_ok delete --force c1
}
