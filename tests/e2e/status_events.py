#!/usr/bin/env python3
# tests/e2e/status_events.py - a status subscriber that shares no code with kairo: NATS' wire protocol.
"""usage: status_events.py PORT PASSWORD_FILE [SECONDS]

Prints each event on a line: first the last value of every Workspace, then the changes as they come.
"""
import json
import os
import socket
import sys
import time

port, password_file = int(sys.argv[1]), sys.argv[2]
until = time.monotonic() + float(sys.argv[3] if len(sys.argv) > 3 else 10)
with open(password_file) as file:
    password = file.read().strip()
connection = socket.create_connection(("127.0.0.1", port), timeout=5)
stream = connection.makefile("rb")


def send(text, body=""):
    connection.sendall((text + "\r\n" + (body + "\r\n" if body else "")).encode())


options = {"verbose": False, "pedantic": True, "user": "admin", "pass": password, "name": "status_events",
           "lang": "python", "version": "1", "protocol": 1, "headers": True}
send("CONNECT " + json.dumps(options))
inbox = f"_INBOX.{os.getpid()}"  # of our own: who shares one gets the others' events too
send(f"SUB {inbox}.events 1")
send(f"SUB {inbox}.reply 2")
consumer = {"stream_name": "KAIRO_STATUS", "config": {
    "deliver_policy": "last_per_subject", "filter_subject": "kairo.status.>", "ack_policy": "none",
    "deliver_subject": f"{inbox}.events"}}
request = json.dumps(consumer)
send(f"PUB $JS.API.CONSUMER.CREATE.KAIRO_STATUS {inbox}.reply {len(request)}", request)
while time.monotonic() < until:
    connection.settimeout(max(0.01, until - time.monotonic()))
    try:
        line = stream.readline().decode().strip()
    except TimeoutError:
        break
    if line.startswith("PING"):
        send("PONG")
    elif line.startswith(("MSG", "HMSG")):
        words = line.split()
        payload = stream.read(int(words[-1]) + 2)[:-2]
        if words[0] == "HMSG":
            payload = payload[int(words[-2]):]
        if words[2] == "1":
            print(payload.decode(), flush=True)
        elif b'"error"' in payload:
            sys.exit(f"status_events: {payload.decode()}")
    elif line.startswith("-ERR"):
        sys.exit(f"status_events: {line}")
    elif not line:
        sys.exit("status_events: the server closed the connection")
