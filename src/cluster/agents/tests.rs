//! The server over real TLS on loopback: the real agent's client, or requests made by hand where that has patience.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use weir_agent::operator::{Operator, OperatorError};
use weir_agent::settings::Pem;
use weir_api::agent::{
    AgentOrder, CLAIM_PATH, COMPLETE_PATH, ClaimAnswer, Claimant, CompleteAnswer, EXITED_PATH, ExitedAnswer,
};
use weir_api::limits::REPORT_BYTES_MAX;

use super::auth::{PodIdentity, Review, ReviewError};
use super::server::serve;
use super::tls::{AuthorityPem, Certificates};
use crate::limits::{AGENT_IDLE, CLAIM_BYTES_MAX, HANDSHAKE_TIME};
use crate::registry::{AgentCall, Mailbox, Message, Registry};

/// Nothing else of these tests is at this address: a port that was given up can be had again.
const HOST: &str = "127.0.0.2";
const RUN: &str = "run-1";
/// A token that says that it is good until the year 2255; its first part is the pod's uid.
const TOKEN: &str = "uid-1.eyJleHAiOiA5MDAwMDAwMDAwfQ.x";

/// Knows every token that begins with `uid-`.
#[derive(Debug, Clone, Default)]
struct Reviewer {
    reviews: Arc<AtomicUsize>,
    is_away: Arc<Mutex<bool>>,
}

impl Review for Reviewer {
    async fn review(&self, token: &str) -> Result<PodIdentity, ReviewError> {
        self.reviews.fetch_add(1, Ordering::SeqCst);
        if *self.is_away.lock().unwrap() {
            return Err(ReviewError::Unavailable("the API server is away".to_owned()));
        }
        let uid = token.split('.').next().filter(|uid| uid.starts_with("uid-"));
        let uid = uid.ok_or_else(|| ReviewError::Refused("the token is not valid: never heard of it".to_owned()))?;
        Ok(PodIdentity { namespace: "tenant".to_owned(), name: "job-crop-1".to_owned(), uid: uid.to_owned() })
    }
}

/// A server that runs, and what it was given.
struct World {
    address: SocketAddr,
    authority: AuthorityPem,
    certificates: Arc<Certificates>,
    registry: Registry,
    reviewer: Reviewer,
    knows_all_jobs: watch::Sender<bool>,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
    folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let authority = AuthorityPem::generate(SystemTime::now()).unwrap();
        let names = vec![HOST.to_owned()];
        let certificates = Arc::new(Certificates::new(&authority, names, SystemTime::now()).unwrap());
        let mut world = Self {
            address: SocketAddr::new(HOST.parse().unwrap(), 0),
            authority,
            certificates,
            registry: Registry::default(),
            reviewer: Reviewer::default(),
            knows_all_jobs: watch::Sender::new(true),
            running: None,
            folder: tempfile::tempdir().unwrap(),
        };
        world.start().await;
        world
    }

    /// On the same port as before.
    async fn start(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let tls = self.certificates.server_config().unwrap();
        let (reviewer, registry) = (self.reviewer.clone(), self.registry.clone());
        let shutdown = async {
            let _ = stopped.await;
        };
        let serving = serve(listener, tls, reviewer, registry, self.knows_all_jobs.subscribe(), shutdown);
        self.running = Some((stop, tokio::spawn(serving)));
    }

    async fn stop(&mut self) {
        let (stop, serving) = self.running.take().unwrap();
        stop.send(()).unwrap();
        serving.await.unwrap();
    }

    /// An actor for the job [`RUN`]: what it is told.
    fn actor(&self) -> mpsc::Receiver<Message> {
        let (mailbox, messages): (Mailbox, _) = mpsc::channel(16);
        self.registry.insert("tenant", RUN, mailbox);
        messages
    }

    /// The agent's own client.
    fn operator(&self) -> Operator {
        let token = self.folder.path().join("token");
        std::fs::write(&token, TOKEN).unwrap();
        self.operator_with(&self.authority.certificates, token)
    }

    fn operator_with(&self, ca: &str, token: PathBuf) -> Operator {
        let http = weir_agent::http::operator(Some(&Pem::Text(ca.to_owned()))).unwrap();
        let claimant = Claimant { run_id: RUN.to_owned(), incarnation: 7, pod_uid: "uid-1".to_owned() };
        Operator::new(http, format!("https://{}", self.address), token, claimant)
    }

    async fn connect(&self) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.certificates.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from(HOST).unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }

    /// Sends one request as it stands; status and body of the answer.
    async fn raw(&self, request: &[u8]) -> (u16, String) {
        let mut stream = self.connect().await;
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        // The server may close without a last word of TLS.
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    async fn post(&self, path: &str, token: &str, body: &Value) -> (u16, String) {
        let body = body.to_string();
        let length = body.len();
        self.raw(request(path, token, &format!("content-length: {length}\r\n"), &body).as_bytes()).await
    }
}

