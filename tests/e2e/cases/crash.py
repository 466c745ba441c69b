"""Crashes of everything that there is, and the proof that nothing ran twice."""
import collections
import concurrent.futures
import http.client
import json
import os
import pathlib
import random
import time

from harness import breaking, operators, records, release
from harness.api import ApiError, collection
from harness.case import ALONE, Broken, case, expect, kept
from harness.jobs import of_package
from harness.measure import FINAL
from harness.namespace import Namespace
from harness.program import ROOT, run
from harness.s3 import Store
from harness.wait import until

CLUSTER = ROOT / "tests" / "cluster"
LOG = pathlib.Path(os.environ.get("WEIR_CLUSTER_STATE", "/var/lib/weir-cluster"), "log", "data-access.log")
NAMESPACE = "weir-e2e-crash"

# Jobs, and the seed of all that is random: moments, nodes, which job is how long.
JOBS = int(os.environ.get("WEIR_CRASH_JOBS", "40"))
SEED = int(os.environ.get("WEIR_CRASH_SEED", "1"))

# Jobs that are not over at the same time, and the most of a burst.
UNDER_WAY = 40
BURST = 12

# Seconds until the last job is over, from the last crash on.
REST_SECONDS = 600

# Seconds that the API server may be away for the test's own requests.
AWAY_SECONDS = 120

# The tool says where it runs (the uid stands in the pod's mounts) before it does anything else, and does so once: if that
# fails, so does the tool.
TOOL = """\
  - class: CommandLineTool
    id: say
    hints: {DockerRequirement: {dockerPull: localhost/busybox:1}}
    requirements: {ResourceRequirement: {coresMin: 0.02, ramMin: 16}}
    baseCommand:
      - sh
      - -c
      - |
        sed -n 's|.*/pods/\\([0-9a-f-]*\\)/.*|\\1|p' /proc/self/mountinfo | {
          read uid && wget -q -O /dev/null "http://172.31.0.1:8080/first/0/503/witness~$0~$1~$uid/"
        } && sleep "$2" && cat ${3:+"$3"} </dev/null && echo "$0: $1"
    inputs:
      job: {type: string, inputBinding: {position: 1}}
      step: {type: string, inputBinding: {position: 2}}
      pause: {type: string, inputBinding: {position: 3}}
      text: {type: File?, inputBinding: {position: 4}}
    stdout: said.txt
    outputs: {said: stdout}
"""

STEPS = ("first", "second")


def package(count):
    """A workflow of so many steps, each after the one before it."""
    steps, before = "", None
    for step in STEPS[:count]:
        text = f", text: {before}/said" if before else ""
        steps += f'      {step}: {{run: "#say", in: {{job: job, pause: pause, step: {{default: {step}}}{text}}}, out: [said]}}\n'
        before = step
    return f"""\
cwlVersion: v1.2
$graph:
  - class: Workflow
    id: main
    inputs: {{job: string, pause: string}}
    outputs: {{said: {{type: File, outputSource: {before}/said}}}}
    steps:
{steps}{TOOL}"""


def text_of(name, count):
    """What the job's output must hold."""
    return "".join(f"{name}: {step}\n" for step in STEPS[:count])


def steadily(ask):
    """The answer, also if the API server is away for a while."""
    deadline = time.monotonic() + AWAY_SECONDS
    while True:
        try:
            return ask()
        except ApiError as error:
            if error.status < 500 and error.status != 429:
                raise
            trouble = error
        except (OSError, http.client.HTTPException, TimeoutError) as error:
            trouble = error
        if time.monotonic() > deadline:
            raise TimeoutError(f"the API server is away for {AWAY_SECONDS} s: {trouble}") from trouble
        time.sleep(0.2)


class Jobs:
    """All jobs of the test, created in bursts, never too many at once, spread over the crashes."""

    def __init__(self, api, chance):
        self.api = api
        self.path = collection("processjobs", NAMESPACE)
        self.steps = {f"job-{number}": chance.randint(1, len(STEPS)) for number in range(JOBS)}
        self.share_of_crashes = 0.0
        self.is_given_up = False

    def create_all(self):
        chance, waiting = random.Random(SEED + 1), collections.deque(self.steps.items())
        while waiting and not self.is_given_up:
            due = len(waiting) - round(JOBS * (1 - self.share_of_crashes)) + BURST
            room = UNDER_WAY - len(self.under_way())
            burst = max(0, min(due, room, chance.randint(1, BURST), len(waiting)))
            for name, steps in [waiting.popleft() for _ in range(burst)]:
                inputs = {"job": name, "pause": f"{chance.uniform(0, 4):.1f}"}
                steadily(lambda item=of_package(name, package(steps), inputs): self.create(item))
            time.sleep(chance.uniform(0, 4))

    def create(self, item):
        try:
            self.api.create(self.path, item)
        except ApiError as error:
            if error.status != 409:  # an answer was lost: it is there
                raise

    def phases(self):
        items = steadily(lambda: self.api.get(self.path))["items"]
        return {item["metadata"]["name"]: item.get("status", {}).get("phase", "none") for item in items}

    def under_way(self):
        return {name: phase for name, phase in self.phases().items() if phase not in FINAL}


