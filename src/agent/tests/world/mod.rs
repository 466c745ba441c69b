//! The surroundings of a pod's two programs.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where its surroundings break")]

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rustls::pki_types::PrivateKeyDer;
use sha2::{Digest as _, Sha256};
use weir_api::agent::{
    AgentOrder, CLAIM_PATH, COMPLETE_PATH, ClaimAnswer, Complete, CompleteAnswer, Content, EXITED_PATH, Ending,
    EntryKind, Exited, ExitedAnswer, Placement, PresignedPut, ReadRequest, UploadRequest,
};
use weir_api::limits::OUTPUT_OBJECT_BYTES_MAX;

/// Longer than any test takes, shorter than anybody's patience.
const PATIENCE: Duration = Duration::from_mins(1);

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// This status.
    Status(u16),
    /// No answer.
    Drop,
    /// So many bytes of the object, then no more.
    Cut(usize),
}

#[derive(Default)]
struct State {
    is_down: bool,
    order: Option<AgentOrder>,
    claims: VecDeque<ClaimAnswer>,
    reads: Vec<String>,
    exited: Vec<Exited>,
    completes: Vec<Complete>,
    objects: HashMap<String, Vec<u8>>,
    stored: HashMap<String, Vec<u8>>,
    faults: HashMap<String, VecDeque<Fault>>,
    requests: Vec<String>,
}

/// A volume, an operator and a store.
pub struct World {
    folder: tempfile::TempDir,
    url: String,
    state: Arc<Mutex<State>>,
}

/// How both programs ended.
pub struct End {
    pub agent: Option<i32>,
    pub shim: Option<i32>,
    pub shim_stdout: String,
    pub shim_stderr: String,
    pub termination: Vec<u8>,
}

pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Waits for a program; its exit code and standard error.
pub fn wait(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

pub fn terminate(child: &Child) {
    rustix::process::kill_process(rustix::process::Pid::from_child(child), rustix::process::Signal::TERM).unwrap();
}

/// Waits until a program has arranged what SIGTERM does: before that it dies by it.
pub fn until_terminable(child: &Child) {
    let bit = 1 << (rustix::process::Signal::TERM.as_raw() - 1);
    until("SIGTERM is not caught", || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & bit != 0)
    });
}

