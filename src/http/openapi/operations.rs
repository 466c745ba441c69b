//! The table of everything that is answered.

/// One method of one path.
pub(super) struct Operation {
    /// Lower case.
    pub method: &'static str,
    /// As the router has it, below `/{tenant}/ogc-api`, or below `/{tenant}`.
    pub path: &'static str,
    /// Whether it is beside the API: below `/{tenant}`.
    pub is_outside: bool,
    /// `operationId`
    pub id: &'static str,
    pub tag: &'static str,
    pub summary: &'static str,
    /// Names in `components/parameters`.
    pub parameters: &'static [&'static str],
    /// Media types and names in `components/schemas`.
    pub bodies: &'static [(&'static str, &'static str)],
    pub answers: &'static [Answer],
    /// Statuses of problems.
    pub problems: &'static [u16],
}

/// A good answer.
pub(super) struct Answer {
    pub status: u16,
    pub description: &'static str,
    /// Names in `components/headers`.
    pub headers: &'static [&'static str],
    /// Media types and names in `components/schemas`.
    pub content: &'static [(&'static str, &'static str)],
}

const JSON: &str = "application/json";
const HTML: &str = "text/html";

/// Problems of anything that is read in one of some forms.
const READ: &[u16] = &[400, 401, 403, 404, 406, 500, 503];
/// Problems of texts, which are what they are whatever is accepted.
const TEXT: &[u16] = &[400, 401, 403, 404, 500, 503];
/// Problems of results, which are what they are, may be too large for one answer, or of a process that cannot run here.
const RESULTS: &[u16] = &[400, 401, 403, 404, 413, 500, 501, 503];
/// Problems of a deployment.
const WRITE: &[u16] = &[400, 401, 403, 404, 408, 409, 413, 415, 429, 500, 503];
/// Problems of an execution.
const RUN: &[u16] = &[400, 401, 403, 404, 408, 413, 415, 429, 500, 501, 503];
/// Problems of a removal, which may have a body that nobody wants.
const REMOVE: &[u16] = &[400, 401, 403, 404, 408, 413, 500, 503];
/// Problems of a removal that answers with a document.
const DISMISS: &[u16] = &[400, 401, 403, 404, 406, 408, 413, 500, 503];

/// Bodies of deployments (20-044).
const PACKAGES: &[(&str, &str)] = &[
    ("application/cwl", "cwlText"),
    ("application/cwl+yaml", "cwlText"),
    ("application/cwl+json", "cwl"),
    ("application/ogcapppkg+json", "ogcapppkg"),
    (JSON, "package"),
];

/// `operationId` of the execution, which has callbacks.
pub(super) const EXECUTE: &str = "execute";

/// GET of a document in JSON and HTML.
const fn read(
    path: &'static str,
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    parameters: &'static [&'static str],
    answers: &'static [Answer],
) -> Operation {
    let (method, is_outside, bodies, problems) = ("get", false, &[], READ);
    Operation { method, path, is_outside, id, tag, summary, parameters, bodies, answers, problems }
}

const fn ok(description: &'static str, content: &'static [(&'static str, &'static str)]) -> Answer {
    Answer { status: 200, description, headers: &[], content }
}

