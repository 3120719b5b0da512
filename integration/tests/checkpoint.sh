# Checkpoint and restore, by CRIU.
# shellcheck shell=bash

with_criu() {
  requires criu
  differs crun 'does not let itself be told which CRIU'
  FLAGS=(--criu "$CRIU")
}

# A word that is in its memory only, and a number that grows.
COUNTS='id=$(cat /proc/sys/kernel/random/uuid); n=0; while :; do n=$((n + 1)); echo "$id $n" >/dev/shm/n; sleep 0.02; done'
counting() { # ID [JQ-OPTION...] [FILTER]
  local id=$1 filter=.
  shift
  if [ $# -gt 0 ]; then filter=${*: -1}; set -- "${@:1:$#-1}"; fi
  bundle "$id" "$@" --arg script "$COUNTS" "sh(\$script) | $filter"
  detached "$id"
  eventually has_count "$id"
}
# Without a file of this machine's as its output, which runc could not save.
detached() { "$RUNTIME" --root "$ROOT" run --detach --bundle "$B" "$1" </dev/null >/dev/null 2>&1; }
has_count() { rt exec "$1" cat /dev/shm/n; [[ $OUT =~ ^([-0-9a-f]+)\ ([0-9]+)$ ]] && WORD=${BASH_REMATCH[1]} N=${BASH_REMATCH[2]}; }
goes_on_from() { # ID WORD N
  eventually has_count "$1"
  assert_eq "$WORD" "$2" "the word"
  local from=$3
  [ "$N" -ge "$from" ] || fail "$N after $from"
  eventually counts_beyond "$1" "$N"
}
counts_beyond() { has_count "$1" && [ "$N" -gt "$2" ]; }
checkpoint() { run_ok checkpoint --image-path "$T/images" "$@"; }
restore() { run_ok restore --detach --bundle "$B" --image-path "$T/images" "$@"; }

test_processes_go_on_where_they_were() {
  with_criu
  counting c1
  local word=$WORD n=$N
  checkpoint c1
  assert_unknown c1
  assert_absent "$C"
  restore --pid-file "$T/pid" c1
  assert_status c1 running
  pid_of c1
  assert_eq "$(<"$T/pid")" "$PID"
  goes_on_from c1 "$word" "$n"
  run_ok kill c1 KILL
  eventually has_status c1 stopped
  run_ok delete c1
}

test_twice_and_under_another_name() {
  with_criu
  counting c1
  local word=$WORD n=$N
  checkpoint c1
  restore c2
  goes_on_from c2 "$word" "$n"
  rm -r "$T/images"
  checkpoint c2
  restore c1
  goes_on_from c1 "$word" "$n"
  run_ok delete --force c1
}

test_in_another_containers_cgroup() {
  with_criu
  differs runc 'makes the cgroup anew that the first one had'
  counting c1
  local word=$WORD n=$N old=$C
  checkpoint c1
  bundle c2 --arg script "$COUNTS" 'sh($script)'
  restore c2
  pid_of c2
  assert_eq "$(grep ^0: "/proc/$PID/cgroup")" "0::$BASE/c2"
  assert_absent "$old"
  goes_on_from c2 "$word" "$n"
  run_ok delete --force c2
  assert_absent "$C"
}

test_an_option_may_be_repeated() {
  with_criu
  counting c1
  checkpoint --leave-running --leave-running --file-locks --file-locks c1
  assert_status c1 running
  run_ok delete --force c1
}

test_a_container_may_go_on() {
  with_criu
  counting c1
  local word=$WORD n=$N
  pid_of c1
  local pid=$PID
  checkpoint --leave-running c1
  pid_of c1
  assert_eq "$PID" "$pid"
  goes_on_from c1 "$word" "$n"
  run_ok delete --force c1
  restore c1
  goes_on_from c1 "$word" "$n"
  run_ok delete --force c1
}

test_a_paused_container() {
  with_criu
  counting c1
  local word=$WORD n=$N
  run_ok pause c1
  checkpoint c1
  assert_unknown c1
  restore c1
  goes_on_from c1 "$word" "$n"
  run_ok delete --force c1
}

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

test_in_a_user_namespace() {
  with_criu
  chmod 755 "$WORK" "$T"
  counting c1 'rw | userns'
  local word=$WORD n=$N
  checkpoint c1
  [ "$RUNTIME_NAME" != runc ] || chmod 711 "$T/images"
  restore c1
  goes_on_from c1 "$word" "$n"
  pid_of c1
  assert_eq "$(awk '/^Uid/ {print $2}' "/proc/$PID/status")" 100000
  run_ok exec c1 sh -c 'echo >/dev/null; id -u'
  assert_eq "$OUT" 0
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

test_in_the_foreground() {
  with_criu
  bundle c1 'sh("trap \"exit 7\" TERM; touch /dev/shm/ready; while :; do sleep 0.02; done")'
  detached c1
  eventually eval 'rt exec c1 test -e /dev/shm/ready; [ "$RC" = 0 ]'
  checkpoint c1
  "$RUNTIME" --root "$ROOT" "${FLAGS[@]}" restore --bundle "$B" --image-path "$T/images" c1 >/dev/null 2>&1 </dev/null &
  local pid=$! rc=0
  eventually eval 'rt state c1; [[ $OUT == *running* ]]'
  kill -TERM "$pid"
  wait "$pid" || rc=$?
  assert_eq "$rc" 7
  assert_unknown c1
}

test_a_terminal() {
  with_criu
  bundle c1 '.process.terminal = true | sh("n=0; while :; do n=$((n + 1)); echo \"line $n\"; sleep 0.02; done")'
  local tty=$STAGE/helpers/tty
  "$tty" listen "$T/sock" "$T/info" >"$T/console" &
  eventually test -S "$T/sock"
  run_ok run --detach --console-socket "$T/sock" --bundle "$B" c1
  eventually grep -q 'line 3' "$T/console"
  checkpoint c1
  wait
  "$tty" listen "$T/sock2" "$T/info2" >"$T/console2" &
  eventually test -S "$T/sock2"
  restore --console-socket "$T/sock2" c1
  eventually grep -q 'line' "$T/console2"
  assert_match "$(tr -d '\r' <"$T/console2" | head -1)" '^line [0-9]+$'
  grep -qx 'line 1' <(tr -d '\r' <"$T/console2") && fail 'it has begun anew'
  run_ok delete --force c1
}

test_hooks() {
  with_criu
  counting c1 --arg t "$T" 'hook("prestart"; "cat >>" + $t + "/prestart; echo >>" + $t + "/prestart") | hook("createRuntime"; "echo createRuntime >>" + $t + "/hooks")
    | hook("poststop"; "echo poststop >>" + $t + "/hooks")'
  checkpoint c1
  assert_eq "$(<"$T/hooks")" $'createRuntime\npoststop'
  restore c1
  assert_eq "$(<"$T/hooks")" $'createRuntime\npoststop\ncreateRuntime'
  pid_of c1
  assert_jq "$(tail -1 "$T/prestart")" ".pid == $PID and .id == \"c1\""
  run_ok delete --force c1
  assert_eq "$(tail -1 "$T/hooks")" poststop
}

test_a_failing_hook_of_restore() {
  with_criu
  counting c1 --arg t "$T" 'hook("createRuntime"; "! [ -e " + $t + "/broken ] || { echo broken; exit 1; }") | hook("poststop"; "echo poststop >>" + $t + "/hooks")'
  checkpoint c1
  touch "$T/broken"
  differs runc 'does not say which hook failed'
  run_fails 1 'hooks.createRuntime.0. /bin/sh: exit status 1: broken' restore --detach --bundle "$B" --image-path "$T/images" c1
  rm "$T/broken"
  restore c1
  run_ok delete --force c1
}

test_loopback_and_a_connection() {
  with_criu
  requires vm # CRIU 4.1 asks a socket for what Linux 6.18 does not tell
  differs runc 'leaves lo down'
  bundle c1 'sh("mkfifo /dev/shm/p; (nc -l -p 7000 <>/dev/shm/p >/dev/shm/got) & sleep 0.5; n=0; (while :; do n=$((n + 1)); echo $n; sleep 0.02; done) | nc 127.0.0.1 7000")
    | .root.readonly = false'
  ln -sf busybox "$B/rootfs/bin/nc"; ln -sf busybox "$B/rootfs/bin/mkfifo"; ln -sf busybox "$B/rootfs/bin/tail"
  detached c1
  got() { rt exec c1 sh -c 'tail -n 1 /dev/shm/got'; [[ $OUT =~ ^[0-9]+$ ]] && [ "$OUT" -gt "$1" ]; }
  eventually got 5
  local n=$OUT
  run_fails 1 'tcp-established|established|CRIU' checkpoint --image-path "$T/images" --network-lock nftables c1
  eventually got "$n"
  checkpoint --tcp-established --network-lock nftables c1
  restore --tcp-established --network-lock nftables c1
  eventually got $((n + 10))
  run_ok delete --force c1
}

test_a_network_namespace_that_is_joined() {
  with_criu
  touch "$T/net"
  unshare --net="$T/net" true
  counting c1 --arg net "$T/net" 'join_ns("network"; $net)'
  local word=$WORD n=$N there
  there=$(stat -Lc %i "$T/net")
  checkpoint c1
  restore c1
  goes_on_from c1 "$word" "$n"
  pid_of c1
  assert_eq "$(stat -Lc %i "/proc/$PID/ns/net")" "$there"
  run_ok delete --force c1
  umount "$T/net"
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

test_exec_has_the_session_keyring_of_the_restored_process() {
  with_criu
  differs runc 'gives a restored process the session keyring of its caller'
  requires debian
  local serial='syscall(250, 0, -3, 0)' # keyctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0)
  local told='$SIG{USR1} = sub {open F, ">/dev/shm/k.new"; print F '"$serial"'; close F; rename "/dev/shm/k.new", "/dev/shm/k"}; sleep 1 while 1'
  bundle c1 --arg r "$DEBIAN" --arg s "$told" '.root.path = $r | args(["perl", "-e", $s])'
  detached c1
  checkpoint c1
  restore c2 # under a name that no keyring has yet
  run_ok kill c2 USR1
  eventually eval 'rt exec c2 cat /dev/shm/k; [[ $OUT =~ ^[1-9][0-9]*$ ]]'
  local own=$OUT
  [ "$own" != "$(perl -e "print $serial")" ] || fail "it is the caller's"
  run_ok exec c2 perl -e "print $serial"
  assert_eq "$OUT" "$own"
  run_ok delete --force c2
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
  run_fails 1 '/proc/1/exe, is no file of the container' checkpoint --image-path "$T/images" c1
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
  run_fails 1 'config.json: .*ENOENT' restore --detach --bundle "$T" --image-path "$T/images" c1
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

test_memory_on_demand() {
  with_criu
  requires vm # the page server of CRIU 4.1 does not work on Linux 6.18
  counting c1
  local word=$WORD n=$N port=27113
  mkfifo "$T/status"
  exec {status}<>"$T/status"
  "$RUNTIME" --root "$ROOT" "${FLAGS[@]}" checkpoint --lazy-pages --page-server 127.0.0.1:$port --status-fd 9 --image-path "$T/images" --work-path "$T/work" c1 9>"$T/status" &
  local dump=$! byte
  IFS= read -rd '' -n 1 -t 20 -u "$status" byte || fail 'no byte on the status descriptor'
  "$CRIU" lazy-pages --page-server --address 127.0.0.1 --port $port -D "$T/images" -W "$T/work" &
  local daemon=$!
  eventually test -S "$T/work/lazy-pages.socket"
  bundle c2
  run_ok restore --detach --lazy-pages --bundle "$T/c2" --image-path "$T/images" --work-path "$T/work" c2
  goes_on_from c2 "$word" "$n"
  wait "$dump" || fail 'the checkpoint has failed'
  wait "$daemon" || fail 'criu lazy-pages has failed'
  assert_unknown c1
  run_ok delete --force c2
}

test_memory_in_rounds() {
  with_criu
  requires vm # a kernel that tracks changes of memory
  counting c1
  local word=$WORD n=$N
  run_ok checkpoint --pre-dump --image-path "$T/first" c1
  goes_on_from c1 "$word" "$n"
  n=$N
  run_ok checkpoint --parent-path ../first --image-path "$T/images" c1
  assert_exists "$T/images/parent"
  restore c1
  goes_on_from c1 "$word" "$n"
  run_ok delete --force c1
}

test_memory_in_rounds_where_nothing_is_tracked() {
  with_criu
  requires native
  counting c1
  local n=$N
  run_fails 1 'CRIU' checkpoint --pre-dump --image-path "$T/images" c1
  goes_on_from c1 "$WORD" "$n"
  run_ok delete --force c1
}

test_cgroups_below_the_containers() {
  with_criu
  requires vm # with a cgroup namespace on a v2 tree
  bundle c1 'rw | (.mounts[] | select(.destination == "/sys/fs/cgroup")).options -= ["ro"] | sh("mkdir /sys/fs/cgroup/below; echo $$ >/sys/fs/cgroup/below/cgroup.procs; while :; do cat /proc/self/cgroup >/dev/shm/n; sleep 0.1; done")'
  detached c1
  eventually eval 'rt exec c1 cat /dev/shm/n; [ "$OUT" = 0::/below ]'
  checkpoint c1
  assert_absent "$C"
  restore c1
  run_ok exec c1 rm /dev/shm/n
  eventually eval 'rt exec c1 cat /dev/shm/n; [ "$OUT" = 0::/below ]'
  pid_of c1
  assert_eq "$(<"/proc/$PID/cgroup")" "0::$BASE/c1/below"
  run_ok delete --force c1
}

test_in_the_hosts_cgroup_namespace() {
  with_criu
  counting c1 'no_ns("cgroup")'
  local word=$WORD n=$N
  checkpoint c1
  restore c1
  goes_on_from c1 "$word" "$n"
  pid_of c1
  assert_eq "$(readlink "/proc/$PID/ns/cgroup")" "$(readlink /proc/self/ns/cgroup)"
  assert_eq "$(grep ^0: "/proc/$PID/cgroup")" "0::$BASE/c1"
  run_ok delete --force c1
  rm -r "$T/images"
  counting c1 'no_ns("cgroup") | mount({destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["ro"]})'
  word=$WORD n=$N
  checkpoint c1
  restore c1
  goes_on_from c1 "$word" "$n"
  run_ok exec c1 grep ' /sys/fs/cgroup ' /proc/self/mounts
  run_ok delete --force c1
}

test_in_namespaces_of_the_hosts() {
  with_criu
  local kind word n
  for kind in network ipc uts pid; do
    counting c1 "no_ns(\"$kind\") | del(.hostname)"
    word=$WORD n=$N
    checkpoint c1
    restore c1
    goes_on_from c1 "$word" "$n"
    run_ok delete --force c1
    rm -r "$T/images"
  done
}
