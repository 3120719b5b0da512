# run --explain: what refused a system call.
# shellcheck shell=bash

# shellcheck source=../words/sandbox.sh
. "$STAGE/words/sandbox.sh"
# shellcheck source=../words/seccomp.sh
. "$STAGE/words/seccomp.sh"

explained() { # SCRIPT FILTER: OUT and ERR of a container that is told of
  only_knarr
  bundle c1 --arg script "$1" "sh(\$script) | rw | $2"
  rt run --explain --bundle "$B" c1
}
TELLS='^knarr: explain: told are system calls '

test_each_refusal_is_told_with_its_field() {
  explained 'mkdir /tmp/x; echo status $?' "$(profile SCMP_ACT_ALLOW "$(rule '["mkdir", "mkdirat"]' SCMP_ACT_ERRNO 'errnoRet: 28')")"
  assert_match "$OUT" 'status 1'
  assert_match "$ERR" "$TELLS"
  assert_match "$ERR" 'knarr: explain: mkdir \(pid [0-9]+, [0-9]+ in the container\): mkdir(at)?\("/tmp/x"\) is refused \(ENOSPC\) by linux\.seccomp\.syscalls\[0\]; without mkdir(at)? there it is not refused'
  assert_match "$ERR" 'No space left'
}

test_the_default_action_and_other_arguments_are_told() {
  local names=(access arch_prctl brk capget capset clone clone3 close dup dup2 dup3 execve execveat exit exit_group faccessat faccessat2 fcntl fork fstat futex
    getcwd getdents64 geteuid getgid getpid getppid getrandom getuid ioctl lseek lstat mmap mprotect munmap newfstatat open openat pipe2 poll prctl pread64 prlimit64
    read readlink rseq rt_sigaction rt_sigprocmask rt_sigreturn rt_sigsuspend sendmsg sendto set_robust_list set_tid_address sigaltstack stat statx sysinfo uname
    umask vfork wait4 write writev)
  explained 'ping -c 1 127.0.0.1; mkdir /tmp/x' "$(profile SCMP_ACT_ERRNO "$(rule "$(jq -cn '$ARGS.positional' --args "${names[@]}")" SCMP_ACT_ALLOW)" \
    "$(rule '["socket"]' SCMP_ACT_ALLOW 'args: [{index: 0, value: 1, op: "SCMP_CMP_EQ"}]')")"
  assert_match "$ERR" ': socket\(AF_INET6?\) is refused \(EPERM\) by linux\.seccomp\.defaultAction, as linux\.seccomp\.syscalls\[1\]\.args asks for other arguments'
  assert_match "$ERR" ': mkdir(at)?\("/tmp/x"\) is refused \(EPERM\) by linux\.seccomp\.defaultAction; a rule for mkdir(at)? with SCMP_ACT_ALLOW allows it'
}

test_paths_that_config_json_has_read_only() {
  explained 'echo x >/file; mkdir /data/x; echo 1 >/proc/sys/kernel/panic; mkdir -p /tmp; cat /file; : >/data/there' \
    "$(profile SCMP_ACT_ALLOW) | .root.readonly = true | tmpfs(\"/data\"; [\"ro\"]) | .linux.readonlyPaths = [\"/proc/bus\", \"/proc/sys\"]"
  assert_match "$ERR" 'explain: sh \(pid [0-9]+, 1 in the container\): open(at)?\("/file"\) is refused \(EROFS\) by root\.readonly; false allows it'
  assert_match "$ERR" ': mkdir(at)?\("/data/x"\) is refused \(EROFS\) by mounts\[[0-9]+\]\.options; without ro'
  assert_match "$ERR" ': open(at)?\("/proc/sys/kernel/panic"\) is refused \(EROFS\) by linux\.readonlyPaths\[1\]'
  assert_eq "$(grep -c 'is refused' <<<"$ERR")" 4 "$ERR"
  assert_eq "$(grep -c 'ead-only file system' <<<"$ERR")" 4 "what the kernel said: $ERR"
}

