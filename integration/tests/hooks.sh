# The six kinds of hooks: where, when, in which order and with what they run, and what happens if one fails.
# shellcheck shell=bash

# Every kind notes its name; for startContainer the notes are bound into the container.
all_kinds='reduce ("prestart", "createRuntime", "createContainer", "poststart", "poststop") as $k (.; hook($k; "echo \($k) >>\($notes)")) |
  hook("startContainer"; "echo startContainer >>/mnt/notes") | bind($t; "/mnt"; ["rw"])'

with_all_kinds() { bundle c1 --arg notes "$T/notes" --arg t "$T" "$all_kinds | ${1:-args([\"true\"])}"; }

test_order_of_the_kinds() {
  differs runc "1.1 runs poststart in create"
  with_all_kinds 'sh("echo program >>/mnt/notes")'
  run_ok create --bundle "$B" c1
  slurp NOTES "$T/notes"
  assert_eq "$NOTES" $'prestart\ncreateRuntime\ncreateContainer'
  run_ok start c1
  eventually has_status c1 stopped
  slurp NOTES "$T/notes"
  assert_match "$NOTES" $'createContainer\nstartContainer\n'
  assert_line "$NOTES" program
  assert_line "$NOTES" poststart
  assert_no_match "$NOTES" poststop
  run_ok delete c1
  assert_eq "$(tail -1 "$T/notes")" poststop
  assert_eq "$(wc -l <"$T/notes")" 7
}

test_all_kinds_run_with_run() {
  with_all_kinds
  run_ok run --bundle "$B" c1
  assert_eq "$(sort "$T/notes" | tr '\n' ' ')" 'createContainer createRuntime poststart poststop prestart startContainer '
}

test_hooks_of_a_kind_run_in_list_order() {
  bundle c1 --arg n "$T/notes" 'reduce range(5) as $i (.; hook("createRuntime"; "echo \($i) >>\($n)")) | args(["true"])'
  run_ok run --bundle "$B" c1
  assert_eq "$(tr -d '\n' <"$T/notes")" 01234
}

# ---- what they are given ----

in_kind() { # KIND SCRIPT: run a container with that hook; its stdout and stderr are in $T/hook. Sets STATE to what it read.
  bundle c1 --arg k "$1" --arg s "$2" --arg t "$T" 'hook($k; "exec >>\($t)/hook 2>&1; cat >\($t)/stdin; " + $s) | sh("sleep 0.1") | .annotations = {a: "b"}'
  run_ok create --pid-file "$T/pid" --bundle "$B" c1
  run_ok start c1
  eventually has_status c1 stopped
  run_ok delete c1
  slurp STATE "$T/stdin"
  slurp OUT "$T/hook"
}

common_state='.id == "c1" and .bundle == $b and (.ociVersion | startswith("1.")) and .annotations.a == "b"'

test_prestart_state() {
  differs crun "status created"
  in_kind prestart true
  assert_jq "$STATE" "$common_state and .status == \"creating\" and .pid == \$p" --arg b "$B" --argjson p "$(<"$T/pid")"
}
test_create_runtime_state() {
  differs crun "status created"
  in_kind createRuntime true
  assert_jq "$STATE" "$common_state and .status == \"creating\" and .pid == \$p" --arg b "$B" --argjson p "$(<"$T/pid")"
}
test_create_container_state() {
  differs crun "status created, pid 0"
  in_kind createContainer true
  assert_jq "$STATE" "$common_state and .status == \"creating\" and .pid == 1" --arg b "$B"
}
test_start_container_state() {
  differs crun "status starting, pid 0"
  bundle c1 --arg t "$T" 'hook("startContainer"; "cat >/mnt/stdin") | bind($t; "/mnt"; []) | args(["true"]) | .annotations = {a: "b"}'
  run_ok run --bundle "$B" c1
  assert_jq "$(<"$T/stdin")" "$common_state and .status == \"created\" and .pid == 1" --arg b "$B"
}
test_poststart_state() {
  differs runc "1.1 runs it in create"
  in_kind poststart true
  assert_jq "$STATE" ".id == \"c1\" and .bundle == \$b and .status == \"running\" and .pid == \$p" --arg b "$B" --argjson p "$(<"$T/pid")"
}
test_poststop_state() {
  in_kind poststop true
  assert_jq "$STATE" '.id == "c1" and .bundle == $b and .status == "stopped" and (.pid // 0) == 0' --arg b "$B"
}

