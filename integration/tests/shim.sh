# containerd's shim: containerd-shim-knarr-v2, driven as containerd drives it (helpers/containerd).
# shellcheck shell=bash disable=SC2034
CASE_LIMIT=90

# shellcheck source=../words/shim.sh
. "$STAGE/words/shim.sh"

test_a_container_from_start_to_end() {
  ready c1 'sh("exit 7")'
  assert_jq "$OUT" '(.version | . == 2 or . == 3) and .protocol == "ttrpc" and (.address | startswith("unix:///"))'
  create c1
  call State id=c1; assert_jq "$OUT" '.status == 1 and .pid > 0 and .bundle == $b' --arg b "$B"
  call Start id=c1; assert_jq "$OUT" ".pid == $PID"
  call Wait id=c1; assert_jq "$OUT" '.exit_status == 7 and .exited_at.seconds > 1700000000'
  call State id=c1; assert_jq "$OUT" '.status == 3 and .exit_status == 7'
  forget c1; assert_jq "$OUT" ".exit_status == 7 and .pid == $PID"
  refuses 5 'not found' State id=c1
  over
  assert_absent "${ADDRESS#unix://}"
  assert_eq "$(topics)" '/tasks/create /tasks/start /tasks/exit /tasks/delete '
  assert_jq "$(jq -s . "$T/events")" ".[2] | .exit_status == 7 and .pid == $PID and .container_id == \"c1\" and .namespace == \"rows\""
}

test_state_tells_how_a_container_has_ended() {
  local holder
  ready c1 'sh("exit 7")'
  create c1; call Start id=c1; call Wait id=c1
  OUT=$("$RUNTIME" --root "$T/root/$NAMESPACE" state c1)
  assert_jq "$OUT" '.status == "stopped" and .exitStatus == 7 and (.exited | startswith("20"))'
  forget c1; over
  # Nobody waits for who has its lock.
  ready c1 'sh("sleep 1000")'
  create c1; call Start id=c1
  mkfifo hold; flock "$T/root/$NAMESPACE/c1" sh -c 'echo >has; read x <hold' & holder=$!
  eventually test -e has
  kill -TERM "$PID"; kill -KILL "$PID"
  call Wait id=c1; assert_jq "$OUT" '.exit_status == 137'
  OUT=$("$RUNTIME" --root "$T/root/$NAMESPACE" state c1); assert_jq "$OUT" '.status == "stopped" and (has("exitStatus") | not)'
  echo >hold; wait "$holder"
  eventually eval '"$RUNTIME" --root "$T/root/$NAMESPACE" state c1 | jq -e ".exitStatus == 137" >/dev/null'
  forget c1; over
}

test_both_versions_of_the_service() {
  ready c1 'sh("sleep 100")'
  create c1
  SERVICE=containerd.task.v2.Task call State id=c1; assert_jq "$OUT" '.status == 1'
  SERVICE=containerd.task.v1.Task refuses 12 'service containerd.task.v1.Task' State id=c1
  refuses 12 'method Frob' Frob id=c1
  finish c1
}

test_start_protocol_of_containerd_2_3() {
  ready c1 'sh("exit 0")'
  local first=$ADDRESS
  "$CONTAINERD" call "$first" Shutdown
  eventually test ! -e "${first#unix://}"
  local sockets; sockets=$(mktemp -du "$WORK/s.XXX") # a path of a socket has 107 bytes
  OUT=$("$CONTAINERD" start "$SHIM" "$NAMESPACE" c1 "$B" socket_dir="$sockets" ttrpc="$TTRPC_ADDRESS" "$(OPTIONS '')")
  assert_jq "$OUT" '.version == 3 and .protocol == "ttrpc" and (.address | startswith("unix://'"$sockets"'/"))'
  ADDRESS=$(jq -r .address <<<"$OUT")
  create c1; call Start id=c1; call Wait id=c1; forget c1; over
}

test_output_and_errors_go_to_fifos() {
  ready c1 'sh("echo out; echo err >&2; cat; echo done")'
  fifos in out err
  cat out >got.out & cat err >got.err &
  create c1 stdin="$T/in" stdout="$T/out" stderr="$T/err"
  call Start id=c1
  echo words >in
  call CloseIO id=c1 stdin=1
  call Wait id=c1
  eventually is_line_in done got.out
  assert_eq "$(cat got.out)" $'out\nwords\ndone'
  assert_eq "$(cat got.err)" err
  forget c1; over
}

test_input_stays_open_until_it_is_closed() {
  ready c1 'sh("cat; echo done")'
  fifos in out
  cat out >got &
  create c1 stdin="$T/in" stdout="$T/out"
  call Start id=c1
  echo one >in; eventually is_line_in one got
  echo two >in; eventually is_line_in two got
  call State id=c1; assert_jq "$OUT" '.status == 2'
  call CloseIO id=c1 stdin=1
  eventually is_line_in done got
  call Wait id=c1
  forget c1; over
}

test_large_output_is_whole() {
  ready c1 'sh("i=0; while [ $i -lt 2000 ]; do echo $i-0123456789012345678901234567890123456789012345678901234567890123456789; i=$((i+1)); done; head -c 4000000 /dev/zero")'
  fifos out
  (exec <out; sleep 1; cat) >got &
  create c1 stdout="$T/out"
  call Start id=c1
  call Wait id=c1
  forget c1
  over
  wait %2 2>/dev/null || :
  assert_eq "$(head -n 2000 got | cut -d- -f1 | tr '\n' ' ' | md5sum)" "$(seq 0 1999 | tr '\n' ' ' | md5sum)"
  eventually test "$(stat -c %s got)" -gt 4000000
}

test_a_reader_that_does_not_read_holds_up_nobody() {
  ready c1 'sh("cat /dev/zero")'
  fifos out
  sleep 1000 <out & local reader=$!
  create c1 stdout="$T/out"
  call Start id=c1
  process c1 e1 true
  call Wait id=c1 exec_id=e1; assert_jq "$OUT" '(.exit_status // 0) == 0'
  call Stats id=c1
  finish c1
  kill "$reader"
}

