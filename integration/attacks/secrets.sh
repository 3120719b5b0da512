# What the command that makes a container has in its memory and its environment is not to be found in what waits inside.
# shellcheck shell=bash disable=SC2016

# memory_of PID: all that it has in memory that it may write to, and its environment.
memory_of() {
  /usr/bin/python3 - "$1" <<'PY'
import sys
pid = sys.argv[1]
out = sys.stdout.buffer
out.write(open(f"/proc/{pid}/environ", "rb").read())
with open(f"/proc/{pid}/mem", "rb") as memory:
    for line in open(f"/proc/{pid}/maps"):
        span, rights = line.split()[:2]
        if rights.startswith("rw"):
            first, end = (int(part, 16) for part in span.split("-"))
            memory.seek(first)
            try: out.write(memory.read(end - first))
            except OSError: pass
PY
}
holds() { memory_of "$1" | grep -a "$2" >/dev/null; } # PID WORD; grep -q would end before memory_of has written all

test_control_the_memory_of_a_command_is_searched() {
  SECRET_OF_THE_CALLER=hunter2 sleep 1000 &
  eventually holds $! SECRET_OF_THE_CALLER=hunter2
  kill $!
}

test_the_environment_of_create_is_not_in_a_waiting_init() {
  differs runc,crun "another program waits"
  bundle c1 'args(["true"])'
  SECRET_OF_THE_CALLER=hunter2 rt create --bundle "$B" c1
  pid_of c1
  ! holds "$PID" hunter2 || fail 'it is there'
  run_ok start c1
}

test_neither_where_hooks_have_needed_it() {
  differs runc,crun "another program waits"
  bundle c1 'args(["true"]) | hook("createContainer"; "true")'
  SECRET_OF_THE_CALLER=hunter2 rt create --bundle "$B" c1
  pid_of c1
  ! holds "$PID" hunter2 || fail 'it is there'
  run_ok start c1
}

test_the_environment_of_exec_is_not_in_its_child() {
  differs runc,crun "another program waits"
  bundle c1 'args(["sleep", "1000"])'
  run_ok run --detach --bundle "$B" c1
  pid_of c1
  # Its execve(2) takes its time, so that there is something to look into.
  SECRET_OF_THE_CALLER=hunter2 strace -f -q -o "$T/trace" -e trace=execve -e inject=execve:delay_enter=3000000 \
    "$RUNTIME" --root "$ROOT" exec --env OWN=variable c1 sleep 7 &
  CHILD=''
  is_about_to_run() {
    local pid
    for pid in $(<"$C/cgroup.procs"); do
      [ "$pid" = "$PID" ] || [[ $(<"/proc/$pid/comm") == sleep ]] || ! holds "$pid" OWN=variable || { CHILD=$pid; return 0; }
    done
    return 1
  }
  eventually is_about_to_run
  memory_of "$CHILD" >"$T/memory"
  grep -qa OWN=variable "$T/memory"
  ! grep -qa hunter2 "$T/memory" || fail 'it is there'
  wait
}

test_nobody_of_the_same_user_looks_into_a_waiting_init() {
  requires uml # for a setting of the whole machine
  differs runc,crun "not looked at"
  local before
  before=$(</proc/sys/fs/suid_dumpable)
  echo 1 >/proc/sys/fs/suid_dumpable
  bundle c1 'args(["sleep", "1000"]) | .process.user = {uid: 1000, gid: 1000} | caps([])'
  run_ok create --bundle "$B" c1
  pid_of c1
  look() { setpriv --reuid 1000 --regid 1000 --clear-groups --bounding-set -all --inh-caps -all -- ls "/proc/$PID/fd" >/dev/null 2>&1; }
  ! look || fail "init can be looked into"
  run_ok start c1
  eventually look # the control: the process itself can be
  echo "$before" >/proc/sys/fs/suid_dumpable
}
