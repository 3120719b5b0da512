# A label of SELinux goes to the kernel, whatever a container has in place of /proc, or there is no container.
# lsm: selinux
# shellcheck shell=bash disable=SC2016

# shellcheck source=../words/selinux.sh
. "$STAGE/words/selinux.sh"
# shellcheck source=../words/faked-proc.sh
. "$STAGE/words/faked-proc.sh"

LABEL=".process.selinuxLabel = \"$PROCESS\""
labelled_files() { chcon -R system_u:object_r:container_file_t:s0 "$1"; }
is_labelled() { [ "$(tr -d '\0' <"/proc/$PID/attr/current")" = "$PROCESS" ]; }

test_control_with_a_true_proc() {
  disposable
  enforcing
  bundle c1 "args([\"sleep\", \"100\"]) | $LABEL"
  run_ok run --detach --bundle "$B" c1
  pid_of c1
  is_labelled || fail "it is $(<"/proc/$PID/attr/current")"
}

test_a_label_of_a_process() {
  fakes
  enforcing
  differs runc,crun "not looked at"
  labelled_files "$T/fake"
  each "$LABEL" is_labelled
  [ $REFUSED -gt 0 ] || fail 'nothing was refused'
}

test_a_label_of_exec() {
  fakes
  enforcing
  differs runc,crun "not looked at"
  local way entered=0
  for way in "${WAYS[@]}"; do
    rm -rf "$T/c1"
    bundle c1
    cp -a "$T/fake" "$B/rootfs/fake"
    labelled_files "$B/rootfs/fake"
    rmdir "$B/rootfs/proc"
    if [[ $way == *'!= "proc"'* ]]; then ln -s fake "$B/rootfs/proc"; else mkdir "$B/rootfs/proc"; fi
    bundle c1 --arg fake "$T/fake" "args([\"sleep\", \"100\"]) | del(.linux.maskedPaths, .linux.readonlyPaths) | $way"
    rt run --detach --bundle "$B" c1
    [ "$RC" = 0 ] || continue
    rt exec --detach --pid-file "$T/pid" --process-label "$PROCESS" c1 sleep 100
    entered=$((entered + 1))
    if [ "$RC" = 0 ]; then
      PID=$(<"$T/pid")
      is_labelled || fail "$way: a process of exec is $(<"/proc/$PID/attr/current")"
    fi
    untouched "$way"
    run_ok delete --force c1
  done
  [ $entered -gt 0 ] || fail 'no container was made'
}

test_a_label_that_holds_another() {
  disposable
  enforcing
  local label
  for label in "$PROCESS\\nsystem_u:system_r:spc_t:s0" "$PROCESS\\u0000system_u:system_r:spc_t:s0" ' system_u:system_r:spc_t:s0' "$PROCESS,c3"; do
    rm -rf "$T/c1"
    bundle c1 "args([\"sleep\", \"100\"]) | .process.selinuxLabel = \"$label\""
    rt run --detach --bundle "$B" c1
    [ "$RC" = 0 ] || continue
    pid_of c1
    [[ $(<"/proc/$PID/attr/current") == *:container_t:* ]] || fail "$label: it is $(<"/proc/$PID/attr/current")"
    run_ok delete --force c1
  done
}
