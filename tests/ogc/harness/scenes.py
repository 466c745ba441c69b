"""Listeners that the server under test calls: files, and callbacks."""
import functools
import http.server
import json
import queue
import threading


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A client that hangs up is no error here."""


class Files(http.server.SimpleHTTPRequestHandler):
    """Files of a folder, without ranges: the raster tools take whole files then."""

    def log_message(self, *_):
        pass


def serve(folder, host):
    """URL of the folder's files."""
    server = Server((host, 0), functools.partial(Files, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://{host}:{server.server_address[1]}"


class Listener:
    """Takes what is posted and gives what it holds.

    `refusals` times it answers 503 first. `documents`: path -> (media type, bytes, or a function of the handler).
    """

    def __init__(self, host, refusals=0, documents=None):
        posted, seen, documents = queue.Queue(), [], documents or {}
        refuse = iter(range(refusals))

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self, status, body=b"", **headers):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def do_GET(self):
                seen.append((self.command, self.path))
                if self.path not in documents:
                    return self.answer(404, b"nothing here")
                media_type, content = documents[self.path]
                if callable(content):
                    return content(self)
                return self.answer(200, content, Content_Type=media_type)

            do_HEAD = do_GET

            def do_POST(self):
                seen.append((self.command, self.path))
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if next(refuse, None) is not None:
                    return self.answer(503, b"later")
                posted.put((self.path, self.headers.get("Content-Type", ""), body))
                return self.answer(200)

        self.server = Server((host, 0), Handler)
        self.posted, self.seen, self.documents = posted, seen, documents
        self.url = f"http://{host}:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def next_json(self, path, seconds=60):
        """The next document that is posted to the path; others are dropped."""
        while True:
            at, media_type, body = self.posted.get(timeout=seconds)
            if at == path:
                return media_type, json.loads(body)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