test_a_reader_that_comes_back_misses_nothing() { # containerd restarts
  ready c1 'sh("echo one; read x; echo two")'
  fifos in out
  create c1 stdin="$T/in" stdout="$T/out"
  call Start id=c1
  local line
  read -r line <out; assert_eq "$line" one
  echo >in
  call Wait id=c1
  assert_eq "$(python3 -c 'import os; print(os.read(os.open("out", os.O_RDONLY | os.O_NONBLOCK), 99).decode())')" two
  forget c1; over
}

test_output_to_a_file() {
  ready c1 'sh("echo out; echo err >&2")'
  create c1 stdout="file://$T/logs/c1.log" stderr="file://$T/logs/c1.log"
  call Start id=c1; call Wait id=c1; forget c1; over
  assert_eq "$(sort logs/c1.log | tr '\n' ' ')" 'err out '
}

test_output_to_a_program() {
  ready c1 'sh("echo out; echo err >&2")'
  printf '#!/bin/bash\nexec 5>&-\necho "$CONTAINER_ID $CONTAINER_NAMESPACE $*" >%q\ncat <&3 >>%q\ncat <&4 >>%q\n' "$T/log" "$T/log" "$T/log" >logger
  chmod +x logger
  create c1 stdout="binary://$T/logger?a=b%20c" stderr="binary://$T/logger?a=b%20c"
  call Start id=c1; call Wait id=c1
  eventually is_line_in err log
  assert_eq "$(cat log)" $'c1 rows a b c\nout\nerr'
  forget c1; over
}
test_a_program_for_the_log_that_is_not_there() {
  ready c1 'sh("echo out")'
  refuses 2 "$T/nothing: execve: no such file" Create id=c1 bundle="$B" stdout="binary://$T/nothing" "$(OPTIONS '')"
  over
}

test_a_terminal_with_its_size() {
  ready c1 '.process.terminal = true | sh("trap \"stty size\" WINCH; echo a; echo b; read line; stty size; echo $line; read line")'
  fifos in out
  cat out >got &
  sleep 1000 >in & local writer=$!
  create c1 terminal=1 stdin="$T/in" stdout="$T/out"
  call ResizePty id=c1 width=77 height=33
  call Start id=c1
  eventually grep -q b got
  assert_eq "$(od -An -c got | tr -d ' \n')" 'a\r\nb\r\n'
  echo words >in
  eventually grep -q '33 77' got
  eventually has_words
  kill "$writer"
  finish c1
}
has_words() { [ "$(grep -c words got)" = 2 ]; } # what is typed is shown

test_a_terminals_input_ends() {
  ready c1 '.process.terminal = true | sh("cat; echo end")'
  fifos in out
  cat out >got &
  create c1 terminal=1 stdin="$T/in" stdout="$T/out"
  call Start id=c1
  echo typed >in
  eventually grep -q typed got
  call CloseIO id=c1 stdin=1
  call Wait id=c1
  eventually grep -q end got
  forget c1; over
}

test_exec_in_every_way() {
  ready c1 'sh("sleep 1000")'
  create c1; call Start id=c1
  fifos out
  cat out >got &
  call Exec id=c1 exec_id=e1 stdout="$T/out" "$(spec sh -c 'echo in; exit 9')"
  refuses 6 'e1' Exec id=c1 exec_id=e1 "$(spec true)"
  call State id=c1 exec_id=e1; assert_jq "$OUT" '.status == 1 and .exec_id == "e1"'
  call Start id=c1 exec_id=e1
  call Wait id=c1 exec_id=e1; assert_jq "$OUT" '.exit_status == 9'
  eventually is_line_in in got
  call Delete id=c1 exec_id=e1; assert_jq "$OUT" '.exit_status == 9 and .pid > 0'
  refuses 5 'not found' State id=c1 exec_id=e1
  call Exec id=c1 exec_id=e2 "$(spec nothing)"
  refuses 2 'exec failed.*executable file not found in \$PATH' Start id=c1 exec_id=e2
  call Delete id=c1 exec_id=e2
  process c1 e3 sleep 1000
  refuses 9 'running' Delete id=c1 exec_id=e3
  call Pids id=c1; assert_jq "$OUT" '.processes | length == 2 and (map(select(.info)) | length == 1)'
  call Kill id=c1 exec_id=e3 signal=15
  call Wait id=c1 exec_id=e3; assert_jq "$OUT" '.exit_status == 143'
  refuses 5 'already finished' Kill id=c1 exec_id=e3 signal=15
  eventually told 'exec-added /tasks/exec-started /tasks/exit /tasks/exec-added /tasks/exec-added /tasks/exec-started /tasks/exit '
  finish c1
}

test_exec_on_a_terminal() {
  ready c1 'sh("sleep 1000")'
  create c1; call Start id=c1
  fifos out
  cat out >got &
  jq -nc '{args: ["sh", "-c", "tty; echo a"], cwd: "/", env: ["PATH=/bin"], terminal: true}' >spec.json
  call Exec id=c1 exec_id=e1 terminal=1 stdout="$T/out" spec="@$T/spec.json"
  call Start id=c1 exec_id=e1
  call Wait id=c1 exec_id=e1
  eventually grep -q a got
  eventually test "$(od -An -c got | tr -d ' \n')" = '/dev/pts/0\r\na\r\n'
  call Delete id=c1 exec_id=e1
  finish c1
}

test_who_asks_for_a_terminal_is_the_engine() { # whatever the process of `exec` says of it, which clients take from the container's
  ready c1 'sh("sleep 1000")'
  create c1; call Start id=c1
  local word said
  for word in true false; do
    rm -f out got; fifos out
    cat out >got &
    jq -nc --argjson terminal "$word" '{args: ["sh", "-c", "tty; echo a"], cwd: "/", env: ["PATH=/bin"], terminal: $terminal}' >spec.json
    if [ "$word" = true ]; then said='not a tty\na\n'; else said='/dev/pts/0\r\na\r\n'; fi
    call Exec id=c1 exec_id="e$word" terminal=$([ "$word" = true ] && echo 0 || echo 1) stdout="$T/out" spec="@$T/spec.json"
    call Start id=c1 exec_id="e$word"; call Wait id=c1 exec_id="e$word"; call Delete id=c1 exec_id="e$word"
    eventually test -s got
    eventually eval 'assert_eq "$(od -An -c got | tr -d " \n")" "$(tr -d " " <<<"$said")"'
  done
  finish c1
  # Of a container both say it.
  for word in true false; do
    ready c1 --argjson terminal "$word" '.process.terminal = $terminal | sh("echo a")'
    refuses 2 'terminal' Create id=c1 bundle="$B" terminal=$([ "$word" = true ] && echo 0 || echo 1) "$(OPTIONS '')"
    over
  done
}

