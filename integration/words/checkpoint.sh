# Words of the cases about checkpoints.
# shellcheck shell=bash disable=SC2016,SC2034 # scripts are for the shell in the container; the test files read the variables

with_criu() {
  requires criu
  differs crun 'does not let itself be told which CRIU'
  FLAGS=(--criu "$CRIU")
}

# A word that is in its memory only, and a number that grows.
COUNTS='id=$(cat /proc/sys/kernel/random/uuid); n=0; while :; do n=$((n + 1)); echo "$id $n" >/dev/shm/n; sleep 0.02; done'
counting() { # ID [JQ-OPTION...] [FILTER]
  local id=$1 filter=.
  shift
  if [ $# -gt 0 ]; then filter=${*: -1}; set -- "${@:1:$#-1}"; fi
  bundle "$id" "$@" --arg script "$COUNTS" "sh(\$script) | $filter"
  detached "$id"
  eventually has_count "$id"
}
# Without a file of this machine's as its output, which runc could not save.
detached() { "$RUNTIME" --root "$ROOT" run --detach --bundle "$B" "$1" </dev/null >/dev/null 2>&1; }
has_count() { rt exec "$1" cat /dev/shm/n; [[ $OUT =~ ^([-0-9a-f]+)\ ([0-9]+)$ ]] && WORD=${BASH_REMATCH[1]} N=${BASH_REMATCH[2]}; }
goes_on_from() { # ID WORD N
  eventually has_count "$1"
  assert_eq "$WORD" "$2" "the word"
  local from=$3
  [ "$N" -ge "$from" ] || fail "$N after $from"
  eventually counts_beyond "$1" "$N"
}
counts_beyond() { has_count "$1" && [ "$N" -gt "$2" ]; }
checkpoint() { run_ok checkpoint --image-path "$T/images" "$@"; }
restore() { run_ok restore --detach --bundle "$B" --image-path "$T/images" "$@"; }
