"""Breaks parts of the own cluster and of the release, and mends them."""
import contextlib
import time

from . import operators, release
from .api import ApiError, collection, is_own_cluster
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
def no_api_server(api):
    """The API server is dead while the block lasts."""
    run(CLUSTER / "control-plane", "kill", "kube-apiserver")
    try:
        yield
    finally:
        run(CLUSTER / "control-plane", "start")
        until("custom resources to be served", SECONDS, lambda: serves_jobs(api))


def serves_jobs(api):
    """Custom resources come a moment after the API server calls itself ready."""
    try:
        return bool(api.get(collection("processjobs", release.NAMESPACE)))
    except ApiError as error:
        if error.status in (404, 429, 503):
            return False
        raise


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
    """Who leads, as the lease says: not only its pod, but this start of its process. None if nobody does."""
    return api.get(f"{collection('leases', release.NAMESPACE)}/{release.NAME}-operator")["spec"].get("holderIdentity") or None


def kill_leader(api):
    """Ends the leader as a crash would: nothing of it has time to stop. Waits until another one leads."""
    before, uid = until("one leader", SECONDS, lambda: leading_pod(api))
    if is_own_cluster():
        operators.kill(uid)
    else:
        # The nearest that the API server offers: its kubelet gives it two seconds.
        pods = f"{collection('pods', release.NAMESPACE)}?labelSelector=weir.dev%2Fleader%3Dtrue"
        for pod in api.get(pods)["items"]:
            api.delete(pod_path(pod["metadata"]["name"]), gracePeriodSeconds=0)
    began = time.monotonic()
    until("another leader", SECONDS, lambda: leader(api) not in (None, before))
    took = time.monotonic() - began
    operators.wait_until_ready(api)
    return took


def leading_pod(api):
    """Who leads, and the uid of its pod, once both the lease and the pod's label say so. None before."""
    holder = leader(api)
    # The pod is the first part of the holder's identity.
    pod = holder and api.find(pod_path(holder.rsplit("_", 1)[0]))
    is_marked = pod and pod["metadata"]["labels"].get("weir.dev/leader") == "true" and operators.is_ready(pod)
    return (holder, pod["metadata"]["uid"]) if is_marked else None


def kill_store(api):
    """Ends the bundled store as a crash would, once it runs."""
    def uid():
        pod = api.find(pod_path(f"{release.NAME}-store-0"))
        return pod and operators.processes(pod["metadata"]["uid"]) and pod["metadata"]["uid"] or None
    operators.kill(until("the store to run", SECONDS, uid))


def pod_path(name):
    return f"{collection('pods', release.NAMESPACE)}/{name}"
