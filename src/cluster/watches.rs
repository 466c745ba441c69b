//! Watches, in the namespaces that the settings name or in all, and what their lists show.

use std::collections::HashSet;

use futures_util::stream::{BoxStream, SelectAll, StreamExt};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, PartialObjectMeta};
use kube::core::NamespaceResourceScope;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Config, Event, watcher};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;

/// Events of several watches, each with the number of its watch. They go on for ever: one that breaks is started again.
pub(crate) type Watch<K> = SelectAll<BoxStream<'static, watcher::Result<(usize, Event<K>)>>>;

/// One watch for each namespace, or one for all.
pub(crate) fn watches<K>(client: &Client, namespaces: &[String], config: &Config) -> Watch<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug
        + Send
        + 'static,
{
    let apis: Vec<Api<K>> = if namespaces.is_empty() {
        vec![Api::all(client.clone())]
    } else {
        namespaces.iter().map(|namespace| Api::namespaced(client.clone(), namespace)).collect()
    };
    numbered(apis.into_iter().map(|api| (api, config.clone())))
}

/// Labels of the namespaces that matter.
pub(crate) fn namespace_watches(client: &Client, namespaces: &[String]) -> Watch<PartialObjectMeta<Namespace>> {
    let api = || Api::<PartialObjectMeta<Namespace>>::all(client.clone());
    if namespaces.is_empty() {
        return numbered(std::iter::once((api(), Config::default())));
    }
    let one = |namespace: &String| (api(), Config::default().fields(&format!("metadata.name={namespace}")));
    numbered(namespaces.iter().map(one))
}

fn numbered<K>(apis: impl Iterator<Item = (Api<K>, Config)>) -> Watch<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let one = |(number, (api, config)): (usize, (Api<K>, Config))| {
        let events = watcher(api, config).default_backoff();
        events.map(move |event| event.map(|event| (number, event))).boxed()
    };
    apis.enumerate().map(one).collect()
}

/// What the lists of one watch have shown: who lists again tells what was missed.
#[derive(Debug)]
pub(crate) struct List<K> {
    /// Whether everything that exists was shown once.
    pub is_complete: bool,
    seen: HashSet<K>,
    /// What this watch has ever shown and not yet seen gone.
    known: HashSet<K>,
}

impl<K> Default for List<K> {
    fn default() -> Self {
        Self { is_complete: false, seen: HashSet::new(), known: HashSet::new() }
    }
}

impl<K: Clone + Eq + std::hash::Hash> List<K> {
    /// A list begins.
    pub fn begins(&mut self) {
        self.seen.clear();
    }

    /// A list that runs shows this.
    pub fn shown(&mut self, key: K) {
        self.known.insert(key.clone());
        self.seen.insert(key);
    }

    /// Something came, outside of a list.
    pub fn came(&mut self, key: K) {
        self.known.insert(key);
    }

    /// It was seen gone.
    pub fn gone(&mut self, key: &K) {
        self.known.remove(key);
    }

    /// What a complete list did not show any more.
    pub fn complete(&mut self) -> Vec<K> {
        let seen = std::mem::take(&mut self.seen);
        self.is_complete = true;
        let missing = self.known.difference(&seen).cloned().collect();
        self.known = seen;
        missing
    }
}

/// What an event means to somebody who keeps a copy.
#[derive(Debug)]
pub(crate) enum Change<T, K> {
    /// It is so now.
    Is(T),
    /// It is gone.
    Gone(K),
}

impl<K: Clone + Eq + std::hash::Hash> List<K> {
    /// Takes an event of this watch.
    pub fn hear<T>(&mut self, event: Event<T>, key: impl Fn(&T) -> K) -> Vec<Change<T, K>> {
        match event {
            Event::Init => {
                self.begins();
                Vec::new()
            }
            Event::InitApply(object) => {
                self.shown(key(&object));
                vec![Change::Is(object)]
            }
            Event::InitDone => self.complete().into_iter().map(Change::Gone).collect(),
            Event::Apply(object) => {
                self.came(key(&object));
                vec![Change::Is(object)]
            }
            Event::Delete(object) => {
                let key = key(&object);
                self.gone(&key);
                vec![Change::Gone(key)]
            }
        }
    }
}
