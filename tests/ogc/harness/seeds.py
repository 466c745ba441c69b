"""Compares an answer that seeds.sh got with what the seeds show: seeds.py NAME FOLDER BASE [JOB]."""
import email.parser
import json
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from harness import schemas  # noqa: E402

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
LOGS = {"node_crop.log", "node_crop_2.log", "node_crop_3.log", "node_crop_4.log", "node_normalized_difference.log",
        "node_normalized_difference_2.log", "node_otsu.log", "node_otsu_2.log", "node_stac.log", "node_stage_out.log"}
SCENES = {"L7_OLINDA_NORTH": [179, 290], "L7_OLINDA_SOUTH": [159, 290]}
JSON = "application/json"


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


def same(found, expected, what):
    expect(found == expected, f"{what}: {found!r} instead of {expected!r}")


class Seen:
    """An answer of curl's, and what it is about."""

    def __init__(self, folder, name, base, job):
        head = (folder / f"{name}.headers").read_text()
        first, _, rest = head.partition("\n")
        self.status, self.headers = int(first.split()[1]), email.parser.Parser().parsestr(rest)
        self.body = (folder / f"{name}.body").read_text()
        self.base, self.job = base, job
        self.tenant_url = base.rsplit("/", 1)[0]

    def json(self, status, schema):
        same(self.status, status, f"status of {self.body[:500]}")
        same(self.headers["content-type"].split(";")[0], JSON, "content-type")
        document = json.loads(self.body)
        same(schemas.mistakes(document, schema), [], f"as a {schema}")
        return document

    def monitor(self, job):
        return {"title": "Status location", "rel": "monitor", "type": JSON, "href": f"{self.base}/jobs/{job}"}


def deploy(seen):
    summary = seen.json(201, "processSummary")
    same(summary["id"], "water-bodies", "id")
    same(seen.headers["location"], f"{seen.base}/processes/water-bodies", "location")


def process(seen):
    document = seen.json(200, "process")
    same(list(document["inputs"]), ["stac_items", "aoi", "epsg", "bands"], "inputs")
    same(list(document["outputs"]), ["stac_catalog"], "outputs")


def execute(seen):
    status = seen.json(201, "statusInfo")
    job = status["jobID"]
    expect(UUID.fullmatch(job), f"jobID {job} is no UUID")
    same((status["id"], status["type"], status["processID"]), (job, "process", "water-bodies"), "ids")
    expect(status["status"] in ("accepted", "running"), f"status: {status['status']}")
    expect("started" in status or status["status"] == "accepted", "running without `started`")
    expect(status.get("message"), "message")
    expect(seen.monitor(job) in status["links"], f"links: {status['links']}")
    same(seen.headers["location"], f"{seen.base}/jobs/{job}", "location")
    same(seen.headers["preference-applied"], "respond-async;return=representation", "preference-applied")


def running(seen):
    status = seen.json(200, "statusInfo")
    same((status["jobID"], status["processID"]), (seen.job, "water-bodies"), "ids")
    expect(status["status"] in ("accepted", "running", "successful"), f"status: {status['status']}")
    expect("progress" in status or status["status"] != "running", "running without `progress`")
    expect(status.get("message") and status["updated"] >= status["created"], f"message, updated: {status}")
    expect(seen.monitor(seen.job) in status["links"], f"links: {status['links']}")


def successful(seen):
    status = seen.json(200, "statusInfo")
    same((status["jobID"], status["status"]), (seen.job, "successful"), f"the job {status}")
    expect(status["created"] <= status["started"] <= status["finished"] <= status["updated"], f"times: {status}")
    expect(status.get("message"), "message")
    links = status["links"]
    same(links[0], seen.monitor(seen.job), "the first link")
    same(links[1], {"title": "Result location", "rel": "http://www.opengis.net/def/rel/ogc/1.0/results", "type": JSON,
                    "href": f"{seen.base}/jobs/{seen.job}/results"}, "the second link")
    place = f"{seen.tenant_url}/temp/water-bodies-{seen.job}/"
    logs = {link["href"].removeprefix(place): link for link in links if link["rel"] == "related"}
    same({name for name in logs if name.endswith(".log")}, LOGS, "logs")
    expect("usage.json" in logs, f"no usage.json: {list(logs)}")
    for name, link in logs.items():
        if name.endswith(".log"):
            same((link["title"], link["type"]), (f"Tool log {name}", "text/plain"), name)


