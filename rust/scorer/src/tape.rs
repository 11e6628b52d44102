//! Tapes: where the values of a JSON text stand, found and checked in one pass, without making any of them.
//!
//! A tape accepts exactly what [`crate::read_value`] accepts as [`crate::Syntax::Json`].

use crate::object::hash;
use crate::scan::Scanner;
use hashbrown::{HashMap, HashTable};

/// A value or a key: bytes `start..end` of the text, and where on the tape the next sibling stands.
///
/// Values stand in the order of the text, each object's and array's members right behind it; a member of an object is a
/// key (quotes included) and then a value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// Of a value: the cell behind it and all that it holds. Of a key: 0, or 1 + its place among the decoded keys.
    pub(crate) next: u32,
}

/// The cells of a text, which is kept elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    cells: Vec<Cell>,
    /// The keys that are written with escapes.
    decoded: Vec<Box<[u8]>>,
    indexes: HashMap<u32, Index, foldhash::fast::RandomState>,
}

/// Where the members of a large container stand, so that it need not be searched from end to end.
#[derive(Debug)]
enum Index {
    /// The keys.
    Object(HashTable<u32>),
    /// The elements.
    Array(Vec<u32>),
}

impl Tape {
    pub(crate) fn clear(&mut self) {
        self.cells.clear();
        self.decoded.clear();
        self.indexes.clear();
    }

    /// How many cells there are; and with [`Self::truncate`], a place to go back to.
    pub(crate) fn len(&self) -> u32 {
        self.cells.len() as u32
    }

    pub(crate) fn truncate(&mut self, len: u32) {
        self.cells.truncate(len as usize);
    }

    /// Whether the memory of this tape may be kept for the next text.
    pub(crate) fn is_small(&self) -> bool {
        const KEPT_CELLS: usize = 1 << 20;
        self.cells.capacity() <= KEPT_CELLS
    }

    #[inline]
    pub(crate) fn cell(&self, at: u32) -> Cell {
        self.cells[at as usize]
    }

    /// Whether the value at a cell is an object. (A key is none, whatever it says.)
    #[inline]
    pub(crate) fn is_object(&self, text: &[u8], at: u32) -> bool {
        text[self.cell(at).start as usize] == b'{'
    }

    /// The key at a cell.
    #[inline]
    pub(crate) fn key<'t>(&'t self, text: &'t [u8], at: u32) -> &'t [u8] {
        let Cell { start, end, next } = self.cell(at);
        match next {
            0 => &text[start as usize + 1..end as usize - 1],
            decoded => &self.decoded[decoded as usize - 1],
        }
    }

