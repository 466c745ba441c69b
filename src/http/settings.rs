//! What whoever runs the façade decides.

use crate::cors::Origins;
use crate::links::{Network, PublicUrl};

/// Settings of the façade. The default is right for a listener on this machine.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// What all links begin with; `None`: what the client's request says.
    pub public_url: Option<PublicUrl>,
    /// Proxies whose `Forwarded` and `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Vec<Network>,
    /// Of which pages scripts may use the API.
    pub origins: Origins,
    /// Whether requests must be addressed to this machine: `localhost`, or an address that begins with 127, or `::1`. Right
    /// for a listener on such an address: a page elsewhere whose name is made to lead here is not served.
    pub loopback_only: bool,
}
