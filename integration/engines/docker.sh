# Docker Engine: the runtime is the default one of daemon.json.
# shellcheck shell=bash disable=SC2034,SC2154

versions() {
  echo "Docker Engine $(docker version -f '{{.Server.Version}}'), containerd $(containerd --version | awk '{print $3}'), Compose $(docker compose version --short), Buildx $(docker buildx version | awk '{print $2}')"
  "$RUNTIME" --version | head -1
}

# Where the runtime records containers, by the folder of the daemon's; a shim of its own does so where that is by default.
kept() { if [[ $RT == *-shim ]]; then echo "/run/containerd/$RUNTIME_NAME/moby"; else dirname "$EXEC"/runtime-*/moby/"$1"; fi; } # ID
DAEMON_JSON=/etc/docker/daemon.json DATA=/var/lib/docker EXEC=/run/docker
engine_start() {
  mkdir -p /etc/docker /etc/systemd/system/docker.service.d
  cat >/etc/systemd/system/docker.service.d/rows.conf <<UNIT
[Unit]
StartLimitIntervalSec=0
[Service]
Environment=DOCKER_BUILDKIT_RUNC_COMMAND=$RUNTIME
UNIT
  systemctl daemon-reload
  daemon .
  tar -C "$BOX" -c . | docker import -c 'CMD ["sh"]' - box
}
engine_stop() { systemctl stop docker docker.socket containerd; }

# daemon FILTER: restart it with the usual configuration, changed by a filter.
daemon() {
  local json
  json=$(jq -n --arg rt "$RT" --arg path "$RUNTIME" '{"runtimes": {"knarr": {path: "/usr/local/sbin/knarr"}, "knarr-shim": {runtimeType: "io.containerd.knarr.v2"}}, "default-runtime": $rt,
    "storage-driver": "overlay2", "init-path": "/usr/bin/docker-init", "shutdown-timeout": 3} | '"$1")
  [ "$json" = "$(cat "$DAEMON_JSON")" ] && systemctl is-active -q docker && return
  echo "$json" >"$DAEMON_JSON"
  systemctl restart docker || { journalctl -q --no-pager -n 10; return 1; }
}

