"""Failures that the cluster brings about, or that a person does to it, each for real."""
import contextlib
import time

from harness import failures, jobs
from harness.api import collection
from harness.case import Skipped, case, expect
from harness.failures import attempts, fails, tool, waits
from harness.images import BUSYBOX
from harness.namespace import Namespace
from harness.release import VALUES
from harness.wait import until

# Seconds that the tests' release waits for a node or for quota.
UNSCHEDULABLE = VALUES["steps"]["unschedulableSeconds"]

# Seconds that it waits for an image.
IMAGE = VALUES["steps"]["imageSeconds"]

# Long enough for somebody to come between.
SLOW = tool("echo begun >&2; sleep 12; echo done")

RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True,
              "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}
# A pod like those of steps, to ask with whether a policy is enforced.
PROBE = {"metadata": {"name": "probe", "labels": {"weir.dev/run": "probe"}},
         "spec": {"containers": [{"name": "a", "image": BUSYBOX, "securityContext": RESTRICTED}]}}
# Kinds of admission policies, and the version of each that is served first.
VALIDATING, MUTATING = "v1/validating", "v1beta1/mutating"


@case()
def pod_deleted(api):
    """A pod deleted in mid-step, with or without its grace: the step runs again at once and loses no attempt."""
    with Namespace(api, "weir-e2e-deleted") as namespace, jobs.PodRecorder(api, namespace) as recorder:
        for name, options in (("gently", {}), ("at-once", {"gracePeriodSeconds": 0})):
            jobs.create(api, namespace, jobs.of_package(name, SLOW, {}, **attempts(1)))
            pod = failures.running_pod(api, namespace, name)
            api.delete(f"{collection('pods', namespace)}/{pod['metadata']['name']}", **options)
        for name in ("gently", "at-once"):
            job = jobs.succeed(api, namespace, name)
            expect(failures.retries(job) == 1, f"steps: {job['status']['steps']}")
            failures.event(api, namespace, name, "Disrupted", "it is tried again")
            expect(len(recorder.of_job(name)) == 2, f"{name}: {len(recorder.of_job(name))} pods")


@case()
def image_missing(api):
    """An image that cannot be had: the job waits and says for which, then fails with its name. Never more than its time."""
    with Namespace(api, "weir-e2e-image") as namespace:
        image = "localhost/no-such-image:7"
        began = time.monotonic()
        jobs.create(api, namespace, jobs.of_package("no-image", tool("true", image=image), {}))
        waits(api, namespace, "no-image", "ImageUnavailable", image)
        failure = fails(api, namespace, "no-image", "ImageUnavailable", image, "dockerPull", f"waited {IMAGE} s")
        took = time.monotonic() - began
        expect(took < IMAGE + 40, f"it took {took:.0f} s")
        expect("exitCode" not in failure, f"failure: {failure}")
        expect(failures.retries(jobs.get(api, namespace, "no-image")) == 0, "it was tried again")


@case()
def never_schedulable(api):
    """No node will ever have room: the job waits and says what for, then fails. What no step may ask for fails at once."""
    with Namespace(api, "weir-e2e-too-large") as namespace:
        jobs.create(api, namespace, jobs.of_package("large", tool("true", cores=15.5, ram=65000), {}))
        jobs.create(api, namespace, jobs.of_package("larger", tool("true", cores=17), {}))
        fails(api, namespace, "larger", "Unschedulable", "17 cores", "16", "coresMin", seconds=20)
        waits(api, namespace, "large", "Unschedulable", "no node has room", "Insufficient")
        fails(api, namespace, "large", "Unschedulable", "no node has room", "Insufficient", f"waited {UNSCHEDULABLE} s",
              seconds=UNSCHEDULABLE + 30)
        until("pods that will never run to be gone", 30, lambda: not pods_of(api, namespace))


@case()
def schedulable_later(api):
    """A full cluster: the job waits, says so, and goes on as soon as there is room."""
    with Namespace(api, "weir-e2e-full") as namespace:
        nodes = [one for one in api.get("/api/v1/nodes")["items"] if not one["spec"].get("taints")]
        largest = max(cores(node["status"]["allocatable"]["cpu"]) for node in nodes)
        try:
            for node in nodes:
                hog(api, namespace, node)
            jobs.create(api, namespace, jobs.of_package("later", tool("echo done", cores=round(largest * 0.6, 2)), {}))
            waits(api, namespace, "later", "Unschedulable", "Insufficient cpu")
        finally:
            for pod in pods_of(api, namespace):
                if pod["metadata"]["name"].startswith("hog-"):
                    api.delete(f"{collection('pods', namespace)}/{pod['metadata']['name']}", gracePeriodSeconds=0)
        job = jobs.succeed(api, namespace, "later", 60)
        expect(failures.condition(job, "Waiting") is None, f"it still waits: {job['status']['conditions']}")
        expect(failures.retries(job) == 0, f"steps: {job['status']['steps']}")


