//! Every limit of the engine with its unit and its reason (invariant I7).
//!
//! Limits of a stand-alone crate (raster, script) stand in that crate's own `limits.rs`.

/// Elements of one scatter. 100,000 elements keep a job's state under 100 MB.
pub const SCATTER_ELEMENTS_MAX: usize = 100_000;

/// Bytes of one document: package, import, input object. The largest public EO package is under 200 kB.
pub const DOCUMENT_BYTES_MAX: usize = 16 << 20;

/// Depth of nesting of a document; deeper is an attack or a mistake, and would exhaust the stack.
pub const DOCUMENT_DEPTH_MAX: usize = 128;

/// Nodes of one document after aliases are expanded.
pub const DOCUMENT_NODES_MAX: usize = 2_000_000;

/// Depth of nested workflows.
pub const WORKFLOW_DEPTH_MAX: usize = 32;

/// Documents that one package may import.
pub const IMPORTS_MAX: usize = 256;

/// Bytes that `loadContents` reads (CWL v1.2, "loadContents": 64 KiB).
pub const LOAD_CONTENTS_BYTES_MAX: u64 = 64 << 10;

/// Bytes of `cwl.output.json`.
pub const OUTPUT_OBJECT_BYTES_MAX: u64 = 64 << 20;

/// Counted attempts of one step instance, the first included.
pub const ATTEMPTS_MAX: u32 = 3;

/// Uncounted retries of one step instance (invariant I6).
pub const UNCOUNTED_RETRIES_MAX: u32 = 8;

/// Milliseconds before the first retry; doubled for each further one.
pub const RETRY_BACKOFF_MS: u64 = 500;

/// Milliseconds that a retry waits at most.
pub const RETRY_BACKOFF_MAX_MS: u64 = 60_000;

/// Bytes of one log file; head and tail are kept beyond it.
pub const LOG_BYTES_MAX: u64 = 64 << 20;

/// Bytes of the end of stderr that a failure quotes.
pub const STDERR_TAIL_BYTES: usize = 4 << 10;

/// Cores of a step that states none.
pub const DEFAULT_CORES: f64 = 1.0;

/// Mebibytes of memory of a step that states none.
pub const DEFAULT_RAM_MIB: u64 = 256;

/// Mebibytes of temporary and output space that `runtime` reports for a step that states none (CWL v1.2,
/// "ResourceRequirement").
pub const DEFAULT_DISK_MIB: u64 = 1024;

/// Characters of a URL that a job keeps, as its custom resource has it: browsers and proxies take as much.
pub const URL_LENGTH_MAX: u32 = 2048;

/// Seconds that fetching one document by HTTP may take, redirects included.
pub const DOCUMENT_FETCH_SECONDS_MAX: u64 = 30;

/// Entries of the listing of an output directory that an agent reports.
pub const LISTING_ENTRIES_MAX: usize = 100_000;

/// Bytes of an agent's report: a listing of [`LISTING_ENTRIES_MAX`] entries with some contents.
pub const REPORT_BYTES_MAX: usize = 64 << 20;

/// Depth of the directories in it.
pub const LISTING_DEPTH_MAX: usize = 64;

/// Bytes of one object stored by a single PUT (Amazon S3, "Uploading objects": 5 GiB).
pub const SINGLE_PUT_BYTES_MAX: u64 = 5 << 30;

/// Bytes of a container's termination message (Kubernetes: 4096).
pub const TERMINATION_MESSAGE_BYTES: usize = 4096;
