# Bad input: exit status 1, one line that names the field, nothing created; and the log file that engines parse.
# shellcheck shell=bash

# refused REGEX FILTER: `create` of the default config changed by FILTER fails at once and says REGEX.
refused() {
  bundle c1 "$2"
  run_fails 1 "$1" create --bundle "$B" c1
}

# ---- the file ----

test_missing_config() {
  bundle c1
  rm "$B/config.json"
  run_fails 1 'config.json.*(no such file|not found)|config.json' create --bundle "$B" c1
}

test_missing_bundle() { run_fails 1 'no such file|config.json' create --bundle "$T/none" c1; }

test_malformed_config() {
  bundle c1
  echo '{"ociVersion": "1.0.2", "process": {' >"$B/config.json"
  run_fails 1 'EOF|parse|end of input|json' create --bundle "$B" c1
  printf '{\n  "ociVersion": "1.0.2",\n  oops\n}\n' >"$B/config.json"
  run_fails 1 'invalid character|lexical|line|json|parse' create --bundle "$B" c1
  : >"$B/config.json"
  run_fails 1 '.' create --bundle "$B" c1
}

test_malformed_config_line_and_column() {
  differs runc,crun "no line"
  bundle c1
  printf '{\n  "ociVersion": "1.0.2",\n  oops\n}\n' >"$B/config.json"
  run_fails 1 'config.json.*(line 3|:3:).*(column 3|:3)' create --bundle "$B" c1
}

test_wrong_json_type_names_the_field() {
  differs crun "other words"
  refused 'process\.args' '.process.args = "sh"'
  refused 'process\.rlimits' '.process.rlimits = [{type: "RLIMIT_NOFILE", soft: "x", hard: 1}]'
  refused 'process\.(user\.)?uid|uid' '.process.user.uid = -1'
  refused 'root\.readonly|readonly' '.root.readonly = "yes"'
  refused 'mounts' '.mounts = {}'
}

test_unknown_fields_are_ignored() {
  bundle c1 'args(["true"]) | .nosuch = {a: 1} | .process.nosuch = [1] | .linux.nosuch = "x" | .root.nosuch = null'
  run_ok run --bundle "$B" c1
}

test_fields_of_other_platforms_are_ignored() {
  bundle c1 'args(["true"]) | .windows = {layerFolders: ["x"]} | .vm = {kernel: {path: "/k"}} | .solaris = {}'
  run_ok run --bundle "$B" c1
}

# ---- version, root, process ----

test_oci_version() {
  differs runc,crun "takes any"
  refused 'ociVersion' 'del(.ociVersion)'
  refused 'ociVersion' '.ociVersion = ""'
  refused 'ociVersion' '.ociVersion = "abc"'
  refused 'ociVersion' '.ociVersion = "1.0"'
  refused 'ociVersion' '.ociVersion = "2.0.0"'
}

test_oci_versions_of_the_first_major() {
  differs crun "1.8 knows 1.0 only"
  local version
  for version in 1.0.0 1.0.2-dev 1.1.0 1.2.1+dev 1.3.0; do
    bundle c1 --arg v "$version" 'args(["true"]) | .ociVersion = $v'
    run_ok run --bundle "$B" c1
  done
}

test_no_root() { differs crun "crashes"; refused 'root' 'del(.root)'; }
test_root_that_is_missing() { refused 'root|none|no such file' '.root.path = "none"'; }
test_root_that_is_a_file() { differs crun "another error"; refused 'root|not a directory' '.root.path = "config.json"'; }
test_empty_root_path() { differs runc,crun "takes the bundle itself"; refused 'root' '.root.path = ""'; }

test_root_may_be_absolute() {
  bundle c1 --arg root "$T/c1/rootfs" 'args(["true"]) | .root.path = $root'
  run_ok run --bundle "$B" c1
}

test_empty_args() { differs crun "names nothing"; refused 'args' '.process.args = []'; refused 'args' 'del(.process.args)'; }
test_empty_program_name() { refused 'args|executable|not found|permission denied|no such file' '.process.args = [""]'; }
test_relative_cwd() { differs crun "takes it"; refused 'cwd' '.process.cwd = "tmp"'; }
test_empty_cwd() { differs crun "takes it"; refused 'cwd' '.process.cwd = ""'; }

test_no_process_can_be_created_but_not_started() {
  differs runc "create refuses it"
  differs crun "start succeeds"
  bundle c1 'del(.process)'
  run_ok create --bundle "$B" c1
  assert_status c1 created
  run_fails 1 'process' start c1
}

