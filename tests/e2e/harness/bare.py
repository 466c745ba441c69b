"""Bare pods in the shape of a job: the floors under weir's times. A controller of a few lines creates each pod when those
that it waits for are seen over; how they are seen makes the floor."""
import concurrent.futures
import http.server
import queue
import threading
import time

from .api import collection

# Seconds until a run of a shape is given up.
RUN_SECONDS = 300

# How a pod is seen over: its phase; its tool's container; its own word over HTTP.
SUCCEEDED, TERMINATED, REPORTED = "succeeded", "terminated", "reported"


def pod(name, containers, report_to):
    """A pod of one or two containers that do nothing, in the Pod Security standard `restricted`."""
    def container(at):
        command = ["true"]
        if report_to and at == 0:
            command = ["wget", "-q", "-O", "/dev/null", f"http://{report_to}/{name}"]
        return {
            "name": f"c{at}", "image": "localhost/busybox:1", "command": command,
            "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never", "automountServiceAccountToken": False, "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 10001,
                                "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container(at) for at in range(containers)],
        },
    }


def is_over(pod_object, seen):
    """Whether a watched pod is over in the sense of `seen`. Fails where it failed."""
    status = pod_object.get("status", {})
    if status.get("phase") == "Failed":
        raise RuntimeError(f"pod {pod_object['metadata']['name']} failed: {status}")
    if seen == SUCCEEDED:
        return status.get("phase") == "Succeeded"
    states = [container["state"].get("terminated") for container in status.get("containerStatuses", [])]
    return bool(states) and all(states)


class Reports:
    """Listens to pods that say themselves that they are over."""

    def __init__(self, address):
        over = self.over = queue.Queue()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                over.put(self.path.lstrip("/"))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer((address, 0), Handler)
        self.address = f"{address}:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def run(api, namespace, shape, seen, containers=1, address=None):
    """Runs a shape; seconds from the answer to the first POST to the end of the last pod as it is seen. Removes the pods."""
    path = collection("pods", namespace)
    version = api.get(path)["metadata"]["resourceVersion"]
    with Reports(address or "127.0.0.1") as reports:
        over = reports.over

        def watch():
            told = set()
            for kind, item in api.watch(path, version, RUN_SECONDS):
                name = item["metadata"]["name"]
                if kind == "MODIFIED" and name not in told and is_over(item, seen):
                    told.add(name)
                    over.put(name)
                    if len(told) == len(shape):
                        return

        def watch_or_tell():
            try:
                watch()
            except Exception as error:  # whatever it is, the run below must end with it
                over.put(error)

        if seen != REPORTED:
            threading.Thread(target=watch_or_tell, daemon=True).start()
        report_to = reports.address if seen == REPORTED else None
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            def create(names):
                return [pool.submit(api.create, path, pod(name, containers, report_to)) for name in names]

            first = create(name for name, waits in shape.items() if not waits)
            concurrent.futures.wait(first, return_when=concurrent.futures.FIRST_COMPLETED)
            began = time.monotonic()
            done, created = set(), {name for name, waits in shape.items() if not waits}
            while len(done) < len(shape):
                name = over.get(timeout=RUN_SECONDS)
                if isinstance(name, Exception):
                    raise name
                done.add(name)
                ready = [one for one, waits in shape.items() if one not in created and done.issuperset(waits)]
                created.update(ready)
                create(ready)
            took = time.monotonic() - began
    remove(api, namespace)
    return took


def remove(api, namespace):
    """Removes all pods of a namespace and waits until they are gone."""
    path = collection("pods", namespace)
    # Not by force: the kubelet is to be done with them before the next measurement.
    api.delete(path)
    deadline = time.monotonic() + 60
    while api.get(path)["items"]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"pods of {namespace} are still there after 60 s")
        time.sleep(0.2)
