# What rows are written with, beside the words of the suite's lib.sh. A row is a function `row_...`, named as what it shows.
# shellcheck shell=bash disable=SC2034

# did COMMAND...: it succeeds; OUT is what it wrote.
did() {
  called "$@"
  [ "$RC" = 0 ] || fail "$(said "$@")"
}
# refused STATUS REGEX COMMAND...: it exits with STATUS and says REGEX, in any case.
refuses() {
  local status=$1 regex=$2
  shift 2
  called "$@"
  [[ $RC =~ ^($status)$ ]] || fail "status not $status: $(said "$@")"
  [[ ${ERR,,}${OUT,,} =~ ${regex,,} ]] || fail "no '$regex': $(said "$@")"
}
called() {
  RC=0
  "$@" >"$T/.out" 2>"$T/.err" || RC=$?
  slurp OUT "$T/.out"
  slurp ERR "$T/.err"
}
gives() { # VALUE COMMAND...: to wait for
  local value=$1 got
  shift
  got=$("$@" 2>/dev/null) && [ "$got" = "$value" ]
}
gone() { ! pgrep -fx "$1" >/dev/null; } # COMMAND LINE
has() { # WORD COMMAND...: to wait for
  local word=$1
  shift
  "$@" 2>&1 | grep -q -- "$word"
}
on_a_terminal() { python3 "$SHARE/tty" --size 33x77 "$@"; } # COMMAND...: with 33 rows of 77 columns; lines end with CR LF
SIZED='until [ "$(stty size 2>/dev/null)" = "33 77" ]; do sleep 0.1; done' # for sh: a terminal gets its size after the process has it
COUNTER='i=0; while :; do i=$((i + 1)); echo $i; sleep 0.3; done' # for sh: a process whose memory can be told from its output
# goes_on_counting COMMAND...: what it prints, the output of COUNTER, gets three longer and never begins again.
goes_on_counting() {
  eventually has "^$(($("$@" | wc -l) + 3))\$" "$@"
  assert_eq "$("$@" | grep -cx 1)" 1 'times it began'
}

# The ordinary user: a session of their own, with a bus, and the identifiers that Debian gives a user.
users_session() {
  grep -q ^user: /etc/subuid || { echo user:100000:65536 >>/etc/subuid; echo user:100000:65536 >>/etc/subgid; }
  loginctl enable-linger user
  eventually test -S /run/user/1000/bus
}
AS_USER=(setpriv --reuid 1000 --regid 1000 --init-groups env HOME=/home/user USER=user XDG_RUNTIME_DIR=/run/user/1000
  DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus)
as_user() { (cd / && "${AS_USER[@]}" "$@"); } # COMMAND...
