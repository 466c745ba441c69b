"""Part 1, core: the forms of results, in the answer and of a job."""
from harness import target
from harness.case import Case, each
from harness.checklist import requirement

VALUE, REFERENCE = {"transmissionMode": "value"}, {"transmissionMode": "reference"}
ECHO = {"echoInput": "lake", "arrayInput": [1, 2]}


class Forms(Case):
    """The same shapes for a synchronous answer and for the results of a job that asked for them."""

    def answers(self, inputs, **body):
        """The synchronous answer and the job's, which must not differ."""
        yield "sync", self.api.execute("echo", inputs, **body)
        yield "async", self.results(self.api.start("echo", inputs, **body))

    def results(self, job, accept="application/json"):
        self.api.wait(job)
        return self.api.get(f"/jobs/{job}/results", Accept=accept)

    def referenced(self, href):
        """The bytes behind a reference of ours."""
        return self.ok(self.api.get(href, Accept="*/*")).body

    @requirement("core/process-execute-sync-raw-value-one", "core/job-results-async-raw-value-one")
    def test_one_raw_value_is_the_body(self):
        for mode, answer in self.answers({"echoInput": "lake"}, outputs={"echoInput": VALUE}, response="raw"):
            with each(self, mode=mode):
                self.ok(answer)
                self.assertEqual((answer.media_type, answer.text), ("text/plain", "lake"), f"\n{answer}")

    @requirement("core/process-execute-sync-raw-value-one", "core/job-results-async-raw-value-one")
    def test_a_raw_array_is_json(self):
        for mode, answer in self.answers(ECHO, outputs={"arrayInput": VALUE}, response="raw"):
            with each(self, mode=mode):
                self.assertEqual(self.json(answer), [1, 2])

    @requirement("core/process-execute-sync-raw-value-one", "core/job-results-async-raw-value-one")
    def test_a_raw_file_is_its_bytes_and_type(self):
        process = self.deployed("forms")
        answer = self.results(self.api.start(process, {"text": "water"}, outputs={"file": VALUE}, response="raw"), "*/*")
        self.ok(answer)
        self.assertEqual((answer.media_type, answer.text), ("text/plain", "water"), f"\n{answer}")

    @requirement("core/process-execute-sync-raw-value-multi", "core/job-results-async-raw-value-multi")
    def test_several_raw_values_are_parts_named_by_their_outputs(self):
        outputs = {"echoInput": VALUE, "arrayInput": VALUE}
        for mode, answer in self.answers(ECHO, outputs=outputs, response="raw"):
            with each(self, mode=mode):
                parts = self.ok(answer).parts()
                self.assertEqual(set(parts), set(outputs))
                self.assertEqual(parts["echoInput"].get_content().strip(), "lake")
                self.assertEqual(parts["arrayInput"].get_content_type(), "application/json")

    @requirement("core/process-execute-sync-raw-value-multi")
    def test_without_any_wish_several_outputs_are_raw_parts(self):
        answer = self.ok(self.api.execute("echo", {"echoInput": "lake"}))
        self.assertEqual(answer.parts()["echoInput"].get_content().strip(), "lake")

    @requirement("core/process-execute-sync-raw-ref", "core/job-results-async-raw-ref")
    def test_raw_references_are_links_of_an_empty_answer(self):
        outputs = {"echoInput": REFERENCE, "arrayInput": REFERENCE}
        for mode, answer in self.answers(ECHO, outputs=outputs, response="raw"):
            with each(self, mode=mode):
                self.ok(answer, 204)
                self.assertEqual(answer.body, b"")
                links = answer.links()
                self.assertEqual(len(answer.headers.get_all("Link")), 2, f"\n{answer}")
                for href in links.values():
                    self.assertIn(self.referenced(href), (b"lake", b"[1,2]", b"[1, 2]"))

    @requirement("core/process-execute-sync-raw-mixed-multi", "core/job-results-async-raw-mixed-multi")
    def test_a_reference_among_raw_values_is_an_empty_part_with_its_location(self):
        outputs = {"echoInput": VALUE, "arrayInput": REFERENCE}
        for mode, answer in self.answers(ECHO, outputs=outputs, response="raw"):
            with each(self, mode=mode):
                parts = self.ok(answer).parts()
                self.assertEqual(parts["echoInput"].get_content().strip(), "lake")
                self.assertEqual(parts["arrayInput"].get_payload().strip(), "")
                self.assertIn(self.referenced(parts["arrayInput"]["Content-Location"]), (b"[1,2]", b"[1, 2]"))

    @requirement("core/process-execute-sync-document", "core/job-results-async-document")
    def test_a_document_has_values_inline_and_references_as_links(self):
        outputs = {"echoInput": VALUE, "arrayInput": REFERENCE}
        for mode, answer in self.answers(ECHO, outputs=outputs, response="document"):
            with each(self, mode=mode):
                document = self.json(answer, "results")
                self.assertEqual(document["echoInput"], "lake")
                self.assertIn(self.referenced(document["arrayInput"]["href"]), (b"[1,2]", b"[1, 2]"))

    @requirement("core/process-execute-sync-document", "core/job-results-async-document")
    def test_the_document_of_a_job_is_that_of_the_answer(self):
        found = [self.json(answer, "results") for _, answer in self.answers(ECHO, response="document")]
        self.assertEqual(found[0], found[1])

    @requirement("core/job-results", "core/job-results-async-document")
    def test_a_job_that_did_not_say_gives_the_document(self):
        job = self.api.start("echo", {"echoInput": "lake"})
        self.assertEqual(self.json(self.results(job), "results")["echoInput"], "lake")

    @requirement("core/job-results", "core/job-results-async-document")
    def test_prefer_return_chooses_the_form(self):
        for prefer, media_type in [("respond-async;return=representation", "application/json"),
                                   ("respond-async, return=minimal", "multipart/related")]:
            with each(self, prefer=prefer):
                job = self.ok(self.api.execute("echo", ECHO, prefer), 201).json()["jobID"]
                self.assertEqual(self.results(job).media_type, media_type)

    @requirement("core/job-results")
    def test_files_of_a_document_are_items_with_an_asset_in_the_store(self):
        job = self.api.start(self.deployed("forms"), {"text": "water"})
        document = self.json(self.results(job), "results")
        self.assertEqual((document["text"], document["number"]), ("water", 0.5))
        item = document["file"]["value"]
        self.assertEqual(item["type"], "Feature")
        self.assertTrue(item["assets"]["data"]["href"].startswith("s3://"), item)

    @requirement("core/job-results")
    def test_one_output_of_a_job_has_a_url_of_its_own(self):
        job = self.api.start("echo", ECHO)
        self.api.wait(job)
        self.assertEqual(self.ok(self.api.get(f"/jobs/{job}/results/echoInput", Accept="*/*")).text, "lake")
        self.problem(self.api.get(f"/jobs/{job}/results/none"), 404)

    @requirement("core/job-results-success-sync")
    def test_a_synchronous_answer_links_to_nothing_that_clients_misread(self):
        """The standard asks for a link to the job if one was made for the client; official clients fail on any `Link`."""
        answer = self.ok(self.api.execute("echo", {"echoInput": "lake"}))
        self.assertIsNone(answer.headers["Link"], f"\n{answer}")

    @requirement("core/process-execute-sync-document")
    def test_null_is_a_value(self):
        answer = self.api.execute("echo", {"echoInput": "lake"}, response="document")
        self.assertIsNone(self.json(answer, "results")["arrayInput"])


class Collections(Case):
    @requirement("core/job-results", "core/job-results-async-document")
    def test_a_stac_catalog_is_a_collection_with_the_jobs_id_and_storage_fields(self):
        process = "water-bodies"
        answer = self.api.deploy(target.WATER_BODIES.read_bytes(), f"?w={process}")
        self.assertIn(answer.status, (201, 409), f"\n{answer}")
        job = self.api.start(process, target.water_bodies_inputs())
        self.api.wait(job)
        results = self.json(self.api.get(f"/jobs/{job}/results"), "results")
        collection = results["stac_catalog"]["value"]
        self.valid(collection, "collection")
        self.assertEqual(collection["id"], job)
        self.assertEqual({item["collection"] for item in collection["features"]}, {job})
        raw = self.api.start(process, target.water_bodies_inputs(), response="raw")
        self.api.wait(raw)
        answer = self.ok(self.api.get(f"/jobs/{raw}/results", Accept="*/*"))
        self.assertEqual(answer.media_type, "application/geo+json")
        self.assertEqual(answer.json()["id"], raw)