test_the_first_process_is_told_of_last() {
  ready c1 'sh("sleep 1000")'
  create c1; call Start id=c1
  process c1 e1 sleep 1000
  process c1 e2 sleep 1000
  call Kill id=c1 signal=9
  call Wait id=c1
  eventually told 'exit /tasks/exit /tasks/exit'
  assert_eq "$(jq -r 'select(.topic == "/tasks/exit").id' events | tail -1)" c1
  forget c1; over
}

test_a_container_ends_while_an_exec_begins() {
  local asker rc=0
  printf '#!/bin/bash\necho >%q\nread x <%q\nexec 5>&-\n' "$T/asked" "$T/hold" >logger
  chmod +x logger; mkfifo hold
  ready c1 'sh("sleep 1000")'
  create c1; call Start id=c1
  call Exec id=c1 exec_id=e1 stdout="binary://$T/logger" stderr="binary://$T/logger" "$(spec sleep 1000)"
  "$CONTAINERD" call "$ADDRESS" Start id=c1 exec_id=e1 2>said & asker=$!
  eventually test -e asked
  call Kill id=c1 signal=9; eventually ended "$PID"
  echo >hold
  wait "$asker" || rc=$?
  assert_eq "$rc" 1; assert_match "$(cat said)" 'exec failed'
  OUT=$(timeout 20 "$CONTAINERD" call "$ADDRESS" Wait id=c1); assert_jq "$OUT" '.exit_status == 137'
  forget c1; over
}

test_without_a_pid_namespace_all_end_with_the_first() {
  ready c1 'no_ns("pid") | sh("sleep 1000 & exec sleep 1000")'
  create c1; call Start id=c1
  process c1 e1 sleep 1000
  eventually eval 'call Pids id=c1; jq -e ".processes | length == 3" <<<"$OUT" >/dev/null'
  call Kill id=c1 signal=15
  call Wait id=c1; assert_jq "$OUT" '.exit_status == 143'
  call Wait id=c1 exec_id=e1; assert_jq "$OUT" '.exit_status == 137'
  eventually eval 'call Pids id=c1; jq -e ".processes | not" <<<"$OUT" >/dev/null'
  assert_eq "$(jq -r 'select(.topic == "/tasks/exit").id' events | tr '\n' ' ')" 'e1 c1 '
  forget c1; over
}

test_processes_that_end_at_once_are_told_of_in_order() {
  ready c1 'sh("sleep 1000")'
  create c1; call Start id=c1
  "$CONTAINERD" many "$ADDRESS" c1 30
  eventually told '(exec-added /tasks/exec-started /tasks/exit ./tasks/){0}'
  assert_eq "$(jq -r 'select(.topic | test("exec-started|exit")) | .topic + (.exec_id // .id)' events | paste -d' ' - - | sort -u | sed 's/many[0-9]*//g' | sort -u)" \
    '/tasks/exec-started /tasks/exit'
  finish c1
}

test_pause_resume_and_update() {
  requires controller memory
  ready c1 'sh("sleep 1000") | .linux.resources.memory.limit = 67108864'
  create c1; call Start id=c1
  call Pause id=c1; assert_match "$(cat "$C/cgroup.events")" 'frozen 1'
  call State id=c1; assert_jq "$OUT" '.status == 4'
  call Resume id=c1; assert_match "$(cat "$C/cgroup.events")" 'frozen 0'
  call State id=c1; assert_jq "$OUT" '.status == 2'
  call Update id=c1 'resources={"memory":{"limit":33554432}}'
  assert_eq "$(cat "$C/memory.max")" 33554432
  refuses 2 'frob' Update id=c1 'resources={"unified":{"frob.max":"1"}}'
  eventually told 'paused /tasks/resumed'
  finish c1
}

test_stats_as_containerd_reads_them() {
  requires controller memory
  ready c1 'sh("sleep 1000") | .linux.resources = {memory: {limit: 67108864}, pids: {limit: 50}}'
  create c1; call Start id=c1
  call Stats id=c1
  assert_jq "$OUT" '.type == "io.containerd.cgroups.v2.Metrics" and .memory.usage_limit == 67108864 and .memory.usage > 0
    and .pids == {current: 1, limit: 50} and (.cpu | has("usage_usec"))'
  finish c1
}

test_out_of_memory_is_told_before_the_end() {
  requires controller memory
  ready c1 'sh("tail /dev/zero") | .linux.resources.memory = {limit: 16777216, swap: 16777216}'
  create c1; call Start id=c1
  call Wait id=c1; assert_jq "$OUT" '.exit_status == 137'
  eventually told 'create /tasks/start (/tasks/oom )+/tasks/exit'
  forget c1; over
}

test_kill_all_and_what_has_ended() {
  ready c1 'sh("sleep 1000")'
  create c1; call Start id=c1
  process c1 e1 sleep 1000
  call Kill id=c1 signal=15 all=1
  call Wait id=c1 exec_id=e1; assert_jq "$OUT" '.exit_status == 143'
  call Kill id=c1 signal=9
  call Wait id=c1; assert_jq "$OUT" '.exit_status == 137'
  refuses 5 'already finished' Kill id=c1 signal=9
  forget c1; over
}

test_a_created_container_is_deleted() {
  ready c1 'sh("sleep 1000")'
  create c1
  call Kill id=c1 signal=9
  call Wait id=c1; assert_jq "$OUT" '.exit_status == 137'
  forget c1; over
  assert_absent "$C"
}

