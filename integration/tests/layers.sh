# What a sandbox changed: run --diff and --keep, diff, apply, layers.
# shellcheck shell=bash

# shellcheck source=../words/sandbox.sh
. "$STAGE/words/sandbox.sh"

# place: a folder /opt/knarr-it of the caller's with a file of each kind.
place() {
  requires native 'a root file system that can be written'
  P=/opt/knarr-it
  rm -rf $P /var/lib/knarr/sandboxes/it-*
  mkdir -p $P/folder/deep $P/old $P/opaque
  printf '1\n2\n3\n' >$P/text
  printf 'a\0b' >$P/binary
  echo kept >$P/kept
  echo gone >$P/gone
  echo x >$P/folder/deep/file
  echo x >$P/old/file
  echo x >$P/opaque/before
  chmod 644 $P/*[^dreq] 2>/dev/null || :
  ln -s text $P/link
  [ "$WHO" = root ] || chown -R 1000:1000 $P
}
CHANGE='cd /opt/knarr-it; printf "1\nzwei\n3\n" >text; printf "a\0c" >binary; rm -r gone old; mkdir -p new/in; echo n >new/in/file
ln -sfn kept link; chmod 750 kept; rm -r opaque; mkdir opaque; echo y >opaque/after; touch folder/deep/file'
# knarr_as ARG...: the command by whoever the case is of
knarr_as() {
  if [ "$WHO" = root ]; then rt "$@"; else as_user_runs "$@"; fi
}

of_diff() {
  place
  "$1" --diff box -- sh -c "$CHANGE; mkfifo fifo; chmod 4755 binary"
  assert_eq "$RC" 0 "$ERR"
  local owner=0:0
  [ "$WHO" = root ] || owner=1000:1000
  assert_eq "$ERR" "C $P/binary  mode 4755, was 0644, 3 bytes, was 3, binary
A $P/fifo  FIFO, mode 0644, owner $owner
D $P/gone  file, mode 0644, owner $owner, 5 bytes
C $P/kept  mode 0750, was 0644
C $P/link  leads elsewhere
A $P/new  folder, mode 0755, owner $owner
A $P/new/in  folder, mode 0755, owner $owner
A $P/new/in/file  file, mode 0644, owner $owner, 2 bytes, text
D $P/old  folder, mode 0755, owner $owner
A $P/opaque/after  file, mode 0644, owner $owner, 2 bytes, text
D $P/opaque/before  file, mode 0644, owner $owner, 2 bytes
C $P/text  9 bytes, was 6, text"
  assert_exists $P/gone
  # Nothing of it is left.
  knarr_as layers
  assert_no_match "$OUT" 'tmp'
  rm -r $P
}
test_what_it_did_is_listed_at_the_end() { both of_diff; }

of_kept() {
  place
  "$1" --keep=it-kept box -- sh -c "$CHANGE"
  "$1" --keep=it-kept box -- sh -c 'cat /opt/knarr-it/new/in/file'
  assert_eq "$OUT" n "$ERR"
  knarr_as layers
  assert_match "$OUT" $'it-kept +20[-0-9T:]+Z +11'
  knarr_as diff it-kept
  assert_eq "$(grep -c . <<<"$OUT")" 11 "$OUT"
  knarr_as diff it-kept $P/text
  assert_eq "$OUT" "C $P/text  9 bytes, was 6, text
--- $P/text
+++ $P/text
@@ -1,3 +1,3 @@
 1
-2
+zwei
 3"
  knarr_as diff it-kept $P/new
  assert_match "$OUT" '@@ -0,0 \+1,1 @@'
  knarr_as layers --remove it-kept
  assert_eq "$RC" 0 "$ERR"
  knarr_as diff it-kept
  assert_match "$ERR" 'diff it-kept: no layer of a sandbox'
  rm -r $P
}
test_a_layer_with_a_name() { both of_kept; }

of_apply() {
  place
  "$1" --keep=it-apply box -- sh -c "$CHANGE"
  knarr_as apply it-apply </dev/null
  assert_match "$ERR" '--yes takes them over'
  assert_eq "$(<$P/text)" $'1\n2\n3'
  # What is chosen, with the folders on the way.
  knarr_as apply --yes it-apply $P/new/in/file $P/text
  assert_eq "$RC" 0 "$ERR"
  assert_eq "$(<$P/text)" $'1\nzwei\n3'
  assert_eq "$(<$P/new/in/file)" n
  assert_exists $P/gone
  assert_eq "$(stat -c %u $P/new)" "$(stat -c %u $P)"
  # All else.
  knarr_as apply --yes it-apply
  assert_eq "$RC" 0 "$ERR"
  assert_absent $P/gone
  assert_absent $P/old
  assert_eq "$(readlink $P/link)" kept
  assert_eq "$(ls $P/opaque)" after
  assert_eq "$(stat -c %a $P/kept)" 750
  knarr_as diff it-apply
  assert_eq "$OUT" ''
  assert_eq "$(ls -A $P)" "$(ls $P)" # no file of another name is left
  knarr_as apply --yes it-apply /etc/no-such
  assert_match "$ERR" '/etc/no-such: the layer changes nothing there'
  knarr_as layers --remove it-apply
  rm -r $P
}
test_changes_are_taken_over() { both of_apply; }

of_a_closed_folder() {
  "$1" --keep=it-closed box -- sh -c 'mkdir -p /opt/a/b/c && echo x >/opt/a/b/c/d && chmod 000 /opt/a/b/c /opt/a/b /opt/a'
  assert_eq "$RC" 0 "$ERR"
  knarr_as layers --remove it-closed
  assert_eq "$RC" 0 "$ERR"
  knarr_as layers
  assert_no_match "$OUT" it-closed
}
test_folders_that_are_closed_are_removed() { requires native; both of_a_closed_folder; }

test_removing_changes_no_mode_behind_a_link() {
  only_knarr
  mkdir -m 700 "$T/other"
  as_user --keep=it-mode box -- sh -c 'mkdir /opt/a'
  assert_eq "$RC" 0 "$ERR"
  local upper=$T/home/.local/share/knarr/sandboxes/it-mode/upper
  rm -rf "$upper/opt/a"
  ln -s "$T/other" "$upper/opt/a"
  ln -s "$T/other" "$upper/opt/b"
  as_user_runs layers --remove it-mode
  assert_eq "$RC" 0 "$ERR"
  assert_eq "$(stat -c %a "$T/other")" 700
}

of_two_at_once() {
  "$1" --keep=it-two box -- true
  assert_eq "$RC" 0 "$ERR"
  mkfifo "$HOME_OF/fifo"
  chmod 666 "$HOME_OF/fifo"
  ("$1" --keep=it-two --write "$HOME_OF" first -- sh -c "echo in >$HOME_OF/fifo; read _ <$HOME_OF/fifo") &
  read -r _ <"$HOME_OF/fifo"
  "$1" --keep=it-two second -- true
  assert_eq "$RC" 1
  assert_match "$ERR" 'it-two: another sandbox uses it'
  knarr_as layers --remove it-two
  assert_eq "$RC" 1
  assert_match "$ERR" 'layers: remove it-two: .*another sandbox uses it'
  echo >"$HOME_OF/fifo"
  wait
  "$1" --keep=it-two second -- true
  assert_eq "$RC" 0 "$ERR"
  knarr_as layers --remove it-two
  rm "$HOME_OF/fifo"
}
test_one_sandbox_at_a_time_has_a_layer() { requires native; HOME=$T; both of_two_at_once; }

test_a_sandbox_that_is_not_made_leaves_no_layer() {
  only_knarr
  run_fails 1 'not found in' run --host-root --overlay="$T/none" box -- no-such-command
  assert_absent "$T/none"
}

test_apply_asks_on_a_terminal() {
  only_knarr
  requires native 'a root file system that can be written'
  mkdir -p /opt/knarr-it
  rt run --host-root --keep=it-asks box -- sh -c 'echo x >/opt/knarr-it/made'
  assert_eq "$RC" 0 "$ERR"
  ask() { "$STAGE/helpers/tty" --send "$1" sh -c "echo ready; exec '$RUNTIME' apply it-asks /opt/knarr-it/made"; }
  OUT=$(ask 'n\n') && fail "no is an answer: $OUT"
  assert_match "$OUT" 'Take over these [0-9]+ changes\? \[y/N\]'
  assert_absent /opt/knarr-it/made
  OUT=$(ask '\n') && fail "nothing is no: $OUT"
  assert_absent /opt/knarr-it/made
  OUT=$(ask 'y\n') || fail "$OUT"
  assert_eq "$(</opt/knarr-it/made)" x
  rt layers --remove it-asks
  rm -r /opt/knarr-it
}

test_no_link_that_appears_is_followed() {
  only_knarr
  WHO=root
  place
  mkdir "$T/elsewhere"
  echo old >"$T/elsewhere/file"
  box --keep=it-link box -- sh -c "$CHANGE; echo new >$P/folder/deep/file; echo new >$P/kept"
  # Links on the way, and in place of what was there.
  mv $P/folder/deep "$T/deep"
  ln -s "$T/elsewhere" $P/folder/deep
  rm $P/kept
  ln -s "$T/elsewhere/file" $P/kept
  rt apply --yes it-link $P/folder
  assert_eq "$(<"$T/elsewhere/file")" old
  rt apply --yes it-link $P/kept
  assert_eq "$(<"$T/elsewhere/file")" old
  assert_eq "$(cat $P/kept)" new
  [ ! -L $P/kept ] || fail 'a link was written through'
  # Nor is one in the layer: a folder of it that the sandbox made a link.
  rm -rf $P/folder $P/kept
  place
  mkdir -p "$T/host"
  echo secret >"$T/host/file"
  rt layers --remove it-link
  box --keep=it-link box -- sh -c "rm -r $P/folder; ln -s $T/host $P/folder; ln -s /etc/shadow $P/stolen"
  rt apply --yes it-link
  assert_eq "$(readlink $P/folder)" "$T/host"
  assert_eq "$(readlink $P/stolen)" /etc/shadow
  assert_eq "$(<"$T/host/file")" secret
  rt layers --remove it-link
  rm -r $P
}

test_devices_and_sockets_are_not_taken_over() {
  only_knarr
  WHO=root
  place
  box --keep=it-nodes box -- sh -c "mknod $P/disk c 1 3; echo x >$P/file"
  rt apply --yes it-nodes
  assert_eq "$RC" 0 "$ERR"
  assert_match "$ERR" "warning: $P/disk: sockets and devices are not taken over"
  assert_absent $P/disk
  assert_exists $P/file
  rt layers --remove it-nodes
  rm -r $P
}

test_names_do_not_reach_a_terminal() {
  only_knarr
  WHO=root
  place
  box --diff box -- sh -c "touch \"$P/\$(printf '\\033[2Jx\\nA /etc/passwd')\""
  assert_no_match "$ERR" $'\x1b'
  assert_eq "$(grep -c . <<<"$ERR")" 1
  rm -r $P
}

test_wrong_words() {
  only_knarr
  rt run --keep=name box
  assert_match "$ERR" '--keep=name: a name goes with --host-root only'
  box --keep=name --overlay=/x box -- true
  assert_match "$ERR" '--overlay says where changes go already'
  box --diff --detach box -- true
  assert_match "$ERR" '--diff: nobody waits'
  rt diff /etc
  assert_match "$ERR" 'diff /etc: no layer of a sandbox'
  rt layers --remove no-such
  assert_eq "$RC" 1
}
