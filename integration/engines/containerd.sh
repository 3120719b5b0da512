# containerd: ctr, and what the kubelet asks of the CRI plugin, with the runtime as a handler of its own.
# shellcheck shell=bash disable=SC2034,SC2154

# By runc's shim, which executes the runtime, or by the runtime's own.
SHIM=io.containerd.runc.v2 BY=(--runc-binary "$RUNTIME") SYSTEMD=(--runc-systemd-cgroup) KEPT=/run/containerd/runc
if [[ $RT == *-shim ]]; then SHIM=io.containerd.$RUNTIME_NAME.v2 BY=(--runtime "$SHIM") SYSTEMD=() KEPT=/run/containerd/$RUNTIME_NAME; fi

versions() {
  echo "containerd $(containerd --version | awk '{print $3}')"
  "$RUNTIME" --version | head -1
}

engine_start() {
  local systemd=${1:-true} plugins
  plugins=$(dirname "$(find /usr/lib/cni /usr/libexec/cni /opt/cni/bin -name bridge 2>/dev/null | head -1)")
  mkdir -p /etc/containerd /etc/cni/net.d /etc/systemd/system/containerd.service.d
  printf '[Unit]\nStartLimitIntervalSec=0\n' >/etc/systemd/system/containerd.service.d/rows.conf
  cat >/etc/containerd/config.toml <<CONF
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/box:latest"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$plugins"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.handler]
      runtime_type = "$SHIM"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.handler.options]
        BinaryName = "$RUNTIME"
        SystemdCgroup = $systemd
