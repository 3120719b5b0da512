# What test files are written with. A case is a function `test_...`; it starts in an empty folder $T of its own with an empty
# state folder $ROOT, and `set -e` holds: any command that fails, fails the case. The leak check after it needs no call.
# shellcheck shell=bash disable=SC2034 # the variables set here are read by the test files

shopt -s nullglob dotglob globstar

# ---- numbers of system calls, for what makes them by number ----
declare -A NR
case $HOSTTYPE in
  x86_64) NR=([add_key]=248 [bpf]=321 [exit]=60 [keyctl]=250 [lseek]=8 [ptrace]=101 [sched_yield]=24 [setxattr]=188 [unshare]=272 [userfaultfd]=323) ;;
  *) # asm-generic/unistd.h
    NR=([add_key]=217 [bpf]=280 [exit]=93 [keyctl]=219 [lseek]=62 [ptrace]=117 [sched_yield]=124 [setxattr]=5 [unshare]=97 [userfaultfd]=282) ;;
esac

# ---- conditions: the only ways to skip ----
skip() { echo "$1" >"$T/skip"; exit 77; }

requires() { # uml | native | vm | controller NAME | debian | criu | file PATH
  case $1 in
    uml) [[ $MODE = @(uml|aarch64) ]] || skip "needs uml${2:+: $2}" ;; # a machine to throw away
    native | vm) [ "$MODE" = "$1" ] || skip "needs $1${2:+: $2}" ;;
    controller) [[ " $(<"$V2$BASE/cgroup.controllers") " == *" $2 "* ]] || skip "needs the $2 controller in cgroup v2" ;;
    debian) [ -d "$DEBIAN" ] || skip "needs a Debian root file system" ;;
    criu) # one that works here, as $CRIU
      [ "$MODE" != uml ] || skip "User-mode Linux lacks what CRIU needs"
      [[ $MODE != @(vm|aarch64) ]] || CRIU=$(command -v criu) || skip "needs CRIU"
      "$CRIU" check >"$T/criu" 2>&1 || { grep -q Error "$T/criu" && skip "CRIU finds no kernel for it: $(grep -m1 Error "$T/criu")"; }
      grep -q 'Looks good' "$T/criu" || fail "CRIU does not run: $(cat "$T/criu")"
      ;;
    file) [ -e "$2" ] || skip "needs $2" ;;
    *) fail "requires: $1" ;;
  esac
}

disposable() { [ "$MODE" = vm ] || requires uml; } # a kernel that may break

differs() { # NAME[,NAME...] WHY: these runtimes do not do what the specification or this project asks for here
  [[ ,$1, != *,$RUNTIME_NAME,* ]] || skip "$RUNTIME_NAME differs: $2"
}

