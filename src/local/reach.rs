//! Which addresses weir itself connects to for a job's inputs: the rules of the guarded client, kept where names become
//! addresses, so that redirects and names that change their mind are judged too.

use std::net::IpAddr;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;
use weir_fetch::Rules;

/// The variable that tells a staging step the rules, as the operator's option for the same is called.
pub const VARIABLE: &str = "WEIR_FETCH_ALLOWED";

/// What whoever made the job is told of a host that the rules do not allow, and of one that there is not: nobody learns from
/// it which names and addresses there are inside.
pub const NOWHERE: &str =
    "its host is unknown, or is none that may be reached; `weir serve --allow-fetch HOST` allows inner ones";

/// Why a name leads nowhere that the rules allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Beyond {
    /// It leads inside.
    #[error("{0} is no public address, and none that --allow-fetch allows")]
    Inner(IpAddr),
    /// There is no such name, as far as can be known now.
    #[error("{0}")]
    Unknown(String),
}

impl Beyond {
    /// Whether a request failed for this.
    pub fn of(error: &ureq::Error) -> Option<&Self> {
        match error {
            ureq::Error::Other(other) => other.downcast_ref(),
            _ => None,
        }
    }
}

/// Resolves names, and gives those addresses that may be reached.
#[derive(Debug)]
pub struct Names {
    system: DefaultResolver,
    rules: Option<Rules>,
}

impl Names {
    /// By these rules; `None` allows everything.
    pub fn new(rules: Option<Rules>) -> Self {
        Self { system: DefaultResolver::default(), rules }
    }
}

impl Resolver for Names {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.system.resolve(uri, config, timeout);
        let Some(rules) = &self.rules else { return found };
        let beyond = |beyond: Beyond| ureq::Error::Other(Box::new(beyond));
        let found = found.map_err(|error| beyond(Beyond::Unknown(error.to_string())))?;
        if uri.host().is_some_and(|host| rules.allow_host(host)) {
            return Ok(found);
        }
        let mut allowed = self.empty();
        for address in found.iter().filter(|address| rules.allow_address(address.ip())) {
            allowed.push(*address);
        }
        match found.first() {
            Some(first) if allowed.is_empty() => Err(beyond(Beyond::Inner(first.ip()))),
            _ => Ok(allowed),
        }
    }
}