/// Waits until something is so.
pub fn until(otherwise: &str, is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "{otherwise}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

impl World {
    pub fn new() -> Self {
        Self::serve("http", None)
    }

    /// The same by HTTPS, with a certificate of its own.
    pub fn with_tls() -> Self {
        let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key)
            .unwrap();
        let world = Self::serve("https", Some(Arc::new(config)));
        std::fs::write(world.ca(), certified.cert.pem()).unwrap();
        world
    }

    fn serve(scheme: &str, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let served = Arc::clone(&state);
        let base = url.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, state, base) = (stream.unwrap(), Arc::clone(&served), base.clone());
                let tls = tls.clone();
                std::thread::spawn(move || match tls {
                    None => while serve(&mut stream, &state, &base).is_some() {},
                    Some(config) => {
                        let connection = rustls::ServerConnection::new(config).unwrap();
                        let mut stream = rustls::StreamOwned::new(connection, stream);
                        while serve(&mut stream, &state, &base).is_some() {}
                    }
                });
            }
        });
        let world = Self { folder, url, state };
        std::fs::write(world.token(), "secret\n").unwrap();
        world
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn token(&self) -> PathBuf {
        self.folder().join("token")
    }

    pub fn ca(&self) -> PathBuf {
        self.folder().join("ca.pem")
    }

    pub fn work(&self, path: &str) -> PathBuf {
        self.folder().join("work").join(path)
    }

    /// An order that runs a shell script.
    pub fn shell(&self, script: &str) -> AgentOrder {
        let outdir = self.work("out").to_string_lossy().into_owned();
        AgentOrder {
            argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
            env: vec![("HOME".to_owned(), outdir.clone())],
            outdir,
            tmpdir: Some(self.work("tmp").to_string_lossy().into_owned()),
            log: Some(PresignedPut { url: format!("{}/put/log", self.url), headers: Vec::new() }),
            ..AgentOrder::default()
        }
    }

    pub fn placed_url(&self, path: &str, object: &str) -> Placement {
        let url = format!("{}/data/{object}", self.url);
        let bytes = self.state().objects.get(object).cloned();
        let content = Content::Url {
            url,
            sha256: bytes.as_deref().map(sha256),
            size: bytes.as_ref().map(|bytes| bytes.len() as u64),
        };
        Placement { path: self.work(path).to_string_lossy().into_owned(), content, writable: false }
    }

    pub fn placed_literal(&self, path: &str, text: &str) -> Placement {
        let content = Content::Literal(text.to_owned());
        Placement { path: self.work(path).to_string_lossy().into_owned(), content, writable: false }
    }

    pub fn object(&self, name: &str, bytes: &[u8]) {
        self.state().objects.insert(name.to_owned(), bytes.to_vec());
    }

    pub fn fault(&self, path: &str, faults: impl IntoIterator<Item = Fault>) {
        self.state().faults.entry(path.to_owned()).or_default().extend(faults);
    }

    pub fn claims(&self, answers: impl IntoIterator<Item = ClaimAnswer>) {
        self.state().claims.extend(answers);
    }

    pub fn read_back(&self, paths: impl IntoIterator<Item = &'static str>) {
        self.state().reads.extend(paths.into_iter().map(str::to_owned));
    }

    pub fn set_down(&self, is_down: bool) {
        self.state().is_down = is_down;
    }

    pub fn order(&self, order: AgentOrder) {
        self.state().order = Some(order);
    }

    pub fn last_exited(&self) -> Exited {
        self.state().exited.last().cloned().expect("the end was reported")
    }

    pub fn completes(&self) -> Vec<Complete> {
        self.state().completes.clone()
    }

    pub fn stored(&self, path: &str) -> Option<Vec<u8>> {
        self.state().stored.get(path).cloned()
    }

    pub fn requests(&self) -> Vec<String> {
        self.state().requests.clone()
    }

    pub fn start_agent(&self) -> Child {
        let mut agent = self.agent(&self.url);
        if self.ca().exists() {
            let ca = std::fs::read_to_string(self.ca()).unwrap();
            agent.env("WEIR_CA", ca).env("WEIR_STORE_CA_FILE", self.ca());
        } else {
            agent.arg("--allow-http");
        }
        agent.spawn().unwrap()
    }

    /// An agent of another operator, which `ca` vouches for.
    pub fn start_agent_of(&self, operator: &str, ca: &str) -> Child {
        self.agent(operator).env("WEIR_CA", ca).spawn().unwrap()
    }

    fn agent(&self, operator: &str) -> Command {
        let mut agent = Command::new(env!("CARGO_BIN_EXE_weir-agent"));
        agent
            .arg("run")
            .env_clear()
            .env("WEIR_FOLDER", self.folder())
            .env("WEIR_OPERATOR_URL", operator)
            .env("WEIR_TOKEN_FILE", self.token())
            .env("WEIR_TERMINATION_LOG", self.folder().join("termination"))
            .envs([("WEIR_RUN_ID", "run-1"), ("WEIR_INCARNATION", "7"), ("WEIR_POD_UID", "uid-1")])
            .stderr(Stdio::piped());
        agent
    }

    pub fn start_shim(&self) -> Child {
        self.start_shim_with(&[])
    }

    pub fn start_shim_with(&self, env: &[(&str, &str)]) -> Child {
        let mut shim = Command::new(env!("CARGO_BIN_EXE_weir-shim"));
        shim.arg(self.folder()).envs(env.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
        shim.spawn().unwrap()
    }

    /// Runs both programs to their end.
    pub fn run(&self, order: AgentOrder) -> End {
        self.order(order);
        // The shim first: it waits.
        let shim = self.start_shim();
        let agent = self.start_agent();
        let shim = shim.wait_with_output().unwrap();
        let (agent, _) = wait(agent);
        End {
            agent,
            shim: shim.status.code(),
            shim_stdout: String::from_utf8_lossy(&shim.stdout).into_owned(),
            shim_stderr: String::from_utf8_lossy(&shim.stderr).into_owned(),
            termination: std::fs::read(self.folder().join("termination")).unwrap_or_default(),
        }
    }

    pub fn wait_for(path: &Path) {
        until(&format!("{} does not appear", path.display()), || path.exists());
    }

    /// Asserts that the process whose id stands in a file runs no more.
    pub fn assert_gone(pid_file: &Path) {
        let pid = std::fs::read_to_string(pid_file).unwrap();
        assert!(!Path::new("/proc").join(pid.trim()).exists(), "process {pid} still runs");
    }
}

