# Docker Engine of an ordinary user: Debian's dockerd-rootless.sh in a service of the user's systemd. The rows are docker.sh's, taken by the
# user, without those that ask for what only root has; what is otherwise for a user comes first.
# shellcheck shell=bash disable=SC2034,SC2154
. "$HERE/docker.sh"

unset -f row_in_place_of_runc row_bind_propagation row_systempaths_unconfined row_device_that_is_not_allowed row_live_restore row_cgroupfs_driver row_userns_remap \
  row_checkpoint_and_start_from_it row_checkpoint_of_one_that_goes_on row_bind_volume_read_only_with_all_below \
  row_apparmor_{default_profile,unconfined,profile_of_ones_own}
ROW_AS=("${AS_USER[@]}")
DAEMON_JSON=/home/user/.config/docker/daemon.json DATA=/home/user/.local/share/docker EXEC=/run/user/1000/docker
export DOCKER_HOST=unix:///run/user/1000/docker.sock
if [ "$EUID" = 0 ]; then
  systemctl() { as_user systemctl --user "$@"; }
else
  systemctl() { command systemctl --user "$@"; }
fi

# A shim of its own records containers where the daemon sees /run.
eval "usual_$(declare -f kept)"
kept() { if [[ $RT == *-shim ]]; then echo "/proc/$(pgrep -ox dockerd)/root$(usual_kept)"; else usual_kept "$1"; fi; }

engine_start() {
  mkdir -p /etc/systemd/system/user@.service.d
  printf '[Service]\nDelegate=cpu cpuset io memory pids\n' >/etc/systemd/system/user@.service.d/delegate.conf
  command systemctl daemon-reload
  modprobe -a ip_tables iptable_nat br_netfilter
  users_session
  as_user mkdir -p /home/user/.config/docker /home/user/.config/systemd/user
  cat >/home/user/.config/systemd/user/docker.service <<UNIT
[Unit]
StartLimitIntervalSec=0
[Service]
Type=notify
NotifyAccess=all
ExecStart=/usr/share/docker.io/contrib/dockerd-rootless.sh
Environment=PATH=$PATH DOCKER_BUILDKIT_RUNC_COMMAND=$RUNTIME
Delegate=yes
KillMode=mixed
TimeoutSec=120
UNIT
  as_user touch "$DAEMON_JSON"
  systemctl daemon-reload
  daemon .
  tar -C "$BOX" -c . | docker import -c 'CMD ["sh"]' - box
}
engine_stop() { systemctl stop docker; }

row_info_tells_of_a_user() { did docker info -f '{{.SecurityOptions}} {{.CgroupDriver}} {{.CgroupVersion}}'; assert_match "$OUT" 'name=rootless.* systemd 2$'; }
row_the_users_ids() {
  up c1; assert_eq "$(stat -c %u "/proc/$(inspect c1 '{{.State.Pid}}')")" 1000
  did docker exec -u user c1 sh -c 'cat /proc/self/uid_map; id -u'; assert_match "$OUT" $'^ *0 +1000 +1\n *1 +100000 +65536\n1000$'
}
row_privileged() {
  in_box --privileged 'grep CapEff /proc/self/status; grep Seccomp: /proc/self/status; mount -t tmpfs t /mnt && echo mounted'
  assert_match "$OUT" "$(sed -n 's/CapBnd:[[:space:]]*//p' /proc/1/status).*"$'Seccomp:\t0.*mounted'
}
row_bind_volume_read_only() { # the file system's own nosuid and nodev stay
  mkdir "$XDG_RUNTIME_DIR/data"
  refuses 1 'read-only' docker run --rm -v "$XDG_RUNTIME_DIR/data:/data:ro" box touch /data/f
  in_box -v "$XDG_RUNTIME_DIR/data:/data:ro" 'grep " /data " /proc/mounts'; assert_match "$OUT" 'ro,nosuid,nodev'
  rmdir "$XDG_RUNTIME_DIR/data"
}
row_device() { in_box --device /dev/fuse 'exec 3<>/dev/fuse && echo opened'; assert_eq "$OUT" opened; }
row_domainname() {
  differs runc 'it writes a file that only root of the machine may write'
  in_box --domainname sea.example 'cat /proc/sys/kernel/domainname'; assert_eq "$OUT" sea.example
}
# Without systemd as the driver Docker asks for no cgroup. What can be done with a container is what its own cgroup, if it has one, allows.
row_pause_top_and_stats_without_systemd() {
  daemon '."exec-opts" = ["native.cgroupdriver=cgroupfs"]'
  did docker info -f '{{.CgroupDriver}}'; assert_eq "$OUT" none
  up c1
  did docker top c1; assert_match "$OUT" 'UID.*sleep 1000'; assert_no_match "$OUT" dockerd
  did docker stats --no-stream --format '{{.PIDs}}' c1; assert_eq "$OUT" 1
  did docker pause c1; assert_eq "$(inspect c1 '{{.State.Status}}')" paused
  refuses 1 'is paused' docker exec c1 true
  did docker unpause c1
  did docker exec c1 true
}
row_exec_on_a_terminal_without_systemd() {
  daemon '."exec-opts" = ["native.cgroupdriver=cgroupfs"]'
  up c1
  assert_eq "$(on_a_terminal docker exec -it c1 sh -c 'tty; stty size')" $'/dev/pts/0\r\n33 77\r'
}
