# Root file systems that are stacked of layers.
# shellcheck shell=bash

# overlaid FLAG SCRIPT [JQ-OPTION...] [FILTER]: run SCRIPT in a container whose root may be written, with the flag.
overlaid() {
  local flag=$1 script=$2 filter=.
  shift 2
  if [ $# -gt 0 ]; then filter=${*: -1}; set -- "${@:1:$#-1}"; fi
  bundle c1 "$@" --arg script "$script" "rw | sh(\$script) | $filter"
  run_ok run ${flag:+"$flag"} --bundle "$B" c1
}
only_knarr() { differs runc,crun 'have no overlay root'; }

# layer NAME FILE...: a layer with files that hold the layer's name; made by hand, as an engine's would be
layer() {
  local name=$1 file
  shift
  mkdir -p "$T/$name"
  for file; do mkdir -p "$(dirname "$T/$name/$file")" && echo "$name" >"$T/$name/$file"; done
}

test_changes_are_gone_and_the_bundle_is_as_it_was() {
  only_knarr
  overlaid --overlay 'echo changed >/etc/passwd; echo new >/new; rm /bin/true; cat /etc/passwd /new; ls /bin/true 2>/dev/null || echo removed'
  assert_eq "$OUT" $'changed\nnew\nremoved'
  assert_absent "$B/rootfs/new"
  assert_exists "$B/rootfs/bin/true"
  assert_eq "$(<"$B/rootfs/etc/passwd")" "$(<"$WORK/rootfs/etc/passwd")"
  run_ok run --overlay --bundle "$B" c1
}

test_changes_stay_in_a_folder() {
  only_knarr
  overlaid "--overlay=$T/kept" 'echo one >>/log; cat /log'
  assert_eq "$OUT" one
  run_ok run --overlay="$T/kept" --bundle "$B" c1
  assert_eq "$OUT" $'one\none'
  assert_absent "$B/rootfs/log"
  assert_eq "$(<"$T/kept/upper/log")" $'one\none'
  overlaid --overlay 'cat /log 2>/dev/null || echo none'
  assert_eq "$OUT" none
}

test_a_folder_relative_to_the_caller() {
  only_knarr
  cd "$T"
  overlaid --overlay=here 'echo x >/file'
  assert_eq "$(<"$T/here/upper/file")" x
}

test_annotations_ask_for_it_too() {
  only_knarr
  overlaid '' 'echo x >/file' '.annotations["org.knarr.overlay"] = "ephemeral"'
  assert_absent "$B/rootfs/file"
  overlaid '' 'echo x >/file' '.annotations["org.knarr.overlay"] = "kept"' # of the bundle
  assert_eq "$(<"$B/kept/upper/file")" x
  # The caller's word counts more.
  overlaid --overlay 'echo y >/file' '.annotations["org.knarr.overlay"] = "kept"'
  assert_eq "$(<"$B/kept/upper/file")" x
}

test_layers_hide_each_other() {
  only_knarr
  layer top a both dir/x
  layer middle both 'covered' dir/y
  layer bottom gone covered opaque/old
  mknod "$T/top/gone" c 0 0 # a whiteout
  mkdir "$T/top/opaque" && echo top >"$T/top/opaque/new"
  setfattr -n trusted.overlay.opaque -v y "$T/top/opaque" 2>/dev/null || python3 -c 'import os, sys; os.setxattr(sys.argv[1], "trusted.overlay.opaque", b"y")' "$T/top/opaque"
  overlaid '' 'cat /a /both /covered; echo /dir/* /opaque/*; ls /gone 2>/dev/null || echo white' --arg t "$T" \
    '.annotations["org.knarr.overlay"] = "ephemeral" | .annotations["org.knarr.overlay.lowerdir"] = "\($t)/top:\($t)/middle:\($t)/bottom:\($t)/c1/rootfs"'
  assert_eq "$OUT" $'top\ntop\nmiddle\n/dir/x /dir/y /opaque/new\nwhite'
}

test_any_character_in_the_name_of_a_layer() {
  only_knarr
  layer 'a:b,c\d e=f"g' file
  overlaid '' 'cat /file' --arg t "$T" '.annotations["org.knarr.overlay.lowerdir"] = $t + "/a\\:b,c\\\\d e=f\"g:" + $t + "/c1/rootfs" | .annotations["org.knarr.overlay"] = "ephemeral"'
  assert_eq "$OUT" 'a:b,c\d e=f"g'
  overlaid "--overlay=$T/x:y,z" 'echo x >/file' '.'
  assert_eq "$(<"$T/x:y,z/upper/file")" x
}

test_more_than_a_hundred_layers() {
  only_knarr
  local i list=''
  for ((i = 0; i < 130; i++)); do layer "layer-$i" "file-$i"; list+=$T/layer-$i:; done
  overlaid '' 'ls / | grep -c file-; cat /file-0 /file-129' --arg list "$list$T/c1/rootfs" \
    '.annotations["org.knarr.overlay.lowerdir"] = $list | .annotations["org.knarr.overlay"] = "ephemeral"'
  assert_eq "$OUT" $'130\nlayer-0\nlayer-129'
}

test_layers_alone_cannot_be_written() {
  only_knarr
  local layers='.annotations["org.knarr.overlay.lowerdir"] = $t + "/c1/rootfs"'
  bundle c1 --arg t "$T" "rw | sh(\"touch /file 2>/dev/null || echo read-only\") | $layers"
  run_ok run --bundle "$B" c1
  assert_eq "$OUT" read-only
}

test_who_asks_for_a_layer_for_changes_can_write_there() {
  only_knarr
  bundle c1 'sh("touch /file && echo written") | .root.readonly = true'
  run_ok run --overlay --bundle "$B" c1
  assert_eq "$OUT" written
  assert_absent "$B/rootfs/file"
}

test_a_read_only_root_over_a_layer_that_the_bundle_asks_for() {
  only_knarr
  bundle c1 '.annotations["org.knarr.overlay"] = "ephemeral" | sh("touch /file 2>/dev/null || echo read-only; touch /made/in && echo mount") | tmpfs("/made"; [])'
  run_ok run --bundle "$B" c1
  assert_eq "$OUT" $'read-only\nmount'
  assert_absent "$B/rootfs/made"
}

test_a_mount_of_type_overlay_on_the_root() {
  only_knarr
  layer lower file
  mkdir -p "$T"/rw/{up,wk}
  bundle c1 --arg t "$T" 'rw | sh("cat /file; echo more >>/file") | .mounts |= [{destination: "/", type: "overlay", source: "overlay",
    options: ["lowerdir=\($t)/lower:\($t)/c1/rootfs", "upperdir=\($t)/rw/up", "workdir=\($t)/rw/wk"]}] + .'
  run_ok run --bundle "$B" c1
  assert_eq "$OUT" lower
  assert_eq "$(<"$T/rw/up/file")" $'lower\nmore'
  assert_eq "$(<"$T/lower/file")" lower
}

