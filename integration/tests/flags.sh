# Flags of a bind mount: what its source has by what config.json names, in the runtime's user namespace and in one of the container's.
# shellcheck shell=bash disable=SC2016 # scripts are for the shell in the container
CASE_LIMIT=300

# Each row: the flag of the source, the option of the bind mount (`-`: none), and the flags that it has then, without a user namespace of
# the container's and in one.
rows() { # SOURCE
  grep "^$1 " <<'ROWS'
rw - rw,relatime rw,relatime
rw rprivate rw,relatime rw,relatime
rw rw rw,relatime rw,relatime
rw ro ro,relatime ro,relatime
rw dev rw,relatime rw,relatime
rw nodev rw,nodev,relatime rw,nodev,relatime
rw suid rw,relatime rw,relatime
rw nosuid rw,nosuid,relatime rw,nosuid,relatime
rw exec rw,relatime rw,relatime
rw noexec rw,noexec,relatime rw,noexec,relatime
rw atime rw,relatime rw,relatime
rw noatime rw,noatime refused
rw relatime rw,relatime rw,relatime
rw norelatime rw,relatime rw,relatime
rw strictatime rw refused
rw nostrictatime rw,relatime rw,relatime
rw diratime rw,relatime rw,relatime
rw nodiratime rw,nodiratime,relatime refused
rw symfollow rw,relatime rw,relatime
rw nosymfollow rw,relatime,nosymfollow rw,relatime,nosymfollow
rw sync rw,relatime rw,relatime
rw async rw,relatime rw,relatime
rw silent rw,relatime rw,relatime
rw rnoexec rw,noexec,relatime rw,noexec,relatime
rw rexec rw,relatime rw,relatime
rw rro ro,relatime ro,relatime
rw rrw rw,relatime rw,relatime
rw rnoatime rw,noatime refused
rw rrelatime rw,relatime rw,relatime
rw rnorelatime rw,relatime rw,relatime
rw rstrictatime rw refused
ro - ro,relatime ro,relatime
ro rprivate ro,relatime ro,relatime
ro rw rw,relatime refused
ro ro ro,relatime ro,relatime
ro dev rw,relatime ro,relatime
ro nodev rw,nodev,relatime ro,nodev,relatime
ro suid rw,relatime ro,relatime
ro nosuid rw,nosuid,relatime ro,nosuid,relatime
ro exec rw,relatime ro,relatime
ro noexec rw,noexec,relatime ro,noexec,relatime
ro atime rw,relatime ro,relatime
ro noatime rw,noatime refused
ro relatime rw,relatime ro,relatime
ro norelatime rw,relatime refused
ro strictatime rw refused
ro nostrictatime rw,relatime ro,relatime
ro diratime rw,relatime ro,relatime
ro nodiratime rw,nodiratime,relatime refused
ro symfollow rw,relatime ro,relatime
ro nosymfollow rw,relatime,nosymfollow ro,relatime,nosymfollow
ro sync rw,relatime ro,relatime
ro async rw,relatime ro,relatime
ro silent rw,relatime ro,relatime
ro rnoexec ro,noexec,relatime ro,noexec,relatime
ro rexec ro,relatime ro,relatime
ro rro ro,relatime ro,relatime
ro rrw rw,relatime refused
ro rnoatime ro,noatime refused
ro rrelatime ro,relatime ro,relatime
ro rnorelatime ro,relatime ro,relatime
ro rstrictatime ro refused
nosuid - rw,nosuid,relatime rw,nosuid,relatime
nosuid rprivate rw,nosuid,relatime rw,nosuid,relatime
nosuid rw rw,relatime rw,nosuid,relatime
nosuid ro ro,relatime ro,nosuid,relatime
nosuid dev rw,relatime rw,nosuid,relatime
nosuid nodev rw,nodev,relatime rw,nosuid,nodev,relatime
nosuid suid rw,relatime refused
nosuid nosuid rw,nosuid,relatime rw,nosuid,relatime
nosuid exec rw,relatime rw,nosuid,relatime
nosuid noexec rw,noexec,relatime rw,nosuid,noexec,relatime
nosuid atime rw,relatime rw,nosuid,relatime
nosuid noatime rw,noatime refused
nosuid relatime rw,relatime rw,nosuid,relatime
nosuid norelatime rw,relatime refused
nosuid strictatime rw refused
nosuid nostrictatime rw,relatime rw,nosuid,relatime
nosuid diratime rw,relatime rw,nosuid,relatime
nosuid nodiratime rw,nodiratime,relatime refused
nosuid symfollow rw,relatime rw,nosuid,relatime
nosuid nosymfollow rw,relatime,nosymfollow rw,nosuid,relatime,nosymfollow
nosuid sync rw,relatime rw,nosuid,relatime
nosuid async rw,relatime rw,nosuid,relatime
nosuid silent rw,relatime rw,nosuid,relatime
nosuid rnoexec rw,nosuid,noexec,relatime rw,nosuid,noexec,relatime
nosuid rexec rw,nosuid,relatime rw,nosuid,relatime
nosuid rro ro,nosuid,relatime ro,nosuid,relatime
nosuid rrw rw,nosuid,relatime rw,nosuid,relatime
nosuid rnoatime rw,nosuid,noatime refused
nosuid rrelatime rw,nosuid,relatime rw,nosuid,relatime
nosuid rnorelatime rw,nosuid,relatime rw,nosuid,relatime
nosuid rstrictatime rw,nosuid refused
nodev - rw,nodev,relatime rw,nodev,relatime
nodev rprivate rw,nodev,relatime rw,nodev,relatime
nodev rw rw,relatime rw,nodev,relatime
nodev ro ro,relatime ro,nodev,relatime
nodev dev rw,relatime refused
nodev nodev rw,nodev,relatime rw,nodev,relatime
nodev suid rw,relatime rw,nodev,relatime
nodev nosuid rw,nosuid,relatime rw,nosuid,nodev,relatime
nodev exec rw,relatime rw,nodev,relatime
nodev noexec rw,noexec,relatime rw,nodev,noexec,relatime
nodev atime rw,relatime rw,nodev,relatime
nodev noatime rw,noatime refused
nodev relatime rw,relatime rw,nodev,relatime
nodev norelatime rw,relatime refused
nodev strictatime rw refused
nodev nostrictatime rw,relatime rw,nodev,relatime
nodev diratime rw,relatime rw,nodev,relatime
nodev nodiratime rw,nodiratime,relatime refused
nodev symfollow rw,relatime rw,nodev,relatime
nodev nosymfollow rw,relatime,nosymfollow rw,nodev,relatime,nosymfollow
nodev sync rw,relatime rw,nodev,relatime
nodev async rw,relatime rw,nodev,relatime
nodev silent rw,relatime rw,nodev,relatime
nodev rnoexec rw,nodev,noexec,relatime rw,nodev,noexec,relatime
nodev rexec rw,nodev,relatime rw,nodev,relatime
nodev rro ro,nodev,relatime ro,nodev,relatime
nodev rrw rw,nodev,relatime rw,nodev,relatime
nodev rnoatime rw,nodev,noatime refused
nodev rrelatime rw,nodev,relatime rw,nodev,relatime
nodev rnorelatime rw,nodev,relatime rw,nodev,relatime
nodev rstrictatime rw,nodev refused
noexec - rw,noexec,relatime rw,noexec,relatime
noexec rprivate rw,noexec,relatime rw,noexec,relatime
noexec rw rw,relatime rw,noexec,relatime
noexec ro ro,relatime ro,noexec,relatime
noexec dev rw,relatime rw,noexec,relatime
noexec nodev rw,nodev,relatime rw,nodev,noexec,relatime
noexec suid rw,relatime rw,noexec,relatime
noexec nosuid rw,nosuid,relatime rw,nosuid,noexec,relatime
noexec exec rw,relatime refused
noexec noexec rw,noexec,relatime rw,noexec,relatime
noexec atime rw,relatime rw,noexec,relatime
noexec noatime rw,noatime refused
noexec relatime rw,relatime rw,noexec,relatime
noexec norelatime rw,relatime refused
noexec strictatime rw refused
noexec nostrictatime rw,relatime rw,noexec,relatime
noexec diratime rw,relatime rw,noexec,relatime
noexec nodiratime rw,nodiratime,relatime refused
noexec symfollow rw,relatime rw,noexec,relatime
noexec nosymfollow rw,relatime,nosymfollow rw,noexec,relatime,nosymfollow
noexec sync rw,relatime rw,noexec,relatime
noexec async rw,relatime rw,noexec,relatime
noexec silent rw,relatime rw,noexec,relatime
noexec rnoexec rw,noexec,relatime rw,noexec,relatime
noexec rexec rw,relatime refused
noexec rro ro,noexec,relatime ro,noexec,relatime
noexec rrw rw,noexec,relatime rw,noexec,relatime
noexec rnoatime rw,noexec,noatime refused
noexec rrelatime rw,noexec,relatime rw,noexec,relatime
noexec rnorelatime rw,noexec,relatime rw,noexec,relatime
noexec rstrictatime rw,noexec refused
noatime - rw,noatime rw,noatime
noatime rprivate rw,noatime rw,noatime
noatime rw rw,noatime rw,noatime
noatime ro ro,noatime ro,noatime
noatime dev rw,noatime rw,noatime
noatime nodev rw,nodev,noatime rw,nodev,noatime
noatime suid rw,noatime rw,noatime
noatime nosuid rw,nosuid,noatime rw,nosuid,noatime
noatime exec rw,noatime rw,noatime
noatime noexec rw,noexec,noatime rw,noexec,noatime
noatime atime rw,noatime rw,noatime
noatime noatime rw,noatime rw,noatime
noatime relatime rw,relatime refused
noatime norelatime rw,noatime rw,noatime
noatime strictatime rw refused
noatime nostrictatime rw,noatime rw,noatime
noatime diratime rw,noatime rw,noatime
noatime nodiratime rw,nodiratime,relatime refused
noatime symfollow rw,noatime rw,noatime
noatime nosymfollow rw,noatime,nosymfollow rw,noatime,nosymfollow
noatime sync rw,noatime rw,noatime
noatime async rw,noatime rw,noatime
noatime silent rw,noatime rw,noatime
noatime rnoexec rw,noexec,noatime rw,noexec,noatime
noatime rexec rw,noatime rw,noatime
noatime rro ro,noatime ro,noatime
noatime rrw rw,noatime rw,noatime
noatime rnoatime rw,noatime rw,noatime
noatime rrelatime rw,relatime refused
noatime rnorelatime rw,relatime refused
noatime rstrictatime rw refused
strictatime - rw rw
strictatime rprivate rw rw
strictatime rw rw rw
strictatime ro ro ro
strictatime dev rw rw
strictatime nodev rw,nodev rw,nodev
strictatime suid rw rw
strictatime nosuid rw,nosuid rw,nosuid
strictatime exec rw rw
strictatime noexec rw,noexec rw,noexec
strictatime atime rw rw
strictatime noatime rw,noatime refused
strictatime relatime rw,relatime refused
strictatime norelatime rw rw
strictatime strictatime rw rw
strictatime nostrictatime rw rw
strictatime diratime rw rw
strictatime nodiratime rw,nodiratime,relatime refused
strictatime symfollow rw rw
strictatime nosymfollow rw,nosymfollow rw,nosymfollow
strictatime sync rw rw
strictatime async rw rw
strictatime silent rw rw
strictatime rnoexec rw,noexec rw,noexec
strictatime rexec rw rw
strictatime rro ro ro
strictatime rrw rw rw
strictatime rnoatime rw,noatime refused
strictatime rrelatime rw,relatime refused
strictatime rnorelatime rw,relatime refused
strictatime rstrictatime rw rw
nodiratime - rw,nodiratime,relatime rw,nodiratime,relatime
nodiratime rprivate rw,nodiratime,relatime rw,nodiratime,relatime
nodiratime rw rw,nodiratime,relatime rw,nodiratime,relatime
nodiratime ro ro,nodiratime,relatime ro,nodiratime,relatime
nodiratime dev rw,nodiratime,relatime rw,nodiratime,relatime
nodiratime nodev rw,nodev,nodiratime,relatime rw,nodev,nodiratime,relatime
nodiratime suid rw,nodiratime,relatime rw,nodiratime,relatime
nodiratime nosuid rw,nosuid,nodiratime,relatime rw,nosuid,nodiratime,relatime
nodiratime exec rw,nodiratime,relatime rw,nodiratime,relatime
nodiratime noexec rw,noexec,nodiratime,relatime rw,noexec,nodiratime,relatime
nodiratime atime rw,nodiratime,relatime rw,nodiratime,relatime
nodiratime noatime rw,noatime refused
nodiratime relatime rw,relatime refused
nodiratime norelatime rw,nodiratime,relatime rw,nodiratime,relatime
nodiratime strictatime rw refused
nodiratime nostrictatime rw,nodiratime,relatime rw,nodiratime,relatime
nodiratime diratime rw,nodiratime,relatime rw,nodiratime,relatime
nodiratime nodiratime rw,nodiratime,relatime rw,nodiratime,relatime
nodiratime symfollow rw,nodiratime,relatime rw,nodiratime,relatime
nodiratime nosymfollow rw,nodiratime,relatime,nosymfollow rw,nodiratime,relatime,nosymfollow
nodiratime sync rw,nodiratime,relatime rw,nodiratime,relatime
nodiratime async rw,nodiratime,relatime rw,nodiratime,relatime
nodiratime silent rw,nodiratime,relatime rw,nodiratime,relatime
nodiratime rnoexec rw,noexec,nodiratime,relatime rw,noexec,nodiratime,relatime
nodiratime rexec rw,nodiratime,relatime rw,nodiratime,relatime
nodiratime rro ro,nodiratime,relatime ro,nodiratime,relatime
nodiratime rrw rw,nodiratime,relatime rw,nodiratime,relatime
nodiratime rnoatime rw,noatime,nodiratime refused
nodiratime rrelatime rw,nodiratime,relatime rw,nodiratime,relatime
nodiratime rnorelatime rw,nodiratime,relatime rw,nodiratime,relatime
nodiratime rstrictatime rw,nodiratime refused
nosymfollow - rw,relatime,nosymfollow rw,relatime,nosymfollow
nosymfollow rprivate rw,relatime,nosymfollow rw,relatime,nosymfollow
nosymfollow rw rw,relatime rw,relatime
nosymfollow ro ro,relatime ro,relatime
nosymfollow dev rw,relatime rw,relatime
nosymfollow nodev rw,nodev,relatime rw,nodev,relatime
nosymfollow suid rw,relatime rw,relatime
nosymfollow nosuid rw,nosuid,relatime rw,nosuid,relatime
nosymfollow exec rw,relatime rw,relatime
nosymfollow noexec rw,noexec,relatime rw,noexec,relatime
nosymfollow atime rw,relatime rw,relatime
nosymfollow noatime rw,noatime refused
nosymfollow relatime rw,relatime rw,relatime
nosymfollow norelatime rw,relatime rw,relatime
nosymfollow strictatime rw refused
nosymfollow nostrictatime rw,relatime rw,relatime
nosymfollow diratime rw,relatime rw,relatime
nosymfollow nodiratime rw,nodiratime,relatime refused
nosymfollow symfollow rw,relatime rw,relatime
nosymfollow nosymfollow rw,relatime,nosymfollow rw,relatime,nosymfollow
nosymfollow sync rw,relatime rw,relatime
nosymfollow async rw,relatime rw,relatime
nosymfollow silent rw,relatime rw,relatime
nosymfollow rnoexec rw,noexec,relatime,nosymfollow rw,noexec,relatime,nosymfollow
nosymfollow rexec rw,relatime,nosymfollow rw,relatime,nosymfollow
nosymfollow rro ro,relatime,nosymfollow ro,relatime,nosymfollow
nosymfollow rrw rw,relatime,nosymfollow rw,relatime,nosymfollow
nosymfollow rnoatime rw,noatime,nosymfollow refused
nosymfollow rrelatime rw,relatime,nosymfollow rw,relatime,nosymfollow
nosymfollow rnorelatime rw,relatime,nosymfollow rw,relatime,nosymfollow
nosymfollow rstrictatime rw,nosymfollow refused
ROWS
}

