#!/usr/bin/env python3
# tests/bench/openai.py - OpenAI's API through kairo's gateway: what a chat costs beside one with the server itself, and
# how long a tuned adapter is on its way to its first answer.
"""usage: openai.py GATEWAY ROWS.jsonl KAIRO    (GATEWAY: 127.0.0.1:PORT; KAIRO: the program)"""
import http.client
import json
import statistics
import subprocess
import sys
import time

gateway, rows, kairo = sys.argv[1:]
MODEL = "smollm2-135m-instruct"
CHATS = 200


def ask(connection, method, path, body=None, kind="application/json"):
    connection.request(method, path, body, {"Content-Type": kind} if body else {})
    reply = connection.getresponse()
    text = reply.read()
    if reply.status != 200:
        sys.exit(f"{method} {path}: {reply.status} {text.decode()[:300]}")
    return json.loads(text)


def chat(connection, model):
    body = {"model": model, "max_tokens": 1, "temperature": 0, "messages": [{"role": "user", "content": "hi"}]}
    begin = time.perf_counter()
    ask(connection, "POST", "/v1/chat/completions", json.dumps(body))
    return time.perf_counter() - begin


def tuned(connection, file):  # a job that has ended well: its model, and when that was said
    body = {"model": MODEL, "training_file": file, "hyperparameters": {"n_epochs": 1, "batch_size": 12}}
    job = ask(connection, "POST", "/v1/fine_tuning/jobs", json.dumps(body))
    while job["status"] not in ("succeeded", "failed", "cancelled"):
        time.sleep(0.05)
        job = ask(connection, "GET", "/v1/fine_tuning/jobs/" + job["id"])
    if job["status"] != "succeeded":
        sys.exit(f"the job is {job['status']}: {job['error']}")
    return job["fine_tuned_model"]


connection = http.client.HTTPConnection(gateway, timeout=180)
with open(rows, "rb") as file:
    content = file.read()
form = b"--x\r\nContent-Disposition: form-data; name=purpose\r\n\r\nfine-tune\r\n--x\r\n"
form += b'Content-Disposition: form-data; name=file; filename="rows.jsonl"\r\n\r\n' + content + b"\r\n--x--\r\n"
file_id = ask(connection, "POST", "/v1/files", form, "multipart/form-data; boundary=x")["id"]
print(f"  the first answer, no server yet: {chat(connection, MODEL):.2f} s")
firsts = []
for number in range(3):
    begin = time.perf_counter()
    model = tuned(connection, file_id)
    trained = time.perf_counter() - begin
    firsts.append(chat(connection, model))
    print(f"  job {number + 1}: {trained:.2f} s to its end, then {firsts[-1]:.2f} s to its adapter's first answer")
seen = json.loads(subprocess.run([kairo, "get", "service", "openai-" + MODEL, "-o", "json"], check=True, capture_output=True, text=True).stdout)
address = seen["metadata"]["annotations"]["kairo.dev/local-address"].removeprefix("http://")
server = http.client.HTTPConnection(address, timeout=60)
model = ask(server, "GET", "/v1/models")["data"][0]["id"]
through, alone = [], []
for _ in range(CHATS):  # in turns: a slow moment is both's
    through.append(chat(connection, MODEL))
    alone.append(chat(server, model))
added = 1000 * (statistics.median(through) - statistics.median(alone))
print(f"  a chat of one token, p50 of {CHATS}: {1000 * statistics.median(through):.2f} ms through the gateway, {1000 * statistics.median(alone):.2f} ms with the server")
print("ROWS " + json.dumps({"added": added, "first": max(firsts)}))
