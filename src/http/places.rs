//! What tenants share: so many places in all, and so many of one tenant, so that none takes what others need (invariant
//! I9).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::names::Tenant;

/// Places: requests of a kind, or bytes of memory. Clones are the same ones.
#[derive(Debug, Clone)]
pub(crate) struct Places(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    all: Arc<Semaphore>,
    most: usize,
    most_of_one: usize,
    /// Of tenants that have places.
    of: Mutex<HashMap<Tenant, Arc<Semaphore>>>,
}

/// Why there is no place now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// The tenant has all that one may have.
    Tenant,
    /// Others have them.
    All,
}

/// Some places of a tenant, free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    places: Places,
    tenant: Tenant,
    held: Option<Held>,
}

/// The tenant's goes first: whoever gives it back may be the last one who has some.
#[derive(Debug)]
struct Held {
    own: OwnedSemaphorePermit,
    all: OwnedSemaphorePermit,
}

impl Places {
    /// So many in all, of which one tenant has so many at most.
    pub fn new(most: usize, most_of_one: usize) -> Self {
        let all = Arc::new(Semaphore::new(most));
        Self(Arc::new(Shared { all, most, most_of_one, of: Mutex::default() }))
    }

    /// No places yet: more can be taken.
    pub fn none(&self, tenant: &Tenant) -> Taken {
        Taken { places: self.clone(), tenant: tenant.clone(), held: None }
    }

    /// So many places, if they are free.
    pub fn take(&self, tenant: &Tenant, count: usize) -> Result<Taken, Full> {
        let mut taken = self.none(tenant);
        taken.more(count)?;
        Ok(taken)
    }

    /// One place, when it is free, if that is soon.
    pub async fn wait_for(&self, tenant: &Tenant, patience: Duration) -> Result<Taken, Full> {
        match timeout(patience, self.wait(tenant)).await {
            Ok(taken) => Ok(taken),
            Err(_) => self.take(tenant, 1),
        }
    }

    /// One place, when it is free. Of those who wait each tenant has no more in the common queue than it may have places:
    /// whoever has many waits behind its own.
    pub async fn wait(&self, tenant: &Tenant) -> Taken {
        let mut taken = self.none(tenant);
        // Neither is ever closed.
        if let Ok(own) = self.own(tenant).acquire_owned().await
            && let Ok(all) = Arc::clone(&self.0.all).acquire_owned().await
        {
            taken.held = Some(Held { own, all });
        }
        taken
    }

    fn own(&self, tenant: &Tenant) -> Arc<Semaphore> {
        let mut of = self.0.of.lock().unwrap_or_else(PoisonError::into_inner);
        let own = of.entry(tenant.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.0.most_of_one)));
        Arc::clone(own)
    }

    /// Forgets a tenant that has nothing and waits for nothing.
    fn forget(&self, tenant: &Tenant) {
        let mut of = self.0.of.lock().unwrap_or_else(PoisonError::into_inner);
        if of.get(tenant).is_some_and(|own| Arc::strong_count(own) == 1) {
            of.remove(tenant);
        }
    }

    #[cfg(test)]
    pub fn is_free(&self) -> bool {
        self.0.all.available_permits() == self.0.most && self.0.of.lock().unwrap().is_empty()
    }
}

impl Taken {
    /// So many more; what is taken stays.
    pub fn more(&mut self, count: usize) -> Result<(), Full> {
        let Shared { all, most, most_of_one, .. } = &*self.places.0;
        // No more than a semaphore can say.
        let count = u32::try_from(count.min(*most + 1)).unwrap_or(u32::MAX);
        if count as usize > *most_of_one {
            return Err(Full::Tenant);
        }
        let own = self.places.own(&self.tenant).try_acquire_many_owned(count).map_err(|_| Full::Tenant)?;
        let all = Arc::clone(all).try_acquire_many_owned(count).map_err(|_| Full::All)?;
        match &mut self.held {
            Some(held) => {
                held.own.merge(own);
                held.all.merge(all);
            }
            None => self.held = Some(Held { own, all }),
        }
        Ok(())
    }

    /// All of them are free again.
    pub fn give_back(&mut self) {
        self.held = None;
        self.places.forget(&self.tenant);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> Tenant {
        name.parse().unwrap()
    }

    #[test]
    fn one_tenant_does_not_take_what_others_need_i9() {
        let places = Places::new(10, 6);
        let mut acme = places.take(&tenant("acme"), 4).unwrap();
        assert_eq!(acme.more(3), Err(Full::Tenant));
        assert_eq!(acme.more(2), Ok(()));
        assert_eq!(places.take(&tenant("acme"), 1).unwrap_err(), Full::Tenant);
        assert_eq!(places.take(&tenant("other"), 5).unwrap_err(), Full::All);
        let other = places.take(&tenant("other"), 4).unwrap();
        acme.give_back();
        drop(other);
        assert_eq!(places.take(&tenant("acme"), 7).unwrap_err(), Full::Tenant);
        drop(acme);
        assert!(places.is_free());
    }

    #[tokio::test]
    async fn whoever_waits_gets_a_place_though_another_tenant_waits_for_many() {
        let places = Places::new(2, 1);
        let first = places.wait(&tenant("acme")).await;
        let waiting: Vec<_> = (0..5)
            .map(|_| {
                let places = places.clone();
                tokio::spawn(async move { drop(places.wait(&tenant("acme")).await) })
            })
            .collect();
        tokio::task::yield_now().await;
        drop(places.wait(&tenant("other")).await);
        drop(first);
        for waiting in waiting {
            waiting.await.unwrap();
        }
        assert!(places.is_free());
    }
}
