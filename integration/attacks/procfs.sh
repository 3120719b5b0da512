# What is asked of the kernel through /proc, or read there, is the kernel's, and nothing else is written on the way.
# shellcheck shell=bash disable=SC2016

core() { cat /proc/sys/kernel/core_pattern /proc/sys/kernel/sysrq /proc/sys/vm/overcommit_memory; }

test_control_a_parameter_of_a_namespace() {
  disposable
  in_container 'cat /proc/sys/kernel/shm_rmid_forced' '.linux.sysctl = {"kernel.shm_rmid_forced": "1"}'
  assert_eq "$OUT" 1
}

test_a_parameter_that_smuggles_another_one() { # CVE-2022-0811
  disposable
  local before sysctl
  before=$(core)
  for sysctl in '{"kernel.core_pattern": "|/evil"}' '{"kernel.shm_rmid_forced/../core_pattern": "|/evil"}' '{"kernel.shm_rmid_forced": "1\nkernel.core_pattern=|/evil"}' \
    '{"kernel.shm_rmid_forced\nkernel.core_pattern": "|/evil"}' '{"net.../../kernel/core_pattern": "|/evil"}' '{"net/../kernel/core_pattern": "|/evil"}' \
    '{"fs.mqueue.../../../kernel/core_pattern": "|/evil"}' '{"vm.overcommit_memory": "1"}' '{"kernel.msgmax/../sysrq": "1"}'; do
    rm -rf "$T/c1"
    bundle c1 --argjson s "$sysctl" 'args(["true"]) | .linux.sysctl = $s'
    rt run --bundle "$B" c1
    assert_eq "$(core)" "$before" "$sysctl: parameters of the host"
  done
}

test_proc_and_sys_of_the_image_are_links() { # CVE-2019-19921, 2023-28642
  local place
  for place in proc sys; do
    disposable
    rm -rf "$T/c1"
    bundle c1 'rw | sh("ls /elsewhere")'
    rm -rf "$B/rootfs" && cp -a "$WORK/rootfs" "$B/rootfs"
    rmdir "$B/rootfs/$place"
    mkdir "$B/rootfs/elsewhere"
    ln -s elsewhere "$B/rootfs/$place"
    rt run --bundle "$B" c1
    [ "$RC" != 0 ] || fail "$place goes where the link leads: $OUT"
  done
}

# A volume says that the kernel knows no capabilities.
test_facts_about_the_host_are_not_read_from_a_volume() {
  disposable
  differs runc,crun "not looked at"
  mkdir -p "$T/fake/self" "$T/fake/sys/kernel"
  echo 0 | tee "$T/fake/sys/kernel/cap_last_cap" >"$T/fake/self/status"
  bundle c1 --arg fake "$T/fake" 'args(["sleep", "100"]) | caps(["CAP_KILL", "CAP_CHOWN"]) | del(.linux.maskedPaths, .linux.readonlyPaths) |
    (.mounts[] | select(.type == "proc")) |= {destination: "/proc", type: "none", source: $fake, options: ["bind"]}'
  run_ok run --detach --bundle "$B" c1
  pid_of c1
  assert_line "$(<"/proc/$PID/status")" $'CapBnd:\t0000000000000021'
  assert_line "$(<"/proc/$PID/status")" $'CapEff:\t0000000000000021'
}

test_what_spec_masks() { # CVE-2017-16539, 2018-10892
  disposable
  mkdir "$T/spec"
  (cd "$T/spec" && run_ok spec)
  local path
  for path in acpi asound kcore keys latency_stats timer_list timer_stats sched_debug scsi; do
    jq -e --arg p "/proc/$path" '.linux.maskedPaths | index($p)' "$T/spec/config.json" >/dev/null || fail "/proc/$path is not masked"
  done
  for path in bus fs irq sys sysrq-trigger; do
    jq -e --arg p "/proc/$path" '.linux.readonlyPaths | index($p)' "$T/spec/config.json" >/dev/null || fail "/proc/$path may be written to"
  done
  in_container 'cat /proc/kcore /proc/keys /proc/timer_list /proc/sched_debug 2>/dev/null | busybox wc -c; ls /proc/acpi /proc/scsi /sys/firmware 2>/dev/null | busybox grep -cv : ; true' \
    --slurpfile s "$T/spec/config.json" '.linux.maskedPaths = $s[0].linux.maskedPaths | caps(["CAP_DAC_OVERRIDE"])'
  assert_eq "$(head -1 <<<"$OUT")" 0
  in_container '! echo x >/proc/sysrq-trigger && ! echo 1 >/proc/sys/kernel/sysrq && echo refused' --slurpfile s "$T/spec/config.json" \
    '.linux.readonlyPaths = $s[0].linux.readonlyPaths | caps(["CAP_DAC_OVERRIDE"])'
  assert_eq "$OUT" refused
}

# A label or profile that cannot be had is not left out.
test_a_profile_that_is_not_there() {
  disposable
  local filter
  for filter in '.process.apparmorProfile = "no-such-profile"' '.process.apparmorProfile = "no-such-profile" | userns' '.process.selinuxLabel = "system_u:system_r:no_such_t:s0"'; do
    rm -rf "$T/c1"
    bundle c1 "args([\"true\"]) | $filter"
    rt run --bundle "$B" c1
    [ "$RC" != 0 ] || fail "$filter: it runs without"
  done
}
