"""Part 1, core: execute requests, their inputs and their mode."""
import base64

from harness import target
from harness.case import NO_SUCH_JOB, NOT_READY, Case, each, rels
from harness.checklist import requirement
from harness.client import ASYNC, RESULTS
from harness.scenes import Listener

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
TIFF = "image/tiff; application=geotiff"


class Inputs(Case):
    def echoed(self, name, value, shown=None):
        """`echo` takes the value and gives it back in a document."""
        answer = self.api.execute("echo", {"echoInput": "x", name: value}, response="document")
        found = self.json(answer, "results")[name]
        if isinstance(found, dict) and "value" in found and shown != found:
            found = found["value"]
        self.assertEqual(found, value if shown is None else shown, f"\n{answer}")

    def refused(self, inputs, *words):
        answer = self.api.execute("echo", {"echoInput": "x"} | inputs)
        self.problem(answer, 400, "InvalidParameterValue", *words)

    @requirement("core/process-execute-op", "core/process-execute-request")
    def test_an_execute_request_is_taken_where_the_description_links_to(self):
        links = rels(self.json(self.api.get("/processes/echo")))
        answer = self.api.post(links["http://www.opengis.net/def/rel/ogc/1.0/execute"]["href"], {"inputs": {"echoInput": "a"}})
        self.ok(answer)

    @requirement("core/process-execute-request")
    def test_what_is_no_execute_request_is_refused_with_its_place(self):
        for body, word in [("{", "JSON"), ("[]", "object"), ('"x"', "object"), ("null", "object"),
                           ('{"inputs": 5}', "/inputs"), ('{"inputs": {}, "outputs": 5}', "/outputs"),
                           ('{"inputs": {"echoInput": "x"}, "response": "neither"}', "/response"),
                           ('{"inputs": {"echoInput": "x"}, "subscriber": 5}', "/subscriber"),
                           ('{"inputs": {"echoInput": "x"}, "outputs": {"echoInput": {"transmissionMode": "x"}}}', "/outputs")]:
            with each(self, body=body):
                answer = self.api.post("/processes/echo/execution", body, Content_Type="application/json")
                self.problem(answer, 400, None, word)

    @requirement("core/process-execute-request")
    def test_a_body_of_another_type_is_unsupported(self):
        self.problem(self.api.post("/processes/echo/execution", "<a/>", Content_Type="application/xml"), 415)

    @requirement("core/process-execute-inputs")
    def test_inputs_are_taken_by_value_and_by_reference(self):
        process = self.deployed("one")
        with Listener(target.reached_at(), documents={"/text": ("text/plain", b"by reference")}) as listener:
            for value, text in [("by value", "by value"), ({"href": f"{listener.url}/text", "type": "text/plain"}, "by reference")]:
                job = self.api.start(process, {"text": value}, response="document")
                self.api.wait(job)
                self.assertEqual(self.json(self.api.get(f"/jobs/{job}/results")), {"text": text})

    @requirement("core/process-execute-inputs")
    def test_inputs_that_are_missing_unknown_or_too_many_are_refused_by_name(self):
        self.problem(self.api.execute("echo", {}), 400, None, "echoInput")
        self.refused({"unheardOf": 1}, "unheardOf")
        self.refused({"arrayInput": list(range(11))}, "/inputs/arrayInput")

    @requirement("core/process-execute-input-array")
    def test_an_array_is_an_array_also_with_one_value(self):
        for value in [[1, 2, 3], [5], []]:
            with each(self, value=value):
                self.echoed("arrayInput", value)

    @requirement("core/process-execute-input-inline-object")
    def test_an_object_is_given_as_a_qualified_value(self):
        self.echoed("mixedInput", {"value": {"depth": 3, "name": "lake"}}, {"depth": 3, "name": "lake"})

    @requirement("core/process-execute-input-mixed-type")
    def test_a_qualified_value_chooses_its_branch_in_both_spellings(self):
        for qualified in [{"value": "plain"}, {"value": "plain", "mediaType": "text/plain"},
                          {"value": "plain", "format": {"mediaType": "text/plain"}}]:
            with each(self, qualified=qualified):
                self.echoed("mixedInput", qualified, "plain")

    @requirement("core/process-execute-input-inline-binary")
    def test_binary_values_are_base64_in_both_spellings(self):
        image = base64.b64encode(b"II*\0" + bytes(20)).decode()
        for value in [image, {"value": image, "mediaType": TIFF, "encoding": "base64"},
                      {"value": image, "format": {"mediaType": TIFF, "encoding": "base64"}}]:
            with each(self, value=value):
                self.ok(self.api.execute("echo", {"echoInput": "x", "imageInput": value}))
        self.refused({"imageInput": {"value": "not base64!", "mediaType": TIFF, "encoding": "base64"}}, "/inputs/imageInput")

    @requirement("core/process-execute-input-inline-bbox")
    def test_a_bounding_box_has_four_or_six_numbers_and_a_crs(self):
        self.echoed("bboxInput", {"bbox": [-34.9, -8.0, -34.8, -7.9], "crs": CRS84})
        self.echoed("bboxInput", {"bbox": [0, 0, 0, 1, 1, 1], "crs": CRS84})
        answer = self.api.execute("echo", {"echoInput": "x", "bboxInput": {"bbox": [0, 0, 1, 1]}}, response="document")
        box = self.json(answer)["bboxInput"]
        self.assertEqual(box.get("value", box)["bbox"], [0, 0, 1, 1])
        for box in [{"bbox": [1, 2, 3], "crs": CRS84}, {"bbox": "0,0,1,1"}, {"crs": CRS84}, [0, 0, 1, 1]]:
            with each(self, box=box):
                self.refused({"bboxInput": box}, "/inputs/bboxInput")

    @requirement("core/process-execute-input-validation")
    def test_values_that_do_not_fit_are_refused_with_the_json_pointer(self):
        for name, value in [("echoInput", 5), ("echoInput", None), ("echoInput", ["a"]), ("arrayInput", ["a"]),
                            ("arrayInput", [1, "b"]), ("arrayInput", "1"), ("mixedInput", 5), ("mixedInput", True),
                            ("pause", "long"), ("pause", -1), ("imageInput", {"type": "wrong/type"})]:
            with each(self, name=name, value=value):
                self.refused({name: value}, f"/inputs/{name}")

    @requirement("core/process-execute-input-validation")
    def test_inputs_of_deployed_processes_are_validated_by_their_types(self):
        process = self.deployed("types")
        right = {"text": "a", "small": 1, "large": 2, "single": 0.5, "double": 1.5, "flag": True, "colour": "red",
                 "several": ["a"], "point": {"value": {"x": 1, "y": 2}}, "either": "a",
                 "file": {"href": f"{target.data_url()}/olinda/{target.SCENES[0]}/{target.SCENES[0]}.json"},
                 "folder": {"href": f"{target.data_url()}/olinda/{target.SCENES[0]}/{target.SCENES[0]}.json"}}
        for name, value in [("text", 1), ("small", 2**31), ("small", 1.5), ("flag", "yes"), ("colour", "blue"),
                            ("several", "a"), ("several", [1]), ("point", {"value": {"x": 1}}), ("either", [1])]:
            with each(self, name=name, value=value):
                answer = self.api.execute(process, right | {name: value}, ASYNC)
                if answer.status == 201:
                    self.dismissed_later(answer.json()["jobID"])
                self.problem(answer, 400, "InvalidParameterValue", f"/inputs/{name}")

    @requirement("core/process-execute-input-validation")
    def test_references_are_validated_when_they_are_resolved(self):
        process = self.deployed("number")
        documents = {"/number": ("application/json", b"0.25"), "/text": ("application/json", b'"much"')}
        with Listener(target.reached_at(), documents=documents) as listener:
            by = lambda name: self.api.execute(process, {"number": {"href": f"{listener.url}/{name}", "type": "application/json"}}, ASYNC)
            job = self.json(by("number"), "statusInfo", 201)["jobID"]
            self.api.wait(job)
            self.assertEqual(self.json(self.api.get(f"/jobs/{job}/results")), {"number": 0.25})
            for name in ["text", "missing"]:
                self.problem(by(name), 400, None, "/inputs/number")

    def test_a_reference_that_echo_cannot_reach_is_passed_through(self):
        """The official suite gives `echo` an image on the web."""
        for stated in [{"type": TIFF}, {"format": {"mediaType": TIFF}}, {}]:
            with each(self, stated=stated):
                link = {"href": "https://no-such-host.invalid/a.tif"} | stated
                self.ok(self.api.execute("echo", {"echoInput": "x", "imageInput": link}))


