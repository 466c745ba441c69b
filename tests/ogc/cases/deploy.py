"""Part 2: deploy, replace, undeploy, and what may be deployed."""
import json

import yaml

from harness import target
from harness.case import EXCEPTIONS, NO_SUCH_PROCESS, Case, each
from harness.checklist import requirement
from harness.client import ASYNC, fresh, package
from harness.scenes import Listener

DUPLICATED, IMMUTABLE = EXCEPTIONS + "2/1.0/duplicated-process", EXCEPTIONS + "2/1.0/immutable-process"
UNSUPPORTED, NO_WORKFLOW = EXCEPTIONS + "2/1.0/unsupported-media-type", EXCEPTIONS + "2/1.0/workflow-not-found"
APPLICATION = "application/ogcapppkg+json"
CWL_TYPES = ["application/cwl", "application/cwl+yaml", "application/cwl+json"]


class Deploy(Case):
    def sent(self, process, name="one", media_type="application/cwl", query="", later=True, **unit):
        """The answer to a deployment of packages/NAME.cwl."""
        if later:
            self.addCleanup(self.api.delete, f"/processes/{process}")
        return self.api.deploy(unit or package(name, process), query, APPLICATION if unit else media_type)

    @requirement("deploy-replace-undeploy/deploy-post-op", "deploy-replace-undeploy/deploy-body", "cwl/deploy-body",
                 "deploy-replace-undeploy/deploy-response-success", "deploy-replace-undeploy/deploy-response-body",
                 "deploy-replace-undeploy/deploy-response-pid")
    def test_a_package_becomes_the_process_that_it_names(self):
        process = fresh("deployed")
        answer = self.sent(process)
        summary = self.json(answer, "processSummary", 201)
        self.assertEqual(answer.headers.get_all("Location"), [f"{self.api.base}/processes/{process}"])
        self.assertEqual((summary["id"], summary["mutable"]), (process, True))
        self.assertFalse({"inputs", "outputs"} & set(summary))
        self.json(self.api.get(answer.headers["Location"]), "process")
        self.assertEqual(self.api.wait(self.api.start(process, {"text": "a"}))["processID"], process)

    @requirement("deploy-replace-undeploy/deploy-content-type", "cwl/deploy-body")
    def test_cwl_is_taken_as_yaml_and_as_json_under_each_of_its_types(self):
        for media_type in [*CWL_TYPES, "application/cwl; charset=utf-8"]:
            for is_json in [False, True]:
                with each(self, media_type=media_type, is_json=is_json):
                    process = fresh("typed")
                    text = package("one", process)
                    text = json.dumps(yaml.safe_load(text)) if is_json else text
                    self.addCleanup(self.api.delete, f"/processes/{process}")
                    answer = self.api.deploy(text, media_type=media_type)
                    self.assertIn(answer.status, (201,) if is_json or "json" not in media_type else (201, 400), f"\n{answer}")

    @requirement("deploy-replace-undeploy/deploy-unsupported-media-type", "deploy-replace-undeploy/replace-content-type")
    def test_other_types_are_unsupported_before_anything_else(self):
        process = self.deployed("one")
        for media_type in ["text/plain", "application/xml", None, "nonsense"]:
            with each(self, media_type=media_type):
                self.problem(self.api.post("/processes", "x", Content_Type=media_type), 415, UNSUPPORTED)
                self.problem(self.api.put(f"/processes/{process}", "x", Content_Type=media_type), 415, UNSUPPORTED)
                self.problem(self.api.put("/processes/null", "x", Content_Type=media_type), 415, UNSUPPORTED)

    @requirement("deploy-replace-undeploy/deploy-response-duplicate")
    def test_an_id_that_is_taken_is_a_duplicate_with_the_location_of_the_other(self):
        process = self.deployed("one")
        answer = self.sent(process)
        self.problem(answer, 409, DUPLICATED, process)
        self.assertEqual(answer.headers["Location"], f"{self.api.base}/processes/{process}")

    @requirement("deploy-replace-undeploy/deploy-response-immutable", "deploy-replace-undeploy/static-indicator")
    def test_a_built_in_process_may_not_be_deployed_over_replaced_or_undeployed(self):
        self.problem(self.sent("echo", later=False), 403, IMMUTABLE)
        self.problem(self.api.put("/processes/echo", package("one", "echo"), Content_Type="application/cwl"), 403, IMMUTABLE)
        self.problem(self.api.delete("/processes/echo"), 403, IMMUTABLE)

    @requirement("deploy-replace-undeploy/static-indicator")
    def test_every_process_says_whether_it_may_be_changed(self):
        process = self.deployed("one")

        def listed():
            summaries = self.json(self.api.get("/processes?limit=10000"), "processList")["processes"]
            mutable = {summary["id"]: summary["mutable"] for summary in summaries}
            self.assertEqual((mutable["echo"], mutable.get(process)), (False, True))
        self.soon(listed)

    @requirement("deploy-replace-undeploy/replace-put-op", "deploy-replace-undeploy/replace-body", "cwl/replace-body",
                 "deploy-replace-undeploy/replace-response", "ogcapppkg/replace-body")
    def test_a_replaced_process_is_the_new_one_and_its_jobs_go_on(self):
        process = self.deployed("ticks")
        job = self.dismissed_later(self.api.start(process, {"mark": "old", "ticks": 15}))
        answer = self.api.put(f"/processes/{process}", package("one", process), Content_Type="application/cwl")
        self.ok(answer, 204)
        self.assertEqual(answer.body, b"")
        self.soon(lambda: self.assertEqual(
            list(self.json(self.api.get(f"/processes/{process}"), "process")["inputs"]), ["text"]))
        unit = {"executionUnit": {"value": package("forms", process), "mediaType": "application/cwl"}}
        self.ok(self.api.put(f"/processes/{process}", unit, Content_Type=APPLICATION), 204)
        self.soon(lambda: self.assertIn("file", self.json(self.api.get(f"/processes/{process}"))["outputs"]))
        self.api.wait(job)

    @requirement("deploy-replace-undeploy/replace-response")
    def test_only_what_is_there_is_replaced_and_by_what_has_its_id(self):
        missing = fresh("missing")
        self.problem(self.api.put(f"/processes/{missing}", package("one", missing), Content_Type="application/cwl"),
                     404, NO_SUCH_PROCESS)
        process, other = self.deployed("one"), fresh("other")
        answer = self.api.put(f"/processes/{process}", package("one", other), Content_Type="application/cwl")
        self.assertIn(answer.status, (204, 400, 404), f"\n{answer}")
        self.problem(self.api.get(f"/processes/{other}"), 404, NO_SUCH_PROCESS)
        self.ok(self.api.get(f"/processes/{process}"))

    @requirement("deploy-replace-undeploy/undeploy-delete-op", "deploy-replace-undeploy/undeploy-response",
                 "deploy-replace-undeploy/undeploy-response-immutable")
    def test_an_undeployed_process_is_gone_and_its_jobs_go_on(self):
        process = self.deployed("ticks")
        job = self.dismissed_later(self.api.start(process, {"mark": "old", "ticks": 10}))
        answer = self.ok(self.api.delete(f"/processes/{process}"), 204)
        self.assertEqual(answer.body, b"")
        self.soon(lambda: self.problem(self.api.get(f"/processes/{process}"), 404, NO_SUCH_PROCESS))
        self.problem(self.api.delete(f"/processes/{process}"), 404, NO_SUCH_PROCESS)
        self.problem(self.api.execute(process, {"mark": "x"}, ASYNC), 404, NO_SUCH_PROCESS)
        self.api.wait(job)
        self.ok(self.sent(process), 201)

    @requirement("cwl/deploy-w-param", "cwl/deploy-exception-workflow-not-found")
    def test_w_names_the_entry_else_it_is_the_first_workflow(self):
        first, second = fresh("first"), fresh("second_one")
        workflows = [yaml.safe_load(package("one", name)) for name in (first, second)]
        for workflow in workflows:
            del workflow["cwlVersion"]
        text = json.dumps({"cwlVersion": "v1.2", "$graph": workflows})
        for query, process in [("", first), (f"?w={second}", second)]:
            with each(self, query=query):
                self.assertEqual(self.ok(self.api.deploy(text, query), 201).json()["id"], process)
                self.ok(self.api.delete(f"/processes/{process}"), 204)
        tolerated = self.ok(self.api.deploy(text, f"?w={second.replace('_', '-')}"), 201)
        self.assertEqual(tolerated.json()["id"], second)
        self.ok(self.api.delete(f"/processes/{second}"), 204)
        self.problem(self.api.deploy(text, "?w=none"), 400, NO_WORKFLOW, first, second)

    @requirement("cwl/deploy-body", "deploy-replace-undeploy/deploy-body")
    def test_a_package_with_mistakes_is_refused_with_line_and_column(self):
        right = package("one", fresh("wrong"))
        for wrong, words in [(right.replace("outputSource: text", "outputSource: txt"), [":7:", "txt"]),
                             (right.replace("type: string", "type: strin"), [":7:", "strin"]),
                             (right.replace("inputs: {", "inputs: ["), [":7:"]),
                             ("just text", ["1:1"]), ("", []), ("cwlVersion: v9\nclass: Workflow\n", ["1:", "v9"])]:
            with each(self, wrong=wrong):
                self.problem(self.api.deploy(wrong), 400, None, *words)

    @requirement("deploy-replace-undeploy/package-get-op", "deploy-replace-undeploy/package-response-success",
                 "deploy-replace-undeploy/package-response-body", "cwl/package-response-body")
    def test_a_package_is_given_back_as_it_was_deployed(self):
        process = fresh("given")
        self.ok(self.sent(process), 201)
        answer = self.ok(self.api.get(f"/processes/{process}/package", Accept="application/cwl"))
        self.assertEqual((answer.media_type, answer.text), ("application/cwl", package("one", process)))
        answer = self.ok(self.api.get(f"/processes/{process}/package", Accept="application/cwl+json"))
        self.assertEqual(answer.media_type, "application/cwl+json")
        self.assertEqual(answer.json(), yaml.safe_load(package("one", process)))
        self.problem(self.api.get(f"/processes/{process}/package", Accept="image/png"), 406)
        self.problem(self.api.get(f"/processes/{fresh('missing')}/package"), 404, NO_SUCH_PROCESS)

    @requirement("ogcapppkg/package-response-body")
    def test_an_application_package_is_given_back_as_one(self):
        process = fresh("given")
        sent = {"executionUnit": {"value": package("one", process), "mediaType": "application/cwl"}}
        self.ok(self.sent(process, **sent), 201)
        answer = self.ok(self.api.get(f"/processes/{process}/package", Accept=APPLICATION))
        self.assertEqual((answer.media_type, answer.json()), (APPLICATION, sent))

    @requirement("ogcapppkg/schema", "ogcapppkg/deploy-body", "ogcapppkg/execution-unit", "cwl/execution-unit")
    def test_an_execution_unit_is_a_value_a_link_or_a_list_of_them(self):
        name = fresh("unit")
        text = package("one", name)
        document = yaml.safe_load(text)
        with Listener(target.reached_at(), documents={"/app.cwl": ("application/cwl", text.encode())}) as listener:
            link = {"href": f"{listener.url}/app.cwl", "type": "application/cwl"}
            for unit in [{"value": text, "mediaType": "application/cwl"}, {"value": text, "format": {"mediaType": "application/cwl"}},
                         {"value": document, "mediaType": "application/cwl+json"}, link, [link],
                         [{"value": text, "mediaType": "application/cwl"}]]:
                with each(self, unit=unit):
                    self.assertEqual(self.ok(self.sent(name, executionUnit=unit), 201).json()["id"], name)
                    self.api.wait(self.api.start(name, {"text": "a"}))
                    self.ok(self.api.delete(f"/processes/{name}"), 204)
            self.problem(self.sent(name, executionUnit={"href": f"{listener.url}/none.cwl"}), 400, None, "none.cwl")
        for wrong in [{}, {"executionUnit": 5}, {"executionUnit": []}, {"executionUnit": {"value": text, "mediaType": "text/plain"}}]:
            with each(self, wrong=wrong):
                self.problem(self.api.deploy(wrong, media_type=APPLICATION), 400, None, "executionUnit")

    @requirement("ogcapppkg/process-description", "deploy-replace-undeploy/deploy-response-pid")
    def test_a_process_description_corrects_what_the_package_says(self):
        text = package("one", fresh("within"))
        for wrap in [lambda described: described, lambda described: {"process": described}]:
            process = fresh("described")
            described = {"id": process, "version": "7.0", "title": "Corrected", "inputs": {}, "outputs": {}}
            unit = {"value": text, "mediaType": "application/cwl"}
            summary = self.ok(self.sent(process, processDescription=wrap(described), executionUnit=unit), 201).json()
            self.assertEqual((summary["id"], summary["version"], summary["title"]), (process, "7.0", "Corrected"))
            self.assertEqual(list(self.json(self.api.get(f"/processes/{process}"), "process")["inputs"]), ["text"])

    @requirement("docker/execution-unit", "docker/deploy-body", "docker/replace-body", "ogcapppkg/profile-docker")
    def test_a_container_becomes_a_process(self):
        process = fresh("container")
        text = (target.PACKAGES / "container.json").read_text().replace("@PROCESS@", process)
        document = json.loads(text)
        for profile in [{}, {"deploymentProfile": "http://www.opengis.net/profiles/eoc/dockerizedApplication"}]:
            for unit in [document["executionUnit"], [document["executionUnit"]],
                         {"type": "docker", "image": "docker://localhost/busybox:1"}]:
                with each(self, profile=profile, unit=unit):
                    sent = document | {"executionUnit": unit} | profile
                    self.ok(self.sent(process, **sent), 201)
                    described = self.json(self.api.get(f"/processes/{process}"), "process")
                    self.assertEqual((described["title"], list(described["inputs"])), ("A container", ["text"]))
                    self.ok(self.api.put(f"/processes/{process}", sent, Content_Type=APPLICATION), 204)
                    self.ok(self.api.delete(f"/processes/{process}"), 204)

    def test_ids_that_are_no_names_for_kubernetes_work(self):
        for process in [f"Water_Bodies.{fresh('v1')}:Main", "x" * 200 + fresh("long")]:
            with each(self, process=process):
                self.ok(self.sent(process), 201)
                self.api.wait(self.api.start(process, {"text": "a"}))
        for process in ["a,b", "a;b", "$q$", "a b"]:
            with each(self, process=process):
                self.assertEqual(self.sent(f'"{process}"', later=False).status, 400)
