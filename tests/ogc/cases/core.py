"""Part 1, core: what is read before anything is executed."""
import http.client
import urllib.parse

from harness import target
from harness.case import NO_SUCH_PROCESS, Case, each, rels
from harness.checklist import requirement
from harness.client import ASYNC

OGC = "http://www.opengis.net/def/rel/ogc/1.0/"
CLASSES = {
    1: ["core", "ogc-process-description", "json", "html", "oas30", "job-list", "callback", "dismiss"],
    2: ["deploy-replace-undeploy", "ogcapppkg", "docker", "cwl"],
}


class Core(Case):
    @requirement("core/http")
    def test_the_server_speaks_http_1_1_with_connections_that_stay(self):
        parts = urllib.parse.urlsplit(target.base())
        connection = http.client.HTTPConnection(parts.netloc, timeout=20)
        for _ in range(3):
            connection.request("GET", parts.path + "/conformance")
            response = connection.getresponse()
            self.assertEqual((response.version, response.status), (11, 200))
            response.read()
            self.assertIsNotNone(connection.sock, "the connection was closed")
        connection.close()

    @requirement("core/landingpage-op", "core/landingpage-success")
    def test_the_landing_page_leads_to_everything_with_and_without_slash(self):
        for path in ["", "/"]:
            with each(self, path=path):
                document = self.json(self.api.get(path), "landing")
                found = rels(document)
                self.assertIn("service-desc", found)
                for rel, end in [("conformance", "/conformance"), ("processes", "/processes"), ("job-list", "/jobs")]:
                    self.assertEqual(found[OGC + rel]["href"], self.api.base + end)
                for link in document["links"]:
                    if link["href"].startswith(self.api.base):
                        self.ok(self.api.get(link["href"], Accept=link.get("type", "*/*")))

    @requirement("core/landingpage-op")
    def test_every_resource_answers_with_and_without_slash(self):
        for path in ["/conformance", "/processes", "/processes/echo", "/jobs"]:
            with each(self, path=path):
                self.assertEqual(self.ok(self.api.get(path)).json().keys(), self.ok(self.api.get(path + "/")).json().keys())

    @requirement("core/api-definition-op", "core/api-definition-success")
    def test_the_linked_api_definitions_are_there(self):
        links = self.json(self.api.get("/"))["links"]
        definitions = [link for link in links if link["rel"] in ("service-desc", "service-doc")]
        self.assertEqual({link["rel"] for link in definitions}, {"service-desc", "service-doc"})
        for link in definitions:
            answer = self.ok(self.api.get(link["href"], Accept=link["type"]))
            self.assertEqual(answer.media_type, link["type"].split(";")[0])

    @requirement("core/conformance-op", "core/conformance-success")
    def test_the_declaration_names_every_class_that_is_implemented(self):
        declared = self.json(self.api.get("/conformance"), "conformance")["conformsTo"]
        for part, classes in CLASSES.items():
            for name in classes:
                self.assertIn(f"http://www.opengis.net/spec/ogcapi-processes-{part}/1.0/conf/{name}", declared)

    @requirement("core/process-list", "core/process-list-success")
    def test_the_list_of_processes_has_those_that_are_deployed_and_the_built_in_one(self):
        process = self.deployed("one")

        def listed():
            document = self.json(self.api.get("/processes?limit=10000"), "processList")
            ids = [summary["id"] for summary in document["processes"]]
            self.assertIn(process, ids)
            return document, ids
        document, ids = self.soon(listed)
        self.assertIn("echo", ids)
        self.assertEqual(len(ids), len(set(ids)))
        for summary in document["processes"]:
            self.assertNotIn("inputs", summary)
            self.assertEqual(rels(summary)["self"]["href"], f"{self.api.base}/processes/{summary['id']}")

    @requirement("core/pl-limit-definition", "core/pl-limit-response")
    def test_a_list_of_processes_is_never_longer_than_its_limit(self):
        for _ in range(11):
            process = self.deployed("one")
        self.everywhere(lambda: self.assertIn(process, self.api.get("/processes?limit=10000").text))
        for query, most in [("", 10), ("?limit=1", 1), ("?limit=3", 3), ("?limit=10000", 10_000)]:
            with each(self, query=query):
                found = self.json(self.api.get("/processes" + query), "processList")["processes"]
                self.assertLessEqual(len(found), most)
                self.assertGreaterEqual(len(found), min(most, 11))

    @requirement("core/pl-limit-definition")
    def test_a_limit_out_of_bounds_is_refused_with_its_name(self):
        for path in ["/processes", "/jobs"]:
            for limit in ["0", "-1", "10001", "x", "", "1.5", "99999999999999999999"]:
                with each(self, path=path, limit=limit):
                    self.problem(self.api.get(f"{path}?limit={limit}"), 400, None, "limit")

    @requirement("core/pl-links")
    def test_pages_of_processes_are_linked_and_show_each_once(self):
        made = {self.deployed("one") for _ in range(4)}

        def listed():
            text = self.api.get("/processes?limit=10000").text
            self.assertEqual([process for process in made if process not in text], [])
        self.everywhere(listed)
        first = self.json(self.api.get("/processes?limit=2"), "processList")
        self.assertEqual(rels(first)["self"]["href"], f"{self.api.base}/processes?limit=2")
        self.assertEqual(rels(first)["alternate"]["type"], "text/html")
        self.assertNotIn("prev", rels(first))
        seen, page = [], first
        for _ in range(100):
            seen += [summary["id"] for summary in page["processes"]]
            if "next" not in rels(page):
                break
            page = self.json(self.api.get(rels(page)["next"]["href"]), "processList")
            self.assertIn("prev", rels(page))
        self.assertEqual(len(seen), len(set(seen)))
        self.assertLessEqual(made | {"echo"}, set(seen))

    @requirement("core/process", "core/process-success")
    def test_a_process_is_described_with_links_to_itself_its_jobs_and_its_execution(self):
        for process in ["echo", self.deployed("forms")]:
            with each(self, process=process):
                document = self.json(self.api.get(f"/processes/{process}"), "process")
                self.assertEqual(document["id"], process)
                self.assertEqual(rels(document)["self"]["href"], f"{self.api.base}/processes/{process}")
                self.assertEqual(rels(document)[OGC + "execute"]["href"], f"{self.api.base}/processes/{process}/execution")

    @requirement("core/process-exception/no-such-process")
    def test_a_process_that_is_not_there_is_no_such_process(self):
        for name in ["missing", "not%20a%20name", "..%2Fecho", "%00", "%C3%A4", "x" * 300]:
            with each(self, name=name):
                self.problem(self.api.get(f"/processes/{name}"), 404, NO_SUCH_PROCESS)
                self.problem(self.api.execute(name, {}), 404, NO_SUCH_PROCESS)

    @requirement("core/test-process")
    def test_echo_is_there_to_be_tested_with(self):
        document = self.json(self.api.get("/processes/echo"), "process")
        self.assertIs(document["mutable"], False)
        self.assertLessEqual({"sync-execute", "async-execute", "dismiss"}, set(document["jobControlOptions"]))
        self.assertEqual(next(iter(document["inputs"])), next(iter(document["outputs"])))
        for name in ["echoInput", "arrayInput", "bboxInput", "mixedInput", "imageInput", "pause"]:
            self.assertIn(name, document["inputs"])

    def test_methods_that_a_resource_does_not_have_are_refused_with_those_it_has(self):
        for method, path in [("PATCH", "/processes"), ("DELETE", "/conformance"), ("PUT", "/jobs"), ("POST", "/"),
                             ("GET", "/processes/echo/execution")]:
            with each(self, method=method, path=path):
                answer = self.api.request(method, path)
                self.problem(answer, 405)
                self.assertTrue(answer.headers["Allow"], f"\n{answer}")

    def test_head_is_get_without_body(self):
        for path in ["", "/conformance", "/processes", "/processes/echo", "/jobs", "/api"]:
            with each(self, path=path):
                head, get = self.api.request("HEAD", path), self.api.get(path)
                self.assertEqual((head.status, head.body), (200, b""))
                self.assertEqual(head.media_type, get.media_type)

    def preflight(self, origin):
        """What a browser is told before a script of this origin executes a process."""
        answer = self.api.request("OPTIONS", "/processes/echo/execution", Origin=origin,
                                  Access_Control_Request_Method="POST", Access_Control_Request_Headers="content-type,prefer")
        self.assertIn(answer.status, (200, 204), f"\n{answer}")
        return answer

    def test_scripts_of_an_allowed_page_may_execute_and_read_the_location(self):
        origin = target.allowed_origin()
        if origin is None:
            self.skipTest("no page is known to be allowed")
        answer = self.preflight(origin)
        self.assertEqual(answer.headers["Access-Control-Allow-Origin"], origin, f"\n{answer}")
        self.assertIn("POST", answer.headers["Access-Control-Allow-Methods"], f"\n{answer}")
        for name in ["content-type", "prefer"]:
            self.assertIn(name, answer.headers["Access-Control-Allow-Headers"].lower(), f"\n{answer}")
        answer = self.api.post("/processes/echo/execution", {"inputs": {"echoInput": "x"}}, Prefer=ASYNC, Origin=origin)
        self.ok(answer, 201)
        self.assertEqual(answer.headers["Access-Control-Allow-Origin"], origin, f"\n{answer}")
        self.assertIn("location", answer.headers["Access-Control-Expose-Headers"].lower(), f"\n{answer}")

    def test_scripts_of_another_page_may_do_nothing(self):
        origin = "http://other.example"
        answers = [self.preflight(origin), self.api.get("/processes", Origin=origin),
                   self.api.post("/processes/echo/execution", {"inputs": {"echoInput": "x"}}, Origin=origin)]
        for answer in answers:
            self.assertIsNone(answer.headers["Access-Control-Allow-Origin"], f"\n{answer}")
        self.problem(answers[-1], 403, None, "another site")
