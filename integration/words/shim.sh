# Words for cases of the shim.
# shellcheck shell=bash disable=SC2034 # the variables set here are read by the test files

CONTAINERD=$STAGE/helpers/containerd
SHIM=$WORK/containerd-shim-knarr-v2
NAMESPACE=rows
ln -s "$(realpath "$RUNTIME")" "$SHIM"

# ready ID [JQ-OPTION...] [FILTER]: a bundle as containerd makes one, somebody who listens for events, and a shim: ADDRESS
ready() {
  listening
  bundle "$@"
  OUT=$("$CONTAINERD" start "$SHIM" "$NAMESPACE" "$1" "$B" ${STARTED:+"$STARTED"})
  ADDRESS=$(jq -r .address <<<"$OUT")
}
listening() {
  differs runc,crun 'it has no shim of its own'
  export TTRPC_ADDRESS=$T/events.ttrpc
  if [ ! -e "$TTRPC_ADDRESS" ]; then
    "$CONTAINERD" events "$TTRPC_ADDRESS" "$T/events" & LISTENER=$!
    eventually test -S "$TTRPC_ADDRESS"
  fi
}
# call METHOD [FIELD=VALUE...]: OUT is the answer
call() { OUT=$("$CONTAINERD" call "$ADDRESS" "$@" 2>"$T/call.err") || fail "$*: $(cat "$T/call.err")"; }
# refuses CODE REGEX METHOD [FIELD=VALUE...]
refuses() {
  local err code=$1 regex=$2
  shift 2
  if err=$("$CONTAINERD" call "$ADDRESS" "$@" 2>&1); then fail "$* was done: $err"; fi
  assert_match "$err" "^$code: "
  [[ ${err,,} =~ ${regex,,} ]] || fail "no '$regex': $err"
}
OPTIONS() { echo "options={\"root\": \"$T/root\"$1}"; }
# create ID [FIELD=VALUE...]: as containerd asks for it, with fifos where the test has made them
create() { local id=$1; shift; call Create id="$id" bundle="$T/$id" "$(OPTIONS '')" "$@"; PID=$(jq .pid <<<"$OUT"); }
fifos() { mkfifo "$@"; }
forget() { call Delete id="$1"; }                               # ID
# over: the last container is gone, and so are the shim, and who listens.
over() {
  local shim; shim=$(shim_pid)
  call Shutdown
  eventually ended "$shim"
  kill "$LISTENER"
  rm "$TTRPC_ADDRESS"
}
shim_pid() { pgrep -fo "^$SHIM -namespace" ${SESSION:+-s "$SESSION"}; }
ended() { [ ! -e "/proc/$1" ]; }
# finish ID: kill it, wait for it, forget it, and let the shim go
finish() {
  call Kill id="$1" signal=9 all=1
  call Wait id="$1"
  forget "$1"
  over
}
topics() { jq -r .topic <"$T/events" | tr '\n' ' '; }
told() { local all; all=$(topics); [[ $all =~ $1 ]]; } # REGEX
spec() { jq -nc '{args: $ARGS.positional, cwd: "/", env: ["PATH=/bin:/usr/bin"]}' --args -- "$@" >"$T/spec.json"; echo "spec=@$T/spec.json"; }
# process ID EXEC COMMAND...: made and started
process() { local id=$1 exec=$2; shift 2; call Exec id="$id" exec_id="$exec" "$(spec "$@")"; call Start id="$id" exec_id="$exec"; }
