# Words for cases of run --host-root.
# shellcheck shell=bash disable=SC2034 # the variables set here are read by the test files

only_knarr() { differs runc,crun 'run bundles only'; }

# box ARG...: `run --host-root ARG...` by root, and as_user ARG...: by an ordinary user, whose home is $T/home. OUT, ERR and RC tell.
box() { rt run --host-root "$@"; }
as_user() {
  only_knarr
  if [ ! -e "$T/runtime" ]; then
    mkdir -p "$T/home" "$T/run"
    chmod 755 "$WORK" "$T"
    cp "$RUNTIME" "$T/runtime"
    chmod 755 "$T/runtime"
    chown -R 1000:1000 "$T/home" "$T/run"
  fi
  as_user_runs run --host-root "$@"
}
# both FUNCTION: a case for root and for an ordinary user; HOME_OF is the caller's home.
both() {
  only_knarr
  WHO=root HOME_OF=$HOME
  "$1" box
  WHO=user HOME_OF=$T/home
  "$1" as_user
}
# as_user_runs ARG...: any command by the ordinary user
as_user_runs() {
  RC=0
  OUT=$(cd "${IN:-/}" && HOME=$T/home XDG_RUNTIME_DIR=$T/run setpriv --reuid 1000 --regid 1000 --clear-groups -- "$T/runtime" "$@" 2>"$T/user.err") || RC=$?
  ERR=$(<"$T/user.err")
}
