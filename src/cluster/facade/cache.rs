//! A map that forgets what was not asked for the longest time, so that it never weighs more than it may.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

/// Values by key, with a weight each.
#[derive(Debug)]
pub(super) struct Cache<K, V> {
    most: usize,
    kept: Mutex<Kept<K, V>>,
}

#[derive(Debug)]
struct Kept<K, V> {
    /// With its weight and when it was last asked for.
    values: HashMap<K, (V, usize, u64)>,
    weight: usize,
    clock: u64,
}

impl<K: Eq + Hash + Clone, V: Clone> Cache<K, V> {
    /// Keeps values of this weight together.
    pub fn new(most: usize) -> Self {
        Self { most, kept: Mutex::new(Kept { values: HashMap::new(), weight: 0, clock: 0 }) }
    }

    pub fn get(&self, key: &K) -> Option<V> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clock += 1;
        let now = kept.clock;
        let (value, _, asked) = kept.values.get_mut(key)?;
        *asked = now;
        Some(value.clone())
    }

    /// Keeps a value; one that is too heavy by itself is not kept.
    pub fn put(&self, key: K, value: V, weight: usize) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clock += 1;
        let now = kept.clock;
        if let Some((_, weight, _)) = kept.values.remove(&key) {
            kept.weight -= weight;
        }
        if weight > self.most {
            return;
        }
        while kept.weight + weight > self.most {
            let oldest = kept.values.iter().min_by_key(|(_, (_, _, asked))| *asked).map(|(key, _)| key.clone());
            let Some((_, freed, _)) = oldest.and_then(|key| kept.values.remove(&key)) else { break };
            kept.weight -= freed;
        }
        kept.weight += weight;
        kept.values.insert(key, (value, weight, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_asked_for_longest_goes_first_i7() {
        let cache = Cache::new(10);
        cache.put('a', 1, 4);
        cache.put('b', 2, 4);
        assert_eq!(cache.get(&'a'), Some(1));
        cache.put('c', 3, 4);
        assert_eq!((cache.get(&'a'), cache.get(&'b'), cache.get(&'c')), (Some(1), None, Some(3)));
        cache.put('d', 4, 11);
        assert_eq!((cache.get(&'d'), cache.get(&'a')), (None, Some(1)), "too heavy, and nobody goes for it");
        cache.put('a', 5, 6);
        assert_eq!((cache.get(&'a'), cache.get(&'c')), (Some(5), Some(3)));
    }
}
