//! Leader election by a Lease, in client-go's manner.
//!
//! A lease is stale when it has not *changed* for its duration by the local monotonic clock; nobody compares wall
//! clocks, so clocks may be wrong. Every write carries the resource version that it replaces. A leader that could not
//! renew for [`Timing::deadline`], counted from the start of its last successful request, has lost the lease before
//! anybody else may take it.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Client;
use kube::api::{Api, PostParams};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

/// How long things may take. `duration > deadline > retry`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Whoever has not renewed for this long may be replaced. Whole seconds.
    pub duration: Duration,
    /// Whoever could not renew for this long stops leading.
    pub deadline: Duration,
    /// Between two tries, and between two renewals.
    pub retry: Duration,
}

impl Default for Timing {
    /// As client-go: 15 s, 10 s, 2 s.
    fn default() -> Self {
        Self::of_seconds(15)
    }
}

impl Timing {
    /// With this duration; the rest in client-go's proportions. At least 3.
    pub fn of_seconds(duration: u64) -> Self {
        let duration = Duration::from_secs(duration);
        Self { duration, deadline: duration * 2 / 3, retry: duration * 2 / 15 }
    }
}

/// One who wants to lead.
#[derive(Debug, Clone)]
pub struct Candidate {
    leases: Api<Lease>,
    name: String,
    identity: String,
    timing: Timing,
}

/// Why a leader leads no longer. There is no way back but to start anew.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// Somebody else has it.
    #[error("the lease `{lease}` was taken by {by}")]
    Taken {
        /// Its name.
        lease: String,
        /// The other one's identity.
        by: String,
    },
    /// It is gone: somebody else may have a new one.
    #[error("the lease `{lease}` was deleted")]
    Deleted {
        /// Its name.
        lease: String,
    },
    /// It could not be renewed in time.
    #[error("the lease `{lease}` could not be renewed for {} s: {trouble}", after.as_secs())]
    Expired {
        /// Its name.
        lease: String,
        /// For how long.
        after: Duration,
        /// What the last try said.
        trouble: String,
    },
}

/// The lease, held.
#[derive(Debug)]
pub struct Held {
    candidate: Candidate,
    lease: Lease,
    /// Before the request that renewed it last.
    renewed: Instant,
}

/// Somebody else's lease, and since when it has not changed.
struct Seen {
    spec: LeaseSpec,
    since: Instant,
}

impl Candidate {
    /// A candidate for the lease `name`. The identity must be unique to this process, not only to its pod: a container
    /// that was restarted does not know what its predecessor did last.
    pub fn new(client: Client, namespace: &str, name: &str, identity: &str, timing: Timing) -> Self {
        let leases = Api::namespaced(client, namespace);
        Self { leases, name: name.to_owned(), identity: identity.to_owned(), timing }
    }

    /// Waits until this candidate leads. What fails is tried again.
    pub async fn acquire(&self) -> Held {
        let mut seen = None;
        loop {
            match timeout(self.request_time(), self.try_to_acquire(&mut seen)).await {
                Ok(Ok(Some(held))) => return held,
                Ok(Ok(None)) => {}
                Ok(Err(error)) => tracing::warn!(lease = self.name, %error, "cannot look at the lease"),
                Err(_) => tracing::warn!(lease = self.name, "cannot look at the lease: no answer"),
            }
            sleep(self.timing.retry).await;
        }
    }

    async fn try_to_acquire(&self, seen: &mut Option<Seen>) -> Result<Option<Held>, kube::Error> {
        let asked = Instant::now();
        let written = match self.leases.get_opt(&self.name).await? {
            None => {
                let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
                let lease = Lease { metadata, spec: Some(self.claim(None)) };
                self.leases.create(&PostParams::default(), &lease).await
            }
            Some(mut lease) => {
                let spec = lease.spec.unwrap_or_default();
                if !self.may_take(&spec, seen, asked) {
                    return Ok(None);
                }
                lease.spec = Some(self.claim(Some(&spec)));
                self.leases.replace(&self.name, &PostParams::default(), &lease).await
            }
        };
        match written {
            Ok(lease) => Ok(Some(Held { candidate: self.clone(), lease, renewed: asked })),
            // Somebody was faster.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a lease that still looked like this after `asked` is free. Remembers since when it looks like this.
    fn may_take(&self, spec: &LeaseSpec, seen: &mut Option<Seen>, asked: Instant) -> bool {
        let holder = spec.holder_identity.as_deref().unwrap_or_default();
        // Our own: the answer to an earlier try was lost.
        if holder.is_empty() || holder == self.identity {
            return true;
        }
        match seen {
            Some(seen) if seen.spec == *spec => {
                let promised = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
                asked.duration_since(seen.since) > promised.map_or(self.timing.duration, Duration::from_secs)
            }
            _ => {
                *seen = Some(Seen { spec: spec.clone(), since: Instant::now() });
                false
            }
        }
    }

    /// What is written to take the lease from `before`, or to renew it. The times are for people.
    fn claim(&self, before: Option<&LeaseSpec>) -> LeaseSpec {
        let now = Some(MicroTime(Timestamp::now()));
        let ours = before.filter(|before| before.holder_identity.as_ref() == Some(&self.identity));
        let transitions = before.and_then(|before| before.lease_transitions).unwrap_or(0);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(self.timing.duration.as_secs()).ok(),
            acquire_time: ours.map_or(now.clone(), |ours| ours.acquire_time.clone()),
            renew_time: now,
            lease_transitions: Some(if ours.is_some() || before.is_none() { transitions } else { transitions + 1 }),
            ..LeaseSpec::default()
        }
    }

    /// A request without an answer must leave time for another one.
    fn request_time(&self) -> Duration {
        self.timing.deadline / 2
    }
}

impl Held {
    /// Renews the lease again and again; returns when it is lost. Dropped at any point, it does no harm.
    pub async fn keep(&mut self) -> Lost {
        loop {
            sleep_until(self.renewed + self.candidate.timing.retry).await;
            if let Err(lost) = self.renew().await {
                return lost;
            }
        }
    }

