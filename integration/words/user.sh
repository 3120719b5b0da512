# Containers of an ordinary user, without any right of root's.
# shellcheck shell=bash

# as_user [RANGE]: from here on the runtime is called by user 1000, whose range of ids that is (FIRST:COUNT), and $ROOT is theirs.
as_user() {
  local real=$RUNTIME range=${1-100000:65536}
  cp "$real" "$T/.runtime"
  RUNTIME=$T/as-user
  mkdir -p "$T/run"
  echo "${range:+1000:$range}" >"$T/subids"
  cat >"$RUNTIME" <<SH
#!/bin/sh
# newuidmap(1) reads these, and nobody else sees them.
exec unshare --mount sh -c 'mount --bind $T/subids /etc/subuid && mount --bind $T/subids /etc/subgid &&
  XDG_RUNTIME_DIR=$T/run exec setpriv --reuid 1000 --regid 1000 --clear-groups --inh-caps=-all -- $T/.runtime "\$@"' sh "\$@"
SH
  chmod 755 "$RUNTIME" "$T/.runtime"
  chmod 755 "$WORK" "$T"
  mkdir -p "$ROOT"
  chown 1000:1000 "$T" "$T/run" "$ROOT"
}

# own_bundle ID [JQ-OPTION...] [FILTER]: as `bundle`, of what `spec --rootless` writes.
own_bundle() {
  local id=$1 filter=.
  shift
  if [ $# -gt 0 ]; then filter=${*: -1}; set -- "${@:1:$#-1}"; fi
  B=$T/$id
  if [ ! -d "$B" ]; then
    mkdir "$B"
    cp -a "$WORK/rootfs" "$B/rootfs"
    chown -R 1000:1000 "$B"
    run_ok spec --rootless --bundle "$B"
    mv "$B/config.json" "$B/spec.json"
  fi
  jq "$@" "$JQ_WORDS .process.terminal = false | $filter" "$B/spec.json" >"$B/config.json"
}

in_own_container() { # SCRIPT [JQ-OPTION...] [FILTER]
  local script=$1
  shift
  local filter=.
  if [ $# -gt 0 ]; then filter=${*: -1}; set -- "${@:1:$#-1}"; fi
  own_bundle c1 "$@" --arg script "$script" "sh(\$script) | $filter"
  run_ok run --bundle "$B" c1
}
