"""What the operator costs: at rest, and with many finished jobs. On the own cluster only."""
import collections
import concurrent.futures
import json
import os
import pathlib
import time

from . import operators
from .api import collection
from .measure import FINAL, wait_for_no_pods
from .program import ROOT
from .wait import until

AUDIT = pathlib.Path(os.environ.get("WEIR_CLUSTER_STATE", "/var/lib/weir-cluster"), "log", "audit.log")
OPERATOR = "system:serviceaccount:weir:weir-operator"

# Jobs that are not over at the same time: enough to keep the operator busy.
UNDER_WAY = 100

# Seconds until a job without pods is over, whatever else there is.
JOB_SECONDS = 600

# The cheapest real job: it is accepted, evaluated, journalled and finished as any other, and has no pod.
EXPRESSION = """\
cwlVersion: v1.2
class: ExpressionTool
requirements: {InlineJavascriptRequirement: {}}
inputs: {number: int}
outputs: {next: int}
expression: '${return {next: inputs.number + 1}}'
"""

ONE_STEP = ROOT / "tests" / "packages" / "cluster-one.cwl"


def mebibytes(api):
    """Resident memory of the replicas, the leader's first."""
    leads = operators.wait_for_leader(api)["metadata"]["uid"]
    pods = sorted(operators.pods(api), key=lambda pod: pod["metadata"]["uid"] != leads)
    return " / ".join(f"{operators.memory(pod) / 2**20:.1f}" for pod in pods)


def requests(since, until):
    """The operator's requests by verb and resource; a watch counts when it begins."""
    count = collections.Counter()
    for line in AUDIT.read_text().splitlines():
        event = json.loads(line)
        if event["user"]["username"] == OPERATOR and since <= event["requestReceivedTimestamp"] <= until:
            target = event.get("objectRef", {})
            resource = "/".join(target[part] for part in ("resource", "subresource") if part in target)
            count[f"{event['verb']} {resource or event['requestURI']}"] += 1
    return count


def now():
    """As the audit log writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())


def idle(api, seconds):
    """Memory of both replicas and the operator's requests while nothing happens."""
    busy = [item["metadata"]["name"] for item in api.get("/apis/weir.dev/v1alpha1/processjobs")["items"]
            if item.get("status", {}).get("phase") not in FINAL]
    if busy:
        print(f"not idle: {len(busy)} jobs run")
    since = now()
    time.sleep(seconds)
    count = requests(since, now())
    print(f"memory MiB, leader / other: {mebibytes(api)}")
    print(f"requests in {seconds} s: {count.total()}, in ten minutes: {count.total() * 600 / seconds:.0f}")
    for what, number in count.most_common():
        print(f"  {number:6} {what}")


def many(api, namespace, number):
    """Memory with so many finished jobs, and the time to recover after the leader's SIGKILL."""
    print(f"memory MiB, leader / other, before: {mebibytes(api)}", flush=True)
    began = time.monotonic()
    create(api, namespace, number)
    took = time.monotonic() - began
    print(f"{number} jobs without pods in {took:.0f} s: {number / took:.1f} a second")
    print(f"memory MiB, leader / other, with them: {mebibytes(api)}", flush=True)
    one_job(api, namespace, "before")
    print(f"a job of one step beside them: {one_job(api, namespace, 'beside'):.2f} s", flush=True)
    operators.kill_leader(api)
    print(f"a job of one step, created at the leader's SIGKILL: {one_job(api, namespace, 'after'):.2f} s")
    print(f"memory MiB, leader / other, after it: {mebibytes(api)}")


def create(api, namespace, number):
    """Creates finished jobs: real ones, which bring their own package."""
    path = collection("processjobs", namespace)

    def ended():
        phases = [item.get("status", {}).get("phase") for item in api.get(path)["items"]]
        bad = [phase for phase in phases if phase in FINAL and phase != "Successful"]
        if bad:
            raise RuntimeError(f"{len(bad)} jobs are {set(bad)}")
        return phases.count("Successful")

    def one(at):
        api.create(path, {"apiVersion": "weir.dev/v1alpha1", "kind": "ProcessJob", "metadata": {"name": f"job-{at}"},
                          "spec": {"process": {"inline": EXPRESSION}, "inputs": {"number": at}}})

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for first in range(0, number, UNDER_WAY):
            after = min(number, first + UNDER_WAY)
            list(pool.map(one, range(first, after)))
            until(f"{after} jobs to end", JOB_SECONDS, lambda: ended() >= after, pause=0.5)


def one_job(api, namespace, name):
    """Seconds of a job of one step, from its POST's answer to its terminal status."""
    path = collection("processjobs", namespace)
    version = api.get(path)["metadata"]["resourceVersion"]
    api.create(path, {"apiVersion": "weir.dev/v1alpha1", "kind": "ProcessJob", "metadata": {"name": name},
                      "spec": {"process": {"inline": ONE_STEP.read_text()}, "inputs": {}}})
    began = time.monotonic()
    for _, item in api.watch(f"{path}?fieldSelector=metadata.name%3D{name}", version, JOB_SECONDS):
        phase = item.get("status", {}).get("phase")
        if phase in FINAL:
            took = time.monotonic() - began
            if phase != "Successful":
                raise RuntimeError(f"job {name} is {phase}: {item['status']}")
            wait_for_no_pods(api, namespace)
            return took
    raise TimeoutError(f"job {name} is not over after {JOB_SECONDS} s")
