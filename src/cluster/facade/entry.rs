//! A Process, as far as the façade remembers it, and the object that a deployed one becomes. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use sha2::{Digest as _, Sha256};
use weir_api::kubernetes::conditions::{ID_TAKEN, PACKAGE_UNAVAILABLE, READY, STORE_UNAVAILABLE};
use weir_api::kubernetes::names::DEPLOYED;
use weir_api::kubernetes::process::Package;
use weir_api::kubernetes::{Process, ProcessSpec};
use weir_http::backend::{JobId, NewProcess, ProcessId};
use weir_store::blob::Sha256Hex;

use crate::build::slug;
use crate::process::verdict;

/// Hexadecimal digits that tell names of Processes apart whose ids differ only in what a name cannot hold.
const HASH_DIGITS: usize = 8;
/// Characters of such a name: a DNS label, for people's sake.
const NAME_LENGTH_MAX: usize = 63;

/// What is remembered of a Process; its package is in the store.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub name: String,
    pub uid: String,
    pub generation: i64,
    pub created: Option<Timestamp>,
    pub id: ProcessId,
    pub mutable: bool,
    /// Of the frozen package that jobs run, if jobs can be started.
    pub digest: Option<String>,
    /// What was found about it as it is now; `None`: nothing yet.
    pub found: Option<Found>,
    /// Whether the object says more: what was deployed besides the package, or defaults.
    pub has_more: bool,
}

/// What the controller of Processes found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Ready,
    /// An older Process has the id.
    Taken(String),
    /// Its package was looked at and cannot be used.
    Refused(String),
    /// Its package cannot be had for now; it is tried again.
    Unavailable(String),
}

impl Entry {
    /// What is remembered of a Process. `None` if its id cannot stand in a URL.
    pub fn of(process: &Process) -> Option<Self> {
        let status = process.status.clone().unwrap_or_default();
        let ready = status.conditions.iter().find(|condition| condition.type_ == READY);
        let is_current = status.observed_generation == process.metadata.generation;
        let found = ready.filter(|_| is_current);
        let found = found.map(|ready| match (ready.status.as_str(), ready.reason.as_str()) {
            ("True", _) => Found::Ready,
            ("Unknown", _) | (_, PACKAGE_UNAVAILABLE | STORE_UNAVAILABLE) => Found::Unavailable(ready.message.clone()),
            (_, ID_TAKEN) => Found::Taken(ready.message.clone()),
            _ => Found::Refused(ready.message.clone()),
        });
        // While a change is looked at, or cannot be, jobs run what was there before.
        let holds = ready.is_some_and(|ready| ready.status != "False");
        let digest = status.digest.filter(|_| holds && process.metadata.deletion_timestamp.is_none());
        Some(Self {
            name: process.name_any(),
            uid: process.uid().unwrap_or_default(),
            generation: process.metadata.generation.unwrap_or_default(),
            created: process.creation_timestamp().map(|time| time.0),
            id: verdict::id(process).parse().ok()?,
            mutable: process.spec.mutable.unwrap_or(true),
            digest,
            found,
            has_more: process.annotations().contains_key(DEPLOYED) || process.spec.defaults.is_some(),
        })
    }

    /// Names what jobs run, and everything else that its record depends on; `None` if no job can be started.
    pub fn version(&self) -> Option<String> {
        let digest = self.digest.as_ref()?;
        Some(format!("{}/{}/{digest}", self.uid, self.generation))
    }

    /// Why no job can be started.
    pub fn trouble(&self) -> &str {
        match &self.found {
            None => "its package has not been looked at yet",
            Some(Found::Ready) => "it is being removed",
            Some(Found::Taken(message) | Found::Refused(message) | Found::Unavailable(message)) => message,
        }
    }

    /// Older ones first.
    pub fn age(&self) -> (Option<Timestamp>, &str) {
        (self.created, &self.name)
    }
}

/// What was deployed besides the package: the annotation of a Process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Besides {
    /// SHA-256 of the package's text. If somebody has changed the package since, the rest does not fit any more.
    package: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application_package: Option<String>,
    /// The description, if it is another one than the package makes by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Map<String, Json>>,
}

impl Besides {
    /// Of a new process; `made` is the description that its package makes by itself.
    pub fn of(new: &NewProcess, made: &Map<String, Json>) -> Option<Self> {
        let description = (!says_the_same(&new.description, made)).then(|| new.description.clone());
        let application_package = new.deployed.application_package.clone();
        let package = Sha256Hex::of(new.deployed.cwl.as_bytes()).into();
        (description.is_some() || application_package.is_some()).then_some(Self {
            package,
            application_package,
            description,
        })
    }

    /// Of a Process whose package has this text.
    pub fn read(process: &Process, cwl: &str) -> Option<Self> {
        let read: Self = serde_json::from_str(process.annotations().get(DEPLOYED)?).ok()?;
        (read.package == Sha256Hex::of(cwl.as_bytes()).as_str()).then_some(read)
    }