test_what_cannot_be_created_leaves_nothing() {
  ready c1 'args(["nothing"])'
  refuses 2 'OCI runtime create failed: .*executable file not found in \$PATH' Create id=c1 bundle="$B" "$(OPTIONS '')"
  refuses 5 'not found' State id=c1
  assert_absent "$C"
  refuses 2 'BinaryName "crun": this shim is its own runtime' Create id=c1 bundle="$B" 'options=BinaryName = "crun"'
  over
}

test_one_shim_a_pod() {
  ready c1 '.annotations["io.kubernetes.cri.sandbox-id"] = "c1" | sh("sleep 1000")'
  local first=$ADDRESS
  create c1; call Start id=c1
  ready c2 '.annotations["io.kubernetes.cri.sandbox-id"] = "c1" | sh("sleep 1000")'
  assert_eq "$ADDRESS" "$first"
  create c2; call Start id=c2
  assert_eq "$(pgrep -fc "^$SHIM -namespace")" 1
  call Kill id=c2 signal=9; call Wait id=c2; forget c2
  call Shutdown id=c2
  call State id=c1; assert_jq "$OUT" '.status == 2'
  finish c1
}

test_the_root_is_mounted_and_unmounted() {
  ready c1 'rw | sh("cat /f; touch /g")'
  rmdir "$B/rootfs" 2>/dev/null || mv "$B/rootfs" lower
  mkdir -p upper work "$B/rootfs"; echo from the layer >upper/f
  create c1 "rootfs=[{\"type\": \"overlay\", \"source\": \"overlay\", \"options\": [\"index=off\", \"workdir=$T/work\", \"upperdir=$T/upper\", \"lowerdir=$T/lower\"]}]"
  assert_match "$(cat /proc/mounts)" "overlay $B/rootfs"
  call Start id=c1; call Wait id=c1; assert_jq "$OUT" '(.exit_status // 0) == 0'
  forget c1; over
  assert_exists upper/g
  assert_no_match "$(cat /proc/mounts)" "$B/rootfs"
}
test_a_bind_mount_as_the_root_is_read_only() {
  ready c1 'rw | sh("touch /g 2>/dev/null || exit 3")'
  mv "$B/rootfs" lower; mkdir "$B/rootfs"
  create c1 "rootfs=[{\"type\": \"bind\", \"source\": \"$T/lower\", \"options\": [\"rbind\", \"ro\"]}]"
  call Start id=c1; call Wait id=c1; assert_jq "$OUT" '.exit_status == 3'
  forget c1; over
}
test_a_root_of_many_layers() {
  ready c1 'sh("cat /f40")'
  local i layers long; long=$(printf '%0100d' 0)
  mkdir -p "$long" upper work; mv "$B/rootfs" "$long/0"; mkdir "$B/rootfs"
  layers=$T/$long/0
  for i in {1..60}; do mkdir -p "$long/$i"; echo "$i" >"$long/$i/f$i"; layers+=:$T/$long/$i; done
  fifos out; cat out >got &
  create c1 stdout="$T/out" "rootfs=[{\"type\": \"overlay\", \"source\": \"overlay\", \"options\": [\"workdir=$T/work\", \"upperdir=$T/upper\", \"lowerdir=$layers\"]}]"
  call Start id=c1; call Wait id=c1
  eventually is_line_in 40 got
  forget c1; over
}

test_a_root_whose_ids_are_mapped() { # as a snapshotter hands it over for a user namespace
  ready c1 'sh("stat -c %u:%g /f; stat -c %u:%g /g")'
  mv "$B/rootfs" lower; mkdir -p "$B/rootfs" upper work one; echo x >one/f; echo y >upper/g
  fifos out; cat out >got &
  create c1 stdout="$T/out" "rootfs=[{\"type\": \"overlay\", \"source\": \"overlay\", \"options\": [\"uidmap=0:100000:65536\", \"gidmap=0:200000:65536\",
    \"workdir=$T/work\", \"upperdir=$T/upper\", \"lowerdir=$T/one:$T/lower\"]}]"
  assert_absent "$B/mapped"
  call Start id=c1; call Wait id=c1; eventually test -s got
  assert_eq "$(cat got)" $'100000:200000\n0:0'
  forget c1; over
}
test_a_bind_mount_whose_ids_are_mapped() {
  ready c1 'sh("stat -c %u:%g /bin")'
  mv "$B/rootfs" lower; mkdir "$B/rootfs"
  fifos out; cat out >got &
  create c1 stdout="$T/out" "rootfs=[{\"type\": \"bind\", \"source\": \"$T/lower\", \"options\": [\"rbind\", \"ro\", \"uidmap=0:100000:65536\", \"gidmap=0:200000:65536\"]}]"
  call Start id=c1; call Wait id=c1; eventually test -s got
  assert_eq "$(cat got)" 100000:200000
  forget c1; over
  ready c1 'sh("true")'
  refuses 2 'rootfs\[0\]: bind at .*: uidmap and gidmap: one goes with the other' Create id=c1 bundle="$B" "$(OPTIONS '')" \
    "rootfs=[{\"type\": \"bind\", \"source\": \"$T/lower\", \"options\": [\"uidmap=0:1:1\"]}]"
  over
}
test_a_root_in_a_file() {
  requires file /dev/loop-control
  command -v mkfs.ext4 >/dev/null || skip 'needs mkfs.ext4'
  ready c1 'sh("cat /f; touch /g 2>/dev/null || exit 3")'
  echo x >"$B/rootfs/f"
  truncate -s 64M image; mkfs.ext4 -q -d "$B/rootfs" image
  rm -rf "$B/rootfs"; mkdir "$B/rootfs"
  create c1 "rootfs=[{\"type\": \"ext4\", \"source\": \"$T/image\", \"options\": [\"ro\", \"loop\"]}]"
  call Start id=c1; call Wait id=c1; assert_jq "$OUT" '.exit_status == 3'
  forget c1; over
  eventually eval '! grep -q "$T/image" /sys/block/loop*/loop/backing_file 2>/dev/null'
}

