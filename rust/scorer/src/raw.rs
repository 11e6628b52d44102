//! Values that are still text: a place on a tape, read no further than somebody looks.

use crate::reader::{Syntax, json_string, read_value};
use crate::tape::Tape;
use crate::value::{Text, Value};

/// Objects with no more members are searched quickly without an index.
const FEW: usize = 64;

/// A value on a tape.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw<'a> {
    source: &'a Taped<'a>,
    pub(crate) cell: u32,
}

/// A text and its tape.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taped<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) tape: &'a Tape,
}

impl<'a> Taped<'a> {
    /// The value at a cell.
    pub(crate) fn at(&'a self, cell: u32) -> Raw<'a> {
        Raw { source: self, cell }
    }

    /// The key at a cell.
    pub(crate) fn key(&self, cell: u32) -> &'a [u8] {
        self.tape.key(self.text, cell)
    }
}

/// What stands there, as its first byte tells.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum RawKind {
    Object,
    Array,
    Scalar,
}

impl<'a> Raw<'a> {
    #[inline]
    fn at(self, cell: u32) -> Self {
        Self { source: self.source, cell }
    }

    /// Its text.
    #[inline]
    pub(crate) fn bytes(self) -> &'a [u8] {
        let cell = self.source.tape.cell(self.cell);
        &self.source.text[cell.start as usize..cell.end as usize]
    }

    pub(crate) fn kind(self) -> RawKind {
        match self.bytes()[0] {
            b'{' => RawKind::Object,
            b'[' => RawKind::Array,
            _ => RawKind::Scalar,
        }
    }

    pub(crate) fn is_same(self, other: Raw) -> bool {
        self.cell == other.cell && std::ptr::eq(self.source.tape, other.source.tape)
    }

    /// The value of a key of this object.
    pub(crate) fn get(self, key: &[u8]) -> Option<Self> {
        self.source.tape.find(self.source.text, self.cell, key).map(|cell| self.at(cell))
    }

    /// The entries of this object, each key once.
    pub(crate) fn entries(self) -> impl Iterator<Item = (&'a [u8], Self)> {
        let members = self.source.tape.distinct(self.source.text, self.cell);
        members.into_iter().map(move |at| (self.source.tape.key(self.source.text, at), self.at(at + 1)))
    }

    /// How many entries this object has.
    pub(crate) fn entry_count(self) -> usize {
        self.source.tape.distinct(self.source.text, self.cell).len()
    }

    /// The elements of this array.
    pub(crate) fn items(self) -> impl Iterator<Item = Self> + use<'a> {
        self.source.tape.items(self.cell).map(move |cell| self.at(cell))
    }

    /// An element of this array.
    pub(crate) fn nth(self, index: usize) -> Option<Self> {
        self.source.tape.nth(self.cell, index).map(|cell| self.at(cell))
    }

    /// Whether looking for a key takes as long as this object has members, and those are many.
    pub(crate) fn is_slow(self) -> bool {
        !self.source.tape.is_indexed(self.cell) && self.source.tape.members(self.cell).nth(FEW).is_some()
    }

    /// The text of this string; `None` for any other value.
    pub(crate) fn text(self) -> Option<Text<'a>> {
        match self.bytes() {
            [b'"', inside @ .., b'"'] if !inside.contains(&b'\\') => Some(Text::Borrowed(inside)),
            [b'"', ..] => json_string(self.bytes()).map(Text::Owned),
            _ => None,
        }
    }

    pub(crate) fn is_null(self) -> bool {
        self.bytes()[0] == b'n'
    }

    /// How deep this is nested, or more.
    pub(crate) fn depth_at_most(self) -> usize {
        (self.source.tape.cell(self.cell).next - self.cell) as usize
    }

    /// The value itself.
    pub(crate) fn to_value(self) -> Value<'a> {
        match self.text() {
            Some(text) => Value::Str(text),
            // What stands on a tape has been found to be a value.
            None => read_value(self.bytes(), Syntax::Json).unwrap_or(Value::Null),
        }
    }
}
