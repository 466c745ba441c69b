"""What is kept of a test that failed: objects, events, logs, journals."""
import pathlib
import traceback

from .program import ProgramError, kubectl
from .s3 import Store

# Bytes of one log.
LOG_BYTES = 2_000_000


def collect(api, folder, error):
    """Writes all that there is to a folder. What cannot be had does not keep the rest away."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "error.txt").write_text("".join(traceback.format_exception(error)))
    for part in (objects, logs, journals):
        try:
            part(api, folder)
        except Exception as trouble:  # evidence is no test
            (folder / f"{part.__name__}-missing.txt").write_text("".join(traceback.format_exception(trouble)))


def objects(_, folder):
    # No Secrets among them.
    kinds = "namespaces,nodes,pods,deployments,statefulsets,persistentvolumeclaims,leases,resourcequotas"
    (folder / "objects.yaml").write_text(kubectl("get", kinds, "--all-namespaces", "--output", "yaml"))
    (folder / "events.txt").write_text(kubectl("get", "events", "--all-namespaces", "--sort-by", ".metadata.creationTimestamp"))
    (folder / "jobs.yaml").write_text(
        kubectl("get", "processes,processjobs", "--all-namespaces", "--output", "yaml"))


def logs(api, folder):
    for pod in api.get("/api/v1/pods")["items"]:
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        statuses = pod["status"].get("containerStatuses", []) + pod["status"].get("initContainerStatuses", [])
        for status in statuses:
            for previous in [False, True][: 1 + (status["restartCount"] > 0)]:
                try:
                    text = kubectl("--namespace", namespace, "logs", name, "--container", status["name"],
                                   f"--limit-bytes={LOG_BYTES}", *(["--previous"] if previous else []))
                except ProgramError as error:
                    text = str(error)
                place = folder / "logs" / namespace
                place.mkdir(parents=True, exist_ok=True)
                (place / f"{name}-{status['name']}{'-previous' if previous else ''}.log").write_text(text)


def journals(api, folder):
    with Store(api) as store:
        for key in store.keys("weir"):
            if "/journal/" in key:
                path = folder / "store" / pathlib.PurePosixPath(key)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(store.get("weir", key))
