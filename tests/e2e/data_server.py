#!/usr/bin/env python3
# tests/e2e/data_server.py - files on loopback, and every way in which a URL can go wrong.
"""usage: data_server.py PORT FOLDER"""
import http.server
import os
import sys

FOLDER = sys.argv[2]
PARQUET_END = b"PAR1"


class Handler(http.server.BaseHTTPRequestHandler):
    def reply(self, body, declared=None):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) if declared is None else declared))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        path = self.path.split("?")[0]
        if path == "/redirect-private/rows.jsonl":
            self.send_response(302)
            self.send_header("Location", "http://10.1.2.3/rows.jsonl")
            self.end_headers()
        elif path == "/huge/rows.jsonl":
            self.reply(b"{", declared=1 << 50)
        elif path == "/truncated/rows.parquet":
            self.reply(PARQUET_END + b"\0" * 64)
        elif path == "/columns/rows.csv":
            self.reply(b"colour,size\nred,4\nblue,5\n")
        elif path == "/empty/rows.jsonl":
            self.reply(b"")
        elif os.path.isfile(FOLDER + path) and ".." not in path:
            with open(FOLDER + path, "rb") as file:
                self.reply(file.read())
        else:
            self.send_error(404)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
