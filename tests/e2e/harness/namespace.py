"""Namespaces of tests: made fit for jobs, removed when the test has passed."""
import time

from .api import ApiError

# Seconds until a namespace is ready, or gone.
SECONDS = 90


class Namespace:
    """A namespace in the Pod Security standard `restricted`. Left in place when the block fails, for inspection."""

    def __init__(self, api, name, labels=None):
        self.api = api
        self.name = name
        self.labels = {"pod-security.kubernetes.io/enforce": "restricted"} | (labels or {})

    def __enter__(self):
        remove(self.api, self.name)
        self.api.create("/api/v1/namespaces", {"metadata": {"name": self.name, "labels": self.labels}})
        deadline = time.monotonic() + SECONDS
        while not self.api.find(f"/api/v1/namespaces/{self.name}/serviceaccounts/default"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"namespace {self.name} has no service account after {SECONDS} s")
            time.sleep(0.05)
        return self.name

    def __exit__(self, kind, *_):
        if kind is None:
            remove(self.api, self.name)


def remove(api, name):
    """Deletes a namespace with all that is in it and waits until it is gone: nothing of weir may hold it up."""
    path = f"/api/v1/namespaces/{name}"
    if not api.find(path):
        return
    try:
        api.delete(path)
    except ApiError as error:
        if error.status not in (404, 409):
            raise
    deadline = time.monotonic() + SECONDS
    while namespace := api.find(path):
        if time.monotonic() > deadline:
            raise TimeoutError(f"namespace {name} is still there after {SECONDS} s: {namespace['status']}")
        time.sleep(0.2)