test_the_root_has_the_mode_and_owner_of_the_layer() {
  only_knarr
  bundle c1 'rw | sh("stat -c \"%a %u:%g\" /")'
  chmod 751 "$B/rootfs"
  chown 7:8 "$B/rootfs"
  run_ok run --overlay --bundle "$B" c1
  assert_eq "$OUT" '751 7:8'
  run_ok run --overlay="$T/kept" --bundle "$B" c1
  assert_eq "$OUT" '751 7:8'
  chown 0:0 "$B/rootfs"
}

test_host_paths_do_not_show() {
  only_knarr
  overlaid "--overlay=$T/kept" 'cat /proc/self/mountinfo'
  assert_no_match "$OUT" "$(basename "$T")"
  assert_match "$OUT" ' / / rw,relatime - overlay overlay '
  assert_eq "$(grep -c 'overlay\|workbench' <<<"$OUT")" 1
}

test_with_user_namespaces() {
  only_knarr
  bundle c1 'rw | userns | sh("echo x >/file && rm /bin/true && stat -c %u /file; stat -c %u /")'
  chown -R 100000:200000 "$B/rootfs"
  run_ok run --overlay --bundle "$B" c1
  assert_eq "$OUT" $'0\n0'
  run_ok run --overlay="$T/kept" --bundle "$B" c1
  assert_eq "$(stat -c %u:%g "$T/kept/upper/file")" 100000:200000
  chown -R 0:0 "$B/rootfs" # hard links of the root file system of all cases
}

