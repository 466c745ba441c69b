"""Upgrading."""
from harness import jobs, release
from harness.case import ALONE, case, expect
from harness.namespace import Namespace

PACKAGE = """\
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}}
inputs: {seconds: "int[]"}
outputs:
  slept: {type: "File[]", outputSource: sleep/slept}
steps:
  sleep:
    scatter: second
    in: {second: seconds}
    out: [slept]
    run:
      class: CommandLineTool
      requirements:
        DockerRequirement: {dockerPull: docker.io/library/busybox:1.37}
        ResourceRequirement: {coresMin: 0.05, ramMin: 16}
      baseCommand: [sh, -c, 'sleep 8; echo slept']
      inputs: {second: {type: int, inputBinding: {position: 1}}}
      stdout: slept.txt
      outputs: {slept: stdout}
"""


@case(ALONE)
def upgrade_in_flight(api):
    """`helm upgrade` while a job runs: other pods take over, the job succeeds, and no tool runs twice."""
    with Namespace(api, "weir-e2e-upgrade") as namespace, jobs.PodRecorder(api, namespace) as recorder:
        secret = api.get("/api/v1/namespaces/weir/secrets/weir-store")["data"]
        before = operators(api)
        # Another value each time: one that is as it was replaces no pod.
        level = "debug" if release.values().get("operator", {}).get("log") != "debug" else "info"
        job = jobs.of_package("in-flight", PACKAGE, {"seconds": list(range(6))}, parallelism=3)
        jobs.create(api, namespace, job)
        jobs.wait(api, namespace, "in-flight", until=lambda one: has_running_step(one))
        release.upgrade({"operator.log": level})
        jobs.succeed(api, namespace, "in-flight")
        expect(not before & operators(api), "an operator's pod was not replaced")
        pods = recorder.of_job("in-flight")
        expect(len(pods) == 6, f"{len(pods)} pods for 6 steps: {[pod['metadata']['name'] for pod in pods]}")
        expect(api.get("/api/v1/namespaces/weir/secrets/weir-store")["data"] == secret, "the store's keys were changed")


def has_running_step(job):
    return any(step["running"] for step in job.get("status", {}).get("steps", []))


def operators(api):
    """Uids of the operator's pods."""
    pods = api.get("/api/v1/namespaces/weir/pods?labelSelector=app.kubernetes.io/component=operator")["items"]
    return {pod["metadata"]["uid"] for pod in pods if not pod["metadata"].get("deletionTimestamp")}
