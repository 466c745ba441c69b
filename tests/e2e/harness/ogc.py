"""The programs of tests/ogc, against the façade of this cluster."""
import base64
import contextlib
import os
import subprocess
import urllib.request

from . import scenes
from .api import is_own_cluster
from .forward import Forward
from .program import ROOT
from .release import NAME, NAMESPACE, VALUES
from .wait import until

TENANT, OTHER_TENANT = "acme", "globex"

# Where pods of the own cluster reach this machine.
REACHED_AT = "172.31.0.1"

# Seconds that one of the programs may run.
SECONDS = 900


def python():
    """The interpreter with the clients. Makes its virtual environment if there is none yet, which needs the registry."""
    folder = ROOT / "tests" / "ogc"
    script = '. "$0/venv.sh"; make_venv ogc "$0/requirements.txt"; echo "$python"'
    return subprocess.run(["bash", "-euc", script, folder], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


@contextlib.contextmanager
def target(api, tenant):
    """Base URL of the tenant, and what the programs are told of the cluster (tests/ogc/harness/target.py)."""
    key = api.get(f"/api/v1/namespaces/{tenant}/secrets/weir-results")["data"]
    key = {name: base64.b64decode(value).decode() for name, value in key.items()}
    environment = {
        "WEIR_DATA_URL": scenes.url(), "WEIR_REACHED_AT": os.environ.get("WEIR_REACHED_AT", REACHED_AT),
        "WEIR_OTHER_TENANT": OTHER_TENANT, "WEIR_ALLOWED_ORIGIN": VALUES["facade"]["corsOrigins"][0],
        "AWS_ACCESS_KEY_ID": key["access-key"], "AWS_SECRET_ACCESS_KEY": key["secret-key"], "AWS_DEFAULT_REGION": key["region"],
        "PYTHON": python(),
    }
    with contextlib.ExitStack() as stack:
        if is_own_cluster():
            # By the Service: any replica answers any request.
            server, store = f"{NAME}.{NAMESPACE}.svc.cluster.local", f"{NAME}-store.{NAMESPACE}.svc.cluster.local:9000"
        else:
            server = stack.enter_context(Forward(f"service/{NAME}", 80, NAMESPACE)).host
            store = stack.enter_context(Forward(f"service/{NAME}-store", 9000, NAMESPACE)).host
        yield f"http://{server}/{tenant}/ogc-api", environment | {"AWS_ENDPOINT_URL": f"http://{store}"}


def perform(api, name, *arguments, tenant=TENANT):
    """Runs a program of tests/ogc to its end; what it printed.

    Programs that run at the same time need tenants of their own, as they read whole lists of processes and jobs.
    """
    with target(api, tenant) as (base, environment):
        until(f"the tenant {tenant}", 30, lambda: is_known(base))
        program = ROOT / "tests" / "ogc" / name
        command = [environment["PYTHON"], program] if name.endswith(".py") else [program]
        done = subprocess.run([*command, base, *arguments], env=os.environ | environment, text=True, timeout=SECONDS,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            raise AssertionError(f"{name} ended with {done.returncode}:\n{done.stdout[-6000:]}")
        return done.stdout


def is_known(base):
    """Whether the tenant is; its namespace may be new."""
    try:
        return urllib.request.urlopen(f"{base}/conformance", timeout=5).status == 200
    except OSError:
        return False
