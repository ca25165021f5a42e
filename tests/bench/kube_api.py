# tests/bench/kube_api.py - one connection to a real Kubernetes API server.
import http.client
import json
import socket
import ssl
import time


class Api:
    def __init__(self, port, token, ca_file):
        self.port = port
        self.headers = {"Authorization": "Bearer " + token}
        self.context = ssl.create_default_context(cafile=ca_file)
        self.connection, self.used = self.connect(), time.monotonic()

    def connect(self):
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def ask(self, method, path, body=None, content="application/json"):
        if time.monotonic() - self.used > 20:  # the server may have ended it meanwhile
            self.connection.close()
            self.connection = self.connect()
        self.connection.request(method, path, json.dumps(body) if body else None,
                                self.headers | {"Content-Type": content})
        reply = self.connection.getresponse()
        self.used = time.monotonic()
        text = reply.read()
        answer = json.loads(text) if text.startswith(b"{") else {"message": text.decode().strip()}
        if reply.status >= 300:
            raise RuntimeError(f"{method} {path}: {reply.status} {answer.get('message')}")
        return answer

    def watch(self, path, selector=""):
        """Yields (type, object) from now on, until the server ends it."""
        yield from self.events(path, self.ask("GET", path)["metadata"]["resourceVersion"], selector)

    def events(self, path, version, selector=""):
        connection = self.connect()
        connection.request("GET", f"{path}?watch=1&timeoutSeconds=3600&resourceVersion={version}{selector}", headers=self.headers)
        reply = connection.getresponse()
        while line := reply.readline():
            event = json.loads(line)
            yield event["type"], event["object"]

    def follow(self, path):
        """As watch, for ever: one that ends, breaks off or falls behind goes on with what is there."""
        seen, is_first = set(), True
        while True:
            try:
                listing = self.ask("GET", path)
                for found in [] if is_first else listing["items"]:
                    yield "MODIFIED" if found["metadata"]["uid"] in seen else "ADDED", found
                is_first = False
                for kind, found in self.events(path, listing["metadata"]["resourceVersion"]):
                    if kind == "ERROR":
                        break
                    seen.add(found["metadata"]["uid"])
                    yield kind, found
            except (OSError, http.client.HTTPException, ValueError):  # half a line, a reset
                self.connection.close()
                self.connection = self.connect()
