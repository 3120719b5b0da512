# examples: what stands in examples/, and at the beginning of README.md, works as it stands there.
# shellcheck shell=bash

test_example_bundle() {
  "$STAGE/examples/bundle" "$T/box"
  run_ok run --bundle "$T/box" c1
  assert_eq "$OUT" "hello from hello, process 1"
}

test_example_hook() {
  bundle c1 --arg hook "$STAGE/examples/hook" --arg seen "$T/seen.json" \
    'args(["true"]) | .hooks.createRuntime = [{path: $hook, args: ["hook", $seen], timeout: 5}]'
  run_ok run --bundle "$B" c1
  assert_jq "$(<"$T/seen.json")" '.status == "creating" and .id == "c1" and .pid > 0'
}

test_example_seccomp_agent() {
  requires native
  "$STAGE/examples/seccomp-agent" "$T/agent.sock" &
  local agent=$!
  eventually [ -S "$T/agent.sock" ]
  bundle c1 --arg agent "$T/agent.sock" 'sh("mkdir /tmp/x 2>&1; touch /tmp/y && echo touched") | rw |
    .linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", listenerPath: $agent, syscalls: [{names: ["mkdir", "mkdirat"], action: "SCMP_ACT_NOTIFY"}]}'
  rt run --bundle "$B" c1
  assert_match "$OUT" 'quota exceeded'
  assert_match "$OUT" 'touched'
  wait "$agent"
}

# Each line of it succeeds; what runs a shell on a terminal gets `exit` typed.
test_readme_a_bundle_of_ones_own() {
  differs runc,crun 'README.md is of this project'
  local line lines=0
  mkdir "$T/bin"
  printf '#!/bin/sh\nexec "%s" --root "%s" "$@"\n' "$RUNTIME" "$ROOT" >"$T/bin/knarr"
  chmod 755 "$T/bin/knarr"
  PATH=$T/bin:$PATH
  while IFS= read -r line <&3; do
    case $line in
      *--detach*) bash -c "$line" >"$T/out" 2>&1 || fail "$line: $(<"$T/out")" ;;
      'knarr run '* | 'knarr exec -t '*) script -qec "$line" "$T/out" <<<exit >/dev/null || fail "$line: $(<"$T/out")" ;;
      *) bash -ec "$line" >"$T/out" 2>&1 || fail "$line: $(<"$T/out")" ;;
    esac
    lines=$((lines + 1))
  done 3< <(sed -n '/^A bundle of your own:/,/^Or from/s/^    //p' "$STAGE/README.md")
  [ $lines -ge 9 ] || fail "README.md has $lines lines of it"
}

test_example_configurations_parse() {
  differs runc,crun 'examples are of this project'
  /usr/bin/python3 - "$STAGE/examples" <<'PYTHON'
import sys, tomllib, pathlib
examples = pathlib.Path(sys.argv[1])
engine = tomllib.loads((examples / "containers.conf").read_text())["engine"]
assert engine["runtime"] in engine["runtimes"]
text = (examples / "runtimeclass.yaml").read_text()
lines = [line for line in text.splitlines() if not line.startswith("#")]
assert lines == ["apiVersion: node.k8s.io/v1", "kind: RuntimeClass", "metadata:", "  name: knarr", "handler: knarr"], lines
toml = "\n".join(line.removeprefix("#").removeprefix("   ") for line in text.splitlines() if line.startswith("#   "))
options = tomllib.loads(toml)["plugins"]["io.containerd.cri.v1.runtime"]["containerd"]["runtimes"]["knarr"]["options"]
assert options == {"BinaryName": "/usr/local/bin/knarr", "SystemdCgroup": True}, options
PYTHON
}
