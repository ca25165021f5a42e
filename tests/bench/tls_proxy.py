#!/usr/bin/env python3
# tests/bench/tls_proxy.py - plain HTTP on loopback to a TLS server; counts requests by method.
"""usage: tls_proxy.py PORT SERVER_PORT CA_FILE    Each SIGUSR1 prints {"GET": n, ...}; watches are not counted."""
import asyncio
import collections
import json
import re
import signal
import ssl
import sys

port, server_port, ca = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
context = ssl.create_default_context(cafile=ca)
counts = collections.Counter()
REQUEST = re.compile(rb"(GET|POST|PUT|PATCH|DELETE) (\S+) HTTP/1\.1\r\n")


async def pump(reader, writer, count):
    try:
        while data := await reader.read(1 << 18):
            if count:
                for method, path in REQUEST.findall(data):
                    counts["WATCH" if b"watch=1" in path else method.decode()] += 1
            writer.write(data)
            await writer.drain()
    except (ConnectionError, ssl.SSLError):
        pass
    finally:
        writer.close()


async def serve(reader, writer):
    there, away = await asyncio.open_connection("127.0.0.1", server_port, ssl=context)
    await asyncio.gather(pump(reader, away, True), pump(there, writer, False))


async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: print(json.dumps(counts), flush=True))
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    print("ready", flush=True)
    await server.serve_forever()


asyncio.run(main())
