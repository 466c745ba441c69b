"""Parts of weir and of the cluster that are away while a job runs: it goes on where it was, and no tool runs twice."""
import contextlib
import json
import os
import pathlib
import time

from harness import breaking, failures, jobs
from harness.case import ALONE, case, expect, kept
from harness.failures import attempts
from harness.images import BUSYBOX
from harness.namespace import Namespace
from harness.program import run


def chain(first_seconds):
    """Two steps. The first says on stderr when it begins, and takes so many seconds."""
    def step(script, inputs):
        requirements = {"DockerRequirement": {"dockerPull": BUSYBOX}, "ResourceRequirement": {"coresMin": 0.02, "ramMin": 16}}
        return {"class": "CommandLineTool", "requirements": requirements, "baseCommand": ["sh", "-c", script],
                "inputs": inputs, "stdout": "said.txt", "outputs": {"said": "stdout"}}
    return json.dumps({
        "cwlVersion": "v1.2", "class": "Workflow", "inputs": {}, "outputs": {"said": {"type": "File", "outputSource": "second/said"}},
        "steps": {
            "first": {"run": step(f"echo begun >&2; sleep {first_seconds}; echo done", {}), "in": {}, "out": ["said"]},
            "second": {"run": step('echo begun >&2; cat "$0"', {"text": {"type": "File", "inputBinding": {"position": 1}}}),
                       "in": {"text": "first/said"}, "out": ["said"]},
        }})


def begin(api, namespace, name, seconds):
    """A job of two steps whose first one runs. A step that is lost loses the job: it has one attempt."""
    jobs.create(api, namespace, jobs.of_package(name, chain(seconds), {}, **attempts(1)))
    return failures.running_pod(api, namespace, name)


def once(api, namespace, name, seconds=120):
    """The job must succeed, and each of its tools must have run once."""
    job = jobs.succeed(api, namespace, name, seconds)
    # A pod that a busy node could not start is made anew, and no promise broken.
    expect(failures.retries(job) == 0, f"{name}: {job['status']['steps']}")
    for log in ("first", "second"):
        logs = failures.logs(api, namespace, name, log)
        kept(logs == ["begun\n"], f"{name}: logs of {log}: {logs}")
    return job


@case(ALONE)
def store_away_for_a_minute(api):
    """No store while a step runs and ends: the job says so, waits, and goes on; no tool runs twice."""
    with Namespace(api, "weir-e2e-no-store") as namespace:
        begin(api, namespace, "patient", 10)
        began = time.monotonic()
        with breaking.no_store():
            # The next job needs the store for its first word.
            jobs.create(api, namespace, jobs.of_package("newcomer", chain(1), {}, **attempts(1)))
            job = jobs.wait(api, namespace, "newcomer", 60, until=lambda job: failures.condition(job, "Waiting"))
            waiting = failures.condition(job, "Waiting")
            expect(waiting["reason"] == "StoreUnavailable", f"condition: {waiting}")
            time.sleep(max(0.0, 60 - (time.monotonic() - began)))
            status = jobs.get(api, namespace, "patient")["status"]
            expect(status["phase"] == "Running", f"without a store it went on: {status}")
        for name in ("patient", "newcomer"):
            once(api, namespace, name)


@case(ALONE, breaks=True)
def api_server_killed(api):
    """The API server is killed while a step runs, and away while it ends: the job goes on, no tool runs twice."""
    with Namespace(api, "weir-e2e-no-api") as namespace:
        begin(api, namespace, "patient", 10)
        with breaking.no_api_server(api):
            time.sleep(25)  # the tool ends meanwhile, and the leader's lease
        once(api, namespace, "patient")


@case(ALONE)
def leader_killed(api):
    """The leading operator is killed while a step runs: another takes over, the job goes on, no tool runs twice."""
    with Namespace(api, "weir-e2e-no-leader") as namespace:
        begin(api, namespace, "patient", 10)
        took = breaking.kill_leader(api)
        once(api, namespace, "patient")
        return f"another leads after {took:.1f} s"


@case(ALONE, breaks=True)
def node_killed(api):
    """A node loses its power in mid-step: the step runs again on another, uncounted; the job says what happened."""
    with Namespace(api, "weir-e2e-no-node") as namespace:
        store = api.get("/api/v1/namespaces/weir/pods/weir-store-0")["spec"]["nodeName"]
        # A store on the dead node would be away until it is back, which is another test.
        with breaking.closed(api, store):
            pod = begin(api, namespace, "lost", 30)
        node, began = pod["spec"]["nodeName"], time.monotonic()
        expect(node != store, f"the step runs beside the store on {store}")
        with breaking.no_node(api, node):
            job = jobs.succeed(api, namespace, "lost", 300)
            took = time.monotonic() - began
            failures.event(api, namespace, "lost", "Disrupted", node, "it is tried again")
            expect(failures.retries(job) == 1, f"steps: {job['status']['steps']}")
        return f"{took:.0f} s"


@case(ALONE, breaks=True)
def hook_failed_once(api):
    """The hook that delivers the shim fails: the next incarnation delivers it by an init container, and nothing counts."""
    with Namespace(api, "weir-e2e-hook") as namespace, jobs.PodRecorder(api, namespace) as recorder, no_exec(api):
        jobs.create(api, namespace, jobs.of_package("second", failures.tool("echo done"), {}, **attempts(1)))
        job = jobs.succeed(api, namespace, "second", 90)
        failures.event(api, namespace, "second", "Platform", "hook", "it is tried again")
        expect(failures.retries(job) == 1, f"steps: {job['status']['steps']}")
        installers = [bool(pod["spec"].get("initContainers")) for pod in recorder.of_job("second")]
        expect(installers == [False, True], f"init containers: {installers}")


@contextlib.contextmanager
def no_exec(api):
    """Nodes whose runtime starts containers and executes nothing in them while the block lasts, as some sandboxed ones do."""
    state = pathlib.Path(os.environ.get("WEIR_CLUSTER_STATE", "/var/lib/weir-cluster"))
    nodes = [node["metadata"]["name"] for node in api.get("/api/v1/nodes")["items"]]
    runc = run("sh", "-c", "command -v runc").strip()
    # Paths on the node's disk, as this machine and as the node sees them. The wrapper covers the node's runc, so it runs a copy.
    outside, within = "var/lib/weir", pathlib.Path("/var/lib/weir")
    broken = []
    try:
        for node in nodes:
            folder = state / node / outside
            run("cp", runc, folder / "runc")
            wrapper = folder / "no-exec"
            wrapper.write_text(f'#!/bin/sh\ncase " $* " in *" exec "*) echo "no exec here" >&2; exit 1;; esac\n'
                               f'exec {within}/runc "$@"\n')
            wrapper.chmod(0o755)
            inside(node, "mount", "--bind", within / "no-exec", runc)
            broken.append(node)
        yield
    finally:
        for node in broken:
            # Lazily: a shell may just have it open.
            inside(node, "umount", "--lazy", runc)


def inside(node, *command):
    """Runs a program in a node, as tests/cluster does."""
    run("bash", "-c", 'source "$0"; inside "$@"', breaking.CLUSTER / "settings", node, *command)
