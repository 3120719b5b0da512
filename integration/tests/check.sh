# knarr check: what it says of this machine is so, and of one that lacks something too.
# shellcheck shell=bash

knarr_only() { differs runc,crun,youki 'no such command'; }

# check [COMMAND...]: what `check` says, called by COMMAND: JSON in OUT, the exit status in RC.
check() {
  RC=0
  OUT=$("$@" "$RUNTIME" check --format json 2>"$T/err") || RC=$?
  [ ! -s "$T/err" ] || fail "not silent: $(<"$T/err")"
}
finding() { # NAME FILTER: it holds for the finding of that name
  jq -e --arg name "$1" ".findings[] | select(.name == \$name) | $2" <<<"$OUT" >/dev/null || fail "$1: not $2"$'\n'"$OUT"
}

test_containers_run_here() {
  knarr_only
  local name
  check
  assert_eq "$RC" 0
  assert_jq "$OUT" '.able'
  for name in Linux 'mount API' 'cgroup v2' cgroups 'device filter' seccomp 'seccomp notification' overlay; do
    finding "$name" '.verdict == "ok" or .verdict == "partly"'
  done
  for name in mount pid network ipc uts cgroup; do finding "$name namespace" '.verdict == "ok"'; done
  finding 'time namespace' ".verdict == \"$([ -e /proc/self/ns/time ] && echo ok || echo lacks)\""
  finding Linux ".found == \"$(uname -r)\""
}

test_nothing_is_left_by_trying() {
  knarr_only
  footprint
  local before=$FOOTPRINT
  check
  footprint
  assert_eq "$FOOTPRINT" "$before"
}

test_a_table_for_people() {
  knarr_only
  run_ok check
  assert_match "$OUT" $'(^|\n)ok +Linux +[0-9.]+'
  assert_match "$OUT" $'\nContainers run here.$'
  PATH=/nowhere rt check
  assert_match "$OUT" $'\nlacks +newuidmap +not in PATH\n +so: [^\n]+\n +try: install it'
}

test_controllers_have_the_holder_that_the_kernel_names() {
  knarr_only
  local name old hierarchy
  check
  for name in memory cpu pids io cpuset; do
    old=${name/#io/blkio}
    hierarchy=$(awk -v n="$old" '$1 == n {print $2}' /proc/cgroups)
    if [[ " $(<"$V2/cgroup.controllers") " == *" $name "* ]]; then
      finding "$name controller" '.verdict == "ok"'
    elif [ "${hierarchy:-0}" != 0 ]; then
      finding "$name controller" '.verdict == "lacks" and (.found | startswith("held by cgroup v1")) and .remedy == "boot with cgroup_no_v1='"$name"'"'
      finding 'cgroup v2' '.verdict == "partly"'
    else
      finding "$name controller" '.verdict == "lacks"'
    fi
  done
}

test_a_limit_that_lacks_its_controller_is_refused_as_said() {
  knarr_only
  check
  if jq -e '.findings[] | select(.name == "memory controller") | .verdict == "lacks"' <<<"$OUT" >/dev/null; then
    refused 'memory' 'args(["true"]) | .linux.resources.memory.limit = 67108864'
  else
    bundle c1 'args(["true"]) | .linux.resources.memory.limit = 67108864'
    run_ok run --bundle "$B" c1
  fi
}

# shellcheck disable=SC2016
test_without_cgroup_v2() {
  knarr_only
  check unshare --mount sh -c 'grep " - cgroup2 " /proc/self/mountinfo | cut -d" " -f5 | tac | while read -r m; do umount -l "$m"; done; exec "$@"' sh
  assert_eq "$RC" 1
  assert_jq "$OUT" '.able | not'
  finding 'cgroup v2' '.verdict == "lacks" and .needed and .found == "not mounted" and (.remedy | startswith("mount -t cgroup2"))'
}

# shellcheck disable=SC2016
test_without_user_namespaces() {
  knarr_only
  check unshare --user --map-root-user --mount sh -c 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"' sh
  finding 'user namespace' '.verdict == "lacks" and .remedy == "sysctl -w user.max_user_namespaces=15000"'
  finding 'overlay in a user namespace' '.verdict == "lacks"'
  # The rest is as in any user namespace.
  finding 'uts namespace' '.verdict == "ok"'
  finding 'device filter' '.verdict == "lacks" and .needed'
  assert_eq "$RC" 1
}

test_without_rights() {
  knarr_only
  check setpriv --bounding-set=-sys_admin
  assert_eq "$RC" 1
  finding 'mount namespace' '.verdict == "lacks" and .needed and (.found | contains("EPERM"))'
  finding 'uts namespace' '.verdict == "lacks" and (.needed | not)'
}

test_programs_that_cannot_do_their_work() {
  knarr_only
  mkdir "$T/bin"
  cp "$(command -v newuidmap)" "$T/bin/newuidmap"
  chmod 755 "$T/bin/newuidmap"
  check env PATH="$T/bin"
  finding newuidmap ".verdict == \"lacks\" and .remedy == \"chmod u+s $T/bin/newuidmap\""
  finding newgidmap '.verdict == "lacks" and .found == "not in PATH"'
  finding criu '.verdict == "none"'
  chmod u+s "$T/bin/newuidmap"
  check env PATH="$T/bin"
  finding newuidmap '.verdict == "ok"'
}

# shellcheck disable=SC2016
test_an_ordinary_user() {
  knarr_only
  cp "$RUNTIME" "$T/knarr"
  chmod 755 "$T" "$T/knarr" "$WORK"
  RUNTIME=$T/knarr
  local as=(setpriv --reuid 1000 --regid 1000 --clear-groups --inh-caps=-all --)
  echo 1000:100000:65536 >"$T/subids"
  check unshare --mount sh -c 'mount --bind "$0" /etc/subuid && mount --bind /dev/null /etc/subgid && exec "$@"' "$T/subids" "${as[@]}"
  assert_eq "$RC" 0
  finding '/etc/subuid' '.verdict == "ok" and .found == "100000:65536"'
  finding '/etc/subgid' '.verdict == "lacks" and (.remedy | startswith("usermod --add-subgids"))'
  finding 'user namespace' '.needed and .verdict == "ok"'
}

test_capabilities_that_the_caller_lacks() {
  knarr_only
  check setpriv --bounding-set=-mknod,-kill
  finding CAP_MKNOD '.verdict == "lacks" and .found == "not in the effective set" and (.effect | test("no devices")) and (.remedy | test("cap-add"))'
  finding CAP_KILL '.verdict == "lacks"'
  finding 'bounding set' '.found | test("CAP_KILL.* CAP_MKNOD")'
  assert_jq "$OUT" '[.findings[].name] | index("CAP_CHOWN") == null'
}
