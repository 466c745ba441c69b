"""What the tests talk to: a base URL as the first argument, the rest from the environment."""
import functools
import os
import pathlib
import sys
import urllib.parse

from harness import scenes

ROOT = pathlib.Path(__file__).resolve().parents[3]
WATER_BODIES = ROOT / "manifests" / "water-bodies" / "water-bodies.cwl"
PACKAGES = pathlib.Path(__file__).resolve().parents[1] / "packages"
AOI = "-34.905,-8.03,-34.83,-7.96"
SCENES = ("L7_OLINDA_NORTH", "L7_OLINDA_SOUTH")

USAGE = """
    BASE   URL of a tenant's root: http://127.0.0.1:8080/acme/ogc-api

WEIR_OTHER_TENANT (globex) is a second tenant of the same server. WEIR_REACHED_AT (127.0.0.1) is the address at which the
server reaches the listeners that the tests open, and must be allowed to fetch from; WEIR_DATA_URL is where it finds
tests/data (default: served by the test itself). WEIR_QUEUE (1000) is how many unfinished jobs of one tenant it takes,
WEIR_ALLOWED_ORIGIN an origin whose pages may use it, if there is one. The results' S3 is in AWS_ENDPOINT_URL,
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_DEFAULT_REGION. WEIR_SERVER_PID is the server's process, if it runs on this
machine.
"""


@functools.cache
def base():
    """URL of the tenant's root, without slash at its end."""
    argument = os.environ.get("WEIR_OGC_BASE") or next((word for word in sys.argv[1:] if "://" in word), None)
    if not argument:
        sys.exit((sys.modules["__main__"].__doc__ or "") + USAGE)
    return argument.rstrip("/")


def arguments():
    """Words of the command line beside the base URL."""
    return [word for word in sys.argv[1:] if "://" not in word]


def origin():
    """Scheme and authority."""
    parts = urllib.parse.urlsplit(base())
    return f"{parts.scheme}://{parts.netloc}"


def tenant():
    return urllib.parse.urlsplit(base()).path.strip("/").split("/")[-2]


def other_tenant():
    return os.environ.get("WEIR_OTHER_TENANT", "globex")


def other_base():
    """The root of the second tenant."""
    return f"{base().rsplit('/', 2)[0]}/{other_tenant()}/ogc-api"


def reached_at():
    return os.environ.get("WEIR_REACHED_AT", "127.0.0.1")


def queue():
    """Unfinished jobs of one tenant that the server takes."""
    return int(os.environ.get("WEIR_QUEUE", "1000"))


def allowed_origin():
    """An origin whose pages may use the API, else None."""
    return os.environ.get("WEIR_ALLOWED_ORIGIN")


def server_pid():
    """The server's process if it is on this machine, else None."""
    pid = os.environ.get("WEIR_SERVER_PID")
    return int(pid) if pid else None


@functools.cache
def data_url():
    """Where the server finds tests/data."""
    return os.environ.get("WEIR_DATA_URL") or scenes.serve(ROOT / "tests" / "data", reached_at())


def water_bodies_inputs():
    """Inputs of `water-bodies` on the scenes of Olinda."""
    items = [f"{data_url()}/olinda/{scene}/{scene}.json" for scene in SCENES]
    return {"stac_items": items, "aoi": AOI, "epsg": "EPSG:4326", "bands": ["green", "nir"]}
