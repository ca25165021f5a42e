#!/usr/bin/env bash
# What this proves: a watch whose server is gone without a word (no answer, no reset: its packets no
# longer arrive) is given up within 45 s, and is opened again when the server answers again.
# usage: half_open.sh BUILD
set -uo pipefail
build=$(cd "$1" && pwd)
skip() {
  echo "SKIP half_open: $1"
  exit 77
}
[ "$(id -u)" = 0 ] || skip "only root can make a network of its own"
for needed in ip nsenter ss python3; do
  PATH=$PATH:/usr/sbin:/sbin command -v $needed >/dev/null || skip "$needed is not installed"
done
export PATH=$PATH:/usr/sbin:/sbin
work=$(mktemp -d)
net=kairo-$$ link=k$$
here=10.215.77.1 there=10.215.77.2 port=8001
cases=0 failures=0 children=()
finish() {
  local status=$? child
  for child in "${children[@]}"; do kill "$child" 2>/dev/null; done
  wait 2>/dev/null
  ip link del "${link}a" 2>/dev/null
  ip netns del "$net" 2>/dev/null
  rm -rf "$work"
  echo "test cases: $cases | $((cases - failures)) passed | $failures failed"
  [ $failures = 0 ] || status=1
  exit $status
}
trap finish EXIT
check() { # NAME STATUS
  cases=$((cases + 1))
  if [ "$2" = 0 ]; then echo "ok      $1"; else echo "FAILED  $1" && failures=$((failures + 1)); fi
}
until_true() { # SECONDS command...
  local end=$(($(date +%s) + $1))
  shift
  until "$@"; do [ "$(date +%s)" -lt $end ] || return 1 && sleep 0.2; done
}
ip netns add "$net" 2>/dev/null || skip "this machine gives no network namespaces"
ip link add "${link}a" type veth peer name "${link}b" netns "$net" || skip "this machine has no veth"
within() { nsenter --net="/var/run/netns/$net" "$@"; }
ip addr add $here/30 dev "${link}a" && ip link set "${link}a" up
within ip addr add $there/30 dev "${link}b" && within ip link set "${link}b" up

cat >"$work/server.py" <<'PY'
import http.server, sys, time

class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        if "watch=1" not in self.path:
            body = b'{"items":[],"metadata":{"resourceVersion":"7"}}'
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            return self.wfile.write(body)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with open(sys.argv[2], "a") as log:
            log.write("watch\n")
        time.sleep(600)
    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("", int(sys.argv[1])), Server).serve_forever()
PY
touch "$work/watches"
within python3 "$work/server.py" $port "$work/watches" 2>"$work/server.log" &
children+=($!)
cat >"$work/config" <<EOF
current-context: x
clusters: [{name: c, cluster: {server: "http://$there:$port"}}]
contexts: [{name: x, context: {cluster: c}}]
EOF
watches() { [ "$(wc -l <"$work/watches")" -ge "$1" ]; }
listens() { timeout 1 bash -c "exec 3<>/dev/tcp/$there/$port" 2>/dev/null; }
none_open() { [ -z "$(ss -Htn state established dst $there)" ]; }
until_true 20 listens
NO_PROXY='*' "$build/kairo" get configmaps -w --kubeconfig "$work/config" >"$work/log" 2>&1 &
children+=($!)
until_true 20 watches 1
check "the watch is open" $?
[ $failures = 0 ] || cat "$work/log" "$work/server.log"
within ip route add blackhole $here/32 # what comes is heard, nothing goes out
begin=$(date +%s)
until_true 45 none_open
check "it is given up within 45 s (after $(($(date +%s) - begin)) s)" $?
within ip route del blackhole $here/32
until_true 20 watches 2
check "it is opened again" $?