class Modes(Case):
    @requirement("core/process-execute-default-outputs")
    def test_without_outputs_all_are_given(self):
        answer = self.api.execute(self.deployed("forms"), {"text": "a"}, "respond-async;return=representation")
        job = self.json(answer, "statusInfo", 201)["jobID"]
        self.api.wait(job)
        self.assertEqual(set(self.json(self.api.get(f"/jobs/{job}/results"), "results")), {"text", "number", "file"})

    @requirement("core/process-execute-default-outputs")
    def test_named_outputs_are_given_and_no_others(self):
        answer = self.api.execute("echo", {"echoInput": "a", "arrayInput": [1]}, outputs={"arrayInput": {}}, response="document")
        self.assertEqual(set(self.json(answer)), {"arrayInput"})
        self.problem(self.api.execute("echo", {"echoInput": "a"}, outputs={"none": {}}), 400, None, "/outputs/none")

    @requirement("core/process-execute-default-execution-mode")
    def test_without_prefer_a_process_that_can_answers_at_once(self):
        answer = self.ok(self.api.execute("echo", {"echoInput": "a"}))
        self.assertIsNone(answer.headers["Preference-Applied"])

    @requirement("core/process-execute-default-execution-mode", "core/process-execute-auto-execution-mode")
    def test_a_mode_that_the_process_does_not_have_is_not_forced_on_it(self):
        process = self.deployed("one")
        control = self.json(self.api.get(f"/processes/{process}"))["jobControlOptions"]
        self.assertIn("async-execute", control)
        for prefer in [None, "respond-sync"]:
            with each(self, prefer=prefer):
                self.ok(self.api.execute(process, {"text": "a"}, prefer), 200 if "sync-execute" in control else 201)

    @requirement("core/process-execute-auto-execution-mode")
    def test_prefer_is_read_as_clients_write_it(self):
        for prefer in ["respond-async", "respond-async ", "Respond-Async", "respond-async, wait=5", "wait=5, respond-async",
                       "respond-async;return=representation", "respond-async; return=minimal", "unknown, respond-async"]:
            with each(self, prefer=prefer):
                answer = self.ok(self.api.execute("echo", {"echoInput": "a"}, prefer), 201)
                self.assertIn("respond-async", answer.headers["Preference-Applied"].lower(), f"\n{answer}")
        for prefer in ["respond-sync", "wait=30", "return=minimal", "respond-asynchronously"]:
            with each(self, prefer=prefer):
                self.ok(self.api.execute("echo", {"echoInput": "a"}, prefer))

    @requirement("core/process-execute-success-async")
    def test_an_asynchronous_answer_has_the_job_and_where_it_is(self):
        answer = self.api.execute("echo", {"echoInput": "a"}, ASYNC)
        status = self.json(answer, "statusInfo", 201)
        self.assertEqual(answer.headers["Location"], f"{self.api.base}/jobs/{status['jobID']}")
        self.assertEqual(rels(status)["monitor"]["href"], answer.headers["Location"])
        self.assertEqual((status["id"], status["processID"]), (status["jobID"], "echo"))
        self.assertEqual(self.json(self.api.get(answer.headers["Location"]))["jobID"], status["jobID"])

    @requirement("core/job", "core/job-success")
    def test_a_jobs_status_tells_its_times_in_order_and_where_its_results_are(self):
        self.assertNotIn(RESULTS, rels(self.json(self.api.get(f"/jobs/{self.paused()}"), "statusInfo")))
        job = self.api.start("echo", {"echoInput": "x", "pause": 1})
        status = self.api.wait(job)
        self.valid(status, "statusInfo")
        self.assertLessEqual(status["created"], status["started"])
        self.assertLessEqual(status["started"], status["finished"])
        self.assertEqual(rels(status)[RESULTS]["href"], f"{self.api.base}/jobs/{job}/results")

    @requirement("core/job-exception-no-such-job", "core/job-results-exception/no-such-job")
    def test_a_job_that_is_not_there_is_no_such_job(self):
        for name in ["11111111-2222-4333-8444-555555555555", "..%2F..", "NotAJob", "%00", "x" * 300]:
            for path in [f"/jobs/{name}", f"/jobs/{name}/results"]:
                with each(self, path=path):
                    self.problem(self.api.get(path), 404, NO_SUCH_JOB)
            self.problem(self.api.delete(f"/jobs/{name}"), 404, NO_SUCH_JOB)

    @requirement("core/job-results-exception/results-not-ready")
    def test_results_of_a_job_that_runs_are_not_ready(self):
        job = self.paused()
        self.problem(self.api.get(f"/jobs/{job}/results"), 404, NOT_READY, job)

    @requirement("core/job-results-failed")
    def test_the_results_of_a_failed_job_are_the_reason(self):
        job = self.api.start(self.deployed("fails"), {"reason": "the river is dry"})
        status = self.api.wait(job, "failed")
        self.valid(status, "statusInfo")
        self.assertNotIn(RESULTS, rels(status))
        self.assertIn("ToolFailed", status["message"])
        self.assertIn("the river is dry", status["message"])
        answer = self.api.get(f"/jobs/{job}/results")
        self.assertGreaterEqual(answer.status, 400)
        document = self.problem(answer, answer.status, None, "exit code 7")
        self.assertIn("the river is dry", str(document))
