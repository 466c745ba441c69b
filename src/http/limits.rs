//! Every limit of the façade with its unit and its reason (invariant I7).

use std::time::Duration;

/// Bytes of a request's body. Packages are at most a few hundred KiB; an execute request may hold base64 images.
pub const BODY_BYTES: usize = 16 << 20;

/// Bytes of memory that all requests together may take, as [`BYTE_MEMORY`] and [`NODE_MEMORY`] count it: half of what the
/// chart lets the operator have.
pub const BODIES_MEMORY: usize = 256 << 20;

/// Of these, bytes that the requests of one tenant may take: the largest that is taken at all, and something beside it.
pub const BODIES_MEMORY_OF_TENANT: usize = 208 << 20;

/// Bytes of memory that a byte of a body stands for: itself, and again in what is read, and made of it.
pub const BYTE_MEMORY: usize = 3;

/// Bytes of memory that a value or a name in JSON stands for: 72 or more wherever it is held, and an execution holds it as
/// it was sent, as it is checked, and as it is kept. Measured: 290 for numbers, 360 for small objects.
pub const NODE_MEMORY: usize = 384;

/// Bytes of a body that are read and forgotten after its request was refused by its head.
pub const UNREAD_BYTES: u64 = 1 << 20;

/// How long what is still sent of a refused request is read: its client reads the answer when it has sent all.
pub const UNREAD_TIME: Duration = Duration::from_secs(5);

/// Levels of nested arrays and objects in a request's body. A STAC item has about ten.
pub const BODY_DEPTH: usize = 64;

/// Values and names in a JSON body: 80,000 Files, each with its class and location, or a polygon of 130,000 points.
pub const JSON_NODES: usize = 400_000;

/// How long a request's body may take to arrive; 16 MiB at 2.2 Mbit/s.
pub const BODY_TIME: Duration = Duration::from_mins(1);

/// How long a request may take to be answered once its body is there, whatever it waits for; the body of the answer comes
/// at its client's pace. The longest that is meant to be: inputs by reference ([`REFERENCES_MAX`]) take two minutes, and the
/// synchronous execution of the job ([`SYNC_TIME`]) comes after that.
pub const ANSWER_TIME: Duration = Duration::from_mins(4);

/// How long the head of a request may take, and how long a connection may be idle.
pub const HEAD_TIME: Duration = Duration::from_mins(1);

/// Bytes of the head of a request: cookies and tokens of proxies included.
pub const HEAD_BYTES: usize = 64 << 10;

/// Connections at the same time; more wait to be accepted. One takes about 20 KiB at rest.
pub const CONNECTIONS: usize = 4096;

/// How long a client may take nothing of an answer that waits for it; then its connection is closed.
pub const WRITE_TIME: Duration = Duration::from_mins(1);

/// How long requests under way may take when the program stops: the reading of a log or result.
pub const STOP_GRACE: Duration = Duration::from_secs(10);

/// Pause after a connection could not be accepted: out of file descriptors, mostly, which passes when others close.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bytes of a message of axum's that becomes a problem's detail.
pub const PROBLEM_BYTES: usize = 4 << 10;

/// Seconds after which to try again when the store or the API server was not reached.
pub const RETRY_SECONDS: u32 = 5;

/// Entries of a page of a list, if the client does not say (18-062r2, `/req/core/pl-limit-definition`).
pub const PAGE_DEFAULT: u32 = 10;

/// Entries of a page at most (18-062r2, `/req/core/pl-limit-definition`).
pub const PAGE_MAX: u32 = 10_000;

/// How long all that one package imports may take to come: 256 small documents at half a second each.
pub const PACKAGE_FETCH_TIME: Duration = Duration::from_mins(2);

/// Packages that are read for deployments at a time. Each has a thread of its own, and a large one 100 MiB of memory.
pub const DEPLOYMENTS_AT_ONCE: usize = 4;

/// Of these, packages of one tenant.
pub const DEPLOYMENTS_OF_TENANT: usize = 2;

/// How long a deployment waits for its turn: dozens of packages that import nothing.
pub const DEPLOYMENT_WAIT: Duration = Duration::from_secs(20);

/// Bytes of the findings about one package that a refusal quotes; nobody reads more.
pub const FINDINGS_BYTES: usize = 32 << 10;

/// Bytes of a bearer token; those of providers with hundreds of groups have a few KiB.
pub const TOKEN_BYTES: usize = 16 << 10;

