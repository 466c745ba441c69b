"""Failures that the tool itself brings about, each for real."""
from harness import failures, jobs
from harness.api import collection
from harness.case import case, expect
from harness.failures import attempts, fails, tool
from harness.namespace import Namespace

# A tool whose first try differs from the next ones cannot be had: no try sees anything of another. What is healed is healed
# by more of something.


@case()
def tool_exit_code(api):
    """ToolFailed at once: exit code and end of stderr in the status, the event, all of it in the log, the pod kept."""
    with Namespace(api, "weir-e2e-exit-code") as namespace:
        script = "echo first words >&2; seq 2000 >&2; echo no scene of that day >&2; exit 3"
        jobs.create(api, namespace, jobs.of_package("exit", tool(script), {}))
        failure = fails(api, namespace, "exit", "ToolFailed", "exit code 3")
        expect(failure["exitCode"] == 3, f"exit code: {failure}")
        expect(failure["stderr"].rstrip().endswith("no scene of that day") and "first words" not in failure["stderr"],
               f"stderr: {failure['stderr']}")
        pods = api.get(collection("pods", namespace))["items"]
        expect([pod["metadata"]["name"] for pod in pods] == [failure["pod"]], f"pods: {len(pods)}, {failure.get('pod')}")
        expect(pods[0]["spec"]["nodeName"] == failure["node"], f"node: {failure}")
        log = "".join(failures.logs(api, namespace, "exit", failure["log"]))
        expect("first words" in log and log.rstrip().endswith("no scene of that day"), f"log: {log[-200:]}")
        failures.event(api, namespace, "exit", "ToolFailed", failure["pod"], "exit code 3")
        expect(failures.retries(jobs.get(api, namespace, "exit")) == 0, "a permanent failure was tried again")


@case()
def temporary_fail_codes(api):
    """One of temporaryFailCodes is tried again and counts: three attempts, a log of each, then the job fails."""
    with Namespace(api, "weir-e2e-temporary") as namespace, jobs.PodRecorder(api, namespace) as recorder:
        package = tool("echo the licence server is busy >&2; exit 75", temporaryFailCodes=[75])
        jobs.create(api, namespace, jobs.of_package("busy", package, {}, **attempts(3)))
        failure = fails(api, namespace, "busy", "ToolFailedTemporarily", "exit code 75", "temporaryFailCodes")
        expect(failure["exitCode"] == 75, f"exit code: {failure}")
        failures.event(api, namespace, "busy", "ToolFailedTemporarily", "it is tried again")
        expect(failures.retries(jobs.get(api, namespace, "busy")) == 2, "not two retries")
        expect(len(recorder.of_job("busy")) == 3, f"{len(recorder.of_job('busy'))} pods")
        logs = failures.logs(api, namespace, "busy", failure["log"])
        expect(logs == ["the licence server is busy\n"] * 3, f"not every attempt has its log: {logs}")


@case()
def tool_time_limit(api):
    """A ToolTimeLimit ends the tool after its seconds, and the job says which limit it was."""
    with Namespace(api, "weir-e2e-tool-time") as namespace:
        package = tool("echo begun >&2; sleep 600", requirements={"ToolTimeLimit": {"timelimit": 3}})
        jobs.create(api, namespace, jobs.of_package("slow", package, {}))
        failure = fails(api, namespace, "slow", "TimeLimit", "ToolTimeLimit", "3 s", seconds=60)
        expect(failures.logs(api, namespace, "slow", failure["log"]) == ["begun\n"], "the log is lost")
        expect(failures.retries(jobs.get(api, namespace, "slow")) == 0, "it was tried again")


@case()
def job_time_limit(api):
    """`timeoutSeconds` ends the job with its steps, and nothing of it runs on."""
    with Namespace(api, "weir-e2e-job-time") as namespace:
        package = tool("trap '' TERM; sleep 600 & wait; sleep 600")
        jobs.create(api, namespace, jobs.of_package("slow", package, {}, timeoutSeconds=8))
        fails(api, namespace, "slow", "TimeLimit", "8 s", seconds=90)
        pods = api.get(collection("pods", namespace))["items"]
        alive = [pod["metadata"]["name"] for pod in pods if failures.is_running(pod)]
        expect(not alive, f"still running: {alive}")


@case()
def out_of_memory_is_healed(api):
    """A tool killed for memory gets twice as much and succeeds; event, status and pods show it. It counts."""
    with Namespace(api, "weir-e2e-memory") as namespace, jobs.PodRecorder(api, namespace) as recorder:
        # tail keeps what has no end of line: 90 MiB. The limit is twice the request: 64 MiB, then 128. Without pipefail wc would
        # end well, and that would be the last word.
        package = tool("set -o pipefail; head -c 94371840 /dev/zero | tail | wc -c")
        jobs.create(api, namespace, jobs.of_package("large", package, {}, **attempts(2)))
        job = jobs.succeed(api, namespace, "large")
        failures.event(api, namespace, "large", "OutOfMemory", "want of memory", "it is tried again")
        failures.event(api, namespace, "large", "MemoryRaised", "64 MiB", "instead of 32")
        expect(failures.retries(job) == 1, f"steps: {job['status']['steps']}")
        requests = [memory(pod) for pod in recorder.of_job("large")]
        expect(requests == ["32Mi", "64Mi"], f"requests: {requests}")
        expect(job["status"]["usage"]["memoryPeakBytes"] > 64 << 20, f"usage: {job['status']['usage']}")

        jobs.create(api, namespace, jobs.of_package("once", package, {}, **attempts(1)))
        fails(api, namespace, "once", "OutOfMemory", "want of memory", "32 MiB")


def memory(pod):
    """What the tool's container of a pod asks for."""
    container = next(one for one in pod["spec"]["containers"] if one["name"] == "tool")
    return container["resources"]["requests"]["memory"]


@case()
def out_of_own_disk_is_healed(api):
    """A tool that fills its own volumes is ended by the kubelet, gets twice the size and succeeds. It counts."""
    with Namespace(api, "weir-e2e-disk") as namespace:
        # A kubelet measures volumes once a minute if it is not told otherwise, and looks at what it measured every ten
        # seconds. With twice the size nothing is to be waited for.
        package = tool('dd if=/dev/zero of=large bs=1M count=24 2>/dev/null; [ "$0" -gt 8 ] || sleep 150; rm large; echo done',
                       resources={"outdirMin": 8, "tmpdirMin": 8}, arguments=["$(runtime.outdirSize)"])
        jobs.create(api, namespace, jobs.of_package("healed", package, {}, **attempts(2)))
        jobs.create(api, namespace, jobs.of_package("once", package, {}, **attempts(1)))
        fails(api, namespace, "once", "OutOfDisk", "outdirMin", "tmpdirMin", seconds=140)
        job = jobs.succeed(api, namespace, "healed", 60)
        failures.event(api, namespace, "healed", "OutOfDisk", "it is tried again")
        expect(failures.retries(job) == 1, f"steps: {job['status']['steps']}")
