"""Part 1, callback and dismiss."""
import os
import pathlib
import time

from harness import target
from harness.case import NO_SUCH_JOB, NOT_READY, Case, each, rels
from harness.checklist import requirement
from harness.client import fresh
from harness.scenes import Listener


class Callback(Case):
    def subscribed(self, listener):
        names = ["success", "inProgress", "failed"]
        return {f"{name}Uri": f"{listener.url}/{name}" for name in names}

    @requirement("callback/job-callback")
    def test_success_posts_the_results(self):
        with Listener(target.reached_at()) as listener:
            inputs = {"echoInput": "lake", "pause": 4}
            job = self.api.start("echo", inputs, subscriber=self.subscribed(listener), response="document")
            media_type, status = listener.next_json("/inProgress")
            self.assertEqual(media_type, "application/json")
            self.valid(status, "statusInfo")
            self.assertEqual((status["jobID"], status["status"]), (job, "running"))
            media_type, results = listener.next_json("/success")
            self.assertEqual(media_type, "application/json")
            self.assertEqual(results, self.json(self.api.get(f"/jobs/{job}/results")))

    @requirement("callback/job-callback")
    def test_failure_posts_the_status(self):
        with Listener(target.reached_at()) as listener:
            job = self.api.start(self.deployed("fails"), {"reason": "dry"}, subscriber=self.subscribed(listener))
            _, status = listener.next_json("/failed")
            self.valid(status, "statusInfo")
            self.assertEqual((status["jobID"], status["status"]), (job, "failed"))
            self.assertNotIn(("POST", "/success"), listener.seen)

    @requirement("callback/job-callback")
    def test_a_subscriber_that_is_away_is_told_when_it_is_back(self):
        with Listener(target.reached_at(), refusals=2) as listener:
            self.api.start("echo", {"echoInput": "lake"}, subscriber={"successUri": f"{listener.url}/success"})
            listener.next_json("/success", seconds=90)
            self.assertEqual(listener.seen.count(("POST", "/success")), 3)

    @requirement("callback/job-callback")
    def test_the_misspelt_name_of_the_schema_is_understood(self):
        with Listener(target.reached_at()) as listener:
            self.api.start("echo", {"echoInput": "lake"}, subscriber={"successUrl": f"{listener.url}/success"})
            listener.next_json("/success")

    @requirement("callback/job-callback")
    def test_a_subscriber_that_never_answers_changes_nothing_of_the_job(self):
        nobody = {"successUri": "http://no-such-host.invalid/x", "inProgressUri": "http://no-such-host.invalid/y"}
        job = self.api.start("echo", {"echoInput": "lake"}, subscriber=nobody)
        self.api.wait(job)
        for uri in ["file:///etc/passwd", "ftp://h/x", "not a uri", 5]:
            with each(self, uri=uri):
                answer = self.api.execute("echo", {"echoInput": "x"}, "respond-async", subscriber={"successUri": uri})
                self.problem(answer, 400, None, "/subscriber/successUri")


class Dismiss(Case):
    def log(self, status):
        link = next(link for link in status["links"] if link["href"].endswith("/tick.log"))
        return self.ok(self.api.get(link["href"], Accept="*/*")).text

    def ticking(self):
        """A job whose tool writes lines, its process, and a word that the tool's command line has."""
        mark = fresh("mark")
        process = self.deployed("ticks")
        job = self.dismissed_later(self.api.start(process, {"mark": mark}))
        deadline = time.monotonic() + 60
        while True:
            status = self.api.wait(job, "running")
            if any(link["href"].endswith("/tick.log") for link in status["links"]) and "tick 3" in self.log(status):
                return job, process, mark
            self.assertLess(time.monotonic(), deadline, f"no line in the log: {status}")
            time.sleep(0.2)

    @requirement("dismiss/job-dismiss-op", "dismiss/job-dismiss-success")
    def test_dismissing_a_job_that_runs_stops_its_tool(self):
        job, process, mark = self.ticking()
        if target.server_pid():
            self.assertTrue(running_with(mark), "the tool's process is not found")
        answer = self.api.delete(f"/jobs/{job}")
        status = self.json(answer, "statusInfo")
        self.assertEqual((status["jobID"], status["processID"], status["status"]), (job, process, "dismissed"))
        self.assertEqual(rels(status)["parent"]["href"], f"{self.api.base}/jobs")
        time.sleep(7)
        kept = self.api.wait(job, "dismissed")
        self.valid(kept, "statusInfo")
        before = self.log(kept)
        time.sleep(1.5)
        self.assertEqual(self.log(kept), before, "the tool still writes")
        if target.server_pid():
            self.assertEqual(running_with(mark), [], "the tool's process is still there")
        self.problem(self.api.get(f"/jobs/{job}/results"), 404, NOT_READY)

    @requirement("dismiss/job-dismiss-success")
    def test_dismissing_a_job_that_is_over_removes_it(self):
        job = self.api.start("echo", {"echoInput": "a"})
        self.api.wait(job)
        status = self.json(self.api.delete(f"/jobs/{job}"), "statusInfo")
        self.assertEqual((status["jobID"], status["status"]), (job, "dismissed"))
        self.soon(lambda: self.problem(self.api.get(f"/jobs/{job}"), 404, NO_SUCH_JOB))
        self.problem(self.api.delete(f"/jobs/{job}"), 404, NO_SUCH_JOB)

    def test_a_dismissed_job_that_is_dismissed_again_is_gone(self):
        job = self.paused()
        self.api.wait(job, "running")
        self.ok(self.api.delete(f"/jobs/{job}"))
        self.api.wait(job, "dismissed")
        self.ok(self.api.delete(f"/jobs/{job}"))
        self.soon(lambda: self.problem(self.api.get(f"/jobs/{job}"), 404, NO_SUCH_JOB))


def running_with(word):
    """Ids of processes of this machine whose command line has the word."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if word.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                pass
    return found
