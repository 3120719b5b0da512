# spec and plan: the config.json to start from, and what would be done with one.
# shellcheck shell=bash

test_spec_is_the_known_default() {
  differs crun "another hostname, an empty inheritable set"
  mkdir "$T/b"
  cd "$T/b" || exit
  "$RUNTIME" spec
  # The version and the container's name are the runtime's own; a cgroup namespace is there on pure cgroup v2 only.
  local own='del(.ociVersion, .hostname) | .linux.namespaces |= sort_by(.type) | .linux.maskedPaths |= map(select(test("acpi|asound|kcore|keys|latency|timer|sched|firmware|/proc/scsi")) | sort)'
  assert_eq "$(jq -S "$own" config.json)" "$(jq -S "$own" "$STAGE/spec.json")"
}

test_spec_runs_as_it_is() {
  differs crun "without a cgroupsPath it goes below the root"
  mkdir "$T/c1"
  cp -al "$WORK/rootfs" "$T/c1/rootfs"
  cd "$T/c1" || exit
  "$RUNTIME" spec
  "$STAGE/helpers/tty" "$RUNTIME" --root "$ROOT" run c1 >"$T/tty" 2>&1 &
  eventually grep -q '# ' "$T/tty" # the shell's prompt
  run_ok kill c1 KILL
  local rc=0
  wait %1 || rc=$?
  assert_eq "$rc" 137
}

test_spec_into_a_bundle() {
  differs crun "1.8 has --bundle in another form"
  mkdir "$T/b"
  "$RUNTIME" spec --bundle "$T/b"
  assert_jq "$(<"$T/b/config.json")" '.root.path == "rootfs" and .process.args == ["sh"] and .process.terminal'
  mkdir "$T/c"
  "$RUNTIME" spec -b "$T/c"
  assert_exists "$T/c/config.json"
}

test_spec_leaves_out_what_it_does_not_say() {
  "$RUNTIME" spec --rootless --bundle "$T"
  assert_jq "$(<config.json)" '[.. | select(. == null)] == []'
}

test_spec_does_not_overwrite() {
  cd "$T" || exit
  echo mine >config.json
  local rc=0
  "$RUNTIME" spec >"$T/out" 2>"$T/err" || rc=$?
  assert_eq "$rc" 1
  assert_match "$(<"$T/err")" 'config.json.*exists'
  assert_eq "$(<config.json)" mine
}

test_spec_into_a_missing_folder() {
  local rc=0
  "$RUNTIME" spec --bundle "$T/none" >"$T/out" 2>"$T/err" || rc=$?
  assert_eq "$rc" 1
  assert_absent "$T/none"
}

test_plan_says_what_would_be_done_and_does_nothing() {
  differs runc,crun "have no plan"
  bundle c1 '.hostname = "planned" | tmpfs("/mnt"; ["size=1m"])'
  footprint
  local before=$FOOTPRINT
  "$RUNTIME" --root "$ROOT" plan "$B" >"$T/out" 2>"$T/err"
  slurp OUT "$T/out"
  assert_match "$OUT" planned
  assert_match "$OUT" '/mnt'
  assert_match "$OUT" 'size=1m|size.*1m'
  assert_eq "$(<"$T/err")" ''
  footprint
  assert_eq "$FOOTPRINT" "$before"
  assert_eq "$(ls -A "$B")" $'config.json\nrootfs'
}

test_plan_of_a_bad_bundle() {
  differs runc,crun "have no plan"
  bundle c1 '.process.cwd = "relative"'
  run_fails 1 'process\.cwd' plan "$B"
  run_fails 1 'no such file|config.json' plan "$T/none"
}

test_plan_of_the_same_bundle_is_the_same() {
  differs runc,crun "have no plan"
  bundle c1
  assert_eq "$("$RUNTIME" plan "$B")" "$("$RUNTIME" plan "$B")"
}
