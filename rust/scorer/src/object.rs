//! Objects: entries in the order of their first appearance, with a hash index once a scan would be slower.

use crate::value::{Text, Value};
use hashbrown::HashTable;
use std::hash::BuildHasher;
use std::sync::LazyLock;

/// Up to this many entries a scan beats hashing.
const SCANNED: usize = 8;

// Seeded per process, so that no file can be made whose keys collide.
static HASHER: LazyLock<foldhash::fast::RandomState> = LazyLock::new(foldhash::fast::RandomState::default);

/// A hash of a key, the same for equal keys as long as the process lives.
pub(crate) fn hash(key: &[u8]) -> u64 {
    HASHER.hash_one(key)
}

/// Values by key, in insertion order.
#[derive(Clone, Debug)]
pub(crate) struct KeyMap<'a, V> {
    entries: Vec<(Text<'a>, V)>,
    index: Option<Box<HashTable<u32>>>,
}

impl<V> Default for KeyMap<'_, V> {
    fn default() -> Self {
        Self { entries: Vec::new(), index: None }
    }
}

impl<'a, V> KeyMap<'a, V> {
    pub(crate) fn position(&self, key: &[u8]) -> Option<usize> {
        match &self.index {
            None => self.entries.iter().position(|(k, _)| **k == *key),
            Some(index) => index.find(hash(key), |&i| *self.entries[i as usize].0 == *key).map(|&i| i as usize),
        }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&V> {
        self.position(key).map(|at| &self.entries[at].1)
    }

    pub(crate) fn get_mut(&mut self, key: &[u8]) -> Option<&mut V> {
        self.position(key).map(|at| &mut self.entries[at].1)
    }

    /// Set a key; the answer is its old value. One that was there keeps its place.
    pub(crate) fn insert(&mut self, key: Text<'a>, value: V) -> Option<V> {
        match self.get_mut(&key) {
            Some(old) => Some(std::mem::replace(old, value)),
            None => {
                self.push(key, value);
                None
            }
        }
    }

    /// The value of a key, which is made if there is none.
    pub(crate) fn entry(&mut self, key: &Text<'a>, make: impl FnOnce() -> V) -> &mut V {
        let at = match self.position(key) {
            Some(at) => at,
            None => {
                self.push(key.clone(), make());
                self.entries.len() - 1
            }
        };
        &mut self.entries[at].1
    }

    fn push(&mut self, key: Text<'a>, value: V) {
        let at = self.entries.len();
        self.entries.push((key, value));
        let entries = &self.entries;
        let hash_of = |&i: &u32| hash(&entries[i as usize].0);
        if let Some(index) = &mut self.index {
            index.insert_unique(hash_of(&(at as u32)), at as u32, hash_of);
        } else if at + 1 > SCANNED {
            let mut index = HashTable::with_capacity(2 * (at + 1));
            for i in 0..=at as u32 {
                index.insert_unique(hash_of(&i), i, hash_of);
            }
            self.index = Some(Box::new(index));
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Text<'a>, &V)> {
        self.entries.iter().map(|(key, value)| (key, value))
    }
}

/// A JSON object: unique keys in insertion order.
#[derive(Clone, Debug, Default)]
pub struct Object<'a>(KeyMap<'a, Value<'a>>);

impl<'a> Object<'a> {
    /// The number of entries.
    pub fn len(&self) -> usize {
        self.0.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.0.entries.is_empty()
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Option<&Value<'a>> {
        self.0.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &[u8]) -> Option<&mut Value<'a>> {
        self.0.get_mut(key)
    }

    /// Set a key; one that was there keeps its place.
    pub fn insert(&mut self, key: Text<'a>, value: Value<'a>) {
        self.0.insert(key, value);
    }

    /// The entries in insertion order.
    pub fn iter(&self) -> impl Iterator<Item = (&Text<'a>, &Value<'a>)> {
        self.0.iter()
    }

    pub(crate) fn into_values(self) -> impl DoubleEndedIterator<Item = Value<'a>> {
        self.0.entries.into_iter().map(|(_, value)| value)
    }

    /// The entries in the order of their keys, by code point.
    pub(crate) fn sorted(&self) -> Vec<&(Text<'a>, Value<'a>)> {
        let mut entries: Vec<_> = self.0.entries.iter().collect();
        entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        entries
    }

    pub(crate) fn into_owned(self) -> Object<'static> {
        let own = |(key, value): (Text<'a>, Value<'a>)| (Text::Owned(key.into_owned()), value.into_owned());
        Object(KeyMap { entries: self.0.entries.into_iter().map(own).collect(), index: self.0.index })
    }
}

impl<'b> PartialEq<Object<'b>> for Object<'_> {
    fn eq(&self, other: &Object<'b>) -> bool {
        if self.len() != other.len() {
            return false;
        }
        // Two states of one environment mostly list their keys in one order: try the same place first.
        self.0.entries.iter().zip(&other.0.entries).all(|((key, value), (same, there))| {
            if key == same { value == there } else { other.get(key).is_some_and(|there| value == there) }
        })
    }
}

impl<'a> FromIterator<(Text<'a>, Value<'a>)> for Object<'a> {
    fn from_iter<I: IntoIterator<Item = (Text<'a>, Value<'a>)>>(entries: I) -> Self {
        let mut object = Self::default();
        for (key, value) in entries {
            object.insert(key, value);
        }
        object
    }
}
