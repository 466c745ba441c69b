//! Both programs with the real operator's side: the agents' server of the cluster over TLS, an actor that follows a
//! script, and the store's own server with presigned requests.

#![expect(clippy::unwrap_used, reason = "a test ends where its surroundings break")]

use std::net::SocketAddr;
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use weir_agent::limits::AGENT_WAIT;
use weir_api::agent::{
    AgentOrder, ClaimAnswer, Complete, CompleteAnswer, Content, Contents, Exited, ExitedAnswer, Placement,
    PresignedPut, ReadRequest, UploadRequest,
};
use weir_cluster::agents::auth::{PodIdentity, Review, ReviewError};
use weir_cluster::agents::server::serve;
use weir_cluster::agents::tls::{AuthorityPem, Certificates};
use weir_cluster::registry::{AgentCall, Message, Registry};
use weir_store::presign::{PutTerms, Signer};
use weir_store::server::{Credentials, KeyPair, Server, ServerSettings};

use crate::world::{self, World, sha256};

const BUCKET: &str = "weir";
const EXPIRES: Duration = Duration::from_mins(10);

/// Knows the token of the world's only pod.
struct Reviewer;

impl Review for Reviewer {
    async fn review(&self, token: &str) -> Result<PodIdentity, ReviewError> {
        if token != "secret" {
            return Err(ReviewError::Refused("not the pod's token".to_owned()));
        }
        Ok(PodIdentity { namespace: "tenant".to_owned(), name: "pod".to_owned(), uid: "uid-1".to_owned() })
    }
}

/// One operator's life: its server, and the mailbox of the only job.
struct Operator {
    messages: mpsc::Receiver<Message>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
    _knows_all_jobs: watch::Sender<bool>,
}

/// Nothing else of these tests is at this address: a port that was given up can be had again.
const HOST: &str = "127.0.0.2";

/// A cluster without Kubernetes around the two programs.
struct Cluster {
    world: World,
    runtime: Runtime,
    authority: AuthorityPem,
    certificates: Arc<Certificates>,
    address: SocketAddr,
    signer: Signer,
    objects: tempfile::TempDir,
}

impl Cluster {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let authority = AuthorityPem::generate(SystemTime::now()).unwrap();
        let names = vec![HOST.to_owned()];
        let certificates = Arc::new(Certificates::new(&authority, names, SystemTime::now()).unwrap());
        let objects = tempfile::tempdir().unwrap();
        let signer = runtime.block_on(start_store(&objects));
        // The port that every operator of this cluster has.
        let address = std::net::TcpListener::bind((HOST, 0)).unwrap().local_addr().unwrap();
        Self { world: World::new(), runtime, authority, certificates, address, signer, objects }
    }

    fn start_operator(&self) -> Operator {
        let registry = Registry::default();
        let (mailbox, messages) = mpsc::channel(8);
        registry.insert("tenant", "run-1", mailbox);
        let knows_all_jobs = watch::Sender::new(true);
        let known = knows_all_jobs.subscribe();
        let tls = self.certificates.server_config().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let listener = self.runtime.block_on(TcpListener::bind(self.address)).unwrap();
        let shutdown = async { drop(stopped.await) };
        let serving = self.runtime.spawn(serve(listener, tls, Reviewer, registry, known, shutdown));
        Operator { messages, stop, serving, _knows_all_jobs: knows_all_jobs }
    }

    /// Ends an operator and with it all that it knows.
    fn stop(&self, operator: Operator) {
        operator.stop.send(()).unwrap();
        self.runtime.block_on(operator.serving).unwrap();
    }

    fn start_agent(&self) -> Child {
        self.world.start_agent_of(&format!("https://{}", self.address), &self.authority.certificates)
    }

    fn hear(&self, operator: &mut Operator) -> AgentCall {
        let heard = self.runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(30), operator.messages.recv()).await.unwrap().unwrap()
        });
        let Message::Agent(call) = heard;
        call
    }

    fn hear_exited(&self, operator: &mut Operator) -> (Exited, oneshot::Sender<ExitedAnswer>) {
        match self.hear(operator) {
            AgentCall::Exited(exited, answer) => (*exited, answer),
            other => panic!("not a report: {other:?}"),
        }
    }

    fn hear_complete(&self, operator: &mut Operator) -> (Complete, oneshot::Sender<CompleteAnswer>) {
        match self.hear(operator) {
            AgentCall::Complete(complete, answer) => (*complete, answer),
            other => panic!("not a completion: {other:?}"),
        }
    }

    fn hear_claim(&self, operator: &mut Operator) -> oneshot::Sender<ClaimAnswer> {
        match self.hear(operator) {
            AgentCall::Claim(_, answer) => answer,
            other => panic!("not a claim: {other:?}"),
        }
    }

    fn put(&self, key: &str, create: bool) -> PresignedPut {
        let terms = PutTerms { create, ..PutTerms::default() };
        let put = self.signer.put(key, &terms, SystemTime::now(), EXPIRES).unwrap();
        PresignedPut { url: put.url, headers: put.headers }
    }

    /// Stores an object and says where an agent gets it.
    fn input(&self, key: &str, bytes: &[u8]) -> Content {
        let put = self.put(key, true);
        let http = weir_agent::http::data(None).unwrap();
        let mut request = http.put(&put.url);
        for (name, value) in &put.headers {
            request = request.header(name, value);
        }
        assert_eq!(request.send(bytes).unwrap().status(), 200);
        let url = self.signer.get(key, SystemTime::now(), EXPIRES).unwrap().url;
        Content::Url { url, sha256: Some(sha256(bytes)), size: Some(bytes.len() as u64) }
    }

    fn stored(&self, key: &str) -> Vec<u8> {
        let url = self.signer.get(key, SystemTime::now(), EXPIRES).unwrap().url;
        let mut response = weir_agent::http::data(None).unwrap().get(&url).call().unwrap();
        assert_eq!(response.status(), 200, "{key} in {}", self.objects.path().display());
        response.body_mut().read_to_vec().unwrap()
    }

    fn order(&self, script: &str) -> AgentOrder {
        AgentOrder { log: Some(self.put("logs/7.log", false)), ..self.world.shell(script) }
    }
}