test_oom_score_and_session() {
  ready c1 'sh("sleep 1000") | .process.oomScoreAdj = 77'
  create c1; call Start id=c1
  local shim; shim=$(shim_pid)
  assert_eq "$(cat "/proc/$shim/oom_score_adj")" "$(($(cat /proc/$$/oom_score_adj) + 1))"
  assert_eq "$(readlink "/proc/$shim/cwd")" /
  assert_eq "$(cat "/proc/$PID/oom_score_adj")" 77
  assert_eq "$(ls "/proc/$shim/task" | wc -l)" 1
  finish c1
}

test_a_process_holds_nothing_of_the_shims() {
  ready c1 'sh("ls -l /proc/self/fd; sleep 1000")'
  fifos in out out2; cat out >got & cat out2 >got2 &
  create c1 stdin="$T/in" stdout="$T/out"; call Start id=c1
  call Exec id=c1 exec_id=e1 stdin="$T/in" stdout="$T/out2" "$(spec ls -l /proc/self/fd)"
  call Start id=c1 exec_id=e1; call Wait id=c1 exec_id=e1
  eventually test -s got2
  local list
  for list in got got2; do # but for the folder that ls reads
    assert_eq "$(sed -n 's/.* \([0-9]*\) -> \([a-z/]*\).*/\1 \2/p' "$list" | grep -v /proc | tr '\n' ',')" '0 pipe,1 pipe,2 /dev/null,'
  done
  finish c1
}

# ---- what goes wrong ----
test_a_shim_that_is_killed_is_cleaned_up() {
  ready c1 'sh("sleep 1000")'
  rmdir "$B/rootfs" 2>/dev/null || mv "$B/rootfs" lower
  mkdir "$B/rootfs"
  create c1 "rootfs=[{\"type\": \"bind\", \"source\": \"$T/lower\", \"options\": [\"rbind\"]}]"
  call Start id=c1
  local shim; shim=$(shim_pid)
  kill -KILL "$shim"; eventually ended "$shim"
  assert_exists "/proc/$PID"
  OUT=$("$CONTAINERD" delete "$SHIM" "$NAMESPACE" c1 "$B"); assert_jq "$OUT" ".exit_status == 137 and .pid == $PID"
  eventually ended "$PID"
  assert_absent "$C"; assert_absent "${ADDRESS#unix://}"
  assert_no_match "$(cat /proc/mounts)" "$B/rootfs"
  OUT=$("$CONTAINERD" delete "$SHIM" "$NAMESPACE" c1 "$B"); assert_jq "$OUT" '.exit_status == 137' # again, for nothing
  kill "$LISTENER"
}

test_how_it_has_ended_is_known_without_the_shim() {
  local shim
  ready c1 'sh("exit 7")'
  create c1; call Start id=c1; call Wait id=c1
  shim=$(shim_pid); kill -KILL "$shim"; eventually ended "$shim"
  OUT=$("$CONTAINERD" delete "$SHIM" "$NAMESPACE" c1 "$B"); assert_jq "$OUT" ".exit_status == 7 and .pid == $PID"
  # What ends when there is no shim to see it is said to be unknown.
  ready c1 'sh("sleep 1000")'
  create c1; call Start id=c1
  shim=$(shim_pid); kill -KILL "$shim"; eventually ended "$shim"
  kill -TERM "$PID"; kill -KILL "$PID"; eventually ended "$PID"
  OUT=$("$CONTAINERD" delete "$SHIM" "$NAMESPACE" c1 "$B"); assert_jq "$OUT" ".exit_status == 255 and .pid == $PID"
  nothing_left c1
  kill "$LISTENER"
}

test_what_is_no_ttrpc_does_it_no_harm() {
  ready c1 'sh("sleep 1000")'
  create c1
  printf 'GET / HTTP/1.1\r\n\r\n' | "$CONTAINERD" send "$ADDRESS" >/dev/null
  head -c 100000 /dev/urandom | "$CONTAINERD" send "$ADDRESS" >/dev/null
  # A payload that is too long is refused, and what comes after it is heard.
  { printf '\x00\x40\x00\x01\x00\x00\x00\x01\x01\x00'; head -c 4194305 /dev/zero; printf '\x00\x00\x00\x01\x00\x00\x00\x03\x01\x00\xff'; } |
    "$CONTAINERD" send "$ADDRESS" >got
  assert_match "$(xxd -r -p <got | tr -d '\0')" 'exceeds the maximum'; assert_match "$(xxd -r -p <got | tr -d '\0')" 'not well formed'
  printf '\x00\x00\x00\x00\x00\x00\x00\x02\x01\x00' | "$CONTAINERD" send "$ADDRESS" >got
  assert_match "$(xxd -r -p <got | tr -d '\0')" 'odd'
  call State id=c1; assert_jq "$OUT" '.status == 1'
  finish c1
}

test_a_client_that_does_not_read_holds_up_nobody() {
  ready c1 'sh("sleep 1000")'
  create c1; call Start id=c1
  mkfifo hold
  "$CONTAINERD" deaf "$ADDRESS" c1 <hold >said & local deaf=$!
  exec {hold}>hold
  eventually grep -q deaf said
  call State id=c1; assert_jq "$OUT" '.status == 2'
  process c1 e1 true; call Wait id=c1 exec_id=e1
  assert_match "$(awk '/VmRSS/ {print $2}' "/proc/$(shim_pid)/status")" '^[0-9]{4,5}$' # kB
  exec {hold}>&-; wait "$deaf"
  finish c1
}

