# Bundles of images that other tools made, and what runs in them. umoci's own unpacking is what a layer must become.
# shellcheck shell=bash
CASE_LIMIT=90 # other tools take their time

# image [LAYER-FUNCTION...]: an image oci:$T/img:v1 of the suite's root file system, and for each function a layer of what it
# changes in $ROOTFS.
image() {
  local change
  ROOTFS=$T/work/rootfs
  umoci init --layout "$T/img"
  umoci new --image "$T/img:v1"
  umoci unpack --image "$T/img:v1" "$T/work" 2>/dev/null
  cp -a "$WORK/rootfs/." "$ROOTFS/"
  umoci repack --refresh-bundle --image "$T/img:v1" "$T/work" 2>/dev/null
  for change; do
    "$change"
    umoci repack --refresh-bundle --image "$T/img:v1" "$T/work" 2>/dev/null
  done
}

# knarr_bundle store|copy SOURCE [ARG...]: make $B of an image; it runs in a cgroup of this case's.
knarr_bundle() {
  local unpack=(--copy) source=$2
  [ "$1" = copy ] || unpack=(--store "$T/store")
  shift 2
  B=$T/bundle
  rm -rf "$B"
  "$RUNTIME" bundle --image "$source" "${unpack[@]}" "$B" "$@" 2>"$T/err" || fail "$(<"$T/err")"
  [ ! -s "$T/err" ] || fail "not silent: $(<"$T/err")"
  change '.'
}
change() { # FILTER: of the config.json of $B
  jq --arg c "$BASE/c1" "$JQ_WORDS .linux.cgroupsPath = \$c | $1" "$B/config.json" >"$T/config.json"
  cp "$T/config.json" "$B/config.json"
}
no_bundle() { # REGEX ARG...: it fails so, in one line, and nothing is made
  local rc=0 regex=$1
  shift
  "$RUNTIME" bundle "$@" >"$T/out" 2>"$T/err" || rc=$?
  assert_eq "$rc" 1 status
  assert_match "$(<"$T/err")" "$regex"
  assert_eq "$(wc -l <"$T/err")" 1 lines
  assert_absent "$T/bundle"
}
knarr_only() { differs runc,crun,youki 'no bundles from images'; }

# merged: the overlay that a container of $B would see, read-only, at $T/merged.
merged() {
  local lower
  lower=$(jq -r '.annotations["org.knarr.overlay.lowerdir"]' "$B/config.json")
  mkdir -p "$T/merged" "$T/empty"
  mount -t overlay -o "ro,lowerdir=$lower:$T/empty" none "$T/merged"
}
as_umoci() { # FOLDER [SED-SCRIPT]: it holds what umoci unpacks
  umoci unpack --image "$T/img:v1" "$T/umoci" 2>/dev/null
  "$STAGE/helpers/tree" "$T/umoci/rootfs" | sed -E "${2:-}" >"$T/tree.umoci"
  "$STAGE/helpers/tree" "$1" | sed -E "${2:-}" >"$T/tree.knarr"
  diff "$T/tree.umoci" "$T/tree.knarr" >"$T/diff" || fail "$(head -20 "$T/diff")"
  rm -rf "$T/umoci"
}
# umoci itself changes the times of folders in which it deletes.
NO_FOLDER_TIMES='s/(.* 0o4[0-7]+ .*) [0-9]+$/\1/'

test_an_image_runs() {
  knarr_only
  image
  umoci config --image "$T/img:v1" --config.user user --config.env GREETING=hello --config.workingdir /home/user \
    --config.entrypoint sh --config.entrypoint=-c --config.cmd 'echo $GREETING $(id -u):$(id -g) $(pwd)' \
    --config.label a.label=x --config.label org.opencontainers.image.title=t --config.stopsignal SIGQUIT --config.exposedports 80/tcp
  knarr_bundle store "oci:$T/img:v1"
  run_ok run --bundle "$B" c1
  assert_eq "$OUT" 'hello 1000:1000 /home/user'
  assert_jq "$(<"$B/config.json")" '.annotations | has("a.label") == false and .["org.opencontainers.image.title"] == "t" and .["org.opencontainers.image.stopSignal"] == "SIGQUIT"
    and .["org.opencontainers.image.exposedPorts"] == "80/tcp"'
}

