//! An API server in memory, for tests: what `kube::Client` says to it is what it says to a real one.
//!
//! ```ignore
//! let api = FakeApi::new();
//! let client = api.client();                                  // a kube::Client
//! api.insert(&job);                                           // as if somebody had created it; also edit, get, list, remove
//! api.fail(Fault::on("create", "pods").with(403, "Forbidden", "exceeded quota: ...").times(3));
//! api.fail(Fault::on("patch", "processjobs/status").losing_the_answer());
//! let pod = api.until(|api| api.list::<Pod>("ns").pop()).await;  // wakes at every change, gives up after a minute
//! api.kubelet().start("ns", "pod-1");                         // Pending -> Running
//! api.kubelet().exit("ns", "pod-1", "tool", 3);
//! assert_eq!(api.count("create", "pods"), 1);                 // verbs and resources as RBAC names them
//! let link = api.link();                                      // a client whose network can be cut
//! link.cut(Network::Silent);
//! ```
//!
//! It has: get, list, watch (bookmarks, streaming lists, selectors, 410 for old versions), create, update, patch (merge, JSON,
//! strategic as merge, apply), the status subresource, delete (grace of pods, preconditions, finalizers, owner
//! references), deletecollection, metadata only, TokenReview, `pods/log` as a test has written it. It knows any kind without a schema and so
//! checks and defaults nothing but metadata. Apply is a merge that creates: it takes no fields away. Lists are never
//! cut into pages.

#![expect(clippy::expect_used, clippy::missing_panics_doc, reason = "a test that asks for nonsense is to fail")]

mod call;
mod faults;
mod kubelet;
mod objects;
mod patch;
mod review;
mod selector;
mod service;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::Resource;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::watch;

pub use call::Request;
pub use faults::{Fault, Link, Network};
pub use kubelet::Kubelet;
pub use review::Token;

use objects::{Key, Objects, Refusal};

/// An `until` that takes longer has failed. Of tokio's clock, which a test may have paused.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two looks at what changes without the API server.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The API server. Clones are the same one.
#[derive(Debug, Clone)]
pub struct FakeApi {
    state: Arc<Mutex<State>>,
    /// Sends whenever something may have changed for somebody who waits.
    changed: Arc<watch::Sender<()>>,
}

#[derive(Debug, Default)]
struct State {
    objects: Objects,
    faults: Vec<Fault>,
    requests: Vec<Request>,
    tokens: Vec<Token>,
    /// By namespace, pod and container.
    logs: HashMap<[String; 3], String>,
    /// Resources whose watches are silent.
    held: Vec<String>,
    /// For each call of `drop_watches`: the resource.
    dropped: Vec<String>,
}

impl Default for FakeApi {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeApi {
    /// An empty one.
    pub fn new() -> Self {
        Self { state: Arc::default(), changed: Arc::new(watch::channel(()).0) }
    }

    /// A client of it; its default namespace is `default`.
    pub fn client(&self) -> kube::Client {
        self.link().client()
    }

    /// A network between it and some clients.
    pub fn link(&self) -> Link {
        Link::new(self.clone())
    }

    /// Somebody creates an object; it gets uid, resource version and time. Panics if it exists.
    pub fn insert<K>(&self, object: &K) -> K
    where
        K: Resource<DynamicType = ()> + Serialize + DeserializeOwned,
    {
        let namespace = object.meta().namespace.clone().unwrap_or_default();
        let object = serde_json::to_value(object).expect("an object is JSON");
        read(self.act(|objects| objects.create(&Key::of::<K>(&namespace, ""), object)).expect("it is new"))
    }

    /// An object as it is now.
    pub fn get<K: Resource<DynamicType = ()> + DeserializeOwned>(&self, namespace: &str, name: &str) -> Option<K> {
        self.state().objects.get(&Key::of::<K>(namespace, name)).ok().map(read)
    }

    /// All objects of a kind in a namespace (empty: everywhere), by namespace and name.
    pub fn list<K: Resource<DynamicType = ()> + DeserializeOwned>(&self, namespace: &str) -> Vec<K> {
        self.state().objects.list(&Key::of::<K>(namespace, "")).into_iter().map(read).collect()
    }

    /// Somebody changes an object, status and all. Panics if there is none.
    pub fn edit<K>(&self, namespace: &str, name: &str, edit: impl FnOnce(&mut K)) -> K
    where
        K: Resource<DynamicType = ()> + Serialize + DeserializeOwned,
    {
        let key = Key::of::<K>(namespace, name);
        let changed = self.act(|objects| {
            let mut object: K = read(objects.get(&key)?);
            edit(&mut object);
            objects.put(&key, serde_json::to_value(object).expect("an object is JSON"))
        });
        read(changed.expect("there is such an object"))
    }

    /// An object vanishes at once, and with it what it owns. Panics if there is none.
    pub fn remove<K: Resource<DynamicType = ()>>(&self, namespace: &str, name: &str) {
        let key = Key::of::<K>(namespace, name);
        self.act(|objects| objects.remove(&key)).expect("there is such an object");
    }

    /// The next requests that fit go wrong.
    pub fn fail(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// Everything goes right again.
    pub fn heal(&self) {
        self.state().faults.clear();
    }

    /// Ends all watches of a resource (`pods`); what happens before the next one is only told to those who ask from an
    /// older version.
    pub fn drop_watches(&self, resource: &str) {
        self.state().dropped.push(resource.to_owned());
        self.changed.send_replace(());
    }

    /// Watches of a resource say nothing until [`release_watches`](Self::release_watches).
    pub fn hold_watches(&self, resource: &str) {
        self.state().held.push(resource.to_owned());
    }

    /// Watches say what they held back.
    pub fn release_watches(&self, resource: &str) {
        self.state().held.retain(|held| held != resource);
        self.changed.send_replace(());
    }

    /// Forgets the past: a watch from before now is answered 410.
    pub fn compact(&self) {
        self.state().objects.compact();
    }

    /// What a container has written so far.
    pub fn write_log(&self, namespace: &str, pod: &str, container: &str, text: &str) {
        let container = [namespace, pod, container].map(str::to_owned);
        self.state().logs.insert(container, text.to_owned());
    }

    /// A token that TokenReview knows.
    pub fn add_token(&self, token: Token) {
        self.state().tokens.push(token);
    }

    /// Plays the kubelets.
    pub fn kubelet(&self) -> Kubelet {
        Kubelet::new(self.clone())
    }

    /// Every request so far, those that failed included.
    pub fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    /// How many requests there were: `("patch", "processjobs/status")`.
    pub fn count(&self, verb: &str, resource: &str) -> usize {
        self.state().requests.iter().filter(|request| request.is(verb, resource)).count()
    }

    /// Waits until `look` finds something; asked after every change and every request, and now and then for what is no
    /// object. Panics after a minute.
    pub async fn until<T>(&self, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        let mut changed = self.changed.subscribe();
        let found = async {
            loop {
                changed.borrow_and_update();
                if let Some(found) = look(self) {
                    return found;
                }
                // A sender that is gone is no reason to stop looking.
                let _ = tokio::time::timeout(LOOK_AGAIN, changed.changed()).await;
            }
        };
        tokio::time::timeout(PATIENCE, found).await.expect("what the test waits for does not happen")
    }

    /// Does something to the objects and tells the watches.
    fn act<T>(&self, act: impl FnOnce(&mut Objects) -> Result<T, Refusal>) -> Result<T, Refusal> {
        let done = act(&mut self.state().objects);
        self.changed.send_replace(());
        done
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read<K: DeserializeOwned>(object: Value) -> K {
    serde_json::from_value(object).expect("an object of this kind")
}
