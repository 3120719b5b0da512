# No descriptor, executable or memory of the host's is reached from a container, at any time of its life.
# shellcheck shell=bash disable=SC2016

# shellcheck source=../words/exec.sh
. "$STAGE/words/exec.sh"
# shellcheck source=../words/visible.sh
. "$STAGE/words/visible.sh"

test_control_a_descriptor_of_the_callers_that_is_passed_on() {
  disposable
  mkdir "$T/host"
  bundle c1 'sh("ls -d /proc/self/fd/3/../host")'
  exec 3<"$T/host"
  run_ok run --preserve-fds 1 --bundle "$B" c1
  assert_match "$OUT" /proc/self/fd/3
}

test_a_program_and_a_directory_by_descriptors_of_the_runtime() { # CVE-2024-21626
  disposable
  local n word
  exec 3<"$T"
  for n in 3 4 5 6 7 8 9 10 11 12; do
    for word in "args([\"/proc/self/fd/$n/../../../../bin/sh\", \"-c\", \"echo out\"])" ".process.cwd = \"/proc/self/fd/$n\" | args([\"ls\", \"../../../..\"])" \
      ".process.cwd = \"/proc/self/fd/$n/../../..\" | args([\"ls\"])"; do
      rm -rf "$T/c1"
      bundle c1 "$word"
      rt run --bundle "$B" c1
      [ "$RC" != 0 ] || assert_no_match "$OUT" 'out|lost\+found|boot|state' "$word"
    done
  done
}

test_what_a_container_has_open_when_it_starts() {
  disposable
  mkdir -p "$ROOT"
  exec 3<"$T" 4<"$ROOT" 5</
  in_container 'ls /proc/self/fd'
  assert_eq "$OUT" $'0\n1\n2\n3' # ls's own
  running
  within 'ls /proc/self/fd'
  assert_eq "$OUT" $'0\n1\n2\n3'
}

test_what_is_open_in_a_container_that_waits() {
  disposable
  differs runc,crun "have directories open as long as they wait"
  secrets_of_the_caller
  bundle c1 'args(["sleep", "1000"])'
  run_ok create --bundle "$B" c1
  pid_of c1
  nothing_of_the_hosts
  run_ok start c1
  nothing_of_the_hosts
}

test_what_is_open_in_hooks() {
  disposable
  differs runc "those of createContainer have more open"
  secrets_of_the_caller
  bundle c1 --arg t "$T" 'args(["true"]) | .process.env += ["FROM=config"] |
    reduce ("prestart", "createRuntime", "createContainer", "poststart", "poststop") as $kind (.; hook($kind; "ls /proc/self/fd | tr \"\\n\" \" \" >>\($t)/\($kind)"))'
  run_ok run --bundle "$B" c1
  local kind
  for kind in prestart createRuntime createContainer poststart poststop; do
    assert_match "$(<"$T/$kind")" '^0 1 2 3 $' "$kind" # ls's own
  done
}

test_the_runtime_as_the_program_of_its_own() { # CVE-2019-5736
  disposable
  local before program
  before=$(sha256sum <"$RUNTIME")
  bundle c1 'rw | caps(["CAP_DAC_OVERRIDE", "CAP_SYS_PTRACE"]) | args(["sleep", "1000"])'
  rm -rf "$B/rootfs" && cp -a "$WORK/rootfs" "$B/rootfs"
  printf '#!/proc/self/exe\n' >"$B/rootfs/script"
  ln -s /proc/self/exe "$B/rootfs/self"
  chmod 755 "$B/rootfs/script"
  run_ok run --detach --bundle "$B" c1
  run_ok exec --detach c1 sh -c 'while :; do for p in /proc/[0-9]*; do
    [ "$p" != /proc/1 ] && [ "$p" != "/proc/$$" ] || continue
    case $(readlink "$p/exe") in *busybox) continue ;; esac
    echo broken >>"$p/exe"; for m in "$p"/map_files/*; do echo broken >>"$m"; done
  done 2>/dev/null; done'
  for program in /script /self /proc/self/exe; do
    rt exec c1 "$program" --version
    rm -rf "$T/c2"
    bundle c2 --arg p "$program" 'rw | args([$p, "--version"])'
    cp -a "$T/c1/rootfs/script" "$T/c1/rootfs/self" "$B/rootfs/" 2>/dev/null
    rt run --bundle "$B" c2
    rm -f "$B/rootfs/script" "$B/rootfs/self"
    assert_eq "$(sha256sum <"$RUNTIME")" "$before" "$program: the runtime"
  done
}

test_a_process_that_comes_is_not_traced_before_it_is_the_containers() { # CVE-2016-9962
  disposable
  bundle c1 'rw | caps(["CAP_DAC_OVERRIDE"]) | args(["sleep", "1000"])'
  run_ok run --detach --bundle "$B" c1
  run_ok exec --detach c1 sh -c 'while :; do for p in /proc/[0-9]*; do
    [ "$p" != /proc/1 ] && [ "$p" != "/proc/$$" ] || continue
    ls -d "$p/root/outside-of-the-container" "$p/cwd/outside-of-the-container"
  done 2>/dev/null; done >/tmp/seen'
  local n
  touch "$T/outside-of-the-container"
  cd "$T"
  for n in {1..30}; do run_ok exec c1 true; done
  run_ok exec c1 cat /tmp/seen
  assert_eq "$OUT" ''
}

# Hooks are the host's programs: what an image puts into the environment is not for them.
test_hooks_have_no_environment_of_the_images() { # CVE-2025-23266
  disposable
  bundle c1 --arg t "$T" 'args(["true"]) | .process.env += ["LD_PRELOAD=/evil.so", "BASH_ENV=/evil", "PATH=/evil:/bin"] |
    hook("createRuntime"; "env >>\($t)/hooks") | hook("createContainer"; "env >>\($t)/hooks") | hook("poststart"; "env >>\($t)/hooks") |
    hook("poststop"; "env >>\($t)/hooks")'
  run_ok run --detach --bundle "$B" c1
  eventually has_status c1 stopped
  run_ok delete c1
  assert_match "$(<"$T/hooks")" PWD # the control
  assert_no_match "$(<"$T/hooks")" evil
}

test_no_abstract_socket_is_bound() { # CVE-2020-15257
  disposable
  abstract() { awk '$8 ~ /^@/ {print $8}' /proc/net/unix | sort -u; }
  local before holder
  before=$(abstract)
  /usr/bin/python3 -c 'import socket, time; s = socket.socket(socket.AF_UNIX); s.bind("\0knarr-control"); time.sleep(1000)' &
  holder=$!
  eventually eval 'grep -q @knarr-control /proc/net/unix' # the control
  kill $holder
  wait $holder 2>/dev/null || :
  bundle c1 'args(["sleep", "1000"]) | no_ns("network")'
  run_ok create --bundle "$B" c1
  assert_eq "$(abstract)" "$before"
  run_ok start c1
  assert_eq "$(abstract)" "$before"
}
