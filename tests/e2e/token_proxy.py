# tests/e2e/token_proxy.py PORT URL TOKEN_FILE - passes requests on with a token: kubectl shows none over http.
import http.server
import sys
import urllib.error
import urllib.request

port, url, token = int(sys.argv[1]), sys.argv[2], open(sys.argv[3]).read().strip()


class Proxy(http.server.BaseHTTPRequestHandler):
    def pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
        request = urllib.request.Request(url + self.path, body, method=self.command)
        for name in ("Accept", "Content-Type"):
            if name in self.headers:
                request.add_header(name, self.headers[name])
        request.add_header("Authorization", "Bearer " + token)
        try:
            answer = urllib.request.urlopen(request)
        except urllib.error.HTTPError as refusal:
            answer = refusal
        bytes_ = answer.read()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.headers.get("Content-Type", "application/json"))
        self.send_header("Content-Length", str(len(bytes_)))
        self.end_headers()
        self.wfile.write(bytes_)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", port), Proxy).serve_forever()