test_devices_without_a_rule() {
  requires file /dev/fuse
  explained ': </dev/fuse; : >/dev/null; : </dev/fuse' "$(profile SCMP_ACT_ALLOW) |
    .linux.devices = [{path: \"/dev/fuse\", type: \"c\", major: 10, minor: 229, fileMode: 438}] | .linux.resources.devices = [{allow: false, access: \"rwm\"}]"
  assert_match "$ERR" ': open(at)?\("/dev/fuse"\) is refused \(EPERM\) by linux\.resources\.devices; a rule of type c, major 10, minor 229, access r allows it'
  assert_match "$ERR" 'not permitted'
  assert_eq "$(grep -c 'is refused' <<<"$ERR")" 1 "$ERR"
}

test_of_a_sandbox_paths_too() {
  only_knarr
  mkdir "$T/shown"
  box --explain --ro-bind "$T/shown:/srv" box -- sh -c 'echo x >/srv/file; echo y >/etc/file && echo written'
  assert_eq "$OUT" written "$ERR"
  assert_match "$ERR" '"/srv/file"\) is refused \(EROFS\) by the sandbox, where it is read-only; --write and --bind let changes through'
}

test_the_same_again_is_counted() {
  only_knarr
  requires debian
  bundle c1 --arg r "$DEBIAN" '.root.path = $r | args(["perl", "-e", "mkdir \"/tmp/x\" for 1..50"]) | '"$(profile SCMP_ACT_ALLOW "$(rule '["mkdir"]' SCMP_ACT_ERRNO)")"
  rt run --explain --bundle "$B" c1
  assert_eq "$(grep -c 'is refused' <<<"$ERR")" 1 "$ERR"
  assert_match "$ERR" 'mkdir\("/tmp/x"\): 49 times more'
}

test_records_in_the_log() {
  FLAGS=(--log "$T/log" --log-format json)
  explained 'mkdir /tmp/x' "$(profile SCMP_ACT_ALLOW "$(rule '["mkdir", "mkdirat"]' SCMP_ACT_ERRNO)")"
  assert_jq "$(grep refused "$T/log")" '.level == "info" and (.msg | startswith("explain: mkdir (pid "))'
}

# Whether what a container sees of refusals is the same, with and without.
test_nothing_else_is_another() {
  only_knarr
  local script plain
  script='mkdir /tmp/x; echo $?; chmod 700 /tmp; echo $?; ln -s a /tmp/l; echo $?; kill -10 $$; echo alive; grep -E "^(Seccomp|NoNewPrivs|CapEff|SigBlk)" /proc/self/status; ls -l /proc/self/fd | grep -c seccomp'
  bundle c1 --arg script "$script" "sh(\$script) | rw | $(profile SCMP_ACT_ALLOW "$(rule '["mkdir", "mkdirat"]' SCMP_ACT_ERRNO 'errnoRet: 38')" "$(rule '["symlink", "symlinkat"]' SCMP_ACT_ERRNO)" \
    "$(rule '["kill"]' SCMP_ACT_ERRNO 'args: [{index: 1, value: 10, op: "SCMP_CMP_EQ"}]')")"
  rt run --bundle "$B" c1
  plain="$RC $OUT $ERR"
  rm -f "$B/rootfs/tmp/l"
  rt run --explain --bundle "$B" c1
  assert_eq "$RC $OUT $(grep -v '^knarr: explain' <<<"$ERR")" "$plain"
}

of_a_sandbox() {
  "$1" --explain box -- sh -c 'unshare --user true; echo status $?'
  assert_match "$OUT" 'status 1'
  assert_match "$ERR" 'explain: unshare \(pid [0-9]+, [0-9]+ in the container\): unshare\(CLONE_NEWUSER\) is refused \(EPERM\) by the sandbox.s filter, as Docker.s; no option allows it'
}
test_of_a_sandbox() { both of_a_sandbox; }

test_what_strict_refuses() {
  only_knarr
  box --explain --strict box -- /usr/bin/perl -e 'syscall('"${NR[ptrace]}"', 0, 0, 0, 0); print "$!\n"; syscall('"${NR[unshare]}"', 0x10000000)'
  assert_eq "$OUT" 'Operation not permitted'
  assert_match "$ERR" 'ptrace\(0x0\) is refused \(EPERM\) by --strict; without it the call is allowed'
  assert_match "$ERR" 'unshare\(CLONE_NEWUSER\) is refused \(EPERM\) by the sandbox'
}

test_refusals_stay_when_the_command_is_killed() {
  only_knarr
  bundle c1 --arg script 'mkdir /tmp/a; echo $? >/tmp/told; until [ -e /tmp/go ]; do sleep 0.1; done; mkdir /tmp/b 2>/tmp/said; echo $? >/tmp/last; exec sleep 100' \
    "sh(\$script) | rw | $(profile SCMP_ACT_ALLOW "$(rule '["mkdir", "mkdirat"]' SCMP_ACT_ERRNO 'errnoRet: 28')")"
  "$RUNTIME" --root "$ROOT" run --explain --bundle "$B" c1 2>"$T/err" &
  eventually [ -s "$B/rootfs/tmp/told" ]
  kill -9 $!
  wait $! || :
  touch "$B/rootfs/tmp/go"
  eventually [ -s "$B/rootfs/tmp/last" ]
  assert_match "$(<"$B/rootfs/tmp/said")" 'No space left'
}

test_without_a_filter_it_says_so() {
  explained 'echo ran' 'del(.linux.seccomp)'
  assert_eq "$OUT" ran
  assert_match "$ERR" 'warning: --explain: linux.seccomp is missing'
}

test_what_cannot_be_told_is_an_error() {
  only_knarr
  bundle c1 "args([\"true\"]) | $(profile SCMP_ACT_ALLOW "$(rule '["read"]' SCMP_ACT_ERRNO)")"
  run_fails 1 'linux.seccomp: refuses read' run --explain --bundle "$B" c1
  bundle c2 "args([\"true\"]) | $(profile SCMP_ACT_ALLOW "$(rule '["mkdir"]' SCMP_ACT_NOTIFY)") | .linux.seccomp.listenerPath = \"$T/none\""
  run_fails 1 'listenerPath: there is an agent already' run --explain --bundle "$B" c2
  rt run --explain --detach --bundle "$B" c2
  assert_match "$ERR" 'cannot be used with'
}

test_a_program_that_is_not_there_is_told_as_without() {
  only_knarr
  bundle c1 "args([\"/no/such\"]) | $(profile SCMP_ACT_ALLOW "$(rule '["mkdir"]' SCMP_ACT_ERRNO)")"
  rt run --explain --bundle "$B" c1
  assert_eq "$RC" 1
  assert_match "$ERR" 'no such file or directory'
  bundle c2 "args([\"true\"]) | $(profile SCMP_ACT_ALLOW "$(rule '["execve"]' SCMP_ACT_ERRNO)")"
  rt run --explain --bundle "$B" c2
  assert_eq "$RC" 1
  assert_match "$ERR" 'execve\(".*true"\) is refused \(EPERM\) by linux.seccomp.syscalls\[0\]'
}
