#!/usr/bin/env python3
# tests/bench/serving.py - answer tokens per second of a server, for several clients at a time.
"""usage: serving.py PORT CLIENTS..."""
import itertools
import json
import sys
import threading
import time
import urllib.request

TOKENS = 64
numbers = itertools.count()  # no prompt is sent twice


def ask(port, number, replies):
    body = {"messages": [{"role": "user", "content": f"Tell me a long story about the number {number}."}],
            "temperature": 0, "max_tokens": TOKENS}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/chat/completions", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    replies.append(json.load(urllib.request.urlopen(request, timeout=300))["usage"])


port = int(sys.argv[1])
ask(port, next(numbers), [])
print(f"  {'requests at a time':>18}{'tokens/s':>10}{'tokens/s each':>15}{'answer tokens':>15}{'prompt tokens':>15}{'s':>8}")
for clients in map(int, sys.argv[2:]):
    replies, begin = [], time.monotonic()
    threads = [threading.Thread(target=ask, args=(port, next(numbers), replies)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - begin
    if len(replies) != clients:
        sys.exit(f"serving: {len(replies)} of {clients} requests were answered")
    answered = sum(r["completion_tokens"] for r in replies)
    prompts = sum(r["prompt_tokens"] for r in replies)
    print(f"  {clients:18}{answered / took:10.1f}{answered / took / clients:15.1f}{answered:15}{prompts:15}{took:8.2f}")
