"""Uninstalling."""
from harness import jobs, release
from harness.api import ApiError
from harness.case import LAST, case, expect
from harness.namespace import Namespace
from harness.program import kubectl
from harness.wait import until

# What `helm uninstall` keeps, as its notes say, and what every namespace has.
KEPT = {"persistentvolumeclaim/data-weir-store-0", "configmap/kube-root-ca.crt", "serviceaccount/default"}

PACKAGE = """\
cwlVersion: v1.2
class: CommandLineTool
requirements:
  DockerRequirement: {dockerPull: docker.io/library/busybox:1.37}
  ResourceRequirement: {coresMin: 0.05, ramMin: 16}
baseCommand: [sleep, "600"]
inputs: {}
outputs: {}
"""


def objects():
    """`kind/name` of all that is in the release's namespace."""
    kinds = "pods,services,deployments,replicasets,statefulsets,configmaps,secrets,serviceaccounts,leases,roles," \
            "rolebindings,networkpolicies,poddisruptionbudgets,persistentvolumeclaims"
    names = kubectl("--namespace", "weir", "get", kinds, "--output", "name").split()
    return {name.split("/")[0].split(".")[0] + "/" + name.split("/")[1] for name in names}


@case(LAST)
def uninstall(api):
    """`helm uninstall` with a job in flight leaves what it promises to keep and nothing else; no namespace hangs."""
    if not release.is_installed():
        # It is tried once more.
        release.install()
    with Namespace(api, "weir-e2e-uninstall") as namespace:
        jobs.create(api, namespace, jobs.of_package("sleeper", PACKAGE, {}))
        jobs.wait(api, namespace, "sleeper", phases=("Running",))
        release.uninstall()
        # The last pods go a few seconds after their Deployment.
        until(f"the namespace to hold {sorted(KEPT)} alone", 60, lambda: objects() <= KEPT)
        cluster = kubectl("get", "clusterroles,clusterrolebindings", "--selector", "app.kubernetes.io/name=weir",
                          "--output", "name").split()
        expect(not cluster, f"left in the cluster: {cluster}")
        expect(jobs.get(api, namespace, "sleeper"), "the job is gone with the release")
        # Without an operator a namespace with a running job goes like any other: there are no finalizers.
    release.remove_rest()
    try:
        api.get("/apis/weir.dev/v1alpha1")
    except ApiError as error:
        expect(error.status == 404, str(error))
    else:
        raise AssertionError("weir.dev is still served")