test_unknown_rlimit() { refused 'rlimit' '.process.rlimits = [{type: "RLIMIT_NOSUCH", soft: 1, hard: 1}]'; }

test_duplicate_rlimit() {
  differs runc,crun "the last one wins"
  refused 'rlimits' '.process.rlimits = [{type: "RLIMIT_CORE", soft: 1, hard: 1}, {type: "RLIMIT_CORE", soft: 2, hard: 2}]'
}

test_rlimit_soft_above_hard() { refused 'rlimit' '.process.rlimits = [{type: "RLIMIT_CORE", soft: 2, hard: 1}]'; }
test_oom_score_adj_out_of_range() { refused 'oom' '.process.oomScoreAdj = 1001'; }
test_oom_score_adj_out_of_range_names_the_field() { differs runc,crun "raw text"; refused 'process\.oomScoreAdj' '.process.oomScoreAdj = -1001'; }

# ---- namespaces, hostname ----

test_duplicate_namespace() { differs crun "other words"; refused 'namespace|duplicated ns' '.linux.namespaces += [{type: "pid"}]'; }
test_unknown_namespace() { refused 'namespace' '.linux.namespaces += [{type: "nosuch"}]'; }
test_namespace_path_of_the_wrong_type() { differs crun "broken pipe"; differs runc "raw text"; refused '/proc/self/ns/ipc|namespace' 'join_ns("network"; "/proc/self/ns/ipc")'; }
test_namespace_path_that_is_missing() { refused 'no such file|does not exist' 'join_ns("network"; "/none")'; }
test_namespace_path_that_is_no_namespace() { differs crun "broken pipe"; refused '/etc/passwd|namespace|invalid argument' 'join_ns("network"; "/etc/passwd")'; }

test_namespace_path_that_is_relative() {
  differs runc,crun "resolve it"
  refused 'namespaces.*(absolute|relative|ns)' 'join_ns("network"; "proc/self/ns/net")'
}

test_hostname_without_a_uts_namespace() { refused 'hostname|uts' 'no_ns("uts")'; }

test_domainname_without_a_uts_namespace() {
  differs runc "1.1 has no domainname"
  differs crun "ignores it"
  refused 'domainname|uts' 'no_ns("uts") | del(.hostname) | .domainname = "x"'
}

test_mapping_without_a_user_namespace() {
  differs runc,crun "accept it"
  refused 'uidMappings|gidMappings|user namespace' '.linux.uidMappings = [{containerID: 0, hostID: 0, size: 1}]'
}

test_user_namespace_without_mappings() { differs crun "obscure text"; refused 'mapping|user namespace' '.linux.namespaces += [{type: "user"}]'; }

# ---- mounts ----

test_mount_destination_at_the_root() { differs runc "1.1 fails later"; differs crun "accepts it"; refused 'mount|rootfs|destination' 'bind("/etc"; "/"; [])'; }
test_bind_source_that_is_missing() { refused 'no such file' 'bind("/none"; "/mnt"; [])'; }

test_bind_source_that_is_missing_is_named() {
  differs crun "names the destination"
  refused '/none' 'bind("/none"; "/mnt"; [])'
}

test_unknown_filesystem() { refused 'no such device|nosuchfs|unknown' 'mount({destination: "/mnt", type: "nosuchfs", source: "x"})'; }
test_mount_option_that_the_kernel_refuses() { refused 'invalid argument|bad value|EINVAL' 'tmpfs("/mnt"; ["size=frob"])'; }

test_mount_option_that_the_kernel_refuses_in_the_kernels_words() {
  differs runc,crun "only invalid argument"
  refused 'mounts\[7\].*/mnt.*size' 'tmpfs("/mnt"; ["size=frob"])'
  refused 'frob' 'tmpfs("/mnt"; ["frob=1"])'
}

test_unknown_option_of_a_bind_mount() { differs runc,crun "1.1 and crun drop it"; refused 'option|frob|mount' 'bind("/etc"; "/mnt"; ["frob"])'; }

test_defaults_is_an_option_of_any_mount() {
  differs runc "refuses it"
  in_container 'test -e /mnt/passwd' 'bind("/etc"; "/mnt"; ["defaults", "ro"]) | tmpfs("/srv"; ["defaults"])'
}

