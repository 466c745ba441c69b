//! What whoever runs the façade decides.

use crate::links::{Network, PublicUrl};

/// Settings of the façade. The default is right for a listener on this machine.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// What all links begin with; `None`: what the client's request says.
    pub public_url: Option<PublicUrl>,
    /// Proxies whose `Forwarded` and `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Vec<Network>,
}
