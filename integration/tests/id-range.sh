# The annotation org.knarr.id-range: an ordinary user's container whose ids of the machine are found, in /etc/subuid or by
# systemd-nsresourced. systemctl(1) wants to see the machine's pids.
# pids: host
# shellcheck shell=bash disable=SC2016 # $names in single quotes are jq's

# shellcheck source=../words/user.sh
. "$STAGE/words/user.sh"

CASE_LIMIT=120
FOUND='def found(size): del(.linux.uidMappings, .linux.gidMappings) | .annotations["org.knarr.id-range"] = size;
  def layer: rw | caps(["CAP_CHOWN"]) | .annotations["org.knarr.overlay"] = "ephemeral";'
SERVICE=systemd-nsresourced
REGISTRY=/run/systemd/nsresource/registry

# lender [DROP-IN]: systemd-nsresourced is there, with these lines in its unit; the caller has no range of /etc/subuid.
lender() {
  differs runc,crun 'no such annotation'
  requires vm 'systemd-nsresourced takes BPF for security modules'
  [ -e /usr/lib/systemd/systemd-nsresourced ] || skip 'needs systemd-nsresourced'
  as_user ''
  systemctl stop $SERVICE.socket $SERVICE.service 2>/dev/null || :
  mkdir -p /run/systemd/system/$SERVICE.service.d
  printf '[Service]\n%s\n' "${1:-}" >/run/systemd/system/$SERVICE.service.d/it.conf
  systemctl daemon-reload
  systemctl reset-failed $SERVICE.service 2>/dev/null || :
  systemctl start $SERVICE.socket
}
lent() { compgen -G "$REGISTRY/*.userns" >/dev/null; }
is_released() { ! lent; }

test_a_range_of_subuid_is_taken_first() {
  differs runc,crun 'no such annotation'
  command -v newuidmap >/dev/null || skip 'needs newuidmap'
  as_user 100000:65536
  in_own_container 'id -u; tr -s " " </proc/self/uid_map; tr -s " " </proc/self/gid_map; touch /f && chown 33:44 /f && stat -c %u:%g /f' "$FOUND"' found("65536") | layer'
  assert_eq "$OUT" $'0\n 0 100000 65536\n 0 100000 65536\n33:44'
}

test_nobody_gives_a_range() {
  differs runc,crun 'no such annotation'
  [ "$MODE" != vm ] || systemctl stop $SERVICE.socket $SERVICE.service 2>/dev/null || :
  as_user ''
  own_bundle c1 "$FOUND"' found("65536")'
  run_fails 1 'org\.knarr\.id-range: nobody gives this user 65536 ids: .*/etc/subuid.*newuidmap.*systemd-nsresourced' create --bundle "$B" c1
  echo 1000:100000:1000 >"$T/subids"
  run_fails 1 'nobody gives this user 65536 ids' create --bundle "$B" c1
}

test_root_names_its_ids() {
  differs runc,crun 'no such annotation'
  bundle c1 "$FOUND"' found("65536") | .linux.namespaces += [{type: "user"}]'
  run_fails 1 'org\.knarr\.id-range: is for an ordinary user' create --bundle "$B" c1
}

test_ids_are_lent_and_given_back() {
  lender
  local first out
  own_bundle c1 --arg script 'tr -s " " </proc/self/uid_map; tr -s " " </proc/self/gid_map; mkdir -m 777 /shared; touch /f; chown 33:44 /f; stat -c %u:%g /f; sleep 1000' \
    "$FOUND"' found("65536") | layer | sh($script)'
  run_ok run --detach --bundle "$B" c1
  out=$LOG
  eventually grep -q '^33:44' "$out"
  lent || fail 'no range in the registry'
  first=$(sed -nE '1s/^ 0 ([0-9]+) 65536$/\1/p' "$out")
  [ "${first:-0}" -ge 524288 ] || fail "no range above those of people: $(<"$out")"
  assert_eq "$(<"$out")" " 0 $first 65536"$'\n'" 0 $first 65536"$'\n33:44'
  run_ok exec c1 sh -c 'id -u; stat -c %u /f'
  assert_eq "$OUT" $'0\n33'
  run_ok exec --user 33:44 --additional-gids 55 c1 sh -c 'id -u; id -G; touch /shared/g; stat -c %u:%g /shared/g'
  assert_eq "$OUT" $'33\n44 55\n33:44'
  pid_of c1
  assert_eq "$(stat -c %u "/proc/$PID/root/f")" $((first + 33)) 'the owner outside'
  run_ok delete --force c1
  eventually is_released
}

test_one_id_is_lent() {
  lender
  in_own_container 'id -u; tr -s " " </proc/self/uid_map' "$FOUND"' found("1") | layer'
  assert_match "$OUT" $'^0\n 0 [0-9]+ 1$'
  eventually is_released
}

# The caller's own is as good as anybody's to it.
test_what_is_the_callers_alone_is_closed_to_it() {
  lender
  mkdir "$T/data"
  echo secret >"$T/data/f"
  chown -R 1000:1000 "$T/data"
  chmod 600 "$T/data/f"
  in_own_container 'stat -c %u /data/f; cat /data/f; touch /data/g; true' --arg s "$T/data" "$FOUND"' found("65536") | layer | bind($s; "/data"; [])'
  assert_match "$OUT" '^65534'
  assert_no_match "$OUT" secret
  assert_absent "$T/data/g"
}

test_a_service_that_cannot_watch() {
  lender 'CapabilityBoundingSet=~CAP_BPF CAP_SYS_ADMIN CAP_PERFMON'
  own_bundle c1 "$FOUND"' found("65536")'
  run_fails 1 'org\.knarr\.id-range: systemd-nsresourced: ' create --bundle "$B" c1
  is_released || fail 'a range is kept'
}

test_a_service_that_is_not_up() {
  lender 'ExecStartPre=/bin/false'
  own_bundle c1 "$FOUND"' found("65536")'
  run_fails 1 'org\.knarr\.id-range: .*(nsresourced|NamespaceResource)' create --bundle "$B" c1
}

test_a_service_that_is_silent_has_a_bound() {
  lender 'ExecStartPre=/bin/sleep 100'
  own_bundle c1 "$FOUND"' found("65536")'
  FLAGS=(--timeout 2s)
  run_fails 1 'systemd-nsresourced' create --bundle "$B" c1
  systemctl kill --signal=KILL $SERVICE.service || :
}

test_check_tells_who_lends() {
  lender
  rt check --format json
  assert_jq "$OUT" 'any(.. | objects; .name? == "systemd-nsresourced" and .verdict == "ok")'
  eventually is_released
}
