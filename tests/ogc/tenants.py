"""Tenants do not meet (invariant I9), and one client cannot hold up the others (I7).

    tests/ogc/tenants.py BASE
"""
import concurrent.futures
import json
import os
import pathlib
import socket
import sys
import time
import unittest
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from harness import target  # noqa: E402
from harness.case import NO_SUCH_JOB, NO_SUCH_PROCESS, Case, each  # noqa: E402
from harness.client import ASYNC, Client, fresh, package  # noqa: E402
from harness.scenes import Listener  # noqa: E402

SECRET = "secret-of-acme"
# Addresses of the machine itself, of its network, and of a cloud's metadata, in the spellings that get through naive checks.
PRIVATE = ["http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/", "http://192.168.0.1/x", "http://172.16.0.1/",
           "http://[::ffff:169.254.169.254]/", "http://[fe80::1]/", "http://[fd00::1]/", "http://0.0.0.0:1/", "http://[::]/",
           "http://2852039166/", "http://0xa9fea9fe/", "http://0251.0376.0251.0376/", "http://100.64.0.1/",
           "http://user:password@10.0.0.1/", "http://10.0.0.1.:80/"]
OTHER_SCHEMES = ["file:///etc/passwd", "ftp://10.0.0.1/x", "gopher://10.0.0.1/", "data:text/plain,x", "s3://weir/acme/x",
                 "unix:///run/x", "//etc/passwd", "/etc/passwd", "../../etc/passwd", "http://", "http://[::1"]


