//! Which namespace a tenant's requests are about. Pure.

use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt as _;
use kube::api::PartialObjectMeta;
use weir_api::kubernetes::names::TENANT;
use weir_http::backend::Tenant;

use crate::tenants::{Owners, Taken};

/// Namespaces of Kubernetes itself begin so.
const SYSTEM: &str = "kube-";

/// Namespaces and their tenants.
#[derive(Debug)]
pub(super) struct Tenants {
    /// The operator's own namespace.
    own: String,
    owners: Owners<Tenant>,
}

impl Tenants {
    pub fn new(own: &str) -> Self {
        Self { own: own.to_owned(), owners: Owners::default() }
    }

    /// The namespace of a tenant.
    pub fn namespace(&self, tenant: &Tenant) -> Option<&str> {
        self.owners.namespace(tenant)
    }

    /// The tenant of a namespace, if it has one.
    pub fn tenant(&self, namespace: &str) -> Option<&Tenant> {
        self.owners.tenant(namespace)
    }

    /// A namespace is so now. Gives it back if it has no façade because an older one has its tenant, as far as that is news.
    pub fn is(&mut self, namespace: &PartialObjectMeta<Namespace>) -> Option<Taken<Tenant>> {
        let created = namespace.creation_timestamp().map(|time| time.0);
        self.owners.is(&namespace.name_any(), created, self.claimed(namespace))
    }

    /// A namespace is gone.
    pub fn gone(&mut self, namespace: &str) {
        self.owners.gone(namespace);
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
