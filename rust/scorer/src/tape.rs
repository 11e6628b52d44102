//! Tapes: where the values of a JSON text stand, found and checked in one pass, without making any of them.
//!
//! A tape accepts exactly what [`crate::read_value`] accepts as [`crate::Syntax::Json`].

use crate::limits::{MAX_DEPTH, MAX_INTEGER_DIGITS};
use crate::object::hash;
use crate::reader::json_string;
use hashbrown::{HashMap, HashTable};
use wide::u8x16;

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
        let mut seen: [&[u8]; FEW] = [b""; FEW];
        let mut highest: Option<&[u8]> = None;
        for (count, at) in self.members(object).enumerate() {
            let key = self.key(text, at);
            // Keys in rising order, as ids mostly are, need no search.
            if highest.is_none_or(|highest| highest < key) {
                highest = Some(key);
            } else if count >= FEW {
                return self.has_repeats_among_many(text, object);
            } else if seen[..count].contains(&key) {
                return true;
            }
            if let Some(place) = seen.get_mut(count) {
                *place = key;
            }
        }
        false
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
        Scanner { text, tape: self, depth }.value(at)
    }

    /// Read a key at its opening quote, as [`Self::read`] does a value.
    pub(crate) fn read_key(&mut self, text: &[u8], at: usize) -> Option<usize> {
        Scanner { text, tape: self, depth: 0 }.key(at)
    }
}

/// Past the white space of JSON.
#[inline]
pub(crate) fn space(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = text.get(at) {
        at += 1;
    }
    at
}

struct Scanner<'s> {
    text: &'s [u8],
    tape: &'s mut Tape,
    depth: usize,
}

impl Scanner<'_> {
    #[inline]
    fn push(&mut self, start: usize, end: usize, next: u32) {
        self.tape.cells.push(Cell { start: start as u32, end: end as u32, next });
    }

    #[inline]
    fn push_scalar(&mut self, start: usize, end: usize) {
        let next = self.tape.len() + 1;
        self.push(start, end, next);
    }

    #[inline]
    fn value(&mut self, at: usize) -> Option<usize> {
        let end = match self.text.get(at)? {
            b'"' => self.string(at)?.0,
            b'{' | b'[' => return self.container(at),
            b'0'..=b'9' | b'-' => self.number(at)?,
            b't' => self.word(at, b"true")?,
            b'f' => self.word(at, b"false")?,
            b'n' => self.word(at, b"null")?,
            b'N' => self.word(at, b"NaN")?,
            b'I' => self.word(at, b"Infinity")?,
            _ => return None,
        };
        self.push_scalar(at, end);
        Some(end)
    }

    fn word(&self, at: usize, word: &[u8]) -> Option<usize> {
        self.text[at..].starts_with(word).then_some(at + word.len())
    }

    fn container(&mut self, start: usize) -> Option<usize> {
        if self.depth >= MAX_DEPTH {
            return None;
        }
        self.depth += 1;
        let cell = self.tape.cells.len();
        self.push(start, start, 0);
        let end = if self.text[start] == b'{' { self.object(start + 1)? } else { self.array(start + 1)? };
        self.depth -= 1;
        let next = self.tape.len();
        let cell = &mut self.tape.cells[cell];
        cell.end = end as u32;
        cell.next = next;
        Some(end)
    }

    fn object(&mut self, at: usize) -> Option<usize> {
        let mut at = space(self.text, at);
        if self.text.get(at) == Some(&b'}') {
            return Some(at + 1);
        }
        loop {
            at = space(self.text, self.key(at)?);
            if self.text.get(at) != Some(&b':') {
                return None;
            }
            at = self.value(space(self.text, at + 1))?;
            at = space(self.text, at);
            match self.text.get(at) {
                Some(b',') => at = space(self.text, at + 1),
                Some(b'}') => return Some(at + 1),
                _ => return None,
            }
        }
    }

    fn array(&mut self, at: usize) -> Option<usize> {
        let mut at = space(self.text, at);
        if self.text.get(at) == Some(&b']') {
            return Some(at + 1);
        }
        loop {
            at = self.value(at)?;
            at = space(self.text, at);
            match self.text.get(at) {
                Some(b',') => at = space(self.text, at + 1),
                Some(b']') => return Some(at + 1),
                _ => return None,
            }
        }
    }

    #[inline]
    fn key(&mut self, at: usize) -> Option<usize> {
        if self.text.get(at) != Some(&b'"') {
            return None;
        }
        let (end, escaped) = self.string(at)?;
        let next = if escaped { self.decode(at, end)? } else { 0 };
        self.push(at, end, next);
        Some(end)
    }

    #[cold]
    fn decode(&mut self, start: usize, end: usize) -> Option<u32> {
        self.tape.decoded.push(json_string(&self.text[start..end])?.into());
        Some(self.tape.decoded.len() as u32)
    }

    /// The end of the string that opens at `at`, and whether it holds escapes.
    #[inline]
    fn string(&self, at: usize) -> Option<(usize, bool)> {
        let end = at + 1 + plain_run(&self.text[at + 1..]);
        match self.text.get(end) {
            Some(b'"') => Some((end + 1, false)),
            Some(b'\\') => self.escaped_string(end).map(|end| (end, true)),
            _ => None,
        }
    }

    /// The end of a string whose first escape is at `at`.
    fn escaped_string(&self, mut at: usize) -> Option<usize> {
        loop {
            at = match self.text.get(at)? {
                b'"' => return Some(at + 1),
                b'\\' => match self.text.get(at + 1)? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at + 2,
                    b'u' if self.text.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit) => at + 6,
                    _ => return None,
                },
                _ => return None,
            };
            at += plain_run(&self.text[at..]);
        }
    }

    #[inline]
    fn number(&self, start: usize) -> Option<usize> {
        let first = start + usize::from(self.text[start] == b'-');
        let mut at = self.digits(first);
        if at == first {
            return self.word(first, b"Infinity");
        }
        if (self.text[first] == b'0' && at > first + 1) || at - first > MAX_INTEGER_DIGITS {
            return None;
        }
        if self.text.get(at) == Some(&b'.') {
            let end = self.digits(at + 1);
            if end == at + 1 {
                return None;
            }
            at = end;
        }
        if let Some(b'e' | b'E') = self.text.get(at) {
            let exponent = at + 1 + usize::from(matches!(self.text.get(at + 1), Some(b'+' | b'-')));
            let end = self.digits(exponent);
            if end == exponent {
                return None;
            }
            at = end;
        }
        Some(at)
    }

    #[inline]
    fn digits(&self, mut at: usize) -> usize {
        while let Some(b'0'..=b'9') = self.text.get(at) {
            at += 1;
        }
        at
    }
}

/// The length of the prefix without quotes, backslashes and control characters.
#[inline]
fn plain_run(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(chunk) = bytes[at..].first_chunk::<16>() {
        let chunk = u8x16::new(*chunk);
        let control = chunk.min(u8x16::splat(0x1F)).simd_eq(chunk);
        let found = control | chunk.simd_eq(u8x16::splat(b'"')) | chunk.simd_eq(u8x16::splat(b'\\'));
        let found = found.to_bitmask();
        if found != 0 {
            return at + found.trailing_zeros() as usize;
        }
        at += 16;
    }
    at + bytes[at..].iter().take_while(|&&b| b >= 0x20 && b != b'"' && b != b'\\').count()
}
