# create, start, state, kill, delete, run, list: what each does in each status, and what it prints.
# shellcheck shell=bash

test_create_start_kill_delete() {
  bundle c1 'args(["sleep", "100"])'
  run_ok create --bundle "$B" c1
  assert_status c1 created
  run_ok start c1
  assert_status c1 running
  pid_of c1
  run_ok kill c1 KILL
  eventually has_status c1 stopped
  run_ok delete c1
  assert_unknown c1
  assert_absent "/proc/$PID"
}

test_create_does_not_run_the_program() {
  bundle c1 'rw | sh("touch /ran; sleep 100")'
  run_ok create --bundle "$B" c1
  nap
  assert_absent "$B/rootfs/ran"
  run_ok start c1
  eventually test -e "$B/rootfs/ran"
}

test_state_of_a_created_container() {
  bundle c1 'args(["sleep", "100"]) | .annotations = {"org.example.a": "1", "b": ""} | .ociVersion = "1.0.1"'
  run_ok create --bundle "$B" c1
  run_ok state c1
  assert_jq "$OUT" '.id == "c1" and .status == "created" and .bundle == $b' --arg b "$B"
  assert_jq "$OUT" '.pid | type == "number" and . > 1'
  assert_jq "$OUT" '.created | test("^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(\\.[0-9]+)?Z$")'
  assert_exists "/proc/$(jq .pid <<<"$OUT")"
}

test_state_has_annotations_rootfs_and_version() {
  differs crun "no rootfs in the state, ociVersion always 1.0.0"
  bundle c1 'args(["sleep", "100"]) | .annotations = {"org.example.a": "1", "b": ""} | .ociVersion = "1.0.1"'
  run_ok create --bundle "$B" c1
  run_ok state c1
  assert_jq "$OUT" '.annotations["org.example.a"] == "1" and .annotations.b == ""'
  assert_jq "$OUT" '.rootfs == $r and has("owner") and (keys_unsorted[0] == "ociVersion")' --arg r "$B/rootfs"
}

test_state_version_is_the_bundles() {
  differs runc,crun "prints the version that the runtime was built for"
  bundle c1 'args(["sleep", "100"]) | .ociVersion = "1.0.1"'
  run_ok create --bundle "$B" c1
  run_ok state c1
  assert_jq "$OUT" '.ociVersion == "1.0.1"'
}

test_state_of_a_stopped_container_has_pid_0() {
  bundle c1 'args(["true"])'
  run_ok create --bundle "$B" c1
  run_ok start c1
  eventually has_status c1 stopped
  run_ok state c1
  assert_jq "$OUT" '.pid == 0'
}

test_state_is_pretty_json() {
  bundle c1 'args(["sleep", "100"])'
  run_ok create --bundle "$B" c1
  run_ok state c1
  assert_match "$OUT" $'^[{]\n[ \t]+"ociVersion": "'
}

# ---- each command in each status ----

make_status() { # created | running | stopped: the container c1 in that status
  local program='"sleep", "100"'
  [ "$1" != stopped ] || program='"true"'
  bundle c1 "args([$program])"
  run_ok create --bundle "$B" c1
  [ "$1" = created ] || run_ok start c1
  eventually has_status c1 "$1"
}

test_created_then_start() { make_status created; run_ok start c1; assert_status c1 running; }
test_created_then_kill() { make_status created; run_ok kill c1 KILL; eventually has_status c1 stopped; }
test_created_then_delete() {
  make_status created
  pid_of c1
  run_ok delete c1
  eventually is_gone "$PID"
  assert_unknown c1
}
test_created_then_delete_force() { make_status created; run_ok delete --force c1; assert_unknown c1; }
test_created_then_create() { make_status created; run_fails 1 'exist|already' create --bundle "$B" c1; assert_status c1 created; }

test_running_then_start() { make_status running; run_fails 1 'running|exec.fifo|status|state' start c1; assert_status c1 running; }
test_running_then_kill() { make_status running; run_ok kill c1 KILL; eventually has_status c1 stopped; }
test_running_then_delete() { make_status running; run_fails 1 'not (stopped|in)|running|state' delete c1; assert_status c1 running; }
test_running_then_delete_force() {
  make_status running
  pid_of c1
  run_ok delete --force c1
  eventually is_gone "$PID"
  assert_unknown c1
}
test_running_then_create() { make_status running; run_fails 1 'exist|already' create --bundle "$B" c1; assert_status c1 running; }
test_running_then_run() { make_status running; run_fails 1 'exist|already' run --bundle "$B" c1; assert_status c1 running; }

