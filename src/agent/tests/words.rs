//! The protocol as JSON: agents and operators of different versions meet during an upgrade, so its shape is a promise.

use serde_json::json;
use weir_api::FailureClass;
use weir_api::agent::{
    AgentOrder, Claim, ClaimAnswer, Claimant, Complete, CompleteAnswer, Content, Contents, Ending, EntryKind, Exited,
    ExitedAnswer, Hints, LinkTarget, ListedEntry, Listing, Placement, PresignedPut, ReadRequest, UploadRequest,
    Uploaded, Usage,
};

fn claimant() -> Claimant {
    Claimant { run_id: "r".to_owned(), incarnation: 7, pod_uid: "u".to_owned() }
}

#[expect(clippy::unwrap_used, reason = "a test ends where its words have no JSON")]
fn assert_same<T>(value: &T, expected: serde_json::Value)
where
    T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
{
    assert_eq!(serde_json::to_value(value).unwrap(), expected);
    assert_eq!(serde_json::from_value::<T>(expected).unwrap(), *value);
}

#[test]
fn a_claim_and_its_answers() {
    let claim = Claim { claimant: claimant() };
    assert_same(&claim, json!({"claimant": {"runId": "r", "incarnation": 7, "podUid": "u"}}));
    assert_same(&ClaimAnswer::Wait {}, json!({"wait": {}}));
    assert_same(&ClaimAnswer::Superseded {}, json!({"superseded": {}}));
    let order = AgentOrder {
        argv: vec!["crop".to_owned()],
        env: vec![("HOME".to_owned(), "/weir/work/out".to_owned())],
        outdir: "/weir/work/out".to_owned(),
        stdout: Some("out.txt".to_owned()),
        placements: vec![
            Placement {
                path: "/weir/work/in/1/a".to_owned(),
                content: Content::Url { url: "https://s/a".to_owned(), sha256: None, size: Some(3) },
                writable: false,
            },
            Placement {
                path: "/weir/work/in/2/b".to_owned(),
                content: Content::Literal("text".to_owned()),
                writable: true,
            },
            Placement { path: "/weir/work/in/3".to_owned(), content: Content::Directory {}, writable: false },
        ],
        time_limit_seconds: Some(60),
        ..AgentOrder::default()
    };
    let expected = json!({"order": {
        "argv": ["crop"],
        "env": [["HOME", "/weir/work/out"]],
        "outdir": "/weir/work/out",
        "stdout": "out.txt",
        "placements": [
            {"path": "/weir/work/in/1/a", "content": {"url": {"url": "https://s/a", "size": 3}}, "writable": false},
            {"path": "/weir/work/in/2/b", "content": {"literal": "text"}, "writable": true},
            {"path": "/weir/work/in/3", "content": {"directory": {}}, "writable": false}
        ],
        "timeLimitSeconds": 60,
        "denyNetwork": false
    }});
    assert_same(&ClaimAnswer::Order(Box::new(order)), expected);
}

fn exited() -> Exited {
    let entry = |path: &str, kind| ListedEntry { path: path.to_owned(), kind };
    Exited {
        claimant: claimant(),
        ending: Ending::Code(0),
        hints: Hints { oom_kills: 1, ..Hints::default() },
        usage: Usage { cpu_seconds: 0.5, started_ms: 1, finished_ms: 2, ..Usage::default() },
        stderr_tail: Some("end".to_owned()),
        listing: Listing {
            entries: vec![
                entry("a", EntryKind::File { size: 2 }),
                entry("d", EntryKind::Directory {}),
                entry("l", EntryKind::Link(LinkTarget::Inside("a".to_owned()))),
            ],
            incomplete: None,
        },
        contents: [("a".to_owned(), Contents::Text("x".to_owned()))].into(),
        log_bytes: None,
    }
}

fn exited_json() -> serde_json::Value {
    json!({
        "claimant": {"runId": "r", "incarnation": 7, "podUid": "u"},
        "ending": {"code": 0},
        "hints": {"timeLimit": false, "oomKills": 1, "diskFull": false, "terminated": false},
        "usage": {"cpuSeconds": 0.5, "memoryPeakBytes": 0, "startedMs": 1, "finishedMs": 2, "stageInMs": 0},
        "stderrTail": "end",
        "listing": {"entries": [
            {"path": "a", "kind": {"file": {"size": 2}}},
            {"path": "d", "kind": {"directory": {}}},
            {"path": "l", "kind": {"link": {"inside": "a"}}}
        ]},
        "contents": {"a": {"text": "x"}}
    })
}

#[test]
fn the_end_of_a_tool_and_its_answers() {
    assert_same(&exited(), exited_json());
    let failed = Ending::Failed { class: FailureClass::StageIn, message: "m".to_owned() };
    assert_same(&failed, json!({"failed": {"class": "StageIn", "message": "m"}}));
    assert_same(&Ending::Signal(9), json!({"signal": 9}));
    let read = ExitedAnswer::Read { files: vec![ReadRequest { path: "a".to_owned(), bytes_max: 9 }] };
    assert_same(&read, json!({"read": {"files": [{"path": "a", "bytesMax": 9}]}}));
    let put =
        PresignedPut { url: "https://s/k".to_owned(), headers: vec![("if-none-match".to_owned(), "*".to_owned())] };
    let upload = ExitedAnswer::Upload { files: vec![UploadRequest { path: "a".to_owned(), put }] };
    let expected = json!({"upload": {"files": [
        {"path": "a", "put": {"url": "https://s/k", "headers": [["if-none-match", "*"]]}}
    ]}});
    assert_same(&upload, expected);
    assert_same(&ExitedAnswer::Done {}, json!({"done": {}}));
}

#[test]
fn a_completion_and_its_answers() {
    let uploaded = Uploaded { path: "a".to_owned(), size: 2, sha256: "0f".to_owned() };
    let complete = Complete {
        claimant: claimant(),
        exited: exited(),
        uploaded: vec![uploaded],
        failure: None,
        log_bytes: Some(5),
    };
    let expected = json!({
        "claimant": {"runId": "r", "incarnation": 7, "podUid": "u"},
        "exited": exited_json(),
        "uploaded": [{"path": "a", "size": 2, "sha256": "0f"}],
        "logBytes": 5
    });
    assert_same(&complete, expected);
    assert_same(&CompleteAnswer::Done {}, json!({"done": {}}));
}

#[test]
fn an_order_may_leave_out_what_is_usual() {
    let order = json!({"order": {"argv": ["a"], "env": [], "outdir": "/weir/work/out", "fromTheFuture": 1}});
    assert!(serde_json::from_value::<ClaimAnswer>(order).is_ok());
}