class Crashes:
    """What is broken, one after the other."""

    def __init__(self, api, chance, jobs):
        self.api = api
        self.chance = chance
        self.jobs = jobs
        self.done = collections.Counter()

    def all(self):
        """A leader for every twenty jobs and four more; the rest once, and again for every two hundred jobs."""
        rest = [self.node, self.api_server, self.store, self.etcd] * (1 + JOBS // 200)
        crashes = [self.leader] * (4 + JOBS // 20) + rest
        self.chance.shuffle(crashes)
        for crash in crashes:
            # A leader has time to begin, and none to end.
            steadily(lambda: operators.wait_for_leader(self.api))
            time.sleep(self.chance.uniform(1, 8))
            crash()
            self.done[crash.__name__] += 1
            self.jobs.share_of_crashes = self.done.total() / len(crashes)

    def leader(self):
        steadily(lambda: operators.remove_backed_off(self.api))
        steadily(lambda: operators.kill_leader(self.api))

    def node(self):
        node = self.chance.choice(("n1", "n2"))
        run(CLUSTER / "node", "kill", node)
        time.sleep(self.chance.uniform(1, 20))
        run(CLUSTER / "node", "start", node)

    def api_server(self):
        self.control_plane("kube-apiserver")

    def etcd(self):
        self.control_plane("etcd")

    def control_plane(self, program):
        run(CLUSTER / "control-plane", "kill", program)
        try:
            time.sleep(self.chance.uniform(0, 15))
        finally:
            run(CLUSTER / "control-plane", "start", program)

    def store(self):
        steadily(lambda: breaking.kill_store(self.api))


@case(ALONE, breaks=True)
def crashes(api):
    """Leader, nodes, API server, etcd and store are killed under many jobs: all succeed, and the records prove that no
    tool ran twice under one claim and no finished step again."""
    began = time.monotonic()
    chance = random.Random(SEED)
    with Namespace(api, NAMESPACE):
        jobs = Jobs(api, chance)
        crashes = Crashes(api, chance, jobs)
        start = time.time()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            creation = pool.submit(jobs.create_all)
            try:
                crashes.all()
            except BaseException:
                jobs.is_given_up = True
                raise
            creation.result()
        crashed = time.monotonic()
        until_over(jobs)
        ended = time.monotonic()
        items = api.get(jobs.path)["items"]
        # The last crash may have been the store's, and all jobs over before it.
        release.wait()
        with Store(api) as store:
            what = check_records(store, items, jobs, start)
            check_results(store, items, jobs)
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(crashes.done.items()))
    return (f"{JOBS} jobs; killed: {kinds}; {ended - began:.0f} s, {ended - crashed:.0f} s of them after the last crash; {what}")


def until_over(jobs):
    """Nobody is stuck."""
    try:
        until("all jobs to end", REST_SECONDS, lambda: not jobs.under_way(), pause=1)
    except TimeoutError as error:
        raise TimeoutError(f"{error}: {jobs.under_way()}") from error
    phases = jobs.phases()
    bad = {name: phases.get(name) for name in jobs.steps if phases.get(name) != "Successful"}
    expect(not bad, f"not successful: {bad}")


def check_results(store, items, jobs):
    """The published output of each job is what it must be."""
    for item in items:
        name = item["metadata"]["name"]
        bucket, _, key = item["status"]["results"]["said"]["location"].removeprefix("s3://").partition("/")
        try:
            said = store.get(bucket, key).decode()
        except KeyError as error:
            raise Broken(f"the result of {name} is gone: {error}") from error
        kept(said == text_of(name, jobs.steps[name]), f"{name} said {said!r}")


def check_records(store, items, jobs, start):
    """Journals beside witnesses. Returns the figures."""
    seen = records.witnesses(LOG.read_text())
    wrong, tally = {}, collections.Counter()
    for item in items:
        name, run_id = item["metadata"]["name"], item["metadata"]["annotations"]["weir.dev/run-id"]
        prefix = f"{NAMESPACE}/jobs/{run_id}/journal/"
        try:
            events = records.journal(store.get("weir", key) for key in store.keys("weir", prefix))
        except ValueError as error:
            raise Broken(f"the journal of {name}: {error}") from error
        # Jobs of an earlier run have the same names.
        own = [witness for witness in seen.get(name, []) if witness.at >= start * 1000]
        if complaints := records.complaints(events, own):
            wrong[name] = complaints
        tally.update(one["event"] for one in events)
        tally["witness"] += len(own)
        tally["unsuccessful"] += sum(one["event"] == "Ended" and one["outcome"].get("outputs") is None for one in events)
    kept(not wrong, f"the records contradict: {json.dumps(wrong, indent=1)}")
    expected = sum(jobs.steps.values())
    return (f"{expected} steps, {tally['StartAttempt']} incarnations, {tally['Claimed']} claims, {tally['witness']} executions, "
            f"{tally['unsuccessful']} incarnations lost, {tally['Epoch']} epochs")
