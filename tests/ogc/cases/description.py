"""Part 1, ogc-process-description: what is derived from CWL."""
from harness import target
from harness.case import Case, each
from harness.checklist import requirement

TYPES = {
    "text": {"type": "string"}, "small": {"type": "integer", "format": "int32"},
    "large": {"type": "integer", "format": "int64"}, "single": {"type": "number", "format": "float"},
    "double": {"type": "number", "format": "double"}, "flag": {"type": "boolean"},
    "colour": {"type": "string", "enum": ["red", "green"]}, "several": {"type": "array", "items": {"type": "string"}},
    "off": {"type": "boolean", "default": False},
}


class Descriptions(Case):
    @requirement("ogc-process-description/json-encoding")
    def test_every_process_is_described_in_the_standards_form(self):
        for name in ["types", "forms", "ticks", "fails"]:
            self.deployed(name)
        for summary in self.json(self.api.get("/processes?limit=10000"), "processList")["processes"]:
            with each(self, process=summary["id"]):
                document = self.json(self.api.get(f"/processes/{summary['id']}"), "process")
                for key in set(summary) - {"links"}:
                    self.assertEqual(document[key], summary[key])

    @requirement("ogc-process-description/inputs-def", "ogc-process-description/input-def")
    def test_inputs_are_described_by_their_types(self):
        inputs = self.json(self.api.get(f"/processes/{self.deployed('types')}"), "process")["inputs"]
        for name, schema in TYPES.items():
            with each(self, name=name):
                self.assertLessEqual(schema.items(), inputs[name]["schema"].items())
        self.assertEqual((inputs["text"]["title"], inputs["text"]["description"]), ("A text", "Any text"))
        point = inputs["point"]["schema"]
        self.assertEqual((point["type"], sorted(point["required"])), ("object", ["x", "y"]))
        self.assertEqual({branch["type"] for branch in inputs["either"]["schema"]["oneOf"]}, {"integer", "string"})

    @requirement("ogc-process-description/input-def")
    def test_an_input_must_be_there_unless_it_is_optional_or_has_a_default(self):
        inputs = self.json(self.api.get(f"/processes/{self.deployed('types')}"))["inputs"]
        least = {name: described.get("minOccurs", 1) for name, described in inputs.items()}
        self.assertEqual({name for name, number in least.items() if number == 0}, {"optional", "chosen", "off"})
        self.assertEqual(inputs["chosen"]["schema"]["default"], 0)

    @requirement("ogc-process-description/outputs-def", "ogc-process-description/output-def")
    def test_outputs_are_described_by_their_types(self):
        outputs = self.json(self.api.get(f"/processes/{self.deployed('types')}"), "process")["outputs"]
        for name in ["text", "large", "double", "flag", "several"]:
            with each(self, name=name):
                self.assertLessEqual(TYPES[name].items(), outputs[name]["schema"].items())

    @requirement("ogc-process-description/input-mixed-type", "ogc-process-description/output-mixed-type")
    def test_mixed_types_are_alternatives_the_default_first(self):
        echo = self.json(self.api.get("/processes/echo"), "process")
        for described in [echo["inputs"]["mixedInput"], echo["outputs"]["mixedInput"]]:
            self.assertEqual([branch["type"] for branch in described["schema"]["oneOf"]], ["string", "object"])
        forms = self.json(self.api.get(f"/processes/{self.deployed('types')}"))
        self.assertIn("oneOf", forms["inputs"]["file"]["schema"])

    @requirement("ogc-process-description/input-binary")
    def test_binary_inputs_name_their_media_types(self):
        schema = self.json(self.api.get("/processes/echo"))["inputs"]["imageInput"]["schema"]
        for branch in schema["oneOf"]:
            self.assertEqual((branch["type"], branch["contentEncoding"]), ("string", "binary"))
            self.assertTrue(branch["contentMediaType"].startswith("image/"))

    def test_water_bodies_is_described_as_its_package_says(self):
        answer = self.api.deploy(target.WATER_BODIES.read_bytes(), "?w=water-bodies")
        self.assertIn(answer.status, (201, 409), f"\n{answer}")
        document = self.json(self.api.get("/processes/water-bodies"), "process")
        self.assertEqual((document["title"], document["version"]), ("Water bodies", "1.0.0"))
        self.assertEqual(set(document["inputs"]), {"stac_items", "aoi", "epsg", "bands"})
        self.assertEqual(document["inputs"]["bands"]["schema"]["default"], ["green", "nir"])
        self.assertEqual(set(document["outputs"]), {"stac_catalog"})
        self.assertIs(document["mutable"], True)
        self.assertIn("async-execute", document["jobControlOptions"])
