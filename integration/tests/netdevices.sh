# linux.netDevices: network devices of the host that move into the container.
# shellcheck shell=bash

# Devices are made in a network namespace that stands for the host's.
network() { # VARIABLE: a process in a network namespace of its own
  unshare --net sleep 1000 &
  NETWORKS+=($!)
  printf -v "$1" %s "$!"
  eventually differs_from_ours "$!"
  trap 'kill "${NETWORKS[@]}"; wait "${NETWORKS[@]}" 2>/dev/null || :' EXIT
}
differs_from_ours() { [ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }
host() { nsenter --net="/proc/$NET/ns/net" -- "$@"; }
with_devices() { # a network namespace with a veth pair, whose end `out` has addresses
  differs runc,crun 'too old'
  requires native 'a kernel that makes network devices'
  NETWORKS=()
  network NET
  host ip link add out type veth peer name stays
  host ip addr add 192.0.2.7/24 dev out
  host ip addr add 2001:db8::7/64 dev out nodad
  host ip addr add 192.0.2.8/24 dev out valid_lft 1000 preferred_lft 1000
  host ip link set out up
  host ip link set stays up
  real=$RUNTIME
  RUNTIME=$T/in-net
  printf '#!/bin/sh\nexec nsenter --net=/proc/%s/ns/net -- %s "$@"\n' "$NET" "$real" >"$RUNTIME"
  chmod +x "$RUNTIME"
}
devices='ip -o addr show | sed "s/ *\\\\.*//; s/  */ /g" | cut -d" " -f2-6; ip -o link show | cut -d: -f2,3 | cut -d" " -f2,3'

test_a_device_moves_with_its_addresses() {
  with_devices
  in_container "$devices" '.linux.netDevices = {out: {}}'
  assert_line "$OUT" 'out inet 192.0.2.7/24 scope global'
  assert_line "$OUT" 'out inet6 2001:db8::7/64 scope global'
  assert_no_match "$OUT" '192\.0\.2\.8'
  assert_match "$OUT" 'out(@[^ ]*)?: <[^>]*UP'
}

test_a_device_is_renamed() {
  with_devices
  in_container "$devices" '.linux.netDevices = {out: {name: "eth0"}}'
  assert_line "$OUT" 'eth0 inet 192.0.2.7/24 scope global'
  assert_no_match "$OUT" 'out'
}

test_a_device_is_named_after_a_template() {
  with_devices
  in_container "$devices" '.linux.netDevices = {out: {name: "eth%d"}}'
  assert_line "$OUT" 'eth0 inet 192.0.2.7/24 scope global'
}

test_it_leaves_the_host() {
  with_devices
  bundle c1 'args(["sleep", "1000"]) | .linux.netDevices = {out: {name: "eth0"}}'
  run_ok run --detach --bundle "$B" c1
  assert_no_match "$(host ip -o link show)" ' out[@:]'
  run_ok delete --force c1
}

test_it_moves_into_a_namespace_that_is_joined() {
  with_devices
  network to
  in_container "$devices" --arg p "/proc/$to/ns/net" 'join_ns("network"; $p) | .linux.netDevices = {out: {name: "eth0"}}'
  assert_line "$OUT" 'eth0 inet 192.0.2.7/24 scope global'
}

test_it_moves_into_a_user_namespaces_network() {
  with_devices
  bundle c1
  rm -rf "$B/rootfs"
  cp -a "$WORK/rootfs" "$B/rootfs"
  bundle c1 --arg s "$devices" 'userns | .linux.netDevices = {out: {name: "eth0"}} | sh($s)'
  run_ok run --bundle "$B" c1
  assert_line "$OUT" 'eth0 inet 192.0.2.7/24 scope global'
}

refused() { # REGEX FILTER
  bundle c1 "$2"
  run_fails 1 "$1" create --bundle "$B" c1
}
test_a_device_that_is_not_there() {
  with_devices
  refused 'linux.netDevices.none: find network device none: .*ENODEV' '.linux.netDevices = {none: {}}'
}

test_a_name_that_is_taken() {
  with_devices
  refused 'linux.netDevices.out: move to lo network device out: .*EEXIST' '.linux.netDevices = {out: {name: "lo"}}'
  assert_match "$(host ip -o addr show out)" '192\.0\.2\.7/24'
  assert_match "$(host ip -o link show out)" '<[^>]*UP'
}

test_a_failing_create_gives_it_back() {
  with_devices
  refused 'nonexistent' '.linux.netDevices = {out: {name: "eth0"}} | args(["/nonexistent"])'
  assert_match "$(host ip -o addr show out)" '192\.0\.2\.7/24'
  assert_match "$(host ip -o addr show out)" '2001:db8::7/64'
  assert_match "$(host ip -o link show out)" '<[^>]*UP'
}

test_two_of_which_the_second_is_not_there() {
  with_devices
  refused 'linux.netDevices.zzz' '.linux.netDevices = {out: {name: "eth0"}, zzz: {}}'
  assert_match "$(host ip -o addr show out)" '192\.0\.2\.7/24'
}

test_no_network_namespace() { differs runc,crun 'too old'; refused 'linux.netDevices.out: needs a network namespace' '.linux.netDevices = {out: {}} | no_ns("network")'; }
test_a_name_that_is_none() { differs runc,crun 'too old'; refused 'linux.netDevices.out: "a/b" is not' '.linux.netDevices = {out: {name: "a/b"}}'; }
test_a_name_for_two() { differs runc,crun 'too old'; refused 'is given to two devices' '.linux.netDevices = {a: {name: "x"}, b: {name: "x"}}'; }
