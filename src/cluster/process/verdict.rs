//! What a Process's status says. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt;
use serde_json::{Value, json};
use weir_api::kubernetes::conditions::{ID_TAKEN, READY, RESOLVED, SPEC_INVALID, STORE_UNAVAILABLE};
use weir_api::kubernetes::process::Package;
use weir_api::kubernetes::{Process, ProcessStatus};
use weir_cwl::description::process_description;

use super::resolve::{ResolveError, Resolved, Source};
use super::stored::StoredPackageError;
use crate::intake::refusal::bounded;
use crate::limits::TITLE_CHARACTERS_MAX;

/// What is found about a Process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Jobs can be started.
    Ready {
        /// Keys the frozen package in the store.
        digest: String,
        /// `s:softwareVersion`, if the package states one.
        version: Option<String>,
        /// Label of its process.
        title: Option<String>,
    },
    /// Nothing can be found out for now: what was found before still holds.
    Unknown {
        /// One word.
        reason: &'static str,
        /// What is in the way.
        message: String,
    },
    /// They cannot.
    Refused {
        /// One word.
        reason: &'static str,
        /// What is wrong, where, and what would be right.
        message: String,
    },
}

impl Verdict {
    /// Of a package that is stored.
    pub fn ready(resolved: &Resolved) -> Self {
        let text = |value: Option<&str>| value.map(|text| text.chars().take(TITLE_CHARACTERS_MAX).collect());
        let description = process_description(&resolved.package);
        let version = description["version"].as_str().filter(|version| *version != "unknown");
        let header = resolved.package.processes[resolved.package.entry.0].header();
        Self::Ready { digest: resolved.digest.clone(), version: text(version), title: text(header.label.as_deref()) }
    }

    /// Of a package that cannot be used.
    pub fn unresolved(error: &ResolveError) -> Self {
        Self::Refused { reason: error.reason(), message: bounded(&error.to_string()) }
    }

    /// Of a Process whose id an older one has.
    pub fn taken(id: &str, owner: &str) -> Self {
        let message = format!("the Process `{owner}` is older and has the id `{id}`: delete one of them");
        Self::Refused { reason: ID_TAKEN, message }
    }

    /// Of a Process that cannot be looked at while the store is away.
    pub fn without_store(error: &StoredPackageError) -> Self {
        Self::Unknown { reason: STORE_UNAVAILABLE, message: bounded(&error.to_string()) }
    }

    /// Of a Process that does not fit to itself, or to its surroundings.
    pub fn contradiction(message: &str) -> Self {
        Self::Refused { reason: SPEC_INVALID, message: bounded(message) }
    }
}

/// The OGC id of a Process.
pub fn id(process: &Process) -> String {
    process.spec.id.clone().unwrap_or_else(|| process.name_any())
}

/// Where its package comes from.
pub fn source(process: &Process) -> Result<Source, Verdict> {
    let Package { inline, href, sha256, digest } = &process.spec.package;
    match (inline, href, digest) {
        (Some(text), None, None) if sha256.is_none() => {
            let url = format!("weir:processes/{}/package.cwl", process.name_any());
            Ok(Source::Text { url, text: text.clone() })
        }
        (None, Some(url), None) => Ok(Source::Href { url: url.clone(), sha256: sha256.clone() }),
        (None, None, Some(digest)) if sha256.is_none() => Ok(Source::Digest(digest.clone())),
        _ => Err(Verdict::contradiction(
            "state exactly one of spec.package.inline, spec.package.href and spec.package.digest; sha256 goes with href",
        )),
    }
}

/// The older Process of the namespace that has the same id, if there is one.
pub fn older_namesake<'a>(process: &Process, others: impl IntoIterator<Item = &'a Process>) -> Option<&'a Process> {
    let age = |process: &Process| (process.creation_timestamp().map(|time| time.0), process.name_any());
    let (own_id, own_age) = (id(process), age(process));
    let namesakes = others.into_iter().filter(|other| {
        other.namespace() == process.namespace()
            && other.uid() != process.uid()
            && other.metadata.deletion_timestamp.is_none()
            && id(other) == own_id
            && age(other) < own_age
    });
    namesakes.min_by_key(|other| age(other))
}

/// Whether the package was frozen for this generation of the object: then it is not fetched again.
pub fn frozen(process: &Process) -> Option<Verdict> {
    let status = process.status.as_ref()?;
    let is_current = status.observed_generation == process.metadata.generation;
    let is_ready = status.conditions.iter().any(|condition| condition.type_ == READY && condition.status == "True");
    let digest = status.digest.clone().filter(|_| is_current && is_ready)?;
    Some(Verdict::Ready { digest, version: status.version.clone(), title: status.title.clone() })
}