/// Serves one request; `None` closes the connection.
fn serve(stream: &mut (impl Read + Write), state: &Mutex<State>, base: &str) -> Option<()> {
    let mut reader = BufReader::new(&mut *stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let path = target.split('?').next()?.to_owned();
    let fault = {
        let mut state = state.lock().unwrap();
        let noted = format!("{method} {target} {} {}", header(&headers, "range"), header(&headers, "authorization"));
        state.requests.push(noted);
        if state.is_down {
            return None;
        }
        state.faults.get_mut(&path).and_then(VecDeque::pop_front)
    };
    let (status, mut answer) = match fault {
        Some(Fault::Drop) => return None,
        Some(Fault::Status(status)) => (status, Vec::new()),
        _ if path.starts_with("/agent/") && header(&headers, "authorization") != "Bearer secret" => (401, Vec::new()),
        _ => handle(&method, &path, &headers, body, &mut state.lock().unwrap(), base),
    };
    let etag = "etag: \"1\"\r\n";
    write!(stream, "HTTP/1.1 {status} X\r\n{etag}content-length: {}\r\n\r\n", answer.len()).ok()?;
    if let Some(Fault::Cut(length)) = fault {
        let range: usize = range_start(&headers);
        answer.truncate(length - range);
        stream.write_all(&answer).ok()?;
        return None;
    }
    stream.write_all(&answer).ok()
}

fn header<'a>(headers: &'a HashMap<String, String>, name: &str) -> &'a str {
    headers.get(name).map_or("", String::as_str)
}

fn range_start(headers: &HashMap<String, String>) -> usize {
    let range = header(headers, "range").strip_prefix("bytes=").and_then(|range| range.strip_suffix('-'));
    range.map_or(0, |start| start.parse().unwrap())
}

fn handle(
    method: &str,
    path: &str,
    headers: &HashMap<String, String>,
    body: Vec<u8>,
    state: &mut State,
    base: &str,
) -> (u16, Vec<u8>) {
    let json = |value: serde_json::Result<Vec<u8>>| (200, value.unwrap());
    match (method, path) {
        ("POST", CLAIM_PATH) => {
            let answer = state.claims.pop_front();
            let order = || ClaimAnswer::Order(Box::new(state.order.clone().unwrap()));
            json(serde_json::to_vec(&answer.unwrap_or_else(order)))
        }
        ("POST", EXITED_PATH) => {
            let exited: Exited = serde_json::from_slice(&body).unwrap();
            let answer = if exited.ending != Ending::Code(0) || exited.listing.incomplete.is_some() {
                ExitedAnswer::Done {}
            } else if exited.contents.len() < state.reads.len() {
                let request = |path: &String| ReadRequest { path: path.clone(), bytes_max: OUTPUT_OBJECT_BYTES_MAX };
                ExitedAnswer::Read { files: state.reads.iter().map(request).collect() }
            } else {
                let files = exited.listing.entries.iter().filter(|it| matches!(it.kind, EntryKind::File { .. }));
                let request = |path: &String| UploadRequest {
                    path: path.clone(),
                    put: PresignedPut {
                        url: format!("{base}/put/{path}"),
                        headers: vec![("if-none-match".to_owned(), "*".to_owned())],
                    },
                };
                ExitedAnswer::Upload { files: files.map(|entry| request(&entry.path)).collect() }
            };
            state.exited.push(exited);
            json(serde_json::to_vec(&answer))
        }
        ("POST", COMPLETE_PATH) => {
            state.completes.push(serde_json::from_slice(&body).unwrap());
            json(serde_json::to_vec(&CompleteAnswer::Done {}))
        }
        ("GET", path) => match path.strip_prefix("/data/").and_then(|name| state.objects.get(name)) {
            Some(bytes) => match range_start(headers) {
                0 => (200, bytes.clone()),
                start => (206, bytes[start..].to_vec()),
            },
            None => (404, Vec::new()),
        },
        ("PUT", path) => {
            assert!(headers.contains_key("content-length"), "a store wants the length: {headers:?}");
            let name = path.strip_prefix("/put/").unwrap().to_owned();
            if header(headers, "if-none-match") == "*" && state.stored.contains_key(&name) {
                return (412, Vec::new());
            }
            state.stored.insert(name, body);
            (200, Vec::new())
        }
        other => panic!("unexpected request {other:?}"),
    }
}
