# Words of the cases of SELinux: its policy is loaded, where the machine may be given one.
# shellcheck shell=bash disable=SC2034 # the test files read the variables

PROCESS=system_u:system_r:container_t:s0:c1,c2
FILES=system_u:object_r:container_file_t:s0:c1,c2
RUNTIME_LABEL=system_u:system_r:runtime_t:s0-s0:c0.c3

if [ "$MODE" != native ]; then
  cat "$STAGE/selinux.policy" >/sys/fs/selinux/load
  echo 1 >/sys/fs/selinux/enforce
  find "$WORK/rootfs" ! -type l -exec chcon system_u:object_r:container_file_t:s0 {} +
  chcon system_u:object_r:runtime_exec_t:s0 "$RUNTIME"
fi
enforcing() { [ "$MODE" != native ] || skip 'needs a machine that may be given a policy'; assert_eq "$(</sys/fs/selinux/enforce)" 1; }
