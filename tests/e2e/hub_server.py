#!/usr/bin/env python3
# tests/e2e/hub_server.py - a hub on loopback that answers as huggingface.co does: a listing with
# digests, LFS files by redirect to a CDN on another port, Range, tokens. It counts what it sends.
"""usage: hub_server.py PORT FOLDER [BYTES_PER_SECOND]

FOLDER/<owner>/<name>/ is a model; with a file .token in it, it is gated by that token. GET /stats
tells the requests and bytes so far.
"""
import hashlib
import http.server
import json
import os
import sys
import threading
import time
from urllib.parse import unquote, urlsplit

PORT, FOLDER = int(sys.argv[1]), sys.argv[2]
RATE = int(sys.argv[3]) if len(sys.argv) > 3 else 0
COMMIT = "1234567890" * 4
STATS = {"listings": 0, "resolves": 0, "ranges": 0, "bytes": 0, "tokens_at_cdn": 0}
DIGESTS = {}
LOCK = threading.Lock()


def count(name, more=1):
    with LOCK:
        STATS[name] += more


def digest_of(path):
    if path not in DIGESTS:
        with open(path, "rb") as file:
            DIGESTS[path] = hashlib.file_digest(file, "sha256").hexdigest()
    return DIGESTS[path]


def blob_of(path):
    with open(path, "rb") as file:
        data = file.read()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def is_lfs(name):
    return name.endswith(".safetensors") or name == "tokenizer.json"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    is_cdn = False

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_file(self, path, **headers):
        size, start = os.path.getsize(path), 0
        wanted = self.headers.get("Range", "")
        if wanted.startswith("bytes="):
            start = int(wanted[6:].split("-")[0])
            count("ranges")
            if start >= size:
                return self.answer(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(size - start))
        self.end_headers()
        with open(path, "rb") as file:
            file.seek(start)
            while block := file.read(1 << 16 if RATE else 1 << 20):
                self.wfile.write(block)
                count("bytes", len(block))
                if RATE:
                    time.sleep(len(block) / RATE)

    def may(self, model):
        if not os.path.isdir(model):
            self.answer(401, X_Error_Code="RepoNotFound")
            return False
        if os.path.exists(model + "/.token"):
            with open(model + "/.token", encoding="ascii") as file:
                token = file.read().strip()
            shown = self.headers.get("Authorization", "")
            if shown != "Bearer " + token:
                self.answer(403 if shown else 401, X_Error_Code="GatedRepo")
                return False
        return True

    def do_GET(self):
        try:
            self.route([unquote(part) for part in urlsplit(self.path).path.split("/")[1:]])
        except (BrokenPipeError, ConnectionResetError):
            pass

    def route(self, parts):
        if ".." in parts:
            self.answer(400)
        elif self.is_cdn:
            if "Authorization" in self.headers:
                count("tokens_at_cdn")
            self.send_file("/".join([FOLDER, *parts]))
        elif parts == ["stats"]:
            self.answer(200, json.dumps(STATS).encode())
        elif parts[:2] == ["api", "models"] and len(parts) == 6:
            count("listings")
            self.list("/".join(parts[2:4]))
        elif len(parts) > 4 and parts[2] == "resolve":
            self.resolve("/".join(parts[:2]), "/".join(parts[4:]))
        else:
            self.answer(404, X_Error_Code="EntryNotFound")

    def list(self, model):
        folder = FOLDER + "/" + model
        if not self.may(folder):
            return
        siblings = []
        for name in sorted(os.listdir(folder)):
            path = folder + "/" + name
            if name.startswith(".") or not os.path.isfile(path):
                continue
            size = os.path.getsize(path)
            file = {"rfilename": name, "size": size}
            if is_lfs(name):
                file["lfs"] = {"sha256": digest_of(path), "size": size, "pointerSize": 134}
            else:
                file["blobId"] = blob_of(path)
            siblings.append(file)
        self.answer(200, json.dumps({"id": model, "sha": COMMIT, "siblings": siblings}).encode())

    def resolve(self, model, name):
        path = "/".join([FOLDER, model, name])
        if not self.may(FOLDER + "/" + model):
            return
        if not os.path.isfile(path):
            self.answer(404, X_Error_Code="EntryNotFound")
            return
        count("resolves")
        if is_lfs(name):
            self.answer(302, X_Repo_Commit=COMMIT, X_Linked_Etag=f'"{digest_of(path)}"',
                        Location=f"http://127.0.0.1:{PORT + 1}/{model}/{name}?signature=s3cret")
        else:
            self.send_file(path, X_Repo_Commit=COMMIT, ETag=f'"{blob_of(path)}"')

    def log_message(self, *_):
        pass


class Cdn(Handler):
    is_cdn = True


cdn = http.server.ThreadingHTTPServer(("127.0.0.1", PORT + 1), Cdn)
threading.Thread(target=cdn.serve_forever, daemon=True).start()
http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