test_root_propagation_unknown() { differs crun "accepts it"; refused 'propagation' '.linux.rootfsPropagation = "foo"'; }

test_file_mount_over_a_folder() { refused 'not a directory|is a directory' 'bind("/etc/passwd"; "/tmp"; [])'; }

# ---- cgroup, sysctl, devices ----

test_device_of_an_unknown_type() { differs crun "ignores it"; refused 'device|type' '.linux.devices = [{path: "/dev/x", type: "z", major: 1, minor: 3}]'; }

test_device_node_that_exists_and_differs() {
  differs runc,crun "keep what is there"
  bundle c1 'rw | .linux.devices = [{path: "/opt/null", type: "c", major: 1, minor: 3}]'
  touch "$B/rootfs/opt/null"
  run_fails 1 '/opt/null' create --bundle "$B" c1
}

test_sysctl_that_is_not_namespaced() { refused 'sysctl|vm.swappiness' '.linux.sysctl = {"vm.swappiness": "1"}'; }
test_sysctl_of_another_domainname() {
  differs runc "the sysctl holds"
  refused 'kernel.domainname' '.domainname = "sea.example" | .linux.sysctl = {"kernel.domainname": "shore"}'
  in_container 'cat /proc/sys/kernel/domainname' '.domainname = "sea.example" | .linux.sysctl = {"kernel.domainname": "sea.example"}'
  assert_eq "$OUT" sea.example
}

test_sysctl_of_the_hostname() { differs crun "takes it"; refused 'sysctl|kernel.hostname' '.linux.sysctl = {"kernel.hostname": "x"}'; }
test_sysctl_with_a_path_in_it() { refused 'sysctl|net' '.linux.sysctl = {"net.../../../vm/swappiness": "1"}'; }
test_net_sysctl_without_a_network_namespace() { refused 'sysctl|net' 'no_ns("network") | .linux.sysctl = {"net.ipv4.ip_forward": "1"}'; }
# ---- what would change the host ----
test_net_sysctl_and_the_hosts_network_by_path() {
  differs crun 'it writes to the host'
  refused 'net|sysctl' 'join_ns("network"; "/proc/self/ns/net") | .linux.sysctl = {"net.ipv4.ip_forward": "1"}'
}
test_hostname_and_the_hosts_uts_namespace_by_path() {
  differs runc,crun 'the host is renamed'
  refused "uts.*runtime's own, which hostname would change" 'join_ns("uts"; "/proc/self/ns/uts")'
}

# ---- what this machine lacks ----
test_intel_rdt_where_there_is_none() {
  differs runc 'it is ignored'
  [ ! -e /sys/fs/resctrl/schemata ] || skip 'resctrl is there'
  refused 'resctrl' '.linux.intelRdt = {closID: "x", l3CacheSchema: "L3:0=f"}'
}
test_annotation_without_a_key() { differs runc,crun "accept it"; refused 'annotations: a key is empty' '.annotations = {"": "x"}'; }
test_masked_path_that_is_relative() { differs runc,crun "ignore it"; refused 'linux.maskedPaths\[0\]' '.linux.maskedPaths = ["proc/keys"]'; }
test_device_path_that_is_relative() { differs runc "takes it from the root"; differs crun "other words"; refused 'linux.devices\[0\].path' '.linux.devices = [{path: "dev/x", type: "c", major: 1, minor: 3}]'; }
test_mount_without_a_type() { refused 'mounts\[[0-9]+\]|no such device|mount type' '.mounts += [{destination: "/mnt", source: "x"}]'; }
test_intel_rdt_group_that_is_no_name() {
  differs runc,crun 'it is not looked at'
  refused 'linux.intelRdt.closID: "../x" is not the name' '.linux.intelRdt = {closID: "../x"}'
}

test_unified_key_with_a_slash() { refused 'unified|/' '.linux.resources.unified = {"../cgroup.procs": "1"}'; }

test_unified_key_of_an_absent_controller() {
  refused 'nosuch' '.linux.resources.unified = {"nosuch.max": "1"}'
}

test_unified_key_that_is_a_core_file() {
  requires uml "it kills"
  differs runc,crun "write it"
  refused 'unified' '.linux.resources.unified = {"cgroup.kill": "1"}'
}

# ---- hooks, terminal ----

test_hook_path_that_is_relative() {
  differs runc,crun "another error"
  refused 'hooks\.(prestart|createRuntime)' '.hooks.createRuntime = [{path: "bin/true"}]'
}