# Every call of the command line takes a second without KVM, so look on the disk first.
tidy() {
  local containers=("$DATA"/{,*.*/}containers/*/) volumes=("$DATA"/{,*.*/}volumes/*/)
  [ ${#containers[@]} = 0 ] || timeout 60 docker rm -fv $(printf '%s\n' "${containers[@]}" | xargs -n1 basename) >/dev/null
  [ ${#volumes[@]} = 0 ] || docker volume prune -af >/dev/null
  [[ ${ROW:-} != *network* ]] || docker network prune -f >/dev/null
  daemon .
}
# Containers, cgroups and shims of containers that are gone.
left_behind() {
  find "$EXEC" -mindepth 3 -maxdepth 3 -path '*/runtime-*/moby/*'
  find /run/containerd/knarr/moby -mindepth 1
  find /sys/fs/cgroup -mindepth 1 -type d \( -name 'docker-*.scope' -o -path '*/docker/*' -o -path '*/buildkit/*' \)
  pgrep -af containerd-shim
}

# up NAME [OPTION...] [-- COMMAND...]: a container that stays
up() {
  local name=$1 options=()
  shift
  while [ $# -gt 0 ] && [ "$1" != -- ]; do options+=("$1"); shift; done
  [ $# -gt 0 ] && shift || set -- sleep 1000
  did docker run -d --name "$name" "${options[@]}" box "$@"
}
inspect() { docker inspect -f "$2" "$1"; } # NAME TEMPLATE
cgroup_of() { # NAME: CG = its cgroup on the machine
  CG=/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$(inspect "$1" '{{.State.Pid}}')/cgroup")
}
in_box() { did docker run --rm "${@:1:$#-1}" box sh -c "${*: -1}"; } # [OPTION...] SCRIPT

# ---- which runtime ----
row_the_default_runtime_makes_the_container() {
  up c1
  assert_eq "$(inspect c1 '{{.HostConfig.Runtime}}')" "$RT"
  local id; id=$(inspect c1 '{{.Id}}')
  did "$RUNTIME" --root "$(kept "$id")" state "$id"; assert_jq "$OUT" '.status == "running"'
}
row_runtime_of_one_container() { # --runtime
  up c1 --runtime knarr
  up c2 --runtime runc
  assert_eq "$(inspect c1 '{{.HostConfig.Runtime}}') $(inspect c2 '{{.HostConfig.Runtime}}')" 'knarr runc'
  did docker exec c1 echo one; assert_eq "$OUT" one
  did docker exec c2 echo two; assert_eq "$OUT" two
}
row_in_place_of_runc() { # by dpkg-divert and update-alternatives
  [ "$RT" != runc ] || skip 'it is runc'
  [[ $RT != *-shim ]] || skip 'a shim of its own executes no runtime'
  trap 'update-alternatives --remove-all runc; dpkg-divert --local --rename --remove /usr/sbin/runc' EXIT
  did dpkg-divert --local --rename --divert /usr/sbin/runc.distrib --add /usr/sbin/runc
  did update-alternatives --install /usr/sbin/runc runc /usr/sbin/runc.distrib 10
  did update-alternatives --install /usr/sbin/runc runc "$RUNTIME" 20
  did runc --version; assert_match "$OUT" "^$RT version"
  up c1 --runtime runc; did docker exec c1 echo in; assert_eq "$OUT" in
  did "$RUNTIME" --root /run/docker/runtime-runc/moby state "$(inspect c1 '{{.Id}}')"; assert_jq "$OUT" '.status == "running"'
  did docker rm -f c1
}
row_info_names_the_runtime() { did docker info -f '{{.DefaultRuntime}}'; assert_eq "$OUT" "$RT"; }

# ---- run ----
row_run_gives_output_and_status() {
  called docker run --rm box sh -c 'echo out; echo err >&2; exit 7'
  assert_eq "$RC $OUT $ERR" '7 out err'
}
row_run_rm_leaves_no_container() {
  in_box true
  did docker ps -aq; assert_eq "$OUT" ''
}
row_run_detached_with_a_name() {
  up web
  assert_eq "$(inspect web '{{.State.Status}} {{.Name}}')" 'running /web'
  refuses 125 'already in use' docker run -d --name web box true
}
row_run_on_a_terminal() {
  assert_eq "$(on_a_terminal docker run --rm -it box sh -c 'tty; stty size')" $'/dev/pts/0\r\n33 77\r'
}
row_run_reads_stdin() { assert_eq "$(echo words | docker run --rm -i box cat)" words; }
row_environment() {
  echo B=2 >env
  in_box -e A=1 --env-file env 'echo $A$B$HOME'
  assert_eq "$OUT" 12/root
}
row_working_directory_is_made() { in_box -w /not/there 'pwd'; assert_eq "$OUT" /not/there; }
row_entrypoint() { did docker run --rm --entrypoint echo box hi; assert_eq "$OUT" hi; }
row_hostname_and_hosts() {
  in_box --hostname ship --add-host crew:10.1.2.3 'hostname; grep crew /etc/hosts'
  assert_match "$OUT" $'^ship\n10.1.2.3'
}
row_domainname() { in_box --domainname sea.example 'cat /proc/sys/kernel/domainname'; assert_eq "$OUT" sea.example; }
row_labels_and_annotations() {
  up c1 --label a=b --annotation x.y=z
  assert_eq "$(inspect c1 '{{.Config.Labels.a}} {{index .HostConfig.Annotations "x.y"}}')" 'b z'
}
row_init() {
  in_box --init 'cat /proc/1/comm; (sleep 0.1 &); sleep 1; cat /proc/[0-9]*/stat | grep -c ") Z" || :'
  assert_eq "$OUT" $'docker-init\n0'
}
row_ten_at_once() {
  local i
  for i in 1 2 3 4 5 6 7 8 9 10; do docker run --rm box echo "$i" >"out$i" & done
  wait
  assert_eq "$(cat out* | sort -n | tr '\n' ' ')" '1 2 3 4 5 6 7 8 9 10 '
}