test_stopped_then_start() { make_status stopped; run_fails 1 'stopped|exec.fifo|not running|status|state' start c1; assert_status c1 stopped; }
test_stopped_then_kill() {
  differs crun "exit status 0, or another text"
  make_status stopped
  run_fails 1 'container not running' kill c1 KILL
  assert_status c1 stopped
}
test_stopped_then_kill_all() { make_status stopped; run_ok kill --all c1 KILL; }
test_stopped_then_delete() { make_status stopped; run_ok delete c1; assert_unknown c1; }
test_stopped_then_delete_force() { make_status stopped; run_ok delete -f c1; assert_unknown c1; }
test_stopped_then_create() { make_status stopped; run_fails 1 'exist|already' create --bundle "$B" c1; assert_status c1 stopped; }

test_no_container_then_any_command() {
  assert_unknown c1
  run_fails 1 "$UNKNOWN" start c1
  run_fails 1 "$UNKNOWN" kill c1
  run_fails 1 "$UNKNOWN" delete c1
}

test_no_container_then_delete_force_is_silent() { run_ok delete --force c1; assert_eq "$OUT" ''; }
test_deleted_twice() { make_status stopped; run_ok delete c1; run_fails 1 "$UNKNOWN" delete c1; run_ok delete --force c1; }

test_kill_after_the_init_was_killed_from_outside() {
  differs crun "exit status 0, or another text"
  make_status running
  pid_of c1
  kill -KILL "$PID"
  eventually has_status c1 stopped
  run_fails 1 'container not running' kill c1 KILL
}

test_a_zombie_init_is_stopped() {
  bundle c1 'args(["true"])'
  # A subreaper that does not reap: the dead init stays a zombie.
  "$STAGE/helpers/no-reap" "$RUNTIME" --root "$ROOT" run --detach --pid-file "$T/pid" --bundle "$B" c1 >"$T/reaper" 2>&1 &
  eventually is_line_in 'status 0' "$T/reaper"
  slurp PID "$T/pid"
  eventually grep -q '^State:.*Z' "/proc/$PID/status"
  assert_status c1 stopped
  run_ok delete c1
  kill %1
}

test_a_pid_of_another_process_is_not_trusted() {
  # The init is gone and a stranger has its pid: it is neither reported nor signalled.
  requires file /proc/sys/kernel/ns_last_pid
  make_status running
  pid_of c1
  local dead=$PID stranger=''
  kill -KILL "$dead"
  eventually is_gone "$dead"
  while [ "$stranger" != "$dead" ]; do
    echo $((dead - 1)) >/proc/sys/kernel/ns_last_pid
    sleep 100 &
    stranger=$!
    [ "$stranger" = "$dead" ] || { kill "$stranger"; wait "$stranger" || :; }
  done
  assert_status c1 stopped
  rt kill c1 KILL
  run_ok delete --force c1
  assert_match "$(<"/proc/$stranger/cmdline")" sleep
  kill "$stranger"
}

test_delete_removes_what_create_made() {
  make_status created
  assert_exists "$C"
  assert_exists "$ROOT/c1"
  run_ok delete --force c1
  assert_absent "$C"
  assert_absent "$ROOT/c1"
  assert_exists "$B/config.json"
}

test_the_same_id_can_be_used_again() {
  bundle c1 'args(["true"])'
  local i
  for i in 1 2 3; do run_ok run --bundle "$B" c1; done
}

test_two_state_folders_do_not_know_each_other() {
  make_status created
  local first=$ROOT
  ROOT=$T/other assert_unknown c1
  ROOT=$first
  assert_status c1 created
}

# ---- run ----

test_run_exits_with_the_programs_status() {
  bundle c1 'sh("exit 0")'; run_ok run --bundle "$B" c1
  bundle c1 'sh("exit 1")'; run_fails 1 '^$' run --bundle "$B" c1
  bundle c1 'sh("exit 42")'; run_fails 42 '^$' run --bundle "$B" c1
  bundle c1 'sh("exit 255")'; run_fails 255 '^$' run --bundle "$B" c1
}

test_run_of_a_killed_program_exits_with_128_and_the_signal() {
  bundle c1 'sh("kill -TERM $$; sleep 1; kill -KILL $$; sleep 5") | no_ns("pid")'
  run_fails 143 '^$' run --bundle "$B" c1
  bundle c1 'sh("kill -KILL $$; sleep 5") | no_ns("pid")'
  run_fails 137 '^$' run --bundle "$B" c1
}

test_run_passes_stdio_through() {
  bundle c1 'sh("cat; echo err >&2")'
  "$RUNTIME" --root "$ROOT" run --bundle "$B" c1 <<<'from stdin' >"$T/out" 2>"$T/err"
  assert_eq "$(<"$T/out")" 'from stdin'
  assert_eq "$(<"$T/err")" err
}