/// How far the clocks of a provider and of weir may be apart.
pub const TOKEN_LEEWAY: Duration = Duration::from_mins(1);

/// How long a provider's keys are used without asking for them again. A withdrawn key works on as long, and then until the
/// provider has answered.
pub const KEYS_TIME: Duration = Duration::from_mins(10);

/// Least time between two requests for a provider's keys, whatever tokens come.
pub const KEYS_PAUSE: Duration = Duration::from_secs(10);

/// Bytes of a provider's configuration, and of its keys.
pub const KEYS_BYTES: usize = 256 << 10;

/// Keys of a provider that are looked at; they have two or three.
pub const KEYS_MAX: usize = 64;

/// Mistakes of one request that its answer tells; who has more than that has one.
pub const MISTAKES_MAX: usize = 20;

/// Bytes of a schema's compiled pattern, and of what matching it keeps: the identifiers and times of descriptions need a
/// few KiB.
pub const PATTERN_BYTES: usize = 256 << 10;

/// Compiled patterns that a thread keeps: those of one description.
pub const PATTERNS_KEPT: usize = 32;

/// Characters of a client's value that a message shows.
pub const SHOWN_CHARACTERS: usize = 60;

/// Bytes of an input that is given by reference and is no file: it becomes part of the job.
pub const REFERENCE_BYTES: usize = 1 << 20;

/// Inputs of one request that are fetched for it: each may take [`weir_api::limits::DOCUMENT_FETCH_SECONDS_MAX`].
pub const REFERENCES_MAX: usize = 32;

/// How many of them are fetched at a time.
pub const REFERENCES_AT_ONCE: usize = 8;

/// Bytes of a file's contents given by value that stay text in the input object (CWL v1.2, "File": 64 KiB); larger ones
/// become a `data:` URL.
pub const CONTENTS_BYTES: usize = 64 << 10;

/// How long a synchronous execution is waited for. Then its client is given the job instead: proxies end silent
/// connections after a minute.
pub const SYNC_TIME: Duration = Duration::from_secs(50);

/// Items of one STAC result that are given inline; beyond it there is the catalog.
pub const RESULT_ITEMS_MAX: usize = 10_000;

/// Bytes of one document of a published STAC catalog.
pub const RESULT_DOCUMENT_BYTES: usize = 4 << 20;

/// Bytes of all documents of one output: 5,000 STAC items. Whoever has more reads them from the store.
pub const RESULT_BYTES: usize = 16 << 20;

/// Bytes of memory that all answers together may take that are made of documents, as the next three count it. Bodies of
/// requests beside it, that is three quarters of what the chart lets the operator have.
pub const ANSWERS_MEMORY: usize = 128 << 20;

/// Of these, bytes of one tenant's: the largest answer.
pub const ANSWERS_MEMORY_OF_TENANT: usize = 96 << 20;

/// Bytes of memory that a byte of a published document stands for: itself, what is read of it, and the answer's text.
pub const RESULT_BYTE_MEMORY: usize = 6;

/// Bytes of memory that a value, or a name, in an output object stands for besides its text.
pub const RESULT_VALUE_MEMORY: usize = 100;

/// Bytes of the end of a tool's standard error in the message of its failed job: a dozen lines, which clients show beside
/// its state. Its results' problem has all that was kept, [`weir_api::limits::STDERR_TAIL_BYTES`].
pub const MESSAGE_STDERR_BYTES: usize = 1 << 10;

/// Bytes of memory that a job in a list stands for: its links and times, and their text.
pub const LISTED_JOB_MEMORY: usize = 5 << 10;

/// Documents of a catalog that are read at a time.
pub const RESULT_READS_AT_ONCE: usize = 16;

/// Ways to divide a folder's name into process and job that are looked up.
pub const TEXT_FOLDER_TRIES: usize = 16;

/// Notices that are sent at a time.
pub const NOTICES_AT_ONCE: usize = 16;

/// Of these, notices of one tenant: subscribers that do not answer hold a place for 30 s, and others have places left.
pub const NOTICES_OF_TENANT: usize = 4;

/// Tries to deliver one notice; with the pauses below about four minutes.
pub const NOTICE_TRIES: u32 = 8;

/// Before the second try; doubled for each further one.
pub const NOTICE_PAUSE: Duration = Duration::from_secs(2);

/// Bytes of a log that its page shows; the text itself has all of it.
pub const TEXT_SHOWN_BYTES: usize = 1 << 20;

/// Seconds after which the page of a job that is not over asks again.
pub const REFRESH_SECONDS: u32 = 5;