# ---- files ----
row_bind_volume() {
  mkdir data; echo there >data/f
  in_box -v "$T/data:/data" 'cat /data/f; echo back >/data/g'
  assert_eq "$OUT $(cat data/g)" 'there back'
}
row_bind_volume_read_only() {
  mkdir data
  refuses 1 'read-only' docker run --rm -v "$T/data:/data:ro" box touch /data/f
}
row_bind_volume_read_only_with_all_below() { # by rro
  [[ $RT != *-shim ]] || skip 'dockerd asks only runtimes with a path what they can do'
  mkdir -p data/sub; mount -t tmpfs t data/sub
  refuses 1 'read-only' docker run --rm --mount "type=bind,src=$T/data,dst=/data,readonly" box touch /data/sub/f
  umount data/sub
}
row_bind_of_a_file() { echo one >f; in_box -v "$T/f:/etc/f" 'cat /etc/f'; assert_eq "$OUT" one; }
row_bind_propagation() {
  mkdir data; mount -t tmpfs t data; mount --make-shared data
  up c1 -v "$T/data:/data:rslave"
  mkdir data/m; mount -t tmpfs t data/m; touch data/m/late
  did docker exec c1 ls /data/m; assert_eq "$OUT" late
  umount data/m data
}
row_named_volume_is_kept() {
  did docker volume create v1
  in_box -v v1:/v 'echo kept >/v/f'
  in_box --mount type=volume,src=v1,dst=/v 'cat /v/f'
  assert_eq "$OUT" kept
}
row_volume_gets_the_images_files() { in_box -v /var/www 'cat /var/www/index.html'; assert_eq "$OUT" 'hello from the box'; }
row_volumes_from() { up c1 -v v2:/v; did docker exec c1 touch /v/f; in_box --volumes-from c1 'ls /v'; assert_eq "$OUT" f; }
row_tmpfs() {
  in_box --mount type=tmpfs,dst=/m,tmpfs-size=1048576,tmpfs-mode=0700 --tmpfs /n:size=64k,noexec 'stat -c %a /m; grep -E " /[mn] " /proc/mounts'
  assert_match "$OUT" $'^700\n'; assert_match "$OUT" 'size=1024k'; assert_match "$OUT" 'noexec.*size=64k'
}
row_read_only_root() {
  refuses 1 'read-only' docker run --rm --read-only box touch /f
  in_box --read-only --tmpfs /tmp 'touch /tmp/f'
}
row_shm_size() { in_box --shm-size 128k 'grep " /dev/shm " /proc/mounts'; assert_match "$OUT" size=128k; }
row_masked_and_read_only_paths() {
  called docker run --rm box sh -c 'cat /proc/keys /proc/timer_list | wc -c; ls /sys/firmware | wc -l; echo 1 >/proc/sys/kernel/panic'
  assert_match "$OUT$ERR" $'^0\n0.*Read-only'
}
row_systempaths_unconfined() { in_box --security-opt systempaths=unconfined 'cat /proc/timer_list | wc -l'; [ "$OUT" -gt 0 ] || fail "$OUT"; }

# ---- network ----
row_network_none() { in_box --network none 'ip -o link | wc -l; ip -o addr show lo'; assert_match "$OUT" $'^1\n.*127.0.0.1'; }
row_network_host() { in_box --network host 'ip -o link | grep -c docker0'; assert_eq "$OUT" 1; }
row_network_of_a_container() {
  up c1
  in_box --network container:c1 'ip -o -4 addr show eth0 | grep -o "inet [0-9.]*"'
  assert_eq "$OUT" "inet $(inspect c1 '{{.NetworkSettings.IPAddress}}')"
}
row_network_of_ones_own_with_names() {
  did docker network create net1
  up web --network net1 -- httpd -f -p 80 -h /var/www
  in_box --network net1 'wget -qO- http://web/'
  assert_eq "$OUT" 'hello from the box'
}
row_network_connect_and_disconnect() {
  did docker network create net2
  up c1
  did docker network connect net2 c1
  did docker exec c1 ip -o link; assert_match "$OUT" eth1
  did docker network disconnect net2 c1
  did docker exec c1 ip -o link; assert_no_match "$OUT" eth1
}
row_published_port() {
  up web -p 127.0.0.1:8080:80 -- httpd -f -p 80 -h /var/www
  eventually gives 'hello from the box' busybox wget -qO- http://127.0.0.1:8080/
}