# ---- assertions ----
fail() {
  local i
  for ((i = 1; i < ${#FUNCNAME[@]}; i++)); do [[ ${FUNCNAME[i]} != @(test|row)_* ]] || break; done
  echo "line ${BASH_LINENO[i - 1]}: $*" >&2
  trap - ERR
  exit 1
}
assert_eq() { [ "$1" = "$2" ] || fail "${3:+$3: }is '$1', not '$2'"; }
assert_match() { [[ $1 =~ $2 ]] || fail "${3:+$3: }no match for '$2' in:"$'\n'"$1"; }
assert_no_match() { [[ ! $1 =~ $2 ]] || fail "${3:+$3: }'$1' matches '$2'"; }
assert_line() { [[ $'\n'$1$'\n' == *$'\n'"$2"$'\n'* ]] || fail "no line '$2' in:"$'\n'"$1"; }
assert_jq() { jq -e "${@:3}" "$2" >/dev/null <<<"$1" || fail "not so: $2"$'\n'"$1"; } # JSON FILTER [JQ-OPTION...]
assert_exists() { [ -e "$1" ] || [ -L "$1" ] || fail "$1 is not there"; }
assert_absent() { [ ! -e "$1" ] && [ ! -L "$1" ] || fail "$1 is there"; }

# ---- waiting, without a process for each nap ----
nap() { local _; read -rt 0.02 _ <>"$NEVER" || :; }
eventually() { # COMMAND...: true within 10 s, or PATIENCE
  local deadline=$((SECONDS + ${PATIENCE:-10}))
  until "$@"; do [ $SECONDS -lt $deadline ] || fail "never: $*"; nap; done
}
slurp() { # VARIABLE FILE: without a fork, without the last newline
  local _text
  IFS= read -rd '' _text <"$2" || :
  printf -v "$1" %s "${_text%$'\n'}"
}
is_line_in() { local text; [ -e "$2" ] && slurp text "$2" && [[ $'\n'$text$'\n' == *$'\n'"$1"$'\n'* ]]; }

# ---- bundles ----
# Short words for what cases often change in a config.json.
read -rd '' JQ_WORDS <<'JQ' || :
def args(a): .process.args = a;
def sh(s): args(["sh", "-c", s]);
def rw: .root.readonly = false;
def no_ns(t): .linux.namespaces |= map(select(.type != t));
def join_ns(t; p): no_ns(t) | .linux.namespaces += [{type: t, path: p}];
def caps(c): .process.capabilities = {bounding: c, effective: c, permitted: c};
def mount(m): .mounts += [m];
def tmpfs(d; o): mount({destination: d, type: "tmpfs", source: "tmpfs", options: o});
def bind(s; d; o): mount({destination: d, type: "bind", source: s, options: (["bind"] + o)});
def ids(h; n): [{containerID: 0, hostID: h, size: n}];
def userns: .linux.namespaces += [{type: "user"}] | .linux.uidMappings = ids(100000; 65536) | .linux.gidMappings = ids(200000; 65536);
def hook(kind; s): .hooks[kind] += [{path: "/bin/sh", args: ["sh", "-c", s]}];
JQ

# place ID FILTER: the PLACE of a container's cgroup, its cgroupsPath, and C, the cgroup as a path on this machine.
place() { PLACE=$BASE/$1 C=$V2$BASE/$1; }

# bundle ID [JQ-OPTION...] [FILTER]: a bundle $T/ID: the default config with terminal off and a cgroupsPath, then FILTER.
# Sets B (the bundle) and C (its cgroup as a path on this machine).
bundle() {
  local id=$1 filter=. PLACE
  shift
  B=$T/$id
  if [ $# -gt 0 ]; then filter=${*: -1}; set -- "${@:1:$#-1}"; fi
  place "$id" "$filter"
  [ -d "$B" ] || { mkdir "$B" && cp -al "$WORK/rootfs" "$B/rootfs"; }
  jq "$@" --arg cgroup "$PLACE" "$JQ_WORDS .linux.cgroupsPath = \$cgroup | $filter" "$WORK/base.json" >"$B/config.json"
}

# ---- the runtime ----
FLAGS=() # global flags that a case adds
RT_CALLS=0
# rt ARG...: call it; RC, OUT, ERR tell what it did, LOG is the file that a detached container writes its output to.
rt() {
  RT_CALLS=$((RT_CALLS + 1))
  LOG=$T/.$BASHPID.$RT_CALLS.out RC=0
  "$RUNTIME" --root "$ROOT" "${FLAGS[@]}" "$@" >"$LOG" 2>"${LOG%out}err" || RC=$?
  slurp OUT "$LOG"
  slurp ERR "${LOG%out}err"
}
said() { printf '%s\nstatus %s, stdout:\n%s\nstderr:\n%s' "$*" "$RC" "$OUT" "$ERR"; }

# run_ok ARG...: it succeeds and, unless a container writes there, is silent on stderr (engines decode stdout and stderr as one).
run_ok() {
  rt "$@"
  [ "$RC" = 0 ] || fail "$(said "$@")"
  [[ " $* " =~ ' '(run|create|exec)' ' ]] || [ -z "$ERR" ] || fail "not silent: $(said "$@")"
}

UNKNOWN='does not exist' # what engines look for
[ "$RUNTIME_NAME" != crun ] || UNKNOWN+='|no such file'
assert_unknown() { run_fails 1 "$UNKNOWN" state "$1"; } # ID

# run_fails STATUS REGEX ARG...: it exits with STATUS, says REGEX (in any case), in one line, and `create` or `run` leaves nothing.
run_fails() {
  local status=$1 regex=$2 before lines
  shift 2
  footprint
  before=$FOOTPRINT
  rt "$@"
  [ "$RC" = "$status" ] || fail "status not $status: $(said "$@")"
  [[ ${ERR,,} =~ ${regex,,} ]] || fail "no '$regex': $(said "$@")"
  lines=${ERR//[!$'\n']/}
  [[ $RUNTIME_NAME == @(runc|crun) ]] || [ -z "$lines" ] || fail "more than one line: $(said "$@")"
  footprint
  [ "$FOOTPRINT" = "$before" ] && return
  if [ "$RUNTIME_NAME" = crun ] && [ "$status" = 1 ]; then
    rmdir "${CGROUPS[@]}"
    skip "crun differs: a failed create leaves its cgroup"
  fi
  fail "left behind:"$'\n'"$(diff <(echo "$before") <(echo "$FOOTPRINT"))"$'\n'"$(said "$@")"
}

refused() { # REGEX FILTER: a bundle with FILTER does not run, and the error says REGEX
  bundle c1 "$2"
  run_fails 1 "$1" run --bundle "$B" c1
}

state_entries() { # crun keeps an empty folder of its own there
  local entry
  STATES=()
  for entry in "$ROOT"/*; do [[ $entry == */.empty-directory ]] || STATES+=("$entry"); done
}
cgroups_below() { # FOLDER: CGROUPS = what the case made there, deepest first
  local all=("$1"/**/) i
  CGROUPS=()
  for ((i = ${#all[@]} - 1; i >= 0; i--)); do
    [[ ${all[i]} == "$1/" || ${all[i]} == "$1/runner/" ]] || CGROUPS+=("${all[i]%/}")
  done
}
mounts_now() {
  slurp MOUNTS /proc/self/mountinfo
  # logind takes the folder of a session away when it has a moment.
  [ "$MODE" != vm ] || MOUNTS=$(grep -v ' /run/user/' <<<"$MOUNTS")
}
footprint() { # the containers, cgroups and mounts that are there
  state_entries
  cgroups_below "$V2$BASE"
  mounts_now
  FOOTPRINT=$(printf '%s\n' "${STATES[@]}" "${CGROUPS[@]}" "$MOUNTS")
}

# in_container SCRIPT [JQ-OPTION...] [FILTER]: run SCRIPT with sh in a fresh container; it exits 0; OUT is what it wrote.
in_container() {
  local script=$1
  shift
  local filter=.
  if [ $# -gt 0 ]; then filter=${*: -1}; set -- "${@:1:$#-1}"; fi
  rm -rf "$T/c1"
  bundle c1 "$@" --arg script "$script" "sh(\$script) | $filter"
  run_ok run --bundle "$B" c1
}

state_field() { # ID FIELD: FIELD's value in VALUE (a string or number)
  run_ok state "$1"
  [[ $OUT =~ \"$2\":\ *\"?([^\",]*)\"? ]] || fail "no $2 in state: $OUT"
  VALUE=${BASH_REMATCH[1]}
}
assert_status() { state_field "$1" status; assert_eq "$VALUE" "$2" "status of $1"; }
has_status() { rt state "$1"; [ "$RC" = 0 ] && [[ $OUT =~ \"status\":\ *\"$2\" ]]; } # no: also if it is not there yet
pid_of() { state_field "$1" pid; PID=$VALUE; }
is_gone() { [ ! -e "/proc/$1" ]; }

# ---- the container's cgroup ----
# assert_limits FILE=VALUE...: what is in the files of the container's cgroup.
assert_limits() {
  local pair
  for pair; do assert_eq "$(<"$C/${pair%%=*}")" "${pair#*=}" "${pair%%=*}"; done
}
count() { # VARIABLE FILE KEY: the number after KEY in a file of the container's cgroup
  local text
  slurp text "$C/$2"
  [[ $'\n'$text =~ $'\n'$3' '([0-9]+) ]] || fail "no $3 in $2: $text"
  printf -v "$1" %s "${BASH_REMATCH[1]}"
}
has_counted() { local n; count n "$1" "$2"; [ "$n" -gt 0 ]; } # FILE KEY