    /// As the annotation.
    pub fn text(&self) -> String {
        // Texts and JSON: nothing in it can fail to be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Whether two descriptions differ in their ids at most: that of a process is the one that it was deployed under.
fn says_the_same(one: &Map<String, Json>, other: &Map<String, Json>) -> bool {
    let without = |map: &Map<String, Json>| {
        let mut map = map.clone();
        map.remove("id");
        map
    };
    without(one) == without(other)
}

/// The object of a new process.
pub(super) fn object(namespace: &str, new: &NewProcess, package: Package, besides: Option<&Besides>) -> Process {
    let name = name(&new.id);
    let annotations = besides.map(|besides| BTreeMap::from([(DEPLOYED.to_owned(), besides.text())]));
    let metadata = ObjectMeta {
        name: Some(name.clone()),
        namespace: Some(namespace.to_owned()),
        annotations,
        ..ObjectMeta::default()
    };
    let spec = ProcessSpec {
        id: (new.id.as_str() != name).then(|| new.id.to_string()),
        package,
        workflow: new.deployed.workflow.clone(),
        ..ProcessSpec::default()
    };
    Process { metadata, spec, status: None }
}

/// The name of a Process: its id if that is a name for Kubernetes, else what is left of it and 8 digits of its SHA-256.
pub(super) fn name(id: &ProcessId) -> String {
    // The ids of jobs are the names that Kubernetes takes.
    if id.as_str().parse::<JobId>().is_ok() {
        return id.to_string();
    }
    let hash = &hex::encode(Sha256::digest(id.as_str()))[..HASH_DIGITS];
    let slug = slug(id.as_str(), "process");
    let end = slug.len().min(NAME_LENGTH_MAX - HASH_DIGITS - 1);
    format!("{}-{hash}", slug[..end].trim_end_matches('-'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use weir_http::backend::Deployed;

    use super::*;

    const TOOL: &str = "cwlVersion: v1.2\nclass: CommandLineTool\nid: t\nbaseCommand: t\ninputs: {}\noutputs: {}\n";

    fn new(id: &str) -> (NewProcess, Map<String, Json>) {
        let package = weir_cwl::load_text("weir:p.cwl", TOOL, None, &weir_cwl::load::NoFetch).unwrap();
        let Json::Object(made) = weir_cwl::description::process_description(&package) else { unreachable!() };
        let deployed = Deployed { cwl: TOOL.to_owned(), ..Deployed::default() };
        let id = id.parse().unwrap();
        (NewProcess { id, deployed, description: made.clone(), package: package.into() }, made)
    }

    #[test]
    fn every_id_has_a_name_of_its_own() {
        let name = |id: &str| name(&id.parse().unwrap());
        assert_eq!(name("water-bodies"), "water-bodies");
        assert_eq!(name("water.bodies"), "water.bodies");
        insta::assert_snapshot!(name("Water_Bodies:1"), @"water-bodies-1-1b5c9aca");
        assert_ne!(name("Water"), name("wATER"));
        let long = name(&format!("A{}", "b-".repeat(100)));
        assert!(long.len() <= 63 && long.parse::<JobId>().is_ok(), "{long}");
    }

    #[test]
    fn what_was_deployed_besides_the_package_is_kept_until_the_package_changes() {
        let (mut new, made) = new("Water");
        assert_eq!(Besides::of(&new, &made), None, "the package says it all");
        new.description.insert("title".to_owned(), json!("Water"));
        new.deployed.application_package = Some("{}".to_owned());
        let besides = Besides::of(&new, &made).unwrap();
        let package = Package { inline: Some(TOOL.to_owned()), ..Package::default() };
        let process = object("eo", &new, package, Some(&besides));
        assert_eq!(process.spec.id.as_deref(), Some("Water"));
        assert_eq!(Besides::read(&process, TOOL), Some(besides));
        assert_eq!(Besides::read(&process, "another text"), None);
    }

    #[test]
    fn a_process_is_ready_once_its_last_change_was_looked_at() {
        let process = |observed: i64, status: &str| -> Entry {
            let process = serde_json::from_value(json!({
                "apiVersion": "weir.dev/v1alpha1", "kind": "Process",
                "metadata": {"name": "water", "namespace": "eo", "uid": "u", "generation": 2},
                "spec": {"package": {"inline": "x"}},
                "status": {"observedGeneration": observed, "digest": "d", "conditions": [{
                    "type": "Ready", "status": status, "reason": "R", "message": "m",
                    "lastTransitionTime": "2026-01-01T00:00:00Z"}]}
            }));
            Entry::of(&process.unwrap()).unwrap()
        };
        assert_eq!(process(2, "True").found, Some(Found::Ready));
        assert_eq!(process(2, "False").found, Some(Found::Refused("m".to_owned())));
        assert_eq!(process(2, "False").digest, None);
        let unknown = process(2, "Unknown");
        assert_eq!((unknown.found, unknown.digest.as_deref()), (None, Some("d")), "the store is away");
        let changing = process(1, "True");
        assert_eq!((changing.found, changing.digest.as_deref()), (None, Some("d")), "the old one still runs");
    }
}
