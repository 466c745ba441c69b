"""The requirements of 18-062r2 and 20-044, and which test shows which."""

CHECKLIST = {
    "Part 1, core": """
        core/http core/landingpage-op core/landingpage-success core/api-definition-op core/api-definition-success
        core/conformance-op core/conformance-success core/process-list core/process-list-success core/pl-limit-definition
        core/pl-limit-response core/pl-links core/process core/process-success core/process-exception/no-such-process
        core/process-execute-op core/process-execute-request core/process-execute-inputs core/process-execute-input-array
        core/process-execute-input-inline-object core/process-execute-input-mixed-type
        core/process-execute-input-inline-binary core/process-execute-input-inline-bbox
        core/process-execute-input-validation core/process-execute-default-outputs
        core/process-execute-default-execution-mode core/process-execute-auto-execution-mode
        core/process-execute-sync-raw-value-one core/process-execute-sync-raw-value-multi core/process-execute-sync-raw-ref
        core/process-execute-sync-raw-mixed-multi core/process-execute-sync-document core/process-execute-success-async
        core/job core/job-success core/job-exception-no-such-job core/job-results core/job-results-success-sync
        core/job-results-async-raw-value-one core/job-results-async-raw-value-multi core/job-results-async-raw-ref
        core/job-results-async-raw-mixed-multi core/job-results-async-document core/job-results-exception/no-such-job
        core/job-results-exception/results-not-ready core/job-results-failed core/test-process""",
    "Part 1, ogc-process-description": """
        ogc-process-description/json-encoding ogc-process-description/inputs-def ogc-process-description/input-def
        ogc-process-description/input-mixed-type ogc-process-description/input-binary ogc-process-description/outputs-def
        ogc-process-description/output-def ogc-process-description/output-mixed-type""",
    "Part 1, json, html, oas30": """
        json/definition html/definition html/content oas30/oas-definition-1 oas30/oas-definition-2 oas30/oas-impl
        oas30/completeness oas30/exceptions-codes oas30/security""",
    "Part 1, job-list": """
        job-list/job-list-op job-list/job-list-success job-list/type-definition job-list/type-response
        job-list/processID-definition job-list/processID-response job-list/processID-mandatory job-list/status-definition
        job-list/status-response job-list/datetime-definition job-list/datetime-response job-list/duration-definition
        job-list/duration-response job-list/limit-definition job-list/limit-response job-list/links""",
    "Part 1, callback, dismiss": """
        callback/job-callback dismiss/job-dismiss-op dismiss/job-dismiss-success""",
    "Part 2, deploy-replace-undeploy": """
        deploy-replace-undeploy/static-indicator deploy-replace-undeploy/deploy-post-op
        deploy-replace-undeploy/deploy-content-type deploy-replace-undeploy/deploy-body
        deploy-replace-undeploy/deploy-response-pid deploy-replace-undeploy/deploy-response-success
        deploy-replace-undeploy/deploy-response-body deploy-replace-undeploy/deploy-response-duplicate
        deploy-replace-undeploy/deploy-response-immutable deploy-replace-undeploy/deploy-unsupported-media-type
        deploy-replace-undeploy/replace-put-op deploy-replace-undeploy/replace-content-type
        deploy-replace-undeploy/replace-body deploy-replace-undeploy/replace-response
        deploy-replace-undeploy/undeploy-delete-op deploy-replace-undeploy/undeploy-response
        deploy-replace-undeploy/undeploy-response-immutable deploy-replace-undeploy/package-get-op
        deploy-replace-undeploy/package-response-success deploy-replace-undeploy/package-response-body""",
    "Part 2, ogcapppkg, docker, cwl": """
        ogcapppkg/schema ogcapppkg/process-description ogcapppkg/execution-unit ogcapppkg/profile-docker
        ogcapppkg/deploy-body ogcapppkg/replace-body ogcapppkg/package-response-body docker/execution-unit
        docker/deploy-body docker/replace-body cwl/execution-unit cwl/deploy-body cwl/deploy-w-param
        cwl/deploy-exception-workflow-not-found cwl/replace-body cwl/package-response-body""",
}


def requirement(*names):
    """Marks a test that shows these requirements."""
    unknown = set(names) - {name for listed in CHECKLIST.values() for name in listed.split()}
    assert not unknown, f"no such requirement: {unknown}"

    def mark(test):
        test.requirements = names
        return test
    return mark


def shown_by(tests):
    """{requirement: names of its tests} in the order of the checklist."""
    found = {name: [] for listed in CHECKLIST.values() for name in listed.split()}
    for test in tests:
        method = getattr(test, test._testMethodName)
        for name in getattr(method, "requirements", ()):
            found[name].append(f"{type(test).__module__.rpartition('.')[2]}: {test._testMethodName.removeprefix('test_')}")
    return found


def table(tests):
    """The table of README.md."""
    found, lines = shown_by(tests), []
    for title, listed in CHECKLIST.items():
        lines += [f"### {title}", "", "| requirement | shown by |", "|---|---|"]
        lines += [f"| {name} | {'<br>'.join(found[name])} |" for name in listed.split()] + [""]
    return "\n".join(lines)
