"""Part 1, json, html and oas30: the forms in which everything is there."""
import html.parser
import re

import openapi_spec_validator

from harness import target
from harness.case import NO_SUCH_JOB, Case, each, rels
from harness.checklist import requirement

OPENAPI = "application/vnd.oai.openapi+json;version=3.0"
HREF = re.compile(r"""(?:src|href)\s*=\s*["']((?:https?:)?//[^"']*)""")


class Page(html.parser.HTMLParser):
    """Links, text, and elements that stay open."""

    VOID = {"meta", "link", "br", "hr", "img", "input", "col", "wbr"}

    def __init__(self, text):
        super().__init__()
        self.links, self.text, self.open, self.wrong = set(), "", [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "a":
            self.links.add(dict(attributes).get("href"))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        self.text += data


def shown_as(link):
    """Where a page's link may lead: the page of what the link names, the same in JSON, or a place on a page."""
    href = link["href"]
    if href.endswith("f=html"):
        href = href[:-len("f=html")].rstrip("?&/")
    in_json = href + ("&" if "?" in href else "?") + "f=json"
    return {link["href"], in_json, "#failure", href.removesuffix("/execution") + "#execute"}


class Documents(Case):
    def resources(self):
        """Every resource that is read, of every kind."""
        process = self.deployed("one")
        job = self.api.start("echo", {"echoInput": "lake"})
        self.api.wait(job)
        return ["", "/conformance", "/processes", f"/processes/{process}", "/processes/echo", "/jobs", f"/jobs/{job}",
                f"/jobs/{job}/results"]

    @requirement("json/definition")
    def test_every_resource_is_there_as_json(self):
        for path in self.resources():
            for accept, query in [("application/json", ""), ("*/*", ""), ("text/html", "?f=json"),
                                  ("text/html;q=0.1, application/json", "")]:
                with each(self, path=path, accept=accept, query=query):
                    self.json(self.api.get(path + query, Accept=accept))

    @requirement("json/definition")
    def test_a_type_that_is_not_there_is_not_acceptable(self):
        self.problem(self.api.get("/processes", Accept="image/png"), 406)
        self.problem(self.api.get("/processes?f=jsonld"), 400, None, "f")

    @requirement("html/definition")
    def test_every_resource_is_there_as_html(self):
        for path in self.resources():
            for accept, query in [("text/html", ""), ("application/json", "?f=html"),
                                  ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "")]:
                with each(self, path=path, accept=accept, query=query):
                    answer = self.ok(self.api.get(path + query, Accept=accept))
                    self.assertEqual(answer.headers["Content-Type"].lower(), "text/html; charset=utf-8")
                    self.assertTrue(answer.text.lower().startswith("<!doctype html>"), answer.text[:200])

    @requirement("html/content")
    def test_a_page_has_all_that_the_document_has_and_its_links(self):
        for path in self.resources():
            with each(self, path=path):
                document = self.json(self.api.get(path))
                text = self.ok(self.api.get(path, Accept="text/html")).text
                page = Page(text)
                self.assertEqual((page.wrong, page.open), ([], []), "elements that do not end where they should")
                for link in document.get("links", []):
                    self.assertTrue(shown_as(link) & page.links, f"{link} in {page.links}")
                for word in ["jobID", "status", "title", "version", "description"]:
                    if isinstance(document.get(word), str):
                        self.assertIn(document[word], page.text)
                own = (target.origin() + "/", "http://www.opengis.net/")
                outside = [href for href in HREF.findall(text) if not href.startswith(own)]
                self.assertEqual(outside, [], "a page that needs other servers")
                self.assertNotIn("<script", text.lower())

    @requirement("html/content")
    def test_what_users_wrote_is_text_and_no_markup(self):
        package = ("cwlVersion: v1.2\nclass: Workflow\nid: @@\nlabel: '<script>alert(1)</script>'\n"
                   "doc: '<img src=x onerror=alert(1)> \"quoted\" & more'\ninputs: {text: string}\n"
                   "outputs: {text: {type: string, outputSource: text}}\nsteps: {}\n")
        process = self.id_of(self.ok(self.api.deploy(package.replace("@@", "markup")), 201))
        job = self.api.start(process, {"text": "<b>\"'&"})
        self.api.wait(job)
        for path in ["/processes", f"/processes/{process}", f"/jobs/{job}", f"/jobs/{job}/results"]:
            text = self.ok(self.api.get(path, Accept="text/html")).text
            for markup in ["<script>alert", "<img src=x", "<b>"]:
                self.assertNotIn(markup, text, path)

    def id_of(self, answer):
        process = answer.json()["id"]
        self.addCleanup(self.api.delete, f"/processes/{process}")
        return process

    @requirement("oas30/oas-definition-1")
    def test_the_definition_is_there_as_openapi_and_as_a_page(self):
        landing = rels(self.json(self.api.get("/")))
        self.assertEqual(landing["service-desc"]["type"], OPENAPI)
        self.assertEqual(landing["service-doc"]["type"], "text/html")

    def definition(self):
        return self.ok(self.api.get("/api", Accept=OPENAPI)).json()

    @requirement("oas30/oas-definition-2")
    def test_the_definition_is_valid_openapi_3_0_and_self_contained(self):
        definition = self.definition()
        self.assertRegex(definition["openapi"], r"^3\.0\.\d$")
        openapi_spec_validator.validate(definition)
        references = re.findall(r"'\$ref': '([^']*)'", str(definition))
        self.assertEqual([href for href in references if not href.startswith("#/")], [])

    @requirement("oas30/oas-impl")
    def test_every_path_of_the_definition_is_answered(self):
        job = self.paused()
        values = {"processID": "echo", "jobID": job, "outputID": "echoInput", "file": "none.log"}
        for path, item in self.definition()["paths"].items():
            for method in set(item) & {"get", "head", "options"}:
                with each(self, path=path, method=method):
                    url = re.sub(r"\{(\w+)\}", lambda word: values.get(word[1], "none"), path)
                    answer = self.api.request(method.upper(), url, Accept="*/*")
                    self.assertIn(str(answer.status), item[method]["responses"], f"\n{answer}")

    @requirement("oas30/completeness", "oas30/exceptions-codes")
    def test_every_operation_documents_its_answers_and_exceptions(self):
        for path, item in self.definition()["paths"].items():
            for method in set(item) & {"get", "post", "put", "delete"}:
                with each(self, path=path, method=method):
                    operation = item[method]
                    self.assertTrue(operation.get("operationId") and operation.get("summary"))
                    codes = set(operation["responses"])
                    self.assertTrue(codes & {"200", "201", "204"})
                    if "{" in path:
                        self.assertIn("404", codes)
                    if "requestBody" in operation:
                        self.assertLessEqual({"400", "415"}, codes)

    @requirement("oas30/security")
    def test_the_definition_says_how_to_authenticate_if_one_must(self):
        definition = self.definition()
        schemes = definition.get("components", {}).get("securitySchemes", {})
        for needed in definition.get("security", []):
            self.assertLessEqual(set(needed), set(schemes))

    def test_exceptions_are_problem_documents_where_that_is_asked_for(self):
        for accept, media_type in [("application/json", "application/json"), ("*/*", "application/problem+json"),
                                   ("application/problem+json", "application/problem+json"),
                                   ("application/json, application/problem+json", "application/problem+json"),
                                   ("text/html", "text/html")]:
            with each(self, accept=accept):
                answer = self.api.get("/jobs/missing", Accept=accept)
                self.assertEqual(answer.status, 404)
                self.assertEqual(answer.media_type, media_type, f"\n{answer}")
                if answer.media_type.endswith("json"):
                    self.problem(answer, 404, NO_SUCH_JOB)