test_what_a_container_writes_is_gone_with_it() {
  knarr_only
  image
  knarr_bundle store "$T/img:v1" -- sh -c 'ls /tmp; echo x >/tmp/new && rm -r /home && ls -d /tmp/* /home'
  for _ in 1 2; do
    rt run --bundle "$B" c1
    assert_eq "$OUT" /tmp/new
  done
}

test_arguments_and_terminal_are_the_callers() {
  knarr_only
  image
  knarr_bundle store "$T/img:v1" --tty -- sh -c 'test -t 0 && echo "$1"' name 'two words'
  OUT=$(timeout 20 "$STAGE/helpers/tty" "$RUNTIME" --root "$ROOT" run --bundle "$B" c1 </dev/null)
  assert_eq "$OUT" $'two words\r'
}

all_kinds() {
  mkdir -p "$ROOTFS/kinds/deep/er"
  mknod "$ROOTFS/kinds/null" c 1 3
  mknod "$ROOTFS/kinds/disk" b 7 200
  mkfifo -m 640 "$ROOTFS/kinds/fifo"
  echo data >"$ROOTFS/kinds/file"
  ln "$ROOTFS/kinds/file" "$ROOTFS/kinds/again"
  ln -s ../../../outside "$ROOTFS/kinds/link"
  chown -h 12:34 "$ROOTFS/kinds/link"
  cp "$ROOTFS/bin/busybox" "$ROOTFS/kinds/setuid"
  chown 1000:1000 "$ROOTFS/kinds/setuid"
  chmod 6755 "$ROOTFS/kinds/setuid"
  chmod 1770 "$ROOTFS/kinds/deep"
  chown 3000000000:3 "$ROOTFS/kinds/deep/er"
  touch -d 2001-02-03 "$ROOTFS/kinds/deep" "$ROOTFS/kinds/deep/er"
  touch "$ROOTFS/kinds/"$'not-\xff-utf8' "$ROOTFS/kinds/$(printf 'long%.0s' {1..60})"
  truncate -s 3M "$ROOTFS/kinds/sparse"
  python3 - "$ROOTFS/kinds" <<'PY'
import os, sys
root = sys.argv[1]
try:
    os.setxattr(root + "/file", "user.lines", b"a\nb\0\xff\n")
    os.setxattr(root + "/deep", "user.folder", b"x")
except OSError: # tmpfs before Linux 6.6 has none of these
    pass
# cap_dac_override, cap_fowner: bits 1 and 3 make a byte of 10, a newline
os.setxattr(root + "/again", "security.capability", b"\1\0\0\2\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")
PY
}

test_files_of_all_kinds() {
  knarr_only
  image all_kinds
  knarr_bundle store "oci:$T/img:v1" -- true
  merged
  as_umoci "$T/merged"
  umount "$T/merged"
  knarr_bundle copy "oci:$T/img:v1" -- true
  as_umoci "$B/rootfs"
}

makes() { mkdir -p "$ROOTFS/d/sub/deep" "$ROOTFS/r"; touch "$ROOTFS"/{d,d/sub,d/sub/deep,r}/{1,2,3} "$ROOTFS/f" "$ROOTFS/g"; }
deletes() { rm -r "$ROOTFS/d/sub/deep" "$ROOTFS/d/1" "$ROOTFS/f"; }
replaces() {
  rm -r "$ROOTFS/r" "$ROOTFS/g" "$ROOTFS/d/sub"
  mkdir "$ROOTFS/r" "$ROOTFS/g"
  touch "$ROOTFS/r/4" "$ROOTFS/g/1"
  ln -s r "$ROOTFS/d/sub"
}
makes_again() { mkdir -p "$ROOTFS/f" "$ROOTFS/d/1"; touch "$ROOTFS/f/new"; rm "$ROOTFS/d/sub"; mkdir "$ROOTFS/d/sub"; }

