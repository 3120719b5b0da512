# --systemd-cgroup: the container's cgroup is a scope that systemd makes, limits and removes. systemd knows processes by the machine's
# pids, so this file sees those.
# pids: host
# shellcheck shell=bash disable=SC2016 # $names in single quotes are jq's

. "$STAGE/words/systemd.sh"

test_a_scope_is_made_and_goes() {
  scope c1 .
  run_ok create --bundle "$B" c1
  pid_of c1
  assert_match "$(<"/proc/$PID/cgroup")" "0::/system.slice/$UNIT(/container)?$"
  assert_property ActiveState=active Delegate=yes Slice=system.slice DefaultDependencies=no
  run_ok start c1
  assert_status c1 running
  run_ok kill c1 KILL
  eventually has_status c1 stopped
  run_ok delete c1
  eventually is_unloaded
  eventually test ! -e "$C"
}

test_the_scope_tells_which_container_it_is() {
  differs crun "says that it is a container of libcrun"
  scope c1 .
  run_ok create --bundle "$B" c1
  assert_match "$(show Description)" 'container.* c1$'
}

test_the_container_is_all_that_is_in_it() {
  differs crun "the container is in a cgroup below"
  scope c1 .
  run_ok create --bundle "$B" c1
  pid_of c1
  assert_eq "$(<"$C/cgroup.procs")" "$PID"
}

SUBGROUP='.annotations["run.oci.systemd.subgroup"] = "below/it" | .linux.namespaces |= map(select(.type != "cgroup")) + [{type: "cgroup"}]'
test_the_process_is_below_the_scope_by_annotation() {
  differs runc 'no such annotation'
  scope c1 "$SUBGROUP | .linux.resources.pids.limit = 77"
  run_ok run -d --bundle "$B" c1
  pid_of c1
  assert_eq "$(<"/proc/$PID/cgroup")" "0::/system.slice/$UNIT/below/it"
  assert_eq "$(<"$C/cgroup.procs")" ''
  assert_property TasksMax=77
  run_ok exec c1 cat /proc/self/cgroup
  assert_eq "$OUT" 0::/
  run_ok exec -d --pid-file "$T/pid" c1 sleep 100
  assert_eq "$(<"/proc/$(<"$T/pid")/cgroup")" "0::/system.slice/$UNIT/below/it"
  run_ok pause c1
  assert_status c1 paused
  run_ok resume c1
  run_ok update --pids-limit 55 c1
  assert_property TasksMax=55
  run_ok kill --all c1 KILL
  eventually is_gone "$(<"$T/pid")"
  eventually has_status c1 stopped
  run_ok delete c1
  eventually is_unloaded
  eventually test ! -e "$C"
}

test_an_empty_subgroup_is_none() {
  differs runc 'no such annotation'
  scope c1 "$SUBGROUP | .annotations[\"run.oci.systemd.subgroup\"] = \"\""
  run_ok create --bundle "$B" c1
  pid_of c1
  assert_eq "$(<"/proc/$PID/cgroup")" "0::/system.slice/$UNIT"
}

test_what_is_no_subgroup_is_refused() {
  differs runc,crun "no such annotation, or other words"
  local name
  for name in ../x x/.. /; do
    scope c1 --arg n "$name" '.annotations["run.oci.systemd.subgroup"] = $n'
    run_fails 1 'annotations.run.oci.systemd.subgroup: .* does not name a cgroup below' create --bundle "$B" c1
  done
  scope c1 "$SUBGROUP | .annotations[\"run.oci.delegate-cgroup\"] = \"own\""
  run_fails 1 'run.oci.delegate-cgroup: .*subgroup names another one' create --bundle "$B" c1
}

test_a_private_cgroup_namespace_is_rooted_in_it() {
  scope c1 'args(["sh", "-c", "cat /proc/self/cgroup"])'
  run_ok run --bundle "$B" c1
  assert_eq "$OUT" 0::/
  eventually is_unloaded
}

