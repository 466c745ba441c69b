"""What a job says of a failure: its status, its events, its logs. And small tools that fail."""
import json

from . import jobs
from .api import collection
from .case import expect
from .images import BUSYBOX
from .s3 import Store
from .wait import until


def tool(script, image=BUSYBOX, inputs="{}", cores=0.02, ram=32, **more):
    """A package of one tool that runs a shell script. What it prints is its output, its standard error is its log."""
    requirements = {
        "DockerRequirement": {"dockerPull": image},
        "ResourceRequirement": {"coresMin": cores, "ramMin": ram, **more.pop("resources", {})},
        **more.pop("requirements", {}),
    }
    return json.dumps({
        "cwlVersion": "v1.2", "class": "CommandLineTool", "id": "try", "requirements": requirements,
        "baseCommand": ["sh", "-c", script], "inputs": json.loads(inputs) if isinstance(inputs, str) else inputs,
        "stdout": "said.txt", "outputs": {"said": "stdout"}, **more,
    })


def attempts(number):
    """Part of a ProcessJob's spec: counted attempts. With one, a job that succeeds after a failure shows that the failure
    did not count."""
    return {"retry": {"attempts": number}}


def condition(job, kind):
    """A condition of a job that holds, or None."""
    held = (one for one in job.get("status", {}).get("conditions", []) if one["type"] == kind and one["status"] == "True")
    return next(held, None)


def waits(api, namespace, name, reason, *words, seconds=60):
    """The job, once it says that it waits, for what, and with these words."""
    def is_waiting(job):
        waiting = condition(job, "Waiting")
        return waiting is not None and waiting["reason"] == reason
    job = jobs.wait(api, namespace, name, seconds, until=lambda job: is_waiting(job) or is_over(job))
    expect(is_waiting(job), f"{name} did not wait for {reason}: {json.dumps(job['status'])}")
    message = condition(job, "Waiting")["message"]
    expect_words(message, words, f"{name} waits")
    expect(job["status"]["message"] == message, f"the job's line is another: {job['status']['message']}")
    event(api, namespace, name, reason, *words)
    return job


def fails(api, namespace, name, failure_class, *words, seconds=120):
    """The `failure` of a job that must fail so; all places that tell of it must say the same word and these words."""
    job = jobs.wait(api, namespace, name, seconds)
    status = job["status"]
    where = f"{name}: {json.dumps(status, indent=1)}"
    expect(status["phase"] == "Failed", where)
    failure = status["failure"]
    expect(failure["class"] == failure_class, where)
    expect_words(failure["message"], words, name)
    held = condition(job, "Failed")
    expect(held and held["reason"] == failure_class, where)
    expect_words(held["message"], words, f"{name}'s condition")
    event(api, namespace, name, "Failed", *words)
    return failure


def event(api, namespace, name, reason, *words):
    """The text of an event of a job that has this reason and these words."""
    def said():
        texts = [one["message"] for one in events(api, namespace, name) if one["reason"] == reason]
        return next((text for text in texts if all(word in text for word in words)), None)
    try:
        # Events are written behind the status, and no more than some each second.
        return until(f"an event {reason} of {name} with {words}", 30, said)
    except TimeoutError as error:
        known = [(one["reason"], one["message"]) for one in events(api, namespace, name)]
        raise AssertionError(f"{error}; there are {known}") from error


def events(api, namespace, name):
    """Events of a job."""
    items = api.get(collection("events", namespace))["items"]
    return [one for one in items
            if one["involvedObject"].get("kind") == "ProcessJob" and one["involvedObject"].get("name") == name]


def logs(api, namespace, name, log):
    """What the incarnations of a step instance wrote, in their order, by the log of one of them: `<name>.<incarnation>.log`."""
    run_id = jobs.get(api, namespace, name)["metadata"]["annotations"]["weir.dev/run-id"]
    prefix = f"{namespace}/jobs/{run_id}/logs/{log.rsplit('.', 2)[0]}."
    with Store(api) as store:
        numbers = sorted(int(key.removeprefix(prefix).removesuffix(".log")) for key in store.keys("weir", prefix))
        return [store.get("weir", f"{prefix}{number}.log").decode() for number in numbers]


def retries(job):
    """How often steps of a job were tried again."""
    return sum(step["retries"] for step in job["status"].get("steps", []))


def is_over(job):
    return job.get("status", {}).get("phase") in jobs.FINAL


def expect_words(text, words, where):
    for word in words:
        expect(word in text, f"{where}: `{word}` is missing in: {text}")


def running_pod(api, namespace, name, seconds=60):
    """The pod of a job whose tool runs."""
    def find():
        pods = api.get(f"{collection('pods', namespace)}?labelSelector=weir.dev%2Fjob%3D{name}")["items"]
        return next((pod for pod in pods if is_running(pod)), None)
    return until(f"the tool of {name} to run", seconds, find)


def is_running(pod):
    if "deletionTimestamp" in pod["metadata"]:
        return False
    statuses = pod["status"].get("containerStatuses", [])
    return any(one["name"] == "tool" and "running" in one["state"] for one in statuses)
