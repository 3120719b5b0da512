# The cases of other files with the systemd driver: each container of theirs is a scope.
# pids: host
# cases in vm: limits update pause lifecycle
# shellcheck shell=bash

if [ "$MODE" = vm ]; then
  for file in limits update pause lifecycle; do
    # shellcheck source=/dev/null
    . "$STAGE/tests/$file.sh"
  done
  eval "plain_$(declare -f bundle)"
  # As the bundles of lib.sh, but a scope; one whose filter names another path, which is no scope's, stays as it is.
  bundle() {
    local id=$1 filter=${*: -1}
    shift
    if [ $# = 0 ]; then filter=.; set -- .; fi
    if [[ $filter == *.linux.cgroupsPath' ='* ]]; then
      FLAGS=()
      plain_bundle "$id" "$@"
      return
    fi
    FLAGS=(--systemd-cgroup)
    plain_bundle "$id" "${@:1:$#-1}" ".linux.cgroupsPath = \"system.slice:it:$id\" | $filter"
    C=$V2/system.slice/it-$id.scope
  }
fi

test_every_bundle_is_a_scope() {
  requires vm "systemd as PID 1"
  bundle c1 'args(["sleep", "1000"])'
  run_ok create --bundle "$B" c1
  assert_exists "$V2/system.slice/it-c1.scope/cgroup.procs"
}