test_all_limits_are_properties_with_right_values() {
  differs runc "sets no IOWeight; 1.1 has no burst and another curve"
  differs crun "the limit of swap is the sum, weights are of other formulas"
  scope c1 '.linux.resources += {
    memory: {limit: 67108864, swap: 100663296, reservation: 33554432},
    cpu: {shares: 512, quota: 33333, period: 100000, burst: 1000, cpus: "0", mems: "0"},
    pids: {limit: 55}, blockIO: {weight: 500}, unified: {"memory.high": "50331648", "memory.oom.group": "1"}}'
  run_ok create --bundle "$B" c1
  assert_property MemoryMax=67108864 MemorySwapMax=33554432 MemoryLow=33554432 MemoryHigh=50331648 TasksMax=55 \
    CPUWeight=59 CPUQuotaPerSecUSec=340ms CPUQuotaPeriodUSec=100ms AllowedCPUs=0 AllowedMemoryNodes=0 IOWeight=4950
  assert_limits "cpu.max=34000 100000" cpu.max.burst=1000 cpu.weight=59 memory.max=67108864 memory.swap.max=33554432 memory.high=50331648 \
    memory.oom.group=1 pids.max=55 cpuset.cpus=0
  # what systemd knows survives its reload
  systemctl daemon-reload
  assert_limits "cpu.max=34000 100000" cpu.weight=59 memory.max=67108864 memory.swap.max=33554432 memory.high=50331648 pids.max=55
}

test_limits_bite() {
  # Who cannot fork ends; the first process, and with it the scope, stays.
  scope c1 '.linux.resources.pids = {limit: 3} | args(["sh", "-c", "(sleep 100 & sleep 100 & echo all); sleep 1000"])'
  run_ok create --bundle "$B" c1
  run_ok start c1
  eventually has_counted pids.events max
}

test_one_process_and_no_more() {
  differs runc,crun "0 is no limit"
  scope c1 '.linux.resources.pids = {limit: 0} | args(["sleep", "1000"])'
  run_ok create --bundle "$B" c1
  assert_property TasksMax=1
  assert_limits pids.max=1
  run_ok start c1
  assert_status c1 running
}

test_devices_are_denied() {
  scope c1 'tmpfs("/tmp"; []) | caps(["CAP_MKNOD", "CAP_DAC_OVERRIDE", "CAP_SYS_RAWIO"]) |
    args(["sh", "-c", "mknod /tmp/mem c 1 1; ! head -c 1 /tmp/mem 2>/dev/null && echo denied; mknod /tmp/null c 1 3; echo >/tmp/null && echo allowed"])'
  run_ok run --bundle "$B" c1
  assert_eq "$OUT" $'denied\nallowed'
}

test_nested_slices() {
  scope c1 '.linux.cgroupsPath = "itx-a-b.slice:it:c1"'
  run_ok create --bundle "$B" c1
  pid_of c1
  assert_match "$(<"/proc/$PID/cgroup")" "0::/itx.slice/itx-a.slice/itx-a-b.slice/it-c1.scope"
  assert_property Slice=itx-a-b.slice
  run_ok delete --force c1
  eventually is_unloaded
  systemctl stop itx.slice
}

test_no_path_is_a_scope_of_the_id() {
  scope c1 'del(.linux.cgroupsPath)'
  run_ok create --bundle "$B" it-1
  UNIT=$RUNTIME_NAME-it-1.scope
  assert_property ActiveState=active
  run_ok delete --force it-1
  eventually is_unloaded
}

test_a_path_of_another_form_is_an_error() {
  differs crun "another text"
  scope c1 '.linux.cgroupsPath = "/it/c1"'
  run_fails 1 'cgroupsPath.*slice:prefix:name' create --bundle "$B" c1
}

test_wrong_names_are_errors() {
  differs runc,crun "other words, or accepted"
  scope c1 '.linux.cgroupsPath = "system.slice:it:a+b"'
  run_fails 1 'linux.cgroupsPath: "it-a\+b.scope" is not the name of a unit of systemd' create --bundle "$B" c1
  scope c1 '.linux.cgroupsPath = "system:it:c1"'
  run_fails 1 'linux.cgroupsPath: "system" is not the name of a slice' create --bundle "$B" c1
}