# killed_while MS METHOD: the shim is killed some time after a call was made; what is left goes with `delete`.
killed_while() {
  local shim
  shim=$(shim_pid)
  "$CONTAINERD" call "$ADDRESS" "${@:2}" >/dev/null 2>&1 &
  sleep "$1"
  kill -KILL "$shim"; eventually ended "$shim"
  wait $!  || :
  OUT=$("$CONTAINERD" delete "$SHIM" "$NAMESPACE" c1 "$B")
  assert_absent "$C"; assert_absent "${ADDRESS#unix://}"; assert_absent "$T/root/$NAMESPACE/c1"
  assert_no_match "$(cat /proc/mounts)" "$B/rootfs"
  rm -rf "$B"
}
MOMENTS='0.01 0.065 0.075 0.085 0.1' # python begins in 60 ms or so
test_a_shim_that_is_killed_during_create() {
  local moment
  cp -al "$WORK/rootfs" lower
  for moment in $MOMENTS; do
    ready c1 'sh("sleep 1000")'
    rm -rf "$B/rootfs"; mkdir "$B/rootfs"
    killed_while "$moment" Create id=c1 bundle="$B" "$(OPTIONS '')" "rootfs=[{\"type\": \"bind\", \"source\": \"$T/lower\", \"options\": [\"rbind\"]}]"
  done
  kill "$LISTENER"
}
test_a_shim_that_is_killed_during_start_exec_and_delete() {
  local moment what
  for moment in $MOMENTS; do
    for what in start exec delete; do
      ready c1 'sh("sleep 1000")'
      create c1
      case $what in
        start) killed_while "$moment" Start id=c1 ;;
        exec) call Start id=c1; call Exec id=c1 exec_id=e1 "$(spec sleep 1000)"; killed_while "$moment" Start id=c1 exec_id=e1 ;;
        delete) call Kill id=c1 signal=9; call Wait id=c1; killed_while "$moment" Delete id=c1 ;;
      esac
    done
  done
  kill "$LISTENER"
}

# killed AGE METHOD ARG...: containerd is killed AGE seconds after a call, and comes back: what it finds is `kept` or `deleted`
killed() { FOUND=$("$CONTAINERD" killed "$ADDRESS" "$@"); }
# nothing_left ID: neither shim nor container, nor what belongs to them.
nothing_left() {
  eventually eval '! shim_pid'
  assert_absent "$C"; assert_absent "$T/root/$NAMESPACE/$1"; assert_absent "${ADDRESS#unix://}"
  assert_no_match "$(cat /proc/mounts)" "$T/$1/rootfs"
  rm -rf "${T:?}/$1"
}
AGES='0 0.003 0.008 0.5' # of a call, in seconds
[ "$MODE" = native ] || AGES='0 1' # where each command takes its time
test_containerd_is_killed_during_create() { # what is found depends on who is faster
  local age
  cp -al "$WORK/rootfs" lower
  for age in $AGES 0; do
    ready c1 'sh("sleep 1000")'
    rm -rf "$B/rootfs"; mkdir "$B/rootfs"
    killed "$age" Create id=c1 bundle="$B" "$(OPTIONS '')" "rootfs=[{\"type\": \"bind\", \"source\": \"$T/lower\", \"options\": [\"rbind\"]}]"
    [ "$FOUND" = deleted ] || { call State id=c1; assert_jq "$OUT" '.status == 1'; call Start id=c1; finish c1; }
    nothing_left c1
  done
  kill "$LISTENER" 2>/dev/null || :
}
test_who_asked_for_a_container_is_gone() { # whatever containerd says before it is made, and after
  local asker made
  for made in last 'before Shutdown' 'before Delete'; do
    rm -f hold asked; mkfifo hold
    ready c1 --arg hook "echo >$T/asked; read x <$T/hold" 'sh("sleep 1000") | .hooks.createRuntime = [{path: "/bin/sh", args: ["sh", "-c", $hook]}]'
    : >events
    "$CONTAINERD" call "$ADDRESS" Create id=c1 bundle="$B" "$(OPTIONS '')" >/dev/null 2>&1 & asker=$!
    eventually test -e asked
    kill -KILL "$asker"; wait "$asker" || :
    refuses 5 'not found' Pids id=c1
    [ "$made" != 'before Delete' ] || { echo >hold; eventually told create; }
    if [ "$made" = 'before Delete' ]; then forget c1; else refuses 5 'not found' Delete id=c1; fi
    [ "$made" != 'before Shutdown' ] || { echo >hold; eventually told create; }
    "$CONTAINERD" call "$ADDRESS" Shutdown >/dev/null 2>&1 || assert_absent "${ADDRESS#unix://}" # having nothing left it may have ended
    [ "$made" != last ] || echo >hold
    nothing_left c1
  done
  kill "$LISTENER"
}
test_containerd_is_killed_during_start() {
  local age
  for age in $AGES; do
    ready c1 'sh("sleep 1000")'
    create c1
    killed "$age" Start id=c1; assert_eq "$FOUND" kept
    eventually eval 'call State id=c1; [ "$(jq .status <<<"$OUT")" = 2 ]'
    finish c1; nothing_left c1
  done
}
test_containerd_is_killed_during_exec() {
  local age e=0
  ready c1 'sh("sleep 1000")'
  create c1; call Start id=c1
  for age in $AGES; do
    e=$((e + 1)); call Exec id=c1 exec_id="e$e" "$(spec sleep 1000)"
    killed "$age" Start id=c1 exec_id="e$e"; assert_eq "$FOUND" kept
    eventually eval 'call State id=c1 exec_id="e$e"; [ "$(jq .status <<<"$OUT")" = 2 ]'
  done
  call Kill id=c1 exec_id=e1 signal=15; call Wait id=c1 exec_id=e1; assert_jq "$OUT" '.exit_status == 143'
  finish c1
}
test_containerd_is_killed_during_delete() {
  local age
  for age in $AGES; do
    ready c1 'sh("sleep 1000")'
    create c1; call Kill id=c1 signal=9; call Wait id=c1
    killed "$age" Delete id=c1; assert_eq "$FOUND" deleted
    nothing_left c1
  done
  kill "$LISTENER"
}
test_a_deletion_that_is_asked_for_twice() {
  ready c1 'sh("exit 7") | .hooks.poststop = [{path: "/bin/sleep", args: ["sleep", "1"]}]'
  create c1; call Start id=c1; call Wait id=c1
  "$CONTAINERD" call "$ADDRESS" Delete id=c1 >first & local first=$!
  eventually eval 'pgrep -x sleep >/dev/null'
  forget c1; assert_jq "$OUT" ".exit_status == 7 and .pid == $PID"
  wait "$first"; assert_eq "$(cat first)" "$OUT"
  over
}
test_what_containerd_says_while_it_is_not_there_is_kept() {
  ready c1 'sh("exit 7")'
  create c1
  eventually told create
  kill "$LISTENER"; rm "$TTRPC_ADDRESS"
  call Start id=c1; call Wait id=c1
  "$CONTAINERD" events "$TTRPC_ADDRESS" "$T/events" & LISTENER=$!
  eventually told '/tasks/create /tasks/start /tasks/exit '
  forget c1; over
}
test_a_shim_that_nobody_knows_of_is_cleaned_up() { # containerd was killed before it had the answer of `start`
  ready c1 'sh("sleep 1000")'
  OUT=$("$CONTAINERD" delete "$SHIM" "$NAMESPACE" c1 "$B"); assert_jq "$OUT" '.exit_status == 137'
  nothing_left c1
  # or cannot reach it, and its container is running
  ready c1 'sh("sleep 1000")'
  create c1; call Start id=c1; process c1 e1 sleep 1000
  OUT=$("$CONTAINERD" delete "$SHIM" "$NAMESPACE" c1 "$B"); assert_jq "$OUT" ".exit_status == 137 and .pid == $PID"
  nothing_left c1
  # Others of the pod go on.
  ready c1 '.annotations["io.kubernetes.cri.sandbox-id"] = "c1" | sh("sleep 1000")'
  create c1; call Start id=c1
  ready c2 '.annotations["io.kubernetes.cri.sandbox-id"] = "c1" | sh("sleep 1000")'
  create c2; call Start id=c2
  OUT=$("$CONTAINERD" delete "$SHIM" "$NAMESPACE" c2 "$B")
  refuses 5 'not found' State id=c2
  call State id=c1; assert_jq "$OUT" '.status == 2'
  finish c1
}
test_a_container_that_is_killed_while_it_is_made() {
  local age rc
  for age in $AGES; do
    ready c1 'sh("sleep 1000")'
    { sleep "$age"; i=0; until read -r _ <"$C/cgroup.procs" || [ $((i++)) = 500 ]; do nap; done; echo 1 >"$C/cgroup.kill" || :; } 2>/dev/null & local killer=$!
    rc=0; OUT=$("$CONTAINERD" call "$ADDRESS" Create id=c1 bundle="$B" "$(OPTIONS '')" 2>&1) || rc=$?
    wait "$killer"
    if [ "$rc" = 0 ]; then
      call Wait id=c1; assert_jq "$OUT" '.exit_status == 137'; forget c1
    else
      refuses 5 'not found' State id=c1
    fi
    call Shutdown
    nothing_left c1
  done
  kill "$LISTENER"
}