test_hook_timeout_of_zero() {
  differs runc,crun "not checked"
  refused 'timeout' '.hooks.createRuntime = [{path: "/bin/true", timeout: 0}]'
}

test_terminal_without_a_console_socket() {
  refused 'console|terminal' '.process.terminal = true'
  run_fails 1 'console|terminal|tty' run --detach --bundle "$B" c1
}

test_console_socket_without_a_terminal() {
  differs crun "accepts it"
  bundle c1
  run_fails 1 'console|terminal|tty' create --console-socket "$T/none" --bundle "$B" c1
}

test_console_socket_that_nobody_listens_on() {
  bundle c1 '.process.terminal = true'
  run_fails 1 'no such file|connection refused|console' create --console-socket "$T/none" --bundle "$B" c1
}

# ---- the command line ----

test_unknown_flag() {
  differs crun "exit status 64"
  rt create --nosuch c1
  assert_eq "$RC" 1
}

test_unknown_command() {
  rt nosuch
  [ "$RC" != 0 ] || fail "accepted"
}

test_version_line() {
  local out
  out=$("$RUNTIME" --version 2>"$T/err")
  assert_match "$out" '^[a-z]+ version [0-9]+\.[0-9]+'
  assert_match "$out" $'\n''spec: '
  assert_eq "$(<"$T/err")" ''
  assert_eq "$("$RUNTIME" -v | head -1)" "$(head -1 <<<"$out")"
}

test_no_command_prints_help() {
  differs crun "is an error"
  "$RUNTIME" >"$T/out"
  assert_match "$(<"$T/out")" 'create'
}

test_help() {
  "$RUNTIME" --help >"$T/out"
  assert_match "$(<"$T/out")" 'create'
}

# ---- the log file ----

test_log_of_a_failure_in_json() {
  bundle c1 'args(["nosuch"])'
  FLAGS=(--log "$T/log.json" --log-format json)
  rt create --bundle "$B" c1
  assert_eq "$RC" 1
  assert_jq "$(jq -s 'map(select(.level == "error")) | last' "$T/log.json")" '.msg | test("not found")'
  assert_jq "$(jq -s 'map(select(.level == "error")) | last' "$T/log.json")" '.time | test("^20[0-9-]{8}T[0-9:]{8}")'
  assert_match "$ERR" 'not found'
}

test_log_of_a_failure_is_one_object_with_code_field_and_errno() {
  differs runc,crun "level, msg and time only"
  FLAGS=(--log "$T/log.json" --log-format json)
  bundle c1 '.process.cwd = "relative"'
  rt create --bundle "$B" c1
  assert_eq "$(wc -l <"$T/log.json")" 1
  assert_jq "$(<"$T/log.json")" '.level == "error" and (.msg | test("cwd")) and .field == "process.cwd" and (.code | length > 0) and has("errno")'
}

test_log_of_a_failed_system_call_has_its_errno() {
  differs runc,crun "level, msg and time only"
  FLAGS=(--log "$T/log.json" --log-format json)
  bundle c1 'bind("/none"; "/mnt"; [])'
  rt create --bundle "$B" c1
  assert_jq "$(<"$T/log.json")" '.field == "mounts[7].source" or .field == "mounts[7]"'
  assert_jq "$(<"$T/log.json")" '.errno == "ENOENT" or .errno == 2'
}

test_log_of_success_is_empty() {
  FLAGS=(--log "$T/log.json" --log-format json)
  bundle c1 'args(["true"])'
  run_ok run --bundle "$B" c1
  assert_eq "$(jq -s 'map(select(.level == "error")) | length' "$T/log.json")" 0
}

test_log_where_none_can_be() {
  differs crun "goes on without one"
  bundle c1
  FLAGS=(--log "$T/nowhere/log")
  run_fails 1 'nowhere/log.*no such file' list
  run_fails 1 'nowhere/log.*no such file' run --bundle "$B" c1
  FLAGS=(--log "$T")
  run_fails 1 'is a directory' run --bundle "$B" c1
}

test_list_of_a_root_that_is_not_there() {
  differs crun "lists nothing"
  ROOT=$T/nowhere
  run_fails 1 'nowhere.*no such file' list
}

test_log_in_text() {
  FLAGS=(--log "$T/log.txt" --log-format text)
  bundle c1 'args(["nosuch"])'
  rt create --bundle "$B" c1
  assert_match "$(<"$T/log.txt")" 'not found'
}

