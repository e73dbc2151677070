//! What the writer remembers so that it need not ask: the newest version of the streams lately
//! written, and the numbers of streams and types.

use std::collections::HashMap;
use std::hash::Hash;
use std::mem;

/// A map that forgets what was not used lately. It keeps the `capacity` entries used last, and at
/// most twice as many: when the young half is full the old half is dropped.
pub(super) struct RecentMap<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    capacity: usize,
}

impl<K: Eq + Hash + Clone, V> RecentMap<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            capacity: capacity.max(1),
        }
    }

    pub(super) fn get(&mut self, key: &K) -> Option<&V> {
        if !self.young.contains_key(key) {
            let value = self.old.remove(key)?;
            self.insert(key.clone(), value);
        }
        self.young.get(key)
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.capacity && !self.young.contains_key(&key) {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    pub(super) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::RecentMap;

    #[test]
    fn forgets_what_was_not_used_lately() {
        let mut map = RecentMap::new(2);
        for key in 0..4 {
            map.insert(key, key);
            assert_eq!(map.get(&0), Some(&0), "used each time, so kept");
        }
        assert_eq!(map.get(&3), Some(&3));
        assert!(map.young.len() + map.old.len() <= 4);
        map.insert(4, 4);
        map.insert(5, 5);
        map.insert(6, 6);
        assert_eq!(map.get(&1), None);
    }

    #[test]
    fn a_new_value_replaces_an_old_one() {
        let mut map = RecentMap::new(1);
        map.insert('a', 1);
        map.insert('b', 1);
        map.insert('a', 2);
        assert_eq!(map.get(&'a'), Some(&2));
        map.insert('c', 1);
        assert_eq!(map.get(&'a'), Some(&2));
    }
}
