# Standard input, output and error that are pipes belong to the process's user, who can open them by name.
# shellcheck shell=bash disable=SC2016 # scripts are for the shell in the container

OPENS='read line </dev/stdin; echo "$line" >/dev/stdout; echo "to $line" >/dev/stderr'

# through_pipes COMMAND...: with three pipes, `word` in the first one; OUT and ERR are what came out of the others
through_pipes() {
  RC=0
  { echo word | "$@" | cat >"$T/out"; } 2>&1 | cat >"$T/err" || RC=$?
  slurp OUT "$T/out"
  slurp ERR "$T/err"
  [ "$RC" = 0 ] || fail "$(said "$@")"
}
opens() { # COMMAND...
  through_pipes "$@"
  assert_line "$OUT" word "$*: $ERR"
  assert_line "$ERR" 'to word' "$*"
}

test_run_as_a_user() {
  bundle c1 --arg s "$OPENS" 'sh($s) | .process.user = {uid: 1000, gid: 1000}'
  opens "$RUNTIME" --root "$ROOT" run --bundle "$B" c1
}

test_run_as_root_without_capabilities() {
  bundle c1 --arg s "$OPENS" 'sh($s) | caps([])'
  opens "$RUNTIME" --root "$ROOT" run --bundle "$B" c1
  # what another one of this machine's users hands to it
  OUT=$(echo word | setpriv --reuid 1000 --clear-groups sh -c 'exec cat' | { chown 1000 /proc/self/fd/0; "$RUNTIME" --root "$ROOT" run --bundle "$B" c1; } 2>"$T/err" | cat)
  assert_line "$OUT" word
}

test_run_in_a_user_namespace() {
  local user
  for user in 0 1000; do
    rm -rf "$T/c1"
    bundle c1 --arg s "$OPENS" --argjson u $user 'userns | sh($s) | .process.user = {uid: $u, gid: $u}'
    chmod 755 "$T" "$WORK"
    opens "$RUNTIME" --root "$ROOT" run --bundle "$B" c1
  done
}

test_exec_as_a_user() {
  bundle c1 'args(["sleep", "1000"])'
  run_ok run --detach --bundle "$B" c1
  opens "$RUNTIME" --root "$ROOT" exec --user 1000:1000 c1 sh -c "$OPENS"
  opens "$RUNTIME" --root "$ROOT" exec c1 sh -c "$OPENS"
}

test_exec_in_a_user_namespace() {
  chmod 755 "$T" "$WORK"
  bundle c1 'userns | args(["sleep", "1000"])'
  run_ok run --detach --bundle "$B" c1
  opens "$RUNTIME" --root "$ROOT" exec --user 1000:1000 c1 sh -c "$OPENS"
  opens "$RUNTIME" --root "$ROOT" exec c1 sh -c "$OPENS"
}

test_a_user_namespace_that_is_joined() {
  chmod 755 "$T" "$WORK"
  bundle c2 'userns | args(["sleep", "1000"])'
  run_ok run --detach --bundle "$B" c2
  pid_of c2
  bundle c1 --arg s "$OPENS" --arg ns "/proc/$PID/ns/user" 'userns | join_ns("user"; $ns) | sh($s) | .process.user = {uid: 1000, gid: 1000}'
  opens "$RUNTIME" --root "$ROOT" run --bundle "$B" c1
}

test_the_group_and_the_mode_of_a_pipe_stay() {
  mkfifo -m 640 "$T/fifo"
  chgrp 7 "$T/fifo"
  differs crun "gives the group too"
  bundle c1 'sh("true") | .process.user = {uid: 1000, gid: 1000}'
  "$RUNTIME" --root "$ROOT" create --bundle "$B" c1 <>"$T/fifo" >/dev/null 2>&1
  assert_eq "$(stat -c '%u %g %a' "$T/fifo")" '1000 7 640'
}

test_files_and_devices_stay_whose_they_are() {
  differs runc,crun "give files away too"
  : >"$T/file"
  bundle c1 'sh("true") | .process.user = {uid: 1000, gid: 1000}'
  "$RUNTIME" --root "$ROOT" run --bundle "$B" c1 <"$T/file" >"$T/file" 2>/dev/null
  assert_eq "$(stat -c '%u %g' "$T/file")" '0 0'
  assert_eq "$(stat -c '%u %g' /dev/null)" '0 0'
  python3 -c 'import os, socket, subprocess, sys
a, b = socket.socketpair()
subprocess.run(sys.argv[1:], stdout=b, check=True)
print(os.fstat(b.fileno()).st_uid)' "$RUNTIME" --root "$ROOT" run --bundle "$B" c1 >"$T/out"
  assert_eq "$(<"$T/out")" 0
}

test_descriptors_that_are_preserved_stay_whose_they_are() {
  bundle c1 'sh("stat -L -c %u /proc/self/fd/3") | .process.user = {uid: 1000, gid: 1000}'
  OUT=$(echo | { "$RUNTIME" --root "$ROOT" run --preserve-fds 1 --bundle "$B" c1 3<&0 </dev/null; })
  assert_eq "$OUT" 0
}

test_a_fifo_of_a_read_only_file_system_is_left_alone() {
  mkdir "$T/ro"
  mount -t tmpfs t "$T/ro"
  mkfifo -m 666 "$T/ro/fifo"
  mount -o remount,ro "$T/ro"
  bundle c1 'sh("echo ran") | .process.user = {uid: 1000, gid: 1000}'
  OUT=$("$RUNTIME" --root "$ROOT" run --bundle "$B" c1 <>"$T/ro/fifo") || { umount "$T/ro"; fail "refused"; }
  umount "$T/ro"
  assert_eq "$OUT" ran
}

test_what_is_closed_is_left_alone() {
  differs runc,crun "open what is missing anew"
  bundle c1 'sh("echo ran >&2") | .process.user = {uid: 1000, gid: 1000}'
  OUT=$("$RUNTIME" --root "$ROOT" run --bundle "$B" c1 2>&1 >&- <&-)
  assert_eq "$OUT" ran
}
