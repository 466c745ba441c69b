"""Breaks parts of the own cluster and of the release, and mends them."""
import contextlib
import time

from . import release
from .api import collection
from .program import ROOT, kubectl, run
from .wait import until

CLUSTER = ROOT / "tests" / "cluster"

# Seconds until a part is back.
SECONDS = 120


@contextlib.contextmanager
def no_store():
    """The bundled store is away while the block lasts."""
    scale(0)
    try:
        yield
    finally:
        scale(1)
        release.wait()


def scale(replicas):
    kubectl("--namespace", release.NAMESPACE, "scale", f"statefulset/{release.NAME}-store", f"--replicas={replicas}")
    if not replicas:
        kubectl("--namespace", release.NAMESPACE, "wait", f"pod/{release.NAME}-store-0", "--for=delete", "--timeout=60s")


@contextlib.contextmanager
def no_api_server():
    """The API server is dead while the block lasts."""
    run(CLUSTER / "control-plane", "kill", "kube-apiserver")
    try:
        yield
    finally:
        run(CLUSTER / "control-plane", "start")


@contextlib.contextmanager
def no_node(api, node):
    """A node without power while the block lasts."""
    run(CLUSTER / "node", "kill", node)
    try:
        yield
    finally:
        run(CLUSTER / "node", "start", node)
        until(f"node {node} to be ready", SECONDS, lambda: is_ready(api, node))
        release.wait()


@contextlib.contextmanager
def closed(api, node):
    """No new pod gets onto the node while the block lasts."""
    path = f"/api/v1/nodes/{node}"
    api.merge(path, {"spec": {"unschedulable": True}})
    try:
        yield
    finally:
        api.merge(path, {"spec": {"unschedulable": None}})


def is_ready(api, node):
    conditions = api.get(f"/api/v1/nodes/{node}")["status"]["conditions"]
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def leader(api):
    """The pod of the operator that leads, or None."""
    path = f"{collection('pods', release.NAMESPACE)}?labelSelector=weir.dev%2Fleader"
    pods = [pod for pod in api.get(path)["items"] if "deletionTimestamp" not in pod["metadata"]]
    return pods[0] if len(pods) == 1 else None


def kill_leader(api):
    """Ends the leader as a lost machine would: nothing of it has time to stop. Waits until another one leads."""
    pod = until("one leader", SECONDS, lambda: leader(api))
    name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
    api.delete(f"{collection('pods', release.NAMESPACE)}/{name}", gracePeriodSeconds=0)
    began = time.monotonic()

    def follower():
        found = leader(api)
        return found if found and found["metadata"]["uid"] != uid else None
    until("another leader", SECONDS, follower)
    return time.monotonic() - began