# ---- users and privileges ----
row_user() {
  in_box --user user --group-add 77 'id'; assert_match "$OUT" 'uid=1000.user. gid=1000.user. groups=.*77.*'
  in_box --user 1234:5678 'id -u; id -g'; assert_eq "$OUT" $'1234\n5678'
}
row_capabilities() {
  local caps='grep CapEff /proc/self/status'
  in_box "$caps"; assert_match "$OUT" 00000000a80425fb
  in_box --cap-drop ALL --cap-add NET_ADMIN "$caps"; assert_match "$OUT" 0000000000001000
  in_box --cap-drop CHOWN "$caps"; assert_match "$OUT" 00000000a80425fa
}
row_privileged() {
  in_box --privileged 'grep CapEff /proc/self/status; grep Seccomp: /proc/self/status; test -b /dev/vda && mount -t tmpfs t /mnt && echo mounted; cat /proc/self/attr/current'
  assert_match "$OUT" "$(sed -n 's/CapBnd:[[:space:]]*//p' /proc/1/status)"; assert_match "$OUT" 'mounted'; assert_match "$OUT" $'Seccomp:\t0'; assert_match "$OUT" unconfined
}
row_no_new_privileges() { in_box --security-opt no-new-privileges 'grep NoNewPrivs /proc/self/status'; assert_match "$OUT" 1; }
row_seccomp_default_profile() {
  in_box 'grep Seccomp: /proc/self/status; unshare -n true || echo refused' ; assert_match "$OUT" $'Seccomp:\t2\nrefused'
}
row_seccomp_profile_of_ones_own() {
  echo '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":28}]}' >p.json
  refuses 1 'no space left' docker run --rm --security-opt "seccomp=$T/p.json" box mkdir /x
}
row_seccomp_unconfined() { in_box --security-opt seccomp=unconfined 'grep Seccomp: /proc/self/status'; assert_eq "$OUT" $'Seccomp:\t0'; }
row_apparmor_default_profile() { in_box 'cat /proc/self/attr/current'; assert_eq "$OUT" 'docker-default (enforce)'; }
row_apparmor_unconfined() { in_box --security-opt apparmor=unconfined 'cat /proc/self/attr/current'; assert_eq "$OUT" unconfined; }
row_apparmor_profile_of_ones_own() {
  printf 'profile rows-p flags=(attach_disconnected,mediate_deleted) { file, capability, network, signal, deny /etc/group rw, }' >p
  did apparmor_parser -r p
  refuses 1 'permission denied' docker run --rm --security-opt apparmor=rows-p box cat /etc/group
  refuses '12[5-7]' 'apparmor' docker run --rm --security-opt apparmor=rows-none box true
}

# ---- namespaces ----
row_pid_of_a_container() { up c1; in_box --pid container:c1 'tr "\0" " " </proc/1/cmdline'; assert_eq "$OUT" 'sleep 1000 '; }
row_pid_host() { in_box --pid host 'cat /proc/1/comm'; assert_eq "$OUT" systemd; }
row_ipc_of_a_container() {
  up c1 --ipc shareable; did docker exec c1 touch /dev/shm/mark
  in_box --ipc container:c1 'ls /dev/shm'; assert_eq "$OUT" mark
}
row_ipc_host() { touch /dev/shm/of-the-host; in_box --ipc host 'ls /dev/shm/of-the-host'; rm /dev/shm/of-the-host; }
row_uts_host() { in_box --uts host hostname; assert_eq "$OUT" "$(hostname)"; }
row_cgroupns_host() { in_box --cgroupns host 'cat /proc/self/cgroup'; assert_match "$OUT" 'docker-.*scope'; }
row_sysctl() { in_box --sysctl net.ipv4.ip_forward=0 --sysctl kernel.msgmax=9999 'cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax'; assert_eq "$OUT" $'0\n9999'; }
row_ulimit() { in_box --ulimit nofile=77:99 --ulimit core=0 'ulimit -n; ulimit -Hn; ulimit -c'; assert_eq "$OUT" $'77\n99\n0'; }
row_device() {
  in_box --device /dev/vdb:/dev/xvda:r 'dd if=/dev/xvda of=/dev/null bs=512 count=1 2>/dev/null && echo read; echo x 2>/dev/null >/dev/xvda || echo no write'
  assert_eq "$OUT" $'read\nno write'
}
row_device_that_is_not_allowed() {
  in_box 'mknod /dev/d b 254 0 && cat /dev/d 2>&1 | head -1'; assert_match "$OUT" 'not permitted'
  in_box --device-cgroup-rule 'b 254:* rmw' 'mknod /dev/d b 254 16 && dd if=/dev/d of=/dev/null bs=512 count=1 2>/dev/null && echo read'; assert_eq "$OUT" read
}

