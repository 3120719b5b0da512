# Pods without an image: the shim's sandbox service, as containerd asks for it where a handler says `sandboxer = "shim"`.
# shellcheck shell=bash disable=SC2034
CASE_LIMIT=90

# shellcheck source=../words/shim.sh
. "$STAGE/words/shim.sh"

# pod ID [JSON [FIELD=VALUE...]]: a sandbox of this configuration, made and started: PID; ADDRESS
pod() {
  local id=$1 json=${2:-'{}'}
  shift $(($# > 1 ? 2 : 1))
  empty "$id"
  call CreateSandbox sandbox_id="$id" bundle_path="$T/$id" pod="$json" "$@"
  call StartSandbox sandbox_id="$id"
  PID=$(jq .pid <<<"$OUT")
}
# empty ID: a bundle with nothing in it, as containerd makes it for a sandbox, and a shim: ADDRESS
empty() {
  listening
  rm -rf "${T:?}/$1"; mkdir -p "$T/$1/rootfs"
  OUT=$("$CONTAINERD" start "$SHIM" "$NAMESPACE" "$1" "$T/$1" ttrpc="$TTRPC_ADDRESS" "$(OPTIONS '')")
  assert_jq "$OUT" '.version == 3'
  ADDRESS=$(jq -r .address <<<"$OUT")
}
# member ID POD [FILTER]: a container of the pod, in the namespaces of its sandbox PID, made and started as containerd does: by no `start`
member() {
  local id=$1 pod=$2 filter=${3:-.} sandbox=$PID
  bundle "$id" --arg pod "$pod" --arg ns "/proc/$sandbox/ns" \
    '.annotations["io.kubernetes.cri.sandbox-id"] = $pod | .linux.namespaces |= map(if .type as $t | ["pid", "ipc", "uts", "network"] | index($t)
       then .path = "\($ns)/\(if .type == "network" then "net" else .type end)" else . end) | del(.hostname) | '"$filter"
  echo -n "$pod" >"$B/sandbox"
  mkfifo "$T/$id.out"; cat "$T/$id.out" >"$T/$id.got" &
  call Create id="$id" bundle="$B" "$(OPTIONS '')" stdout="$T/$id.out"
  call Start id="$id"
}
# gone ID: the last container of the pod was forgotten: so is the sandbox, and its shim goes
gone() {
  local shim; shim=$(shim_pid)
  call ShutdownSandbox sandbox_id="$1"
  eventually ended "$shim"
  nothing_of "$1"
}
nothing_of() {
  assert_no_match "$(cat /proc/mounts)" "$T/$1"
  assert_absent "$T/root/$NAMESPACE/$1"
  kill "$LISTENER"; rm "$TTRPC_ADDRESS"
}

test_a_pod_and_its_containers() {
  pod p1 '{"hostname": "web-0", "dns": {"servers": ["10.0.0.7"], "searches": ["a.b", "b"]}, "linux": {"sysctls": [{"key": "kernel.shm_rmid_forced", "value": "1"}]}}'
  assert_jq "$OUT" '.spec.type_url == "types.containerd.io/opencontainers/runtime-spec/1/Spec" and (.spec.value | @base64d | fromjson | .annotations["io.kubernetes.cri.container-type"] == "sandbox")'
  call SandboxStatus sandbox_id=p1
  assert_jq "$OUT" ".state == \"SANDBOX_READY\" and .pid == $PID and .created_at.seconds > 1700000000 and (has(\"exited_at\") | not)"
  assert_eq "$(tr '\0' ' ' <"/proc/$PID/cmdline")" 'knarr-init '
  local status; status=$(cat "/proc/$PID/status")
  for word in 'NoNewPrivs:.1' 'CapEff:.0000000000000000' 'CapPrm:.0000000000000000' 'CapBnd:.0000000000000000'; do assert_match "$status" "$word"; done
  call PingSandbox sandbox_id=p1
  call Platform sandbox_id=p1; assert_jq "$OUT" '.platform | .os == "linux" and (.architecture | IN("amd64", "arm64"))'
  member c1 p1 'sh("cat /etc/hostname /etc/resolv.conf; hostname; cut -c1-10 /proc/1/cmdline | head -n1; cat /proc/sys/kernel/shm_rmid_forced; echo shared >/dev/shm/word; ip -o link | wc -l; echo done")'
  call Wait id=c1; assert_jq "$OUT" '(.exit_status // 0) == 0'
  eventually is_line_in done c1.got
  assert_eq "$(cat c1.got)" $'web-0\nsearch a.b b\nnameserver 10.0.0.7\nweb-0\nknarr-init\n1\n1\ndone'
  member c2 p1 'sh("cat /dev/shm/word; echo done")'
  eventually is_line_in done c2.got
  assert_eq "$(cat c2.got)" $'shared\ndone'
  call Wait id=c2
  forget c1; call Shutdown; forget c2; call Shutdown # which containerd says after each
  call StopSandbox sandbox_id=p1
  call WaitSandbox sandbox_id=p1; assert_jq "$OUT" '.exit_status == 137 and .exited_at.seconds > 1700000000'
  call SandboxStatus sandbox_id=p1; assert_jq "$OUT" '.state == "SANDBOX_NOTREADY" and has("exited_at")'
  call StopSandbox sandbox_id=p1 # again
  gone p1
  # A sandbox is no task.
  assert_no_match "$(jq -r '.container_id' "$T/events")" p1
  assert_eq "$(ls "$T/p1/rootfs")" '' # containerd removes an empty one
}

test_a_pod_ends_with_all_that_is_in_it() {
  pod p1
  member c1 p1 'sh("sleep 1000")'
  call StopSandbox sandbox_id=p1
  call Wait id=c1; assert_jq "$OUT" '.exit_status == 137'
  forget c1; call Shutdown
  gone p1
}

test_a_pod_that_runs_is_taken_away() {
  pod p1
  local init=$PID shim sockets; shim=$(shim_pid)
  connections() { find "/proc/$shim/fd" -lname 'socket:*' | wc -l; }
  sockets=$(connections)
  "$CONTAINERD" call "$ADDRESS" WaitSandbox sandbox_id=p1 >waited &
  eventually eval '[ "$(connections)" -gt "$sockets" ]'
  gone p1
  assert_absent "/proc/$init"
  wait $!; assert_jq "$(cat waited)" '.exit_status == 137'
}

test_files_of_its_own_a_container_keeps() {
  pod p1 '{"hostname": "web-0"}'
  echo own >hosts
  member c1 p1 ".mounts += [{destination: \"/etc/hosts\", type: \"bind\", source: \"$T/hosts\", options: [\"rbind\"]}] | .root.readonly = true | sh(\"cat /etc/hosts; (echo x >/etc/hostname) 2>/dev/null || echo readonly; echo done\")"
  eventually is_line_in done c1.got
  assert_eq "$(cat c1.got)" $'own\nreadonly\ndone'
  call Wait id=c1; forget c1; call Shutdown
  gone p1
}

test_the_network_that_containerd_has_made() {
  unshare --net sleep 1000 & local holder=$!
  eventually eval '[ "$(readlink "/proc/$holder/ns/net")" != "$(readlink /proc/self/ns/net)" ]'
  pod p1 '{}' netns_path="/proc/$holder/ns/net"
  assert_eq "$(readlink "/proc/$PID/ns/net")" "$(readlink "/proc/$holder/ns/net")"
  gone p1
  kill "$holder"
}

test_the_nodes_namespaces() {
  pod p1 '{"hostname": "other", "linux": {"security": {"namespaces": {"network": 2, "pid": 2, "ipc": 2}}}}'
  local kind
  for kind in net uts pid ipc; do
    assert_eq "$(readlink "/proc/$PID/ns/$kind")" "$(readlink "/proc/self/ns/$kind")" "$kind"
  done
  [ "$(readlink "/proc/$PID/ns/mnt")" != "$(readlink /proc/self/ns/mnt)" ] || fail 'its mounts are the machine'"'"'s'
  assert_absent "$T/p1/pod/shm"
  gone p1
}

test_a_user_namespace_of_its_own() {
  local ranges='"uids": [{"host": 100000, "length": 65536}], "gids": [{"host": 100000, "length": 65536}]'
  unshare --user --net sleep 1000 & local holder=$!
  eventually eval '[ "$(readlink "/proc/$holder/ns/net")" != "$(readlink /proc/self/ns/net)" ]'
  echo '0 100000 65536' >"/proc/$holder/uid_map"; echo '0 100000 65536' >"/proc/$holder/gid_map"
  pod p1 "{\"linux\": {\"security\": {\"namespaces\": {\"user\": {\"mode\": 0, $ranges}}}}}" netns_path="/proc/$holder/ns/net"
  assert_eq "$(readlink "/proc/$PID/ns/user")" "$(readlink "/proc/$holder/ns/user")"
  assert_eq "$(readlink "/proc/$PID/ns/net")" "$(readlink "/proc/$holder/ns/net")"
  assert_eq "$(stat -c %u "/proc/$PID/ns")" 100000
  gone p1
  kill "$holder"
  # On the node's network it is made here.
  pod p1 "{\"linux\": {\"security\": {\"namespaces\": {\"network\": 2, \"user\": {\"mode\": 0, $ranges}}}}}"
  assert_match "$(cat "/proc/$PID/uid_map")" '0 +100000 +65536'
  gone p1
}

test_what_a_pod_uses() {
  requires controller memory
  pod p1 "{\"linux\": {\"cgroup_parent\": \"$BASE/pod\"}}"
  member c1 p1 'sh("sleep 1000") | .linux.cgroupsPath = "'"$BASE"'/pod/c1"'
  call SandboxMetrics sandbox_id=p1
  assert_jq "$OUT" '.type == "io.containerd.cgroups.v2.Metrics" and .pids.current == 2 and .memory.usage > 0'
  call StopSandbox sandbox_id=p1; call Wait id=c1; forget c1; call Shutdown
  gone p1
  assert_absent "$V2$BASE/pod"
}

test_a_bundle_with_a_configuration() { # `ctr sandboxes run`
  ready p1 'sh("sleep 1000")'
  call CreateSandbox sandbox_id=p1 bundle_path="$B"
  call StartSandbox sandbox_id=p1
  assert_match "$(tr '\0' ' ' <"/proc/$(jq .pid <<<"$OUT")/cmdline")" 'sleep 1000'
  call StopSandbox sandbox_id=p1
  gone p1
}

test_what_is_refused_leaves_nothing() {
  empty p1
  refuses 5 'sandbox p1: not found' StartSandbox sandbox_id=p1
  refuses 5 'sandbox p1: not found' SandboxStatus sandbox_id=p1
  refuses 2 'linux.namespaces.*network.*ENOENT' CreateSandbox sandbox_id=p1 bundle_path="$T/p1" pod='{}' netns_path=/nowhere
  assert_no_match "$(cat /proc/mounts)" "$T/p1"
  assert_absent "$T/root/$NAMESPACE/p1"; assert_absent "$T/p1/pod"; assert_absent "$T/p1/config.json"
  refuses 2 'linux.sysctl' CreateSandbox sandbox_id=p1 bundle_path="$T/p1" pod='{"linux": {"sysctls": [{"key": "no.such", "value": "1"}]}}'
  call CreateSandbox sandbox_id=p1 bundle_path="$T/p1" pod='{}'
  gone p1
  pod p1
  refuses 6 'already exists' CreateSandbox sandbox_id=p1 bundle_path="$T/p1" pod='{}'
  refuses 12 'method FrobSandbox' FrobSandbox sandbox_id=p1
  refuses 9 'started already' StartSandbox sandbox_id=p1
  # A task is no sandbox.
  member c1 p1 'sh("sleep 1000")'
  refuses 5 'sandbox c1: not found' StopSandbox sandbox_id=c1
  call Kill id=c1 signal=9; call Wait id=c1; forget c1; call Shutdown
  gone p1
}

test_delete_of_a_sandbox_takes_its_containers_too() {
  pod p1
  # containerd may have removed the bundle of the second, and a client of its own may name no sandbox in the first's annotations.
  member c1 p1 'sh("sleep 1000") | del(.annotations)'
  member c2 p1 'sh("sleep 1000")'
  rm "$B/sandbox"
  local shim init=$PID member; shim=$(shim_pid)
  call State id=c1; member=$(jq .pid <<<"$OUT")
  kill -KILL "$shim"; eventually ended "$shim"
  OUT=$("$CONTAINERD" delete "$SHIM" "$NAMESPACE" p1 "$T/p1"); assert_jq "$OUT" ".exit_status == 137 and .pid == $init"
  eventually ended "$init"; eventually ended "$member"
  assert_absent "$T/root/$NAMESPACE/c1"; assert_absent "$T/root/$NAMESPACE/c2"
  nothing_of p1
}