test_argv_and_env_are_exact() {
  export OF_THE_CALLER=1
  bundle c1 --arg t "$T" '.hooks.createRuntime = [{path: "/bin/sh", args: ["name", "-c", "echo $0 $# $1 >\($t)/args; cat /proc/self/cmdline >\($t)/cmdline; cat /proc/$$/environ >\($t)/environ", "zero", "one"],
    env: ["A=1", "B=x y"]}] | args(["true"])'
  run_ok run --bundle "$B" c1
  assert_eq "$(<"$T/args")" 'zero 1 one'
  assert_eq "$(tr '\0' '\n' <"$T/environ")" $'A=1\nB=x y'
}

test_argv0_is_what_args_says() {
  bundle c1 --arg t "$T" '.hooks.createRuntime = [{path: "/bin/bash", args: ["another-name", "-c", "tr \"\\0\" \"\\n\" </proc/$$/cmdline | head -1 >\($t)/argv0"], env: ["PATH=/usr/bin:/bin"]}] | args(["true"])'
  run_ok run --bundle "$B" c1
  assert_eq "$(<"$T/argv0")" another-name
}

test_no_args_means_the_path() {
  printf '#!/bin/sh\necho "$0" $# >%s/args\n' "$T" >"$T/script"
  chmod +x "$T/script"
  bundle c1 --arg t "$T" '.hooks.createRuntime = [{path: ($t + "/script")}] | args(["true"])'
  run_ok run --bundle "$B" c1
  assert_eq "$(<"$T/args")" "$T/script 0"
}

# A hook that calls iptables finds it by the PATH that the engine was started with.
test_hooks_without_env_have_the_runtimes() {
  export OF_THE_CALLER=1
  local kind
  for kind in prestart createRuntime createContainer poststart poststop; do
    [ "$RUNTIME_NAME $kind" != 'runc createContainer' ] || continue # has none
    rm -rf "$T/c1"
    bundle c1 --arg k $kind --arg t "$T" '.process.env += ["OF_THE_CONTAINER=1"] | .hooks[$k] = [{path: "/bin/sh", args: ["sh", "-c", "/usr/bin/env >\($t)/environ"]}] | args(["true"])'
    run_ok run --bundle "$B" c1
    assert_line "$(<"$T/environ")" OF_THE_CALLER=1 $kind
    assert_line "$(<"$T/environ")" "PATH=$PATH" $kind
    assert_no_match "$(<"$T/environ")" OF_THE_CONTAINER $kind
  done
}

test_a_hook_with_an_empty_env_has_none() {
  export OF_THE_CALLER=1
  bundle c1 --arg t "$T" '.hooks.createRuntime = [{path: "/bin/sh", args: ["sh", "-c", "cat /proc/$$/environ >\($t)/environ"], env: []}] | args(["true"])'
  run_ok run --bundle "$B" c1
  assert_no_match "$(tr '\0' '\n' <"$T/environ")" OF_THE_CALLER
}

test_start_container_hooks_without_env_have_the_processes() {
  export OF_THE_CALLER=1
  bundle c1 --arg t "$T" '.process.env += ["OF_THE_CONTAINER=1"] | .hooks.startContainer = [{path: "/bin/sh", args: ["sh", "-c", "env >/mnt/environ"]}] | bind($t; "/mnt"; []) | args(["true"])'
  run_ok run --bundle "$B" c1
  assert_line "$(<"$T/environ")" OF_THE_CONTAINER=1
  assert_line "$(<"$T/environ")" HOME=/root
  assert_no_match "$(<"$T/environ")" OF_THE_CALLER
}

test_hooks_have_the_callers_umask() {
  differs crun "has none"
  local kind
  umask 027
  for kind in prestart createRuntime createContainer poststart poststop; do
    rm -rf "$T/c1"
    bundle c1 --arg k $kind --arg t "$T" '.hooks[$k] = [{path: "/bin/sh", args: ["sh", "-c", "umask >\($t)/umask"]}] | args(["true"])'
    run_ok run --bundle "$B" c1
    assert_eq "$(<"$T/umask")" 0027 $kind
  done
}

