"""Part 1, job-list: filters, pages, order."""
import datetime
import math
import time
import urllib.parse

from harness.case import Case, each, rels
from harness.checklist import requirement
from harness.client import Client, fresh, package


class JobList(Case):
    """Over jobs of one process: three successful, one failed, one dismissed, one that runs."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.api = Client()
        cls.process, cls.failing = fresh("listed"), fresh("failing")
        for process, name in [(cls.process, "one"), (cls.failing, "fails")]:
            answer = cls.api.deploy(package(name, process))
            assert answer.status == 201, answer
        # First, so that it is old when it is compared with the others.
        cls.running = cls.api.start("echo", {"echoInput": "a", "pause": 600})
        cls.addClassCleanup(cls.api.delete, f"/jobs/{cls.running}")
        cls.successful = []
        for _ in range(3):
            cls.successful.append(cls.api.start(cls.process, {"text": "a"}))
            cls.api.wait(cls.successful[-1])
            time.sleep(1.1)
        cls.failed = cls.api.start(cls.failing, {"reason": "none"})
        cls.api.wait(cls.failed, "failed")
        cls.dismissed = cls.api.start("echo", {"echoInput": "a", "pause": 60})
        cls.api.wait(cls.dismissed, "running")
        cls.api.delete(f"/jobs/{cls.dismissed}")
        cls.api.wait(cls.dismissed, "dismissed")
        cls.api.wait(cls.running, "running")
        cls.mine = {*cls.successful, cls.failed, cls.dismissed, cls.running}

    @classmethod
    def tearDownClass(cls):
        for process in [cls.process, cls.failing]:
            cls.api.delete(f"/processes/{process}")

    def jobs(self, **query):
        pairs = [(name, one) for name, value in query.items() for one in (value if isinstance(value, list) else [value])]
        answer = self.api.get("/jobs?" + urllib.parse.urlencode([("limit", 10_000), *pairs], safe=","))
        return self.json(answer, "jobList")["jobs"]

    def found(self, **query):
        """Of the jobs of this class, those that the query finds."""
        return {job["jobID"] for job in self.jobs(**query)} & self.mine

    def took(self, job):
        """Seconds that a job took, as its times say."""
        started, finished = (datetime.datetime.fromisoformat(self.api.status(job)[key]) for key in ["started", "finished"])
        return (finished - started).total_seconds()

    @requirement("job-list/job-list-op", "job-list/job-list-success", "job-list/processID-mandatory")
    def test_the_list_has_every_job_as_its_status_is(self):
        def listed():
            jobs = {job["jobID"]: job for job in self.jobs()}
            self.assertLessEqual(self.mine, set(jobs))
            for job in [*self.successful, self.failed, self.dismissed]:
                status = self.api.status(job)
                for key in ["status", "processID", "created", "finished", "type"]:
                    self.assertEqual(jobs[job].get(key), status[key])
        self.soon(listed)

    @requirement("job-list/type-definition", "job-list/type-response")
    def test_all_jobs_are_processes(self):
        self.assertEqual(self.found(type="process"), self.mine)
        answer = self.api.get("/jobs?type=openeo")
        self.assertIn(answer.status, (200, 400))
        if answer.status == 200:
            self.assertEqual(answer.json()["jobs"], [])

    @requirement("job-list/processID-definition", "job-list/processID-response")
    def test_jobs_are_found_by_one_or_several_processes(self):
        self.assertEqual({job["jobID"] for job in self.jobs(processID=self.process)}, set(self.successful))
        both = {*self.successful, self.failed}
        self.assertEqual({job["jobID"] for job in self.jobs(processID=f"{self.process},{self.failing}")}, both)
        self.assertEqual({job["jobID"] for job in self.jobs(processID=[self.process, self.failing])}, both)
        self.assertEqual(self.jobs(processID=fresh("none")), [])

    @requirement("job-list/status-definition", "job-list/status-response")
    def test_jobs_are_found_by_one_or_several_states(self):
        self.assertEqual(self.found(status="successful"), set(self.successful))
        self.assertEqual(self.found(status="failed"), {self.failed})
        self.assertEqual(self.found(status="dismissed"), {self.dismissed})
        self.assertEqual(self.found(status="running"), {self.running})
        self.assertEqual(self.found(status="failed,dismissed"), {self.failed, self.dismissed})
        self.assertEqual(self.found(status=["failed", "dismissed"]), {self.failed, self.dismissed})
        for value in ["late", "Failed"]:
            self.problem(self.api.get(f"/jobs?status={value}"), 400, None, "status")

    @requirement("job-list/datetime-definition", "job-list/datetime-response")
    def test_jobs_are_found_by_the_time_at_which_they_were_created(self):
        first, second, third = (self.api.status(job)["created"] for job in self.successful)
        one, two, three = self.successful
        among = lambda value: {job["jobID"] for job in self.jobs(processID=self.process, datetime=value)}
        self.assertEqual(among(second), {two})
        self.assertEqual(among(f"{first}/{second}"), {one, two})
        self.assertEqual(among(f"../{second}"), {one, two})
        self.assertEqual(among(f"{second}/.."), {two, three})
        self.assertEqual(among(f"{second}/"), {two, three})
        self.assertEqual(among("../.."), {one, two, three})
        later = datetime.datetime.fromisoformat(third) + datetime.timedelta(days=1)
        self.assertEqual(among(later.strftime("%Y-%m-%dT%H:%M:%SZ/..")), set())
        zone = datetime.timezone(datetime.timedelta(hours=2))
        shifted = datetime.datetime.fromisoformat(second).astimezone(zone).isoformat()
        self.assertEqual({job["jobID"] for job in self.jobs(processID=self.process, datetime=shifted)}, {two})
        for value in ["yesterday", "2020-13-01T00:00:00Z", f"{third}/{first}", "a/b/c"]:
            with each(self, value=value):
                answer = self.api.get("/jobs?" + urllib.parse.urlencode({"datetime": value}))
                self.problem(answer, 400, None, "datetime")

    @requirement("job-list/duration-definition", "job-list/duration-response")
    def test_jobs_are_found_by_how_long_they_took_or_have_run(self):
        # More than the short jobs took, however slow the machine and however coarse its times.
        between = math.floor(max(self.took(job) for job in self.successful)) + 2
        for _ in range(600):
            if self.running in self.found(minDuration=between + 1):
                break
            time.sleep(0.1)
        self.assertEqual(self.found(minDuration=between) & {self.running, *self.successful}, {self.running})
        self.assertEqual(self.found(maxDuration=between) & {self.running, *self.successful}, set(self.successful))
        self.assertEqual(self.found(minDuration=between, status="successful"), set())
        self.assertIn(self.running, self.found(minDuration=between, maxDuration=100_000))
        self.assertEqual(self.found(minDuration=100_000), set())
        for name in ["minDuration", "maxDuration"]:
            for value in ["-1", "x"]:
                with each(self, name=name, value=value):
                    self.problem(self.api.get(f"/jobs?{name}={value}"), 400, None, name)

    @requirement("job-list/limit-definition", "job-list/limit-response")
    def test_a_list_is_never_longer_than_its_limit(self):
        for query, most in [("", 10), ("?limit=1", 1), ("?limit=4", 4)]:
            with each(self, query=query):
                self.assertLessEqual(len(self.json(self.api.get("/jobs" + query), "jobList")["jobs"]), most)

    @requirement("job-list/links")
    def test_pages_are_linked_keep_their_filters_and_show_each_job_once(self):
        query = f"processID={self.process},{self.failing}&limit=2"
        page, seen, pages = self.json(self.api.get(f"/jobs?{query}"), "jobList"), [], 0
        self.assertEqual(rels(page)["alternate"]["type"], "text/html")
        self.assertNotIn("prev", rels(page))
        while True:
            pages += 1
            seen += [job["jobID"] for job in page["jobs"]]
            if "next" not in rels(page):
                break
            page = self.json(self.api.get(rels(page)["next"]["href"]), "jobList")
            self.assertIn("prev", rels(page))
        self.assertEqual((pages, seen), (2, [self.failed, *reversed(self.successful)]))

    def test_the_newest_job_is_first(self):
        job = self.api.start(self.process, {"text": "newest"})
        self.mine.add(job)
        self.successful.append(job)
        self.api.wait(job)
        for _ in range(20):
            jobs = self.json(self.api.get("/jobs"))["jobs"]
            if jobs[0]["jobID"] == job:
                break
            time.sleep(0.1)
        self.assertEqual(jobs[0]["jobID"], job)
        self.assertEqual([one["created"] for one in jobs], sorted((one["created"] for one in jobs), reverse=True))

    def test_an_unknown_parameter_is_passed_over_or_refused_but_breaks_nothing(self):
        self.assertIn(self.api.get("/jobs?unheardOf=1").status, (200, 400))