CONF
  cat >/etc/cni/net.d/10-rows.conflist <<'CONF'
{"cniVersion": "1.0.0", "name": "rows", "plugins": [
  {"type": "bridge", "bridge": "rows0", "isGateway": true, "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.88.7.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
CONF
  systemctl daemon-reload
  systemctl restart containerd
  [ -f /var/tmp/box-image.tar ] || {
    tar -C "$BOX" -c . | podman import -c 'ENV PATH=/usr/bin:/bin' -c 'CMD ["sleep", "100000"]' - localhost/box:latest
    podman save --format docker-archive -o /var/tmp/box-image.tar localhost/box:latest
  }
  ctr -n k8s.io images import /var/tmp/box-image.tar
  ctr images import /var/tmp/box-image.tar
}
engine_stop() { systemctl stop containerd; }

tidy() {
  local id
  for id in $(cri ListPodSandbox | jq -r '.items[]?.id'); do cri StopPodSandbox "{\"pod_sandbox_id\": \"$id\"}"; cri RemovePodSandbox "{\"pod_sandbox_id\": \"$id\"}"; done
  for id in $(ctr tasks ls -q); do ctr tasks rm -f "$id"; done
  for id in $(ctr containers ls -q); do ctr containers rm "$id"; done
}
left_behind() {
  find "$KEPT/default" "$KEPT/k8s.io" -mindepth 1 -maxdepth 1
  find /sys/fs/cgroup -mindepth 1 -type d \( -name 'cri-containerd-*' -o -path '*/default/*' -o -path '*/rows-pod*/*' \)
  pgrep -af containerd-shim
}

BOX_IMAGE=localhost/box:latest
in_box() { did ctr run --rm "${BY[@]}" "${@:1:$#-1}" "$BOX_IMAGE" c1 sh -c "${*: -1}"; }
up() { did ctr run -d "${BY[@]}" "${@:2}" "$BOX_IMAGE" "$1" sleep 1000; PID=$(ctr tasks ls | awk -v id="$1" '$1 == id {print $2}'); CG=/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$PID/cgroup"); }

row_run_gives_output_and_status() { called ctr run --rm "${BY[@]}" "$BOX_IMAGE" c1 sh -c 'echo out; echo err >&2; exit 7'; assert_eq "$RC $OUT $ERR" '7 out err'; }
# ctr leaves it to the caller's terminal to put a carriage return before each line feed, and the container's has done so already.
row_run_on_a_terminal() {
  assert_eq "$(on_a_terminal ctr run -t --rm "${BY[@]}" $BOX_IMAGE c1 sh -c 'tty; sleep 1; stty size')" $'/dev/pts/0\r\r\n33 77\r\r'
}
row_run_options() {
  in_box --env A=1 --cwd /opt --user 1000:1000 --read-only --mount type=tmpfs,src=t,dst=/mnt,options=rw 'echo $A $PWD $(id -u); touch /f || echo refused; grep -c " /mnt " /proc/mounts'
  assert_eq "$OUT" $'1 /opt 1000\nrefused\n1'
}
row_run_in_a_user_namespace() { in_box --uidmap 0:100000:65536 --gidmap 0:100000:65536 --remap-labels 'cat /proc/self/uid_map; id -u'; assert_match "$OUT" $'0 +100000 +65536\n0'; }
row_seccomp_and_apparmor() {
  in_box --seccomp 'grep Seccomp: /proc/self/status'; assert_eq "$OUT" $'Seccomp:\t2'
  in_box --apparmor-default-profile rows-default 'cat /proc/self/attr/current'; assert_eq "$OUT" 'rows-default (enforce)'
}
row_limits() {
  up c1 --memory-limit 67108864 --cpus 0.5
  assert_match "$CG" '/default/c1$'
  assert_eq "$(cat "$CG"/{memory.max,cpu.max} | tr '\n' ' ')" '67108864 50000 100000 '
}
row_systemd_cgroup() {
  up c1 "${SYSTEMD[@]}" --cgroup rows.slice:rows:c1 --memory-limit 67108864
  assert_match "$CG" '/rows.slice/rows-c1.scope'; assert_eq "$(cat "$CG/memory.max")" 67108864
}
row_task_exec() {
  up c1
  called ctr tasks exec --exec-id e1 c1 sh -c 'echo in; exit 9'; assert_eq "$RC $OUT" '9 in'
  assert_eq "$(on_a_terminal ctr tasks exec -t --exec-id e2 c1 sh -c 'tty; sleep 2')" $'/dev/pts/0\r\r'
  refuses 1 'executable file not found' ctr tasks exec --exec-id e3 c1 nothing
}
row_task_pause_and_resume() {
  up c1
  did ctr tasks pause c1; assert_match "$(ctr tasks ls)" PAUSED; assert_match "$(cat "$CG/cgroup.events")" 'frozen 1'
  did ctr tasks resume c1; assert_match "$(ctr tasks ls)" RUNNING
}
row_checkpoint_and_restore() { # by CRIU, into an image
  did ctr run -d "${BY[@]}" --log-uri "file://$T/c1" "$BOX_IMAGE" c1 sh -c "$COUNTER"
  eventually grep -qx 5 c1
  did ctr containers checkpoint --rw --image --task c1 kept
  goes_on_counting cat c1
  did ctr tasks rm -f c1; did ctr containers rm c1
  ctr containers restore --rw --live c2 kept >c2 &
  eventually has 'c2 .*RUNNING' ctr tasks ls
  did ctr tasks exec --exec-id e1 c2 echo in; assert_eq "$OUT" in
  did ctr tasks kill -s KILL c2; wait; did ctr images rm kept
}
row_task_metrics_and_ps() {
  up c1
  did ctr tasks metrics c1; assert_match "$OUT" 'memory.usage +[1-9]'; assert_match "$OUT" 'pids.current +1'
  did ctr tasks ps c1; assert_match "$OUT" "$PID"
}
row_task_kill_and_delete() { up c1; did ctr tasks kill -s KILL c1; eventually has STOPPED ctr tasks ls; did ctr tasks delete c1; did ctr containers rm c1; }
row_command_that_is_not_there() { refuses 1 'executable file not found in \$PATH' ctr run --rm "${BY[@]}" "$BOX_IMAGE" c1 nothing; }
row_shim_reports_the_runtime() { # containerd keeps what `features` says
  did ctr run --rm "${BY[@]}" "$BOX_IMAGE" c1 true
  "$RUNTIME" features | jq -e '.ociVersionMax' >/dev/null
}
row_containerd_restarts() { up c1; did systemctl restart containerd; did ctr tasks exec --exec-id e1 c1 echo still; assert_eq "$OUT" still; did ctr tasks kill -s KILL c1; eventually has STOPPED ctr tasks ls; }
row_containerd_is_killed_in_the_middle_of_a_call() { # at a moment that chance chooses: what was asked for is there, or it can be removed
  local moment id main
  up c0
  for moment in 0.02 0.05 0.1 0.15 0.2 0.3 0.5; do
    ctr run -d "${BY[@]}" "$BOX_IMAGE" c1 sleep 1000 & ctr tasks exec --exec-id "e$moment" c0 sleep 0.3 &
    sleep "$moment"
    main=$(systemctl show -P MainPID containerd); kill -KILL "$main"
    wait || :
    did systemctl restart containerd
    did ctr tasks exec --exec-id "f$moment" c0 echo still; assert_eq "$OUT" still
    for id in $(ctr tasks ls -q); do [ "$id" = c0 ] || did ctr tasks rm -f "$id"; done
    for id in $(ctr containers ls -q); do [ "$id" = c0 ] || did ctr containers rm "$id"; done
    ctr snapshots rm c1 2>/dev/null || : # which ctr makes first
    did ctr run --rm "${BY[@]}" "$BOX_IMAGE" c1 echo again; assert_eq "$OUT" again
  done
  did ctr tasks kill -s KILL c0; eventually has STOPPED ctr tasks ls
}
row_one_shim_for_all_containers_is_killed() {
  [[ $RT == *-shim ]] || skip 'it has no such shim'
  local id shim session
  echo 'ShimGroup = "all"' >options
  BY+=(--runtime-config-path "$T/options")
  for id in c1 c2 c3; do up "$id"; done
  shim=$(pgrep -fo containerd-shim); session=$(ps -o sid= -p "$shim")
  assert_eq "$(pgrep -fc containerd-shim -s $session)" "$(pgrep -fc containerd-shim)"
  eventually gives 2 pgrep -fc containerd-shim -s $session # and its copy
  kill -KILL "$shim"
  eventually gives 2 pgrep -fc containerd-shim -s $session
  for id in c1 c2 c3; do
    did ctr tasks exec --exec-id e1 "$id" echo still; assert_eq "$OUT" still
    has "$id .*RUNNING" ctr tasks ls
  done
  did systemctl restart containerd
  did ctr tasks exec --exec-id e2 c2 echo still
  did ctr tasks kill -s KILL c1; eventually has 'c1 .*STOPPED' ctr tasks ls; did ctr tasks rm c1
  up c4; did ctr tasks exec --exec-id e3 c4 true
  assert_eq "$(pgrep -fc containerd-shim -s $session)" 2
}

# ---- what the kubelet asks ----
cri() { "$HERE/cri" "$@"; }
asked() { did cri "$1" "$(jq -nc "${@:2}")"; } # METHOD FILTER
# pod NAME [FILTER]: POD_ID; pod_container NAME COMMAND [FILTER]: ID, running
pod() {
  POD_CONFIG=$(jq -nc --arg name "$1" --arg logs "$T" '{metadata: {name: $name, uid: $name, namespace: "rows"}, hostname: $name, log_directory: $logs,
    linux: {cgroup_parent: "/rows-pod.slice", security_context: {namespace_options: {pid: 1}}}} | '"${2:-.}")
  asked RunPodSandbox --argjson config "$POD_CONFIG" '{config: $config, runtime_handler: "handler"}'
  POD_ID=$(jq -r .pod_sandbox_id <<<"$OUT")
}
pod_container() {
  asked CreateContainer --arg pod "$POD_ID" --argjson sandbox "$POD_CONFIG" --arg name "$1" --arg command "$2" --arg image "$BOX_IMAGE" '{pod_sandbox_id: $pod, sandbox_config: $sandbox,
    config: ({metadata: {name: $name}, image: {image: $image}, command: ["sh", "-c", $command], log_path: ($name + ".log"),
      linux: {security_context: {namespace_options: $sandbox.linux.security_context.namespace_options}}} | '"${3:-.}"')}'
  ID=$(jq -r .container_id <<<"$OUT")
  asked StartContainer --arg id "$ID" '{container_id: $id}'
}
exec_sync() { asked ExecSync --arg id "$ID" --arg command "$1" '{container_id: $id, cmd: ["sh", "-c", $command], timeout: 60}'; }
container_state() { cri ContainerStatus "{\"container_id\": \"$ID\"}" | jq -r '.status | "\(.state // 0) \(.exit_code // 0)"'; }
reason() { cri ContainerStatus "{\"container_id\": \"$ID\"}" | jq -r .status.reason; }
pid_of_container() { PID=$(ctr -n k8s.io tasks ls | awk -v id="$1" '$1 == id {print $2}'); CG=/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$PID/cgroup"); }

row_cri_pod_and_container() {
  pod p1
  asked PodSandboxStatus --arg id "$POD_ID" '{pod_sandbox_id: $id}'; assert_jq "$OUT" '.status.runtime_handler == "handler" and (.status.network.ip | startswith("10.88.7."))'
  pod_container main 'echo logged; hostname >/tmp/name; sleep 1000'
  exec_sync 'cat /tmp/name; cat /proc/1/comm; echo bad >&2; exit 3'; assert_jq "$OUT" '.exit_code == 3 and .stdout == "p1\nsleep\n" and .stderr == "bad\n"'
  eventually grep -q 'stdout F logged' main.log
  pid_of_container "$ID"; assert_match "$CG" '/rows-pod.slice/cri-containerd-'
}
row_cri_handler_is_the_runtime() {
  pod p1
  assert_exists "$KEPT/k8s.io/$POD_ID/state.json"
  did "$RUNTIME" --root "$KEPT/k8s.io" state "$POD_ID"; assert_jq "$OUT" '.status == "running"'
}
row_cri_sidecar_shares_the_pod() {
  pod p1 '.linux.security_context.namespace_options.pid = 0'
  pod_container web 'httpd -f -p 8000 -h /var/www'
  pod_container side 'sleep 1000'
  exec_sync 'wget -qO- http://127.0.0.1:8000/; ls /proc | grep -c "^[0-9]"'
  assert_jq "$OUT" '.stdout | startswith("hello from the box\n")'; assert_jq "$OUT" '.stdout | split("\n")[1] | tonumber > 3'
}
row_cri_limits_and_their_update() {
  pod p1
  pod_container main 'sleep 1000' '.linux.resources = {cpu_period: 100000, cpu_quota: 50000, cpu_shares: 512, memory_limit_in_bytes: 67108864, oom_score_adj: 500}'
  pid_of_container "$ID"
  assert_eq "$(cat "$CG"/{memory.max,cpu.max} | tr '\n' ' ')$(cat "/proc/$PID/oom_score_adj")" '67108864 50000 100000 500'
  asked UpdateContainerResources --arg id "$ID" '{container_id: $id, linux: {memory_limit_in_bytes: 134217728, cpu_quota: 25000, cpu_period: 100000}}'
  assert_eq "$(cat "$CG"/{memory.max,cpu.max} | tr '\n' ' ')" '134217728 25000 100000 '
}
row_cri_security_context() {
  pod p1
  pod_container main 'sleep 1000' '.linux.security_context += {run_as_user: {value: 1000}, readonly_rootfs: 1, no_new_privs: 1, seccomp: {profile_type: 0}, capabilities: {drop_capabilities: ["ALL"]}, supplemental_groups: [4321]}'
  exec_sync 'id -u; id -G; touch /f 2>/dev/null || echo refused; grep -E "NoNewPrivs|Seccomp:|CapBnd" /proc/self/status | tr -d "\n"'
  assert_match "$(jq -r .stdout <<<"$OUT")" $'^1000\n.*4321\nrefused\nCapBnd:\t0+NoNewPrivs:\t1Seccomp:\t2'
}
row_cri_privileged() {
  pod p1 '.linux.security_context.privileged = 1'
  pod_container main 'sleep 1000' '.linux.security_context.privileged = 1'
  exec_sync 'mount -t tmpfs t /mnt && echo mounted'; assert_jq "$OUT" '.stdout == "mounted\n"'
}
row_cri_volume() { mkdir data; pod p1; pod_container main 'echo x >/data/f; sleep 1000' '.mounts = [{container_path: "/data", host_path: "'"$T/data"'"}]'; eventually test -s data/f; }
row_cri_user_namespace() {
  pod p1 '.linux.security_context.namespace_options.userns_options = {mode: 0, uids: [{host_id: 200000, container_id: 0, length: 65536}], gids: [{host_id: 200000, container_id: 0, length: 65536}]}'
  pod_container main 'sleep 1000'
  exec_sync 'cat /proc/self/uid_map; touch /f; stat -c %u /f /var/www/index.html'; assert_match "$(jq -r .stdout <<<"$OUT")" $'0 +200000 +65536\n0\n0'
  pid_of_container "$ID"; assert_eq "$(stat -c %u "/proc/$PID")" 200000
}
row_cri_host_namespaces() { pod p1 '.linux.security_context.namespace_options = {network: 2, pid: 2, ipc: 2} | .hostname = ""'; pod_container main 'sleep 1000'; exec_sync 'cat /proc/1/comm'; assert_jq "$OUT" '.stdout == "systemd\n"'; }
row_cri_sysctls() { pod p1 '.linux.sysctls = {"net.ipv4.ip_forward": "0"}'; pod_container main 'sleep 1000'; exec_sync 'cat /proc/sys/net/ipv4/ip_forward'; assert_jq "$OUT" '.stdout == "0\n"'; }
row_cri_stop_sends_sigterm() {
  pod p1; pod_container main 'trap "exit 5" TERM; while :; do sleep 0.2; done'
  asked StopContainer --arg id "$ID" '{container_id: $id, timeout: 60}'; assert_eq "$(container_state)" '2 5'
}
row_cri_stop_kills_in_time() { pod p1; pod_container main 'trap "" TERM; while :; do sleep 0.2; done'; asked StopContainer --arg id "$ID" '{container_id: $id, timeout: 1}'; assert_eq "$(container_state)" '2 137'; }
row_cri_exit_and_out_of_memory() {
  pod p1; pod_container a 'exit 4'; eventually gives '2 4' container_state
  pod_container b 'tail /dev/zero' '.linux.resources = {memory_limit_in_bytes: 16777216}'; eventually gives '2 137' container_state
  # Of a process that it outlives: what is killed with the whole container, containerd hears of only if it looks in time.
  pod_container c 'sleep 3; tail /dev/zero; sleep 3; exit 4' '.linux.resources = {memory_limit_in_bytes: 16777216}'; eventually gives '2 4' container_state
  eventually gives OOMKilled reason
}
row_cri_command_that_is_not_there() {
  pod p1
  asked CreateContainer --arg pod "$POD_ID" --argjson sandbox "$POD_CONFIG" --arg image "$BOX_IMAGE" '{pod_sandbox_id: $pod, sandbox_config: $sandbox, config: {metadata: {name: "bad"}, image: {image: $image}, command: ["nothing"]}}'
  ID=$(jq -r .container_id <<<"$OUT")
  refuses 1 'executable file not found in \$PATH' cri StartContainer "{\"container_id\": \"$ID\"}"
}
row_cri_exec_that_takes_too_long() { pod p1; pod_container main 'sleep 1000'; refuses 1 'DEADLINE|timeout|timed out' cri ExecSync "{\"container_id\": \"$ID\", \"cmd\": [\"sleep\", \"100\"], \"timeout\": 2}"; exec_sync 'echo well'; assert_jq "$OUT" '.stdout == "well\n"'; }
# What `kubectl exec -it` and `kubectl attach -it` read and write. A carriage return before each line feed is the container's terminal's:
# the client's own is raw.
over_a_stream() { # METHOD FILTER TEXT...: OUT, byte for byte but for the last line feeds
  local method=$1 filter=$2
  asked "$method" --arg id "$ID" "$filter"
  called "$HERE/stream" --size 33x77 "$(jq -r .url <<<"$OUT")" "${@:3}"
}
row_cri_exec_on_a_terminal() {
  pod p1; pod_container main 'sleep 1000'
  over_a_stream Exec '{container_id: $id, tty: 1, stdin: 1, stdout: 1, cmd: ["sh", "-c", "'"${SIZED//\"/\\\"}"'; tty; stty size; echo a; echo b; echo ready; read x; echo got $x; exit 3"]}' 'c\r'
  assert_eq "$RC $OUT" $'3 /dev/pts/0\r\n33 77\r\na\r\nb\r\nready\r\nc\r\ngot c\r'
}
row_cri_attach_to_a_terminal() {
  pod p1; pod_container main "$SIZED; echo ready; while read x; do echo got \$x; echo ready; done; exit 3" '.tty = 1 | .stdin = 1'
  over_a_stream Attach '{container_id: $id, tty: 1, stdin: 1, stdout: 1}' 'a\r' 'b\r' '\x04'
  assert_eq "$OUT" $'ready\r\na\r\ngot a\r\nready\r\nb\r\ngot b\r\nready\r'
  eventually gives '2 3' container_state
}
row_cri_stats() { pod p1; pod_container main 'sleep 1000'; asked ContainerStats --arg id "$ID" '{container_id: $id}'; assert_jq "$OUT" '.stats.memory.working_set_bytes.value > 0'; }
row_cri_cgroupfs_driver() {
  engine_start false >/dev/null
  pod p1 '.linux.cgroup_parent = "/rows-pod-fs"'; pod_container main 'sleep 1000' '.linux.resources = {memory_limit_in_bytes: 67108864}'
  pid_of_container "$ID"; assert_match "$CG" "/rows-pod-fs/$ID"; assert_eq "$(cat "$CG/memory.max")" 67108864
  tidy >/dev/null; engine_start >/dev/null
}
