"""Clients that others wrote, over every verb that they have: OWSLib and ogc-api-processes-client.

    tests/ogc/clients.py BASE
"""
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from harness import aliases, target  # noqa: E402, F401

from ogc_api_client.api_client import Configuration  # noqa: E402
from ogc_api_client.api_client_wrapper import ApiClientWrapper  # noqa: E402
from ogc_api_client.exceptions import NotFoundException  # noqa: E402
from ogc_api_client.models.execute import Execute  # noqa: E402
from ogc_api_client.models.status_info import StatusCode  # noqa: E402
from owslib.ogcapi.processes import Processes  # noqa: E402

from harness.client import Client, fresh, package  # noqa: E402


class OwsLib(unittest.TestCase):
    def setUp(self):
        self.server = Processes(target.base(), headers={})

    def test_landing_page_and_conformance(self):
        self.assertTrue(self.server.links)
        self.assertTrue(any("ogcapi-processes-1" in uri for uri in self.server.conformance()["conformsTo"]))

    def test_definition(self):
        self.assertTrue(self.server.api()["openapi"].startswith("3.0"))

    def test_processes(self):
        self.assertIn("echo", [process["id"] for process in self.server.processes()])
        self.assertIn("echoInput", self.server.process("echo")["inputs"])

    def test_execution_that_is_waited_for(self):
        self.assertEqual(self.server.execute("echo", {"echoInput": "lake"})["echoInput"], "lake")

    def test_execution_in_the_background(self):
        self.server.execute("echo", {"echoInput": "lake"}, async_=True)
        location = self.server.response_headers["Location"]
        Client().wait(location.rpartition("/")[2])

    def test_a_mistake_is_told(self):
        with self.assertRaises(RuntimeError) as raised:
            self.server.execute("echo", {"echoInput": 5})
        self.assertIn("/inputs/echoInput", str(raised.exception))


class ProcessesClient(unittest.TestCase):
    headers = {"accept": "*/*", "Prefer": "respond-async;return=representation", "Content-Type": "application/json"}

    def setUp(self):
        self.client = ApiClientWrapper(configuration=Configuration(host=target.base()))

    def number(self):
        """A process with a number: of a text the library's models cannot say whether it is text or bytes."""
        process = fresh("number")
        self.assertEqual(Client().deploy(package("number", process)).status, 201)
        self.addCleanup(Client().delete, f"/processes/{process}")
        return process

    def start(self, **inputs):
        return self.client.execute_simple(process_id="echo", execute={"inputs": {"echoInput": "lake"} | inputs},
                                          _headers=dict(self.headers)).job_id

    def wait(self, job, *until):
        for _ in range(600):
            status = self.client.get_status(job_id=job)
            if status.status in until:
                return status
            time.sleep(0.1)
        self.fail(f"{job} is {status}")

    def test_landing_page_and_conformance(self):
        self.assertTrue(self.client.get_landing_page().links)
        self.assertTrue(self.client.get_conformance_classes().conforms_to)

    def test_processes(self):
        self.assertIn("echo", [process.id for process in self.client.get_processes().processes])
        self.assertEqual(self.client.get_process_description(process_id="echo").id, "echo")

    def test_execution_status_and_results(self):
        process = self.number()
        job = self.client.execute_simple(process_id=process, execute={"inputs": {"number": 0.5}}, _headers=dict(self.headers)).job_id
        status = self.wait(job, StatusCode.SUCCESSFUL)
        self.assertEqual((status.job_id, status.process_id, status.type), (job, process, "process"))
        self.assertEqual(self.client.get_result(job_id=job)["number"].actual_instance.actual_instance, 0.5)

    def test_execution_with_models(self):
        execute = Execute.from_dict({"inputs": {"number": 0.5}, "response": "document"})
        self.assertIsNotNone(self.client.execute(process_id=self.number(), execute=execute))

    def test_the_list_shows_the_newest_job(self):
        job = self.start()
        for _ in range(20):
            listed = [status.job_id for status in self.client.get_jobs().jobs]
            if job in listed:
                return
            time.sleep(0.1)
        self.fail(f"{job} is not in {listed}")

    def test_dismissal(self):
        job = self.start(pause=60)
        self.wait(job, StatusCode.RUNNING, StatusCode.ACCEPTED)
        self.assertEqual(self.client.dismiss(job_id=job).status, StatusCode.DISMISSED)
        self.wait(job, StatusCode.DISMISSED)

    def test_what_is_not_there_is_not_found(self):
        with self.assertRaises(NotFoundException):
            self.client.get_status(job_id="missing")
        with self.assertRaises(NotFoundException):
            self.client.get_process_description(process_id="missing")


if __name__ == "__main__":
    target.base()
    unittest.main(argv=sys.argv[:1] + target.arguments())
