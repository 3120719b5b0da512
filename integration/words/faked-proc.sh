# Words of the cases in which a container has something else in place of /proc.
# shellcheck shell=bash disable=SC2016,SC2034 # the test files read the variables

# fakes: the folder $T/fake, which looks like /proc as far as anything is written there.
fakes() {
  requires uml
  local name
  mkdir -p "$T"/fake/{self,thread-self,1}/attr/apparmor "$T"/fake/sys/kernel
  for name in "$T"/fake/{self,thread-self,1}; do
    echo fake | tee "$name"/attr/{exec,current,keycreate,apparmor/exec,apparmor/current} "$name"/{oom_score_adj,status} >/dev/null
  done
  echo fake >"$T/fake/sys/kernel/domainname"
}
untouched() { [ "$(find "$T/fake" "$B/rootfs/fake" -type f -exec cat {} + | sort -u)" = fake ] || fail "$1: a fake was written to"; }

# The ways to have one, as filters for jq, with $fake for the folder.
WAYS=(
  '(.mounts[] | select(.type == "proc")) |= {destination: "/proc", type: "none", source: $fake, options: ["bind"]}'
  '(.mounts[] | select(.type == "proc")) |= {destination: "/proc", type: "tmpfs", source: "tmpfs"}'
  'bind($fake + "/sys"; "/proc/sys"; [])'
  'bind($fake + "/self/attr"; "/proc/self/attr"; [])'
  'bind($fake + "/self"; "/proc/thread-self"; [])'
  'bind($fake + "/self/oom_score_adj"; "/proc/self/oom_score_adj"; [])'
  '.mounts |= map(select(.type != "proc"))' # the root filesystem's own is a link to a fake
)

# each FILTER EFFECT: FILTER asks for something, which EFFECT says is so of a container that is made; in each of the ways it is, or there
# is no container. REFUSED and MADE count.
each() {
  local filter=$1 effect=$2 way
  REFUSED=0 MADE=0
  for way in "${WAYS[@]}"; do
    rm -rf "$T/c1"
    bundle c1
    cp -a "$T/fake" "$B/rootfs/fake"
    rmdir "$B/rootfs/proc"
    if [[ $way == *'!= "proc"'* ]]; then ln -s fake "$B/rootfs/proc"; else mkdir "$B/rootfs/proc"; fi
    bundle c1 --arg fake "$T/fake" "args([\"sleep\", \"100\"]) | del(.linux.maskedPaths, .linux.readonlyPaths) | $way | $filter"
    rt run --detach --bundle "$B" c1
    if [ "$RC" = 0 ]; then
      MADE=$((MADE + 1))
      pid_of c1
      "$effect" || fail "$way: it runs, and has not what it asked for"
      run_ok delete --force c1
    else
      REFUSED=$((REFUSED + 1))
      [ "$(wc -l <<<"$ERR")" = 1 ] || fail "$way: $(said)"
    fi
    untouched "$way"
  done
}