/// The status that tells a verdict.
pub fn status(process: &Process, verdict: &Verdict, now: Time) -> ProcessStatus {
    let known = process.status.clone().unwrap_or_default();
    let (status, reason, message) = match verdict {
        Verdict::Unknown { reason, message } => ("Unknown", *reason, message.clone()),
        Verdict::Ready { .. } => ("True", RESOLVED, "the package is frozen and sound".to_owned()),
        Verdict::Refused { reason, message } => ("False", *reason, message.clone()),
    };
    let before = known.conditions.iter().find(|one| one.type_ == READY);
    let since = before.filter(|before| before.status == status).map(|before| before.last_transition_time.clone());
    let condition = Condition {
        type_: READY.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation: process.metadata.generation,
        last_transition_time: since.unwrap_or(now),
    };
    let (digest, version, title) = match verdict.clone() {
        Verdict::Ready { digest, version, title } => (Some(digest), version, title),
        Verdict::Unknown { .. } => (known.digest, known.version, known.title),
        Verdict::Refused { .. } => (None, None, None),
    };
    ProcessStatus {
        observed_generation: process.metadata.generation,
        conditions: vec![condition],
        digest,
        id: Some(id(process)),
        version,
        title,
    }
}

/// The status as a merge patch: what is absent is taken away.
pub fn patch(status: &ProcessStatus) -> Value {
    json!({"status": {
        "observedGeneration": status.observed_generation,
        "conditions": status.conditions,
        "digest": status.digest,
        "id": status.id,
        "version": status.version,
        "title": status.title,
    }})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "a literal at each call")]
    fn process(name: &str, created: &str, spec: Value) -> Process {
        serde_json::from_value(json!({
            "apiVersion": "weir.dev/v1alpha1", "kind": "Process",
            "metadata": {
                "name": name, "namespace": "eo", "uid": name, "generation": 4,
                "creationTimestamp": format!("2026-01-01T00:00:{created}Z")
            },
            "spec": spec
        }))
        .unwrap()
    }

    fn water(name: &str, created: &str) -> Process {
        process(name, created, json!({"id": "water", "package": {"inline": "x"}}))
    }

    fn at(second: i64) -> Time {
        Time(jiff::Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn of_two_processes_with_one_id_the_younger_yields() {
        let (old, young) = (water("b", "01"), water("a", "02"));
        let all = [old.clone(), young.clone()];
        assert_eq!(older_namesake(&young, &all).map(ResourceExt::name_any), Some("b".to_owned()));
        assert_eq!(older_namesake(&old, &all), None);
        // Of the same second: by name, so that exactly one of them has it.
        let twin = water("c", "01");
        assert_eq!(
            older_namesake(&twin, &[old.clone(), twin.clone()]).map(ResourceExt::name_any),
            Some("b".to_owned())
        );
        assert_eq!(older_namesake(&old, &[old.clone(), twin]), None);
        // A name is an id where none is stated; other namespaces are other tenants.
        let named = process("water", "03", json!({"package": {"inline": "x"}}));
        assert!(older_namesake(&named, &all).is_some());
        let mut elsewhere = named.clone();
        elsewhere.metadata.namespace = Some("other".to_owned());
        assert_eq!(older_namesake(&elsewhere, &all), None);
        let mut going = old;
        going.metadata.deletion_timestamp = Some(at(0));
        assert_eq!(older_namesake(&young, &[going]), None);
    }

    #[test]
    fn a_package_that_contradicts_itself_is_refused_without_the_api_servers_help() {
        for package in [json!({}), json!({"inline": "a", "digest": "b"}), json!({"inline": "a", "sha256": "b"})] {
            let refused = source(&process("p", "00", json!({"package": package}))).unwrap_err();
            assert!(matches!(refused, Verdict::Refused { reason: SPEC_INVALID, .. }), "{package}");
        }
    }

    #[test]
    fn a_condition_keeps_the_time_of_its_last_change() {
        let mut process = water("a", "00");
        let ready = Verdict::Ready { digest: "00".to_owned(), version: Some("1".to_owned()), title: None };
        process.status = Some(status(&process, &ready, at(1)));
        assert_eq!(status(&process, &ready, at(2)), process.status.clone().unwrap());
        assert_eq!(frozen(&process), Some(ready));
        let refused = Verdict::taken("water", "b");
        let told = status(&process, &refused, at(3));
        assert_eq!(told.conditions[0].last_transition_time, at(3));
        assert_eq!(patch(&told)["status"]["digest"], Value::Null, "taken away");
        insta::assert_snapshot!(told.conditions[0].message, @"the Process `b` is older and has the id `water`: delete one of them");
        process.metadata.generation = Some(5);
        assert_eq!(frozen(&process), None, "the object was changed");
    }
}