test_log_format_that_is_unknown() {
  FLAGS=(--log "$T/log.txt" --log-format yaml)
  rt list
  [ "$RC" != 0 ] || fail "accepted"
}

# ---- a shortage of descriptors ----

# with_descriptors N COMMAND...: the runtime may have N descriptors open
with_descriptors() {
  RC=0
  OUT=$( (ulimit -n "$1"; exec "$RUNTIME" --root "$ROOT" "${FLAGS[@]}" "${@:2}") 2>"$T/err") || RC=$?
  ERR=$(<"$T/err")
}

test_who_cannot_look_does_not_say_that_it_is_gone() {
  bundle c1 'args(["sleep", "1000"])'
  run_ok run --detach --bundle "$B" c1
  local n
  for n in 3 4 5 6 7 8; do
    with_descriptors "$n" state c1
    assert_no_match "$OUT $ERR" stopped "state with $n"
    with_descriptors "$n" list
    assert_no_match "$OUT $ERR" stopped "list with $n"
    with_descriptors "$n" exec c1 true
    assert_no_match "$ERR" stopped "exec with $n"
    with_descriptors "$n" kill c1 0
    assert_no_match "$ERR" 'not running' "kill with $n"
  done
}

test_who_cannot_look_does_not_delete_what_runs() {
  differs runc,crun "have no such option"
  FLAGS=(--cgroup-manager disabled)
  bundle c1 'args(["sleep", "1000"]) | del(.linux.cgroupsPath, .linux.resources)'
  run_ok run --detach --bundle "$B" c1
  pid_of c1
  local n
  for n in 3 4 5 6 7 8; do
    with_descriptors "$n" delete c1
    assert_eq "$RC" 1 "delete with $n"
    assert_status c1 running
  done
  run_ok delete --force c1
  eventually is_gone "$PID"
}

# ---- standard error ----

test_standard_error_that_takes_nothing() {
  differs crun "takes no unknown capability"
  local rc=0
  "$RUNTIME" --root "$ROOT" state none 2>/dev/full || rc=$?
  assert_eq "$rc" 1
  bundle c1 'sh("exit 7") | .process.capabilities.bounding += ["CAP_FROB"]' # a warning
  rc=0
  "$RUNTIME" --root "$ROOT" run --bundle "$B" c1 2>/dev/full || rc=$?
  assert_eq "$rc" 7
}

test_an_error_is_one_line_whatever_it_names() {
  differs crun "says it as it is"
  refused 'exec: .*no.*such.*not found' 'args(["no\nsuch\u001b[31m"])'
  assert_no_match "$ERR" $'\e'
}

# ---- after a failed create ----

test_the_id_is_free_after_a_failed_create() {
  bundle c1 'args(["nosuch"])'
  run_fails 1 'not found' create --bundle "$B" c1
  bundle c1 'args(["true"])'
  run_ok run --bundle "$B" c1
}

test_a_cgroup_that_was_there_stays() {
  # "only what create made": the caller's cgroup is not removed by a create that fails.
  differs runc,crun "remove it"
  bundle c1 'args(["nosuch"])'
  mkdir "$C"
  rt create --bundle "$B" c1
  assert_exists "$C"
  rmdir "$C"
}

# ---- words that lead there ----

test_root_that_is_missing_has_one_reason() {
  differs runc,crun "other words"
  refused "root.path: $T/c1/none: no such file or directory \\(enoent\\)" '.root.path = "none"'
  assert_no_match "$ERR" 'not a directory'
}

test_a_config_that_is_too_long_names_the_limit() {
  differs runc,crun "read any"
  bundle c1
  head -c 17000000 /dev/zero | tr '\0' ' ' >>"$B/config.json"
  run_fails 1 'config.json: more than 16 mib, which is the most that is read' run --bundle "$B" c1
}

test_a_quota_of_keys_that_is_reached_is_named() {
  differs runc,crun "other words"
  requires uml "it sets a limit of the machine's"
  local own
  own=$(</proc/sys/kernel/keys/root_maxkeys)
  echo 1 >/proc/sys/kernel/keys/root_maxkeys
  bundle c1 'args(["true"])'
  rt run --bundle "$B" c1
  echo "$own" >/proc/sys/kernel/keys/root_maxkeys
  assert_eq "$RC" 1
  assert_match "$ERR" 'session keyring .*kernel.keys.maxkeys.*--no-new-keyring.*EDQUOT'
}
