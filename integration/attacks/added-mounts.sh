# Mounts that are added to a container which races its own tree: they land inside, or nowhere, and what is taken away is never
# the host's nor the container's own.
# shellcheck shell=bash

CASE_LIMIT=$((60 + RACE_SECONDS * 2))

hostile() { # SCRIPT: c1 runs it, with all that it can have
  mkdir -p "$T/data" "$T/outside"
  echo there >"$T/data/file"
  bundle c1 --arg s "$1" 'sh($s) | rw | caps(["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE", "CAP_MKNOD", "CAP_SYS_CHROOT"])'
  run_ok run -d --bundle "$B" c1
}
raced() { # COMMAND...: until the time is over; each may fail
  local end=$((SECONDS + RACE_SECONDS)) tried=0 done=0
  while [ $SECONDS -lt $end ]; do
    rt "$@"
    tried=$((tried + 1))
    [ "$RC" != 0 ] || done=$((done + 1))
    rt mounts remove c1 --all
    rt mounts list c1 --format json
  done
  [ $tried -gt 3 ] || fail "only $tried tries"
  TRIED=$tried DONE=$done
}
untouched() { # nothing of it reached the host
  assert_eq "$(ls "$T/outside")" ''
  assert_eq "$(<"$T/data/file")" there
  mounts_now
  assert_no_match "$MOUNTS" "$T/(data|outside) "
}

test_control_a_quiet_container() {
  requires uml
  differs runc,crun "no such command"
  hostile 'sleep 1000'
  run_ok mounts add c1 --source "$T/data" --target /a/b/c
  run_ok exec c1 cat /a/b/c/file
  assert_eq "$OUT" there
  run_ok mounts remove c1 --all
  untouched
}

test_a_target_whose_parents_are_links_and_folders_in_turn() {
  requires uml
  differs runc,crun "no such command"
  hostile "mkdir -p /a/b; while :; do mv /a/b /a/x; busybox ln -s $T/outside /a/b; rm /a/b; busybox ln -s ../../../../../..$T/outside /a/b; rm /a/b; mv /a/x /a/b; done"
  raced mounts add c1 --source "$T/data" --target /a/b/c
  untouched
}

test_a_target_that_is_moved_away_and_covered() {
  requires uml
  differs runc,crun "no such command"
  hostile 'mkdir -p /a /x; while :; do mount -t tmpfs own /a; mkdir /a/t; busybox umount -l /a; mv /a /y; mv /x /a; mv /y /x; done 2>/dev/null'
  raced mounts add c1 --source "$T/data" --target /a/t
  untouched
}

test_what_is_taken_away_is_only_what_was_added() {
  requires uml
  differs runc,crun "no such command"
  hostile 'mkdir -p /keep /a; mount -t tmpfs own /keep; touch /keep/own; while :; do mount --move /keep /a; mount --move /a /keep; mount --bind /keep /a; busybox umount /a; done 2>/dev/null'
  raced mounts add c1 --source "$T/data" --target /a
  run_ok kill c1 STOP
  run_ok exec c1 sh -c 'ls /keep /a'
  assert_match "$OUT" own
  untouched
}

test_a_faked_proc_does_not_mislead_who_takes_away() {
  requires uml
  differs runc,crun "no such command"
  hostile 'mount -t tmpfs own /proc && mkdir -p /proc/self/fd && for i in 0 1 2 3 4 5 6 7 8 9 10 11 12; do mkdir /proc/self/fd/$i; mount -t tmpfs own /proc/self/fd/$i; done; touch /ready; sleep 1000'
  eventually test -e "$B/rootfs/ready"
  run_ok mounts add c1 --source "$T/data" --target /data
  run_ok mounts remove c1 --all
  run_ok exec c1 sh -c 'mount -t proc p /mnt; grep -c " /proc/self/fd/" /mnt/self/mountinfo; grep -c " /data " /mnt/self/mountinfo || :'
  assert_eq "$OUT" $'13\n0'
  untouched
}
