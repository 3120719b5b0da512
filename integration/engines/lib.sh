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
on_a_terminal() { python3 "$SHARE/tty" --size 33x77 "$@" | tr -d '\r'; } # COMMAND...: with 33 rows of 77 columns
