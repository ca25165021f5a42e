#!/usr/bin/env python3
# tests/e2e/bus_rights.py - asks a running bus what each of its users may do: NATS' wire protocol.
"""usage: bus_rights.py PORT SECRETS_FOLDER

Prints a line per user, "USER: the facts it may publish; the subjects it may read", one for who has no password, and
the kinds of facts that nobody may publish.
Nothing is stored: each message names a stream that does not exist, so that JetStream drops it.
"""
import json
import pathlib
import re
import socket
import sys

port, secrets = int(sys.argv[1]), pathlib.Path(sys.argv[2])
schema = (pathlib.Path(__file__).parents[2] / "schemas/fact.fbs").read_text()
facts = sorted(re.search(r"union FactBody {([^}]*)}", schema)[1].replace(",", " ").lower().split())
subjects = "kairo.facts.> kairo.status.> kairo.dead.> _INBOX.> $JS.> >".split()


class Session:
    def __init__(self, user, password):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self.stream = self.socket.makefile("rb")
        self.stream.readline()  # INFO
        options = {"verbose": False, "pedantic": True, "user": user, "pass": password, "name": "bus_rights",
                   "lang": "python", "version": "1", "protocol": 1, "headers": True}
        self.refusal = self.refusal_of("CONNECT " + json.dumps(options) + "\r\n")

    def refusal_of(self, command):  # "" when the server does it
        self.socket.sendall((command + "PING\r\n").encode())
        refusal = ""
        while True:
            line = self.stream.readline().decode().strip()
            if line.startswith("-ERR"):
                refusal = line[5:].strip("'")
            if line.startswith("PONG") or not line:
                return refusal or ("" if line else "closed")

    def may_publish(self, subject):
        head = "NATS/1.0\r\nNats-Expected-Stream: NONE\r\n\r\n"
        return not self.refusal_of(f"HPUB {subject} {len(head)} {len(head)}\r\n{head}\r\n")

    def may_read(self, subject):
        return not self.refusal_of(f"SUB {subject} 1\r\nUNSUB 1\r\n")


unsaid = set(facts)
for file in sorted(secrets.glob("*.nats")):
    session = Session(file.stem, file.read_text().strip())
    if session.refusal:
        sys.exit(f"bus_rights: {file.stem}: {session.refusal}")
    writes = [kind for kind in facts if session.may_publish(f"kairo.facts.{kind}.rights.nobody.0")]
    unsaid -= set(writes)
    reads = [subject for subject in subjects if session.may_read(subject)]
    print(f"{file.stem}: {' '.join(writes) or 'none'}; {' '.join(reads) or 'none'}")
print(f"nobody: {Session('nobody', '').refusal}")
print(f"unsaid: {' '.join(sorted(unsaid))}")
