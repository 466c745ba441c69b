//! A map that forgets what was not asked for the longest time, so that it never weighs more than it may.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// Values by key, with a weight each. Each of those whose values they are has an equal share: what one keeps beyond it
/// gives way first, and nobody's values push another one's out of its share (invariant I9).
#[derive(Debug)]
pub(super) struct Cache<K, V> {
    most: usize,
    kept: Mutex<Kept<K, V>>,
}

#[derive(Debug)]
struct Kept<K, V> {
    values: HashMap<K, Held<V>>,
    /// What each one's values weigh together.
    weights: HashMap<Arc<str>, usize>,
    clock: u64,
}

#[derive(Debug)]
struct Held<V> {
    value: V,
    weight: usize,
    /// When it was last asked for.
    asked: u64,
    owner: Arc<str>,
}

impl<K: Eq + Hash + Clone, V: Clone> Cache<K, V> {
    /// Keeps values of this weight together.
    pub fn new(most: usize) -> Self {
        Self { most, kept: Mutex::new(Kept { values: HashMap::new(), weights: HashMap::new(), clock: 0 }) }
    }

    pub fn get(&self, key: &K) -> Option<V> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clock += 1;
        let now = kept.clock;
        let found = kept.values.get_mut(key)?;
        found.asked = now;
        Some(found.value.clone())
    }

    /// Keeps a value that is everybody's; one that is too heavy by itself is not kept.
    pub fn put(&self, key: K, value: V, weight: usize) {
        self.put_of("", key, value, weight);
    }

    /// Keeps a value that is `owner`'s; one that does not fit beside the others' shares is not kept.
    pub fn put_of(&self, owner: &str, key: K, value: V, weight: usize) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.remove(&key);
        let owner: Arc<str> = owner.into();
        let owners = kept.weights.len() + usize::from(!kept.weights.contains_key(&owner));
        let share = self.most / owners;
        let others = kept.weights.iter().filter(|(other, _)| **other != owner);
        let others: usize = others.map(|(_, weight)| *weight.min(&share)).sum();
        if weight.saturating_add(others) > self.most {
            return;
        }
        while kept.weight() + weight > self.most {
            let Some(oldest) = kept.oldest_beyond(share, &owner, weight) else { return };
            kept.remove(&oldest);
        }
        kept.clock += 1;
        let asked = kept.clock;
        *kept.weights.entry(Arc::clone(&owner)).or_default() += weight;
        kept.values.insert(key, Held { value, weight, asked, owner });
    }
}

impl<K: Eq + Hash + Clone, V> Kept<K, V> {
    fn weight(&self) -> usize {
        self.weights.values().sum()
    }

    fn remove(&mut self, key: &K) {
        let Some(removed) = self.values.remove(key) else { return };
        if let Some(weight) = self.weights.get_mut(&removed.owner) {
            *weight -= removed.weight;
            if *weight == 0 {
                self.weights.remove(&removed.owner);
            }
        }
    }

    /// What was not asked for the longest time of those who keep more than their share; `owner` is about to keep `more`.
    fn oldest_beyond(&self, share: usize, owner: &Arc<str>, more: usize) -> Option<K> {
        let is_beyond = |value: &Held<V>| {
            let weight = self.weights.get(&value.owner).copied().unwrap_or_default();
            weight + if value.owner == *owner { more } else { 0 } > share
        };
        let beyond = self.values.iter().filter(|(_, value)| is_beyond(value));
        beyond.min_by_key(|(_, value)| value.asked).map(|(key, _)| key.clone())
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

    #[test]
    fn one_owner_pushes_nobody_out_of_his_share_i9() {
        let cache = Cache::new(12);
        cache.put_of("acme", 'a', 1, 4);
        for key in 'm'..='z' {
            cache.put_of("greedy", key, 0, 4);
        }
        assert_eq!(
            (cache.get(&'a'), cache.get(&'z'), cache.get(&'y'), cache.get(&'x')),
            (Some(1), Some(0), Some(0), None)
        );
        cache.put_of("greedy", 'A', 0, 9);
        assert_eq!((cache.get(&'A'), cache.get(&'a'), cache.get(&'z')), (None, Some(1), Some(0)), "it would not fit");
        cache.put_of("acme", 'b', 2, 2);
        assert_eq!((cache.get(&'a'), cache.get(&'b'), cache.get(&'y')), (Some(1), Some(2), None), "a share is there");
        let alone = Cache::new(12);
        alone.put_of("acme", 'a', 1, 12);
        assert_eq!(alone.get(&'a'), Some(1), "whoever is alone has it all");
    }
}