test_run_removes_the_container() {
  in_container 'exit 0'
  assert_unknown c1
  assert_absent "$C"
}

test_run_keep_keeps_it_stopped() {
  differs crun "1.8 has no --keep"
  bundle c1 'sh("exit 3")'
  rt run --keep --bundle "$B" c1
  assert_eq "$RC" 3
  assert_status c1 stopped
  run_ok delete c1
}

test_run_detach_returns_while_it_runs() {
  bundle c1 'args(["sleep", "100"])'
  run_ok run --detach --bundle "$B" c1
  assert_status c1 running
  run_ok delete -f c1
  bundle c2 'args(["sleep", "100"])'
  run_ok run -d -b "$B" c2
  assert_status c2 running
}

test_run_without_bundle_takes_the_current_folder() {
  bundle c1 'sh("echo here")'
  cd "$B"
  run_ok run c1
  assert_eq "$OUT" here
}

test_bundle_may_be_relative() {
  bundle c1 'args(["sleep", "100"])'
  cd "$T"
  run_ok create --bundle c1 c1
  run_ok state c1
  assert_jq "$OUT" '.bundle == $b' --arg b "$B"
}

test_flags_may_be_written_with_an_equals_sign() {
  bundle c1 'args(["sleep", "100"])'
  run_ok create --bundle="$B" --pid-file="$T/pid" c1
  assert_exists "$T/pid"
  "$RUNTIME" --root="$ROOT" state c1 >"$T/out"
}

test_root_may_be_relative_and_is_made_on_demand() {
  differs crun "loses the container"
  bundle c1 'args(["sleep", "100"])'
  cd "$T"
  assert_absent "$ROOT"
  ROOT=state run_ok create --bundle "$B" c1
  cd /
  assert_status c1 created
}

test_accepted_global_flags() {
  FLAGS=(--rootless false --log "$T/log.txt" --log-format text)
  bundle c1 'args(["true"])'
  run_ok run --bundle "$B" c1
  FLAGS=(--rootless=auto --log="$T/log.txt" --log-format=json)
  run_ok run --bundle "$B" c1
}

# ---- pid file ----

test_pid_file_holds_the_decimal_pid_only() {
  bundle c1 'args(["sleep", "100"])'
  run_ok create --bundle "$B" --pid-file "$T/pid" c1
  pid_of c1
  assert_eq "$(od -An -c "$T/pid" | tr -d ' \n')" "$PID"
}

test_pid_file_mode_is_0644() {
  differs crun "mode 0700"
  bundle c1 'args(["sleep", "100"])'
  run_ok create --bundle "$B" --pid-file "$T/pid" c1
  assert_eq "$(stat -c %a "$T/pid")" 644
}

test_pid_file_of_run_detached_and_relative() {
  differs crun "relative to another folder"
  bundle c1 'args(["sleep", "100"])'
  cd "$T"
  run_ok run -d --bundle "$B" --pid-file pid c1
  pid_of c1
  assert_eq "$(<"$T/pid")" "$PID"
}

test_pid_file_that_cannot_be_written_undoes_create() {
  bundle c1 'args(["sleep", "100"])'
  run_fails 1 'no such file' create --bundle "$B" --pid-file "$T/none/pid" c1
}

test_the_init_is_the_orphan_of_the_caller() {
  # The engine is a subreaper: once create returns, init's parent is the subreaper and no helper of the runtime lives.
  bundle c1 'args(["sleep", "100"])'
  "$STAGE/helpers/no-reap" "$RUNTIME" --root "$ROOT" create --pid-file "$T/pid" --bundle "$B" c1 >"$T/reaper" 2>&1 </dev/null &
  local reaper=$!
  eventually is_line_in 'status 0' "$T/reaper"
  assert_match "$(<"/proc/$(<"$T/pid")/status")" "PPid:[[:space:]]*$reaper"$'\n'
  run_ok delete -f c1
  kill %1
}

test_the_init_has_its_own_session() {
  bundle c1 'args(["sleep", "100"])'
  run_ok run -d --bundle "$B" c1
  pid_of c1
  assert_eq "$(ps -o sid= -p "$PID" | tr -d ' ')" "$PID"
}

# ---- ids ----

test_ids_that_are_names() {
  local id
  bundle c1 'args(["sleep", "100"]) | del(.linux.cgroupsPath)'
  [ "$RUNTIME_NAME" != crun ] || bundle c1 'args(["sleep", "100"])' # crun's default is outside of this case's cgroup
  for id in a A-b_c.d+e 0 "$(printf 'x%.0s' {1..64})"; do
    run_ok create --bundle "$B" "$id"
    run_ok delete --force "$id"
  done
}

