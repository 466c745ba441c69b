"""The operator's processes on the own cluster, as this machine's root sees them."""
import os
import pathlib
import signal

from .api import ApiError
from .release import NAMESPACE
from .wait import until

PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"

# Seconds until somebody leads again: a lease of 15 s, a container's back-off, a slow machine.
LEADER_SECONDS = 120


def pods(api):
    return api.get(f"{PODS}?labelSelector=app.kubernetes.io/component%3Doperator")["items"]


def processes(uid):
    """Ids of weir's processes in a pod, the container's first one before those that it started."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "comm").read_text().strip().startswith("weir") and uid in (folder / "cgroup").read_text():
                found.append((int(status(folder.name, "NSpid").split()[-1]), int(folder.name)))
        except OSError:  # it has ended meanwhile
            continue
    return [pid for _, pid in sorted(found)]


def status(pid, field):
    """A line of /proc/PID/status."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return value.strip()
    raise OSError(f"/proc/{pid}/status has no {field}")


def memory(pod):
    """Bytes of resident memory of an operator's pod. The program is static: its processes share next to nothing."""
    return sum(int(status(pid, "VmRSS").split()[0]) << 10 for pid in processes(pod["metadata"]["uid"]))


def leader(api):
    """The pod that leads, if its process is alive."""
    for pod in pods(api):
        if is_ready(pod) and pod["metadata"]["labels"].get("weir.dev/leader") == "true" and processes(pod["metadata"]["uid"]):
            return pod
    return None


def wait_for_leader(api):
    return until("an operator that leads", LEADER_SECONDS, lambda: leader(api))


def kill_leader(api):
    """SIGKILL for the leader's process, by its id. Returns the pod's name."""
    pod = wait_for_leader(api)
    kill(pod["metadata"]["uid"])
    return pod["metadata"]["name"]


def kill(uid):
    """SIGKILL for the first process of weir in a pod, by its id."""
    found = processes(uid)
    if not found:
        raise ProcessLookupError(f"no process of weir runs in pod {uid}")
    os.kill(found[0], signal.SIGKILL)


def restarts(pod):
    return sum(container["restartCount"] for container in pod["status"].get("containerStatuses", []))


def wait_until_ready(api, seconds=LEADER_SECONDS):
    """Both replicas are ready; none waits for minutes because its process was killed often."""
    def are_ready():
        remove_backed_off(api)
        return sum(is_ready(pod) for pod in pods(api)) >= 2
    until("both replicas to be ready", seconds, are_ready)


def is_ready(pod):
    is_kept = "deletionTimestamp" not in pod["metadata"]
    conditions = pod["status"].get("conditions", [])
    return is_kept and any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def remove_backed_off(api):
    """Deletes operator's pods that Kubernetes lets wait for minutes because their process was killed often."""
    for pod in pods(api):
        for container in pod["status"].get("containerStatuses", []):
            if container["restartCount"] > 1 and "waiting" in container["state"]:
                try:
                    api.delete(f"{PODS}/{pod['metadata']['name']}")
                except ApiError as error:
                    if error.status != 404:
                        raise
