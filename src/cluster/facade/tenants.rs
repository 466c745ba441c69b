//! Which namespace is a tenant's. Pure.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt as _;
use kube::api::PartialObjectMeta;
use weir_api::kubernetes::names::TENANT;
use weir_http::backend::Tenant;

/// Namespaces of Kubernetes itself begin so.
const SYSTEM: &str = "kube-";

/// Namespaces and the tenants that they claim to be. Of several namespaces with one tenant the oldest has it.
#[derive(Debug)]
pub(super) struct Tenants {
    /// The operator's own namespace.
    own: String,
    claims: HashMap<Tenant, BTreeSet<Claim>>,
    by_namespace: HashMap<String, (Tenant, Claim)>,
}

/// Oldest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    created: Option<Timestamp>,
    namespace: String,
}

/// A namespace that has no façade, because an older one has its tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taken {
    pub tenant: Tenant,
    pub namespace: String,
    pub owner: String,
}

impl Tenants {
    pub fn new(own: &str) -> Self {
        Self { own: own.to_owned(), claims: HashMap::new(), by_namespace: HashMap::new() }
    }

    /// The namespace of a tenant.
    pub fn namespace(&self, tenant: &Tenant) -> Option<&str> {
        self.claims.get(tenant)?.first().map(|claim| claim.namespace.as_str())
    }

    /// The tenant of a namespace, if it has one.
    pub fn tenant(&self, namespace: &str) -> Option<&Tenant> {
        let (tenant, _) = self.by_namespace.get(namespace)?;
        (self.namespace(tenant) == Some(namespace)).then_some(tenant)
    }

    /// A namespace is so now. Gives it back if it claims what an older one has, as far as that is news.
    pub fn is(&mut self, namespace: &PartialObjectMeta<Namespace>) -> Option<Taken> {
        let name = namespace.name_any();
        let claim = Claim { created: namespace.creation_timestamp().map(|time| time.0), namespace: name.clone() };
        let claimed = self.claimed(namespace);
        if self.by_namespace.get(&name) == claimed.clone().map(|tenant| (tenant, claim.clone())).as_ref() {
            return None;
        }
        self.gone(&name);
        let tenant = claimed?;
        self.claims.entry(tenant.clone()).or_default().insert(claim.clone());
        self.by_namespace.insert(name.clone(), (tenant.clone(), claim));
        let owner = self.namespace(&tenant).unwrap_or_default().to_owned();
        (owner != name).then_some(Taken { tenant, namespace: name, owner })
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

    /// The tenant that a namespace claims to be: its label, else its name. The namespaces of Kubernetes and of weir itself
    /// are nobody's unless a label says otherwise: pods that anybody starts there would stand beside what must be kept.
    fn claimed(&self, namespace: &PartialObjectMeta<Namespace>) -> Option<Tenant> {
        let name = namespace.name_any();
        match namespace.labels().get(TENANT) {
            Some(label) => label.parse().ok(),
            None if name.starts_with(SYSTEM) || name == self.own => None,
            None => name.parse().ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn namespace(name: &str, second: u32, tenant: Option<&str>) -> PartialObjectMeta<Namespace> {
        let labels = tenant.map_or_else(|| json!({}), |tenant| json!({"weir.dev/tenant": tenant}));
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": labels, "creationTimestamp": format!("2026-01-01T00:00:{second:02}Z")}
        }))
        .unwrap()
    }

    fn tenant(name: &str) -> Tenant {
        name.parse().unwrap()
    }

    #[test]
    fn of_two_namespaces_with_one_tenant_the_older_has_it_i9() {
        let mut tenants = Tenants::new("weir");
        assert_eq!(tenants.is(&namespace("young", 9, Some("acme"))), None);
        assert_eq!(tenants.namespace(&tenant("acme")), Some("young"));
        // The older one is seen later.
        assert_eq!(tenants.is(&namespace("acme", 1, None)), None);
        assert_eq!(tenants.namespace(&tenant("acme")), Some("acme"));
        assert_eq!((tenants.tenant("young"), tenants.tenant("acme")), (None, Some(&tenant("acme"))));
        let taken = tenants.is(&namespace("third", 10, Some("acme"))).unwrap();
        assert_eq!((taken.namespace.as_str(), taken.owner.as_str()), ("third", "acme"));
        assert_eq!(tenants.is(&namespace("third", 10, Some("acme"))), None, "told once");
        tenants.gone("acme");
        assert_eq!(tenants.namespace(&tenant("acme")), Some("young"));
    }

    #[test]
    fn a_namespace_that_is_named_anew_leaves_its_old_tenant() {
        let mut tenants = Tenants::new("weir");
        tenants.is(&namespace("eo", 1, None));
        tenants.is(&namespace("eo", 1, Some("acme")));
        assert_eq!((tenants.namespace(&tenant("eo")), tenants.namespace(&tenant("acme"))), (None, Some("eo")));
        tenants.is(&namespace("eo", 1, Some("No Tenant")));
        assert_eq!(tenants.namespace(&tenant("acme")), None);
    }

    #[test]
    fn namespaces_of_the_system_are_nobodys_unless_a_label_says_so() {
        let mut tenants = Tenants::new("weir");
        for name in ["kube-system", "kube-public", "weir"] {
            tenants.is(&namespace(name, 1, None));
            assert_eq!(tenants.namespace(&tenant(name)), None, "{name}");
        }
        tenants.is(&namespace("weir", 1, Some("weir")));
        assert_eq!(tenants.namespace(&tenant("weir")), Some("weir"));
    }
}
