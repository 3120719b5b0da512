# linux.resources that need hardware, or a kernel with more in it than User-mode Linux has: processors, disks, huge pages.
# shellcheck shell=bash disable=SC2016 # $names in single quotes are jq's

test_cpuset_binds_to_processors() {
  requires controller cpuset
  bundle c1 '.linux.resources.cpu = {cpus: "1", mems: "0"} | sh("grep _allowed_list /proc/self/status; sleep 1000")'
  run_ok run --detach --bundle "$B" c1
  local log=$LOG
  assert_limits cpuset.cpus=1 cpuset.mems=0
  eventually is_line_in $'Mems_allowed_list:\t0' "$log"
  is_line_in $'Cpus_allowed_list:\t1' "$log"
  run_ok update --cpuset-cpus 0 c1
  pid_of c1
  grep -q $'^Cpus_allowed_list:\t0$' "/proc/$PID/status"
  [ "$RUNTIME_NAME" = knarr ] || return 0 # the others have no statistics of it
  run_ok events --stats c1
  assert_jq "$OUT" '.data.cpuset.cpus == [0] and .data.cpuset.mems == [0]'
}

test_cpuset_that_the_machine_does_not_have() {
  requires controller cpuset
  bundle c1 '.linux.resources.cpu = {cpus: "77"} | args(["true"])'
  run_fails 1 'cpus' create --bundle "$B" c1
}

test_an_empty_cpuset_by_unified_is_that_of_the_parent() {
  requires controller cpuset
  differs runc,crun "write nothing"
  bundle c1 '.linux.resources |= {cpu: {cpus: "1"}, unified: {"cpuset.cpus": ""}} | args(["sleep", "1000"])'
  run_ok create --bundle "$B" c1
  assert_limits cpuset.cpus= cpuset.cpus.effective=0-1
}

DISK=/dev/vdb
throttled() { # FIELD RATE: c1 reads or writes a mebibyte of the disk, past any cache, and says how many milliseconds it took
  local major minor
  read -r major minor <<<"$(stat -c '%Hr %Lr' "$DISK")"
  bundle c1 --arg f "$1" --argjson r "$2" --argjson a "$major" --argjson i "$minor" '
    .linux.devices = [{path: "/dev/disk", type: "b", major: $a, minor: $i}] |
    .linux.resources.devices += [{allow: true, type: "b", major: $a, minor: $i, access: "rw"}] |
    .linux.resources.blockIO[$f] = [{major: $a, minor: $i, rate: $r}] |
    mount({destination: "/tools", type: "bind", source: "/usr", options: ["rbind", "ro"]}) |
    mount({destination: "/lib64", type: "bind", source: "/usr/lib64", options: ["rbind", "ro"]}) |
    mount({destination: "/lib", type: "bind", source: "/usr/lib", options: ["rbind", "ro"]}) |
    sh("cut -d\" \" -f1 /proc/uptime; /tools/bin/dd " + (if $f | test("Read") then "if=/dev/disk of=/dev/null iflag=direct" else "if=/dev/zero of=/dev/disk oflag=direct" end) + " bs=64k count=16 2>/dev/null; cut -d\" \" -f1 /proc/uptime")'
  run_ok run --bundle "$B" c1
  MS=$(awk 'NR == 1 {from = $1} END {printf "%d", ($1 - from) * 1000}' <<<"$OUT")
}

test_bytes_read_from_a_disk_are_throttled() {
  requires controller io
  requires file "$DISK"
  throttled throttleReadBpsDevice 524288
  [ "$MS" -ge 1500 ] || fail "1 MiB at 512 KiB/s took $MS ms"
}

test_writes_to_a_disk_are_throttled() {
  requires controller io
  requires file "$DISK"
  throttled throttleWriteIOPSDevice 8
  [ "$MS" -ge 1500 ] || fail "16 writes at 8/s took $MS ms"
}

