# Cases of the systemd driver: a container in a scope, and what systemd knows of it.
# shellcheck shell=bash disable=SC2034 # the variables set here are read by the test files

# scope ID [JQ-OPTION...] [FILTER]: a bundle $B whose cgroup is the scope $UNIT; C is that cgroup.
scope() {
  requires vm "systemd as PID 1"
  local id=$1 filter=${*: -1}
  shift
  FLAGS=(--systemd-cgroup)
  UNIT=it-$id.scope
  bundle "$id" "${@:1:$#-1}" ".linux.cgroupsPath = \"system.slice:it:$id\" | args([\"sleep\", \"1000\"]) | $filter"
  C=$V2/system.slice/$UNIT
}
show() { systemctl show --value --property "$1" "$UNIT"; }
assert_property() { local pair; for pair; do assert_eq "$(show "${pair%%=*}")" "${pair#*=}" "${pair%%=*}"; done; }
is_unloaded() { [ -z "$(systemctl list-units --all --plain --no-legend "$UNIT")" ]; }