test_properties_by_annotation() {
  scope c1 '.annotations = {"org.systemd.property.TimeoutStopUSec": "uint64 12000000", "org.systemd.property.CollectMode": "\u0027inactive-or-failed\u0027",
    "org.systemd.property.After": "[\u0027basic.target\u0027]", "org.systemd.property.RuntimeMaxSec": "uint64 7777"}'
  run_ok create --bundle "$B" c1
  assert_property TimeoutStopUSec=12s CollectMode=inactive-or-failed RuntimeMaxUSec='2h 9min 37s'
  assert_match "$(show After)" basic.target
}

test_a_property_that_systemd_does_not_know() {
  differs crun "leaves the state"
  scope c1 '.annotations = {"org.systemd.property.NoSuchThing": "true"}'
  run_fails 1 'NoSuchThing|cgroup' create --bundle "$B" c1
  [ "$RUNTIME_NAME" != knarr ] || run_fails 1 'annotations.org.systemd.property.NoSuchThing: systemd: start it-c1.scope: .*NoSuchThing' create --bundle "$B" c1
  eventually is_unloaded
}

test_an_annotation_that_is_no_value() {
  differs runc,crun "other words"
  scope c1 '.annotations = {"org.systemd.property.TimeoutStopUSec": "soon"}'
  run_fails 1 'annotations.org.systemd.property.TimeoutStopUSec: "soon": "soon" is not a value' create --bundle "$B" c1
}

test_a_scope_that_is_in_use_is_refused_and_left_alone() {
  differs runc,crun "other words"
  requires vm
  systemd-run --quiet --scope --unit it-c1 sleep 1000 &
  scope c1 .
  eventually grep -q . "$C/cgroup.procs"
  run_fails 1 'linux.cgroupsPath: systemd: start it-c1.scope: .*already' create --bundle "$B" c1
  assert_property ActiveState=active
  systemctl stop "$UNIT"
  wait
}

test_a_failed_scope_in_the_way_is_reset() {
  scope c1 .
  systemd-run --quiet --scope --unit it-c1 --property RuntimeMaxSec=1 sleep 1000 2>/dev/null || :
  eventually systemctl is-failed --quiet "$UNIT"
  run_ok create --bundle "$B" c1
  assert_property ActiveState=active
}

test_update_tells_systemd() {
  differs runc,crun "update has no --unified"
  scope c1 '.linux.resources += {memory: {limit: 67108864}, pids: {limit: 50}, cpu: {quota: 20000, period: 100000}}'
  run_ok create --bundle "$B" c1
  run_ok update --memory 32M --memory-swap 48M --pids-limit 66 --cpu-quota 33333 --cpu-share 1024 --cpuset-cpus 1 c1
  assert_property MemoryMax=33554432 MemorySwapMax=16777216 TasksMax=66 CPUQuotaPerSecUSec=340ms CPUWeight=100 AllowedCPUs=1
  assert_limits memory.max=33554432 pids.max=66 "cpu.max=34000 100000" cpuset.cpus=1
  systemctl daemon-reload
  assert_limits memory.max=33554432 pids.max=66 "cpu.max=34000 100000" cpuset.cpus=1
  run_fails 1 'linux.resources.unified.memory.high: write memory.high "frob"' update --memory 16M --unified memory.high=frob c1
  assert_property MemoryMax=33554432
  assert_limits memory.max=33554432
  run_ok update --cpu-period 50000 c1
  assert_property CPUQuotaPerSecUSec=680ms CPUQuotaPeriodUSec=50ms
}

test_exec_is_in_the_scope() {
  scope c1 .
  run_ok run --detach --bundle "$B" c1
  run_ok exec c1 grep ^0:: /proc/self/cgroup
  assert_match "$OUT" '^0::/'
  rt exec --detach --pid-file "$T/pid" c1 sleep 1000
  assert_eq "$RC" 0
  assert_match "$(<"/proc/$(<"$T/pid")/cgroup")" "0::/system.slice/$UNIT(/container)?$"
}

