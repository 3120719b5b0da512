# run --host-root --net: the network of a sandbox.
# shellcheck shell=bash

# shellcheck source=../words/sandbox.sh
. "$STAGE/words/sandbox.sh"

# A server on the loopback device of the machine, at $PORT: HTTP, HTTPS with -t, files of $T/www.
server() {
  cat >"$T/server.py" <<'PY'
import http.server, os, ssl, sys
os.chdir(sys.argv[1])
class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
if len(sys.argv) > 3:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3])
    server.socket = context.wrap_socket(server.socket, server_side=True)
with open(sys.argv[2] + ".new", "w") as f: f.write(str(server.server_port))
os.rename(sys.argv[2] + ".new", sys.argv[2])
server.serve_forever()
PY
  mkdir -p "$T/www"
  echo hello >"$T/www/file"
  rm -f "$T/port"
  if [ "${1:-}" = -t ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
      -keyout "$T/key.pem" -out "$T/cert.pem" 2>/dev/null
    cat "$T/key.pem" "$T/cert.pem" >"$T/both.pem"
    /usr/bin/python3 "$T/server.py" "$T/www" "$T/port" "$T/both.pem" &
  else
    /usr/bin/python3 "$T/server.py" "$T/www" "$T/port" &
  fi
  SERVERS+=($!)
  trap 'kill "${SERVERS[@]}" 2>/dev/null; wait "${SERVERS[@]}" 2>/dev/null || :' EXIT
  eventually [ -s "$T/port" ]
  PORT=$(<"$T/port")
}

needs() { local program; for program; do command -v "$program" >/dev/null || skip "needs $program"; done; }

of_none() {
  local url=http://127.0.0.1:$PORT/file
  "$1" box -- curl -sS "$url"
  assert_match "$RC $ERR" '^7 '
  "$1" --net none box -- sh -c 'env | grep -ic proxy; cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d " "'
  assert_eq "$OUT" $'0\nlo'
  "$1" --net host box -- curl -sS "$url"
  assert_eq "$OUT" hello "$ERR"
}
test_none_and_the_hosts() {
  needs curl python3
  requires native
  only_knarr
  server
  both of_none
}

of_allow() {
  local url=http://localhost:$PORT/file
  "$1" --net "allow=localhost:$PORT" box -- sh -c "curl -sS $url; curl -sS http://127.0.0.1:$PORT/file; curl -sS -p -x \$HTTP_PROXY $url; env | grep -c '[Pp][Rr][Oo][Xx][Yy]=http://127.0.0.1:3128'"
  assert_eq "$OUT" $'hello\nknarr: 127.0.0.1:'"$PORT"$' is refused: --net allow does not name it\nhello\n6' "$ERR"
  assert_match "$ERR" "warning: --net: 127.0.0.1:$PORT is refused"
  # There is no other way out.
  "$1" --net "allow=localhost:$PORT" box -- sh -c "curl -sS --noproxy '*' $url; curl -sS --noproxy '*' http://192.0.2.1/"
  assert_no_match "$OUT" hello
  # A port is one of the web's unless it is named; a name that nobody knows is told.
  "$1" --net allow=localhost,no-such.invalid box -- sh -c "curl -sS $url; curl -sS http://no-such.invalid/"
  assert_match "$OUT" "localhost:$PORT is refused"
  assert_match "$OUT" 'no-such.invalid:80: the name is not known'
}
test_hosts_that_are_allowed() {
  needs curl python3
  requires native
  only_knarr
  server
  both of_allow
}

test_connections_are_logged() {
  needs curl python3
  requires native
  only_knarr
  server
  FLAGS=(--log "$T/log")
  box --net "allow=localhost:$PORT" box -- sh -c "curl -sS http://localhost:$PORT/file http://127.0.0.1:$PORT/"
  assert_match "$(<"$T/log")" "level=info msg=\"--net: localhost:$PORT is allowed\""
  assert_match "$(<"$T/log")" "level=warning msg=\"--net: 127.0.0.1:$PORT is refused"
}