class TwoTenants(Case):
    """`mine` has a process and a job with a secret; `theirs` looks for it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.mine, cls.theirs = Client(), Client(target.other_base())
        cls.process = fresh("private")
        answer = cls.mine.deploy(package("forms", cls.process))
        assert answer.status == 201, answer
        cls.job = cls.mine.start(cls.process, {"text": SECRET})
        cls.status = cls.mine.wait(cls.job)
        cls.addClassCleanup(cls.mine.delete, f"/processes/{cls.process}")

    def nothing(self, answer):
        """No secret, no success, no failure of the server."""
        self.assertTrue(400 <= answer.status < 500, f"\n{answer}")
        self.assertNotIn(SECRET.encode(), answer.body)
        self.assertNotIn(b"root:", answer.body)

    def test_processes_of_another_are_not_there(self):
        listed = [summary["id"] for summary in self.theirs.get("/processes?limit=10000").json()["processes"]]
        self.assertNotIn(self.process, listed)
        path = f"/processes/{self.process}"
        self.problem(self.theirs.get(path), 404, NO_SUCH_PROCESS)
        self.problem(self.theirs.get(path + "/package", Accept="*/*"), 404, NO_SUCH_PROCESS)
        self.problem(self.theirs.execute(self.process, {"text": "x"}, ASYNC), 404, NO_SUCH_PROCESS)
        self.problem(self.theirs.delete(path), 404, NO_SUCH_PROCESS)
        replacement = package("one", self.process)
        self.problem(self.theirs.put(path, replacement, Content_Type="application/cwl"), 404, NO_SUCH_PROCESS)

    def test_the_same_id_is_another_process(self):
        self.ok(self.theirs.deploy(package("one", self.process)), 201)
        self.assertNotIn("file", self.theirs.get(f"/processes/{self.process}").json()["outputs"])
        self.assertIn("file", self.mine.get(f"/processes/{self.process}").json()["outputs"])
        self.ok(self.theirs.delete(f"/processes/{self.process}"), 204)
        self.ok(self.mine.get(f"/processes/{self.process}"))

    def test_jobs_of_another_are_not_there(self):
        self.assertNotIn(self.job, [job["jobID"] for job in self.theirs.get("/jobs?limit=10000").json()["jobs"]])
        for path in [f"/jobs/{self.job}", f"/jobs/{self.job}/results", f"/jobs/{self.job}/results/file"]:
            self.problem(self.theirs.get(path), 404, NO_SUCH_JOB)
        self.problem(self.theirs.delete(f"/jobs/{self.job}"), 404, NO_SUCH_JOB)
        self.assertEqual(self.mine.status(self.job)["status"], "successful")

    def test_logs_of_another_are_not_there(self):
        texts = [link["href"] for link in self.status["links"] if link["rel"] == "related"]
        self.assertTrue(texts)
        for href in texts:
            self.ok(self.mine.get(href, Accept="*/*"))
            self.nothing(self.theirs.get(href.replace(f"/{target.tenant()}/", f"/{target.other_tenant()}/"), Accept="*/*"))
            self.nothing(self.mine.get(href.replace(self.process, "echo"), Accept="*/*"))

    def test_paths_lead_nowhere_else(self):
        origin, tenant, other = target.origin(), target.tenant(), target.other_tenant()
        up = ["..", "%2e%2e", "..%2f", "%2e%2e%2f", "..%5c", "%252e%252e", "....//", ".%00.", "..;", "%c0%ae%c0%ae"]
        tails = [f"jobs/{self.job}", f"processes/{self.process}", f"jobs/{self.job}/results"]
        for step in up:
            for tail in tails:
                path = f"/{other}/ogc-api/jobs/{step}/{step}/{step}/{tenant}/ogc-api/{tail}"
                with each(self, path=path):
                    self.nothing(raw_get(origin, path))
            for file in ["keys.json", "etc/passwd", f"{tenant}/keys.json"]:
                for place in [f"/{tenant}/temp/{self.process}-{self.job}", f"/{tenant}/temp", f"/{tenant}/ogc-api"]:
                    path = f"{place}/{'/'.join([step] * 8)}/{file}"
                    with each(self, path=path):
                        self.nothing(raw_get(origin, path))
        for tenant_name in ["..", "%2e%2e", "", "ACME", "acme%00", "acme%2f..", "x" * 64, "-a", "a.b"]:
            with each(self, tenant=tenant_name):
                self.nothing(raw_get(origin, f"/{tenant_name}/ogc-api/jobs/{self.job}"))

    def test_ids_of_packages_lead_nowhere_else(self):
        """An id is what follows the last slash, as in CWL."""
        for name in ["..", ".", "a\\u0000b", "a\\nb", "$(touch x)", "`x`", "x" * 300, "../../globex/x", "/etc/x"]:
            with each(self, name=name):
                document = json.dumps({"cwlVersion": "v1.2", "class": "Workflow", "id": "@", "inputs": {}, "outputs": {},
                                       "steps": {}}).replace('"@"', f'"{name}"')
                answer = self.mine.deploy(document, media_type="application/cwl+json")
                if answer.status == 201:
                    self.assertEqual(answer.json()["id"], "x")
                    self.ok(self.mine.delete("/processes/x"), 204)
                else:
                    self.problem(answer, 400)

    def test_names_of_outputs_and_files_lead_nowhere_else(self):
        process = fresh("outputs")
        evil = ("cwlVersion: v1.2\nclass: CommandLineTool\nid: %s\nbaseCommand: [sh, -c, 'ln -s /etc/passwd link; echo x > ok']\n"
                "hints: {DockerRequirement: {dockerPull: 'localhost/busybox:1'}}\n"
                "inputs: []\noutputs:\n  out: {type: File, outputBinding: {glob: '%s'}}\n")
        for glob in ["../../../../../../etc/passwd", "/etc/passwd", "link"]:
            with each(self, glob=glob):
                answer = self.mine.deploy(evil % (process, glob))
                if answer.status != 201:
                    self.nothing(answer)
                    continue
                job = self.mine.start(process, {})
                self.mine.wait(job, "failed", "successful")
                answer = self.mine.get(f"/jobs/{job}/results/out", Accept="*/*")
                self.assertNotIn(b"root:", answer.body, f"\n{answer}")
                self.ok(self.mine.delete(f"/processes/{process}"), 204)

    def test_files_of_the_machine_are_no_inputs(self):
        process = self.deployed("types")
        for href in ["file:///etc/passwd", "/etc/passwd", f"s3://results/{self.job}/catalog.json"]:
            for value in [{"href": href}, {"class": "File", "location": href}, {"class": "File", "path": href}, href]:
                with each(self, value=value):
                    answer = self.mine.execute(process, {"file": value}, ASYNC)
                    self.problem(answer, 400)

    def test_addresses_that_are_not_public_are_not_fetched(self):
        for href in PRIVATE + OTHER_SCHEMES:
            unit = {"executionUnit": {"href": href, "type": "application/cwl"}}
            with each(self, href=href):
                started = time.monotonic()
                answer = self.mine.deploy(unit, media_type="application/ogcapppkg+json")
                self.assertEqual(answer.status, 400, f"\n{answer}")
                self.assertLess(time.monotonic() - started, 3, "it was tried")

    def test_a_url_whose_host_is_its_path_is_refused_as_soon_as_names_are_resolved(self):
        """`http:///x` is the host `x`; how long that takes to be found missing is the resolver's affair."""
        unit = {"executionUnit": {"href": "http:///x", "type": "application/cwl"}}
        self.problem(self.mine.deploy(unit, media_type="application/ogcapppkg+json"), 400)

    def test_a_redirect_is_checked_again(self):
        def away(handler):
            handler.answer(302, Location="http://169.254.169.254/latest/meta-data/")
        with Listener(target.reached_at(), documents={"/app.cwl": (None, away)}) as listener:
            unit = {"executionUnit": {"href": f"{listener.url}/app.cwl", "type": "application/cwl"}}
            self.problem(self.mine.deploy(unit, media_type="application/ogcapppkg+json"), 400, None, "169.254.169.254")

    def test_a_fetched_document_that_does_not_end_is_given_up(self):
        def endless(handler):
            handler.send_response(200)
            handler.end_headers()
            for _ in range(3000):
                handler.wfile.write(b"# water\n" * 8192)
        with Listener(target.reached_at(), documents={"/app.cwl": (None, endless)}) as listener:
            unit = {"executionUnit": {"href": f"{listener.url}/app.cwl", "type": "application/cwl"}}
            self.nothing(self.mine.deploy(unit, media_type="application/ogcapppkg+json"))

    def test_the_store_shows_results_to_the_key_of_their_reader_only(self):
        import boto3
        import botocore.exceptions
        if "AWS_ENDPOINT_URL" not in os.environ:
            self.skipTest("no S3 endpoint")
        s3 = boto3.client("s3")
        for call in [lambda: s3.put_object(Bucket="results", Key=f"{self.job}/x", Body=b"x"),
                     lambda: s3.delete_object(Bucket="results", Key=f"{self.job}/catalog.json"),
                     lambda: s3.list_objects_v2(Bucket="weir"), lambda: s3.get_object(Bucket="weir", Key="x"),
                     lambda: s3.get_object(Bucket="results", Key="../../keys.json")]:
            with self.assertRaises(botocore.exceptions.ClientError):
                call()
        anonymous = raw_get(os.environ["AWS_ENDPOINT_URL"], f"/results/?prefix={self.job}")
        self.nothing(anonymous)

    def test_the_key_of_a_tenant_reads_results_of_its_own_jobs_only(self):
        import boto3
        import botocore.exceptions
        if "AWS_ENDPOINT_URL" not in os.environ:
            self.skipTest("no S3 endpoint")
        s3, bucket = boto3.client("s3"), "results"
        own = s3.list_objects_v2(Bucket=bucket, Prefix=f"{self.job}/")
        keys = [found["Key"] for found in own["Contents"]]
        self.assertTrue(any(s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys), keys)
        process = fresh("other")
        self.ok(self.theirs.deploy(package("forms", process)), 201)
        job = self.theirs.start(process, {"text": "secret of globex"})
        self.theirs.wait(job)
        paths = [key.replace(self.job, job) for key in keys]
        for call in [lambda: s3.list_objects_v2(Bucket=bucket), lambda: s3.list_objects_v2(Bucket=bucket, Prefix=job),
                     lambda: s3.list_objects_v2(Bucket=bucket, Prefix=f"{job}/"), lambda: s3.list_objects(Bucket=bucket),
                     *(lambda key=key: s3.get_object(Bucket=bucket, Key=key) for key in paths),
                     *(lambda key=key: s3.head_object(Bucket=bucket, Key=key) for key in paths)]:
            with self.assertRaises(botocore.exceptions.ClientError) as raised:
                call()
            self.assertEqual(raised.exception.response["ResponseMetadata"]["HTTPStatusCode"], 403)