# ---- resources ----
row_limits() {
  up c1 --cpus 0.5 --cpu-shares 512 --cpuset-cpus 1 --memory 64m --memory-reservation 32m --memory-swap 96m --pids-limit 50 --blkio-weight 300 --oom-score-adj 300
  cgroup_of c1
  assert_eq "$(cat "$CG"/{cpu.max,cpuset.cpus,memory.max,memory.low,memory.swap.max,pids.max} | tr '\n' ' ')" '50000 100000 1 67108864 33554432 33554432 50 '
  assert_match "$(cat "$CG/cpu.weight")" '^(20|59)$'
  assert_eq "$(cat "/proc/$(inspect c1 '{{.State.Pid}}')/oom_score_adj")" 300
}
row_cgroup_parent() { up c1 --cgroup-parent rows.slice; cgroup_of c1; assert_match "$CG" '/rows.slice/docker-'; }
row_pids_limit_stops_forks() { called docker run --rm --pids-limit 5 box sh -c 'for i in 1 2 3 4 5 6 7 8; do sleep 5 & done'; assert_match "$ERR" "can't fork"; }
row_out_of_memory() {
  refuses 137 '' docker run --name c1 --memory 16m --memory-swap 16m box sh -c 'dd if=/dev/zero of=/dev/shm/x bs=1M count=60; tail /dev/zero'
  assert_eq "$(inspect c1 '{{.State.OOMKilled}} {{.State.ExitCode}}')" 'true 137'
}
row_update() {
  up c1 --memory 64m --memory-swap 64m
  did docker update --memory 128m --memory-swap 128m --cpus 0.25 --pids-limit 33 --cpu-shares 512 --cpuset-cpus 0 --restart unless-stopped c1
  cgroup_of c1
  assert_eq "$(cat "$CG"/{memory.max,memory.swap.max,cpu.max,pids.max,cpuset.cpus} | tr '\n' ' ')" '134217728 0 25000 100000 33 0 '
}
row_stats() {
  up c1 --memory 64m
  did docker stats --no-stream --format '{{.MemUsage}} {{.PIDs}}' c1
  assert_match "$OUT" '[1-9].*/ 64MiB 1$'
}
row_top() {
  up c1
  did docker top c1 -o pid,args; assert_match "$OUT" 'sleep 1000'
  did docker top c1; assert_match "$OUT" 'UID.*sleep 1000'
}

# ---- exec ----
row_exec() {
  up c1 -e A=1
  called docker exec c1 sh -c 'echo $A; echo err >&2; exit 9'; assert_eq "$RC $OUT $ERR" '9 1 err'
  did docker exec -u user -e B=2 -w /opt c1 sh -c 'id -un; echo $B; pwd'; assert_eq "$OUT" $'user\n2\n/opt'
  assert_eq "$(echo in | docker exec -i c1 cat)" in
  did docker exec -d c1 touch /tmp/done; eventually docker exec c1 test -e /tmp/done
}
row_exec_on_a_terminal() {
  up c1
  assert_eq "$(on_a_terminal docker exec -it c1 sh -c 'tty; stty size')" $'/dev/pts/0\r\n33 77\r'
}
row_exec_privileged() {
  up c1
  did docker exec --privileged c1 grep CapEff /proc/self/status; assert_match "$OUT" "$(sed -n 's/CapBnd:[[:space:]]*//p' /proc/1/status)"
}
row_exec_of_what_is_not_there() {
  up c1
  refuses '12[67]' 'executable file not found' docker exec c1 nothing
  refuses 126 'permission denied' docker exec c1 /etc/not-a-program
  refuses '126|127' 'no such file or directory' docker exec -w /nowhere c1 true
  refuses 126 'unable to find user' docker exec -u nobody-here c1 true
}
row_exec_sessions_end_with_the_container() { up c1; docker exec c1 sleep 999 & eventually has 'sleep 999' docker top c1; did docker kill c1; wait $! || assert_eq "$?" 137; }
row_healthcheck() {
  up c1 --health-cmd 'test -e /tmp/well' --health-interval 1s --health-retries 2
  eventually gives unhealthy inspect c1 '{{.State.Health.Status}}'
  did docker exec c1 touch /tmp/well
  eventually gives healthy inspect c1 '{{.State.Health.Status}}'
}

# ---- output ----
row_logs() {
  up c1 -- sh -c 'for i in 1 2 3 4 5; do echo line $i; sleep 0.5; done'
  did docker logs -f c1; assert_eq "$OUT" $'line 1\nline 2\nline 3\nline 4\nline 5'
  did docker logs --tail 1 c1; assert_eq "$OUT" 'line 5'
}
row_attach() {
  up c1 -i -- sh -c 'read x; echo got $x; sleep 5; exit 3'
  called sh -c '(echo word; sleep 20) | docker attach c1'; assert_eq "$RC $OUT" '3 got word'
}
row_attach_to_a_terminal() {
  up c1 -it -- sh -c "$SIZED; echo ready; read x; echo got \$x; exit 3"
  called on_a_terminal --send 'a\r' docker attach c1; assert_eq "$RC $OUT" $'3 ready\r\na\r\ngot a\r'
}
row_attach_passes_signals() {
  up c1 -- sh -c 'trap "echo term; exit 4" TERM; while :; do sleep 0.2; done'
  docker attach c1 >out & local pid=$!
  eventually has 'trap' docker top c1
  sleep 2; kill -TERM $pid
  wait $pid || assert_eq "$? $(cat out)" '4 term'
  assert_eq "$(inspect c1 '{{.State.ExitCode}}')" 4
}