test_hook_that_does_not_read_its_stdin() {
  bundle c1 '.annotations.big = ("x" * 200000) | .hooks.createRuntime = [{path: "/bin/true"}] | args(["true"])'
  run_ok run --bundle "$B" c1
}

# ---- where they run ----

namespaces_in_hook='for n in mnt net pid uts ipc; do readlink /proc/self/ns/$n; done'

test_runtime_namespace_of_prestart_create_runtime_poststart_and_poststop() {
  local kind n
  for kind in prestart createRuntime poststart poststop; do
    rm -f "$T/hook"
    in_kind "$kind" "$namespaces_in_hook"
    for n in mnt net pid uts ipc; do assert_line "$OUT" "$(readlink "/proc/self/ns/$n")"; done
  done
}

test_create_container_runs_in_the_containers_namespaces_before_the_pivot() {
  bundle c1 --arg t "$T" 'hook("createContainer"; "for n in mnt net uts ipc; do readlink /proc/self/ns/$n; done >\($t)/in-hook; ls -d \($t) >>\($t)/in-hook") |
    sh("for n in mnt net uts ipc; do readlink /proc/self/ns/$n; done")'
  run_ok run --bundle "$B" c1
  assert_eq "$(<"$T/in-hook")" "$OUT"$'\n'"$T"
}

test_start_container_runs_in_the_container() {
  bundle c1 --arg t "$T" 'hook("startContainer"; "{ ls -d /bin; readlink /proc/self/ns/mnt; } >/out/in-hook") | rw | bind($t; "/out"; []) |
    sh("readlink /proc/self/ns/mnt")'
  run_ok run --bundle "$B" c1
  assert_eq "$(<"$T/in-hook")" $'/bin\n'"$OUT"
}

test_network_of_the_container_is_reachable_by_pid() {
  # What network hooks do: enter the namespace of .pid.
  bundle c1 --arg t "$T" 'hook("createRuntime"; "pid=$(sed \"s/.*\\\"pid\\\": *\\([0-9]*\\).*/\\1/\"); readlink /proc/$pid/ns/net >\($t)/net") | .hooks.createRuntime[0].env = ["PATH=/usr/bin:/bin"] |
    sh("readlink /proc/self/ns/net")'
  run_ok run --bundle "$B" c1
  assert_eq "$(<"$T/net")" "$OUT"
}

test_cgroup_is_ready_in_create_runtime() {
  requires controller pids
  bundle c1 # for $C
  bundle c1 --arg t "$T" --arg c "$C" '.linux.resources.pids = {limit: 77} | hook("createRuntime"; "cat \($c)/pids.max >\($t)/max") | .hooks.createRuntime[0].env = ["PATH=/usr/bin:/bin"] | args(["true"])'
  run_ok run --bundle "$B" c1
  assert_eq "$(<"$T/max")" 77
}

test_poststop_runs_after_the_resources_are_gone() {
  bundle c1 # for $C
  bundle c1 --arg t "$T" --arg c "$C" 'hook("poststop"; "[ ! -e \($c) ] && echo gone >\($t)/notes") | args(["true"])'
  run_ok run --bundle "$B" c1
  assert_eq "$(<"$T/notes")" gone
}

# ---- failures ----

failing() { # KIND: that hook fails, poststop notes that it ran
  bundle c1 --arg k "$1" --arg t "$T" 'hook($k; "echo said by the hook >&2; exit 3") | hook("poststop"; "echo poststop >>\($t)/notes") | sh("echo program")'
}

create_fails_and_poststop_runs() { # KIND
  failing "$1"
  run_fails 1 "$1|hook" create --bundle "$B" c1
  assert_unknown c1
  assert_eq "$(<"$T/notes")" poststop
}
test_failing_prestart() { differs crun "status 255, poststop not run"; create_fails_and_poststop_runs prestart; }
test_failing_create_runtime() { differs crun "status 255, poststop not run"; create_fails_and_poststop_runs createRuntime; }
test_failing_create_container() { differs crun "poststop not run"; create_fails_and_poststop_runs createContainer; }

