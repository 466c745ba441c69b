"""The chart, installed."""
import json
import os

from .program import ROOT, helm, kubectl

NAME = NAMESPACE = "weir"
CHART = ROOT / "charts" / "weir"

VALUES = {
    # The tests' nodes have two cores each, and every step of water-bodies asks for one.
    "operator": {"resources": {"requests": {"cpu": "0", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}},
    "store": {"bundled": {"volume": {"size": "5Gi"},
                          "resources": {"requests": {"cpu": "0", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}}},
    # What is waited for in vain is not to take half an hour; long enough for what comes late on a busy machine.
    "steps": {"unschedulableSeconds": 60, "imageSeconds": 20},
    # The scenes: a service and the control plane behind it.
    "network": {"allowed": ["10.96.0.80/32", "172.31.0.1/32"]},
    # Of the clients of tests/ogc.
    "facade": {"corsOrigins": ["http://page.example"]},
    "tenants": [{"namespace": name, "resultsKey": True} for name in ("acme", "globex", "hooli", "initech", "umbrella")],
}


def install(values=None, command=("install", "--create-namespace")):
    """Installs with the tests' values and others over them; returns when all pods are ready."""
    helm(*command, NAME, CHART, "--namespace", NAMESPACE, "--values", "-", *others(values), stdin=json.dumps(VALUES))
    wait()


def upgrade(values=None):
    install(values, ("upgrade",))


def values():
    """What it was installed or upgraded with last."""
    return json.loads(helm("get", "values", NAME, "--namespace", NAMESPACE, "--output", "json"))


def others(values):
    return [word for name, value in (values or {}).items() for word in ("--set-json", f"{name}={json.dumps(value)}")]


def wait(seconds=120):
    for what in (f"statefulset/{NAME}-store", f"deployment/{NAME}-operator"):
        kubectl("--namespace", NAMESPACE, "rollout", "status", what, f"--timeout={seconds}s")


def is_installed():
    return any(one["name"] == NAME for one in json.loads(helm("list", "--namespace", NAMESPACE, "--output", "json")))


def uninstall():
    helm("uninstall", NAME, "--namespace", NAMESPACE, "--wait", "--timeout", "120s")


def remove_rest():
    """What `helm uninstall` keeps on purpose, as its notes say; the namespaces; what a walk without Helm has left."""
    kubectl("delete", "--filename", ROOT / "manifests" / "install.yaml", "--ignore-not-found", "--timeout=120s")
    kubectl("delete", "crd", "processes.weir.dev", "processjobs.weir.dev", "--ignore-not-found")
    tenants = [tenant["namespace"] for tenant in VALUES["tenants"]]
    kubectl("delete", "namespace", NAMESPACE, *tenants, "--ignore-not-found", "--timeout=120s")
    free_volumes()


def free_volumes():
    """Gives volumes of the own cluster back that a deleted claim has left Released; nothing does so by itself there."""
    if "WEIR_CLUSTER_EXEC" not in os.environ:
        return
    for volume in json.loads(kubectl("get", "pv", "--output", "json"))["items"]:
        if volume["status"]["phase"] == "Released":
            kubectl("patch", "pv", volume["metadata"]["name"], "--type=json",
                    "--patch", '[{"op": "remove", "path": "/spec/claimRef"}]')
