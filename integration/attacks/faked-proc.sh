# What writes labels, kernel parameters and scores does not take a folder of the container's for /proc: each takes effect, or is refused.
# shellcheck shell=bash disable=SC2016

# shellcheck source=../words/faked-proc.sh
. "$STAGE/words/faked-proc.sh"

has_domain() { [ "$(nsenter --target "$PID" --uts cat /proc/sys/kernel/domainname)" = it.example ]; }
test_control_with_a_true_proc() {
  fakes
  bundle c1 'args(["sleep", "100"]) | .linux.sysctl = {"kernel.domainname": "it.example"} | .process.oomScoreAdj = 77'
  run_ok run --detach --bundle "$B" c1
  pid_of c1
  has_domain || fail 'no domain'
  assert_eq "$(<"/proc/$PID/oom_score_adj")" 77
}

test_a_kernel_parameter() {
  fakes
  differs runc,crun "not looked at"
  each '.linux.sysctl = {"kernel.domainname": "it.example"}' has_domain
  [ $MADE -gt 0 ] || fail 'all was refused'
}

has_score() { [ "$(<"/proc/$PID/oom_score_adj")" = 77 ]; }
test_the_oom_score() {
  fakes
  differs runc,crun "not looked at"
  each '.process.oomScoreAdj = 77' has_score
  [ $MADE -gt 0 ] || fail 'all was refused'
}

is_confined() { [[ $(<"/proc/$PID/attr/current") == knarr-fake* ]]; }
test_an_apparmor_profile() {
  fakes
  differs runc,crun "not looked at"
  requires file /sys/kernel/security/apparmor
  requires file /sbin/apparmor_parser
  printf 'profile knarr-fake {\nfile,\nsignal,\n}\n' | apparmor_parser -K -r
  bundle c1 'args(["sleep", "100"]) | .process.apparmorProfile = "knarr-fake"' # the control
  run_ok run --detach --bundle "$B" c1
  pid_of c1
  is_confined || fail 'a true /proc does not do'
  run_ok delete --force c1
  each '.process.apparmorProfile = "knarr-fake"' is_confined
  [ $REFUSED -gt 0 ] || fail 'nothing was refused'
}

# What follows a profile's name is not a second request of the kernel.
test_a_profile_that_holds_another_request() {
  disposable
  requires file /sys/kernel/security/apparmor
  requires file /sbin/apparmor_parser
  printf 'profile knarr-fake {\nfile,\nsignal,\n}\n' | apparmor_parser -K -r
  local profile
  for profile in 'knarr-fake\nexec unconfined' 'knarr-fake unconfined' 'knarr-fake\u0000exec unconfined'; do
    rm -rf "$T/c1"
    bundle c1 "args([\"sleep\", \"100\"]) | .process.apparmorProfile = \"$profile\""
    rt run --detach --bundle "$B" c1
    [ "$RC" = 0 ] || continue
    pid_of c1
    is_confined || fail "$profile: it is $(<"/proc/$PID/attr/current")"
    run_ok delete --force c1
  done
}