# bound FILTER OPTION...: a container that has $T/v bound once an option, at /mnt/OPTION; OUT: a line each, `OPTION FLAGS`
bound() {
  local filter=$1
  shift
  rm -rf "$T/c1"
  bundle c1 --arg v "$T/v" --arg o "$*" "$filter"' | reduce ($o / " ")[] as $o (tmpfs("/mnt"; ["mode=755"]); bind($v; "/mnt/" + $o; [$o | select(. != "-")])) |
    sh("while read -r _ _ _ _ at flags _; do case $at in /mnt/*) echo \"${at#/mnt/} $flags\";; esac; done </proc/self/mountinfo")'
  rt run --bundle "$B" c1
}

# has_flags SOURCE: every row of this source
has_flags() {
  local source option flags in_userns options=() want=() inside=() expected=()
  chmod 755 "$T" "$WORK"
  mkdir "$T/v"
  mount -t tmpfs -o "mode=755,$1" v "$T/v"
  trap 'umount "$T/v"' EXIT
  while read -r source option flags in_userns; do
    options+=("$option") want+=("$option $flags")
    if [ "$in_userns" != refused ]; then
      inside+=("$option") expected+=("$option $in_userns")
      continue
    fi
    bound userns "$option"
    [ "$RC" = 1 ] || fail "$source $option in a user namespace: $OUT"
    [ "$RUNTIME_NAME" != knarr ] || assert_match "$ERR" 'mounts\[[0-9]+\] /mnt/.* user namespace locks'
  done < <(rows "$1")
  bound . "${options[@]}"
  assert_eq "$OUT" "$(printf '%s\n' "${want[@]}")" "$1: $ERR"
  bound userns "${inside[@]}"
  assert_eq "$OUT" "$(printf '%s\n' "${expected[@]}")" "$1 in a user namespace: $ERR"
}

