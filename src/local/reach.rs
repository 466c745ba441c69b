//! Which addresses weir itself connects to for a job's inputs: the rules of the guarded client, kept where names become
//! addresses, so that redirects and names that change their mind are judged too.

use std::fmt;
use std::net::IpAddr;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;
use weir_fetch::Rules;

/// The variable that tells a staging step the rules, as the operator's option for the same is called.
pub const VARIABLE: &str = "WEIR_FETCH_ALLOWED";

/// An address that the rules do not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beyond(pub IpAddr);

impl Beyond {
    /// Whether a request failed for this.
    pub fn of(error: &ureq::Error) -> Option<Self> {
        match error {
            ureq::Error::Other(other) => other.downcast_ref().copied(),
            _ => None,
        }
    }
}

impl fmt::Display for Beyond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(address) = self;
        write!(f, "it leads to {address}, which is no public address; `--allow-fetch {address}` would allow it")
    }
}

impl std::error::Error for Beyond {}

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
        let found = self.system.resolve(uri, config, timeout)?;
        let Some(rules) = &self.rules else { return Ok(found) };
        if uri.host().is_some_and(|host| rules.allow_host(host)) {
            return Ok(found);
        }
        let mut allowed = self.empty();
        for address in found.iter().filter(|address| rules.allow_address(address.ip())) {
            allowed.push(*address);
        }
        match found.first() {
            Some(first) if allowed.is_empty() => Err(ureq::Error::Other(Box::new(Beyond(first.ip())))),
            _ => Ok(allowed),
        }
    }
}
