"""The operator's rights beside what it calls, from the API server's audit log."""
import json
import os
import pathlib

from harness.api import is_own_cluster
from harness.case import ALONE, Skipped, case, expect

# Rights that no other test makes the operator use, and why it has them.
SELDOM = {
    "delete processjobs": "jobs whose time is over (30 days)",
    "patch events": "an event that happens again",
    "get namespaces": "a namespace that the watch has not shown yet",
    "get processes": "a Process that the watch has not shown yet",
    "get processjobs": "a job that the watch has not shown yet",
    "get pods": "a pod whose name is taken",
    "create leases": "somebody has deleted it",
    "create secrets": "likewise",
}

OPERATOR = "system:serviceaccount:weir:weir-operator"
GROUPS = ["system:serviceaccounts", "system:serviceaccounts:weir", "system:authenticated"]

# A review's names of what the audit log says of a request's object.
ATTRIBUTES = {"group": "apiGroup", "resource": "resource", "subresource": "subresource", "namespace": "namespace",
              "name": "name"}

LOG = pathlib.Path(os.environ.get("WEIR_CLUSTER_STATE", "/var/lib/weir-cluster"), "log", "audit.log")


def granted(api):
    """`verb resource` of every rule of the operator's roles."""
    roles = [api.get(f"/apis/rbac.authorization.k8s.io/v1/clusterroles/weir-weir-{part}") for part in ("jobs", "cluster")]
    roles.append(api.get("/apis/rbac.authorization.k8s.io/v1/namespaces/weir/roles/weir-operator"))
    return {f"{verb} {resource}" for role in roles for rule in role["rules"]
            for resource in rule["resources"] for verb in rule["verbs"]}


def called():
    """What the operator asked for: every `verb resource`, and each request that was refused, as attributes of a review."""
    asked, refused = set(), {}
    for line in LOG.read_text().splitlines():
        event = json.loads(line)
        target = event.get("objectRef")
        if event["user"]["username"] != OPERATOR or not target:
            continue
        resource = "/".join(target[part] for part in ("resource", "subresource") if part in target)
        asked.add(f"{event['verb']} {resource}")
        # By authorization; quotas and admission say 403 too.
        if event.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid":
            attributes = {"verb": event["verb"]} | {
                name: target[part] for name, part in ATTRIBUTES.items() if part in target}
            refused[json.dumps(attributes, sort_keys=True)] = attributes
    return asked, list(refused.values())


def may(api, attributes):
    """Whether the API server lets the operator do this."""
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
              "spec": {"user": OPERATOR, "groups": GROUPS, "resourceAttributes": attributes}}
    return api.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)["status"]["allowed"]


@case(ALONE)
def rights_are_those_that_are_used(api):
    """The operator is never refused for want of a right, and has none that it does not use."""
    if not is_own_cluster():
        raise Skipped("no audit log")
    has = granted(api)
    asked, refused = called()
    expect(asked, "the operator asked for nothing: is the audit log on?")
    # An API server that has just been started refuses for a moment what its roles allow: it has not read them all yet.
    # So it is asked again.
    lacking = [attributes for attributes in refused if not may(api, attributes)]
    expect(not lacking, f"refused: {lacking}")
    never = {"verb": "get", "resource": "secrets", "namespace": "weir", "name": "a-secret-of-somebody-else"}
    expect(not may(api, never), "a review allows what no role does")
    unused = has - asked - set(SELDOM)
    expect(not unused, f"never used: {sorted(unused)}")
    expect(set(SELDOM) <= has, f"no rights any more: {sorted(set(SELDOM) - has)}")