    async fn renew(&mut self) -> Result<(), Lost> {
        let Timing { deadline, retry, .. } = self.candidate.timing;
        let (end, time) = (self.renewed + deadline, self.candidate.request_time());
        let lease = self.candidate.name.clone();
        let mut trouble = "no answer".to_owned();
        let tries = async {
            loop {
                match timeout(time, self.try_to_renew()).await {
                    Ok(Ok(())) => return Ok(()),
                    Ok(Err(Trouble::Lost(lost))) => return Err(lost),
                    Ok(Err(Trouble::Passing(error))) => trouble = error.to_string(),
                    Err(_) => "no answer".clone_into(&mut trouble),
                }
                tracing::warn!(lease = self.candidate.name, trouble, "cannot renew the lease");
                sleep(retry).await;
            }
        };
        let done = timeout_at(end, tries).await;
        done.unwrap_or(Err(Lost::Expired { lease, after: deadline, trouble }))
    }

    async fn try_to_renew(&mut self) -> Result<(), Trouble> {
        let asked = Instant::now();
        let mut lease = self.lease.clone();
        lease.spec = Some(self.candidate.claim(lease.spec.as_ref()));
        match self.write(&lease).await {
            Ok(()) => self.renewed = asked,
            Err(kube::Error::Api(status)) if status.code == 409 => self.look_who_holds().await?,
            Err(kube::Error::Api(status)) if status.code == 404 => {
                return Err(Trouble::Lost(Lost::Deleted { lease: self.candidate.name.clone() }));
            }
            Err(error) => return Err(Trouble::Passing(error)),
        }
        Ok(())
    }

    /// After a conflict: an earlier try of ours whose answer was lost, a label that somebody set, or the end.
    async fn look_who_holds(&mut self) -> Result<(), Trouble> {
        let Candidate { leases, name, identity, .. } = &self.candidate;
        let Some(lease) = leases.get_opt(name).await.map_err(Trouble::Passing)? else {
            return Err(Trouble::Lost(Lost::Deleted { lease: name.clone() }));
        };
        let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone());
        if holder.as_ref() == Some(identity) {
            // Not renewed, but the next try will fit.
            self.lease = lease;
            return Ok(());
        }
        let by = holder.unwrap_or_else(|| "nobody".to_owned());
        Err(Trouble::Lost(Lost::Taken { lease: name.clone(), by }))
    }

    /// Gives the lease back, so that another candidate need not wait. Whoever calls this leads no longer.
    pub async fn release(mut self) {
        let time = self.candidate.request_time();
        let released = async {
            for _ in 0..2 {
                let mut lease = self.lease.clone();
                if let Some(spec) = &mut lease.spec {
                    spec.holder_identity = None;
                    spec.renew_time = Some(MicroTime(Timestamp::now()));
                }
                match self.write(&lease).await {
                    // A renewal was under way when we were told to stop.
                    Err(kube::Error::Api(status)) if status.code == 409 => self.look_who_holds().await?,
                    written => return written.map_err(Trouble::Passing),
                }
            }
            Ok(())
        };
        match timeout(time, released).await {
            Ok(Ok(()) | Err(Trouble::Lost(_))) => {}
            Ok(Err(Trouble::Passing(error))) => tracing::warn!(%error, "cannot release the lease; it will run out"),
            Err(_) => tracing::warn!("cannot release the lease: no answer; it will run out"),
        }
    }

    async fn write(&mut self, lease: &Lease) -> Result<(), kube::Error> {
        self.lease = self.candidate.leases.replace(&self.candidate.name, &PostParams::default(), lease).await?;
        Ok(())
    }
}

/// Why a renewal did not work.
enum Trouble {
    Lost(Lost),
    Passing(kube::Error),
}

#[cfg(test)]
mod tests;
