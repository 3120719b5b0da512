# Words for profiles of system calls.
# shellcheck shell=bash

# profile ACTION [RULE...]: a jq filter that sets a profile with a default action and rules for system calls.
profile() {
  local action=$1 rules=''
  shift
  for rule in "$@"; do rules+="${rules:+,}$rule"; done
  printf '.linux.seccomp = {defaultAction: "%s", architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"], syscalls: [%s]}' \
    "$action" "$rules"
}
rule() { printf '{names: %s, action: "%s"%s}' "$1" "$2" "${3:+, $3}"; } # NAMES-JSON ACTION [MORE]

by_perl() { # SCRIPT PROFILE: a program of the Debian root filesystem, with threads and calls by number
  requires debian
  bundle c1 --arg r "$DEBIAN" --arg s "$1" ".root.path = \$r | args([\"perl\", \"-Mthreads\", \"-e\", \$s]) | $2"
  rt run --bundle "$B" c1
}
