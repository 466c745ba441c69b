//! A package that was sent or is to be fetched: loaded with all that it imports, checked, and frozen.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};
use weir_api::limits::DOCUMENT_BYTES_MAX;
use weir_cwl::diagnostic::{Diagnostic, Severity};
use weir_cwl::load::{Fetch, FetchError};
use weir_cwl::{Diagnostics, Package, Process, check};

use crate::fetcher::Fetcher;
use crate::limits::{FINDINGS_BYTES, PACKAGE_FETCH_TIME};
use crate::problem::{Problem, types};

/// URL of a text that was sent; messages call it `package.cwl`.
pub const SENT: &str = "weir:/package.cwl";
const SENT_NAME: &str = "package.cwl";

/// A package that is sound.
#[derive(Debug)]
pub struct Loaded {
    /// As it was loaded.
    pub package: Package,
    /// What it imports, by absolute URL.
    pub imports: BTreeMap<String, String>,
}

/// Fetches the text at a URL; `place` is where the URL stands in the request.
pub async fn fetch(fetcher: &dyn Fetcher, url: &str, place: &str) -> Result<String, Problem> {
    let right = "give the URL of a CWL document that everybody may read";
    let fetched = fetcher.get(url, DOCUMENT_BYTES_MAX).await;
    let fetched = fetched.map_err(|error| Problem::invalid_parameter(place, error, right))?;
    let text = String::from_utf8(fetched.bytes);
    text.map_err(|_| Problem::invalid_parameter(place, "what stands there is no text in UTF-8", right))
}

/// Loads the process `entry` of a text, whose relative references resolve against `url`, and checks it. What is wrong is
/// told with its file, line and column, all of it at once.
pub async fn load(
    fetcher: Arc<dyn Fetcher>,
    url: String,
    text: String,
    entry: Option<String>,
) -> Result<Loaded, Problem> {
    let texts = Texts::new(fetcher, Handle::current());
    aside(move || {
        let package = weir_cwl::load_text(&url, &text, entry.as_deref(), &texts).map_err(refused)?;
        sound(&package)?;
        texts.fetch_ontologies(&package);
        Ok(Loaded { package, imports: texts.seen.into_inner().unwrap_or_else(PoisonError::into_inner) })
    })
    .await
}

/// Does what other requests must not wait for: a large text takes long to read, and a loader waits for what it fetches.
pub async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(Problem::internal(error)))
}

/// What a text is called in messages.
pub fn name(url: &str) -> Option<String> {
    (url == SENT).then(|| SENT_NAME.to_owned())
}

/// 400 with every finding.
pub fn refused(mut found: Diagnostics) -> Problem {
    found.0.retain(|one| one.severity == Severity::Error);
    let mut detail = found.to_string();
    if detail.len() > FINDINGS_BYTES {
        detail.truncate(detail.floor_char_boundary(FINDINGS_BYTES));
        detail.push_str(" … (cut)");
    }
    Problem::new(axum::http::StatusCode::BAD_REQUEST, types::INVALID_PARAMETER_VALUE, "Invalid package", detail)
}

fn sound(package: &Package) -> Result<(), Problem> {
    let mut found = check::check(package);
    for one in check::unsupported(package) {
        found.push(Diagnostic::error(&one.span, format!("weir does not support `{}`", one.class)));
    }
    let entry = &package.processes[package.entry.0];
    if let Process::Operation(operation) = entry {
        let message = format!("'{}' is an Operation, which nobody can run", operation.header.id);
        found.push(Diagnostic::error(&operation.header.span, message).help("deploy a Workflow or a tool"));
    }
    if found.has_errors() {
        found.sort();
        return Err(refused(found));
    }
    Ok(())
}

/// Fetches for the loader, which is not async, and writes down what passes.
struct Texts {
    fetcher: Arc<dyn Fetcher>,
    runtime: Handle,
    seen: Mutex<BTreeMap<String, String>>,
    deadline: Instant,
}

impl Texts {
    fn new(fetcher: Arc<dyn Fetcher>, runtime: Handle) -> Self {
        Self { fetcher, runtime, seen: Mutex::default(), deadline: Instant::now() + PACKAGE_FETCH_TIME }
    }

    /// Ontologies of `$schemas` decide whether formats fit. Without one, those that differ do not.
    fn fetch_ontologies(&self, package: &Package) {
        let mut inputs = package.processes.iter().flat_map(|process| &process.header().inputs);
        if inputs.any(|input| !input.file.format.is_empty()) {
            for url in &package.schemas {
                let _may_be_missing = self.fetch(url);
            }
        }
    }
}

impl Fetch for Texts {
    fn name(&self, url: &str) -> Option<String> {
        name(url)
    }

    fn fetch(&self, url: &str) -> Result<String, FetchError> {
        if url.starts_with("weir:") {
            let message = "a package that is sent has no neighbours; name what it imports by its whole URL";
            return Err(FetchError(message.to_owned()));
        }
        let fetched = self.runtime.block_on(timeout_at(self.deadline, self.fetcher.get(url, DOCUMENT_BYTES_MAX)));
        let late = |_| {
            let seconds = PACKAGE_FETCH_TIME.as_secs();
            FetchError(format!("all that the package imports did not come within {seconds} s"))
        };
        let fetched = fetched.map_err(late)?.map_err(|error| FetchError(error.to_string()))?;
        let text = String::from_utf8(fetched.bytes).map_err(|_| FetchError("it is no text in UTF-8".to_owned()))?;
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(url.to_owned(), text.clone());
        Ok(text)
    }
}