class Limits(Case):
    def test_a_body_beyond_the_limit_is_refused(self):
        answer = self.api.post("/processes/echo/execution", b'{"inputs": {"echoInput": "' + b"x" * (20 << 20) + b'"}}',
                               Content_Type="application/json")
        self.problem(answer, 413)

    def test_a_body_of_millions_of_values_is_refused(self):
        body = '{"inputs": {"echoInput": "x", "mixedInput": {"a": [0' + ",0" * 8_000_000 + "]}}}"
        self.problem(self.api.post("/processes/echo/execution", body, Content_Type="application/json"), 413)

    def test_a_body_that_is_nested_too_deep_is_refused(self):
        for opened, closed in [("[", "]"), ('{"a":', "}")]:
            for depth in [200, 100_000]:
                body = '{"inputs": {"echoInput": "x", "mixedInput": ' + opened * depth + "1" + closed * depth + "}}"
                self.problem(self.api.post("/processes/echo/execution", body, Content_Type="application/json"), 400)
                self.problem(self.api.deploy(body, media_type="application/cwl+json"), 400)
        self.problem(self.api.deploy("a: " + "[" * 5000 + "]" * 5000), 400)

    def test_yaml_that_grows_is_refused(self):
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
        started = time.monotonic()
        self.problem(self.api.deploy("\n".join(lines)), 400)
        self.assertLess(time.monotonic() - started, 5)

    def test_clients_that_send_slowly_hold_nobody_up(self):
        parts = urllib.parse.urlsplit(target.base())
        slow = []
        for _ in range(200):
            connection = socket.create_connection((parts.hostname, parts.port or 80), timeout=10)
            connection.sendall(b"POST /acme/ogc-api/processes/echo/execution HTTP/1.1\r\nHost: x\r\nContent-Length: 100")
            slow.append(connection)
        started = time.monotonic()
        for _ in range(20):
            self.ok(self.api.get("/conformance"))
        self.assertLess(time.monotonic() - started, 3)
        for connection in slow:
            connection.close()

    def test_beyond_its_jobs_a_tenant_is_told_when_to_come_back_and_others_are_served(self):
        jobs, refused = [], None
        other = Client(target.other_base())
        try:
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                start = lambda _: self.api.execute("echo", {"echoInput": "x", "pause": 60}, ASYNC)
                for _ in range(target.queue() // 100 + 1):
                    for answer in pool.map(start, range(100)):
                        if answer.status == 201:
                            jobs.append(answer.json()["jobID"])
                        else:
                            refused = answer
                    if refused:
                        break
            self.assertIsNotNone(refused, f"{len(jobs)} jobs were taken")
            self.problem(refused, 429)
            self.assertGreater(int(refused.headers["Retry-After"]), 0)
            other.wait(other.start("echo", {"echoInput": "x"}), seconds=20)
        finally:
            for job in jobs:
                self.api.delete(f"/jobs/{job}")


class Raw:
    """An answer as `Case` wants it."""

    def __init__(self, status, body, request):
        self.status, self.body, self.request = status, body, request

    def __str__(self):
        return f"{self.request} was answered {self.status}\n{self.body[:500]!r}"


def raw_get(origin, path):
    """GET of a path that no library may tidy up."""
    parts = urllib.parse.urlsplit(origin)
    with socket.create_connection((parts.hostname, parts.port or 80), timeout=20) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: */*\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    return Raw(int(answer.split()[1]), answer.partition(b"\r\n\r\n")[2], f"GET {path}")


if __name__ == "__main__":
    target.base()
    unittest.main(argv=sys.argv[:1] + target.arguments())
