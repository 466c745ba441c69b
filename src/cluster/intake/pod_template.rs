//! What a job may ask of its pods. Pure.
//!
//! The operator creates the pods, with rights that the author of a ProcessJob need not have: what it passes on is a list of
//! what is allowed, never of what is forbidden.

use std::collections::BTreeMap;

use weir_api::kubernetes::process_job::PodTemplate;

use crate::settings::PodSettings;

/// Domains whose labels and annotations mean something to Kubernetes, to weir or to those that change pods.
const DOMAINS: [&str; 5] = ["kubernetes.io", "k8s.io", "weir.dev", "istio.io", "linkerd.io"];
/// Characters of a label's name and value.
const LABEL_LENGTH_MAX: usize = 63;
/// Characters of the domain before a label's name.
const DOMAIN_LENGTH_MAX: usize = 253;

/// Everything that the settings do not allow, one sentence each.
pub fn violations(template: &PodTemplate, settings: &PodSettings) -> Vec<String> {
    let mut found = Vec::new();
    for (field, map) in [("labels", &template.labels), ("annotations", &template.annotations)] {
        keys(field, map, &mut found);
    }
    for (key, value) in template.labels.iter().chain(&template.node_selector) {
        if !is_label_value(value) {
            found.push(format!(
                "podTemplate: `{value}` is no value of label `{key}`: up to 63 letters, digits, `-`, `_` and `.`"
            ));
        }
    }
    for key in template.node_selector.keys().filter(|key| !settings.node_selector_keys.contains(key)) {
        found.push(format!(
            "podTemplate.nodeSelector: nodes cannot be selected by `{key}`; the operator allows {}",
            listed(&settings.node_selector_keys)
        ));
    }
    if !template.tolerations.is_empty() && !settings.allow_tolerations {
        found.push("podTemplate.tolerations: the operator does not allow tolerations".to_owned());
    }
    if template.priority_class_name.is_some() && !settings.allow_priority_class {
        found.push("podTemplate.priorityClassName: the operator does not allow a priority class".to_owned());
    }
    for name in template.image_pull_secrets.iter().filter(|name| !is_object_name(name)) {
        found.push(format!("podTemplate.imagePullSecrets: `{name}` is no name of a Secret"));
    }
    found
}

fn keys(field: &str, map: &BTreeMap<String, String>, found: &mut Vec<String>) {
    for key in map.keys() {
        let domain = key.split_once('/').map(|(domain, _)| domain.to_ascii_lowercase());
        if let Some(owner) = domain.and_then(|domain| DOMAINS.into_iter().find(|owner| domain.ends_with(owner))) {
            found.push(format!("podTemplate.{field}: `{key}` is not a job's to set: it belongs to {owner}"));
        } else if !is_qualified_name(key) {
            found.push(format!(
                "podTemplate.{field}: `{key}` is no key: a name of up to 63 letters, digits, `-`, `_` and `.`, with a domain and `/` before it if needed"
            ));
        }
    }
}

fn listed(keys: &[String]) -> String {
    match keys {
        [] => "none".to_owned(),
        keys => keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", "),
    }
}

fn is_qualified_name(key: &str) -> bool {
    let (domain, name) = key.split_once('/').map_or((None, key), |(domain, name)| (Some(domain), name));
    !name.is_empty() && is_label_value(name) && domain.is_none_or(is_object_name)
}

fn is_label_value(value: &str) -> bool {
    let edge = |byte: Option<u8>| byte.is_none_or(|byte| byte.is_ascii_alphanumeric());
    value.len() <= LABEL_LENGTH_MAX
        && edge(value.bytes().next())
        && edge(value.bytes().last())
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// A DNS-1123 subdomain.
fn is_object_name(name: &str) -> bool {
    let label = |label: &str| {
        let inner = label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        !label.is_empty() && inner && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= DOMAIN_LENGTH_MAX && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use weir_api::kubernetes::process_job::Toleration;

    use super::*;
    use crate::intake::fixture;

    fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn ones_own_labels_and_annotations_pass() {
        let template = PodTemplate {
            labels: map(&[("team", "water"), ("example.org/cost", "a_b.C-1"), ("empty", "")]),
            annotations: map(&[("example.org/note", "any text at all: ÄÖ\n")]),
            node_selector: map(&[("example.org/pool", "eo")]),
            image_pull_secrets: vec!["registry.example".to_owned()],
            ..PodTemplate::default()
        };
        assert_eq!(violations(&template, &fixture::settings().pods), Vec::<String>::new());
    }

    #[test]
    fn nothing_that_steers_the_cluster_passes() {
        let settings = fixture::settings().pods;
        let of = |template: PodTemplate| violations(&template, &settings).join("\n");
        let labels = PodTemplate {
            labels: map(&[
                ("app.kubernetes.io/name", "a"),
                ("Kubernetes.IO/name", "a"),
                ("weir.dev/run", "a"),
                ("sidecar.istio.io/inject", "true"),
            ]),
            annotations: map(&[("x.k8s.io/a", "b"), ("linkerd.io/inject", "enabled")]),
            ..PodTemplate::default()
        };
        insta::assert_snapshot!(of(labels), @r"
        podTemplate.labels: `Kubernetes.IO/name` is not a job's to set: it belongs to kubernetes.io
        podTemplate.labels: `app.kubernetes.io/name` is not a job's to set: it belongs to kubernetes.io
        podTemplate.labels: `sidecar.istio.io/inject` is not a job's to set: it belongs to istio.io
        podTemplate.labels: `weir.dev/run` is not a job's to set: it belongs to weir.dev
        podTemplate.annotations: `linkerd.io/inject` is not a job's to set: it belongs to linkerd.io
        podTemplate.annotations: `x.k8s.io/a` is not a job's to set: it belongs to k8s.io
        ");
        let rest = PodTemplate {
            labels: map(&[("a b", "c"), ("d", "e f")]),
            node_selector: map(&[("kubernetes.io/hostname", "control-plane")]),
            tolerations: vec![Toleration::default()],
            priority_class_name: Some("system-node-critical".to_owned()),
            image_pull_secrets: vec!["../x".to_owned()],
            ..PodTemplate::default()
        };
        insta::assert_snapshot!(of(rest), @r"
        podTemplate.labels: `a b` is no key: a name of up to 63 letters, digits, `-`, `_` and `.`, with a domain and `/` before it if needed
        podTemplate: `e f` is no value of label `d`: up to 63 letters, digits, `-`, `_` and `.`
        podTemplate.nodeSelector: nodes cannot be selected by `kubernetes.io/hostname`; the operator allows `example.org/pool`
        podTemplate.tolerations: the operator does not allow tolerations
        podTemplate.priorityClassName: the operator does not allow a priority class
        podTemplate.imagePullSecrets: `../x` is no name of a Secret
        ");
    }
}