test_pause_ps_and_events() {
  differs crun "no events"
  scope c1 .
  run_ok run --detach --bundle "$B" c1
  pid_of c1
  run_ok ps --format json c1
  assert_jq "$OUT" '. == [($p | tonumber)]' --arg p "$PID"
  run_ok pause c1
  assert_status c1 paused
  run_ok resume c1
  run_ok events --stats c1
  assert_jq "$OUT" '.data.memory.usage.usage > 0 and .data.pids.current == 1'
}

test_a_container_that_fails_after_the_scope_leaves_none() {
  scope c1 'mount({destination: "/x", type: "bind", source: "/nonexistent", options: ["bind"]})'
  run_fails 1 'nonexistent|no such file' create --bundle "$B" c1
  eventually is_unloaded
}

test_delete_force_of_a_running_and_of_a_paused_container() {
  scope c1 .
  run_ok run --detach --bundle "$B" c1
  run_ok delete --force c1
  eventually is_unloaded
  run_ok run --detach --bundle "$B" c1
  run_ok pause c1
  run_ok delete --force c1
  eventually is_unloaded
}

test_an_oom_kill_leaves_no_failed_unit() {
  scope c1 '.linux.resources.memory = {limit: 16777216, swap: 16777216} | tmpfs("/tmp"; []) | args(["sh", "-c", "head -c 33554432 /dev/zero >/tmp/big"])'
  run_ok create --bundle "$B" c1
  run_ok start c1
  eventually has_status c1 stopped
  run_ok delete c1
  eventually is_unloaded
}

test_hugetlb_which_systemd_does_not_know() {
  differs runc,crun "the controller is not enabled"
  scope c1 '.linux.resources.hugepageLimits = [{pageSize: "2MB", limit: 4194304}]'
  run_ok create --bundle "$B" c1
  assert_limits hugetlb.2MB.max=4194304
}

test_without_systemd_the_error_says_so() {
  differs runc,crun "other words"
  FLAGS=(--cgroup-manager systemd)
  bundle c1 '.linux.cgroupsPath = "system.slice:it:c1"'
  local empty=$T/empty
  : >"$empty"
  mount --bind "$empty" /run/dbus/system_bus_socket 2>/dev/null || [ ! -e /run/dbus/system_bus_socket ]
  run_fails 1 'linux.cgroupsPath: systemd: start it-c1.scope: connect /run/dbus/system_bus_socket: ' create --bundle "$B" c1
  umount /run/dbus/system_bus_socket 2>/dev/null || :
}

# user ARG...: a command, called by user 1000 from within that user's systemd, whose sockets are on a mount that this file does not see.
user() {
  nsenter --mount=/proc/1/ns/mnt setpriv --reuid 1000 --regid 1000 --clear-groups env XDG_RUNTIME_DIR=/run/user/1000 HOME=/home/user \
    systemd-run --user --pipe --wait --quiet --working-directory="$T" "$@" </dev/null
}

# outsider ARG...: a command, called by user 1000 from a cgroup that is not that user's, as in a session of a terminal.
outsider() {
  nsenter --mount=/proc/1/ns/mnt --wdns="$T" setpriv --reuid 1000 --regid 1000 --clear-groups env XDG_RUNTIME_DIR=/run/user/1000 \
    HOME=/home/user "$@" </dev/null
}

users_bundle() { # $T/b, that user's
  systemctl start user@1000
  chmod 755 "$WORK" "$T"
  mkdir "$T/b"
  cp -a "$WORK/rootfs" "$T/b/rootfs"
  "$RUNTIME" spec --rootless --bundle "$T/b"
  jq '.linux.uidMappings = [{containerID: 0, hostID: 1000, size: 1}] | .linux.gidMappings = .linux.uidMappings | .process.terminal = false | .process.args = ["sleep", "1000"] | .linux.cgroupsPath = ":it:c1" |
      .linux.resources = {memory: {limit: 67108864}, pids: {limit: 50}}' "$T/b/config.json" >"$T/config.json"
  mv "$T/config.json" "$T/b/config.json"
  chown -R user:user "$T/b"
}