test_ids_that_are_not_names() {
  local id
  differs crun "takes most of them as file names"
  bundle c1 'args(["sleep", "100"])'
  for id in ../x a/b . .. '' 'a b' $'a\nb' 'ä' 'a:b' '*'; do
    run_fails 1 'id' create --bundle "$B" "$id"
  done
}

test_id_that_is_too_long() {
  bundle c1 'args(["sleep", "100"])'
  run_fails 1 'id|long|state directory' create --bundle "$B" "$(printf 'x%.0s' {1..1025})"
}

test_create_needs_an_id() {
  bundle c1 'args(["sleep", "100"])'
  rt create --bundle "$B"
  [ "$RC" != 0 ] || fail "accepted"
  state_entries
  assert_eq "${#STATES[@]}" 0
}

# ---- list ----

test_list_of_nothing() {
  mkdir "$ROOT"
  run_ok list --quiet
  assert_eq "$OUT" ''
  run_ok list
  assert_match "$OUT" '^(ID|NAME) +PID +STATUS +BUNDLE +(PATH +)?CREATED +OWNER *$'
  run_ok list --format json
  assert_match "$OUT" '^(null|\[[[:space:]]*\])$'
}

test_list_table() {
  differs crun "the first column is NAME"
  make_status created
  run_ok list
  pid_of c1
  rt list
  assert_match "$OUT" '^ID +PID +STATUS +BUNDLE +CREATED +OWNER *'$'\n'"c1 +$PID +created +$B +20[^ ]+Z +root *$"
}

test_list_json() {
  bundle c1 'args(["sleep", "100"])'; run_ok create --bundle "$B" c1
  bundle c2 'args(["sleep", "100"])'; run_ok run -d --bundle "$B" c2
  run_ok list --format json
  assert_jq "$OUT" 'map([.id, .status]) == [["c1", "created"], ["c2", "running"]]'
  assert_jq "$OUT" 'all(.pid > 1 and .owner == "root" and (.created | startswith("20")))'
  assert_jq "$OUT" '.[1].bundle == $b' --arg b "$B"
  run_ok list -f json
  assert_jq "$OUT" 'length == 2'
}

test_list_of_more_than_descriptors() {
  bundle c 'args(["true"]) | del(.linux.cgroupsPath)' # a cgroup each
  local i
  for i in {1..24}; do run_ok run -d --bundle "$B" "c$i"; done
  ulimit -Sn 20
  run_ok list --format json
  assert_jq "$OUT" length==24
  run_ok list --quiet
  assert_eq "$(wc -l <<<"$OUT")" 24
}

test_list_json_has_runcs_keys() {
  differs crun "no ociVersion, rootfs and annotations"
  bundle c1 'args(["sleep", "100"]) | .annotations = {x: "y"}'
  run_ok create --bundle "$B" c1
  run_ok list -f json
  assert_jq "$OUT" '.[0] | keys - ["cgroup"] == ["annotations", "bundle", "created", "id", "ociVersion", "owner", "pid", "rootfs", "status"]'
  assert_jq "$OUT" '.[0].annotations.x == "y"'
}

test_list_quiet() {
  bundle c1 'args(["sleep", "100"])'; run_ok create --bundle "$B" c1
  bundle c2 'args(["sleep", "100"])'; run_ok create --bundle "$B" c2
  run_ok list --quiet
  assert_eq "$OUT" $'c1\nc2'
  run_ok list -q
  assert_eq "$OUT" $'c1\nc2'
}

test_list_with_an_unknown_format() {
  mkdir "$ROOT"
  rt list --format yaml
  assert_eq "$RC" 1
}

test_a_foreground_run_reaps_orphans_of_a_container_without_a_pid_namespace() {
  differs crun 'orphans are left to the caller'
  in_container '(sleep 0.05 & echo $! >/dev/shm/orphan); sleep 0.5; test -e /proc/$(cat /dev/shm/orphan) && echo zombie || echo reaped' 'no_ns("pid")'
  assert_eq "$OUT" reaped
  # Also one that is an orphan before `run` has anything to wait for.
  bundle c1 'sh("(sleep 1.5 & echo $! >/dev/shm/orphan); sleep 1; cut -d\" \" -f4 /proc/$(cat /dev/shm/orphan)/stat") | no_ns("pid") | hook("poststart"; "sleep 0.5")'
  "$RUNTIME" --root "$ROOT" run --bundle "$B" c1 >"$T/parent" 2>&1 &
  local runtime=$!
  wait $runtime || fail "$(<"$T/parent")"
  assert_eq "$(<"$T/parent")" "$runtime"
}

test_an_id_after_two_dashes() {
  bundle c1 'args(["true"])'
  run_ok run --bundle "$B" -- c1
  run_ok create --bundle "$B" -- -x
  run_ok start -- -x
  run_ok delete --force -- -x
}