@case(breaks=True)
def gpu_advertised_later(api):
    """A tool that asks for a GPU waits while no node has one, and runs where one is; its agent asks for none."""
    gpus = {"cwltool:CUDARequirement": {"cudaDeviceCountMin": 1}}
    package = tool("echo done", requirements=gpus, **{"$namespaces": {"cwltool": "http://commonwl.org/cwltool#"}})
    node = next(one for one in api.get("/api/v1/nodes")["items"] if not one["spec"].get("taints"))["metadata"]["name"]
    with Namespace(api, "weir-e2e-gpu") as namespace, jobs.PodRecorder(api, namespace) as recorder:
        jobs.create(api, namespace, jobs.of_package("gpu", package, {}))
        waits(api, namespace, "gpu", "Unschedulable", "Insufficient nvidia.com/gpu")
        with advertised(api, node, "nvidia.com/gpu", "1"):
            job = jobs.succeed(api, namespace, "gpu", 90)
        expect(failures.retries(job) == 0, f"steps: {job['status']['steps']}")
        [pod] = recorder.of_job("gpu")
        asked = {one["name"]: one["resources"].get("limits", {}) for one in pod["spec"]["containers"]}
        expect([name for name, limits in asked.items() if "nvidia.com/gpu" in limits] == ["tool"], f"limits: {asked}")
        expect(pod["spec"]["nodeName"] == node, f"it ran on {pod['spec']['nodeName']}")


@contextlib.contextmanager
def advertised(api, node, resource, amount):
    """An extended resource of a node, as an administrator advertises one without a device plugin."""
    def state(**amounts):
        api.merge(f"/api/v1/nodes/{node}/status", {"status": {kind: {resource: one} for kind, one in amounts.items()}})

    def allocatable():
        return api.get(f"/api/v1/nodes/{node}")["status"]["allocatable"]
    state(capacity=amount)
    try:
        yield
    finally:
        state(capacity=None, allocatable=None)
        until(f"{node} to have no {resource}", 60, lambda: allocatable().get(resource, "0") == "0")


def cores(quantity):
    return float(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)


def hog(api, namespace, node):
    """A pod that takes more than half of a node's processors and does nothing with them."""
    name, amount = node["metadata"]["name"], int(cores(node["status"]["allocatable"]["cpu"]) * 600)
    resources = {"requests": {"cpu": f"{amount}m"}}
    container = {"name": "hog", "image": BUSYBOX, "command": ["sleep", "600"], "resources": resources,
                 "securityContext": RESTRICTED}
    pod = api.create(collection("pods", namespace), {
        "metadata": {"name": f"hog-{name}"},
        # By the scheduler, which waits for what other tests leave; the kubelet would refuse the pod for good.
        "spec": {"nodeSelector": {"kubernetes.io/hostname": node["metadata"]["labels"]["kubernetes.io/hostname"]},
                 "containers": [container], "terminationGracePeriodSeconds": 0}})
    until(f"{pod['metadata']['name']} to run", 60,
          lambda: api.get(f"{collection('pods', namespace)}/hog-{name}")["status"]["phase"] == "Running")


def pods_of(api, namespace):
    return api.get(collection("pods", namespace))["items"]


def quota(api, namespace, pods):
    """A ResourceQuota that the quota controller has taken in: before that it refuses with other words."""
    api.create(collection("resourcequotas", namespace), {"metadata": {"name": "small"}, "spec": {"hard": {"pods": pods}}})
    until("the quota to be counted", 30, lambda: "hard" in quota_of(api, namespace).get("status", {}))


def quota_of(api, namespace):
    return api.get(f"{collection('resourcequotas', namespace)}/small")


@case()
def quota_raised(api):
    """A ResourceQuota refuses: the job waits, quotes it, and goes on once it is raised. Nothing counts."""
    with Namespace(api, "weir-e2e-quota") as namespace:
        quota(api, namespace, "0")
        jobs.create(api, namespace, jobs.of_package("patient", tool("echo done"), {}, **attempts(1)))
        waits(api, namespace, "patient", "QuotaExceeded", "exceeded quota: small", "limited: pods=0")
        api.merge(f"{collection('resourcequotas', namespace)}/small", {"spec": {"hard": {"pods": "2"}}})
        job = jobs.succeed(api, namespace, "patient", 60)
        expect(failures.retries(job) == 0, f"steps: {job['status']['steps']}")