def log(seen):
    same(seen.status, 200, f"status of {seen.body[:500]}")
    expect(seen.headers["content-type"].split(";")[0] in ("text/plain", JSON), seen.headers["content-type"])
    if seen.headers["content-type"].startswith(JSON):
        usage = json.loads(seen.body)
        same((usage["total_tasks"], len(usage["children"])), (10, 10), "tasks")
        for key in ["cores_allowed", "ram_mb_allowed", "total_cpu_hours", "max_parallel_tasks", "elapsed_seconds"]:
            expect(key in usage, f"usage.json without {key}")
    return seen.body.partition("\n")[0][:120]


def results(seen):
    document = seen.json(200, "results")
    same(list(document), ["stac_catalog"], "outputs")
    same(list(document["stac_catalog"]), ["value"], "form")
    collection = document["stac_catalog"]["value"]
    same(schemas.mistakes(collection, "collection"), [], "as a collection")
    same(list(collection), ["type", "features", "id"], "keys")
    same(collection["id"], seen.job, "id")
    same({item["id"]: item["properties"]["proj:shape"] for item in collection["features"]}, SCENES, "scenes")
    for item in collection["features"]:
        place = f"s3://results/{seen.job}/{seen.job}"
        same(item["collection"], seen.job, "collection")
        same([(link["rel"], link["type"]) for link in item["links"]],
             [("collection", JSON), ("root", JSON), ("self", JSON), ("parent", JSON)], "links of an item")
        hrefs = [link["href"] for link in item["links"]]
        same(hrefs, [f"{place}/collection.json", f"s3://results/{seen.job}/catalog.json",
                     f"{place}/{item['id']}/{item['id']}.json", f"{place}/collection.json"], "hrefs")
        titles = {link.get("title") for link in item["links"] if link["rel"] in ("collection", "parent")}
        same(titles, {"Processing results"}, "titles")
        for key in ["proj:epsg", "proj:geometry", "proj:bbox", "proj:shape", "proj:transform", "datetime"]:
            expect(key in item["properties"], f"properties without {key}")
        same(len(item["properties"]["proj:transform"]), 9, "proj:transform")
        asset = item["assets"]["data"]
        same(asset["href"], f"{place}/{item['id']}/otsu.tif", "href of the mask")
        same((asset["type"], asset["roles"]), ("image/tiff; application=geotiff", ["data", "visual"]), "asset")
        same(list(asset)[-1], "roles", "the last key of an asset")
        expect("storage:endpoint" in asset and "raster:bands" in asset, f"asset: {asset}")


def dismiss(seen):
    status = seen.json(200, "statusInfo")
    same((status["jobID"], status["status"], status["type"], status["processID"]),
         (seen.job, "dismissed", "process", "water-bodies"), "the job")
    expect(status.get("message"), "message")
    same(status["links"], [{"title": "The job list for the current process", "rel": "parent", "type": JSON,
                            "href": f"{seen.base}/jobs"}], "links")
    for key in ["created", "started", "finished", "updated"]:
        expect(key in status, f"no `{key}`")


def gone(seen):
    document = seen.json(404, "exception")
    same(document["type"], "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/no-such-job", "type")


if __name__ == "__main__":
    name, folder, base, job = (sys.argv + [""])[1:5]
    seen = Seen(pathlib.Path(folder), name, base.rstrip("/"), job)
    try:
        said = globals()[name](seen)
    except (AssertionError, KeyError) as error:
        sys.exit(f"{name}: {error!r}\n{seen.body[:1000]}")
    print(f"{name}: {seen.status} {said or ''}")