test_deletions_and_replacements_across_layers() {
  knarr_only
  image makes deletes replaces makes_again
  knarr_bundle store "oci:$T/img:v1" -- true
  merged
  as_umoci "$T/merged" "$NO_FOLDER_TIMES"
  umount "$T/merged"
  knarr_bundle copy "oci:$T/img:v1" -- true
  as_umoci "$B/rootfs" "$NO_FOLDER_TIMES"
}

opaque_layer() {
  mkdir -p "$T/opaque/d"
  touch "$T/opaque/d/.wh..wh..opq" "$T/opaque/d/.wh.1" "$T/opaque/d/only"
  tar -C "$T/opaque" -cf "$T/opaque.tar" d
  umoci raw add-layer --image "$T/img:v1" "$T/opaque.tar"
}

test_opaque_folders_hide_what_is_below() {
  knarr_only
  image makes
  opaque_layer
  knarr_bundle store "oci:$T/img:v1" -- sh -c 'cd /d && echo *'
  run_ok run --bundle "$B" c1
  assert_eq "$OUT" only
  [ "$MODE" = native ] || return 0 # tmpfs before Linux 6.6 does not have the attribute
  # An overlay that is mounted in a user namespace reads other attributes.
  change userns
  run_ok run --bundle "$B" c1
  assert_eq "$OUT" only
}

one_more() { N=$((${N:-0} + 1)); echo "$N" >"$ROOTFS/opt/$N"; [ "$N" -lt 3 ] || rm "$ROOTFS/opt/$((N - 2))"; }

test_many_layers() {
  knarr_only
  local layers=()
  for _ in {1..35}; do layers+=(one_more); done
  image "${layers[@]}"
  knarr_bundle store "oci:$T/img:v1" -- sh -c 'cd /opt && echo *'
  assert_jq "$(<"$B/config.json")" '.annotations["org.knarr.overlay.lowerdir"] | split(":") | length == 36'
  run_ok run --bundle "$B" c1
  assert_eq "$OUT" '34 35'
  knarr_bundle copy "oci:$T/img:v1" -- sh -c 'cd /opt && echo *'
  as_umoci "$B/rootfs" "$NO_FOLDER_TIMES"
}