@case()
def quota_for_good(api):
    """A quota that is never raised: QuotaExceeded after the time for it, quoting the quota."""
    with Namespace(api, "weir-e2e-quota-0") as namespace:
        quota(api, namespace, "0")
        jobs.create(api, namespace, jobs.of_package("hopeless", tool("true"), {}))
        # Between two tries are 20 s at most.
        fails(api, namespace, "hopeless", "QuotaExceeded", "exceeded quota: small", "limited: pods=0",
              seconds=UNSCHEDULABLE + 50)


@case()
def refused_by_limit_range(api):
    """A LimitRange refuses the pod: Rejected at once, and its words are quoted."""
    with Namespace(api, "weir-e2e-limits") as namespace:
        api.create(f"/api/v1/namespaces/{namespace}/limitranges",
                   {"metadata": {"name": "tiny"}, "spec": {"limits": [{"type": "Container", "max": {"memory": "24Mi"}}]}})
        jobs.create(api, namespace, jobs.of_package("refused", tool("true"), {}))
        fails(api, namespace, "refused", "Rejected", "admission refuses", "maximum memory usage per Container is 24Mi",
              seconds=30)
        expect(failures.retries(jobs.get(api, namespace, "refused")) == 0, "it was tried again")


@case()
def refused_by_policy(api):
    """A ValidatingAdmissionPolicy refuses the pod: Rejected at once, and its words are quoted."""
    validations = [{"expression": "!('weir.dev/run' in object.metadata.labels)", "message": "images must be signed here"}]
    with Namespace(api, "weir-e2e-policy") as namespace, \
            policy(api, namespace, VALIDATING, {"validations": validations}, {"validationActions": ["Deny"]}):
        until_enforced(api, namespace, "images must be signed here")
        jobs.create(api, namespace, jobs.of_package("refused", tool("true"), {}))
        fails(api, namespace, "refused", "Rejected", "images must be signed here", seconds=30)
        expect(failures.retries(jobs.get(api, namespace, "refused")) == 0, "it was tried again")


@case()
def refused_by_pod_security(api):
    """What a cluster adds to the pods of steps (a mesh its containers, here a policy the node's network) the Pod Security
    standard of the namespace refuses: Rejected at once, and its words are quoted."""
    if not served(api, MUTATING):
        raise Skipped("this cluster has no MutatingAdmissionPolicy")
    added = {"patchType": "ApplyConfiguration",
             "applyConfiguration": {"expression": "Object{spec: Object.spec{hostNetwork: true}}"}}
    spec = {"reinvocationPolicy": "Never", "mutations": [added],
            "matchConditions": [{"name": "step", "expression": "'weir.dev/run' in object.metadata.labels"}]}
    with Namespace(api, "weir-e2e-pod-security") as namespace, policy(api, namespace, MUTATING, spec, {}):
        until_enforced(api, namespace, "host namespaces")
        jobs.create(api, namespace, jobs.of_package("refused", tool("true"), {}))
        fails(api, namespace, "refused", "Rejected", 'violates PodSecurity "restricted', "host namespaces", seconds=30)
        expect(failures.retries(jobs.get(api, namespace, "refused")) == 0, "it was tried again")


def until_enforced(api, namespace, words):
    """Waits until a pod like those of steps is refused with these words."""
    def is_enforced():
        try:
            api.call("POST", f"{collection('pods', namespace)}?dryRun=All", PROBE)
        except Exception as error:  # whatever its code is: the words count
            return words in str(error)
        return False
    until("the policy to be enforced", 60, is_enforced)


def served(api, what):
    """Whether the API server has this kind of admission policy."""
    version, kind = what.split("/")
    found = api.find(f"/apis/admissionregistration.k8s.io/{version}")
    return bool(found) and any(one["name"] == f"{kind}admissionpolicies" for one in found["resources"])


@contextlib.contextmanager
def policy(api, namespace, what, spec, binding):
    """An admission policy for all pods that are created in a namespace."""
    version, kind = what.split("/")
    group = f"/apis/admissionregistration.k8s.io/{version}"
    name, kinds = namespace, (f"{kind}admissionpolicies", f"{kind}admissionpolicybindings")
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]
    chosen = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    bodies = ({"failurePolicy": "Fail", "matchConstraints": {"resourceRules": rules}} | spec,
              {"policyName": name, "matchResources": {"namespaceSelector": chosen}} | binding)
    try:
        for kind, body in zip(kinds, bodies):
            api.create(f"{group}/{kind}", {"metadata": {"name": name}, "spec": body})
        yield
    finally:
        for kind in reversed(kinds):
            if api.find(f"{group}/{kind}/{name}"):
                api.delete(f"{group}/{kind}/{name}")
