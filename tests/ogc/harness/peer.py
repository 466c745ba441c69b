"""pygeoapi, as its documentation says to run it: gunicorn, one worker a core, jobs in TinyDB."""
import os
import pathlib
import socket
import subprocess
import time
import urllib.request

CONFIGURATION = """
server:
  bind: {{host: 127.0.0.1, port: {port}}}
  url: http://127.0.0.1:{port}
  mimetype: application/json; charset=UTF-8
  encoding: utf-8
  languages: [en-US]
  limits: {{default_items: 10, max_items: 10000}}
  map: {{url: "http://127.0.0.1/", attribution: none}}
  manager: {{name: TinyDB, connection: {folder}/jobs.db, output_dir: {folder}/out}}
logging: {{level: ERROR}}
metadata:
  identification:
    {{title: peer, description: peer, keywords: [peer], keywords_type: theme, terms_of_service: none, url: "http://127.0.0.1/"}}
  license: {{name: none, url: "http://127.0.0.1/"}}
  provider: {{name: none, url: "http://127.0.0.1/"}}
  contact: {{name: none, position: none}}
resources:
  hello-world: {{type: process, processor: {{name: HelloWorld}}}}
"""


class Peer:
    """The server of pygeoapi in a folder."""

    def __init__(self, python, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.folder, self.base = pathlib.Path(folder), f"http://127.0.0.1:{port}"
        (self.folder / "out").mkdir()
        configuration = self.folder / "configuration.yml"
        configuration.write_text(CONFIGURATION.format(port=port, folder=folder))
        environment = os.environ | {"PYGEOAPI_CONFIG": str(configuration), "PYGEOAPI_OPENAPI": str(self.folder / "openapi.yml")}
        scripts = pathlib.Path(python).parent
        subprocess.run([scripts / "pygeoapi", "openapi", "generate", configuration, "--output-file", self.folder / "openapi.yml"],
                       env=environment, check=True, capture_output=True)
        with (self.folder / "peer.log").open("wb") as log:
            self.process = subprocess.Popen(
                [scripts / "gunicorn", "--workers", str(os.cpu_count()), "--worker-class", "gthread", "--threads", "16",
                 "--keep-alive", "60", "--bind", f"127.0.0.1:{port}", "pygeoapi.flask_app:APP"],
                env=environment, stdout=log, stderr=log)

    def __enter__(self):
        for _ in range(300):
            try:
                urllib.request.urlopen(self.base + "/conformance?f=json", timeout=5).read()
                return self
            except OSError:
                time.sleep(0.1)
        raise AssertionError((self.folder / "peer.log").read_text()[-2000:])

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
