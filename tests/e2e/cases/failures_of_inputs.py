"""Inputs that cannot be had, or not at once."""
import uuid

from harness import failures, jobs
from harness.api import is_own_cluster
from harness.case import Skipped, case, expect
from harness.failures import attempts, fails, tool
from harness.namespace import Namespace
from harness.scenes import DATA_URL

PACKAGE = tool("wc -c <\"$0\"", inputs={"file": {"type": "File", "inputBinding": {"position": 1}}})


def job(name, url):
    """A job that needs a file. It has one attempt: what is fetched again is fetched within it."""
    if not is_own_cluster():
        raise Skipped("the answers are made by the data server of the own cluster")
    return jobs.of_package(name, PACKAGE, {"file": {"class": "File", "location": url}}, **attempts(1))


@case()
def input_not_found(api):
    """404 is for good: StageIn at once, naming the URL and the answer."""
    with Namespace(api, "weir-e2e-not-found") as namespace:
        url = f"{DATA_URL}/olinda/no-such-scene.json"
        jobs.create(api, namespace, job("missing", url))
        failure = fails(api, namespace, "missing", "StageIn", "input `file`", "there is no File at", url, seconds=60)
        expect("exitCode" not in failure, f"the tool ran: {failure}")
        failures.event(api, namespace, "missing", "StageIn", url)
        expect(failures.retries(jobs.get(api, namespace, "missing")) == 0, "it was tried again")


@case()
def input_unavailable_at_first(api):
    """503 twice and then the file: the step's only attempt succeeds."""
    with Namespace(api, "weir-e2e-unavailable") as namespace:
        scene = "olinda/L7_OLINDA_NORTH/L7_OLINDA_NORTH.json"
        jobs.create(api, namespace, job("twice", f"{DATA_URL}/first/2/503/{uuid.uuid4().hex}/{scene}"))
        done = jobs.succeed(api, namespace, "twice")
        expect(failures.retries(done) == 0, f"steps: {done['status']['steps']}")


@case()
def input_unavailable_for_good(api):
    """503 again and again: StageIn within a bounded time, naming the URL and the last answer."""
    with Namespace(api, "weir-e2e-unavailing") as namespace:
        url = f"{DATA_URL}/first/1000/503/{uuid.uuid4().hex}/olinda/L7_OLINDA_NORTH/L7_OLINDA_NORTH.json"
        jobs.create(api, namespace, job("never", url))
        fails(api, namespace, "never", "StageIn", "input `file`", url, "503", "asked again and again", seconds=180)