# ---- signals and life ----
row_stop_sends_sigterm() {
  up c1 -- sh -c 'trap "exit 5" TERM; while :; do sleep 0.2; done'
  did docker stop c1; assert_eq "$(inspect c1 '{{.State.ExitCode}}')" 5
}
row_stop_kills_after_ten_seconds() {
  up c1
  local before=$SECONDS
  did docker stop c1
  [ $((SECONDS - before)) -ge 10 ] || fail "after $((SECONDS - before)) s"
  assert_eq "$(inspect c1 '{{.State.ExitCode}}')" 137
}
row_stop_signal() { up c1 --stop-signal USR1 -- sh -c 'trap "exit 6" USR1; while :; do sleep 0.2; done'; did docker stop c1; assert_eq "$(inspect c1 '{{.State.ExitCode}}')" 6; }
row_kill() {
  up c1 -- sh -c 'trap "exit 8" USR2; while :; do sleep 0.2; done'
  did docker kill -s USR2 c1; did docker wait c1; assert_eq "$OUT" 8
  up c2; did docker kill c2; did docker wait c2; assert_eq "$OUT" 137
  refuses 1 'is not running' docker kill c2
}
row_wait() { up c1 -- sh -c 'sleep 1; exit 12'; did docker wait c1; assert_eq "$OUT" 12; }
row_create_and_start() { did docker create --name c1 box echo started; did docker start -a c1; assert_eq "$OUT" started; did docker start -a c1; assert_eq "$OUT" started; }
row_restart() {
  up c1; local pid; pid=$(inspect c1 '{{.State.Pid}}')
  did docker restart -t 0 c1
  [ "$(inspect c1 '{{.State.Pid}}')" != "$pid" ] || fail 'the same process'
  assert_eq "$(inspect c1 '{{.State.Status}}')" running
}
row_restart_policy() {
  up c1 --restart on-failure:2 -- false
  eventually gives '2 exited' inspect c1 '{{.RestartCount}} {{.State.Status}}'
  up c2 --restart always
  kill -KILL "$(inspect c2 '{{.State.Pid}}')"
  eventually gives '1 running' inspect c2 '{{.RestartCount}} {{.State.Status}}'
}
row_pause() {
  up c1
  did docker pause c1
  cgroup_of c1
  assert_eq "$(inspect c1 '{{.State.Status}}') $(sed -n 's/frozen //p' "$CG/cgroup.events")" 'paused 1'
  refuses 1 'is paused' docker exec c1 true
  did docker unpause c1
  did docker exec c1 true
}
row_remove_a_running_one() { up c1; refuses 1 'container is running|cannot remove' docker rm c1; did docker rm -f c1; refuses 1 'no such' docker container inspect c1; } # a name may begin another object's ID
row_rename() { up c1; did docker rename c1 c2; did docker exec c2 true; }
row_events() {
  up c1; did docker kill c1; did docker wait c1
  did timeout 20 docker events --since 1h --until 0s --filter container=c1 --format '{{.Action}}'
  assert_match "$OUT" $'create\nstart\nkill\ndie'
}
row_killed_from_outside() { up c1; kill -KILL "$(inspect c1 '{{.State.Pid}}')"; did docker wait c1; assert_eq "$OUT" 137; }
row_checkpoint_of_one_that_goes_on() { # by CRIU
  daemon '.experimental = true'
  up c1 -- sh -c "$COUNTER"
  eventually has '^5$' docker logs c1
  did docker checkpoint create --leave-running c1 one; assert_eq "$(inspect c1 '{{.State.Status}}')" running
  goes_on_counting docker logs c1
  did docker kill c1
  did docker start --checkpoint one c1; goes_on_counting docker logs c1
  did docker exec c1 echo in; assert_eq "$OUT" in
  did docker stop -t 0 c1
}
row_checkpoint_and_start_from_it() { # by CRIU
  [[ $RT != *-shim ]] || skip "dockerd asks runc's own type alone to end a container with its checkpoint"
  daemon '.experimental = true'
  up c1 -- sh -c "$COUNTER"
  eventually has '^5$' docker logs c1
  did docker checkpoint create --leave-running c1 one; assert_eq "$(inspect c1 '{{.State.Status}}')" running
  goes_on_counting docker logs c1
  did docker checkpoint create c1 two; did docker wait c1; assert_eq "$(inspect c1 '{{.State.Status}}')" exited
  did docker checkpoint ls c1; assert_match "$OUT" $'one\ntwo'
  did docker start --checkpoint two c1; goes_on_counting docker logs c1
  did docker exec c1 echo in; assert_eq "$OUT" in
  did docker stop -t 0 c1
}

