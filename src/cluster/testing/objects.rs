//! The objects, their versions and their past. No HTTP, no waiting.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::Resource;
use serde_json::{Value, json};

/// Names an object, or with an empty name a collection, or with an empty namespace too all of a kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub group: String,
    pub plural: String,
    pub namespace: String,
    pub name: String,
}

impl Key {
    pub fn of<K: Resource<DynamicType = ()>>(namespace: &str, name: &str) -> Self {
        Self {
            group: K::group(&()).into_owned(),
            plural: K::plural(&()).into_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// Whether it names this one, or what this one is part of.
    pub fn covers(&self, other: &Self) -> bool {
        let part = |mine: &str, other: &str| mine.is_empty() || mine == other;
        self.group == other.group
            && self.plural == other.plural
            && part(&self.namespace, &other.namespace)
            && part(&self.name, &other.name)
    }

    /// Whether its status is written by itself.
    pub fn has_status(&self) -> bool {
        ["pods", "namespaces", "deployments", "processes", "processjobs"].contains(&self.plural.as_str())
    }

    fn named(&self, object: &Value) -> Self {
        Self { name: text(object, "/metadata/name").to_owned(), ..self.clone() }
    }
}

/// Why a request is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub code: u16,
    pub reason: String,
    pub message: String,
}

impl Refusal {
    pub fn new(code: u16, reason: &str, message: String) -> Self {
        Self { code, reason: reason.to_owned(), message }
    }

    pub fn not_found(key: &Key) -> Self {
        Self::new(404, "NotFound", format!("{} \"{}\" not found", key.plural, key.name))
    }

    pub fn conflict(key: &Key, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{}\": {why}", key.plural, key.name);
        Self::new(409, "Conflict", message)
    }

    pub fn invalid(message: String) -> Self {
        Self::new(422, "Invalid", message)
    }

    pub fn expired(version: u64, oldest: u64) -> Self {
        Self::new(410, "Expired", format!("too old resource version: {version} ({oldest})"))
    }

    /// As the body of an answer.
    pub fn status(&self) -> Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        })
    }
}

/// One step of the past.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub version: u64,
    pub key: Key,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

/// How an object is to be deleted (`DeleteOptions`).
#[derive(Debug, Clone, Default)]
pub(super) struct Deletion {
    pub grace_seconds: Option<i64>,
    pub uid: Option<String>,
    pub version: Option<String>,
    pub orphan: bool,
}

/// All objects.
#[derive(Debug)]
pub(super) struct Objects {
    version: u64,
    stored: BTreeMap<Key, Value>,
    past: Vec<Change>,
    /// Versions before this one are forgotten.
    oldest: u64,
}

impl Default for Objects {
    fn default() -> Self {
        // Version 0 means any.
        Self { version: 1, stored: BTreeMap::new(), past: Vec::new(), oldest: 0 }
    }
}

impl Objects {
    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn compact(&mut self) {
        // A version of its own, so that every watch from before is too old.
        self.version += 1;
        self.oldest = self.version;
        self.past.clear();
    }

    pub fn get(&self, key: &Key) -> Result<Value, Refusal> {
        self.stored.get(key).cloned().ok_or_else(|| Refusal::not_found(key))
    }

    pub fn list(&self, collection: &Key) -> Vec<Value> {
        self.stored.iter().filter(|(key, _)| collection.covers(key)).map(|(_, object)| object.clone()).collect()
    }

    /// What happened to a collection after a version.
    pub fn since(&self, version: u64, collection: &Key) -> Result<Vec<Change>, Refusal> {
        if version < self.oldest {
            return Err(Refusal::expired(version, self.oldest));
        }
        let first = self.past.partition_point(|change| change.version <= version);
        Ok(self.past[first..].iter().filter(|change| collection.covers(&change.key)).cloned().collect())
    }

    pub fn create(&mut self, collection: &Key, mut object: Value) -> Result<Value, Refusal> {
        let metadata = &mut object["metadata"];
        let prefix = metadata["generateName"].as_str().unwrap_or_default().to_owned();
        if metadata["name"].as_str().unwrap_or_default().is_empty() && !prefix.is_empty() {
            metadata["name"] = json!(format!("{prefix}{:05x}", self.version));
        }
        let key = collection.named(&object);
        if key.name.is_empty() {
            return Err(Refusal::invalid("name or generateName is required".to_owned()));
        }
        if self.stored.contains_key(&key) {
            let message = format!("{} \"{}\" already exists", key.plural, key.name);
            return Err(Refusal::new(409, "AlreadyExists", message));
        }
        let metadata = &mut object["metadata"];
        if !key.namespace.is_empty() {
            metadata["namespace"] = json!(key.namespace);
        }
        metadata["uid"] = json!(uuid::Uuid::new_v4().to_string());
        metadata["creationTimestamp"] = now();
        metadata["generation"] = json!(1);
        if key.plural == "pods" && object["status"].is_null() {
            object["status"] = json!({"phase": "Pending"});
        }
        Ok(self.record(key, Some(object)))
    }

