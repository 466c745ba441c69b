//! What goes wrong: requests that fail, networks that are cut.

use std::io;
use std::sync::Arc;

use tokio::sync::watch;

use super::FakeApi;
use super::call::Request;
use super::objects::Refusal;

/// What happens to the next requests of a kind.
#[derive(Debug, Clone)]
pub struct Fault {
    verb: &'static str,
    resource: &'static str,
    name: Option<String>,
    times: usize,
    effect: Effect,
}

#[derive(Debug, Clone)]
pub(super) enum Effect {
    /// It is not done.
    Refuse(Refusal),
    /// It is done, but whoever asked only hears of a time-out.
    LoseAnswer,
}

impl Fault {
    /// The next request like this (verb and resource as in RBAC: `patch`, `processjobs/status`) fails with 500.
    pub fn on(verb: &'static str, resource: &'static str) -> Self {
        let refusal = Refusal::new(500, "InternalError", "the test wants it so".to_owned());
        Self { verb, resource, name: None, times: 1, effect: Effect::Refuse(refusal) }
    }

    /// Only if the object is called so.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
    }

    /// This is answered instead.
    #[must_use]
    pub fn with(self, code: u16, reason: &str, message: &str) -> Self {
        Self { effect: Effect::Refuse(Refusal::new(code, reason, message.to_owned())), ..self }
    }

    /// The request is done, the answer is lost (504).
    #[must_use]
    pub fn losing_the_answer(self) -> Self {
        Self { effect: Effect::LoseAnswer, ..self }
    }

    /// So often.
    #[must_use]
    pub fn times(self, times: usize) -> Self {
        Self { times, ..self }
    }

    /// Until [`FakeApi::heal`].
    #[must_use]
    pub fn forever(self) -> Self {
        self.times(usize::MAX)
    }

    /// What the first fault that fits does to a request.
    pub(super) fn strike(faults: &mut Vec<Self>, request: &Request) -> Option<Effect> {
        let fits = |fault: &Self| {
            request.is(fault.verb, fault.resource) && fault.name.as_ref().is_none_or(|name| *name == request.name)
        };
        let index = faults.iter().position(fits)?;
        let fault = &mut faults[index];
        fault.times -= 1;
        let effect = fault.effect.clone();
        if fault.times == 0 {
            faults.remove(index);
        }
        Some(effect)
    }
}

/// What a network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Works.
    Up,
    /// Connections are refused, open ones break.
    Refused,
    /// Nothing comes through, and nobody is told; what was sent arrives when it is up again.
    Silent,
}

/// The network between some clients and the API server. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Link {
    api: FakeApi,
    network: Arc<watch::Sender<Network>>,
}

impl Link {
    pub(super) fn new(api: FakeApi) -> Self {
        Self { api, network: Arc::new(watch::channel(Network::Up).0) }
    }

    /// A client behind it.
    pub fn client(&self) -> kube::Client {
        let link = self.clone();
        let service = tower::service_fn(move |request| {
            let link = link.clone();
            async move {
                link.passed().await?;
                link.api.answer(request, &link).await
            }
        });
        kube::Client::new(service, "default")
    }

    /// From now on.
    pub fn cut(&self, network: Network) {
        self.network.send_replace(network);
    }

    /// It works again.
    pub fn mend(&self) {
        self.cut(Network::Up);
    }

    /// Returns once something can pass; fails if the network refuses.
    pub(super) async fn passed(&self) -> io::Result<()> {
        let mut network = self.network.subscribe();
        let now = network.wait_for(|network| *network != Network::Silent).await.map(|network| *network);
        match now {
            Ok(Network::Up) => Ok(()),
            _ => Err(io::Error::from(io::ErrorKind::ConnectionRefused)),
        }
    }

    /// Returns when the network is cut.
    pub(super) async fn broken(&self) {
        let mut network = self.network.subscribe();
        let _ = network.wait_for(|network| *network != Network::Up).await;
    }
}
