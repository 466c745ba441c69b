"""Installing."""
import contextlib
import json

from harness import operators, release
from harness.api import is_own_cluster
from harness.case import FIRST, Skipped, case, expect
from harness.namespace import Namespace
from harness.program import ROOT, helm, kubectl, run
from harness.wait import until

# Combinations of values that a site would choose.
SITES = {
    "defaults": {},
    "tenants": {
        "tenants": [
            {"namespace": "weir-site-a", "tenant": "a", "users": [{"kind": "User", "name": "ada@example.org"},
             {"kind": "ServiceAccount", "name": "robot", "namespace": "ci"}], "quota": {"pods": 10, "requests.cpu": 4}},
            {"namespace": "weir-site-b"},
        ],
        "operator": {"watchNamespaces": ["weir-site-a", "weir-site-b"]},
        "network": {"apiServer": ["203.0.113.7/32", "2001:db8::7/128"], "allowed": ["10.20.0.0/16"]},
    },
    "own store": {
        "store": {"existingSecret": "s3", "external": {"endpoint": "https://s3.example.org", "ca": "-----BEGIN CERTIFICATE-----\n"},
                  "resultsBucket": "results-{tenant}"},
        "imagePullSecrets": ["registry"], "crds": {"install": False},
    },
    "façade": {
        "facade": {"publicUrl": "https://ogc.example.org", "trustedProxies": ["10.20.0.0/16"], "corsOrigins": ["*"],
                   "oidc": {"issuer": "https://id.example.org/realms/eo", "audience": "weir"},
                   "resultsEndpoint": "https://s3.example.org", "service": {"type": "NodePort", "annotations": {"a": "b"}},
                   "ingress": {"enabled": True, "className": "nginx", "host": "ogc.example.org", "tlsSecret": "tls"}},
        "tenants": [{"namespace": "weir-site-a", "tenant": "a", "resultsKey": True}],
    },
    "OpenShift": {"runAsUser": None, "steps": {"runAsUser": None}},
    "one small node": {"operator": {"replicas": 1, "tolerations": [{"operator": "Exists"}], "nodeSelector": {"disk": "ssd"}},
                       "network": {"policies": False}},
}

# Values with a mistake, and the word that the complaint must have.
MISTAKES = {
    "operator.replica": ({"operator": {"replica": 3}}, "replica"),
    "an external store without its Secret": ({"store": {"external": {"endpoint": "https://s3.example.org"}}}, "existingSecret"),
    "a key to a store that is not ours": ({"tenants": [{"namespace": "a", "resultsKey": True}], "store": {
        "existingSecret": "s3", "external": {"endpoint": "https://s3.example.org"}}}, "resultsKey"),
    "a provider without an audience": ({"facade": {"oidc": {"issuer": "https://id.example.org"}}}, "audience"),
    "an ingress without a host": ({"facade": {"ingress": {"enabled": True}}}, "host"),
    "start: later": ({"steps": {"start": "later"}}, "start"),
    "a tenant without a namespace": ({"tenants": [{"tenant": "a"}]}, "namespace"),
}


def template(values):
    return helm("template", "weir", release.CHART, "--namespace", "weir-site", "--kube-version", "1.33.0",
                "--values", "-", stdin=json.dumps(values))


@case(FIRST)
def chart_renders(api):
    """The chart renders for every kind of site, the API server takes the result, and mistakes in values are named."""
    remove()
    run(ROOT / "charts" / "update", "--check")
    helm("lint", "--strict", release.CHART)
    with contextlib.ExitStack() as namespaces:
        for name in ("weir-site", "weir-site-a", "weir-site-b"):
            namespaces.enter_context(Namespace(api, name))
        for site, values in SITES.items():
            rendered = template(values)
            kubectl("create", "--dry-run=server", "--validate=strict", "--filename", "-",
                    stdin=without_namespaces(rendered))
            expect("kind: Secret" not in rendered or "secret-key: \n" not in rendered, f"{site}: an empty secret key")
    for mistake, (values, word) in MISTAKES.items():
        try:
            template(values)
        except Exception as error:
            expect(word in str(error), f"{mistake}: the complaint does not name `{word}`: {error}")
        else:
            raise AssertionError(f"{mistake} was accepted")


def without_namespaces(rendered):
    """The namespaces of tenants are there already: a dry run creates none for what is in them."""
    documents = rendered.split("\n---\n")
    return "\n---\n".join(one for one in documents if "\nkind: Namespace\n" not in one)


@case(FIRST)
def custom_resources(api):
    """The API server takes crds/, refuses what they forbid with messages for people, shows columns and explanations."""
    remove()
    return f"{run(ROOT / 'tests' / 'kubernetes' / 'custom-resources', env={'KUBECTL': 'kubectl'}).count('ok  ')} promises"


@case(FIRST)
def cluster(api):
    """The cluster is one that an operator can be tested on: names, routes, limits, volumes, tokens, images."""
    if not is_own_cluster():
        raise Skipped("this cluster is not ours")
    return f"{run(ROOT / 'tests' / 'cluster' / 'check').count('ok  ')} proofs"


@case(FIRST)
def install(api):
    """`helm install` ends with two ready replicas, one of which leads, and a ready store."""
    remove()
    release.install()
    ready = [pod for pod in operators.pods(api) if operators.is_ready(pod)]
    expect(len(ready) == 2, f"{len(ready)} of 2 replicas are ready")

    def leaders():
        return [pod["metadata"]["name"] for pod in operators.pods(api)
                if pod["metadata"]["labels"].get("weir.dev/leader") == "true"]

    # A replica is ready before one leads.
    until("one of them to lead", 30, lambda: leaders() or None)
    expect(len(leaders()) == 1, f"leaders: {leaders()}")
    nodes = {pod["spec"]["nodeName"] for pod in ready}
    count = len(api.get("/api/v1/nodes")["items"])
    expect(len(nodes) == min(2, count), f"both replicas are on {nodes}")


def remove():
    """Nothing of weir is left on the cluster."""
    if release.is_installed():
        release.uninstall()
    release.remove_rest()