test_an_ordinary_users_scope_is_made_by_that_users_systemd() {
  requires vm "systemd as PID 1"
  differs crun "takes no empty slice"
  users_bundle
  user "$RUNTIME" --systemd-cgroup create --bundle "$T/b" --pid-file "$T/b/pid" c1
  local cgroup
  cgroup=$(sed -n 's/^0:://p' "/proc/$(<"$T/b/pid")/cgroup")
  assert_eq "$cgroup" /user.slice/user-1000.slice/user@1000.service/user.slice/it-c1.scope
  assert_eq "$(cat /sys/fs/cgroup"$cgroup"/{memory.max,pids.max})" $'67108864\n50'
  assert_eq "$(user systemctl --user show --value --property MemoryMax it-c1.scope)" 67108864
  user "$RUNTIME" start c1
  user "$RUNTIME" update --pids-limit 60 c1
  assert_eq "$(user systemctl --user show --value --property TasksMax it-c1.scope)" 60
  user "$RUNTIME" delete --force c1
  assert_absent "/sys/fs/cgroup$cgroup"
  systemctl stop user@1000
}

test_an_ordinary_users_sandbox_is_bounded_by_that_users_systemd() {
  requires vm "systemd as PID 1"
  differs runc,crun "run bundles only"
  systemctl start user@1000
  chmod 755 "$WORK" "$T"
  local said
  said=$(outsider "$RUNTIME" run --host-root --memory 64M --pids 50 --cpus 0.5 box -- sh -c 'cd /sys/fs/cgroup && cat memory.max pids.max cpu.max /proc/self/cgroup')
  assert_eq "$said" $'67108864\n50\n50000 100000\n0::/'
  said=$(outsider "$RUNTIME" run --host-root --memory 32M box -- sh -c 'head -c 64m /dev/zero | tail -c 64m | wc -c' 2>&1) || :
  assert_no_match "$said" 67108864
  assert_eq "$(find /sys/fs/cgroup/user.slice -name '*box*')" ''
  systemctl stop user@1000
}

test_an_ordinary_user_enters_and_makes_a_container_from_another_cgroup() {
  requires vm "systemd as PID 1"
  differs runc "the process stays in the cgroup of the caller"
  differs crun "takes no empty slice, and asks nobody to move a process"
  users_bundle
  local scope=/user.slice/user-1000.slice/user@1000.service/user.slice/it-c1.scope
  user "$RUNTIME" --systemd-cgroup run --detach --bundle "$T/b" c1
  outsider "$RUNTIME" exec --detach --pid-file "$T/b/pid" c1 sleep 1000
  assert_eq "$(sed -n 's/^0:://p' "/proc/$(<"$T/b/pid")/cgroup")" "$scope"
  assert_eq "$(outsider "$RUNTIME" exec c1 cat /proc/self/cgroup)" 0::/
  outsider mkdir "/sys/fs/cgroup$scope/below"
  outsider "$RUNTIME" exec --cgroup below --detach --pid-file "$T/b/pid" c1 sleep 1000
  assert_eq "$(sed -n 's/^0:://p' "/proc/$(<"$T/b/pid")/cgroup")" "$scope/below"
  user "$RUNTIME" delete --force c1
  assert_absent "/sys/fs/cgroup$scope"
  outsider "$RUNTIME" --systemd-cgroup create --bundle "$T/b" --pid-file "$T/b/pid" c1
  assert_eq "$(sed -n 's/^0:://p' "/proc/$(<"$T/b/pid")/cgroup")" "$scope"
  outsider "$RUNTIME" start c1
  assert_eq "$(outsider "$RUNTIME" exec c1 cat /proc/self/cgroup)" 0::/
  assert_eq "$(outsider "$RUNTIME" exec c1 cat /proc/1/cgroup)" 0::/
  outsider "$RUNTIME" delete --force c1
  assert_absent "/sys/fs/cgroup$scope"
  systemctl stop user@1000
}

