"""The Python walkthrough of the seeds, cell by cell to the last, on the scenes of Olinda.

    tests/ogc/notebook.py BASE

What is printed is what the notebook prints. Beyond it, the masks are compared with those of `weir demo` (WEIR_BIN).
"""
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from pprint import pprint
from urllib.parse import urlparse

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from harness import aliases, target  # noqa: E402, F401
from harness.client import Client  # noqa: E402

import boto3  # noqa: E402
import rasterio  # noqa: E402
from fs_s3fs import S3FS  # noqa: E402
from loguru import logger  # noqa: E402
from ogc_api_client.api_client import Configuration  # noqa: E402
from ogc_api_client.api_client_wrapper import ApiClientWrapper  # noqa: E402
from ogc_api_client.models.status_info import StatusCode, StatusInfo  # noqa: E402
from pystac.item_collection import ItemCollection  # noqa: E402

SHAPES = {"L7_OLINDA_NORTH": (179, 290), "L7_OLINDA_SOUTH": (159, 290)}
ogc_api_endpoint = target.base()
process_id = "water-bodies"
started = time.monotonic()


def expect(condition, what):
    if not condition:
        sys.exit(f"notebook: {what}")


def cell(title):
    print(f"\n# {title} ({time.monotonic() - started:.1f} s)")


deployed = Client().deploy(target.WATER_BODIES.read_bytes(), f"?w={process_id}")
expect(deployed.status in (201, 409), deployed)

cell("Define the input data for the execution")
data = {"inputs": target.water_bodies_inputs()}

cell("Configure the client")
client = ApiClientWrapper(configuration=Configuration(host=ogc_api_endpoint))
headers = {"accept": "*/*", "Prefer": "respond-async;return=representation", "Content-Type": "application/json"}

cell("Submit")
content = client.execute_simple(process_id=process_id, execute=data, _headers=headers)
pprint(content)
expect(isinstance(content, StatusInfo), f"the answer is a {type(content)}")
job_id = content.job_id
print(f"Job submitted successfully. Job ID: {job_id}")
status_location = next((link.href for link in content.links if link.rel == "monitor"), None)
expect(status_location == f"{ogc_api_endpoint}/jobs/{job_id}", f"the job is at {status_location}")
print(f"Monitor job status at: {status_location}")

cell("Monitor")
while True:
    status = client.get_status(job_id=job_id)
    print(f"Job status: {status.status}")
    if status.status in [StatusCode.SUCCESSFUL, StatusCode.FAILED]:
        break
    time.sleep(0.5)
expect(status.status == StatusCode.SUCCESSFUL, f"the job {status}")
result = client.get_result(job_id=job_id)
stac_feature_collection = result.get("stac_catalog").actual_instance.value.oneof_schema_2_validator
print("STAC item collection:", stac_feature_collection)

cell("Item collection")
stac_items = ItemCollection.from_dict(stac_feature_collection).items
expect({item.id for item in stac_items} == set(SHAPES), f"items: {stac_items}")
for item in stac_items:
    print(item.get_assets()["data"].href)
    print(json.dumps(item.get_assets()["data"].to_dict(), sort_keys=True, indent=4))

cell("Open otsu.tif from S3 with rasterio")
region_name = os.environ.get("AWS_DEFAULT_REGION")
endpoint_url = os.environ.get("AWS_ENDPOINT_URL")
aws_access_key_id = os.environ.get("AWS_ACCESS_KEY_ID")
aws_secret_access_key = os.environ.get("AWS_SECRET_ACCESS_KEY")
for item in stac_items:
    parsed_url = urlparse(item.get_assets()["data"].href)
    bucket_name, full_path = parsed_url.netloc, parsed_url.path.lstrip("/")
    expect(bucket_name == "results", f"the bucket is {bucket_name}")
    image_name, dir_path = os.path.basename(full_path), os.path.dirname(full_path)
    expect(dir_path == f"{job_id}/{job_id}/{item.id}", f"the mask is in {dir_path}")
    fs_opener = S3FS(bucket_name="results", dir_path=dir_path, aws_access_key_id=aws_access_key_id,
                     aws_secret_access_key=aws_secret_access_key, endpoint_url=endpoint_url, region=region_name)
    if not fs_opener.region:
        logger.error("File system opener is not configurated properly to open file from s3 bucket")
    with rasterio.open(image_name, opener=fs_opener.open) as src:
        profile = src.profile
        print(profile)
        mask = src.read(1)
    expect((profile["height"], profile["width"]) == SHAPES[item.id], f"{item.id}: {profile}")
    expect((profile["dtype"], profile["nodata"], profile["count"]) == ("uint8", 0, 1), f"{item.id}: {profile}")
    expect((profile["compress"].lower(), profile["driver"]) == ("lzw", "GTiff"), f"{item.id}: {profile}")
    expect(set(mask.flat) == {0, 1}, f"{item.id}: values {set(mask.flat)}")
    expect(profile["crs"].to_epsg() == 31985, f"{item.id}: {profile['crs']}")

cell("Inspect the results by the command line")
item_id = os.path.splitext(os.path.basename(data["inputs"]["stac_items"][0]))[0]
aws = pathlib.Path(sys.executable).with_name("aws")
listed = subprocess.run([aws, "s3", "ls", f"s3://results/{job_id}/{job_id}/{item_id}/"], text=True, capture_output=True,
                        timeout=120)
expect(listed.returncode == 0, f"aws s3 ls: {listed.stderr}")
print(listed.stdout)
expect([line.split()[-1] for line in listed.stdout.splitlines()] == [f"{item_id}.json", "otsu.tif"], listed.stdout)

cell("Masks as `weir demo` makes them")
s3 = boto3.client("s3", endpoint_url=endpoint_url, region_name=region_name)
program = os.environ.get("WEIR_BIN")
if program:
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder, "results")
        subprocess.run([program, "demo", "--stage-out", out, "--json"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        expected = {path.parent.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in out.rglob("otsu.tif")}
    for item in stac_items:
        body = s3.get_object(Bucket="results", Key=f"{job_id}/{job_id}/{item.id}/otsu.tif")["Body"].read()
        expect(hashlib.sha256(body).hexdigest() == expected[item.id], f"{item.id}: the mask differs from `weir demo`'s")
    print(f"{len(expected)} masks, byte by byte the same")
cell("the end")
