#!/usr/bin/env python3
"""tests/e2e/trainjob_server.py - Kubeflow Trainer's status server as kairo-tune meets it: HTTPS, a token, a body of its rules.

usage: trainjob_server.py PORT CERTIFICATE KEY TOKEN_FILE LOG
LOG gets a JSON line for each POST: status answered, path, what is wrong with it, body. The rules are KEP-2779's: the token that lies
in TOKEN_FILE now, a path of a TrainJob, trainerStatus with lastUpdatedTime, whole percents, values that are texts of 64 characters at most.
"""
import http.server
import json
import re
import ssl
import sys

port, certificate, key, token_file, log = sys.argv[1:]


def wrong_with(status):
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", status.get("lastUpdatedTime", "")):
        return "lastUpdatedTime is required when trainerStatus is present"
    percent, eta = status.get("progressPercentage", 0), status.get("estimatedRemainingSeconds", 0)
    if type(percent) is not int or not 0 <= percent <= 100 or type(eta) is not int or not 0 <= eta < 2**31:
        return "not whole numbers in their range"
    for metric in status.get("metrics", []):
        if set(metric) != {"name", "value"} or not all(isinstance(v, str) and 0 < len(v) <= 64 for v in metric.values()):
            return f"a metric: {metric}"
    unknown = set(status) - {"progressPercentage", "estimatedRemainingSeconds", "metrics", "lastUpdatedTime"}
    return f"unknown: {unknown}" if unknown else ""


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        token = open(token_file).read().strip()
        said, wrong, code = None, "", 200
        if self.headers["Authorization"] != f"Bearer {token}":
            code, wrong = 403, "Forbidden"
        elif not re.fullmatch(r"/apis/trainer\.kubeflow\.org/v1alpha1/namespaces/[^/]+/trainjobs/[^/]+/status", self.path):
            code, wrong = 404, "Not found"
        else:
            said = json.loads(body)
            wrong = wrong_with(said["trainerStatus"])
            code = 422 if wrong else 200
        with open(log, "a") as out:
            print(json.dumps({"code": code, "path": self.path, "wrong": wrong, "body": said}), file=out)
        # A refusal that says the caller's token again: no log of ours may.
        answer = json.dumps({"kind": "Status", "code": code, "message": wrong + " " + str(self.headers["Authorization"])}).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
