# What an image says and holds takes no memory, time or right that whoever runs it has not given.
# shellcheck shell=bash disable=SC2016

test_control_a_tmpfs_is_filled() {
  bundle c1 'sh("cat /opt/v/file") | tmpfs("/opt/v"; ["tmpcopyup"])'
  rm -rf "$B/rootfs" && cp -a "$WORK/rootfs" "$B/rootfs"
  mkdir "$B/rootfs/opt/v"
  echo filled >"$B/rootfs/opt/v/file"
  run_ok run --bundle "$B" c1
  assert_eq "$OUT" filled
}

test_holes_take_no_memory() {
  differs runc,crun "not looked at"
  bundle c1 'sh("stat -c \"%s %b\" /opt/v/hole /opt/v/island; head -c 1048578 /opt/v/island | busybox tail -c 2") | tmpfs("/opt/v"; ["tmpcopyup", "size=1m"])'
  rm -rf "$B/rootfs" && cp -a "$WORK/rootfs" "$B/rootfs"
  mkdir "$B/rootfs/opt/v"
  truncate -s 1G "$B/rootfs/opt/v/hole"
  truncate -s 1M "$B/rootfs/opt/v/island"
  printf abcd >>"$B/rootfs/opt/v/island"
  truncate -s 2M "$B/rootfs/opt/v/island"
  run_ok run --bundle "$B" c1
  assert_match "$OUT" '1073741824 0'
  assert_match "$OUT" '2097152 8'
  assert_match "$OUT" 'ab'
}

test_copies_have_a_limit() {
  differs runc,crun "not looked at"
  # Real data, but only what is on this machine's disk once: the limit is met before it is read twice.
  bundle c1 'args(["true"]) | tmpfs("/opt/v"; ["tmpcopyup"]) | tmpfs("/opt/w"; ["tmpcopyup", "size=50%"])'
  rm -rf "$B/rootfs" && cp -a "$WORK/rootfs" "$B/rootfs"
  mkdir "$B/rootfs/opt/v" "$B/rootfs/opt/w"
  head -c 300M /dev/zero >"$B/rootfs/opt/v/data"
  ln "$B/rootfs/opt/v/data" "$B/rootfs/opt/w/data"
  run_fails 1 'tmpcopyup of /opt/w: more than 512 MiB would be copied into memory; the mount.s option size= allows more' run --bundle "$B" c1
}

test_the_limit_can_be_lifted_by_a_size() {
  differs runc,crun "not looked at"
  bundle c1 'args(["true"]) | tmpfs("/opt/v"; ["tmpcopyup", "size=600m"])'
  rm -rf "$B/rootfs" && cp -a "$WORK/rootfs" "$B/rootfs"
  mkdir "$B/rootfs/opt/v"
  head -c 520M /dev/zero >"$B/rootfs/opt/v/data"
  run_ok run --bundle "$B" c1
}

test_names_in_a_volume_that_are_no_text() {
  differs runc,crun "not looked at"
  bundle c1 'sh("ls /opt/v | busybox wc -l; cat /opt/v/*/f; readlink /opt/v/l* | busybox wc -c") | tmpfs("/opt/v"; ["tmpcopyup"])'
  rm -rf "$B/rootfs" && cp -a "$WORK/rootfs" "$B/rootfs"
  mkdir -p "$B/rootfs/opt/v/"$'\377d'
  echo text >"$B/rootfs/opt/v/"$'\377d/f'
  ln -s $'\377\376' "$B/rootfs/opt/v/l"$'\377'
  run_ok run --bundle "$B" c1
  assert_eq "$OUT" $'2\ntext\n3'
}

# ---- bundles of images ----

# layout FILE...: an OCI layout $T/img of one layer, of FILEs in $T/layer.
layout() {
  # umoci and skopeo make what is well-formed
  umoci init --layout "$T/img" && umoci new --image "$T/img:v1"
  mkdir -p "$T/layer"
  umoci insert --image "$T/img:v1" "$T/layer" / >/dev/null
}

test_control_a_bundle_into_a_folder_of_the_callers() {
  differs runc,crun "no bundles"
  layout
  mkdir -m 700 "$T/bundle"
  run_ok bundle --image "oci:$T/img:v1" --copy "$T/bundle" -- true
}

test_a_bundle_into_a_folder_that_others_enter() {
  differs runc,crun "no bundles"
  layout
  local mode
  for mode in 755 711 750; do
    mkdir -m "$mode" "$T/$mode"
    run_fails 1 'others may enter .*mode 0700' bundle --image "oci:$T/img:v1" --copy "$T/$mode" -- true
    assert_absent "$T/$mode/rootfs"
  done
  mkdir -m 700 "$T/theirs"
  chown 1000 "$T/theirs"
  run_fails 1 'must be yours' bundle --image "oci:$T/img:v1" --copy "$T/theirs" -- true
  # A store is the caller's alone, so of layers in it nothing is reached through a bundle.
  run_ok bundle --image "oci:$T/img:v1" --store "$T/store" "$T/755" -- true
}
