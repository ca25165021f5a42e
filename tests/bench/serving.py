#!/usr/bin/env python3
# tests/bench/serving.py - answer tokens per second of a server, for several clients at a time.
"""usage: serving.py PORT CLIENTS..."""
import json
import sys
import threading
import time
import urllib.request

TOKENS = 64


def ask(port, number, counts):
    body = {"messages": [{"role": "user", "content": f"Tell me a long story about the number {number}."}],
            "temperature": 0, "max_tokens": TOKENS}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/chat/completions", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    counts.append(json.load(urllib.request.urlopen(request))["usage"]["completion_tokens"])


port = int(sys.argv[1])
ask(port, 0, [])
for clients in map(int, sys.argv[2:]):
    counts, begin = [], time.monotonic()
    threads = [threading.Thread(target=ask, args=(port, n, counts)) for n in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - begin
    print(f"  {clients:2} at a time: {sum(counts) / took:6.1f} tokens/s   ({sum(counts)} tokens, prompts included in the time)")
