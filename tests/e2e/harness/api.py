"""A small client of the API server: quick where kubectl would take a process a question, and able to watch."""
import base64
import http.client
import json
import os
import pathlib
import ssl
import subprocess
import tempfile
import threading
import urllib.parse

# Seconds that the API server may take for an answer.
ANSWER_SECONDS = 60


class ApiError(Exception):
    """The API server refused."""

    def __init__(self, status, body):
        super().__init__(f"{status}: {body.get('message', body)}")
        self.status = status
        self.body = body


class Api:
    """The cluster of the current kubeconfig, as its user. Threads have a connection each."""

    def __init__(self):
        view = subprocess.run(["kubectl", "config", "view", "--raw", "--minify", "--flatten", "-o", "json"],
                              check=True, capture_output=True, text=True)
        config = json.loads(view.stdout)
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.address = urllib.parse.urlsplit(cluster["server"])
        self.headers = {"Accept": "application/json"}
        self.tls = ssl.create_default_context(
            cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        if "token" in user:
            self.headers["Authorization"] = f"Bearer {user['token']}"
        else:
            with tempfile.TemporaryDirectory() as folder:
                pair = pathlib.Path(folder, "pair.pem")
                pair.touch(mode=0o600)
                pair.write_bytes(base64.b64decode(user["client-certificate-data"])
                                 + base64.b64decode(user["client-key-data"]))
                self.tls.load_cert_chain(pair)
        self.own = threading.local()

    def connect(self, seconds=ANSWER_SECONDS):
        return http.client.HTTPSConnection(self.address.hostname, self.address.port or 443,
                                           context=self.tls, timeout=seconds)

    def call(self, method, path, body=None, kind="application/json"):
        """One request; its answer as JSON. A connection that the server has closed meanwhile is made anew."""
        data = None if body is None else json.dumps(body)
        headers = self.headers | ({"Content-Type": kind} if data else {})
        for is_last in (False, True):
            connection = getattr(self.own, "connection", None)
            is_fresh = connection is None
            if is_fresh:
                connection = self.own.connection = self.connect()
            try:
                connection.request(method, path, data, headers)
                answer = connection.getresponse()
                text = answer.read()
                break
            except (http.client.HTTPException, OSError):
                connection.close()
                self.own.connection = None
                if is_fresh or is_last:
                    raise
        content = json.loads(text) if text[:1] in (b"{", b"[") else {"message": text.decode(errors="replace")}
        if answer.status >= 400:
            raise ApiError(answer.status, content)
        return content

    def get(self, path):
        return self.call("GET", path)

    def find(self, path):
        """The object, or None if there is none."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def create(self, path, body):
        return self.call("POST", path, body)

    def merge(self, path, body):
        return self.call("PATCH", path, body, "application/merge-patch+json")

    def delete(self, path, **options):
        return self.call("DELETE", path, options or None)

    def watch(self, path, version, seconds=ANSWER_SECONDS):
        """Yields (type, object) as they come, until `seconds` are over."""
        query = urllib.parse.urlencode({"watch": "1", "resourceVersion": version, "timeoutSeconds": seconds})
        connection = self.connect(seconds + 5)
        try:
            connection.request("GET", f"{path}{'&' if '?' in path else '?'}{query}", headers=self.headers)
            answer = connection.getresponse()
            if answer.status >= 400:
                raise ApiError(answer.status, {"message": answer.read().decode()})
            for line in answer:
                event = json.loads(line)
                yield event["type"], event["object"]
        finally:
            connection.close()


def collection(kind, namespace):
    """Path of the objects of a kind in a namespace."""
    group = {
        "pods": "/api/v1", "events": "/api/v1", "secrets": "/api/v1", "resourcequotas": "/api/v1",
        "persistentvolumeclaims": "/api/v1",
        "leases": "/apis/coordination.k8s.io/v1",
        "processes": "/apis/weir.dev/v1alpha1", "processjobs": "/apis/weir.dev/v1alpha1",
    }[kind]
    return f"{group}/namespaces/{namespace}/{kind}"


def is_own_cluster():
    """Whether this is the cluster of tests/cluster, whose nodes and control plane tests may break."""
    return "WEIR_CLUSTER_EXEC" in os.environ
