"""Objects with mistakes: refused or explained, and no harm to others (I11)."""
from harness import jobs
from harness.api import ApiError, collection
from harness.case import case, expect
from harness.namespace import Namespace
from harness.program import ROOT
from harness.wait import until

PACKAGE = (ROOT / "tests" / "packages" / "cluster-chain.cwl").read_text()


def condition(item, kind):
    """A condition of an object, or None."""
    return next((one for one in item.get("status", {}).get("conditions", []) if one["type"] == kind), None)


@case()
def mistakes_are_explained(api):
    """A package or inputs with a mistake get a condition that names it; a good job beside them succeeds."""
    with Namespace(api, "weir-e2e-mistakes") as namespace:
        process = {"apiVersion": "weir.dev/v1alpha1", "kind": "Process", "metadata": {"name": "typo"},
                   "spec": {"package": {"inline": PACKAGE.replace("baseCommand: cat", "baseComand: cat")}}}
        jobs.create(api, namespace, process)
        path = f"{collection('processes', namespace)}/typo"
        ready = until("the Process's condition", 30, lambda: condition(api.get(path), "Ready"))
        expect((ready["status"], ready["reason"]) == ("False", "PackageInvalid"), f"condition: {ready}")
        expect("baseComand" in ready["message"], f"message: {ready['message']}")

        jobs.create(api, namespace, jobs.of_package("no-word", PACKAGE, {}))
        failed = jobs.wait(api, namespace, "no-word", 30)
        accepted = condition(failed, "Accepted")
        expect(accepted["status"] == "False" and accepted["reason"] == "InputsInvalid", f"condition: {accepted}")
        expect("word" in accepted["message"], f"message: {accepted['message']}")

        try:
            jobs.create(api, namespace, {"apiVersion": "weir.dev/v1alpha1", "kind": "ProcessJob",
                                         "metadata": {"name": "nothing"}, "spec": {}})
        except ApiError as error:
            expect(error.status == 422, f"refused otherwise: {error}")
        else:
            raise AssertionError("a job of nothing was accepted")

        jobs.create(api, namespace, jobs.of_package("good", PACKAGE, {"word": "weir"}))
        jobs.succeed(api, namespace, "good")
