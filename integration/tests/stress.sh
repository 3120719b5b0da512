# Many containers at once; a whole Debian system in one.
# shellcheck shell=bash

CASE_LIMIT=150

test_200_containers_in_parallel() {
  local i count=200 failed=0 jobs=()
  [ "$MODE" = native ] || count=60 # one slow processor
  mkdir "$T/c"
  cp -al "$WORK/rootfs" "$T/c/rootfs"
  for ((i = 1; i <= count; i++)); do
    mkdir "$T/b$i"
    jq --arg c "$BASE/s$i" --arg r "$T/c/rootfs" '.linux.cgroupsPath = $c | .root.path = $r | .process.args = ["sleep", "1000"]' "$WORK/base.json" >"$T/b$i/config.json"
  done
  batch() { # ARG...: the runtime with these arguments for each container at once; %i is its number
    local i pids=() pid
    for ((i = 1; i <= count; i++)); do
      "$RUNTIME" --root "$ROOT" "${@//%i/$i}" >>"$T/batch.out" 2>>"$T/batch.err" </dev/null &
      pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid" || failed=$((failed + 1)); done
    [ "$failed" = 0 ] || fail "$failed of $count failed: $*"$'\n'"$(head -5 "$T/batch.err")"
  }
  batch create --bundle "$T/b%i" "s%i"
  run_ok list --quiet
  assert_eq "$(wc -l <<<"$OUT")" "$count"
  batch start "s%i"
  run_ok list --format json
  assert_jq "$OUT" 'length == $n and all(.status == "running") and ([.[].pid] | unique | length) == $n' --argjson n "$count"
  batch kill "s%i" KILL
  eventually all_stopped
  batch delete "s%i"
  run_ok list --quiet
  assert_eq "$OUT" ''
}

all_stopped() { run_ok list --format json; jq -e 'all(.status == "stopped")' <<<"$OUT" >/dev/null; }

test_one_id_created_by_many_at_once() {
  bundle c1 'args(["sleep", "1000"])'
  local i won=0 pids=()
  for i in {1..20}; do "$RUNTIME" --root "$ROOT" create --bundle "$B" c1 >"$T/$i" 2>&1 </dev/null & pids+=($!); done
  for i in "${pids[@]}"; do ! wait "$i" || won=$((won + 1)); done
  assert_eq "$won" 1 "creates that succeeded"
  assert_status c1 created
  run_ok start c1
}

test_one_container_deleted_by_many_at_once() {
  bundle c1 'args(["sleep", "1000"])'
  run_ok run --detach --bundle "$B" c1
  local i pids=()
  for i in {1..20}; do "$RUNTIME" --root "$ROOT" delete --force c1 >"$T/$i" 2>&1 </dev/null & pids+=($!); done
  for i in "${pids[@]}"; do wait "$i" || :; done
  assert_unknown c1
  assert_absent "$C"
}

test_list_while_containers_come_and_go() {
  differs runc,crun "fail now and then"
  mkdir -p "$ROOT" # one that is named must be there
  bundle c1 'args(["true"])'
  local B1=$B i
  bundle c2 'args(["true"])'
  (for i in {1..15}; do "$RUNTIME" --root "$ROOT" run --bundle "$B1" c1; done) >"$T/1" 2>&1 &
  (for i in {1..15}; do "$RUNTIME" --root "$ROOT" run --bundle "$B" c2; done) >"$T/2" 2>&1 &
  for i in {1..30}; do run_ok list --format json; assert_jq "$OUT" '(. // []) | all(.id | test("^c[12]$"))'; done
  wait
  assert_eq "$(<"$T/1")$(<"$T/2")" ''
}

test_killed_create_can_be_cleaned_up() {
  # The engine dies or times out: whatever create had done by then, delete --force takes it away.
  differs runc,crun "leave processes or cgroups"
  bundle c1 'args(["sleep", "1000"])'
  local i
  for i in {1..20}; do
    "$RUNTIME" --root "$ROOT" create --bundle "$B" c1 >"$T/out" 2>&1 </dev/null &
    read -rt "0.0$((i % 10))$i" _ <>"$NEVER" || :
    kill -KILL %% 2>/dev/null || :
    wait %% 2>/dev/null || :
    rt delete --force c1
    eventually no_cgroup
  done
}
no_cgroup() { [ ! -e "$C" ] || { rt delete --force c1; [ ! -e "$C" ]; }; }

# ---- Debian ----

debian() { bundle c1 --arg r "$DEBIAN" ".root.path = \$r | .process.env += [\"HOME=/root\"] | $1"; }

test_debian_runs_bash() {
  requires debian
  debian 'args(["bash", "-c", "source /etc/os-release; echo $ID; dpkg -l base-files | tail -1 | cut -c1-2; exit 6"])'
  rt run --bundle "$B" c1
  assert_eq "$RC" 6
  assert_eq "$OUT" $'debian\nii'
}

test_debian_on_a_terminal() {
  differs crun "1.8 has no size"
  requires debian
  debian '.process.terminal = true | args(["bash", "-c", "tty; echo ready; read -r a; echo \"<$a>\"; stty size; exit 3"])'
  local rc=0
  "$STAGE/helpers/tty" --size 30x90 --send 'typed\n' "$RUNTIME" --root "$ROOT" run --bundle "$B" c1 >"$T/tty" || rc=$?
  assert_eq "$rc" 3
  assert_match "$(tr -d '\r' <"$T/tty")" '/dev/pts/0.*<typed>.*30 90'
}

test_debian_signals() {
  requires debian
  debian 'args(["bash", "-c", "trap \"echo term; exit 7\" TERM; echo ready; while :; do sleep 0.05; done"])'
  "$RUNTIME" --root "$ROOT" run --bundle "$B" c1 >"$T/out" 2>&1 &
  eventually is_line_in ready "$T/out"
  kill -TERM %1
  local rc=0
  wait %1 || rc=$?
  assert_eq "$rc" 7
  assert_eq "$(<"$T/out")" $'ready\nterm'
}
