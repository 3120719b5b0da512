# What was found out about this machine since it was booted, so that it is found out once.
# shellcheck shell=bash

CACHE=${KNARR_CACHE:-$HOME/.cache/knarr}
BOOT=$CACHE/boot-$(</proc/sys/kernel/random/boot_id)

known() { # WHAT: what was found, or nothing
  [ ! -f "$BOOT/$1" ] || cat "$BOOT/$1"
}
found() { # WHAT ANSWER
  local old
  for old in "$CACHE"/boot-*; do [ "$old" = "$BOOT" ] || rm -rf "$old"; done
  mkdir -p "$BOOT"
  echo "$2" >"$BOOT/$1"
}
