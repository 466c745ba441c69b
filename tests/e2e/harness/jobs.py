"""Jobs as a client makes and follows them."""
import http.client
import json
import threading
import time

from .api import ApiError, collection
from .measure import FINAL
from .program import ROOT, kubectl


def manifest(name):
    """An object of manifests/, as the API server would take it."""
    text = kubectl("create", "--dry-run=client", "--validate=false", "--output", "json",
                   "--filename", ROOT / "manifests" / name)
    return json.loads(text)


def create(api, namespace, item, name=None):
    """Creates an object of weir's and returns it."""
    if name:
        item = item | {"metadata": item["metadata"] | {"name": name}}
    plural = {"Process": "processes", "ProcessJob": "processjobs"}[item["kind"]]
    item["metadata"].pop("namespace", None)
    return api.create(collection(plural, namespace), item)


def of_package(name, package, inputs, **spec):
    """A ProcessJob that brings its own package."""
    return {"apiVersion": "weir.dev/v1alpha1", "kind": "ProcessJob", "metadata": {"name": name},
            "spec": {"process": {"inline": package}, "inputs": inputs, **spec}}


def get(api, namespace, name):
    return api.get(f"{collection('processjobs', namespace)}/{name}")


def wait(api, namespace, name, seconds=180, phases=FINAL, until=None):
    """The job once it is in one of the phases, or once `until(job)` is true. Everything between is followed by a watch."""
    path = collection("processjobs", namespace)
    deadline = time.monotonic() + seconds
    item = get(api, namespace, name)
    while True:
        def is_there(one):
            return until(one) if until else one.get("status", {}).get("phase") in phases
        if is_there(item):
            return item
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"job {name} after {seconds} s: {json.dumps(item.get('status', {}))}")
        query = f"{path}?fieldSelector=metadata.name%3D{name}"
        version = item["metadata"]["resourceVersion"]
        for kind, seen in api.watch(query, version, max(1, int(left))):
            if kind == "ERROR":  # the watch is too old
                item = get(api, namespace, name)
                break
            item = seen
            if is_there(item):
                return item


def succeed(api, namespace, name, seconds=180):
    """The job, which must end well."""
    job = wait(api, namespace, name, seconds)
    status = job["status"]
    if status["phase"] != "Successful":
        raise AssertionError(f"job {name} is {status['phase']}: {json.dumps(status, indent=1)}")
    return job


class PodRecorder:
    """Keeps the last state of every pod of a namespace that was there while the block lasted: succeeded pods are deleted."""

    def __init__(self, api, namespace):
        self.api = api
        self.path = collection("pods", namespace)
        self.pods = {}
        self.is_over = threading.Event()

    def __enter__(self):
        version = self.listed()
        self.thread = threading.Thread(target=self.record, args=(version,), daemon=True)
        self.thread.start()
        return self

    def listed(self):
        """Takes what is there. Returns the version to watch from."""
        found = self.api.get(self.path)
        self.pods.update((pod["metadata"]["uid"], pod) for pod in found["items"])
        return found["metadata"]["resourceVersion"]

    def record(self, version):
        while not self.is_over.is_set():
            try:
                version = version or self.listed()
                for kind, pod in self.api.watch(self.path, version, 2):
                    if kind == "ERROR":
                        version = None
                        break
                    version = pod["metadata"]["resourceVersion"]
                    self.pods[pod["metadata"]["uid"]] = pod
            except (ApiError, OSError, http.client.HTTPException, ValueError):
                # The API server is away, or was in the middle of a line.
                version = None
                time.sleep(0.1)

    def __exit__(self, *_):
        self.is_over.set()
        self.thread.join(10)

    def of_job(self, name):
        """Pods of a job's steps, in the order of their creation."""
        pods = [pod for pod in self.pods.values() if pod["metadata"]["labels"].get("weir.dev/job") == name]
        return sorted(pods, key=lambda pod: int(pod["metadata"]["labels"]["weir.dev/incarnation"]))
