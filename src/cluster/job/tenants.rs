//! How much of a tenant's allowance each of its jobs uses (invariant I9).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// What all tenants use. One for each operator.
#[derive(Debug, Clone, Default)]
pub struct Tenants(Arc<Mutex<HashMap<String, Arc<Tenant>>>>);

#[derive(Debug)]
struct Tenant {
    used: Mutex<u32>,
    /// Changes when something becomes free.
    freed: watch::Sender<()>,
}

/// What one job uses of its tenant's allowance. Dropped, it uses nothing.
#[derive(Debug)]
pub struct Share {
    tenant: Arc<Tenant>,
    cap: u32,
    used: u32,
    /// Whether the job would use more if there were more.
    is_limited: bool,
    freed: watch::Receiver<()>,
}

impl Tenants {
    /// The share of one more job of `tenant`, whose jobs together run at most `cap` incarnations.
    pub fn share(&self, tenant: &str, cap: u32) -> Share {
        let mut tenants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Tenant { used: Mutex::default(), freed: watch::Sender::new(()) });
        let tenant = Arc::clone(tenants.entry(tenant.to_owned()).or_insert_with(new));
        let freed = tenant.freed.subscribe();
        Share { tenant, cap, used: 0, is_limited: false, freed }
    }
}

impl Share {
    /// Decides with the room that this job has now, what it uses already included, and notes what it uses then. No other
    /// job of the tenant decides meanwhile.
    pub fn with_room<T>(&mut self, used: u32, decide: impl FnOnce(u32) -> (T, u32)) -> T {
        self.freed.mark_unchanged();
        let mut all = self.tenant.used.lock().unwrap_or_else(PoisonError::into_inner);
        let others = all.saturating_sub(self.used);
        let room = self.cap.saturating_sub(others);
        let (decision, will_use) = decide(room);
        *all = others.saturating_add(will_use);
        drop(all);
        if used.max(will_use) < self.used {
            self.tenant.freed.send_replace(());
            self.freed.mark_unchanged();
        }
        self.used = will_use;
        self.is_limited = will_use >= room;
        decision
    }

    /// Waits until another job uses less, if this one would use more.
    pub async fn freed(&mut self) {
        if self.is_limited {
            // The sender lives as long as `self.tenant`.
            let _ = self.freed.changed().await;
        } else {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut all = self.tenant.used.lock().unwrap_or_else(PoisonError::into_inner);
        *all = all.saturating_sub(self.used);
        drop(all);
        self.tenant.freed.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn jobs_of_one_tenant_share_its_allowance_and_others_do_not_count() {
        let tenants = Tenants::default();
        let (mut one, mut two) = (tenants.share("a", 3), tenants.share("a", 3));
        assert_eq!(one.with_room(0, |room| (room, 2)), 3);
        assert_eq!(two.with_room(0, |room| (room, 1)), 1);
        assert_eq!(tenants.share("b", 3).with_room(0, |room| (room, 0)), 3);
        assert_eq!(one.with_room(0, |room| (room, 0)), 2);
        two.freed().await;
        assert_eq!(two.with_room(1, |room| (room, 3)), 3);
        drop(two);
        assert_eq!(one.with_room(0, |room| (room, 0)), 3);
    }
}