    /// Writes a whole object over the one that is there. Its resource version and uid, if it states any, must be right.
    pub fn put(&mut self, key: &Key, mut object: Value) -> Result<Value, Refusal> {
        let before = self.get(key)?;
        let stated = text(&object, "/metadata/resourceVersion");
        if !stated.is_empty() && stated != text(&before, "/metadata/resourceVersion") {
            let why = "the object has been modified; please apply your changes to the latest version and try again";
            return Err(Refusal::conflict(key, why));
        }
        let uid = text(&object, "/metadata/uid");
        if !uid.is_empty() && uid != text(&before, "/metadata/uid") {
            return Err(Refusal::conflict(key, "Precondition failed: UID in precondition does not match"));
        }
        for name in ["uid", "resourceVersion", "creationTimestamp", "generation", "name", "namespace"] {
            let kept = before["metadata"][name].clone();
            match (&mut object["metadata"], kept) {
                (Value::Object(metadata), Value::Null) => drop(metadata.remove(name)),
                (metadata, kept) => metadata[name] = kept,
            }
        }
        if object == before {
            return Ok(before);
        }
        if specification(&object) != specification(&before) {
            object["metadata"]["generation"] = json!(before["metadata"]["generation"].as_i64().unwrap_or(1) + 1);
        }
        let over = key.plural != "pods" && deleted(&object) && !has_finalizers(&object);
        let after = self.record(key.clone(), Some(object));
        if over {
            self.remove(key)?;
        }
        Ok(after)
    }

    /// `Some` if the object is still there, marked as deleted.
    pub fn delete(&mut self, key: &Key, options: &Deletion) -> Result<Option<Value>, Refusal> {
        let mut object = self.get(key)?;
        let differs =
            |wanted: &Option<String>, path| wanted.as_deref().is_some_and(|wanted| wanted != text(&object, path));
        if differs(&options.uid, "/metadata/uid") || differs(&options.version, "/metadata/resourceVersion") {
            return Err(Refusal::conflict(key, "Precondition failed"));
        }
        let of_spec = object["spec"]["terminationGracePeriodSeconds"].as_i64();
        let grace = options.grace_seconds.or(of_spec).unwrap_or(30);
        let runs = key.plural == "pods"
            && !text(&object, "/spec/nodeName").is_empty()
            && !["Succeeded", "Failed"].contains(&text(&object, "/status/phase"));
        let waits = has_finalizers(&object) || (runs && grace > 0);
        if !waits {
            self.erase(key, options.orphan)?;
            return Ok(None);
        }
        if !deleted(&object) {
            object["metadata"]["deletionTimestamp"] = now();
            object["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
            object = self.record(key.clone(), Some(object));
        }
        Ok(Some(object))
    }

    /// At once, and what it owns is deleted.
    pub fn remove(&mut self, key: &Key) -> Result<(), Refusal> {
        self.erase(key, false)
    }

    fn erase(&mut self, key: &Key, orphan: bool) -> Result<(), Refusal> {
        let object = self.get(key)?;
        self.record(key.clone(), None);
        let uid = text(&object, "/metadata/uid");
        let owned = |object: &Value| {
            let mut owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
            owners.any(|owner| owner["uid"] == uid)
        };
        let inside = |other: &Key| key.plural == "namespaces" && other.namespace == key.name;
        let gone =
            |(other, object): (&Key, &Value)| ((!orphan && owned(object)) || inside(other)).then(|| other.clone());
        for dependent in self.stored.iter().filter_map(gone).collect::<Vec<_>>() {
            // One may have gone with another.
            let _ = self.delete(&dependent, &Deletion::default());
        }
        Ok(())
    }

    fn record(&mut self, key: Key, after: Option<Value>) -> Value {
        self.version += 1;
        let after = after.map(|mut object| {
            object["metadata"]["resourceVersion"] = json!(self.version.to_string());
            object
        });
        let before = match &after {
            Some(object) => self.stored.insert(key.clone(), object.clone()),
            None => self.stored.remove(&key),
        };
        self.past.push(Change { version: self.version, key, before, after: after.clone() });
        after.unwrap_or_default()
    }
}

/// A member of an object, by pointer; empty if it is missing.
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn deleted(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

fn has_finalizers(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty())
}

/// What counts for `metadata.generation`.
fn specification(object: &Value) -> Value {
    let mut object = object.clone();
    if let Value::Object(members) = &mut object {
        members.retain(|name, _| name != "metadata" && name != "status");
    }
    object
}

/// As Kubernetes writes times: whole seconds.
pub(super) fn now() -> Value {
    json!(Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}
