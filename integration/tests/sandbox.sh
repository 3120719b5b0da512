# run --host-root: a command on the machine's own files.
# shellcheck shell=bash

# shellcheck source=../words/sandbox.sh
. "$STAGE/words/sandbox.sh"

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
  assert_match "$OUT" $'^1\noverlay /mnt overlay rw,'
  assert_absent "$T/disk/x"
  run_ok run --host-root --overlay="$T/kept" box -- sh -c 'echo kept >>/mnt/x'
  run_ok run --host-root --overlay="$T/kept" box -- sh -c 'cat /mnt/x'
  assert_eq "$OUT" kept
  assert_absent "$T/disk/x"
  assert_exists "$T/kept/at-mnt/upper/x"
  umount /mnt
  kill %1 %2
}

test_a_disk_below_what_is_bound_is_not_in_the_way() {
  only_knarr
  mkdir -p "$T/disk" "$T/bound" "$T/above/below"
  [[ $(findmnt -no SOURCE --target "$T/disk") == /dev/* ]] || skip 'needs /tmp on a disk'
  echo -n bound >"$T/bound/file"
  mount --bind "$T/above" /mnt
  mount --bind "$T/disk" /mnt/below
  local what
  for what in "--ro-bind $T/bound:/mnt" "--bind $T/bound:/mnt"; do
    # shellcheck disable=SC2086
    run_ok run --host-root $what box -- sh -c 'cat /mnt/file; ls /mnt'
    assert_eq "$OUT" boundfile
  done
  assert_absent "$T/bound/below"
  run_ok run --host-root --hide /mnt box -- ls -A /mnt
  assert_eq "$OUT" ''
  umount /mnt/below /mnt
}

test_of_an_ordinary_user() {
  only_knarr
  as_user box -- \
    sh -c 'id -u; touch /file /opt/made && ls -d /file /opt/made /etc/passwd; rm /etc/passwd 2>/dev/null || echo kept; readlink /bin || echo none; grep " /sys" /proc/self/mounts | grep -c "[ ,]rw[ ,]"' || :
  assert_match "$OUT" $'^0\n/etc/passwd\n/file\n/opt/made\n'
  # The user's cgroups, too.
  assert_match "$OUT" $'\n0$'
  assert_absent /file
  assert_absent /opt/made
  assert_exists /etc/passwd
}

test_changes_of_an_ordinary_user_can_be_kept() {
  only_knarr
  requires native 'a root file system that can be written'
  mkdir -m 777 "$T/kept" /opt/of-user && echo old >/opt/of-user/file
  chown -R 1000:1000 /opt/of-user
  as_user --overlay="$T/kept/changes" box -- sh -c 'echo 1 >>/opt/of-user/file; mkdir /opt/of-user/new'
  as_user --overlay="$T/kept/changes" box -- sh -c 'cat /opt/of-user/file; ls /opt/of-user'
  rm -r /opt/of-user
  assert_eq "$OUT" $'old\n1\nfile\nnew'
  assert_eq "$(<"$T/kept/changes/at-opt/upper/of-user/file")" $'old\n1'
}

test_nobody_listens_in_the_folders_of_an_ordinary_user() {
  only_knarr
  requires native 'a root file system that can be written'
  local try='import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
try: s.connect("/opt/sockets/socket"); print("answered")
except OSError as err: print(err.strerror)
try: os.write(os.open("/opt/sockets/fifo", os.O_WRONLY | os.O_NONBLOCK), b"x"); print("read")
except OSError as err: print(err.strerror)'
  mkdir -p /opt/sockets
  mkfifo /opt/sockets/fifo
  sleep 1000 3<>/opt/sockets/fifo &
  /usr/bin/python3 -c 'import socket, time; s = socket.socket(socket.AF_UNIX); s.bind("/opt/sockets/socket"); s.listen(9); time.sleep(1000)' &
  eventually [ -S /opt/sockets/socket ]
  chmod 777 /opt/sockets/*
  assert_eq "$(setpriv --reuid 1000 --regid 1000 --clear-groups /usr/bin/python3 -c "$try")" $'answered\nread' # the control
  as_user box -- /usr/bin/python3 -c "$try"
  kill %1 %2
  rm -r /opt/sockets
  assert_eq "$OUT" $'Connection refused\nNo such device or address' "$ERR"
}

# ---- options of paths ----
of_binds() {
  mkdir -p "$T/shared/in"
  echo host >"$T/shared/in/file"
  [ "$WHO" = root ] || chown -R 1000:1000 "$T/shared"
  "$1" --ro-bind "$T/shared/in:/mnt/ro" --bind "$T/shared:/mnt" --tmpfs /mnt/in --hide /etc/passwd box -- \
    sh -c 'cat /mnt/ro/file; echo x >/mnt/ro/file; echo new >/mnt/new; ls -A /mnt/in; touch /mnt/in/x && echo tmpfs; wc -c </etc/passwd' 2>/dev/null
  assert_eq "$OUT" $'host\ntmpfs\n0' "$ERR"
  assert_eq "$(<"$T/shared/new")" new
  assert_eq "$(<"$T/shared/in/file")" host
  assert_absent "$T/shared/in/x"
  # In another order it is the same.
  "$1" --tmpfs /mnt/in --hide /etc/passwd --bind "$T/shared:/mnt" --ro-bind "$T/shared/in:/mnt/ro" box -- \
    sh -c 'cat /mnt/ro/file; ls -A /mnt/in; wc -c </etc/passwd'
  assert_eq "$OUT" $'host\n0' "$ERR"
}
test_deeper_paths_win_in_any_order() { both of_binds; }

of_write() {
  mkdir -p "$T/work/sub"
  echo old >"$T/work/sub/file"
  [ "$WHO" = root ] || chown -R 1000:1000 "$T/work"
  cd "$T/work"
  IN=$T/work "$1" --write . --hide sub box -- sh -c 'pwd; echo made >file; ls -A sub; touch /etc/changed-by-box || touch /changed-by-box; ls /proc/1/root/etc >/dev/null'
  cd "$T"
  assert_eq "$OUT" "$T/work" "$ERR"
  assert_eq "$(<"$T/work/file")" made
  assert_exists "$T/work/sub/file"
  assert_absent /etc/changed-by-box
  # What is in a hidden folder can be shown.
  "$1" --hide "$T/work" --ro-bind "$T/work/sub" box -- sh -c "ls $T/work; cat $T/work/sub/file; touch $T/work/x || echo read-only"
  assert_eq "$OUT" $'sub\nold\nread-only' "$ERR"
  rm -r "$T/work"
}
test_one_folder_is_let_through() { both of_write; }

of_environment() {
  PASSED=1 LANG=C.UTF-8 "$1" --env PASSED --env GIVEN=a=b --workdir /usr/bin box -- sh -c 'pwd; echo $PASSED $GIVEN $LANG'
  assert_eq "$OUT" $'/usr/bin\n1 a=b C.UTF-8' "$ERR"
  PASSED=1 LANG=C.UTF-8 "$1" --clear-env --env GIVEN=2 --env PATH=/bin:/usr/bin box -- env
  assert_line "$OUT" GIVEN=2
  assert_line "$OUT" PATH=/bin:/usr/bin
  assert_no_match "$OUT" 'LANG|PASSED|sbin'
}
test_environment_and_working_directory_are_asked_for() { both of_environment; }

test_another_user() {
  only_knarr
  box --user 7:9 --write "$T" --workdir "$T" box -- sh -c 'id -u; id -g; grep CapEff /proc/self/status; touch x 2>/dev/null || echo no'
  assert_match "$OUT" $'^7\n9\nCapEff:\t0+\nno$'
  box --user daemon box -- id -un
  assert_eq "$OUT" daemon
  as_user --user 0 box -- id -u
  assert_eq "$OUT" 0
  as_user --user daemon box -- id -u
  assert_match "$ERR" '--user daemon: an ordinary user is root in the sandbox, and nobody else'
}

of_errors() {
  local line
  while IFS='|' read -r options error; do
    # shellcheck disable=SC2086
    "$1" $options box -- true
    assert_eq "$RC" 1
    assert_match "$ERR" "$error"
  done <<'END'
--bind /no/such:/x|--bind /no/such:/x: no such file
--ro-bind /no/such|--ro-bind /no/such: no such file
--hide /no/such|--hide /no/such: no such file
--write /no/such|--write /no/such: no such file
--write /etc/passwd|--write /etc/passwd: not a folder
--show /no/such|--show /no/such: no such file
--show /usr|--show /usr: it is not hidden
--workdir /no/such|--workdir /no/such: there is no such folder in the sandbox
--hide /usr --workdir /usr/bin|--workdir /usr/bin: there is no such folder in the sandbox
--env KNARR_NO_SUCH|--env KNARR_NO_SUCH: not set
--env =x|a name is missing
--user no-such-user|--user no-such-user: no such user
--bind /etc:/|that is the sandbox's own
--tmpfs /proc|--tmpfs /proc: that is the sandbox's own
--hide /usr --tmpfs /usr|--tmpfs /usr: --hide is there already
END
  rt run --bind /etc box
  assert_match "$ERR" '--host-root'
}
test_what_does_not_exist_is_an_error_that_names_it() { both of_errors; }

# ---- secrets, and what might answer ----
# secrets_of HOME: keys and passwords in a home, with a marker in each.
secrets_of() {
  local file
  for file in .ssh/id_ed25519 .gnupg/private-keys-v1.d/x .aws/credentials .config/gcloud/x .kube/config .docker/config.json .netrc .mozilla/x .x_history .cargo/credentials.toml; do
    mkdir -p "$(dirname "$1/$file")"
    echo MARKER >"$1/$file"
  done
  mkdir -p "$1/.config/other"
  echo seen >"$1/.config/other/x"
}

seen_of_home() { # FUNCTION OPTION...: what the sandbox reads of the secrets, and of another file
  "$@" box -- sh -c "cd $HOME_OF; "'cat .ssh/* .gnupg/*/* .aws/* .config/*/x .kube/* .docker/* .netrc .mozilla/* .*_history .cargo/* 2>/dev/null'
}
of_secrets() {
  "$1" box -- true # the home is there
  HOME_OF=$T/home
  secrets_of "$HOME_OF"
  ln -sfn "$HOME_OF/.ssh" "$T/link"
  [ "$WHO" = root ] || chown -R 1000:1000 "$HOME_OF"
  # The homes of cases lie in /tmp, which is empty in there: they are bound.
  HOME=$HOME_OF seen_of_home "$1" --bind "$HOME_OF"
  assert_eq "$OUT" seen "$ERR"
  HOME=$HOME_OF seen_of_home "$1" --bind "$HOME_OF" --show "$HOME_OF/.ssh/id_ed25519" --show "$HOME_OF/.netrc"
  assert_eq "$OUT" $'MARKER\nseen\nMARKER' "$ERR"
  # By another name it is hidden, too.
  HOME=$HOME_OF "$1" --ro-bind "$T:/mnt" box -- sh -c "cat /mnt/home/.netrc /mnt/home/.ssh/* /mnt/link/* 2>/dev/null; cat /mnt/home/.config/other/x"
  assert_eq "$OUT" seen "$ERR"
  HOME=$HOME_OF "$1" box -- sh -c 'cat /etc/shadow /etc/gshadow /etc/ssh/ssh_host_*_key 2>/dev/null | wc -c'
  assert_eq "$OUT" 0 "$ERR"
  rm -r "$HOME_OF"
}
test_secrets_are_hidden_unless_shown() { both of_secrets; }

test_a_secret_that_is_replaced_meanwhile_is_hidden() {
  only_knarr
  mkdir -p "$T/home/real"
  echo KEY >"$T/home/real/key"
  ln -s real/key "$T/home/.netrc"
  HOME=$T/home strace -f -q -o "$T/trace" -e trace=open,openat,readlink,readlinkat -e inject=readlink,readlinkat:delay_enter=200000 \
    "$RUNTIME" --root "$ROOT" run --host-root --ro-bind "$T/home" box -- cat "$T/home/real/key" >"$T/out" 2>"$T/err" &
  # It has been opened, and where it is has not been asked.
  eventually grep -q 'home/\.netrc' "$T/trace"
  echo KEY >"$T/home/new"
  mv "$T/home/new" "$T/home/real/key"
  wait $! || fail "$(<"$T/err")"
  assert_eq "$(<"$T/out")" ''
}

test_plan_prints_what_is_hidden() {
  only_knarr
  rt plan --host-root
  assert_match "$OUT" 'mask, [^:]*: [^#]*/etc/shadow'
  rt plan --host-root --show /etc/shadow
  assert_no_match "$OUT" '/etc/shadow '
  rt plan --host-root --hide /usr/share -- true
  assert_match "$OUT" 'mask, [^:]*: [^#]*/usr/share'
  assert_match "$OUT" 'find true'
  rt plan -- true
  assert_match "$ERR" 'host-root'
}

of_abstract_names() {
  "$1" box -- /usr/bin/python3 -c "$ANSWERS"
  assert_eq "$OUT" $'refused\nno bus\nno keys\nno others\nno messages' "$ERR"
}
test_nothing_of_the_host_answers() {
  only_knarr
  ANSWERS='import ctypes, glob, os, socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
try: s.connect("\0knarr-it"); print("answered")
except OSError: print("refused")
bus = False
for path in ["/run/dbus/system_bus_socket", "/var/run/dbus/system_bus_socket", "/run/systemd/private", "/run/user/0/bus", "/run/user/1000/bus", "/run/systemd/journal/socket", "/var/run/docker.sock", "/run/knarr-it"]:
    try: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).connect(path); bus = True
    except OSError: pass
print("bus" if bus else "no bus")
libc = ctypes.CDLL(None, use_errno=True)
found = [libc.syscall('"${NR[keyctl]}"', 6, key, 0, 0, 0) for key in (-3, -4, -5)] # KEYCTL_DESCRIBE
keys = [k for k in open("/proc/keys")] if os.path.exists("/proc/keys") else []
print("keys" if keys or any(n >= 0 for n in found) else "no keys")
others = [pid for pid in os.listdir("/proc") if pid.isdigit() and int(pid) > 1 and b"it-" + b"marker" in open("/proc/%s/cmdline" % pid, "rb").read()]
print("others" if others else "no others")
print("messages" if os.path.exists("/dev/mqueue/knarr-it") or os.path.exists("/dev/shm/knarr-it") else "no messages")'
  rm -f /run/knarr-it
  touch /dev/shm/knarr-it
  /usr/bin/python3 -c 'import socket, time
a = socket.socket(socket.AF_UNIX); a.bind("\0knarr-it"); a.listen(9)
b = socket.socket(socket.AF_UNIX); b.bind("/run/knarr-it"); b.listen(9)
import os; os.chmod("/run/knarr-it", 0o777); time.sleep(1000)' it-marker &
  eventually [ -S /run/knarr-it ]
  eventually [ "$(stat -c %a /run/knarr-it)" = 777 ]
  # The control.
  assert_match "$(/usr/bin/python3 -c "$ANSWERS")" $'^answered\nbus\n.*others\nmessages'
  both of_abstract_names
  rm /run/knarr-it /dev/shm/knarr-it
  kill %1
}
