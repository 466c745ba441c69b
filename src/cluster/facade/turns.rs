//! So many at a time for each key; more wait in the order in which they came.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places by key. Only keys that somebody works at or waits for are remembered.
#[derive(Debug)]
pub(super) struct Turns<K> {
    places: usize,
    wanted: Mutex<HashMap<K, Weak<Semaphore>>>,
}

/// A place that is taken, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    /// Places are never closed, so there always is one.
    _place: Option<OwnedSemaphorePermit>,
}

impl<K: Eq + Hash + Clone> Turns<K> {
    /// With so many places for each key.
    pub fn new(places: usize) -> Self {
        Self { places, wanted: Mutex::default() }
    }

    /// Waits for a place.
    pub async fn take(&self, key: &K) -> Turn {
        Turn { _place: self.places(key).acquire_owned().await.ok() }
    }

    fn places(&self, key: &K) -> Arc<Semaphore> {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = wanted.get(key).and_then(Weak::upgrade) {
            return places;
        }
        wanted.retain(|_, places| places.strong_count() > 0);
        let places = Arc::new(Semaphore::new(self.places));
        wanted.insert(key.clone(), Arc::downgrade(&places));
        places
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn each_key_has_its_own_places_and_is_forgotten_with_the_last_i7() {
        let turns = Turns::new(2);
        let take = |key: char| turns.take(&key).now_or_never();
        let (one, two) = (take('a').unwrap(), take('a').unwrap());
        assert!(take('a').is_none(), "both are taken");
        let other = take('b').unwrap();
        drop(one);
        let three = take('a').unwrap();
        drop((two, three, other));
        let _last = take('c');
        assert_eq!(turns.wanted.lock().unwrap().keys().collect::<Vec<_>>(), [&'c']);
    }
}