# ---- one shim for all containers ----
# shared ID [JQ-OPTION...] [FILTER]: as `ready`. Its copy is in the shim's session, which a process that is not started yet is not.
shared() { local STARTED='options=ShimGroup = "all"'; ready "$@"; [ -n "${SESSION:-}" ] || SESSION=$(cut -d' ' -f6 "/proc/$(shim_pid)/stat"); }
shims() { pgrep -fc "^$SHIM -namespace" -s "$SESSION"; }
# shim_is_killed: there is another one then
shim_is_killed() {
  local shim; shim=$(shim_pid)
  eventually eval '[ "$(shims)" = 2 ]'
  kill -KILL "$shim"
  eventually ended "$shim"
}
# What is known of processes whose parent was killed depends on the kernel.
since_6_15() { local major minor; IFS=. read -r major minor _ </proc/sys/kernel/osrelease; [ $((major * 100 + minor)) -ge 615 ]; }
ended_with() { if since_6_15; then assert_jq "$OUT" ".exit_status == $1"; else assert_jq "$OUT" '.exit_status == 255'; fi; } # STATUS
test_one_shim_for_all_containers() {
  local SESSION='' first i
  shared c1 'sh("sleep 1000")'; first=$ADDRESS
  create c1; call Start id=c1
  for i in 2 3; do # whatever others would group them by
    shared "c$i" '.annotations["io.kubernetes.cri.sandbox-id"] = "pod" | sh("exit 3")'
    assert_eq "$ADDRESS" "$first"
    create "c$i"; call Start id="c$i"; call Wait id="c$i"; assert_jq "$OUT" '.exit_status == 3'
    forget "c$i"; call Shutdown id="c$i"
  done
  assert_eq "$(shims)" 2 # and its copy
  call Kill id=c1 signal=9; call Wait id=c1; forget c1; call Shutdown id=c1
  shared c4 'sh("true")'; assert_eq "$ADDRESS" "$first" # it waits for a while
  create c4; call Start id=c4; call Wait id=c4; forget c4
  over
  eventually eval '! shim_pid'
  assert_absent "${ADDRESS#unix://}"
}
test_a_shared_shim_that_is_killed_goes_on() {
  local SESSION='' id
  fifos in out; cat out >got &
  shared c1 'sh("echo one; read x; echo two; exit 7")'
  create c1 stdin="$T/in" stdout="$T/out"; call Start id=c1
  shared c2 'sh("sleep 1000")'
  create c2; call Start id=c2; process c2 e1 sleep 1000
  shared c3 'sh("sleep 1000")'
  create c3
  "$CONTAINERD" call "$ADDRESS" Wait id=c1 >waited & local waiter=$!
  eventually is_line_in one got
  shim_is_killed
  # Who was connected still is.
  echo >in
  wait "$waiter"; OUT=$(cat waited); ended_with 7
  eventually is_line_in two got
  call State id=c1; assert_jq "$OUT" '.status == 3'; forget c1
  for id in c2 c3; do call State id="$id"; assert_jq "$OUT" ".status == $([ "$id" = c2 ] && echo 2 || echo 1)"; done
  call Kill id=c2 exec_id=e1 signal=15; call Wait id=c2 exec_id=e1; ended_with 143
  call Start id=c3
  process c2 e2 sh -c 'exit 9'; call Wait id=c2 exec_id=e2; assert_jq "$OUT" '.exit_status == 9'
  # And again: there is a copy of the copy.
  shim_is_killed
  call Kill id=c3 signal=9; call Wait id=c3; ended_with 137; forget c3
  eventually told '/tasks/delete'
  finish c2
  eventually eval '! shim_pid'
  assert_absent "${ADDRESS#unix://}"
}
test_what_ends_while_no_shim_is_there() {
  local SESSION=''
  shared c1 'sh("sleep 1000")'
  create c1; call Start id=c1
  eventually eval '[ "$(shims)" = 2 ]'
  local pids; pids=$(pgrep -f "^$SHIM -namespace" -s "$SESSION")
  kill -STOP $pids
  kill -KILL "$PID"; kill -KILL "$(head -1 <<<"$pids")"
  eventually ended "$(head -1 <<<"$pids")"
  kill -CONT $(tail -1 <<<"$pids")
  call Wait id=c1; ended_with 137
  forget c1; over
}
test_the_copy_of_a_shared_shim_is_killed() {
  local SESSION='' copy
  shared c1 'sh("sleep 1000")'
  create c1; call Start id=c1
  eventually eval '[ "$(shims)" = 2 ]'
  copy=$(pgrep -fn "^$SHIM -namespace" -s "$SESSION"); kill -KILL "$copy"; eventually ended "$copy"
  shim_is_killed
  call State id=c1; assert_jq "$OUT" '.status == 2'
  finish c1
  eventually eval '! shim_pid'
}
test_a_shared_shim_that_is_killed_during_a_call() {
  local SESSION='' moment what rc shim
  shared c0 'sh("sleep 1000")'; create c0; call Start id=c0
  for moment in $MOMENTS; do
    for what in Create Start exec Delete; do
      shared c1 'sh("sleep 1000")'
      [ "$what" = Create ] || create c1
      case $what in
        exec) call Start id=c1; call Exec id=c1 exec_id=e1 "$(spec sleep 1000)"; set -- Start id=c1 exec_id=e1 ;;
        Delete) call Kill id=c1 signal=9; call Wait id=c1; set -- Delete id=c1 ;;
        Create) set -- Create id=c1 bundle="$B" "$(OPTIONS '')" ;;
        *) set -- "$what" id=c1 ;;
      esac
      eventually eval '[ "$(shims)" = 2 ]'
      shim=$(shim_pid); "$CONTAINERD" call "$ADDRESS" "$@" >said 2>&1 & local caller=$!
      sleep "$moment"
      kill -KILL "$shim"; eventually ended "$shim"
      rc=0; wait "$caller" || rc=$? # each call is answered
      [ "$rc" = 0 ] || grep -qE '^(2|14): .*was killed|EOFError|ConnectionRe|BrokenPipe' said || fail "$what: $(cat said)"
      call State id=c0; assert_jq "$OUT" '.status == 2'
      # What is left of it goes.
      "$CONTAINERD" call "$ADDRESS" Kill id=c1 signal=9 all=1 >/dev/null 2>&1 || :
      "$CONTAINERD" call "$ADDRESS" Wait id=c1 >/dev/null 2>&1 || :
      "$CONTAINERD" call "$ADDRESS" Delete id=c1 >/dev/null 2>&1 || :
      eventually eval '[ ! -e "$T/root/$NAMESPACE/c1" ]'
      call Shutdown id=c1
      assert_absent "$C"; rm -rf "$B"
    done
  done
  B=$T/c0; finish c0
  eventually eval '! shim_pid'
}