    /// The members of the object at a cell, repeated keys included: their keys' cells; the value is the next cell.
    #[inline]
    pub(crate) fn members(&self, object: u32) -> impl Iterator<Item = u32> + '_ {
        self.members_from(object + 1, self.cell(object).next)
    }

    /// The members of an object from one on, up to another or to the end.
    #[inline]
    pub(crate) fn members_from(&self, mut at: u32, end: u32) -> impl Iterator<Item = u32> + '_ {
        std::iter::from_fn(move || {
            let key = at;
            (key < end).then(|| {
                at = self.cell(key + 1).next;
                key
            })
        })
    }

    /// The elements of the array at a cell.
    pub(crate) fn items(&self, array: u32) -> impl Iterator<Item = u32> + '_ {
        let end = self.cell(array).next;
        let mut at = array + 1;
        std::iter::from_fn(move || {
            let item = at;
            (item < end).then(|| {
                at = self.cell(item).next;
                item
            })
        })
    }

    #[inline]
    fn index_of(&self, container: u32) -> Option<&Index> {
        if self.indexes.is_empty() { None } else { self.indexes.get(&container) }
    }

    pub(crate) fn is_indexed(&self, container: u32) -> bool {
        self.index_of(container).is_some()
    }

    /// The element of an array.
    pub(crate) fn nth(&self, array: u32, index: usize) -> Option<u32> {
        match self.index_of(array) {
            Some(Index::Array(items)) => items.get(index).copied(),
            _ => self.items(array).nth(index),
        }
    }

    /// The value of a key, the last one if it is repeated.
    pub(crate) fn find(&self, text: &[u8], object: u32, key: &[u8]) -> Option<u32> {
        if let Some(Index::Object(index)) = self.index_of(object) {
            return index.find(hash(key), |&at| self.key(text, at) == key).map(|at| at + 1);
        }
        self.members(object).filter(|&at| self.key(text, at) == key).last().map(|at| at + 1)
    }

    /// The members of an object as an object has them: each key once, where it first stood, with its last value.
    pub(crate) fn distinct(&self, text: &[u8], object: u32) -> Vec<u32> {
        let mut members: Vec<u32> = self.members(object).collect();
        if !self.has_repeats(text, object) {
            return members;
        }
        let mut places: HashMap<&[u8], usize, foldhash::fast::RandomState> = HashMap::default();
        let mut kept = 0;
        for i in 0..members.len() {
            let place = *places.entry(self.key(text, members[i])).or_insert(kept);
            members[place] = members[i];
            kept = kept.max(place + 1);
        }
        members.truncate(kept);
        members
    }

    /// Whether a key stands in the object more than once.
    pub(crate) fn has_repeats(&self, text: &[u8], object: u32) -> bool {
        const FEW: usize = 16;
        let keys = || self.members(object).map(|at| self.key(text, at));
        // Ids mostly rise, as text or as numbers do, and what rises does not repeat.
        let (mut rises, mut rises_by_length) = (true, true);
        let mut last: Option<&[u8]> = None;
        let mut count = 0;
        for key in keys() {
            if let Some(last) = last {
                rises &= last < key;
                rises_by_length &= (last.len(), last) < (key.len(), key);
                if !rises && !rises_by_length && count >= FEW {
                    return self.has_repeats_among_many(text, object);
                }
            }
            last = Some(key);
            count += 1;
        }
        !rises && !rises_by_length && {
            let mut seen: [&[u8]; FEW] = [b""; FEW];
            keys().zip(0..).any(|(key, at)| {
                let repeated = seen[..at.min(FEW)].contains(&key);
                if let Some(place) = seen.get_mut(at) {
                    *place = key;
                }
                repeated
            }) || (count > FEW && self.has_repeats_among_many(text, object))
        }
    }

    fn has_repeats_among_many(&self, text: &[u8], object: u32) -> bool {
        let mut table = HashTable::new();
        self.members(object).any(|at| !self.enter(text, &mut table, at))
    }

    /// Put a key into a table; false if it stands there already, and then its later value takes the place.
    fn enter(&self, text: &[u8], table: &mut HashTable<u32>, at: u32) -> bool {
        let key = self.key(text, at);
        match table.find_mut(hash(key), |&other| self.key(text, other) == key) {
            Some(other) => {
                *other = at;
                false
            }
            None => {
                table.insert_unique(hash(key), at, |&at| hash(self.key(text, at)));
                true
            }
        }
    }

    /// Index the containers that have more than `least` members.
    pub(crate) fn index(&mut self, text: &[u8], least: usize) {
        let mut at = 0;
        while at < self.len() {
            // What is shorter than that on the tape has fewer members.
            let cell = self.cell(at);
            if (cell.next.saturating_sub(at) as usize) > least {
                match text[cell.start as usize] {
                    b'{' if self.members(at).nth(least).is_some() => {
                        let mut table = HashTable::new();
                        self.members(at).for_each(|member| _ = self.enter(text, &mut table, member));
                        self.indexes.insert(at, Index::Object(table));
                    }
                    b'[' if self.items(at).nth(least).is_some() => {
                        self.indexes.insert(at, Index::Array(self.items(at).collect()));
                    }
                    _ => {}
                }
            }
            at += 1;
        }
    }

    /// A copy that takes no more memory than it needs, its containers with more than `least` members indexed.
    pub(crate) fn indexed(&self, text: &[u8], least: usize) -> Self {
        let mut copy = Self { cells: self.cells.clone(), decoded: self.decoded.clone(), indexes: HashMap::default() };
        copy.index(text, least);
        copy
    }

    /// Read the value at byte `at`, nested in `depth` others, onto the end of the tape; the answer is where it ends.
    ///
    /// `None` where there is no value that [`crate::read_value`] would accept there.
    pub(crate) fn read(&mut self, text: &[u8], at: usize, depth: usize) -> Option<usize> {
        Scanner::new(text, &mut self.cells, &mut self.decoded, depth).value(at)
    }

    /// Read a key at its opening quote, as [`Self::read`] does a value.
    pub(crate) fn read_key(&mut self, text: &[u8], at: usize) -> Option<usize> {
        Scanner::new(text, &mut self.cells, &mut self.decoded, 0).key(at)
    }
}
