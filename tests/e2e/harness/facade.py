"""The OGC API of one replica of the operator, through a port-forward of its own."""
import http.client
import json

from .forward import Forward
from .release import NAMESPACE

# Seconds that an answer may take: deploying and dismissing wait for the cluster.
SECONDS = 90


class Answer:
    """What a request was answered."""

    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    @property
    def json(self):
        return json.loads(self.body)

    def __str__(self):
        return f"{self.status}: {self.body[:1000].decode(errors='replace')}"


class Replica(Forward):
    """A pod of the operator, as long as the block lasts."""

    def __init__(self, pod, tenant):
        self.name, self.uid = pod["metadata"]["name"], pod["metadata"]["uid"]
        self.root = f"/{tenant}"
        super().__init__(f"pod/{self.name}", 8081, NAMESPACE)

    def call(self, method, path, body=None, **headers):
        """One request below the tenant's root. A body that is no text is sent as JSON."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None and not isinstance(body, str):
            body = json.dumps(body)
            headers = {"Content-Type": "application/json"} | headers
        connection = http.client.HTTPConnection(self.host, timeout=SECONDS)
        try:
            connection.request(method, self.root + path, body, {"Accept": "application/json"} | headers)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def api(self, method, path, body=None, **headers):
        """One request of the API itself."""
        return self.call(method, f"/ogc-api{path}", body, **headers)
