# Words for what can be seen of a process of a container's.
# shellcheck shell=bash

# Directories that the caller has open, and a variable of its environment: none of it is for a container.
secrets_of_the_caller() {
  exec 3<"$T" 4</ 5<"$WORK"
  export SECRET=of-the-caller
}

# nothing_of_the_hosts: $PID is in the container's root, and neither its descriptors, but for the standard ones, nor its environment hold
# anything of the caller's.
nothing_of_the_hosts() {
  local fd to
  assert_eq "$(stat -Lc %d:%i "/proc/$PID/root/")" "$(stat -c %d:%i "$B/rootfs")"
  assert_match "$(readlink "/proc/$PID/cwd")" '^/$'
  for fd in "/proc/$PID/fd"/*; do
    to=$(readlink "$fd") || continue
    [[ ${fd##*/} =~ ^[012]$ ]] || [[ $to =~ ^(pipe|socket|anon_inode): ]] || fail "descriptor ${fd##*/}: $to"
  done
  assert_no_match "$(tr '\0' '\n' <"/proc/$PID/environ")" of-the-caller
}
