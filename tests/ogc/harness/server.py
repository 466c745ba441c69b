"""`weir serve --local` in a folder, on free ports of loopback."""
import json
import os
import pathlib
import re
import subprocess
import threading
import time
import urllib.request

LISTENS = re.compile(r"OGC API\s+(http://\S+?)/acme/ogc-api")
STORES = re.compile(r"at (http://\S+?),")
ALLOWED_ORIGIN = "http://page.example"


class Server:
    """A server that is started, killed and started again."""

    def __init__(self, program, folder, *options):
        self.program, self.folder = str(program), pathlib.Path(folder)
        self.options, self.process, self.url, self.s3 = options, None, None, None
        self.log = self.folder.with_name(self.folder.name + ".log")

    def start(self):
        port = self.url.rsplit(":", 1)[1] if self.url else "0"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [self.program, "serve", "--local", str(self.folder), "--listen", f"127.0.0.1:{port}", "--s3-listen",
                 "127.0.0.1:0", "--allow-fetch", "127.0.0.1", "--allow-fetch", "localhost",
                 "--allow-origin", ALLOWED_ORIGIN, *self.options],
                stdout=subprocess.PIPE, stderr=log, text=True, env=os.environ | {"NO_COLOR": "1"})
        said = ""
        while "Ctrl-C" not in said:
            line = self.process.stdout.readline()
            assert line, f"weir serve ended: {said}{self.log.read_text()[-3000:]}"
            said += line
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        self.url, self.s3 = LISTENS.search(said)[1], STORES.search(said)[1]
        return self

    def base(self, tenant="acme"):
        return f"{self.url}/{tenant}/ogc-api"

    def environment(self):
        """What the tests are told of it (harness/target.py)."""
        keys = json.loads((self.folder / "keys.json").read_text())["keys"]
        key = next(key for key in keys if key["owner"] == "acme")
        return {
            "AWS_ENDPOINT_URL": self.s3, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": key["accessKey"],
            "AWS_SECRET_ACCESS_KEY": key["secretKey"], "WEIR_SERVER_PID": str(self.process.pid),
            "WEIR_BIN": self.program, "WEIR_ALLOWED_ORIGIN": ALLOWED_ORIGIN,
        }

    def memory(self):
        """Resident bytes."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024

    def kill(self):
        """As kill -9 and power failures do."""
        self.process.kill()
        self.process.wait()

    def stop(self, seconds=30):
        self.process.terminate()
        try:
            return self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def answers(self, seconds=30):
        """Waits until it does."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return urllib.request.urlopen(self.base() + "/conformance", timeout=5).read()
            except OSError:
                assert time.monotonic() < deadline, f"{self.url} does not answer"
                time.sleep(0.1)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop()
