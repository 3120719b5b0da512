# The annotation run.oci.delegate-cgroup: the process is in a cgroup below the container's, and manages it.
# shellcheck shell=bash

# shellcheck source=../words/checkpoint.sh
. "$STAGE/words/checkpoint.sh"

DELEGATED='.annotations["run.oci.delegate-cgroup"] = "inner/own" | .linux.namespaces |= map(select(.type != "cgroup")) + [{type: "cgroup"}]'
lacks() { differs runc "no such annotation"; }
runs() { bundle c1 "args([\"sleep\", \"100\"]) | $DELEGATED | ${1:-.}"; run_ok run -d --bundle "$B" c1; pid_of c1; }
cgroup_of() { CGROUP=$V2$(sed -n 's/^0:://p' "/proc/$1/cgroup"); }

test_the_process_is_in_a_cgroup_below() {
  lacks
  runs
  cgroup_of "$PID"
  assert_eq "$CGROUP" "$C/inner/own"
  assert_eq "$(<"$C/cgroup.procs")$(<"$C/inner/cgroup.procs")" ''
  run_ok delete --force c1
  assert_absent "$C"
}

test_its_namespace_begins_at_the_containers() {
  lacks
  in_container 'grep ^0:: /proc/self/cgroup' "$DELEGATED"
  assert_eq "$OUT" 0::/inner/own
}

test_limits_are_the_containers_alone() {
  lacks
  requires controller pids
  runs '.linux.resources.pids.limit = 77'
  assert_limits pids.max=77
  assert_eq "$(<"$C/inner/own/pids.max")" max
  rt update --pids-limit 55 c1
  assert_limits pids.max=55
  assert_eq "$(<"$C/inner/own/pids.max")" max
}

test_exec_is_where_the_process_is() {
  lacks
  runs
  run_ok exec c1 grep ^0:: /proc/self/cgroup
  assert_eq "$OUT" 0::/inner/own
  # Wherever it has moved: it manages what is there.
  mkdir "$C/inner/own/moved"
  echo "$PID" >"$C/inner/own/moved/cgroup.procs"
  run_ok exec c1 grep ^0:: /proc/self/cgroup
  assert_eq "$OUT" 0::/inner/own/moved
}

test_exec_follows_init_to_no_place_without_the_limits() {
  lacks
  requires uml
  mkdir "$V2/elsewhere"
  runs '.linux.resources.pids.limit = 7'
  echo "$PID" >"$V2/elsewhere/cgroup.procs"
  rt exec c1 true
  [ "$RC" != 0 ] || fail "it runs"
  assert_match "$ERR" "init is in cgroup .*/elsewhere, which is not below the container's|cgroup.procs"
  run_ok delete --force c1
  rmdir "$V2/elsewhere"
}

test_exec_by_who_knows_no_systemd() {
  lacks
  # The one of systemd means nothing here, beside the other or without a cgroup.
  runs '.annotations["run.oci.systemd.subgroup"] = "other"'
  run_ok exec c1 grep ^0:: /proc/self/cgroup
  assert_eq "$OUT" 0::/inner/own
  local of_c1=$C
  bundle c2 'args(["sleep", "100"]) | del(.linux.resources) | .annotations["run.oci.systemd.subgroup"] = "other"'
  FLAGS=(--cgroup-manager disabled)
  run_ok run -d --bundle "$B" c2
  pid_of c2
  # Init has been moved since.
  mkdir "$of_c1/moved"
  echo "$PID" >"$of_c1/moved/cgroup.procs"
  run_ok exec c2 grep ^0:: /proc/self/cgroup
  assert_match "$OUT" '^0::'
  assert_eq "$([[ $OUT == */moved ]] && echo moved)" ''
  run_ok delete --force c2
}

test_all_of_it_is_seen_paused_and_killed() {
  lacks
  runs
  run_ok exec -d --pid-file "$T/pid" c1 sleep 100
  run_ok ps --format json c1
  assert_jq "$OUT" '(map(select(. == $a or . == $b)) | length) == 2' --argjson a "$PID" --argjson b "$(<"$T/pid")"
  run_ok pause c1
  assert_status c1 paused
  count FROZEN cgroup.events frozen
  assert_eq "$FROZEN" 1
  run_ok resume c1
  if [[ $RUNTIME_NAME != crun && " $(<"$C/cgroup.controllers") " == *' pids '* ]]; then
    run_ok events --stats c1
    assert_jq "$OUT" '.data.pids.current == 2'
  fi
  run_ok kill --all c1 KILL
  eventually is_gone "$(<"$T/pid")"
  eventually has_status c1 stopped
}

test_it_belongs_to_the_root_of_the_user_namespace() {
  lacks
  chmod 755 "$WORK" "$T" # crun walks the path as the container's root
  runs userns
  assert_eq "$(stat -c %u:%g "$C/inner/own" "$C/inner/own/cgroup.procs")" $'100000:200000\n100000:200000'
  assert_eq "$(stat -c %u "$C/inner/own/cgroup.freeze")" 0
  run_ok exec c1 grep ^0:: /proc/self/cgroup
  assert_eq "$OUT" 0::/inner/own
}

test_bad_names_are_refused() {
  lacks
  differs crun "it says so when the container is there"
  local name
  for name in ../x x/../y / . ..; do
    bundle c1 --arg n "$name" '.annotations["run.oci.delegate-cgroup"] = $n'
    run_fails 1 'annotations.run.oci.delegate-cgroup: .* does not name a cgroup below' create --bundle "$B" c1
  done
  bundle c1 "del(.linux.resources) | $DELEGATED"
  FLAGS=(--cgroup-manager disabled)
  run_fails 1 'annotations.run.oci.delegate-cgroup: there is no cgroup to make it in' create --bundle "$B" c1
}

test_an_empty_name_is_none() {
  lacks
  in_container 'grep ^0:: /proc/self/cgroup' '.annotations["run.oci.delegate-cgroup"] = "" | .linux.namespaces |= map(select(.type != "cgroup")) + [{type: "cgroup"}]'
  assert_eq "$OUT" 0::/
}

test_a_restored_process_is_in_it_again() {
  lacks
  with_criu
  local filter
  for filter in . userns '.linux.namespaces |= map(select(.type != "cgroup"))'; do
    bundle c1 "args([\"sleep\", \"1000\"]) | $DELEGATED | $filter"
    detached c1
    pid_of c1
    local before
    echo 7 >"$C/inner/own/cgroup.max.depth"
    before=$(sees_itself)
    rm -rf "$T/images"
    checkpoint c1
    assert_absent "$C"
    run_fails 1 'existing cgroups' restore --detach --bundle "$B" --image-path "$T/images" --manage-cgroups-mode strict c1
    assert_absent "$C"
    restore c1
    pid_of c1
    cgroup_of "$PID"
    assert_eq "$CGROUP" "$C/inner/own"
    assert_eq "$(<"$C/cgroup.procs")$(<"$C/inner/cgroup.procs")" ''
    assert_eq "$(sees_itself)" "$before"
    run_ok exec c1 true
    run_ok delete --force c1
    assert_absent "$C"
  done
}
# Where the process is by its namespace, with which controllers and settings, and whose that is.
sees_itself() {
  nsenter --cgroup="/proc/$PID/ns/cgroup" grep ^0:: "/proc/$PID/cgroup"
  cat "$C/inner/own/cgroup.controllers" "$C/inner/own/cgroup.max.depth"
  stat -c %u:%g "$C" "$C/inner/own" "$C/inner/own/cgroup.procs"
}
