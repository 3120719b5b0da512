# exec: what a hostile container tries while a process comes in.
# shellcheck shell=bash disable=SC2016 # scripts are for the shell in the container

# shellcheck source=../words/exec.sh
. "$STAGE/words/exec.sh"

test_cwd_by_a_descriptor_of_the_runtime() { # CVE-2024-21626
  differs runc,crun "old versions fall for it"
  running
  local n
  for n in 3 4 5 6 7 8 9 10; do
    rt exec --cwd "/proc/self/fd/$n" c1 ls ../../../..
    [ "$RC" != 0 ] || assert_no_match "$OUT" 'state|lost\+found|boot' "fd $n"
    rt exec --cwd "/proc/self/fd/$n/../../.." c1 cat "/proc/self/fd/$n/../../../etc/hostname"
    [ "$RC" != 0 ] || fail "fd $n leads out: $OUT"
  done
}

test_program_by_a_descriptor_of_the_runtime() {
  differs runc,crun "old versions fall for it"
  running
  local n
  for n in 3 4 5 6 7 8 9 10; do
    rt exec c1 "/proc/self/fd/$n/bin/sh" -c 'echo out'
    [ "$RC" != 0 ] || fail "fd $n leads out"
  done
}

test_executing_the_runtime_itself_gives_no_way_to_the_hosts_file() { # CVE-2019-5736
  differs runc,crun "not for old versions"
  running 'rw'
  local before
  before=$(sha256sum <"$RUNTIME")
  ln -s /proc/self/exe "$B/rootfs/tmp/self"
  printf '#!/proc/self/exe\n' >"$B/rootfs/tmp/script"
  chmod +x "$B/rootfs/tmp/script"
  # Inside: whoever comes has its executable opened and written as often as can be.
  run_ok exec -d c1 sh -c 'while :; do for p in /proc/[0-9]*; do [ "$p" = /proc/1 ] || [ "$p" = "/proc/$$" ] || { echo broken >>"$p/exe"; } 2>/dev/null && [ ! "$(readlink $p/exe)" = /bin/busybox ] && echo $p >>/tmp/written; done; done'
  local n
  for n in {1..20}; do
    rt exec c1 /tmp/self --version
    rt exec c1 /tmp/script --version
    rt exec c1 /proc/self/exe --version
  done
  assert_eq "$(sha256sum <"$RUNTIME")" "$before"
}

test_nothing_of_the_host_is_seen_of_a_process_that_comes() { # CVE-2016-9962
  differs runc,crun "a race that old versions lose"
  # With CAP_SYS_PTRACE, the strongest that a container without a user namespace may be given for this.
  running 'rw | caps(["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_KILL"])'
  cat >"$B/rootfs/tmp/spy" <<'SPY'
me=$$
here=$(stat -Lc %d:%i /)
while :; do
  for p in /proc/[0-9]*; do
    [ "$p" != /proc/1 ] && [ "$p" != /proc/$me ] || continue
    echo "looked at $(readlink "$p/exe")" >>/tmp/looked
    root=$(stat -Lc %d:%i "$p/root/" 2>/dev/null) && [ "$root" != "$here" ] && echo "root $root" >>/tmp/seen
    cwd=$(readlink "$p/cwd" 2>/dev/null) && [ "$cwd" != / ] && echo "cwd $cwd" >>/tmp/seen
    for f in "$p"/fd/*; do readlink "$f" >>/tmp/fds 2>/dev/null; done
  done
done
SPY
  run_ok exec -d c1 sh /tmp/spy
  local n
  for n in {1..60}; do rt exec c1 true; assert_eq "$RC" 0; done
  grep -q 'looked at /knarr' "$B/rootfs/tmp/looked" || fail "it was never seen before its execve, so nothing is proven"
  assert_absent "$B/rootfs/tmp/seen"
  assert_no_match "$(cat "$B/rootfs/tmp/fds")" "cgroup|$ROOT|state.json|pidfd"
}

test_preserved_descriptors_are_only_those_of_the_caller() {
  differs runc,crun "old versions pass on their own"
  running
  local n
  for n in 1 2 3 4 5 6 7; do
    rt exec --preserve-fds "$n" c1 true
    assert_eq "$RC" 255 "$n descriptors that are not open"
  done
}

test_passwd_that_is_a_fifo_or_endless() {
  differs runc,crun "wait for ever"
  running 'rw'
  rm "$B/rootfs/etc/passwd"
  mkfifo "$B/rootfs/etc/passwd"
  within 'echo $HOME'
  assert_eq "$OUT" /
  rm "$B/rootfs/etc/passwd"
  ln -s /dev/zero "$B/rootfs/etc/passwd"
  within 'echo $HOME'
  assert_eq "$OUT" /
}

test_devpts_that_is_none() {
  differs runc,crun "old versions take it"
  running 'rw | .mounts |= map(select(.destination != "/dev/pts")) | tmpfs("/dev/pts"; [])'
  within 'echo >/dev/pts/ptmx'
  local said
  said=$("$TTY" "$RUNTIME" --root "$ROOT" exec -t c1 true 2>&1) && fail 'it ran'
  assert_match "$said" '/dev/pts/ptmx'
}
