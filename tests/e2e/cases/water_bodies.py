"""The main job, on the scenes of Olinda."""
import hashlib
import json
import os
import pathlib
import tempfile

from harness import jobs, scenes
from harness.api import collection
from harness.case import FIRST, case, expect
from harness.namespace import Namespace
from harness.program import ROOT, kubectl, run
from harness.s3 import Store

LOGS = {
    "node_crop.log", "node_crop_2.log", "node_crop_3.log", "node_crop_4.log", "node_normalized_difference.log",
    "node_normalized_difference_2.log", "node_otsu.log", "node_otsu_2.log", "node_stac.log", "node_stage_out.log",
}

SCENES = ("L7_OLINDA_NORTH", "L7_OLINDA_SOUTH")


def olinda():
    """manifests/water-bodies/job.yaml, with the address at which this cluster finds the scenes."""
    address = scenes.url()
    job = jobs.manifest("water-bodies/job.yaml")
    items = job["spec"]["inputs"]["stac_items"]
    job["spec"]["inputs"]["stac_items"] = [item.replace(scenes.DATA_URL, address) for item in items]
    return job


def masks_of_demo():
    """SHA-256 of each scene's mask, as `weir demo` makes it on this machine."""
    program = os.environ.get("WEIR_BIN")
    if not program:
        run("cargo", "build", "--locked", "--quiet", "--bin", "weir", seconds=3600)
        program = pathlib.Path(os.environ["CARGO_TARGET_DIR"], "debug", "weir")
    with tempfile.TemporaryDirectory() as folder:
        results = pathlib.Path(folder, "results")
        run("env", f"--chdir={folder}", program, "demo", "--stage-out", results, "--json")
        return {path.parent.name: digest(path.read_bytes()) for path in results.rglob("otsu.tif")}


def digest(data):
    return hashlib.sha256(data).hexdigest()


@case(FIRST)
def water_bodies(api):
    """Ten pods on two nodes, ten logs, masks identical to `weir demo`'s, and no authority beside any tool."""
    with Namespace(api, "weir-e2e-olinda") as namespace, jobs.PodRecorder(api, namespace) as recorder:
        job = olinda()
        kubectl("--namespace", namespace, "apply", "--filename", ROOT / "manifests" / "water-bodies" / "process.yaml")
        jobs.create(api, namespace, job)
        done = jobs.succeed(api, namespace, "olinda")
        status = done["status"]
        expect(status["stepCount"] == "10/10", f"steps: {status['stepCount']}")
        expect(status["progress"] == 100, f"progress: {status['progress']}")
        with Store(api) as store:
            check_results(store, status["results"]["stac_catalog"])
            run_id = done["metadata"]["annotations"]["weir.dev/run-id"]
            prefix = f"{namespace}/jobs/{run_id}/logs/"
            # `<log>.<incarnation>.log`: one for each tool that ran.
            logs = [key.removeprefix(prefix).rsplit(".", 2) for key in store.keys("weir", prefix)]
            expect({f"{name}.log" for name, _, _ in logs} == LOGS and len(logs) == 10, f"logs: {sorted(logs)}")
        check_pods(api, namespace, recorder.of_job("olinda"), {number for _, number, _ in logs})


def check_pods(api, namespace, pods, ran):
    """`ran`: the incarnations whose tool ran. Other pods were made ahead of their step and given up for want of room."""
    names = [pod["metadata"]["name"] for pod in pods if pod["metadata"]["labels"]["weir.dev/incarnation"] in ran]
    expect(len(names) == 10, f"{len(names)} pods with a log: {names}")
    nodes = {pod["spec"]["nodeName"] for pod in pods if pod["metadata"]["name"] in names}
    expect(len(nodes) == min(2, len(api.get("/api/v1/nodes")["items"])), f"all pods ran on {nodes}")
    expect(not api.get(collection("persistentvolumeclaims", namespace))["items"], "there are volume claims")
    for pod in pods:
        check_authority(pod)


def check_authority(pod):
    """Only the agent's container has a token, good for nothing else; no container has a Secret."""
    name, spec = pod["metadata"]["name"], pod["spec"]
    expect(spec["automountServiceAccountToken"] is False, f"{name}: the service account's token is mounted")
    tokens = set()
    for volume in spec.get("volumes", []):
        kind = set(volume) - {"name"}
        expect(kind <= {"emptyDir", "projected"}, f"{name}: volume {volume['name']} is {kind}")
        for source in volume.get("projected", {}).get("sources", []):
            expect(set(source) == {"serviceAccountToken"}, f"{name}: {volume['name']} projects {set(source)}")
            expect(source["serviceAccountToken"]["audience"] == "weir-agent", f"{name}: a token for somebody else")
            tokens.add(volume["name"])
    for container in spec["containers"] + spec.get("initContainers", []):
        where = f"{name}, container {container['name']}"
        expect(not container.get("envFrom"), f"{where}: envFrom")
        for variable in container.get("env", []):
            source = set(variable.get("valueFrom", {}))
            expect(source <= {"fieldRef", "resourceFieldRef"}, f"{where}: {variable['name']} comes from {source}")
            expect(not variable["name"].startswith("AWS_"), f"{where}: {variable['name']}")
        has_token = {mount["name"] for mount in container.get("volumeMounts", [])} & tokens
        expect(bool(has_token) == (container["name"] == "agent"), f"{where}: token {has_token}")


def check_results(store, url):
    """The catalog as the seeds show it, and the masks."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    result_id = key.removesuffix("/catalog.json")
    catalog = json.loads(store.get(bucket, key))
    expect(catalog["type"] == "Catalog", f"catalog: {catalog}")
    collected = json.loads(store.get(bucket, f"{result_id}/{result_id}/collection.json"))
    expect(collected["id"] == result_id, f"collection: {collected}")
    expected = masks_of_demo()
    expect(set(expected) == set(SCENES), f"weir demo made {expected}")
    for scene in SCENES:
        place = f"{result_id}/{result_id}/{scene}"
        item = json.loads(store.get(bucket, f"{place}/{scene}.json"))
        expect(item["id"] == scene, f"item: {item}")
        expect(digest(store.get(bucket, f"{place}/otsu.tif")) == expected[scene], f"{scene}: the mask differs from weir demo's")