# ---- files of a container, images ----
row_copy_in_and_out() {
  up c1
  echo in >f; did docker cp f c1:/tmp/f; did docker exec c1 cat /tmp/f; assert_eq "$OUT" in
  did docker cp c1:/var/www/index.html g; assert_eq "$(cat g)" 'hello from the box'
}
row_diff_commit_and_export() {
  up c1; did docker exec c1 sh -c 'echo new >/etc/new'
  did docker diff c1; assert_match "$OUT" 'A /etc/new'
  did docker commit c1 box:new; did docker run --rm box:new cat /etc/new; assert_eq "$OUT" new
  did docker export -o all.tar c1; tar -tf all.tar >list; grep -qx etc/new list
  did docker rmi -f box:new
}
row_prune() { did docker run --name c1 box true; up c2; did docker system prune -f; did docker ps -a --format '{{.Names}}'; assert_eq "$OUT" c2; }

# ---- what goes wrong ----
row_command_that_is_not_there() {
  refuses 127 'exec: "nothing": executable file not found in \$PATH' docker run --rm box nothing
  refuses 127 'no such file or directory' docker run --rm box /bin/nothing
}
row_command_that_is_no_program() {
  refuses 126 'permission denied' docker run --rm box /etc/not-a-program
  refuses 126 'is a directory|permission denied' docker run --rm box /etc
}
row_user_that_is_not_there() { refuses '125|126' 'unable to find user' docker run --rm --user nobody-here box true; }
row_file_mounted_on_a_folder() { touch f; refuses '12[57]' 'not a directory' docker run --rm -v "$T/f:/etc" box true; }
row_sysctl_that_is_not_namespaced() { refuses '125|126|127' 'kernel.panic' docker run --rm --sysctl kernel.panic=1 box true; }
row_failed_start_can_be_mended() { # the container stays, and a second start says the same
  refuses 127 'not found' docker run --name c1 box nothing
  refuses 1 'not found' docker start c1
  assert_eq "$(inspect c1 '{{.State.Status}} {{.State.ExitCode}}')" 'created 127'
}

# ---- build ----
dockerfile() { cat >Dockerfile; }
row_build_with_the_classic_builder() {
  dockerfile <<'END'
FROM box
ARG WHO=nobody
RUN echo "for $WHO" >/made 
USER user
WORKDIR /home/user
RUN id -un >who
END
  did env DOCKER_BUILDKIT=0 docker build --build-arg WHO=me -t made .
  did docker run --rm made cat /made who; assert_eq "$OUT" $'for me\nuser'
}
row_build_with_buildkit() {
  dockerfile <<'END'
FROM box AS first
RUN <<HERE
echo one >/a
cat /proc/self/cgroup >/cgroup
HERE
RUN --mount=type=cache,target=/cache echo cached >/cache/f
RUN --mount=type=cache,target=/cache --network=none cp /cache/f /b
RUN --mount=type=tmpfs,target=/t touch /t/x
RUN --mount=type=secret,id=s cat /run/secrets/s >/c
FROM box
COPY --from=first /a /b /c /
USER user
RUN id -un >/tmp/d
END
  echo hush >s
  did env DOCKER_BUILDKIT=1 docker build --progress plain --secret id=s,src=s -t made .
  did docker run --rm made cat /a /b /c /tmp/d; assert_eq "$OUT" $'one\ncached\nhush\nuser'
}
row_build_step_that_fails() {
  printf 'FROM box\nRUN echo before; exit 42\n' >Dockerfile
  refuses 1 'exit code: 42' env DOCKER_BUILDKIT=1 docker build --progress plain .
  refuses 42 'non-zero code: 42' env DOCKER_BUILDKIT=0 docker build .
  printf 'FROM box\nRUN ["/nothing"]\n' >Dockerfile
  refuses 1 'no such file|exit code: 1|exit code: 127' env DOCKER_BUILDKIT=1 docker build --progress plain .
}
row_build_that_is_interrupted() {
  printf 'FROM box\nRUN echo begun; sleep 1234\n' >Dockerfile
  DOCKER_BUILDKIT=1 docker build --progress plain . >log 2>&1 & local pid=$!
  eventually grep -q 'begun$' log
  kill -INT $pid; wait $pid || :
  eventually gone 'sleep 1234'
}