fn request(path: &str, token: &str, headers: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: o\r\nauthorization: Bearer {token}\r\nconnection: close\r\n{headers}\r\n{body}"
    )
}

fn claimant() -> Value {
    json!({"runId": RUN, "incarnation": 7, "podUid": "uid-1"})
}

fn claim() -> Value {
    json!({"claimant": claimant()})
}

fn exited() -> Value {
    json!({"claimant": claimant(), "ending": {"code": 0}, "hints": {},
        "usage": {"cpuSeconds": 0.0, "memoryPeakBytes": 0, "startedMs": 1, "finishedMs": 2, "stageInMs": 0},
        "listing": {"entries": []}})
}

fn order() -> AgentOrder {
    AgentOrder { argv: vec!["crop".to_owned()], outdir: "/weir/work/out".to_owned(), ..AgentOrder::default() }
}

async fn next_claim(messages: &mut mpsc::Receiver<Message>) -> oneshot::Sender<ClaimAnswer> {
    let Message::Agent(call) = messages.recv().await.unwrap();
    let AgentCall::Claim(claim, answer) = call else { panic!("not a claim: {call:?}") };
    assert_eq!((claim.claimant.incarnation, claim.claimant.pod_uid.as_str()), (7, "uid-1"));
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_waits_and_each_report_is_answered_by_the_actor() {
    let world = World::new().await;
    let mut messages = world.actor();
    let operator = Arc::new(world.operator());
    let agent = Arc::clone(&operator);
    let claimed = tokio::task::spawn_blocking(move || agent.claim());
    // The actor says to wait; the agent asks again.
    next_claim(&mut messages).await.send(ClaimAnswer::Wait {}).unwrap();
    next_claim(&mut messages).await.send(ClaimAnswer::Order(Box::new(order()))).unwrap();
    assert_eq!(claimed.await.unwrap().unwrap(), order());

    let agent = Arc::clone(&operator);
    let reported: weir_api::agent::Exited = serde_json::from_value(exited()).unwrap();
    let sent = reported.clone();
    let answered = tokio::task::spawn_blocking(move || {
        let answer = agent.exited(&sent)?;
        let complete = weir_api::agent::Complete {
            claimant: sent.claimant.clone(),
            exited: sent,
            uploaded: Vec::new(),
            failure: None,
            log_bytes: None,
        };
        agent.complete(&complete)?;
        Ok::<_, OperatorError>(answer)
    });
    let Message::Agent(AgentCall::Exited(heard, answer)) = messages.recv().await.unwrap() else {
        panic!("not a report")
    };
    assert_eq!(*heard, reported);
    answer.send(ExitedAnswer::Upload { files: Vec::new() }).unwrap();
    let Message::Agent(AgentCall::Complete(heard, answer)) = messages.recv().await.unwrap() else {
        panic!("not a completion")
    };
    assert_eq!(heard.exited, reported);
    // An actor that drops the sender is asked again.
    drop(answer);
    let Message::Agent(AgentCall::Complete(_, answer)) = messages.recv().await.unwrap() else { panic!("not again") };
    answer.send(CompleteAnswer::Done {}).unwrap();
    assert_eq!(answered.await.unwrap(), Ok(ExitedAnswer::Upload { files: Vec::new() }));
    assert_eq!(world.reviewer.reviews.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_the_middle_of_a_long_poll_is_invisible() {
    let mut world = World::new().await;
    let mut messages = world.actor();
    let operator = world.operator();
    let claimed = tokio::task::spawn_blocking(move || operator.claim());
    let held = next_claim(&mut messages).await;
    world.stop().await;
    assert!(held.is_closed());
    // For a while there is nobody, then an operator that knows nothing yet, then one that does.
    world.registry.remove("tenant", RUN);
    world.knows_all_jobs.send_replace(false);
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.start().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!claimed.is_finished());
    let mut messages = world.actor();
    world.knows_all_jobs.send_replace(true);
    next_claim(&mut messages).await.send(ClaimAnswer::Order(Box::new(order()))).unwrap();
    assert_eq!(claimed.await.unwrap().unwrap(), order());
    // A token is known to one operator only.
    assert_eq!(world.reviewer.reviews.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_without_a_job_is_superseded_only_by_an_operator_that_knows_all_jobs() {
    let world = World::new().await;
    world.knows_all_jobs.send_replace(false);
    let (status, message) = world.post(CLAIM_PATH, TOKEN, &claim()).await;
    assert_eq!(status, 503, "{message}");
    let operator = world.operator();
    let claimed = tokio::task::spawn_blocking(move || operator.claim());
    world.knows_all_jobs.send_replace(true);
    assert_eq!(claimed.await.unwrap(), Err(OperatorError::Superseded));
    assert_eq!(world.post(EXITED_PATH, TOKEN, &exited()).await.0, 410);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_that_ends_or_cannot_answer_is_asked_again() {
    let world = World::new().await;
    let messages = world.actor();
    drop(messages);
    assert_eq!(world.post(CLAIM_PATH, TOKEN, &claim()).await.0, 503);
    let mut messages = world.actor();
    let report = exited();
    let (answer, ()) = tokio::join!(world.post(EXITED_PATH, TOKEN, &report), async {
        drop(messages.recv().await);
    });
    assert_eq!(answer, (503, "not now: the job cannot answer".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_speaks_for_another_pod() {
    let world = World::new().await;
    let mut messages = world.actor();
    let other = json!({"runId": RUN, "incarnation": 7, "podUid": "uid-2"});
    let (status, message) = world.post(CLAIM_PATH, TOKEN, &json!({"claimant": other})).await;
    assert_eq!(status, 403);
    assert!(message.contains("tenant/job-crop-1") && message.contains("uid-2"), "{message}");
    let mut report = exited();
    report["claimant"] = other;
    assert_eq!(world.post(EXITED_PATH, TOKEN, &report).await.0, 403);
    let complete = json!({"claimant": claimant(), "exited": report, "uploaded": []});
    assert_eq!(world.post(COMPLETE_PATH, TOKEN, &complete).await.0, 400);
    assert!(messages.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_good_token_is_not_read() {
    let world = World::new().await;
    let _messages = world.actor();
    let (status, message) = world.post(CLAIM_PATH, "nonsense", &claim()).await;
    assert_eq!((status, message.as_str()), (401, "the token is not valid: never heard of it"));
    let unread = "POST /agent/v1/exited HTTP/1.1\r\nhost: o\r\ncontent-length: 1000000\r\n\r\n";
    assert_eq!(world.raw(unread.as_bytes()).await, (401, "the request has no bearer token".to_owned()));
    *world.reviewer.is_away.lock().unwrap() = true;
    assert_eq!(world.post(CLAIM_PATH, TOKEN, &claim()).await.0, 503);
    *world.reviewer.is_away.lock().unwrap() = false;
    // Who is known stays known while the API server is away.
    assert_eq!(world.post(CLAIM_PATH, TOKEN, &json!({})).await.0, 400);
    *world.reviewer.is_away.lock().unwrap() = true;
    assert_eq!(world.post(CLAIM_PATH, TOKEN, &json!({})).await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_question_is_refused_with_the_reason() {
    let world = World::new().await;
    let too_long = |path, length: usize| request(path, TOKEN, &format!("content-length: {length}\r\n"), "");
    for (path, most) in [(CLAIM_PATH, CLAIM_BYTES_MAX), (EXITED_PATH, REPORT_BYTES_MAX)] {
        let (status, message) = world.raw(too_long(path, most + 1).as_bytes()).await;
        assert_eq!(status, 413);
        assert_eq!(message, format!("the request has {} bytes; at most {most} are read", most + 1));
    }
    let chunked = request(CLAIM_PATH, TOKEN, "transfer-encoding: chunked\r\n", "0\r\n\r\n");
    assert_eq!(world.raw(chunked.as_bytes()).await.0, 411);
    let (status, message) = world.post(CLAIM_PATH, TOKEN, &json!({"claimant": {"runId": 1}})).await;
    assert!(status == 400 && message.contains("expected a string"), "{message}");
    assert_eq!(world.post("/agent/v1/other", TOKEN, &claim()).await.0, 404);
    let get = format!("GET {CLAIM_PATH} HTTP/1.1\r\nhost: o\r\nconnection: close\r\n\r\n");
    assert_eq!(world.raw(get.as_bytes()).await.0, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_of_another_authority_is_never_told_the_token() {
    let world = World::new().await;
    let mut messages = world.actor();
    let other = AuthorityPem::generate(SystemTime::now()).unwrap();
    let token = world.folder.path().join("token");
    std::fs::write(&token, TOKEN).unwrap();
    let url = format!("https://{}{CLAIM_PATH}", world.address);
    let ask = |ca: &str| {
        let http = weir_agent::http::operator(Some(&Pem::Text(ca.to_owned()))).unwrap();
        let asked = http.post(&url).header("authorization", format!("Bearer {TOKEN}")).send("{}");
        asked.map(|response| response.status().as_u16()).map_err(|error| error.to_string())
    };
    tokio::task::block_in_place(|| {
        let error = ask(&other.certificates).unwrap_err();
        assert!(error.contains("invalid peer certificate"), "{error}");
        assert_eq!(world.reviewer.reviews.load(Ordering::SeqCst), 0);
        assert_eq!(ask(&format!("{}{}", other.certificates, world.authority.certificates)), Ok(400));
    });
    assert!(messages.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_under_way_is_still_answered_when_the_server_stops() {
    let mut world = World::new().await;
    let mut messages = world.actor();
    let operator = world.operator();
    let report = serde_json::from_value(exited()).unwrap();
    let answered = tokio::task::spawn_blocking(move || operator.exited(&report));
    let Message::Agent(AgentCall::Exited(_, answer)) = messages.recv().await.unwrap() else { panic!("not a report") };
    let (stop, serving) = world.running.take().unwrap();
    stop.send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    answer.send(ExitedAnswer::Done {}).unwrap();
    assert_eq!(answered.await.unwrap(), Ok(ExitedAnswer::Done {}));
    serving.await.unwrap();
}

#[tokio::test]
async fn who_says_nothing_is_shown_out() {
    let world = World::new().await;
    let mut silent = TcpStream::connect(world.address).await.unwrap();
    let mut greeted = world.connect().await;
    // The rest takes no time.
    tokio::time::pause();
    let begin = tokio::time::Instant::now();
    assert_eq!(silent.read(&mut [0]).await.unwrap(), 0);
    assert!(begin.elapsed() <= HANDSHAKE_TIME + Duration::from_secs(1), "{:?}", begin.elapsed());
    let _ = greeted.read(&mut [0]).await;
    assert!(begin.elapsed() <= AGENT_IDLE + Duration::from_secs(1), "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_agents_wait_at_the_same_time_in_little_memory() {
    const AGENTS: usize = 1000;
    let world = Arc::new(World::new().await);
    let mut messages = world.actor();
    let before = resident_bytes();
    let (mut agents, mut waiting) = (Vec::new(), Vec::new());
    while waiting.len() < AGENTS {
        // All handshakes at once, of both ends, take this process longer than one of them may.
        agents.extend((0..50).map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                loop {
                    let answer = world.post(CLAIM_PATH, TOKEN, &claim()).await;
                    if answer.1 != r#"{"wait":{}}"# {
                        break answer;
                    }
                }
            })
        }));
        while waiting.len() < agents.len() {
            waiting.push(next_claim(&mut messages).await);
        }
    }
    let used = resident_bytes().saturating_sub(before);
    // Both ends of each connection are in this process.
    assert!(used < AGENTS as u64 * (200 << 10), "{used} bytes");
    for answer in waiting {
        // On a slow machine the first of them were told to wait, and ask again.
        let _ = answer.send(ClaimAnswer::Superseded {});
    }
    let answering = tokio::spawn(async move {
        loop {
            let _ = next_claim(&mut messages).await.send(ClaimAnswer::Superseded {});
        }
    });
    for agent in agents {
        assert_eq!(agent.await.unwrap(), (200, r#"{"superseded":{}}"#.to_owned()));
    }
    answering.abort();
    assert_eq!(world.reviewer.reviews.load(Ordering::SeqCst), 1);
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}
