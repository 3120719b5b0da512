# Podman and Buildah: the runtime is the one of containers.conf, of root and of an ordinary user.
# shellcheck shell=bash disable=SC2034,SC2154

versions() {
  echo "Podman $(podman --version | awk '{print $3}'), Buildah $(buildah --version | awk '{print $3}'), conmon $(conmon --version | awk '/^conmon/ {print $3}')"
  "$RT" --version | head -1
}

engine_start() {
  mkdir -p /etc/containers
  cat >/etc/containers/containers.conf <<CONF
[engine]
runtime = "$RT"
runtime_supports_json = ["crun", "runc", "knarr"]
runtime_supports_nocgroup = ["crun", "knarr"]
infra_image = "localhost/pause"
[engine.runtimes]
knarr = ["/usr/local/sbin/knarr"]
runc = ["/usr/sbin/runc"]
CONF
  printf '{"default": [{"type": "insecureAcceptAnything"}]}' >/etc/containers/policy.json
  podman system reset -f
  tar -C "$BOX" -cf /var/tmp/box.tar .
  podman import -c 'CMD ["sh"]' /var/tmp/box.tar box
  podman import -c 'CMD ["/bin/pause"]' /var/tmp/box.tar pause
  users_session
  as_user podman system reset -f
  as_user podman import -c 'CMD ["sh"]' /var/tmp/box.tar box
  as_user podman import -c 'CMD ["/bin/pause"]' /var/tmp/box.tar pause
}
engine_stop() { podman system reset -f; as_user podman system reset -f; }