# service UNIT SCRIPT...: a service of user 1000's systemd, which may divide its cgroup $SERVICE; it runs SCRIPT and stays.
service() {
  SERVICE=/user.slice/user-1000.slice/user@1000.service/app.slice/$1.service
  nsenter --mount=/proc/1/ns/mnt setpriv --reuid 1000 --regid 1000 --clear-groups env XDG_RUNTIME_DIR=/run/user/1000 HOME=/home/user \
    systemd-run --user --quiet --collect --working-directory="$T" --unit "$1" --property Delegate=yes sh -c "$2 >$T/b/said 2>&1; exec sleep 1000" </dev/null
}

test_an_ordinary_user_enters_what_a_service_made_from_another_cgroup() {
  requires vm "systemd as PID 1"
  differs runc "the process stays in the cgroup of the caller"
  differs crun "asks nobody to move a process"
  users_bundle
  jq 'del(.linux.cgroupsPath)' "$T/b/config.json" >"$T/config.json"
  cp "$T/config.json" "$T/b/config.json"
  # The service itself stands aside, so that the container's is below that of the service.
  service it-s1 "mkdir /sys/fs/cgroup\$(cut -c4- /proc/self/cgroup)/main; echo 0 >/sys/fs/cgroup\$(cut -c4- /proc/self/cgroup)/main/cgroup.procs
    $RUNTIME run --detach --bundle $T/b --pid-file $T/b/pid c1"
  eventually test -s "$T/b/pid"
  assert_eq "$(sed -n 's/^0:://p' "/proc/$(<"$T/b/pid")/cgroup")" "$SERVICE/c1"
  outsider "$RUNTIME" exec --detach --pid-file "$T/b/pid2" c1 sleep 1000
  assert_eq "$(sed -n 's/^0:://p' "/proc/$(<"$T/b/pid2")/cgroup")" "$SERVICE/c1"
  assert_eq "$(outsider "$RUNTIME" exec c1 cat /proc/self/cgroup)" 0::/
  user "$RUNTIME" delete --force c1
  user systemctl --user stop it-s1
  systemctl stop user@1000
}

test_an_ordinary_user_is_told_how_to_enter_a_cgroup_of_no_unit() {
  requires vm "systemd as PID 1"
  differs runc "the process stays in the cgroup of the caller"
  differs crun "other words"
  users_bundle
  jq 'del(.linux.cgroupsPath)' "$T/b/config.json" >"$T/config.json"
  cp "$T/config.json" "$T/b/config.json"
  service it-s1 "$RUNTIME run --detach --bundle $T/b --pid-file $T/b/pid c1"
  eventually test -s "$T/b/pid"
  assert_eq "$(sed -n 's/^0:://p' "/proc/$(<"$T/b/pid")/cgroup")" "${SERVICE%/*}/c1"
  outsider "$RUNTIME" exec c1 true 2>"$T/err" || :
  assert_match "$(<"$T/err")" 'systemd-run --user --scope.*EACCES'
  assert_eq "$(user "$RUNTIME" exec c1 cat /proc/self/cgroup)" 0::/
  user "$RUNTIME" delete --force c1
  user systemctl --user stop it-s1
  systemctl stop user@1000
}

test_a_scope_is_made_again_for_a_restored_container() {
  differs crun 'does not let itself be told which CRIU'
  differs runc 'CRIU, not systemd, makes the cgroup anew'
  scope c1 '.linux.resources.pids.limit = 55'
  requires criu
  FLAGS+=(--criu "$CRIU")
  "$RUNTIME" --root "$ROOT" "${FLAGS[@]}" run --detach --bundle "$B" c1 </dev/null >/dev/null 2>&1
  run_ok checkpoint --image-path "$T/images" c1
  eventually is_unloaded
  run_ok restore --detach --bundle "$B" --image-path "$T/images" c1
  assert_property ActiveState=active TasksMax=55
  pid_of c1
  assert_match "$(<"/proc/$PID/cgroup")" "0::/system.slice/$UNIT$"
  run_ok kill c1 KILL
  eventually has_status c1 stopped
  run_ok delete c1
  eventually is_unloaded
}

