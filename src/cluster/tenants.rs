//! Which namespace has a tenant. Pure.
//!
//! What a tenant has in the store stands under one prefix: two namespaces must not share it (invariant I9).

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use jiff::Timestamp;

/// Namespaces and the tenants that they claim to be. Of several namespaces with one tenant the oldest has it, of one second
/// the first by name.
#[derive(Debug)]
pub(crate) struct Owners<T> {
    claims: HashMap<T, BTreeSet<Claim>>,
    by_namespace: HashMap<String, (T, Claim)>,
}

/// Oldest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    created: Option<Timestamp>,
    namespace: String,
}

/// A namespace that does not have the tenant that it claims to be, because an older one has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken<T> {
    pub tenant: T,
    pub namespace: String,
    pub owner: String,
}

impl<T> Default for Owners<T> {
    fn default() -> Self {
        Self { claims: HashMap::new(), by_namespace: HashMap::new() }
    }
}

impl<T: Clone + Eq + Hash> Owners<T> {
    /// The namespace that has a tenant.
    pub fn namespace(&self, tenant: &T) -> Option<&str> {
        self.claims.get(tenant)?.first().map(|claim| claim.namespace.as_str())
    }

    /// The tenant that a namespace claims to be.
    pub fn claimed(&self, namespace: &str) -> Option<&T> {
        self.by_namespace.get(namespace).map(|(tenant, _)| tenant)
    }

    /// The tenant of a namespace, if it has one.
    pub fn tenant(&self, namespace: &str) -> Option<&T> {
        self.claimed(namespace).filter(|tenant| self.namespace(tenant) == Some(namespace))
    }

    /// A namespace is so now. Gives it back if it claims what an older one has, as far as that is news.
    pub fn is(&mut self, namespace: &str, created: Option<Timestamp>, claimed: Option<T>) -> Option<Taken<T>> {
        let claim = Claim { created, namespace: namespace.to_owned() };
        if self.by_namespace.get(namespace) == claimed.clone().map(|tenant| (tenant, claim.clone())).as_ref() {
            return None;
        }
        self.gone(namespace);
        let tenant = claimed?;
        self.claims.entry(tenant.clone()).or_default().insert(claim.clone());
        self.by_namespace.insert(namespace.to_owned(), (tenant.clone(), claim));
        let owner = self.namespace(&tenant).unwrap_or_default().to_owned();
        (owner != namespace).then(|| Taken { tenant, namespace: namespace.to_owned(), owner })
    }

    /// A namespace is gone.
    pub fn gone(&mut self, namespace: &str) {
        let Some((tenant, claim)) = self.by_namespace.remove(namespace) else { return };
        if let Some(claims) = self.claims.get_mut(&tenant) {
            claims.remove(&claim);
            if claims.is_empty() {
                self.claims.remove(&tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_namespaces_of_one_second_the_first_by_name_has_the_tenant() {
        let mut owners = Owners::default();
        let created = Some(Timestamp::UNIX_EPOCH);
        assert_eq!(owners.is("b", created, Some("acme")), None);
        assert_eq!(owners.is("a", created, Some("acme")), None);
        assert_eq!((owners.tenant("a"), owners.tenant("b"), owners.claimed("b")), (Some(&"acme"), None, Some(&"acme")));
        owners.is("a", created, Some("other"));
        assert_eq!(owners.tenant("b"), Some(&"acme"));
    }
}
