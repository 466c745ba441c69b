"""What all tests share: a client, deployed packages, and words for what an answer must be."""
import contextlib
import re
import time
import unittest

from harness import schemas
from harness.client import Client, fresh, package

EXCEPTIONS = "http://www.opengis.net/def/exceptions/ogcapi-processes-"
NO_SUCH_PROCESS = EXCEPTIONS + "1/1.0/no-such-process"
NO_SUCH_JOB = EXCEPTIONS + "1/1.0/no-such-job"
NOT_READY = EXCEPTIONS + "1/1.0/result-not-ready"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


class Case(unittest.TestCase):
    """Tests of one requirements class."""

    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.api = Client()

    def ok(self, answer, status=200):
        self.assertEqual(answer.status, status, f"\n{answer}")
        return answer

    def json(self, answer, schema=None, status=200):
        """The document of an answer, valid against the schema of that name."""
        self.ok(answer, status)
        self.assertEqual(answer.media_type, "application/json", f"\n{answer}")
        document = answer.json()
        if schema:
            self.valid(document, schema, answer)
        return document

    def valid(self, document, schema, about=""):
        self.assertEqual(schemas.mistakes(document, schema), [], f"\n{about}")

    def soon(self, check, seconds=5):
        """What `check` asserts holds now or a moment later: what was changed is known to the other replicas of a cluster by
        their watches."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return check()
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def everywhere(self, check):
        """Likewise, of all replicas that requests may reach: ten answers in a row say so."""
        def several():
            for _ in range(10):
                check()
        self.soon(several)

    def problem(self, answer, status, type_=None, *words):
        """The answer is an exception of this status and type that says these words."""
        self.assertEqual(answer.status, status, f"\n{answer}")
        document = answer.json()
        self.valid(document, "exception", answer)
        self.assertEqual(document.get("status"), status, f"\n{answer}")
        if type_:
            self.assertEqual(document["type"], type_, f"\n{answer}")
        for word in words:
            self.assertIn(word, document["detail"], f"\n{answer}")
        return document

    def deployed(self, name, **replaced):
        """Id of a process made of packages/NAME.cwl, undeployed when the test ends."""
        process = fresh(name)
        self.ok(self.api.deploy(package(name, process, **replaced)), 201)
        self.addCleanup(self.api.delete, f"/processes/{process}")
        return process

    def dismissed_later(self, job):
        self.addCleanup(self.api.delete, f"/jobs/{job}")
        return job

    def paused(self, seconds=30, **inputs):
        """Id of an `echo` that takes its time."""
        return self.dismissed_later(self.api.start("echo", {"echoInput": "x", "pause": seconds} | inputs))


@contextlib.contextmanager
def each(case, **what):
    """A sub-test that names what it is about."""
    with case.subTest(**what):
        yield


def rels(document):
    """{rel: link} of a document's links; of several of one relation the first."""
    found = {}
    for link in document.get("links", []):
        found.setdefault(link["rel"], link)
    return found