tidy() {
  podman pod rm -fa -t 0; podman rm -fa -t 0; podman volume prune -f; podman network prune -f
  [[ $ROW != *rootless* ]] || { as_user podman pod rm -fa -t 0; as_user podman rm -fa -t 0; as_user podman volume prune -f; }
}
left_behind() {
  find /run/knarr /run/runc /run/user/1000/knarr /run/user/1000/runc -mindepth 1 -maxdepth 1
  find /sys/fs/cgroup -mindepth 1 -type d -name 'libpod-*'
  pgrep -a conmon
}
up() { # NAME [OPTION...] [-- COMMAND...]: a container that stays
  local name=$1 options=()
  shift
  while [ $# -gt 0 ] && [ "$1" != -- ]; do options+=("$1"); shift; done
  [ $# -gt 0 ] && shift || set -- sleep 1000
  did podman run -d --name "$name" "${options[@]}" box "$@"
}
inspect() { podman inspect -f "$2" "$1"; }
cgroup_of() { CG=/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$(inspect "$1" '{{.State.Pid}}')/cgroup"); }
in_box() { did podman run --rm "${@:1:$#-1}" box sh -c "${*: -1}"; }
users_box() { did as_user podman run --rm "${@:1:$#-1}" box sh -c "${*: -1}"; }

row_info_names_the_runtime() { did podman info -f '{{.Host.OCIRuntime.Name}} {{.Host.OCIRuntime.Version}}'; assert_match "$OUT" "^$RT $RT"; }
row_runtime_of_one_container() {
  did podman --runtime /usr/local/sbin/knarr run --name c2 box echo by path; assert_eq "$OUT" 'by path'
  assert_eq "$(inspect c2 '{{.OCIRuntime}}')" /usr/local/sbin/knarr
  did podman --runtime runc run --name c3 box echo by name; assert_eq "$(inspect c3 '{{.OCIRuntime}}')" runc
}
row_run_gives_output_and_status() { called podman run --rm box sh -c 'echo out; echo err >&2; exit 7'; assert_eq "$RC $OUT $ERR" '7 out err'; }
row_run_on_a_terminal() { assert_eq "$(on_a_terminal podman run --rm -it box sh -c 'tty; stty size')" $'/dev/pts/0\r\n33 77\r'; }
row_run_reads_stdin() { assert_eq "$(echo words | podman run --rm -i box cat)" words; }
row_environment_and_working_directory() { in_box -e A=1 -w /opt --hostname ship 'echo $A $HOME $PWD $(hostname)'; assert_eq "$OUT" '1 /root /opt ship'; }
row_init() { in_box --init 'cat /proc/1/comm'; assert_match "$OUT" '^(catatonit|podman-init)'; }
row_user_and_groups() {
  in_box --user user --group-add wheel id; assert_match "$OUT" 'uid=1000\(user\) gid=1000\(user\) groups=.*wheel'
  in_box --user 1234:5678 'id -u; id -g'; assert_eq "$OUT" $'1234\n5678'
}
row_capabilities() {
  in_box 'grep CapEff /proc/self/status'; assert_match "$OUT" 00000000800405fb
  in_box --cap-drop all --cap-add net_admin 'grep CapEff /proc/self/status'; assert_match "$OUT" 0000000000001000
}
row_privileged() { in_box --privileged 'grep -E "CapEff|Seccomp:" /proc/self/status; mount -t tmpfs t /mnt && echo mounted'; assert_match "$OUT" 'mounted'; assert_match "$OUT" $'Seccomp:\t0'; }
row_seccomp_and_no_new_privileges() { in_box --security-opt no-new-privileges 'grep -E "NoNewPrivs|Seccomp:" /proc/self/status'; assert_eq "$OUT" $'NoNewPrivs:\t1\nSeccomp:\t2'; }
row_read_only_root() { refuses 1 'read-only' podman run --rm --read-only box touch /f; in_box --read-only 'touch /tmp/f'; }
row_device_and_ulimit() { in_box --device /dev/vdb:/dev/xvda:r --ulimit nofile=77:99 'dd if=/dev/xvda of=/dev/null bs=512 count=1 2>/dev/null && echo read; ulimit -n'; assert_eq "$OUT" $'read\n77'; }
row_sysctl_and_shm_size() { in_box --sysctl net.ipv4.ip_forward=0 --shm-size 128k 'cat /proc/sys/net/ipv4/ip_forward; grep " /dev/shm " /proc/mounts'; assert_match "$OUT" $'^0\n.*size=128k'; }

row_bind_volume() {
  mkdir data; echo there >data/f
  in_box -v "$T/data:/data" 'cat /data/f; echo back >/data/g'; assert_eq "$OUT $(cat data/g)" 'there back'
  refuses 1 'read-only' podman run --rm -v "$T/data:/data:ro" box touch /data/h
}
row_overlay_volume() { # :O: what the container writes is thrown away
  mkdir data; echo there >data/f
  in_box -v "$T/data:/data:O" 'cat /data/f; echo changed >/data/f; touch /data/g; cat /data/f'
  assert_eq "$OUT" $'there\nchanged'; assert_eq "$(cat data/f; ls data)" $'there\nf'
}
row_volume_that_gets_the_users_ids() { # :U
  mkdir data; touch data/f
  in_box --user user -v "$T/data:/data:U" 'stat -c %u /data/f; touch /data/g'; assert_eq "$OUT $(stat -c %u data/f)" '1000 1000'
}
row_idmapped_volume() {
  differs runc '1.1 leaves it out in silence'
  mkdir data; touch data/f
  in_box --uidmap 0:100000:65536 --gidmap 0:100000:65536 -v "$T/data:/data:idmap" 'stat -c %u /data/f; touch /data/g'
  assert_eq "$OUT $(stat -c %u data/g)" '0 0'
}
row_named_volume() { in_box -v v1:/var/www 'cat /var/www/index.html; echo new >/var/www/f'; assert_eq "$OUT" 'hello from the box'; in_box -v v1:/v 'cat /v/f'; assert_eq "$OUT" new; }
row_tmpfs_and_its_copy() { in_box --mount type=tmpfs,dst=/var/www,tmpfs-size=1m 'ls /var/www; grep " /var/www " /proc/mounts'; assert_match "$OUT" $'^index.html\n.*size=1024k'; }
row_image_volume() { in_box --mount type=image,src=box,dst=/i 'cat /i/var/www/index.html'; assert_eq "$OUT" 'hello from the box'; }
row_secret() { echo hush | podman secret create s1 - >/dev/null; in_box --secret s1 'cat /run/secrets/s1'; podman secret rm s1 >/dev/null; assert_eq "$OUT" hush; }

row_network_none_and_host() { in_box --network none 'ip -o link | wc -l'; assert_eq "$OUT" 1; in_box --network host 'hostname; ip -o link | grep -c lo:'; }
row_network_of_ones_own_with_names() {
  did podman network create net1
  up web --network net1 -- httpd -f -p 80 -h /var/www
  in_box --network net1 'wget -T 20 -qO- http://web.dns.podman/'; assert_eq "$OUT" 'hello from the box'
  did podman rm -f -t 0 web; did podman network rm net1
}
row_network_of_a_container() { up c1; in_box --network container:c1 'cat /sys/class/net/eth0/address'; assert_eq "$OUT" "$(podman exec c1 cat /sys/class/net/eth0/address)"; }
row_published_port() { up web -p 127.0.0.1:8080:80 -- httpd -f -p 80 -h /var/www; eventually gives 'hello from the box' busybox wget -qO- http://127.0.0.1:8080/; }

row_user_namespace_auto() {
  grep -q ^containers: /etc/subuid || { echo containers:2000000:1000000 >>/etc/subuid; echo containers:2000000:1000000 >>/etc/subgid; }
  in_box --userns=auto 'cat /proc/self/uid_map; id -u; touch /f; stat -c %u /f /var/www'
  assert_match "$OUT" $'^ *0 +2[0-9]{6} +[0-9]+\n0\n0\n0$'
}
row_user_namespace_with_maps() {
  up c1 --uidmap 0:300000:5000 --gidmap 0:300000:5000
  assert_eq "$(stat -c %u "/proc/$(inspect c1 '{{.State.Pid}}')")" 300000
  did podman exec c1 sh -c 'id -u; touch /f'; assert_eq "$OUT" 0
  in_box --userns=container:c1 'cat /proc/self/uid_map'; assert_match "$OUT" '0 +300000 +5000'
}
row_namespaces_of_others() {
  up c1; did podman exec c1 touch /dev/shm/mark
  in_box --pid container:c1 --ipc container:c1 'tr "\0" " " </proc/1/cmdline; ls /dev/shm'; assert_match "$OUT" 'sleep 1000 .*mark'
  in_box --pid host --uts host --cgroupns host 'cat /proc/1/comm; hostname; cat /proc/self/cgroup'; assert_match "$OUT" $'^systemd\nvm\n.*libpod'
}

row_limits() {
  up c1 --cpus 0.5 --cpuset-cpus 1 --memory 64m --memory-reservation 32m --memory-swap 96m --pids-limit 50 --oom-score-adj 300
  cgroup_of c1
  assert_match "$CG" '/libpod-.*\.scope'
  assert_eq "$(cat "$CG"/{cpu.max,cpuset.cpus,memory.max,memory.low,memory.swap.max,pids.max} | tr '\n' ' ')" '50000 100000 1 67108864 33554432 33554432 50 '
}
row_no_pids_limit() {
  up c1 --pids-limit=-1; cgroup_of c1; assert_eq "$(<"$CG/pids.max")" max; did podman exec c1 true
  did podman update --pids-limit 33 c1
  did podman update --pids-limit=-1 c1; cgroup_of c1; assert_eq "$(<"$CG/pids.max")" max
}
row_update() {
  up c1 --memory 64m
  did podman update --memory 128m --memory-swap 128m --cpus 0.25 --pids-limit 33 c1
  cgroup_of c1
  assert_eq "$(cat "$CG"/{memory.max,cpu.max,pids.max} | tr '\n' ' ')" '134217728 25000 100000 33 '
}
row_out_of_memory() {
  refuses 137 '' podman run --name c1 --memory 16m --memory-swap 16m box tail /dev/zero
  assert_eq "$(inspect c1 '{{.State.OOMKilled}} {{.State.ExitCode}}')" 'true 137'
}
row_cgroup_manager_cgroupfs() {
  did podman --cgroup-manager cgroupfs run -d --name c1 --memory 64m box sleep 1000
  cgroup_of c1; assert_match "$CG" '/libpod_parent/libpod-'; assert_eq "$(cat "$CG/memory.max")" 67108864
  did podman --cgroup-manager cgroupfs rm -f -t 0 c1
}
row_cgroups_disabled() {
  differs runc 'it has no way to make no cgroup'
  up c1 --cgroups disabled; cgroup_of c1; assert_no_match "$CG" libpod
}
row_cgroups_split() {
  did systemd-run --collect --wait --pipe -p Delegate=yes --unit rows-split podman run --rm --cgroups split --cgroupns host box cat /proc/self/cgroup
  assert_match "$OUT" '/rows-split.service/libpod-payload-'
}
row_pods() {
  did podman pod create --name p1 -p 127.0.0.1:8081:80
  did podman run -d --pod p1 --name web box httpd -f -p 80 -h /var/www
  did podman run --rm --pod p1 box wget -qO- http://127.0.0.1/; assert_eq "$OUT" 'hello from the box'
  eventually gives 'hello from the box' busybox wget -qO- http://127.0.0.1:8081/
  did podman pod pause p1; did podman pod unpause p1; did podman pod stop -t 0 p1; did podman pod start p1; did podman pod rm -f -t 0 p1
}
row_kube_play_and_generate() {
  cat >pod.yaml <<'YAML'
apiVersion: v1
kind: Pod
metadata: {name: kp}
spec:
  containers:
  - name: main
    image: localhost/box
    imagePullPolicy: Never
    command: [sleep, "1000"]
    resources: {limits: {memory: 64Mi}}
    securityContext: {runAsUser: 1000, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
    volumeMounts: [{name: v, mountPath: /v}]
  volumes: [{name: v, emptyDir: {}}]
YAML
  did podman kube play pod.yaml
  did podman exec kp-main sh -c 'id -u; grep NoNewPrivs /proc/self/status'; assert_eq "$OUT" $'1000\nNoNewPrivs:\t1'
  cgroup_of kp-main; assert_eq "$(cat "$CG/memory.max")" 67108864
  did podman generate kube kp; assert_match "$OUT" 'kind: Pod'
  did podman kube down pod.yaml
}

row_exec() {
  up c1
  called podman exec c1 sh -c 'echo out; echo err >&2; exit 9'; assert_eq "$RC $OUT $ERR" '9 out err'
  did podman exec -u user -e B=2 -w /opt c1 sh -c 'id -un; echo $B; pwd'; assert_eq "$OUT" $'user\n2\n/opt'
  assert_eq "$(echo in | podman exec -i c1 cat)" in
  did podman exec -d c1 touch /tmp/done; eventually podman exec c1 test -e /tmp/done
  assert_eq "$(on_a_terminal podman exec -it c1 sh -c 'tty; stty size')" $'/dev/pts/0\r\n33 77\r'
}
row_exec_of_what_is_not_there() {
  up c1
  refuses 127 'executable file .?nothing.? not found|executable file not found' podman exec c1 nothing
  refuses 126 'permission denied' podman exec c1 /etc/not-a-program
  refuses '126|127' 'no such file or directory' podman exec -w /nowhere c1 true
}
row_preserved_descriptors() { exec 3<<<three; did podman run --rm --preserve-fds 1 box sh -c 'cat <&3'; assert_eq "$OUT" three; exec 3<&-; }
row_logs_and_attach() {
  up c1 -i -- sh -c 'echo one; read x; echo got $x; sleep 5; exit 3'
  eventually gives one podman logs c1
  called sh -c '(echo word; sleep 20) | podman attach c1'; assert_eq "$RC" 0
  did podman wait c1; assert_eq "$OUT" 3
  did podman logs c1; assert_eq "$OUT" $'one\ngot word'
}
row_attach_to_a_terminal() {
  up c1 -it -- sh -c "$SIZED; echo ready; read x; echo got \$x; exit 3"
  # podman ends what it has shown with a line of its own
  called on_a_terminal --send 'a\r' podman attach c1; assert_eq "$OUT" $'ready\r\na\r\ngot a\r\n\r'
  did podman wait c1; assert_eq "$OUT" 3
}
row_stop_kill_and_wait() {
  up c1 -- sh -c 'trap "exit 5" TERM; while :; do sleep 0.2; done'
  did podman stop c1; assert_eq "$(inspect c1 '{{.State.ExitCode}}')" 5
  up c2; did podman stop -t 1 c2; assert_eq "$(inspect c2 '{{.State.ExitCode}}')" 137
  up c3 -- sh -c 'trap "exit 8" USR2; while :; do sleep 0.2; done'
  did podman kill -s USR2 c3; did podman wait c3; assert_eq "$OUT" 8
}
row_start_and_restart() { did podman create --name c1 box sleep 1000; did podman start c1; did podman restart -t 0 c1; assert_eq "$(inspect c1 '{{.State.Status}}')" running; }
row_restart_policy() { up c1 --restart on-failure:2 -- false; eventually gives '2 exited' inspect c1 '{{.RestartCount}} {{.State.Status}}'; }
row_pause() {
  up c1; did podman pause c1; cgroup_of c1
  assert_eq "$(inspect c1 '{{.State.Status}}') $(sed -n 's/frozen //p' "$CG/cgroup.events")" 'paused 1'
  did podman unpause c1; did podman exec c1 true
}
row_checkpoint_and_restore() { # by CRIU
  up c1 -- sh -c "$COUNTER"
  eventually has '^5$' podman logs c1
  did podman container checkpoint --leave-running c1; assert_eq "$(inspect c1 '{{.State.Status}}')" running
  goes_on_counting podman logs c1
  did podman container checkpoint c1; assert_eq "$(inspect c1 '{{.State.Status}} {{.State.Checkpointed}}')" 'exited true'
  did podman container restore c1; goes_on_counting podman logs c1
  did podman exec c1 echo in; assert_eq "$OUT" in
}
row_checkpoint_moved_to_another_container() { # runc 1.1 has it run in the cgroup of the first, which stays
  up c1 -- sh -c 'echo $$ >/tmp/f; x=kept; trap "echo \$x" USR1; while :; do sleep 0.2; done'
  eventually podman exec c1 test -s /tmp/f
  did podman container checkpoint --export "$T/c1.tar.gz" c1; did podman rm c1
  did podman container restore --import "$T/c1.tar.gz" --name c2
  did podman exec c2 cat /tmp/f; assert_eq "$OUT" 1
  did podman kill -s USR1 c2; eventually gives kept podman logs c2
}
row_stats_and_top() {
  up c1 --memory 64m
  did podman stats --no-stream --format '{{.MemUsage}} {{.PIDs}}' c1; assert_match "$OUT" '/ 67.11MB 1$'
  did podman top c1 pid args; assert_match "$OUT" 'sleep 1000'
  did podman top c1 -eo pid,comm; assert_match "$OUT" 'sleep'
}
row_healthcheck() {
  up c1 --health-cmd 'test -e /tmp/well' --health-interval disable
  called podman healthcheck run c1; assert_eq "$RC" 1
  did podman exec c1 touch /tmp/well; did podman healthcheck run c1
}
row_copy_diff_and_commit() {
  up c1; echo in >f; did podman cp f c1:/tmp/f; did podman exec c1 cat /tmp/f; assert_eq "$OUT" in
  did podman diff c1; assert_match "$OUT" 'A /tmp/f'
  did podman commit -q c1 box:new; did podman run --rm box:new cat /tmp/f; assert_eq "$OUT" in; did podman rmi -f box:new
}
row_root_filesystem_in_a_folder() { cp -a "$BOX" root; did podman run --rm --rootfs "$T/root" cat /var/www/index.html; assert_eq "$OUT" 'hello from the box'; }
row_notify_socket_in_the_container() {
  did systemd-run --collect --wait --pipe -p Type=exec -p NotifyAccess=all --unit rows-notify podman run --rm --sdnotify container box sh -c 'test -S "$NOTIFY_SOCKET" && echo socket'
  assert_eq "$OUT" socket
}
row_hooks_of_a_folder() {
  mkdir hooks; printf '#!/bin/sh\ncat >%s/state\n' "$T" >hook.sh; chmod +x hook.sh
  echo '{"version":"1.0.0","hook":{"path":"'"$T"'/hook.sh"},"when":{"always":true},"stages":["createRuntime"]}' >hooks/h.json
  did podman --hooks-dir "$T/hooks" run --rm box true; assert_jq "$(cat state)" '.status == "creating" and .pid > 0'
}
row_systemd_as_the_first_process() { # --systemd=always: writable cgroup, /run and the like are made for it
  in_box --systemd=always 'grep -E " (/run|/tmp|/sys/fs/cgroup) " /proc/mounts; mkdir /sys/fs/cgroup/leaf && echo $$ >/sys/fs/cgroup/leaf/cgroup.procs && cat /proc/self/cgroup'
  assert_match "$OUT" '0::/leaf'
}
row_command_that_is_not_there() {
  refuses 127 'executable file .?nothing.? not found|executable file not found' podman run --rm box nothing
  refuses 127 'no such file or directory' podman run --rm box /bin/nothing
  refuses 126 'permission denied' podman run --rm box /etc/not-a-program
  refuses 126 'is a directory|permission denied' podman run --rm box /etc
}

row_build() {
  cat >Dockerfile <<'END'
FROM box AS first
RUN --mount=type=cache,target=/cache echo cached >/cache/f && cp /cache/f /b
RUN <<HERE
echo one >/a
HERE
FROM box
COPY --from=first /a /b /
USER user
RUN id -un >/tmp/d
END
  did podman build -t made .; did podman run --rm made cat /a /b /tmp/d; assert_eq "$OUT" $'one\ncached\nuser'
  printf 'FROM box\nRUN exit 42\n' >Dockerfile; refuses 42 'status 42' podman build .
}
row_buildah() {
  printf 'FROM box\nRUN echo bud >/bud\n' >Dockerfile
  did buildah bud --isolation oci --runtime "$RUNTIME" -t made .
  did buildah from --name w made
  did buildah run --isolation oci --runtime "$RUNTIME" --user user -e A=1 w sh -c 'echo $A; id -un; cat /bud'; assert_eq "$OUT" $'1\nuser\nbud'
  assert_eq "$(on_a_terminal buildah run -t --isolation oci --runtime "$RUNTIME" w tty)" $'/dev/pts/0\r'
  refuses 3 '' buildah run --isolation oci --runtime "$RUNTIME" w sh -c 'exit 3'
  did buildah run --isolation oci --runtime "$RUNTIME" w touch /new
  did buildah commit w made2; did podman run --rm made2 ls /new; assert_eq "$OUT" /new
  did buildah rm w
}
row_buildah_from_scratch() {
  did buildah from --name w scratch; local m; m=$(buildah mount w); cp -a "$BOX/." "$m"; did buildah umount w
  did buildah run --isolation oci --runtime "$RUNTIME" w echo built; assert_eq "$OUT" built; did buildah rm w
}

# ---- of an ordinary user ----
row_rootless_run() { users_box 'id -u; cat /proc/self/uid_map; touch /f; hostname'; assert_match "$OUT" $'^0\n *0 +1000 +1\n *1 +100000 +65536'; }
row_rootless_user_and_keep_id() { users_box --userns=keep-id 'id -u'; assert_eq "$OUT" 1000; users_box --user user 'id -u; cat /proc/self/attr/current'; assert_match "$OUT" ^1000; }
row_rootless_volume() { install -d -o 1000 data; users_box -v "$T/data:/data" 'touch /data/f'; assert_eq "$(stat -c %u data/f)" 1000; }
row_rootless_exec_and_stop() {
  did as_user podman run -d --name c1 box sh -c 'trap "exit 5" TERM; while :; do sleep 0.2; done'
  did as_user podman exec c1 sh -c 'id -u; touch /x'; assert_eq "$OUT" 0
  did as_user podman exec -u user c1 id -un; assert_eq "$OUT" user
  did as_user podman pause c1; did as_user podman unpause c1
  did as_user podman stop c1; did as_user podman inspect -f '{{.State.ExitCode}}' c1; assert_eq "$OUT" 5
}
row_rootless_limits() { # the user's systemd delegates memory and pids
  did as_user podman run -d --name c1 --memory 64m --pids-limit 20 box sleep 1000
  did as_user podman inspect -f '{{.State.Pid}}' c1
  CG=/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$OUT/cgroup"); assert_match "$CG" 'user@1000.service.*libpod-'
  assert_eq "$(cat "$CG"/{memory.max,pids.max} | tr '\n' ' ')" '67108864 20 '
}
row_rootless_network() {
  did as_user podman run -d --name c1 -p 127.0.0.1:8082:80 box httpd -f -p 80 -h /var/www
  eventually gives 'hello from the box' busybox wget -qO- http://127.0.0.1:8082/
}
row_rootless_pod() { did as_user podman pod create --name p1; did as_user podman run --rm --pod p1 box hostname; assert_eq "$OUT" p1; did as_user podman pod rm -f -t 0 p1; }
row_rootless_read_only_and_privileged() {
  refuses 1 'read-only' as_user podman run --rm --read-only box touch /f
  users_box --privileged 'mount -t tmpfs t /mnt && echo mounted'; assert_eq "$OUT" mounted
}
row_rootless_keep_groups() { users_box --group-add keep-groups 'id -u'; assert_eq "$OUT" 0; }
row_rootless_build() { install -d -o 1000 b; printf 'FROM box\nRUN id -u >/u\n' >b/Dockerfile; did as_user podman build -t made "$T/b"; did as_user podman run --rm made cat /u; assert_eq "$OUT" 0; }
row_rootless_build_with_the_runtime() { install -d -o 1000 b; printf 'FROM box\nRUN id -u >/u\n' >b/Dockerfile; did as_user podman build --isolation oci --runtime "$RUNTIME" -t made "$T/b"; did as_user podman run --rm made cat /u; assert_eq "$OUT" 0; }
