# The cases of limits, update, pause and lifecycle with the systemd driver: each container of theirs is a scope.
# pids: host
# cases in vm: limits update pause lifecycle
# shellcheck shell=bash disable=SC2016,SC2034 # the variables set here are read by lib.sh

if [ "$MODE" = vm ]; then
  for file in limits update pause lifecycle; do
    # shellcheck source=/dev/null
    . "$STAGE/tests/$file.sh"
  done
  # A scope for each, but where a case names the cgroup itself.
  place() {
    if [[ $2 == *.linux.cgroupsPath* ]]; then
      export SCOPES=''
      PLACE=$BASE/$1 C=$V2$BASE/$1
    else
      export SCOPES=--systemd-cgroup
      PLACE=system.slice:it:$1 C=$V2/system.slice/it-$1.scope
    fi
  }
  # What cases call by its name has the option, too.
  printf '#!/bin/bash\nexec %q $SCOPES "$@"\n' "$RUNTIME" >"$WORK/runtime"
  chmod 755 "$WORK/runtime"
  RUNTIME=$WORK/runtime
fi

test_each_container_is_a_scope() {
  requires vm "systemd as PID 1"
  bundle c1 'args(["sleep", "1000"])'
  run_ok create --bundle "$B" c1
  pid_of c1
  assert_eq "$(<"/proc/$PID/cgroup")" 0::/system.slice/it-c1.scope
  assert_eq "$(systemctl show --value --property ActiveState it-c1.scope)" active
}
