# What the scripts that try packages share.
# shellcheck shell=bash

# inside ROOT SCRIPT: a shell in the root, as on a machine that has just been installed.
inside() {
  unshare --mount --pid --fork --kill-child --uts --ipc --net --cgroup sh -ec '
    mount --rbind "$1" "$1"
    mount -t proc proc "$1/proc"
    mount -t sysfs -o ro sys "$1/sys"
    mount -t cgroup2 cgroup "$1/sys/fs/cgroup"
    mount -t tmpfs tmp "$1/run"
    exec chroot "$1" sh -ec "$2"' sh "$1" "$2"
}

# Words for a script inside. A container's first line and status are its own, whoever $runtime is.
# shellcheck disable=SC2034
containers='
  runtime=knarr
  bundle() { # SCRIPT
    rm -rf /root/box && mkdir -p /root/box/rootfs/bin && cd /root/box
    cp /bin/busybox rootfs/bin/ && ln -s busybox rootfs/bin/sh
    knarr spec
    sed -i "s/\"terminal\": true/\"terminal\": false/; s/\"sh\"/\"sh\", \"-c\", \"$1\"/" config.json
  }
  a_container() {
    bundle "echo here; exit 7"
    status=0
    said=$($runtime run packaging-test </dev/null) || status=$?
    [ "$said" = here ] && [ $status = 7 ]
  }
'