test_weights_of_disks() {
  requires controller io
  requires file "$DISK"
  differs runc,crun "without BFQ nothing is written, or an error"
  local numbers
  numbers=$(stat -c '%Hr:%Lr' "$DISK")
  echo "$numbers enable=1 ctrl=user" >/sys/fs/cgroup/io.cost.qos
  bundle c1 --arg n "$numbers" '.linux.resources.blockIO = {weight: 500, weightDevice: [($n / ":" | map(tonumber) | {major: .[0], minor: .[1], weight: 300})]} | args(["sleep", "1000"])'
  run_ok create --bundle "$B" c1
  assert_line "$(<"$C/io.weight")" 'default 4950'
  assert_line "$(<"$C/io.weight")" "$numbers 2930"
  echo "$numbers enable=0" >/sys/fs/cgroup/io.cost.qos
}

test_weight_under_bfq() {
  requires controller io
  requires file "$DISK"
  modprobe -q bfq || skip "needs the BFQ scheduler"
  echo bfq >/sys/block/vdb/queue/scheduler
  bundle c1 '.linux.resources.blockIO = {weight: 500} | args(["sleep", "1000"])'
  run_ok create --bundle "$B" c1
  assert_match "$(<"$C/io.bfq.weight")" '(default )?500$'
  echo none >/sys/block/vdb/queue/scheduler
}

test_huge_pages_beyond_the_limit_are_refused() {
  [ "$(awk '/^HugePages_Free/ {print $2}' /proc/meminfo)" -ge 3 ] || skip "needs three free huge pages"
  [[ " $(<"$V2/cgroup.controllers") " == *" hugetlb "* ]] || skip "needs the hugetlb controller"
  [ "$(</proc/sys/vm/nr_hugepages)" -ge 3 ] || skip "needs three huge pages"
  differs crun "leaves rsvd.max alone"
  bundle c1 '.linux.resources.hugepageLimits = [{pageSize: "2MB", limit: 4194304}] |
    mount({destination: "/huge", type: "hugetlbfs", source: "none", options: ["pagesize=2M"]}) |
    mount({destination: "/tools", type: "bind", source: "/usr", options: ["rbind", "ro"]}) |
    mount({destination: "/lib64", type: "bind", source: "/usr/lib64", options: ["rbind", "ro"]}) |
    mount({destination: "/lib", type: "bind", source: "/usr/lib", options: ["rbind", "ro"]}) |
    sh("for n in 2 3; do if /tools/bin/fallocate -l $((n * 2097152)) /huge/f; then echo $n pages; else echo not $n pages; fi; done; sleep 1000") | rw'
  run_ok run --detach --bundle "$B" c1
  assert_limits hugetlb.2MB.max=4194304 hugetlb.2MB.rsvd.max=4194304
  eventually is_line_in 'not 3 pages' "$LOG"
  is_line_in '2 pages' "$LOG"
  [ "$RUNTIME_NAME" = knarr ] || return 0
  run_ok events --stats c1
  assert_jq "$OUT" '.data.hugetlb["2MB"] | .usage >= 2097152 and .failcnt > 0'
}

test_huge_pages_of_a_size_that_is_not_there() {
  [[ " $(<"$V2/cgroup.controllers") " == *" hugetlb "* ]] || skip "needs the hugetlb controller"
  bundle c1 '.linux.resources.hugepageLimits = [{pageSize: "3MB", limit: 4194304}]'
  run_fails 1 'huge|3MB' create --bundle "$B" c1
}

test_rdma_of_a_device_that_is_not_there() {
  [[ " $(<"$V2/cgroup.controllers") " == *" rdma "* ]] || skip "needs the rdma controller"
  differs crun "leaves it out in silence"
  bundle c1 '.linux.resources.rdma = {mlx5_9: {hcaHandles: 3}}'
  run_fails 1 'rdma' create --bundle "$B" c1
}
