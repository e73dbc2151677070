//! What the writer remembers so that it need not ask: the newest version of the streams lately
//! written, and the numbers of streams and types.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::mem;

/// A map whose keys bring a number with them that is a good hash already.
pub(super) type ByHash<K, V> = HashMap<K, V, BuildHasherDefault<Ready>>;

/// Takes the number that a key writes as its hash.
#[derive(Default)]
pub(super) struct Ready(u64);

impl Hasher for Ready {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_i64(&mut self, number: i64) {
        self.0 = number.cast_unsigned();
    }
}

/// A map that forgets what was not used lately. It keeps the `capacity` entries used last, and at
/// most twice as many: when the young half is full the old half is dropped.
pub(super) struct RecentMap<K, V> {
    young: ByHash<K, V>,
    old: ByHash<K, V>,
    capacity: usize,
}

impl<K: Eq + Hash + Clone, V> RecentMap<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            young: ByHash::default(),
            old: ByHash::default(),
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
        for key in 0..4i64 {
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
        map.insert(1i64, 'a');
        map.insert(2, 'a');
        map.insert(1, 'b');
        assert_eq!(map.get(&1), Some(&'b'));
        map.insert(3, 'a');
        assert_eq!(map.get(&1), Some(&'b'));
    }
}
