#!/usr/bin/env python3
# tests/cluster/dns.py - the names of a cluster's Services, as its pods ask for them. No CoreDNS: one thread, A records.
"""usage: dns.py ADDRESS API CA_FILE TOKEN_FILE

NAME.NAMESPACE.svc[.cluster.local] is the Service's address; without one (headless), its pods'. Nothing else has a name."""
import json
import socket
import ssl
import struct
import sys
import time
import urllib.request

address, api, ca_file, token_file = sys.argv[1:]
tls = ssl.create_default_context(cafile=ca_file)
known = {}  # what was asked -> (until when it counts, addresses)


def get(path):
    with open(token_file, encoding="ascii") as file:
        request = urllib.request.Request(api + path, headers={"Authorization": f"Bearer {file.read().strip()}"})
    with urllib.request.urlopen(request, timeout=2, context=tls) as answer:
        return json.load(answer)


def addresses_of(name):
    """None: there is no such name."""
    labels = name.lower().rstrip(".").removesuffix(".cluster.local").split(".")
    if len(labels) < 3 or labels[-1] != "svc":
        return None
    service, namespace = labels[-3], labels[-2]
    try:
        at = get(f"/api/v1/namespaces/{namespace}/services/{service}")["spec"].get("clusterIP")
        if at != "None" and len(labels) == 3:
            return [at] if at else None
        slices = get(f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?labelSelector=kubernetes.io/service-name={service}")
        ends = [end for one in slices["items"] for end in one["endpoints"] or []]
        found = [end["addresses"][0] for end in ends if len(labels) == 3 or end.get("hostname") == labels[0]]
        return found or None
    except (OSError, KeyError, ValueError):
        return None


def answer(query):
    if len(query) < 17:
        return None
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode("ascii"))
        at += 1 + query[at]
    kind = struct.unpack(">H", query[at + 1:at + 3])[0]
    name = ".".join(labels)
    until, found = known.get(name, (0, None))
    if until < time.monotonic():
        found = addresses_of(name)
        known[name] = (time.monotonic() + 1, found)
    records = found if found and kind == 1 else []
    code = 0 if found else 3
    head = query[:2] + struct.pack(">HHHHH", 0x8580 | code, 1, len(records), 0, 0)
    tail = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 1, 4) + socket.inet_aton(ip) for ip in records)
    return head + query[12:at + 5] + tail


def main():
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, 53))
    while True:
        query, asker = server.recvfrom(4096)
        try:
            said = answer(query)
        except (IndexError, UnicodeDecodeError, struct.error):
            continue  # no question
        if said:
            server.sendto(said, asker)


main()
