# What `state` and `list` tell beside what engines read: where a container is counted, since when it runs, how it ended; and which
# containers `list` prints, in which order.
# shellcheck shell=bash

own() { differs runc,crun "what knarr tells beside runc's fields"; }

test_state_tells_the_cgroup() {
  differs runc "no cgroup in the state"
  differs crun "the cgroup is told without the mount point"
  bundle c1 'args(["sleep", "100"])'
  run_ok create --bundle "$B" c1
  run_ok state c1
  assert_jq "$OUT" '.cgroup == $c' --arg c "$C"
  run_ok list -f json
  assert_jq "$OUT" '.[0].cgroup == $c' --arg c "$C"
}

test_without_a_cgroup_none_is_told() {
  own
  bundle c1 'args(["sleep", "100"])'
  FLAGS=(--cgroup-manager disabled)
  run_ok create --bundle "$B" c1
  run_ok state c1
  assert_jq "$OUT" 'has("cgroup") or has("systemd-scope") | not'
}

test_started_is_told_when_it_is_so() {
  own
  bundle c1 'args(["sleep", "100"])'
  run_ok create --bundle "$B" c1
  run_ok state c1
  assert_jq "$OUT" 'has("started") | not'
  nap
  run_ok start c1
  run_ok state c1
  assert_jq "$OUT" '.started | test("^20[0-9-]{8}T[0-9:.]+Z$")'
  assert_jq "$OUT" '.started > .created'
  local before=$OUT
  run_ok pause c1
  run_ok resume c1
  run_ok state c1
  assert_eq "$(jq .started <<<"$OUT")" "$(jq .started <<<"$before")"
}

test_a_container_that_is_killed_before_its_start_has_not_started() {
  own
  bundle c1 'args(["sleep", "100"])'
  run_ok create --bundle "$B" c1
  run_ok kill c1 KILL
  eventually has_status c1 stopped
  run_ok state c1
  assert_jq "$OUT" 'has("started") | not'
}

test_run_tells_when_it_started() {
  own
  bundle c1 'args(["sleep", "100"])'
  run_ok run -d --bundle "$B" c1
  run_ok state c1
  assert_jq "$OUT" '.started >= .created'
}

test_a_kept_container_tells_how_it_ended() {
  own
  bundle c1 'sh("exit 7")'
  rt run --keep --bundle "$B" c1
  assert_eq "$RC" 7
  run_ok state c1
  assert_jq "$OUT" '.status == "stopped" and .exitStatus == 7 and .exited >= .started'
  bundle c2 'sh("kill -9 $$") | no_ns("pid")'
  rt run --keep --bundle "$B" c2
  run_ok state c2
  assert_jq "$OUT" '.exitStatus == 137'
}

test_one_that_nobody_has_reaped_tells_how_it_ended() {
  own
  bundle c1 'sh("exit 9")'
  # `no-reap` is its parent, and waits for nobody.
  "$STAGE/helpers/no-reap" "$RUNTIME" --root "$ROOT" run -d --bundle "$B" c1 >"$T/log" 2>&1 &
  local parent=$!
  eventually has_status c1 stopped
  run_ok state c1
  kill -KILL $parent
  assert_jq "$OUT" '.exitStatus == 9 and (has("exited") | not)'
}

test_what_nobody_knows_is_not_told() {
  own
  bundle c1 'args(["true"])'
  run_ok run -d --bundle "$B" c1
  eventually has_status c1 stopped
  gone() { run_ok state c1; jq -e 'has("exitStatus") | not' <<<"$OUT" >/dev/null; } # as soon as it is reaped
  eventually gone
  assert_jq "$OUT" 'has("exited") | not'
}

test_the_folder_of_an_overlay_is_told() {
  own
  mkdir "$T/changes"
  bundle c1 'args(["sleep", "100"])'
  run_ok run -d --overlay="$T/changes" --bundle "$B" c1
  run_ok state c1
  assert_jq "$OUT" '.overlay == $o' --arg o "$T/changes"
}

three() {
  bundle c1 'args(["sleep", "100"]) | .annotations = {team: "red"}'; run_ok create --bundle "$B" c1
  bundle c3 'args(["sleep", "100"]) | .annotations = {team: "blue"}'; run_ok run -d --bundle "$B" c3
  bundle c2 'args(["true"])'; run_ok run -d --bundle "$B" c2
  eventually has_status c2 stopped
}

test_list_by_status() {
  own
  three
  run_ok list -q --filter status=running
  assert_eq "$OUT" c3
  run_ok list -q --filter status=running --filter status=stopped
  assert_eq "$OUT" $'c2\nc3'
  run_ok list -f json --filter status=created
  assert_jq "$OUT" 'map(.id) == ["c1"]'
  run_ok list --filter status=paused
  assert_match "$OUT" '^ID[^'$'\n'']*$'
}

test_list_by_annotation() {
  own
  three
  run_ok list -q --filter annotation=team
  assert_eq "$OUT" $'c1\nc3'
  run_ok list -q --filter annotation=team=blue
  assert_eq "$OUT" c3
  run_ok list -q --filter annotation=team --filter status=created
  assert_eq "$OUT" c1
}

test_list_in_order() {
  own
  three
  run_ok list -q --sort created
  assert_eq "$OUT" $'c1\nc3\nc2'
  run_ok list -q --sort created --reverse
  assert_eq "$OUT" $'c2\nc3\nc1'
  run_ok list -q --sort status
  assert_eq "$OUT" $'c1\nc3\nc2'
  run_ok list -q --reverse
  assert_eq "$OUT" $'c3\nc2\nc1'
}

test_a_filter_that_there_is_not() {
  own
  mkdir "$ROOT"
  run_fails 1 'filter.*status' list --filter stat=running
  run_fails 1 'filter.*runing' list --filter status=runing
}
