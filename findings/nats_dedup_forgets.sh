#!/usr/bin/env bash
# nats-server 2.15.3: JetStream deduplicates by Nats-Msg-Id within a window, but after a restart it knows only the ids of the
# messages that the stream still holds. In a stream that keeps the last message of a subject (max_msgs_per_subject 1), A was
# discarded when B came. A publisher that replays A and B in their order after the restart is told "A is new, B is a
# duplicate", and the last value is A: deduplication turned a harmless replay into a step back. Without the restart both are
# duplicates and B stays.
# kairo's relay says the newest value alone, and a test pins that.
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
command -v go >/dev/null || { echo "SKIP: go is not installed"; exit 77; }
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check nats-py==2.16.0 &&
  GOBIN="$folder" GOFLAGS=-buildvcs=false go install github.com/nats-io/nats-server/v2@v2.15.3 2>/dev/null || {
  echo "SKIP: nats-py 2.16.0 or nats-server 2.15.3 cannot be installed here"
  exit 77
}
"$folder/nats-server" --version
start() {
  "$folder/nats-server" -a 127.0.0.1 -p -1 --ports_file_dir "$folder" -js -sd "$folder/store" >"$folder/log" 2>&1 &
  server=$!
  until ls "$folder"/nats-server_"$server".ports >/dev/null 2>&1; do sleep 0.1; done
  url=$(sed -nE 's/.*"(nats:[^"]*)".*/\1/p' "$folder/nats-server_$server.ports" | head -n 1)
}
cat >"$folder/say.py" <<'PYTHON'
import asyncio, sys
import nats

async def main(url, *values):
    client = await nats.connect(url)
    stream = client.jetstream()
    await stream.add_stream(name="LAST", subjects=["last.>"], max_msgs_per_subject=1, duplicate_window=120)
    for value in values:
        ack = await stream.publish("last.x", value.encode(), headers={"Nats-Msg-Id": value})
        print(f"  {value}: {'a duplicate' if ack.duplicate else 'new'}")
    print(f"  the last value is {(await stream.get_last_msg('LAST', 'last.x')).data.decode()}")
    await client.close()

asyncio.run(main(*sys.argv[1:]))
PYTHON
{
  start
  echo "said:"
  "$folder/venv/bin/python" "$folder/say.py" "$url" A B
  echo "said again:"
  "$folder/venv/bin/python" "$folder/say.py" "$url" A B
  kill "$server" && wait "$server" || true
  start
  echo "said again after a restart:"
  "$folder/venv/bin/python" "$folder/say.py" "$url" A B
} >"$folder/seen"
cat "$folder/seen"
cat >"$folder/expected" <<'TEXT'
said:
  A: new
  B: new
  the last value is B
said again:
  A: a duplicate
  B: a duplicate
  the last value is B
said again after a restart:
  A: new
  B: a duplicate
  the last value is A
TEXT
if cmp -s "$folder/seen" "$folder/expected"; then echo "as described"; else
  echo "changed; it was:"
  cat "$folder/expected"
  exit 1
fi