async fn start_store(folder: &tempfile::TempDir) -> Signer {
    let (access_key, secret_key) = ("AK".to_owned(), "secret-of-weir".to_owned());
    let pair = KeyPair::unlimited(access_key, secret_key);
    let settings = ServerSettings {
        dir: folder.path().to_owned(),
        fsync: false,
        credentials: Credentials::fixed(vec![pair]).unwrap(),
        buckets: vec![BUCKET.to_owned()],
    };
    let server = Server::open(settings).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    // Ends with the runtime.
    tokio::spawn(async move { server.serve(listener, std::future::pending()).await });
    Signer::new(&endpoint, "us-east-1", BUCKET, "AK", "secret-of-weir").unwrap()
}

#[test]
fn a_step_comes_to_its_end_though_the_operator_is_restarted_at_every_point() {
    let cluster = Cluster::new();
    let world = &cluster.world;
    let script = "cat $SCENE > copy; echo '{}' > cwl.output.json; echo logged; \
                  touch running; while [ ! -e go ]; do sleep 0.01; done; rm go running";
    let mut order = cluster.order(script);
    let scene = world.work("in/1/scene").to_string_lossy().into_owned();
    order.env.push(("SCENE".to_owned(), scene.clone()));
    order.placements.push(Placement { path: scene, content: cluster.input("blobs/scene", b"pixels"), writable: false });

    // The tool's container is there long before there is an operator, and the operator before there is work.
    let (shim, agent) = (world.start_shim(), cluster.start_agent());
    let mut operator = cluster.start_operator();
    let held = cluster.hear_claim(&mut operator);
    cluster.stop(operator);
    drop(held);

    let mut operator = cluster.start_operator();
    cluster.hear_claim(&mut operator).send(ClaimAnswer::Order(Box::new(order))).unwrap();
    World::wait_for(&world.work("out/running"));
    cluster.stop(operator);

    // The tool ends while nobody listens.
    std::fs::write(world.work("out/go"), "").unwrap();
    assert_eq!(world::wait(shim).0, Some(0));

    // One operator wants to read, the next one, which knows nothing of that, too; the third one hears the end.
    let mut operator = cluster.start_operator();
    let (exited, answer) = cluster.hear_exited(&mut operator);
    assert!(exited.contents.is_empty());
    drop(answer);
    cluster.stop(operator);
    let mut operator = cluster.start_operator();
    let (_, answer) = cluster.hear_exited(&mut operator);
    let read = ReadRequest { path: "cwl.output.json".to_owned(), bytes_max: 64 };
    answer.send(ExitedAnswer::Read { files: vec![read] }).unwrap();
    let (exited, answer) = cluster.hear_exited(&mut operator);
    assert_eq!(exited.contents["cwl.output.json"], Contents::Text("{}\n".to_owned()));
    let upload = UploadRequest { path: "copy".to_owned(), put: cluster.put("att/7/0", true) };
    answer.send(ExitedAnswer::Upload { files: vec![upload] }).unwrap();
    let (first, answer) = cluster.hear_complete(&mut operator);
    cluster.stop(operator);
    drop(answer);
    let mut operator = cluster.start_operator();
    let (complete, answer) = cluster.hear_complete(&mut operator);
    answer.send(CompleteAnswer::Done {}).unwrap();
    let (code, stderr) = world::wait(agent);
    assert_eq!(code, Some(0), "{stderr}");
    cluster.stop(operator);

    assert_eq!(complete, first);
    assert_eq!(complete.exited, exited);
    assert_eq!((complete.uploaded[0].size, complete.uploaded[0].sha256.as_str()), (6, sha256(b"pixels").as_str()));
    assert_eq!(cluster.stored("att/7/0"), b"pixels");
    assert_eq!(cluster.stored("logs/7.log"), b"logged\n");
}

#[test]
fn a_spare_pod_is_sent_away_when_it_is_not_needed() {
    let cluster = Cluster::new();
    let (shim, agent) = (cluster.world.start_shim(), cluster.start_agent());
    let mut operator = cluster.start_operator();
    cluster.hear_claim(&mut operator).send(ClaimAnswer::Wait {}).unwrap();
    cluster.hear_claim(&mut operator).send(ClaimAnswer::Superseded {}).unwrap();
    assert_eq!((world::wait(shim).0, world::wait(agent).0), (Some(0), Some(0)));
    cluster.stop(operator);
}

#[test]
#[ignore = "takes 40 s"]
fn a_spare_pod_waits_longer_than_a_shim_looks_for_its_agent() {
    let cluster = Cluster::new();
    let world = &cluster.world;
    let (shim, agent) = (world.start_shim(), cluster.start_agent());
    // Nobody listens for a while, then the claim is held.
    std::thread::sleep(AGENT_WAIT / 2);
    let mut operator = cluster.start_operator();
    let claim = cluster.hear_claim(&mut operator);
    std::thread::sleep(AGENT_WAIT * 3 / 4);
    claim.send(ClaimAnswer::Order(Box::new(cluster.order("echo late > a")))).unwrap();
    assert_eq!(world::wait(shim).0, Some(0));
    let (_, answer) = cluster.hear_exited(&mut operator);
    answer.send(ExitedAnswer::Done {}).unwrap();
    assert_eq!(world::wait(agent).0, Some(0));
    cluster.stop(operator);
}