# ---- compose ----
row_compose() {
  mkdir app; printf 'FROM box\nRUN echo made >/made\n' >app/Dockerfile
  cat >compose.yaml <<'END'
name: rows
services:
  db:
    image: box
    command: sh -c 'sleep 2; touch /tmp/well; sleep 1000'
    healthcheck: {test: [CMD, test, -e, /tmp/well], interval: 1s, retries: 60}
    mem_limit: 64m
  web:
    build: app
    command: sh -c 'echo web is up; httpd -f -p 80 -h /var/www'
    depends_on: {db: {condition: service_healthy}}
    init: true
    volumes: [data:/data]
volumes: {data: {}}
END
  compose() { docker compose --progress plain "$@"; }
  did compose up -d --build
  did compose ps --format '{{.Service}} {{.State}}'; assert_eq "$(sort <<<"$OUT")" $'db running\nweb running'
  did compose exec -T web sh -c 'cat /made; wget -qO- http://web/'; assert_eq "$OUT" $'made\nhello from the box'
  eventually has 'web is up' compose logs web
  did compose pause db; assert_eq "$(inspect rows-db-1 '{{.State.Status}}')" paused; did compose unpause db
  did compose up -d --scale web=3; did compose ps -q web; assert_eq "$(wc -l <<<"$OUT")" 3
  did compose run --rm -T db echo once; assert_match "$OUT" once
  did compose restart -t 0 web; did compose stop -t 0; did compose ps -q; assert_eq "$OUT" ''
  did compose down -v; did docker ps -aq; assert_eq "$OUT" ''
  did docker volume ls -q; assert_eq "$OUT" ''
}

# ---- the daemon ----
row_live_restore() {
  daemon '."live-restore" = true'
  up c1 -- sh -c 'trap "exit 9" TERM; while :; do echo tick; sleep 0.5; done'
  local pid; pid=$(inspect c1 '{{.State.Pid}}')
  did systemctl restart docker
  assert_eq "$(inspect c1 '{{.State.Pid}} {{.State.Status}}')" "$pid running"
  did docker exec c1 echo still; assert_eq "$OUT" still
  did docker stop c1; assert_eq "$(inspect c1 '{{.State.ExitCode}}')" 9
}
row_daemon_stops_containers() {
  up c1; local pid; pid=$(inspect c1 '{{.State.Pid}}')
  did systemctl restart docker
  [ ! -e "/proc/$pid" ] || fail 'it runs on'
  did docker start c1
}
row_cgroupfs_driver() {
  daemon '."exec-opts" = ["native.cgroupdriver=cgroupfs"]'
  did docker info -f '{{.CgroupDriver}}'; assert_eq "$OUT" cgroupfs
  up c1 --memory 64m --cpus 0.5 --pids-limit 20
  cgroup_of c1; assert_match "$CG" "/docker/$(inspect c1 '{{.Id}}')\$"
  assert_eq "$(cat "$CG"/{memory.max,cpu.max,pids.max} | tr '\n' ' ')" '67108864 50000 100000 20 '
  did docker exec c1 true
  did docker update --memory 32m --memory-swap 32m c1; assert_eq "$(cat "$CG/memory.max")" 33554432
  did docker pause c1; did docker unpause c1
  did docker rm -f c1; assert_absent "$CG"
}
row_userns_remap() {
  grep -q dockremap /etc/subuid || { echo dockremap:500000:65536 >>/etc/subuid; echo dockremap:500000:65536 >>/etc/subgid; }
  daemon '."userns-remap" = "default"'
  tar -C "$BOX" -c . | docker import -c 'CMD ["sh"]' - box >/dev/null
  up c1 -v v1:/v
  did docker exec c1 sh -c 'id -u; touch /v/f; cat /proc/self/uid_map'
  assert_match "$OUT" '^0.*500000 +65536'
  assert_eq "$(stat -c %u "/proc/$(inspect c1 '{{.State.Pid}}')" "$(docker volume inspect -f '{{.Mountpoint}}' v1)/f")" $'500000\n500000'
  in_box --userns host 'cat /proc/self/uid_map'; assert_match "$OUT" '^ *0 +0 +4294967295'
  in_box --user user --tmpfs /t -w /t 'id -u; touch x; hostname'
  assert_eq "$(on_a_terminal docker run --rm -it box tty)" $'/dev/pts/0\r'
}
