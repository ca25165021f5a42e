#!/usr/bin/env python3
# tests/e2e/listening.py - the addresses on which processes listen.
"""usage: listening.py PID...    Prints "pid address:port" for each listening TCP socket, from /proc."""
import os
import socket
import struct
import sys

addresses = {}  # inode -> address
for table, family in (("/proc/net/tcp", socket.AF_INET), ("/proc/net/tcp6", socket.AF_INET6)):
    with open(table) as lines:
        for fields in (line.split() for line in list(lines)[1:]):
            if fields[3] != "0A":
                continue
            host, port = fields[1].split(":")
            words = [int(host[i:i + 8], 16) for i in range(0, len(host), 8)]
            name = socket.inet_ntop(family, b"".join(struct.pack("=I", word) for word in words))
            addresses[fields[9]] = f"{name}:{int(port, 16)}"
for pid in sys.argv[1:]:
    try:
        descriptors = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        continue
    for descriptor in descriptors:
        try:
            target = os.readlink(f"/proc/{pid}/fd/{descriptor}")
        except OSError:
            continue
        if target.startswith("socket:[") and target[8:-1] in addresses:
            print(pid, addresses[target[8:-1]])
