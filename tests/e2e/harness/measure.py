"""Times of jobs as a client sees them."""
import time

from .api import collection

# Seconds until a job is given up.
JOB_SECONDS = 300

FINAL = ("Successful", "Failed", "Dismissed")


def job(api, namespace, name, package, inputs):
    """Runs a package as a ProcessJob; seconds from the answer to its POST to its success on a watch. Deletes it."""
    path = collection("processjobs", namespace)
    version = api.get(path)["metadata"]["resourceVersion"]
    api.create(path, {
        "apiVersion": "weir.dev/v1alpha1", "kind": "ProcessJob", "metadata": {"name": name},
        "spec": {"process": {"inline": package}, "inputs": inputs},
    })
    began = time.monotonic()
    for _, item in api.watch(f"{path}?fieldSelector=metadata.name%3D{name}", version, JOB_SECONDS):
        status = item.get("status", {})
        if status.get("phase") in FINAL:
            took = time.monotonic() - began
            if status["phase"] != "Successful":
                raise RuntimeError(f"job {name} is {status['phase']}: {status.get('message')} {status.get('failure')}")
            api.delete(f"{path}/{name}")
            wait_for_no_pods(api, namespace)
            return took
    raise TimeoutError(f"job {name} is not over after {JOB_SECONDS} s")


def wait_for_no_pods(api, namespace):
    """The next measurement is not to pay for this one's pods."""
    deadline = time.monotonic() + 60
    while api.get(collection("pods", namespace))["items"]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"pods of {namespace} are still there after 60 s")
        time.sleep(0.2)
