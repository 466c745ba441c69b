//! Inputs at http(s) locations: fetched once a job into its folder, with bounded retries (class `StageIn`). Those in
//! `data:` URLs are put beside them.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::transport::DefaultConnector;
use weir_api::data_url::{self, is_data_url};
use weir_fetch::{REDIRECTS_MAX, Rules};
use weir_store::blob::Sha256Hex;

use crate::reach::{Beyond, NOWHERE, Names};

/// Tries of one URL.
const TRIES: u32 = 4;
/// Wait before the second try; doubled for each further one.
const BACKOFF: Duration = Duration::from_millis(500);
/// Time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Time until the answer's header is there.
const RESPONSE_TIMEOUT: Duration = Duration::from_mins(1);
/// Time until the body is there.
const BODY_TIMEOUT: Duration = Duration::from_hours(1);
/// Bytes of one input: a full Sentinel-2 product has about 1 GiB.
const BODY_BYTES_MAX: u64 = 64 << 30;

/// Why an input cannot be had. The message names the URL.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The server says that another try will not help.
    #[error("input `{url}` cannot be fetched: the server answers {status}; check the URL and its access rights")]
    Refused {
        /// Which.
        url: String,
        /// HTTP status, 4xx.
        status: u16,
    },
    /// The rules do not allow it, or there is no such host.
    #[error("input `{0}` cannot be fetched: {NOWHERE}")]
    Nowhere(String),
    /// Every try failed.
    #[error("input `{url}` cannot be fetched after {TRIES} tries: {last}")]
    GaveUp {
        /// Which.
        url: String,
        /// What the last try ended with.
        last: String,
    },
    /// Not what its own form promises.
    #[error("an input is given as a data URL that is no valid one; its bytes must be in base64")]
    Malformed,
    /// It cannot be stored.
    #[error("input `{url}` cannot be written to `{path}`: {source}")]
    Write {
        /// Which.
        url: String,
        /// Where to.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// What a job has fetched. Every URL is fetched once, however many steps read it.
#[derive(Debug)]
pub struct Fetched {
    folder: PathBuf,
    agent: ureq::Agent,
    urls: Mutex<HashMap<String, Arc<Mutex<()>>>>,
}

impl Fetched {
    /// Keeps what it fetches in `folder`. With rules, every address that is connected to obeys them, those of redirects
    /// too; without, a proxy of the environment is used.
    pub fn new(folder: PathBuf, reach: Option<Rules>) -> Self {
        // Said explicitly: a process-wide default may not be there, or be another one.
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls =
            TlsConfig::builder().root_certs(RootCerts::WebPki).unversioned_rustls_crypto_provider(provider).build();
        let config = ureq::Agent::config_builder();
        // A proxy would resolve names by itself.
        let config = if reach.is_some() { config.proxy(None) } else { config };
        let config = config
            .tls_config(tls)
            .max_redirects(u32::try_from(REDIRECTS_MAX).unwrap_or(u32::MAX))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(RESPONSE_TIMEOUT))
            .timeout_recv_body(Some(BODY_TIMEOUT))
            .http_status_as_error(false)
            .user_agent(concat!("weir/", env!("CARGO_PKG_VERSION")))
            .build();
        let agent = ureq::Agent::with_parts(config, DefaultConnector::default(), Names::new(reach));
        Self { folder, agent, urls: Mutex::default() }
    }

    /// The local copy of `url`. Blocks while it is fetched.
    pub fn get(&self, url: &str) -> Result<PathBuf, FetchError> {
        let path = self.folder.join(Sha256Hex::of(url.as_bytes()).as_str());
        let turn = {
            let mut urls = self.urls.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(urls.entry(url.to_owned()).or_default())
        };
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        if path.exists() {
            return Ok(path);
        }
        if is_data_url(url) {
            let bytes = data_url::decode(url).ok_or(FetchError::Malformed)?;
            return self.keep(&path, &bytes).map(|()| path);
        }
        let mut tries = 1;
        loop {
            match self.fetch(url, &path)? {
                None => return Ok(path),
                Some(failure) if tries == TRIES => return Err(failure),
                Some(_) => std::thread::sleep(BACKOFF * 2_u32.pow(tries - 1)),
            }
            tries += 1;
        }
    }

    /// Writes what stands in the URL itself.
    fn keep(&self, path: &Path, bytes: &[u8]) -> Result<(), FetchError> {
        let part = path.with_extension("part");
        let written = fs::create_dir_all(&self.folder).and_then(|()| fs::write(&part, bytes));
        written.and_then(|()| fs::rename(&part, path)).map_err(|source| FetchError::Write {
            url: "data:…".to_owned(),
            path: path.to_owned(),
            source,
        })
    }

    /// One try; `Some` is what another may help against.
    fn fetch(&self, url: &str, path: &Path) -> Result<Option<FetchError>, FetchError> {
        let gave_up = |last: String| Ok(Some(FetchError::GaveUp { url: url.to_owned(), last }));
        let write = |source| FetchError::Write { url: url.to_owned(), path: path.to_owned(), source };
        let mut response = match self.agent.get(url).call() {
            Ok(response) => response,
            Err(error) => {
                return match Beyond::of(&error) {
                    Some(beyond) => {
                        // Where it leads is for the owner of this machine alone.
                        tracing::info!(%beyond, "an input is not fetched");
                        let nowhere = FetchError::Nowhere(url.to_owned());
                        if matches!(beyond, Beyond::Inner(_)) { Err(nowhere) } else { Ok(Some(nowhere)) }
                    }
                    None => gave_up(error.to_string()),
                };
            }
        };
        let status = response.status().as_u16();
        match status {
            200 => {}
            408 | 425 | 429 | 500.. => return gave_up(format!("the server answers {status}")),
            _ => return Err(FetchError::Refused { url: url.to_owned(), status }),
        }
        fs::create_dir_all(&self.folder).map_err(write)?;
        let part = path.with_extension("part");
        let mut file = File::create(&part).map_err(write)?;
        let mut body = response.body_mut().with_config().limit(BODY_BYTES_MAX).reader();
        let mut buffer = vec![0; 256 << 10];
        loop {
            // Reading fails for reasons of the network, writing for reasons of this machine.
            match io::Read::read(&mut body, &mut buffer) {
                Ok(0) => break,
                Ok(length) => io::Write::write_all(&mut file, &buffer[..length]).map_err(write)?,
                Err(error) => return gave_up(error.to_string()),
            }
        }
        fs::rename(&part, path).map_err(write)?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use super::*;

    /// A server that gives these answers, one a connection.
    fn serve(answers: Vec<&'static str>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/scene.tif", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        url
    }

    #[test]
    fn a_broken_server_is_asked_again_and_a_url_is_fetched_once() {
        let url = serve(vec![
            "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\ncut",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nwater",
        ]);
        let folder = tempfile::tempdir().unwrap();
        let fetched = Fetched::new(folder.path().join("urls"), None);
        let path = fetched.get(&url).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "water");
        assert_eq!(fetched.get(&url).unwrap(), path);
    }

    #[test]
    fn what_stands_in_the_url_itself_is_decoded() {
        let folder = tempfile::tempdir().unwrap();
        let fetched = Fetched::new(folder.path().join("urls"), None);
        let path = fetched.get("data:image/tiff;base64,SUkqAP8=").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"II*\0\xff");
        assert!(matches!(fetched.get("data:;base64,ä"), Err(FetchError::Malformed)));
    }

    #[test]
    fn a_refusal_is_final_and_names_the_url() {
        let url = serve(vec!["HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"]);
        let folder = tempfile::tempdir().unwrap();
        let error = Fetched::new(folder.path().join("urls"), None).get(&url).unwrap_err();
        assert!(matches!(error, FetchError::Refused { status: 404, .. }));
        assert!(error.to_string().contains(&url), "{error}");
    }
}
