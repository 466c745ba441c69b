"""An HTTP server with bad habits, and a small S3 that checks signatures, both on loopback.

First part of a path: /files/P (ranges), /redirect/P (302 to /files/P), /flaky/P (503 at first, then broken off), /plain/P
(ignores Range), /lying/P (another range than asked), /gzip/P (an encoding nobody asked for), /s3/BUCKET/KEY.
"""
import collections
import hashlib
import hmac
import http.server
import os
import re
import threading
import urllib.parse

KEY_ID, SECRET, REGION = "weir", "loopback", "us-east-1"


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, root):
        super().__init__(("127.0.0.1", 0), Handler)
        self.root, self.objects, self.seen = root, {}, collections.Counter()
        self.requests, self.conditional = collections.Counter(), True
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        """A client that hangs up is part of the tests."""

    @property
    def port(self):
        return self.server_address[1]

    def url(self, *parts, host="127.0.0.1"):
        return "/".join([f"http://{host}:{self.port}", *parts])


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version, disable_nagle_algorithm = "HTTP/1.1", True

    def log_message(self, *_):
        pass

    def answer(self, code, body=b"", **headers):
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        habit, _, rest = urllib.parse.unquote(self.path.split("?")[0]).lstrip("/").partition("/")
        self.server.requests[habit] += 1
        if habit == "s3":
            return self.get_object(rest)
        path = os.path.realpath(os.path.join(self.server.root, rest))
        if not path.startswith(self.server.root + os.sep) or not os.path.isfile(path):
            return self.answer(404, b"no such file")
        if habit == "redirect":
            return self.answer(302, Location=f"/files/{rest}")
        with open(path, "rb") as file:
            whole = file.read()
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if habit == "plain" or not asked:
            return self.answer(200, whole, **({"Content_Encoding": "gzip"} if habit == "gzip" else {}))
        first, last = int(asked[1]), min(int(asked[2]), len(whole) - 1)
        if first > last:
            return self.answer(416, Content_Range=f"bytes */{len(whole)}")
        if habit == "lying":
            first += 1
        part = whole[first : last + 1]
        if habit == "flaky":
            self.server.seen[self.path, first] += 1
            if self.server.seen[self.path, first] == 1:
                return self.answer(503, b"later", Retry_After="0")
            if self.server.seen[self.path, first] == 2:
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(whole)}")
                self.send_header("Content-Length", str(len(part)))
                self.end_headers()
                self.wfile.write(part[: len(part) // 2])
                self.close_connection = True
                return None
        extra = {"Content_Encoding": "gzip"} if habit == "gzip" else {}
        return self.answer(206, part, Content_Range=f"bytes {first}-{last}/{len(whole)}", **extra)

    def get_object(self, name):
        if not self.signed(hashlib.sha256(b"").hexdigest()):
            return self.answer(403, b"the signature does not match")
        if name not in self.server.objects:
            return self.answer(404, b"no such key")
        whole = self.server.objects[name][0]
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if not asked:
            return self.answer(200, whole)
        first, last = int(asked[1]), min(int(asked[2]), len(whole) - 1)
        return self.answer(206, whole[first : last + 1], Content_Range=f"bytes {first}-{last}/{len(whole)}")

    def do_PUT(self):
        _, _, name = urllib.parse.unquote(self.path).lstrip("/").partition("/")
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.signed(hashlib.sha256(body).hexdigest()):
            return self.answer(403, b"the signature does not match")
        if self.server.conditional and self.headers.get("If-None-Match") == "*" and name in self.server.objects:
            return self.answer(412)
        self.server.objects[name] = (body, self.headers["Content-Type"])
        return self.answer(200)

    def signed(self, payload):
        """Signature Version 4 as the server computes it."""
        match = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]+)",
                             self.headers.get("Authorization", ""))
        if not match or self.headers.get("x-amz-content-sha256") != payload:
            return False
        scope, names = match[1].split("/", 1)[1], match[2].split(";")
        day = scope.split("/")[0]
        if match[1] != f"{KEY_ID}/{day}/{REGION}/s3/aws4_request" or not {"host", "x-amz-date"} <= set(names):
            return False
        request = "\n".join([self.command, self.path, "", *(f"{n}:{self.headers[n].strip()}" for n in names), "", match[2], payload])
        text = "\n".join(["AWS4-HMAC-SHA256", self.headers["x-amz-date"], scope, hashlib.sha256(request.encode()).hexdigest()])
        key = f"AWS4{SECRET}".encode()
        for part in (day, REGION, "s3", "aws4_request", text):
            key = hmac.digest(key, part.encode(), "sha256")
        return hmac.compare_digest(key.hex(), match[3])
