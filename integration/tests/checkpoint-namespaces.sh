# Checkpoint and restore, by CRIU: namespaces, keyrings and cgroups.
# shellcheck shell=bash disable=SC2016 # scripts are for the shell in the container

# shellcheck source=../words/checkpoint.sh
. "$STAGE/words/checkpoint.sh"

test_in_a_user_namespace() {
  with_criu
  chmod 755 "$WORK" "$T"
  counting c1 'rw | userns'
  local word=$WORD n=$N
  checkpoint c1
  [ "$RUNTIME_NAME" != runc ] || chmod 711 "$T/images"
  restore c1
  goes_on_from c1 "$word" "$n"
  pid_of c1
  assert_eq "$(awk '/^Uid/ {print $2}' "/proc/$PID/status")" 100000
  run_ok exec c1 sh -c 'echo >/dev/null; id -u'
  assert_eq "$OUT" 0
  run_ok delete --force c1
}

test_loopback_and_a_connection() {
  with_criu
  requires vm # CRIU 4.1 asks a socket for what Linux 6.18 does not tell
  differs runc 'leaves lo down'
  bundle c1 'sh("mkfifo /dev/shm/p; (nc -l -p 7000 <>/dev/shm/p >/dev/shm/got) & sleep 0.5; n=0; (while :; do n=$((n + 1)); echo $n; sleep 0.02; done) | nc 127.0.0.1 7000")
    | .root.readonly = false'
  ln -sf busybox "$B/rootfs/bin/nc"; ln -sf busybox "$B/rootfs/bin/mkfifo"; ln -sf busybox "$B/rootfs/bin/tail"
  detached c1
  got() { rt exec c1 sh -c 'tail -n 1 /dev/shm/got'; [[ $OUT =~ ^[0-9]+$ ]] && [ "$OUT" -gt "$1" ]; }
  eventually got 5
  local n=$OUT
  run_fails 1 'tcp-established|established|CRIU' checkpoint --image-path "$T/images" --network-lock nftables c1
  eventually got "$n"
  checkpoint --tcp-established --network-lock nftables c1
  restore --tcp-established --network-lock nftables c1
  eventually got $((n + 10))
  run_ok delete --force c1
}

test_a_network_namespace_that_is_joined() {
  with_criu
  touch "$T/net"
  unshare --net="$T/net" true
  counting c1 --arg net "$T/net" 'join_ns("network"; $net)'
  local word=$WORD n=$N there
  there=$(stat -Lc %i "$T/net")
  checkpoint c1
  restore c1
  goes_on_from c1 "$word" "$n"
  pid_of c1
  assert_eq "$(stat -Lc %i "/proc/$PID/ns/net")" "$there"
  run_ok delete --force c1
  umount "$T/net"
}

test_exec_has_the_session_keyring_of_the_restored_process() {
  with_criu
  differs runc 'gives a restored process the session keyring of its caller'
  requires debian
  local serial="syscall(${NR[keyctl]}, 0, -3, 0)" # keyctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0)
  local told='$SIG{USR1} = sub {open F, ">/dev/shm/k.new"; print F '"$serial"'; close F; rename "/dev/shm/k.new", "/dev/shm/k"}; sleep 1 while 1'
  bundle c1 --arg r "$DEBIAN" --arg s "$told" '.root.path = $r | args(["perl", "-e", $s])'
  detached c1
  checkpoint c1
  restore c2 # under a name that no keyring has yet
  run_ok kill c2 USR1
  eventually eval 'rt exec c2 cat /dev/shm/k; [[ $OUT =~ ^[1-9][0-9]*$ ]]'
  local own=$OUT
  [ "$own" != "$(perl -e "print $serial")" ] || fail "it is the caller's"
  run_ok exec c2 perl -e "print $serial"
  assert_eq "$OUT" "$own"
  run_ok delete --force c2
}

test_cgroups_below_the_containers() {
  with_criu
  requires vm # with a cgroup namespace on a v2 tree
  bundle c1 'rw | (.mounts[] | select(.destination == "/sys/fs/cgroup")).options -= ["ro"] | sh("mkdir /sys/fs/cgroup/below; echo $$ >/sys/fs/cgroup/below/cgroup.procs; while :; do cat /proc/self/cgroup >/dev/shm/n; sleep 0.1; done")'
  detached c1
  eventually eval 'rt exec c1 cat /dev/shm/n; [ "$OUT" = 0::/below ]'
  checkpoint c1
  assert_absent "$C"
  restore c1
  run_ok exec c1 rm /dev/shm/n
  eventually eval 'rt exec c1 cat /dev/shm/n; [ "$OUT" = 0::/below ]'
  pid_of c1
  assert_eq "$(<"/proc/$PID/cgroup")" "0::$BASE/c1/below"
  run_ok delete --force c1
}

test_in_the_hosts_cgroup_namespace() {
  with_criu
  counting c1 'no_ns("cgroup")'
  local word=$WORD n=$N
  checkpoint c1
  restore c1
  goes_on_from c1 "$word" "$n"
  pid_of c1
  assert_eq "$(readlink "/proc/$PID/ns/cgroup")" "$(readlink /proc/self/ns/cgroup)"
  assert_eq "$(grep ^0: "/proc/$PID/cgroup")" "0::$BASE/c1"
  run_ok delete --force c1
  rm -r "$T/images"
  counting c1 'no_ns("cgroup") | mount({destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["ro"]})'
  word=$WORD n=$N
  checkpoint c1
  restore c1
  goes_on_from c1 "$word" "$n"
  run_ok exec c1 grep ' /sys/fs/cgroup ' /proc/self/mounts
  run_ok delete --force c1
}

test_in_namespaces_of_the_hosts() {
  with_criu
  local kind word n
  for kind in network ipc uts pid; do
    counting c1 "no_ns(\"$kind\") | del(.hostname)"
    word=$WORD n=$N
    checkpoint c1
    restore c1
    goes_on_from c1 "$word" "$n"
    run_ok delete --force c1
    rm -r "$T/images"
  done
}