test_source_with_nothing() { differs crun "clears what is not named, whatever is"; has_flags rw; }
test_source_with_ro() { differs crun "clears what is not named, whatever is"; has_flags ro; }
test_source_with_nosuid() { differs crun "clears what is not named, whatever is"; has_flags nosuid; }
test_source_with_nodev() { differs crun "clears what is not named, whatever is"; has_flags nodev; }
test_source_with_noexec() { differs crun "clears what is not named, whatever is"; has_flags noexec; }
test_source_with_noatime() { differs crun "clears what is not named, whatever is"; has_flags noatime; }
test_source_with_strictatime() { differs crun "clears what is not named, whatever is"; has_flags strictatime; }
test_source_with_nodiratime() { differs crun "clears what is not named, whatever is"; has_flags nodiratime; }
test_source_with_nosymfollow() { differs crun "clears what is not named, whatever is"; has_flags nosymfollow; }

# A program on a volume of a disk that is mounted noexec runs, as with others, once any flag is named.
test_a_program_on_a_volume_of_a_noexec_disk() {
  mkdir "$T/v"
  mount -t tmpfs -o noexec v "$T/v"
  trap 'umount "$T/v"' EXIT
  cp "$WORK/rootfs/bin/busybox" "$T/v/true"
  in_container '/mnt/true && echo ran' --arg v "$T/v" 'bind($v; "/mnt"; ["rbind", "rprivate", "rw"])'
  assert_eq "$OUT" ran
}
