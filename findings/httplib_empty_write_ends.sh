#!/usr/bin/env bash
# cpp-httplib 0.11.4 (Debian 12): a provider of set_chunked_content_provider that writes no bytes in one of its calls and returns
# true ("nothing yet, ask me again") is never asked again: it takes no bytes for the end of the data. The connection is closed without the
# last chunk, so the client sees the headers and a cut body. A server that streams tokens and has none yet after its waiting
# time loses the whole answer, though every call said true.
# kairo writes a comment line of server-sent events instead (gpu/serve/event_stream.h); a test has a first piece that comes late.
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
for tool in apt-get dpkg-deb g++ curl; do command -v $tool >/dev/null || { echo "SKIP: $tool is not installed"; exit 77; }; done
(cd "$folder" && apt-get download -qq libcpp-httplib-dev=0.11.4+ds-1+deb12u1 libcpp-httplib0.11=0.11.4+ds-1+deb12u1) 2>/dev/null || {
  echo "SKIP: libcpp-httplib 0.11.4+ds-1+deb12u1 cannot be fetched here"
  exit 77
}
for package in "$folder"/*.deb; do dpkg-deb -x "$package" "$folder/root"; done
cat >"$folder/server.cpp" <<'CPP'
#include <httplib.h>

#include <cstdio>

int main() {
  httplib::Server server;
  // The first call of the provider has nothing to say yet in one of the two; the last one has.
  const auto stream = [](bool empty_first) {
    return [empty_first](const httplib::Request&, httplib::Response& response) {
      response.set_chunked_content_provider(
          "text/plain", [empty_first, calls = 0](std::size_t, httplib::DataSink& sink) mutable {
            std::printf("%s call %d\n", empty_first ? "empty first:" : "plain:", ++calls);
            std::fflush(stdout);
            if (empty_first && calls == 1) return sink.write("", 0);
            sink.write("hello", 5);
            sink.done();
            return true;
          });
    };
  };
  server.Get("/plain", stream(false));
  server.Get("/empty-first", stream(true));
  std::printf("cpp-httplib %s\nport %d\n", CPPHTTPLIB_VERSION, server.bind_to_any_port("127.0.0.1"));
  std::fflush(stdout);
  server.listen_after_bind();
}
CPP
flags=$(PKG_CONFIG_PATH=$(dirname "$(find "$folder/root" -name 'cpp-httplib.pc')") pkg-config --cflags-only-other cpp-httplib 2>/dev/null || true)
library=$(find "$folder/root" -name 'libcpp-httplib.so.0.11*' | head -n 1)
# shellcheck disable=SC2086
g++ -std=c++17 $flags -I"$folder/root/usr/include" "$folder/server.cpp" "$library" -pthread -o "$folder/server"
LD_LIBRARY_PATH=$(dirname "$library") "$folder/server" >"$folder/log" &
server=$!
until grep -qs '^port' "$folder/log"; do sleep 0.1; done
port=$(sed -n 's/^port //p' "$folder/log")
head -n 1 "$folder/log"
ask() { curl -s --max-time 10 "http://127.0.0.1:$port/$1" || printf ' (curl says %s)' $?; }
seen="$(ask plain)|$(ask empty-first)"
grep call "$folder/log"
echo "bodies: \"${seen%|*}\" and, with an empty write first, \"${seen#*|}\""
if [ "$seen" = "hello| (curl says 18)" ]; then echo "as described"; else
  echo 'changed; they were "hello" and " (curl says 18)", which is a cut transfer'
  exit 1
fi