test_archives_of_docker_save_and_of_layouts() {
  knarr_only
  image one_more
  umoci config --image "$T/img:v1" --config.cmd cat --config.cmd /opt/1
  skopeo --insecure-policy copy -q "oci:$T/img:v1" "docker-archive:$T/saved.tar:box/thing:7"
  skopeo --insecure-policy copy -q "oci:$T/img:v1" "oci-archive:$T/layout.tar:v1"
  local source
  for source in "docker-archive:$T/saved.tar" "docker-archive:$T/saved.tar:box/thing:7" "$T/saved.tar" "$T/saved.tar:box/thing:7" \
    "oci:$T/layout.tar:v1" "$T/layout.tar"; do
      knarr_bundle store "$source"
    run_ok run --bundle "$B" c1
    assert_eq "$OUT" 1 "$source"
  done
  # All have the same layers.
  local layers=("$T"/store/layers/sha256/*)
  assert_eq "${#layers[@]}" 2
}

test_layers_compressed_by_zstd() {
  knarr_only
  image all_kinds
  skopeo --insecure-policy copy -q --dest-compress --dest-compress-format zstd "oci:$T/img:v1" "oci:$T/zstd:v1"
  local blobs
  blobs=$(for f in "$T"/zstd/blobs/sha256/*; do head -c 4 "$f" | od -An -tx1; done)
  assert_match "$blobs" '28 b5 2f fd'
  knarr_bundle copy "oci:$T/zstd:v1" -- true
  as_umoci "$B/rootfs"
}

test_a_copied_bundle_runs_with_other_runtimes() {
  knarr_only
  local other
  image
  umoci config --image "$T/img:v1" --config.user 1000 --config.volume /home/user --config.cmd sh --config.cmd=-c \
    --config.cmd 'id -u; stat -c "%u %a" /home/user; touch /home/user/x && echo wrote'
  knarr_bundle copy "oci:$T/img:v1"
  change 'del(.linux.resources)' # loading a device filter is not what this is about
  for other in "$RUNTIME" runc crun; do
    command -v "$other" >/dev/null || continue
    OUT=$("$other" --root "$T/other" run --bundle "$B" c1 2>&1) || fail "$other: $OUT"
    assert_eq "$OUT" $'1000\n1000 755\nwrote' "$other"
  done
}

test_an_interrupted_unpacking_leaves_the_store_whole() {
  knarr_only
  image
  head -c 100M /dev/urandom >"$ROOTFS/big"
  umoci repack --image "$T/img:v1" "$T/work" 2>/dev/null
  "$RUNTIME" bundle --image "oci:$T/img:v1" --store "$T/store" "$T/bundle" -- true &
  eventually compgen -G "$T/store/tmp/*/big" >/dev/null
  kill -KILL $!
  wait $! || :
  local layers=("$T"/store/layers/sha256/*) left=("$T"/store/tmp/*)
  assert_eq "${#layers[@]}" 0 layers
  [ ${#left[@]} -gt 0 ] || fail 'nothing was interrupted'
  knarr_bundle store "oci:$T/img:v1" -- true
  left=("$T"/store/tmp/*)
  assert_eq "${#left[@]}" 0 'left in tmp'
  merged
  as_umoci "$T/merged"
  umount "$T/merged"
}

test_a_bar_on_a_terminal_only() {
  knarr_only
  image all_kinds
  OUT=$(TERM=xterm "$STAGE/helpers/tty" "$RUNTIME" bundle --image "oci:$T/img:v1" --copy "$T/bundle" -- true </dev/null)
  assert_match "$OUT" unpacking
}

test_a_line_a_layer_where_asked_and_what_was_made_at_the_end() {
  knarr_only
  image all_kinds
  OUT=$("$RUNTIME" bundle --image "oci:$T/img:v1" --store "$T/store" --progress plain "$T/bundle" -- true 2>"$T/err")
  assert_match "$OUT" "^$T/bundle: oci:$T/img:v1, 2 layers, .*, 2 unpacked into the store; to run it: knarr run --bundle $T/bundle bundle$"
  assert_match "$(<"$T/err")" '^unpacking layer 1 of 2: sha256:[0-9a-f]{64}, [0-9.]+ [KM]?i?B.unpacking layer 2 of 2: '
  OUT=$("$RUNTIME" bundle --image "oci:$T/img:v1" --store "$T/store" "$T/again" -- true 2>"$T/err")
  assert_match "$OUT" 'all in the store already'
  assert_eq "$(<"$T/err")" ''
  B=$T/bundle
  change .
  run_ok run --bundle "$B" c1
}

test_errors_name_what_is_wrong() {
  knarr_only
  image
  local blob
  no_bundle 'oci:.*/img:v2: there is no tag "v2"; there are: v1' --image "oci:$T/img:v2" --copy "$T/bundle" -- true
  no_bundle 'names no program' --image "oci:$T/img:v1" --copy "$T/bundle"
  umoci config --image "$T/img:v1" --config.user nobody
  no_bundle 'user "nobody" is not in the image.s /etc/passwd' --image "oci:$T/img:v1" --copy "$T/bundle" -- true
  no_bundle 'user "nobody" is not in' --image "oci:$T/img:v1" --store "$T/store" "$T/bundle" -- true
  blob=$(find "$T/img/blobs" -size +200k)
  printf X | dd of="$blob" bs=1 seek=5000 conv=notrunc status=none
  no_bundle 'layer sha256:[0-9a-f]{64}: ' --image "oci:$T/img:v1" --store "$T/fresh" "$T/bundle" -- true
  local left=("$T"/fresh/tmp/* "$T"/fresh/layers/sha256/*)
  assert_eq "${#left[@]}" 0 left
}

test_a_debian_image() {
  knarr_only
  requires debian
  requires native 'a minute otherwise'
  ROOTFS=$T/work/rootfs
  umoci init --layout "$T/img"
  umoci new --image "$T/img:v1"
  umoci unpack --image "$T/img:v1" "$T/work" 2>/dev/null
  cp -a "$DEBIAN/." "$ROOTFS/"
  umoci repack --image "$T/img:v1" "$T/work" 2>/dev/null
  rm -rf "$T/work"
  umoci config --image "$T/img:v1" --config.user www-data:mail --config.cmd sh --config.cmd=-c --config.cmd 'id; cat /etc/debian_version'
  knarr_bundle store "oci:$T/img:v1"
  run_ok run --bundle "$B" c1
  assert_match "$OUT" 'uid=33\(www-data\) gid=8\(mail\) groups=8\(mail\)'
}

test_an_ordinary_users_bundle() {
  knarr_only
  python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.knarr", b"x")' "$T" 2>/dev/null || skip 'needs user attributes on /tmp (tmpfs: Linux 6.6)'
  image makes deletes replaces
  opaque_layer
  umoci config --image "$T/img:v1" --config.user user
  # shellcheck source=rootless.sh
  . "$STAGE/tests/rootless.sh"
  as_user
  chmod -R a+rX "$T/img"
  "$RUNTIME" bundle --image "oci:$T/img:v1" --store "$T/store" "$T/bundle" -- sh -c 'echo $(id -u) /d/* /f /r/*; touch /tmp/new' >"$T/made" 2>"$T/out" ||
    fail "$(<"$T/out")"
  assert_eq "$(<"$T/out")" ''
  run_ok run --bundle "$T/bundle" c1
  assert_eq "$OUT" "1000 /d/only /f /r/4"
  assert_eq "$(stat -c '%u %a' "$T/store")" '1000 700'
}

leaning() { # for `image`
  mkdir -p "$ROOTFS/usr/lib" "$ROOTFS/closed/deep"
  [ -e "$ROOTFS/lib" ] || ln -s usr/lib "$ROOTFS/lib"
  echo old >"$ROOTFS/usr/lib/old"
  chown -R 1234:4321 "$ROOTFS/closed"
  chmod 700 "$ROOTFS/closed" "$ROOTFS/closed/deep"
}
# Entries whose folders, and hard links whose files, are in the layer below alone.
test_a_layer_that_names_what_is_below_it() {
  knarr_only
  image leaning
  python3 -c 'import io, sys, tarfile
with tarfile.open(sys.argv[1], "w") as layer:
    for name, target in [("lib/new", None), ("closed/deep/x", None), ("closed/second", "usr/lib/old"), ("third", "lib/old")]:
        entry = tarfile.TarInfo(name)
        entry.mtime = 1000000
        if target:
            entry.type, entry.linkname = tarfile.LNKTYPE, target
        layer.addfile(entry)' "$T/layer.tar"
  umoci raw add-layer --image "$T/img:v1" "$T/layer.tar" 2>/dev/null || skip "this umoci adds no layers"
  knarr_bundle store "$T/img:v1" -- sh -c 'cd /; ls -l usr/lib/new lib/new >/dev/null && stat -c "%u:%g %a" /closed /closed/deep && cat third && stat -c %h third'
  merged
  as_umoci "$T/merged" "$NO_FOLDER_TIMES"
  umount "$T/merged"
  change '.process.user = {uid: 0, gid: 0}'
  run_ok run --bundle "$B" c1
  assert_eq "$OUT" $'1234:4321 700\n1234:4321 700\nold\n3'
  knarr_bundle copy "$T/img:v1" -- true
  as_umoci "$B/rootfs" "$NO_FOLDER_TIMES"
}

test_an_image_for_another_machine_is_a_warning() {
  knarr_only
  image
  umoci config --image "$T/img:v1" --architecture s390x --config.cmd true
  "$RUNTIME" bundle --image "$T/img:v1" --store "$T/store" "$T/bundle" >"$T/out" 2>"$T/err" || fail "$(<"$T/err")"
  assert_match "$(<"$T/err")" 'warning: .*the image is for s390x, and this machine is '
}
