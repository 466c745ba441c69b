"""The façade of the cluster by the clients of tests/ogc: through its Service, so that any replica answers any request.

The cases run two at a time, each as a tenant of its own: none finds processes or jobs of another in its lists.
"""
import re

from harness import ogc
from harness.case import case

# A cell of the notebook: its title, and seconds since the first request.
CELL = re.compile(r"^# (.+) \(([\d.]+) s\)$", re.MULTILINE)


@case()
def walkthroughs_of_the_seeds(api):
    """The seeds by curl, each answer field by field, and in Python to the last cell: masks from S3 by the tenant's own key."""
    ogc.perform(api, "seeds.sh", tenant="hooli")
    said = ogc.perform(api, "notebook.py", tenant="hooli")
    at = [(title, float(seconds)) for title, seconds in CELL.findall(said)]
    took = [f"{title} {later - begun:.1f}" for (title, begun), (_, later) in zip(at, at[1:])]
    return f"seconds: {', '.join(took)}"


@case()
def clients_of_others(api):
    """OWSLib and ogc-api-processes-client, over every verb that they have."""
    ogc.perform(api, "clients.py", tenant="initech")


@case()
def requirements_of_the_standard(api):
    """Every requirement of OGC API - Processes Part 1 and 2 that weir declares, as tests/ogc/README.md lists them."""
    return ogc.perform(api, "requirements.py").strip().splitlines()[-1]


@case()
def tenants_do_not_meet(api):
    """Paths, ids, names, hrefs, logs, redirects and S3 keys of one tenant lead to nothing of another (I9)."""
    return ogc.perform(api, "tenants.py", "TwoTenants", tenant="umbrella").strip().splitlines()[-1]