test_failing_hook_stops_the_list() {
  bundle c1 --arg t "$T" 'hook("createRuntime"; "exit 1") | hook("createRuntime"; "touch \($t)/second")'
  rt create --bundle "$B" c1
  [ "$RC" != 0 ] || fail "accepted"
  assert_absent "$T/second"
}

test_failing_hook_shows_what_it_wrote() {
  differs crun "inherits stderr"
  failing createRuntime
  run_fails 1 'said by the hook' create --bundle "$B" c1
}

test_failing_start_container_fails_start() {
  differs runc,crun "start succeeds"
  failing startContainer
  run_ok create --bundle "$B" c1
  local log=$LOG
  run_fails 1 'startContainer|hook' start c1
  assert_eq "$(<"$log")" ''
}

test_failing_poststart_ends_the_container() {
  differs runc "1.1 fails in create"
  differs crun "status 3"
  bundle c1 --arg t "$T" 'hook("poststart"; "exit 3") | hook("poststop"; "echo poststop >>\($t)/notes") | args(["sleep", "100"])'
  run_ok create --bundle "$B" c1
  pid_of c1
  rt start c1
  assert_eq "$RC" 1
  assert_match "${ERR,,}" 'poststart|hook'
  eventually is_gone "$PID"
  assert_eq "$(<"$T/notes")" poststop
  rt state c1
  [ "$RC" != 0 ] || assert_match "$OUT" stopped
}

test_failing_poststop_is_a_warning_and_the_rest_run() {
  differs runc "delete fails"
  bundle c1 --arg t "$T" 'hook("poststop"; "exit 3") | hook("poststop"; "echo second >>\($t)/notes") | args(["true"])'
  run_ok create --bundle "$B" c1
  run_ok start c1
  eventually has_status c1 stopped
  rt delete c1
  assert_eq "$RC" 0
  assert_eq "$(<"$T/notes")" second
  assert_unknown c1
}

test_hook_that_does_not_exist() {
  differs crun "another status"
  bundle c1 '.hooks.createRuntime = [{path: "/none/hook"}]'
  run_fails 1 'no such file|/none/hook' create --bundle "$B" c1
}

test_hook_that_does_not_exist_is_found_before_anything_runs() {
  differs runc,crun "found when its turn comes"
  bundle c1 --arg t "$T" 'hook("prestart"; "touch \($t)/first") | .hooks.createRuntime = [{path: "relative/hook"}]'
  run_fails 1 'hooks.createRuntime' create --bundle "$B" c1
  assert_absent "$T/first"
}

test_hook_that_is_killed() {
  differs crun "another status"
  bundle c1 'hook("createRuntime"; "kill -KILL $$")'
  run_fails 1 'hook|signal|killed' create --bundle "$B" c1
}

test_timeout_kills_the_hook() {
  differs crun "another status"
  bundle c1 '.hooks.createRuntime = [{path: "/bin/sleep", args: ["sleep", "1000"], timeout: 1}]'
  local before=$SECONDS
  run_fails 1 'timeout|timed out|hook' create --bundle "$B" c1
  [ $((SECONDS - before)) -lt 15 ] || fail "took $((SECONDS - before)) s"
}

test_timeout_kills_what_the_hook_started() {
  differs runc,crun "its children live on"
  bundle c1 '.hooks.createRuntime = [{path: "/bin/sh", args: ["sh", "-c", "sleep 1000 & wait"], env: ["PATH=/bin"], timeout: 1}]'
  run_fails 1 'timeout|timed out|hook' create --bundle "$B" c1
  local p
  for p in /proc/[0-9]*/cmdline; do
    [[ $(tr '\0' ' ' <"$p" 2>/dev/null) != 'sleep 1000 ' ]] || fail "${p%/cmdline} lives"
  done
}

test_timeout_that_is_not_reached() {
  bundle c1 '.hooks.createRuntime = [{path: "/bin/true", timeout: 10}] | args(["true"])'
  run_ok run --bundle "$B" c1
}

test_many_hooks() {
  bundle c1 --arg n "$T/notes" 'reduce range(40) as $i (.; hook("createRuntime"; "echo x >>\($n)")) | args(["true"])'
  run_ok run --bundle "$B" c1
  assert_eq "$(wc -l <"$T/notes")" 40
}