test_the_memory_is_the_containers() {
  only_knarr
  requires controller memory
  bundle c1 'rw | sh("head -c 64m /dev/zero >/file; echo $?") | .linux.resources.memory = {limit: 33554432, swap: 33554432}'
  rt run --overlay --bundle "$B" c1
  assert_no_match "$OUT" '^0'
}

test_create_start_and_exec() {
  only_knarr
  bundle c1 'rw | sh("echo 1 >/file; exec sleep 100")'
  run_ok create --overlay --bundle "$B" c1
  run_ok start c1
  eventually eval 'rt exec c1 cat /file; [ "$OUT" = 1 ]'
  run_ok exec c1 sh -c 'echo 2 >>/file; cat /file'
  assert_eq "$OUT" $'1\n2'
  run_ok delete --force c1
  assert_absent "$B/rootfs/file"
}

test_hooks_see_the_new_root() {
  only_knarr
  bundle c1 --arg t "$T" 'rw | sh("cat /of-hook") | hook("createContainer"; "echo hook >$0/of-hook") | .hooks.createContainer[0].args += [$t + "/c1/rootfs"]'
  run_ok run --overlay --bundle "$B" c1
  assert_eq "$OUT" hook
  assert_absent "$B/rootfs/of-hook"
}

test_no_pivot() {
  only_knarr
  overlaid --no-pivot 'echo x >/file; cat /file' '.annotations["org.knarr.overlay"] = "ephemeral"'
  assert_eq "$OUT" x
  assert_absent "$B/rootfs/file"
}

test_what_cannot_be_is_an_error() {
  only_knarr
  refused 'annotations.org.knarr.overlay: empty' '.annotations["org.knarr.overlay"] = ""'
  refused 'annotations.org.knarr.overlay.lowerdir: .*empty name' '.annotations["org.knarr.overlay.lowerdir"] = "/a::/b"'
  refused 'annotations.org.knarr.overlay.lowerdir: open_tree /no/such: no such file' '.annotations["org.knarr.overlay.lowerdir"] = "/no/such"'
  refused 'annotations.org.knarr.overlay: open .*|mkdir /no/such/folder: no such file' '.annotations["org.knarr.overlay"] = "/no/such/folder"'
  refused 'mount namespace' '.annotations["org.knarr.overlay"] = "ephemeral" | no_ns("mount") | .mounts = [] | .linux.maskedPaths = [] | .linux.readonlyPaths = [] | .root.readonly = false'
  refused 'mounts\[1\].destination: mounts\[0\] is on / already' '.mounts |= [range(2) | {destination: "/", type: "overlay", options: ["lowerdir=/"]}] + .'
  refused 'mounts\[1\] /proc: ' '.mounts |= [{destination: "/", type: "overlay", options: ["lowerdir=/usr:/etc"]}] + . | .mounts[1].options = ["no-such-option"]'
  refused 'no lowerdir' '.mounts |= [{destination: "/", type: "overlay", options: ["upperdir=/u", "workdir=/w"]}] + .'
  refused 'upperdir and workdir need each other' '.mounts |= [{destination: "/", type: "overlay", options: ["lowerdir=/", "upperdir=/u"]}] + .'
  refused 'destination: "/" is the root filesystem itself' '.mounts |= [{destination: "/", type: "tmpfs", source: "tmpfs"}] + .'
  # A folder that was made for a container that cannot be is not left.
  bundle c1 'args(["/no/such"])'
  run_fails 1 'no such file' run --overlay="$T/kept" --bundle "$B" c1
  assert_absent "$T/kept"
}

test_many_at_once_share_a_root() {
  only_knarr
  local i
  bundle c1 'rw | sh("hostname >/name; exec sleep 100") | del(.linux.cgroupsPath)'
  for ((i = 0; i < 20; i++)); do run_ok run --detach --overlay --bundle "$B" "many-$i"; done
  run_ok list --quiet
  assert_eq "$(wc -l <<<"$OUT")" 20
  for ((i = 0; i < 20; i++)); do run_ok delete --force "many-$i"; done
  assert_absent "$B/rootfs/name"
}
