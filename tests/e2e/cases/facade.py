"""The OGC API on the cluster: both replicas, processes, jobs, logs, results, and what a killed replica leaves behind."""
import contextlib

from harness import jobs, operators
from harness.api import collection
from harness.case import ALONE, case, expect
from harness.facade import Replica
from harness.namespace import Namespace
from harness.wait import until

TENANT = "acme-e2e"

# One step that says something, waits, and says something more.
PACKAGE = """\
cwlVersion: v1.2
$graph:
- class: Workflow
  id: talk-and-wait
  label: LABEL
  inputs: {seconds: int}
  outputs:
    said: {type: File, outputSource: talk/said}
  steps:
    talk: {run: "#talker", in: {seconds: seconds}, out: [said]}
- class: CommandLineTool
  id: talker
  requirements:
    DockerRequirement: {dockerPull: docker.io/library/busybox:1.37}
    ResourceRequirement: {coresMin: 0.05, ramMin: 16}
    InlineJavascriptRequirement: {}
  baseCommand: [sh, -c, 'echo begins >&2; sleep $0; echo ends >&2; echo result']
  inputs: {seconds: {type: int, inputBinding: {position: 1}}}
  stdout: said.txt
  outputs: {said: stdout}
"""

PROCESS = "talk-and-wait"


@contextlib.contextmanager
def replicas(api):
    """All replicas that are ready."""
    with contextlib.ExitStack() as stack:
        ready = [pod for pod in operators.pods(api) if operators.is_ready(pod)]
        expect(len(ready) >= 2, f"{len(ready)} replicas are ready")
        yield [stack.enter_context(Replica(pod, TENANT)) for pod in ready]


def deploy(replica, label="Talks"):
    """Deploys the package; the namespace may be too new for this replica to have seen it."""
    def is_known():
        return replica.api("GET", "/processes").status == 200
    until(f"the tenant {TENANT}", 30, is_known)
    answer = replica.api("POST", "/processes", PACKAGE.replace("LABEL", label), Content_Type="application/cwl+yaml")
    expect(answer.status == 201, f"deploy: {answer}")


def execute(replica, seconds):
    """Id of a new job."""
    answer = replica.api("POST", f"/processes/{PROCESS}/execution", {"inputs": {"seconds": seconds}}, Prefer="respond-async")
    expect(answer.status == 201, f"execute: {answer}")
    return answer.headers["Location"].rstrip("/").rsplit("/", 1)[1]


def status(replica, job):
    answer = replica.api("GET", f"/jobs/{job}")
    expect(answer.status == 200, f"{replica.name} does not find {job}: {answer}")
    return answer.json


def ends(replica, job, word, seconds=120):
    """The job's statusInfo once it is over, which must be so."""
    def over():
        seen = status(replica, job)
        return seen if seen["status"] in ("successful", "failed", "dismissed") else None
    seen = until(f"job {job} to end", seconds, over)
    expect(seen["status"] == word, f"{job}: {seen}")
    return seen


def log(replica, job):
    return replica.call("GET", f"/temp/{PROCESS}-{job}/talk.log", Accept="*/*")


@case()
def facade(api):
    """Over HTTP, on either replica: deploy, execute, live and kept logs, results, dismissal, replacement, undeployment."""
    with Namespace(api, "weir-e2e-facade", {"weir.dev/tenant": TENANT}) as namespace, replicas(api) as (one, two, *_):
        deploy(one)
        expect(two.api("GET", f"/processes/{PROCESS}").json["title"] == "Talks", "the other replica does not find the process")
        expect(one.api("POST", "/processes", PACKAGE, Content_Type="application/cwl+yaml").status == 409, "deployed twice")

        job = execute(one, 15)
        # Found by both at once (invariant I4).
        for replica in (two, one):
            expect(status(replica, job)["processID"] == PROCESS, "another process")
        until("the live log", 60, lambda: b"begins" in log(two, job).body)
        expect(status(one, job)["status"] == "running", "the log was not live")
        expect(b"ends" not in log(one, job).body, "the log was not live")
        ends(two, job, "successful")
        until("the pod to be gone", 60, lambda: not pods_of(api, namespace, job))
        for replica in (one, two):
            text = log(replica, job).body
            expect(b"begins" in text and b"ends" in text, f"the log is not complete: {text}")
            results = replica.api("GET", f"/jobs/{job}/results")
            expect(results.status == 200 and b"said.txt" in results.body, f"results: {results}")

        dismissed = execute(two, 600)
        until("its pod", 60, lambda: b"begins" in log(one, dismissed).body)
        answer = one.api("DELETE", f"/jobs/{dismissed}")
        expect(answer.status == 200 and answer.json["status"] == "dismissed", f"dismiss: {answer}")
        ends(two, dismissed, "dismissed")
        until("its pod to be gone", 90, lambda: not pods_of(api, namespace, dismissed))
        # One that is over is removed.
        expect(one.api("DELETE", f"/jobs/{job}").status == 200, "remove")
        expect(one.api("GET", f"/jobs/{job}").status == 404, "it was removed")
        until("the other replica to see that", 5, lambda: two.api("GET", f"/jobs/{job}").status == 404)

        answer = one.api("PUT", f"/processes/{PROCESS}", PACKAGE.replace("LABEL", "Talks more"), Content_Type="application/cwl+yaml")
        expect(answer.status == 204, f"replace: {answer}")
        until("the other replica to see that", 5, lambda: two.api("GET", f"/processes/{PROCESS}").json["title"] == "Talks more")
        expect(two.api("DELETE", f"/processes/{PROCESS}").status == 204, "undeploy")
        expect(two.api("GET", f"/processes/{PROCESS}").status == 404, "it was undeployed")


def pods_of(api, namespace, job):
    items = api.get(collection("pods", namespace))["items"]
    return [pod for pod in items if pod["metadata"]["labels"].get("weir.dev/job") == job]


def restarts(api, replica):
    """How often the containers of a replica were started again; more than ever if its pod was replaced."""
    found = [operators.restarts(pod) for pod in operators.pods(api) if pod["metadata"]["uid"] == replica.uid]
    return found[0] if found else float("inf")


@case(ALONE, breaks=True)
def facade_after_kill(api):
    """A replica that is killed right after its 201: the other one finds the job at once, and it succeeds."""
    with Namespace(api, "weir-e2e-facade-kill", {"weir.dev/tenant": TENANT}) as namespace:
        with replicas(api) as (one, two, *_):
            deploy(one)
            job = execute(one, 1)
            before = restarts(api, one)
            operators.kill(one.uid)
            status(two, job)
            jobs.succeed(api, namespace, job)
            ends(two, job, "successful", 10)
        operators.wait_for_leader(api)
        # Until the kubelet has looked, the killed one is still called ready.
        until("the killed replica to be started again", 120, lambda: restarts(api, one) > before)
        operators.wait_until_ready(api)
        with replicas(api) as all_replicas:
            for replica in all_replicas:
                ends(replica, job, "successful", 10)
