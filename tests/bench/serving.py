#!/usr/bin/env python3
# tests/bench/serving.py - servers side by side: tokens per second of 1, 4, 8 clients, free and under a JSON schema, a
# chat's fourth turn, a shared prefix, memory.
"""usage: serving.py NAME=PORT:PID...    NAME: bf16, bf16_old, q4, q4_old, llama. Figures for serving_goals.py in ROWS lines."""
import itertools
import json
import os
import statistics
import sys
import threading
import time
import urllib.request

TOKENS, ROUNDS, CHATS = 64, 3, 3
QUESTIONS = ("Tell me about the river Nile in a few sentences, and where it begins. It is question {}.",
             "And the Amazon? Compare both in length and in water, please.",
             "Which animals live in them, and which of them are dangerous to people?",
             "Sum up all that you said, in one sentence.")
# No answer of it ends before it has TOKENS: both kinds of decoding are measured on as many.
FACT = {"type": "object", "required": ["name", "year", "is_true"], "additionalProperties": False, "properties": {
    "name": {"type": "string", "minLength": 4, "maxLength": 30}, "year": {"type": "integer", "minimum": 0, "maximum": 2100},
    "is_true": {"type": "boolean"}}}
SCHEMA = {"type": "object", "required": ["facts"], "additionalProperties": False,
          "properties": {"facts": {"type": "array", "items": FACT, "minItems": 12, "maxItems": 20}}}
PREFIX = "You answer questions about rivers, mountains and towns. " + " ".join(
    f"Rule {i}: name the place of entry {i * 7919 % 1000} first, then its height." for i in range(50))
numbers = itertools.count()  # no prompt is sent twice


def ask(port, messages, tokens, schema=None):
    body = {"messages": messages, "temperature": 0, "max_tokens": tokens}
    if schema:
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "facts", "strict": True, "schema": schema}}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/chat/completions", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=300) as reply:
        return json.load(reply)


def story(port, number, replies, schema):
    text = f"Tell me a long story about the number {number}."
    replies.append(ask(port, [{"role": "user", "content": text}], TOKENS, schema)["usage"])


def rate(port, clients, schema=None):
    first = next(numbers) * 100
    replies, begin = [], time.monotonic()
    threads = [threading.Thread(target=story, args=(port, first + i, replies, schema)) for i in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(replies) != clients:
        sys.exit(f"serving: {len(replies)} of {clients} requests were answered")
    if schema and any(r["completion_tokens"] != TOKENS for r in replies):
        sys.exit("serving: an answer under the schema has ended early")
    return sum(r["completion_tokens"] for r in replies) / (time.monotonic() - begin)


def first_tokens(port, number):  # seconds to the first token of two requests with a long beginning in common
    out, tokens = [], 0
    for question in ("Which river is the longest?", "Which mountain is the highest?"):
        messages = [{"role": "system", "content": f"Session {number}. {PREFIX}"}, {"role": "user", "content": question}]
        begin = time.monotonic()
        tokens = ask(port, messages, 1)["usage"]["prompt_tokens"]
        out.append(time.monotonic() - begin)
    if not 900 <= tokens <= 1200:
        sys.exit(f"serving: the shared beginning has {tokens} tokens, not about 1,000")
    return out


def processor_s(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def fourth_turn(port, pid, number):  # processor seconds of its prompt and one token
    messages = []
    for question in QUESTIONS[:3]:
        messages.append({"role": "user", "content": question.format(number)})
        reply = ask(port, messages, 48)
        messages.append({"role": "assistant", "content": reply["choices"][0]["message"]["content"]})
    messages.append({"role": "user", "content": QUESTIONS[3]})
    begin = processor_s(pid)
    ask(port, messages, 1)
    return processor_s(pid) - begin


def memory_mib(pid):
    with open(f"/proc/{pid}/smaps_rollup") as file:
        kib = {line.split()[0]: int(line.split()[1]) for line in file if "kB" in line}
    return kib["Rss:"] / 1024, kib["Pss:"] / 1024


servers = {}
for argument in sys.argv[1:]:
    name, where = argument.split("=")
    servers[name] = tuple(map(int, where.split(":")))
figures = {}
for name, (port, pid) in servers.items():
    ask(port, [{"role": "user", "content": "Hello!"}], 8)
print(f"  {'tokens/s':>10}" + "".join(f"{name:>12}" for name in servers))
for clients in (1, 4, 8):
    rates = {name: [] for name in servers}
    for _ in range(ROUNDS):  # in turn, so that a busy moment is everybody's
        for name, (port, pid) in servers.items():
            rates[name].append(rate(port, clients))
    for name, seen in rates.items():
        figures[f"{name}_{clients}"] = max(seen)
    print(f"  {clients:>10}" + "".join(f"{max(rates[name]):12.1f}" for name in servers), flush=True)
new = {name: where for name, where in servers.items() if not name.endswith("_old")}  # older builds know no schema
for clients in (1, 8):
    rates = {name: [] for name in new}
    for _ in range(ROUNDS):  # and free ones beside them, for the ratio
        for name, (port, pid) in new.items():
            rates[name].append((rate(port, clients), rate(port, clients, SCHEMA)))
    for name, seen in rates.items():
        figures[f"{name}_{clients}_free"] = max(free for free, _ in seen)
        figures[f"{name}_{clients}_schema"] = max(bound for _, bound in seen)
    print(f"  {f'{clients}, schema':>10}" + "".join(
        f"{figures[f'{name}_{clients}_schema']:12.1f}" if name in new else f"{'-':>12}" for name in servers), flush=True)
for name, (port, pid) in new.items():
    pairs = [first_tokens(port, chat) for chat in range(CHATS)]
    figures[f"{name}_first"], figures[f"{name}_second"] = (statistics.median(side) for side in zip(*pairs))
for words, key in (("1st of 2,s", "first"), ("2nd of 2,s", "second")):
    print(f"  {words:>10}" + "".join(
        f"{figures[f'{name}_{key}']:12.3f}" if name in new else f"{'-':>12}" for name in servers), flush=True)
print(f"  {'turn 4, s':>10}", end="")
for name, (port, pid) in servers.items():
    figures[f"{name}_turn"] = statistics.median(fourth_turn(port, pid, chat) for chat in range(CHATS))
    print(f"{figures[f'{name}_turn']:12.2f}", end="", flush=True)
print(f"\n  {'RSS, MiB':>10}", end="")
for name, (port, pid) in servers.items():
    figures[f"{name}_rss"], figures[f"{name}_pss"] = memory_mib(pid)
    print(f"{figures[f'{name}_rss']:12.1f}", end="")
print(f"\n  {'PSS, MiB':>10}" + "".join(f"{figures[f'{name}_pss']:12.1f}" for name in servers))
print("ROWS " + json.dumps(figures))
