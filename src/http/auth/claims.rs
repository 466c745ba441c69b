//! What a token says about tenants. Pure.

use serde_json::{Map, Value as Json};

/// Tenants that a claim names: a string, an array of strings. Of groups that are paths (`/acme`) the slash does not count.
pub fn tenants<'a>(claims: &'a Map<String, Json>, claim: &str) -> Vec<&'a str> {
    let found = match claim.strip_prefix('/') {
        Some(path) => {
            let mut steps = path.split('/');
            let first = steps.next().and_then(|name| claims.get(name));
            steps.fold(first, |value, name| value.and_then(|value| value.get(name)))
        }
        None => claims.get(claim),
    };
    let names = match found {
        Some(Json::String(name)) => vec![name.as_str()],
        Some(Json::Array(names)) => names.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    };
    names.into_iter().map(|name| name.strip_prefix('/').unwrap_or(name)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tenants_are_a_string_or_an_array_wherever_the_claim_stands() {
        let claims = json!({"tenant": "acme", "groups": ["/acme", "other", 1], "realm_access": {"roles": ["acme"]}});
        let named = |claim| tenants(claims.as_object().unwrap(), claim);
        assert_eq!(named("tenant"), ["acme"]);
        assert_eq!(named("groups"), ["acme", "other"]);
        assert_eq!(named("/realm_access/roles"), ["acme"]);
        for none in ["realm_access", "missing", "/realm_access/missing", "/tenant/x", "/"] {
            assert!(named(none).is_empty(), "{none}");
        }
    }
}