test_a_proxy_at_a_socket() {
  needs curl python3
  requires native
  only_knarr
  cat >"$T/proxy.py" <<'PY'
import socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(9)
import os; os.chmod(sys.argv[1], 0o777)
while True:
    c, _ = s.accept()
    line = c.recv(65536).split(b"\r\n")[0]
    c.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + line + b"\n"); c.close()
PY
  /usr/bin/python3 "$T/proxy.py" "$T/socket" &
  eventually [ -S "$T/socket" ]
  of_socket() {
    "$1" --net "proxy=$T/socket" box -- sh -c 'curl -sS http://example.invalid/a; curl -sS http://example.invalid/b'
    assert_eq "$OUT" $'GET http://example.invalid/a HTTP/1.1\nGET http://example.invalid/b HTTP/1.1' "$ERR"
  }
  chmod 755 "$WORK" "$T"
  both of_socket
  kill %1
}

test_git_over_https() {
  needs git openssl python3
  requires native
  only_knarr
  mkdir -p "$T/www"
  git init -q "$T/source"
  git -C "$T/source" -c user.name=a -c user.email=a@b commit -q --allow-empty -m one
  git clone -q --bare "$T/source" "$T/www/repo.git"
  git -C "$T/www/repo.git" update-server-info
  server -t
  box --net "allow=localhost:$PORT" --ro-bind "$T/cert.pem" --env "GIT_SSL_CAINFO=$T/cert.pem" box -- \
    sh -c "cd /tmp && git clone -q https://localhost:$PORT/repo.git && git -C repo log --format=%s"
  assert_eq "$OUT" one "$ERR"
}

test_pip_installs_from_an_index() {
  requires native
  only_knarr
  local python
  for python in /usr/bin/python3 "$(command -v python3)"; do "$python" -m pip --version >/dev/null 2>&1 && break; done
  "$python" -m pip --version >/dev/null 2>&1 || skip 'needs pip'
  mkdir -p "$T/www/simple/knarr-it" "$T/wheel/knarr_it-1.dist-info"
  echo 'said = "imported"' >"$T/wheel/knarr_it.py"
  printf 'Metadata-Version: 2.1\nName: knarr-it\nVersion: 1\n' >"$T/wheel/knarr_it-1.dist-info/METADATA"
  printf 'Wheel-Version: 1.0\nGenerator: it\nRoot-Is-Purelib: true\nTag: py3-none-any\n' >"$T/wheel/knarr_it-1.dist-info/WHEEL"
  printf 'knarr_it.py,,\nknarr_it-1.dist-info/METADATA,,\nknarr_it-1.dist-info/WHEEL,,\nknarr_it-1.dist-info/RECORD,,\n' >"$T/wheel/knarr_it-1.dist-info/RECORD"
  (cd "$T/wheel" && /usr/bin/python3 -m zipfile -c "$T/www/simple/knarr-it/knarr_it-1-py3-none-any.whl" ./*)
  server
  box --net "allow=localhost:$PORT" box -- sh -c "$python -m pip install -q --no-cache-dir --disable-pip-version-check --root-user-action=ignore --break-system-packages \
    --target /tmp/p -i http://localhost:$PORT/simple --trusted-host localhost knarr-it && PYTHONPATH=/tmp/p $python -c 'import knarr_it; print(knarr_it.said)'"
  assert_eq "$OUT" imported "$ERR"
}

test_wrong_words_for_networks() {
  only_knarr
  local line
  while IFS='|' read -r net error; do
    box --net "$net" box -- true
    assert_eq "$RC" 1
    assert_match "$ERR" "$error"
  done <<'END'
maybe|--net maybe: none, host, proxy=SOCKET or allow
proxy=/no/such|--net proxy=/no/such: no such file
proxy=/etc/passwd|--net proxy=/etc/passwd: not a socket
allow=|"" is no host
allow=a b|is no host
allow=a:x|"x" is no port
END
  box --net allow=x --detach box -- true
  assert_match "$ERR" 'the proxy ends with this command'
}