test_thirty_pods_at_once() {
  local PATIENCE=60
  ready c0 'sh("exit 3")' # who listens
  local i
  for i in {1..30}; do
    bundle "c$i" 'sh("exit 3")'
    (
      ADDRESS=$("$CONTAINERD" start "$SHIM" "$NAMESPACE" "c$i" "$T/c$i" | jq -r .address)
      create "c$i"; call Start id="c$i"; call Wait id="c$i"; assert_jq "$OUT" '.exit_status == 3'
      forget "c$i"; call Shutdown
      echo done >"$T/done.$i"
    ) &
  done
  eventually eval '[ $(ls done.* 2>/dev/null | wc -l) = 30 ]'
  call Shutdown
  eventually eval '! shim_pid'
  assert_eq "$(jq -r 'select(.topic == "/tasks/exit") | .exit_status' events | sort | uniq -c | tr -d ' ')" 303
  kill "$LISTENER"
}

# An engine starts it again at once, and the shim's address is the same.
test_a_shim_that_goes_leaves_the_next_one_its_socket() {
  local first
  ready c1 'sh("sleep 1000")'
  create c1; call Start id=c1
  first=$(shim_pid)
  # What it has to say is not taken: it stays a while.
  kill -STOP "$LISTENER"
  call Kill id=c1 signal=9; call Wait id=c1; forget c1
  call Shutdown
  ! ended "$first" || fail 'it has ended'
  "$CONTAINERD" start "$SHIM" "$NAMESPACE" c1 "$B" >/dev/null
  ! ended "$first" || fail 'it has ended before the next one was there'
  eventually ended "$first"
  kill -CONT "$LISTENER"
  create c1; call Start id=c1
  finish c1
}
test_health_checks_at_the_end_of_a_container() {
  local after
  for after in 0.02 0.1 0.15 0.2 0.25 0.3; do
    ready c1 'sh("sleep 1000")'
    create c1; call Start id=c1
    "$CONTAINERD" probed "$ADDRESS" c1 "$after" >"$T/probes" || fail "after $after s"
    nothing_left c1
  done
  assert_match "$(<"$T/probes")" '^[1-9]'
  kill "$LISTENER"
}
test_descriptors_do_not_leak() {
  ready c1 'sh("sleep 1000")'
  create c1; call Start id=c1
  "$CONTAINERD" many "$ADDRESS" c1 5
  local shim before; shim=$(shim_pid) before=$(ls "/proc/$shim/fd" | wc -l)
  "$CONTAINERD" many "$ADDRESS" c1 100
  eventually eval "[ \$(ls /proc/$shim/fd | wc -l) -le $before ]"
  finish c1
}

test_commands_say_what_they_are() {
  ready c1 'sh("true")'
  over
  assert_match "$("$SHIM" -v)" 'containerd-shim-knarr-v2:.*Version: '
  OUT=$("$CONTAINERD" info "$SHIM"); assert_jq "$OUT" '.name == "io.containerd.knarr.v2" and (.features.value | @base64d | fromjson | .linux.cgroup.v2)'
  run_fails 1 '' state c1
  OUT=$("$SHIM" -namespace rows -id c1 frob 2>&1) && fail "$OUT"; assert_match "$OUT" 'neither start nor delete'
}