# comes_back FILTER PATH: the scope c1 is saved and made again, once under its own name and once under another; each time its process is
# at PATH below it, and every controller with it.
comes_back() {
  differs crun 'does not let itself be told which CRIU'
  differs runc 'no such annotation'
  scope c1 "$1"
  requires criu
  FLAGS+=(--criu "$CRIU")
  "$RUNTIME" --root "$ROOT" "${FLAGS[@]}" run --detach --bundle "$B" c1 </dev/null >/dev/null 2>&1
  pid_of c1
  local before id images=$T/images-c1
  before=$(sees)
  run_ok checkpoint --image-path "$images" c1
  eventually is_unloaded
  for id in c1 c2; do
    scope "$id" "$1"
    FLAGS+=(--criu "$CRIU")
    run_ok restore --detach --bundle "$B" --image-path "$images" "$id"
    pid_of "$id"
    assert_eq "$(<"/proc/$PID/cgroup")" "0::/system.slice/$UNIT/$2"
    assert_eq "$(<"$C/cgroup.procs")" ''
    assert_eq "$(sees)" "${before//it-c1/it-$id}"
    run_ok exec -d --pid-file "$T/pid" "$id" sleep 100
    assert_eq "$(<"/proc/$(<"$T/pid")/cgroup")" "0::/system.slice/$UNIT/$2"
    run_ok pause "$id"
    run_ok resume "$id"
    run_ok kill --all "$id" KILL
    eventually has_status "$id" stopped
    run_ok delete "$id"
    eventually is_unloaded
    eventually test ! -e "$C"
  done
}
# Where its cgroup is by its namespace, and the controllers and owner of that.
sees() {
  nsenter --cgroup="/proc/$PID/ns/cgroup" grep ^0:: "/proc/$PID/cgroup"
  cat "$V2$(sed -n 's/^0:://p' "/proc/$PID/cgroup")/cgroup.controllers"
  stat -c %u:%g "$V2$(sed -n 's/^0:://p' "/proc/$PID/cgroup")/cgroup.procs"
}
DELEGATED='.annotations["run.oci.delegate-cgroup"] = "inner/own" | .linux.namespaces |= map(select(.type != "cgroup")) + [{type: "cgroup"}]'
MACHINES='.linux.namespaces |= map(select(.type != "cgroup"))'
test_a_restored_process_is_below_the_scope_again() { comes_back "$SUBGROUP" below/it; }
test_a_restored_process_that_sees_the_machines_cgroups_is_below_the_scope_again() { comes_back "$SUBGROUP | $MACHINES" below/it; }
test_a_restored_process_is_in_the_delegated_cgroup_again() { comes_back "$DELEGATED" inner/own; }
test_a_restored_process_that_sees_the_machines_cgroups_is_in_the_delegated_one_again() { comes_back "$DELEGATED | $MACHINES" inner/own; }

test_a_restored_process_is_where_it_had_moved_to() {
  differs crun 'does not let itself be told which CRIU'
  differs runc 'no such annotation'
  local filter
  for filter in "$SUBGROUP" "$DELEGATED"; do
    scope c1 "$filter"
    requires criu
    FLAGS+=(--criu "$CRIU")
    "$RUNTIME" --root "$ROOT" "${FLAGS[@]}" run --detach --bundle "$B" c1 </dev/null >/dev/null 2>&1
    pid_of c1
    local home
    home=$(sed -n 's/^0:://p' "/proc/$PID/cgroup")
    mkdir "$V2$home/moved"
    echo "$PID" >"$V2$home/moved/cgroup.procs"
    rm -rf "$T/images"
    run_ok checkpoint --image-path "$T/images" c1
    eventually is_unloaded
    run_ok restore --detach --bundle "$B" --image-path "$T/images" c1
    pid_of c1
    assert_eq "$(<"/proc/$PID/cgroup")" "0::$home/moved"
    run_ok kill c1 KILL
    eventually has_status c1 stopped
    run_ok delete c1
    eventually is_unloaded
  done
}