/// Every operation, in the order of the document.
pub(super) const OPERATIONS: &[Operation] = &[
    read(
        "/",
        "getLandingPage",
        "capabilities",
        "The landing page",
        &["f"],
        &[ok("Links to everything else", &[(JSON, "landingPage"), (HTML, "page")])],
    ),
    read(
        "/conformance",
        "getConformance",
        "capabilities",
        "The declaration of conformance",
        &["f"],
        &[ok("The URIs of all classes that are implemented", &[(JSON, "confClasses"), (HTML, "page")])],
    ),
    read(
        "/api",
        "getApi",
        "capabilities",
        "This document",
        &["f"],
        &[ok(
            "The definition of the API",
            &[("application/vnd.oai.openapi+json;version=3.0", "openapi"), (JSON, "openapi"), (HTML, "page")],
        )],
    ),
    read(
        "/processes",
        "getProcesses",
        "processes",
        "The list of processes",
        &["limit", "skip", "f"],
        &[ok("A page of the list", &[(JSON, "processList"), (HTML, "page")])],
    ),
    Operation {
        method: "post",
        path: "/processes",
        is_outside: false,
        id: "deploy",
        tag: "deployment",
        summary: "Deploy a process",
        parameters: &["w"],
        bodies: PACKAGES,
        answers: &[Answer {
            status: 201,
            description: "It can be executed from now on",
            headers: &["Location"],
            content: &[(JSON, "processSummary")],
        }],
        problems: WRITE,
    },
    read(
        "/processes/{processID}",
        "getProcess",
        "processes",
        "The description of a process",
        &["processID", "f"],
        &[ok("Its inputs and outputs", &[(JSON, "process"), (HTML, "page")])],
    ),
    Operation {
        method: "put",
        path: "/processes/{processID}",
        is_outside: false,
        id: "replace",
        tag: "deployment",
        summary: "Replace a process; its jobs go on with what they were started with",
        parameters: &["processID", "w"],
        bodies: PACKAGES,
        answers: &[Answer { status: 204, description: "It is replaced", headers: &["Location"], content: &[] }],
        problems: WRITE,
    },
    Operation {
        method: "delete",
        path: "/processes/{processID}",
        is_outside: false,
        id: "undeploy",
        tag: "deployment",
        summary: "Undeploy a process; its jobs go on",
        parameters: &["processID"],
        bodies: &[],
        answers: &[Answer { status: 204, description: "It is no more", headers: &[], content: &[] }],
        problems: REMOVE,
    },
    read(
        "/processes/{processID}/package",
        "getPackage",
        "deployment",
        "The package of a process",
        &["processID", "f"],
        &[ok(
            "As it was deployed",
            &[
                ("application/cwl", "cwlText"),
                ("application/cwl+yaml", "cwlText"),
                ("application/cwl+json", "cwl"),
                ("application/ogcapppkg+json", "ogcapppkg"),
                (JSON, "package"),
                (HTML, "page"),
            ],
        )],
    ),
    Operation {
        method: "post",
        path: "/processes/{processID}/execution",
        is_outside: false,
        id: EXECUTE,
        tag: "jobs",
        summary: "Execute a process",
        parameters: &["processID", "Prefer"],
        bodies: &[(JSON, "execute")],
        answers: &[
            Answer {
                status: 200,
                description: "The results. One value: itself. Several: multipart/related, one part each, or one document",
                headers: &["Preference-Applied"],
                content: &[(JSON, "anything"), ("multipart/related", "bytes"), ("*/*", "bytes")],
            },
            Answer {
                status: 201,
                description: "The job has been accepted; `Location` is where its state is",
                headers: &["Location", "Preference-Applied"],
                content: &[(JSON, "statusInfo")],
            },
            Answer {
                status: 204,
                description: "The results are where the `Link` headers say, or the only one has no value",
                headers: &["Link", "Preference-Applied"],
                content: &[],
            },
        ],
        problems: RUN,
    },
    read(
        "/jobs",
        "getJobs",
        "jobs",
        "The list of jobs, newest first",
        &["type", "processIDs", "status", "datetime", "minDuration", "maxDuration", "limit", "skip", "f"],
        &[ok("A page of the list", &[(JSON, "jobList"), (HTML, "page")])],
    ),
    read(
        "/jobs/{jobID}",
        "getStatus",
        "jobs",
        "The state of a job",
        &["jobID", "f"],
        &[ok(
            "Its state, times and links: to its results, and to the logs of its steps",
            &[(JSON, "statusInfo"), (HTML, "page")],
        )],
    ),
    Operation {
        method: "delete",
        path: "/jobs/{jobID}",
        is_outside: false,
        id: "dismiss",
        tag: "jobs",
        summary: "End a job, or remove one that is over; results that are published stay",
        parameters: &["jobID", "f"],
        bodies: &[],
        answers: &[ok("Its last state", &[(JSON, "statusInfo"), (HTML, "page")])],
        problems: DISMISS,
    },
    Operation {
        method: "get",
        path: "/jobs/{jobID}/results",
        is_outside: false,
        id: "getResults",
        tag: "results",
        summary: "The results of a job",
        parameters: &["jobID", "outputs", "f"],
        bodies: &[],
        answers: &[
            Answer {
                status: 200,
                description: "In the form that the execution asked for; without one, a document of all values",
                headers: &[],
                content: &[(JSON, "results"), (HTML, "page"), ("multipart/related", "bytes"), ("*/*", "bytes")],
            },
            Answer {
                status: 204,
                description: "The results are where the `Link` headers say, or the only one has no value",
                headers: &["Link"],
                content: &[],
            },
        ],
        problems: RESULTS,
    },
    Operation {
        method: "get",
        path: "/jobs/{jobID}/results/{outputID}",
        is_outside: false,
        id: "getResult",
        tag: "results",
        summary: "One result of a job",
        parameters: &["jobID", "outputID", "f"],
        bodies: &[],
        answers: &[
            ok("The value itself", &[(JSON, "anything"), (HTML, "page"), ("*/*", "bytes")]),
            Answer { status: 204, description: "There is no value", headers: &[], content: &[] },
        ],
        problems: RESULTS,
    },
    Operation {
        method: "get",
        path: "/temp/{work}/{file}",
        is_outside: true,
        id: "getText",
        tag: "results",
        summary: "A log of a step, live while it runs; or what the job has used",
        parameters: &["work", "file", "f"],
        bodies: &[],
        answers: &[ok("As far as it is written", &[("text/plain", "bytes"), (JSON, "anything"), (HTML, "page")])],
        problems: TEXT,
    },
];
