"""A small client of OGC API - Processes: one connection for each request, nothing hidden, nothing repaired."""
import contextlib
import email
import email.policy
import http.client
import json as json_module
import re
import time
import urllib.parse
import uuid

from harness import target

ASYNC = "respond-async"
FINAL = ("successful", "failed", "dismissed")
RESULTS = "http://www.opengis.net/def/rel/ogc/1.0/results"


class Answer:
    """Status, headers and body of an answer."""

    def __init__(self, status, headers, body, request):
        self.status, self.headers, self.body, self.request = status, headers, body, request

    @property
    def media_type(self):
        return self.headers.get("Content-Type", "").split(";")[0].strip().lower()

    @property
    def text(self):
        return self.body.decode()

    def json(self):
        assert self.media_type.endswith("json"), f"no JSON: {self}"
        return json_module.loads(self.body)

    def links(self):
        """`Link` headers (RFC 8288) as {rel: href}."""
        found = {}
        for value in self.headers.get_all("Link") or []:
            for href, parameters in re.findall(r"<([^>]*)>((?:\s*;[^,<]*)*)", value):
                rel = re.search(r'rel\s*=\s*"?([^";]*)"?', parameters)
                found[rel[1].strip() if rel else None] = href
        return found

    def parts(self):
        """Parts of multipart/related by Content-ID, without angle brackets."""
        assert self.media_type == "multipart/related", f"not multipart/related: {self}"
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        message = email.message_from_bytes(head + self.body, policy=email.policy.HTTP)
        assert message.is_multipart() and not message.defects, f"{message.defects}: {self}"
        return {part["Content-ID"].strip("<>"): part for part in message.iter_parts()}

    def __str__(self):
        head = "".join(f"\n  {name}: {value}" for name, value in self.headers.items())
        return f"{self.request}\nwas answered {self.status}{head}\n\n  {self.body[:2000].decode(errors='replace')}"


class Client:
    """Of one tenant."""

    def __init__(self, base=None, seconds=120):
        self.base, self.seconds = base or target.base(), seconds

    def request(self, method, path, body=None, **headers):
        """`path` below the tenant's root, or an absolute URL. `body`: bytes, text, or what becomes JSON."""
        url = path if "://" in path else self.base + path
        headers = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
        if body is not None and not isinstance(body, (bytes, str)):
            headers.setdefault("Content-Type", "application/json")
            body = json_module.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        headers.setdefault("Accept", "application/json")
        parts = urllib.parse.urlsplit(url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=self.seconds)
        try:
            query = f"?{parts.query}" if parts.query else ""
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                # A server that wants no more of the body has answered already.
                connection.request(method, (parts.path or "/") + query, body, headers)
            response = connection.getresponse()
            shown = " ".join(f"{name}: {value};" for name, value in headers.items())
            shown = f"{method} {url} [{shown}] {(body or b'')[:600].decode(errors='replace')}"
            return Answer(response.status, response.headers, response.read(), shown)
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.request("GET", path, **headers)

    def delete(self, path, **headers):
        return self.request("DELETE", path, **headers)

    def post(self, path, body=None, **headers):
        return self.request("POST", path, body, **headers)

    def put(self, path, body=None, **headers):
        return self.request("PUT", path, body, **headers)

    def deploy(self, package, query="", media_type="application/cwl"):
        return self.post(f"/processes{query}", package, Content_Type=media_type)

    def execute(self, process, inputs, prefer=None, accept="application/json", **body):
        return self.post(f"/processes/{process}/execution", {"inputs": inputs} | body, Prefer=prefer, Accept=accept)

    def start(self, process, inputs, **body):
        """Id of a job that runs by itself."""
        answer = self.execute(process, inputs, ASYNC, **body)
        assert answer.status == 201, answer
        return answer.json()["jobID"]

    def status(self, job):
        answer = self.get(f"/jobs/{job}")
        assert answer.status == 200, answer
        return answer.json()

    def wait(self, job, *until, seconds=120):
        """The job's statusInfo, as soon as its status is one of `until`; a final one ends the waiting."""
        until = until or ("successful",)
        deadline = time.monotonic() + seconds
        while True:
            status = self.status(job)
            if status["status"] in until:
                return status
            assert status["status"] not in FINAL, f"{job} is {status}"
            assert time.monotonic() < deadline, f"{job} was not {until} after {seconds} s: {status}"
            time.sleep(0.1)


def package(name, process=None, **replaced):
    """Text of packages/NAME.cwl; its process is called `process`, `@WORD@` is replaced by the value of `word`."""
    text = (target.PACKAGES / f"{name}.cwl").read_text()
    for word, value in ({"process": process or name} | replaced).items():
        text = text.replace(f"@{word.upper()}@", str(value))
    return text


def fresh(stem):
    """An id that nobody has."""
    return f"{stem}-{uuid.uuid4().hex[:8]}"
