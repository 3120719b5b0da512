# run --host-root: a command on the machine's own files.
# shellcheck shell=bash

only_knarr() { differs runc,crun 'run bundles only'; }

test_the_machines_files_and_nothing_of_what_is_changed() {
  only_knarr
  run_ok run --host-root box -- sh -c 'test -x /bin/sh && echo x >/etc/changed && cat /etc/changed; rm -rf /etc/passwd; ls /etc/passwd 2>/dev/null || echo gone'
  assert_eq "$OUT" $'x\ngone'
  assert_absent /etc/changed
  assert_exists /etc/passwd
  assert_unknown box
}

test_changes_can_be_kept() {
  only_knarr
  run_ok run --host-root --overlay="$T/kept" box -- sh -c 'echo 1 >>/etc/changed'
  run_ok run --host-root --overlay="$T/kept" box -- sh -c 'echo 2 >>/etc/changed; cat /etc/changed'
  assert_eq "$OUT" $'1\n2'
  assert_eq "$(<"$T/kept/upper/etc/changed")" $'1\n2'
}

test_it_is_alone() {
  only_knarr
  run_ok run --host-root box -- sh -c 'ls /proc | grep -c "^[0-9]"; hostname; ls -A /run /tmp; cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d " "'
  assert_match "$OUT" '^[3-9]'$'\n''sandbox'$'\n'
  assert_match "$OUT" $'\nlo$'
  assert_eq "$(grep -c : <<<"$OUT")" 2 # both folders, empty
}

test_it_is_confined_as_dockers_containers_are() {
  only_knarr
  run_ok run --host-root box -- sh -c 'grep -E "^(CapEff|CapBnd|Seccomp):" /proc/self/status; unshare --user true 2>/dev/null || echo refused; cat /proc/kcore | wc -c; touch /proc/sys/kernel/panic 2>/dev/null || echo read-only'
  assert_match "$OUT" $'CapBnd:\t00000000a80425fb'
  assert_match "$OUT" $'Seccomp:\t2\nrefused\n0\nread-only'
}

test_environment_and_working_directory() {
  only_knarr
  local line
  cd /etc
  SECRET=x LANG=C.UTF-8 run_ok run --host-root box -- sh -c 'pwd; env'
  assert_line "$OUT" /etc
  assert_line "$OUT" LANG=C.UTF-8
  assert_line "$OUT" HOME=/root
  assert_no_match "$OUT" SECRET
  cd "$T"
  run_ok run --host-root box -- pwd # below /tmp, which is empty in there
  assert_eq "$OUT" /
}

test_no_way_leads_back_to_the_host() {
  only_knarr
  run_ok run --host-root box -- sh -c 'echo x >/etc/changed; cat /../etc/changed; cd /; cd ..; cat ../../etc/changed; grep -c " / / " /proc/self/mountinfo'
  assert_eq "$OUT" $'x\nx\n1'
}

test_status_and_errors() {
  only_knarr
  rt run --host-root box -- sh -c 'exit 9'
  assert_eq "$RC" 9
  run_fails 1 'no.such.command.*not found in .PATH' run --host-root box -- no-such-command
  rt run --host-root --bundle "$T" box -- true
  assert_match "$ERR" 'cannot be used with'
  rt run box -- true
  assert_match "$ERR" 'host-root'
}

test_detached_and_entered() {
  only_knarr
  run_ok run --host-root --detach box -- sh -c 'echo 1 >/etc/changed; exec sleep 100'
  eventually eval 'rt exec box cat /etc/changed; [ "$OUT" = 1 ]'
  run_ok kill box TERM
  eventually has_status box stopped
  run_ok delete box
  assert_absent /etc/changed
}

test_nobody_listens_on_other_disks() {
  only_knarr
  local try='import os, socket, sys
for path in sys.argv[1:]:
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try: s.connect(path + "/socket"); print("answered")
    except OSError as err: print(err.strerror)
try: os.write(os.open(sys.argv[1] + "/fifo", os.O_WRONLY | os.O_NONBLOCK), b"x"); print("read")
except OSError as err: print(err.strerror)
print(open(sys.argv[1] + "/file").read() + "a b" * os.path.exists(sys.argv[1] + "/a b/file"))'
  mkdir -p "$T/disk/a b"
  [[ $(findmnt -no SOURCE --target "$T/disk") == /dev/* ]] || skip 'needs /tmp on a disk'
  echo -n text >"$T/disk/file"
  touch "$T/disk/a b/file"
  mkfifo "$T/disk/fifo"
  sleep 1000 3<>"$T/disk/fifo" &
  /usr/bin/python3 -c 'import socket, time; s = socket.socket(socket.AF_UNIX); s.bind("disk/socket"); s.listen(9); time.sleep(1000)' &
  eventually [ -S "$T/disk/socket" ]
  mount --bind "$T/disk" /mnt
  assert_match "$(/usr/bin/python3 -c "$try" /mnt)" answered # the control
  run_ok run --host-root box -- /usr/bin/python3 -c "$try" /mnt
  assert_eq "$OUT" $'Connection refused\nNo such device or address\ntexta b'
  run_ok run --host-root box -- sh -c 'touch /mnt/x 2>&1; grep -c " /mnt " /proc/self/mounts; grep " /mnt " /proc/self/mounts'
  assert_match "$OUT" $'Read-only file system\n1\noverlay /mnt overlay ro,'
  umount /mnt
  kill %1 %2
}

test_of_an_ordinary_user() {
  only_knarr
  cp "$RUNTIME" "$T/runtime"
  mkdir "$T/run"
  chown 1000:1000 "$T/run"
  chmod 755 "$WORK" "$T" "$T/runtime"
  OUT=$(cd / && XDG_RUNTIME_DIR=$T/run setpriv --reuid 1000 --regid 1000 --clear-groups -- "$T/runtime" run --host-root box -- \
    sh -c 'id -u; touch /file && ls -d /file /etc/passwd; touch /etc/x 2>/dev/null || echo read-only; readlink /bin || echo none; grep " /sys" /proc/self/mounts | grep -c "[ ,]rw[ ,]"' 2>&1) || :
  assert_match "$OUT" $'^0\n/etc/passwd\n/file\nread-only'
  # The user's cgroups, too.
  assert_match "$OUT" $'\n0$'
  assert_absent /file
}
