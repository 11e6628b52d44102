//! A state under edit: the old state borrowed, and only what the operations touch written anew.

use crate::object::{KeyMap, Object};
use crate::raw::{Raw, RawKind};
use crate::value::{Text, Value};
use crate::view::{ObjectView, View};

/// A value that may have been edited.
#[derive(Clone, Debug)]
pub(crate) enum Node<'a> {
    /// Untouched: a part of the state before, or of the prediction.
    Base(&'a Value<'a>),
    /// The same, still text.
    Raw(Raw<'a>),
    /// An object with edits on top.
    Object(Box<ObjectEdit<'a>>),
    /// An array whose elements have been touched.
    Array(Box<ArrayEdit<'a>>),
}

/// The object that edits lie upon.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ObjectBase<'a> {
    Value(&'a Object<'a>),
    Raw(Raw<'a>),
}

impl<'a> ObjectBase<'a> {
    pub(crate) fn get(self, key: &[u8]) -> Option<Node<'a>> {
        match self {
            Self::Value(object) => object.get(key).map(Node::Base),
            Self::Raw(object) => object.get(key).map(Node::Raw),
        }
    }

    pub(crate) fn has(self, key: &[u8]) -> bool {
        match self {
            Self::Value(object) => object.get(key).is_some(),
            Self::Raw(object) => object.get(key).is_some(),
        }
    }

    pub(crate) fn view<'n>(self) -> ObjectView<'n, 'a>
    where
        'a: 'n,
    {
        match self {
            Self::Value(object) => ObjectView::Plain(object),
            Self::Raw(object) => ObjectView::Raw(object),
        }
    }
}

/// An object's edits: a key is set to a node, or deleted (`None`).
#[derive(Clone, Debug, Default)]
pub(crate) struct ObjectEdit<'a> {
    pub(crate) base: Option<ObjectBase<'a>>,
    pub(crate) edits: KeyMap<'a, Option<Node<'a>>>,
}

/// A container ready to be edited; a scalar holds nothing, and is named for messages.
pub(crate) enum Edit<'n, 'a> {
    Object(&'n mut ObjectEdit<'a>),
    Array(&'n mut ArrayEdit<'a>),
    Nothing(&'static str),
}

/// Elements in chunks, so that a million insertions at the front do not move a million elements each.
#[derive(Clone, Debug, Default)]
pub(crate) struct ArrayEdit<'a> {
    chunks: Vec<Vec<Node<'a>>>,
    length: usize,
}

/// Elements per chunk at most; a chunk that outgrows it is split in two.
const CHUNK: usize = 512;

impl<'a> ArrayEdit<'a> {
    fn new(items: impl Iterator<Item = Node<'a>>) -> Self {
        let mut chunks: Vec<Vec<Node>> = Vec::new();
        let mut length = 0;
        for node in items {
            match chunks.last_mut().filter(|chunk| chunk.len() < CHUNK / 2) {
                Some(chunk) => chunk.push(node),
                None => chunks.push(vec![node]),
            }
            length += 1;
        }
        Self { chunks, length }
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// The chunk and the place in it where `index` stands; the end of the last chunk for `index == len`.
    fn locate(&self, index: usize) -> (usize, usize) {
        let mut rest = index;
        for (number, chunk) in self.chunks.iter().enumerate() {
            if rest < chunk.len() {
                return (number, rest);
            }
            rest -= chunk.len();
        }
        let last = self.chunks.len().saturating_sub(1);
        (last, self.chunks.last().map_or(0, Vec::len))
    }

    pub(crate) fn get(&self, index: usize) -> Option<&Node<'a>> {
        let (chunk, at) = self.locate(index);
        self.chunks.get(chunk)?.get(at)
    }

    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut Node<'a>> {
        let (chunk, at) = self.locate(index);
        self.chunks.get_mut(chunk)?.get_mut(at)
    }

    /// Insert before `index`, which is at most the length.
    pub(crate) fn insert(&mut self, index: usize, node: Node<'a>) {
        if self.chunks.is_empty() {
            self.chunks.push(Vec::new());
        }
        let (number, at) = self.locate(index);
        let chunk = &mut self.chunks[number];
        chunk.insert(at, node);
        self.length += 1;
        if chunk.len() > CHUNK {
            let tail = chunk.split_off(CHUNK / 2);
            self.chunks.insert(number + 1, tail);
        }
    }

    /// Remove an element that exists.
    pub(crate) fn remove(&mut self, index: usize) -> Node<'a> {
        let (number, at) = self.locate(index);
        let node = self.chunks[number].remove(at);
        self.length -= 1;
        if self.chunks[number].is_empty() {
            self.chunks.remove(number);
        }
        node
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Node<'a>> {
        self.chunks.iter().flatten()
    }
}

impl<'a> Node<'a> {
    /// A new, empty object.
    pub(crate) fn empty_object() -> Self {
        Self::Object(Box::default())
    }

    /// What there is to edit.
    pub(crate) fn edit(&mut self) -> Edit<'_, 'a> {
        match *self {
            Self::Base(Value::Object(base)) => *self = Self::edited(ObjectBase::Value(base)),
            Self::Base(Value::Array(items)) => {
                *self = Self::Array(Box::new(ArrayEdit::new(items.iter().map(Node::Base))));
            }
            Self::Raw(raw) => match raw.kind() {
                RawKind::Object => *self = Self::edited(ObjectBase::Raw(raw)),
                RawKind::Array => *self = Self::Array(Box::new(ArrayEdit::new(raw.items().map(Node::Raw)))),
                RawKind::Scalar => {}
            },
            _ => {}
        }
        match self {
            Self::Object(edit) => Edit::Object(edit),
            Self::Array(edit) => Edit::Array(edit),
            scalar => Edit::Nothing(scalar.view().kind()),
        }
    }

    fn edited(base: ObjectBase<'a>) -> Self {
        Self::Object(Box::new(ObjectEdit { base: Some(base), edits: KeyMap::default() }))
    }

    pub(crate) fn view(&self) -> View<'_, 'a> {
        match self {
            Self::Base(value) => View::Value(value),
            Self::Raw(raw) => View::Raw(*raw),
            edited => View::Edited(edited),
        }
    }
}

impl<'a> ObjectEdit<'a> {
    /// The keys that the base does not have, by code point.
    pub(crate) fn new_entries(&self) -> Vec<(&Text<'a>, &Node<'a>)> {
        let is_new = |key: &[u8]| self.base.is_none_or(|base| !base.has(key));
        let set = self.edits.iter().filter_map(|(key, slot)| slot.as_ref().map(|node| (key, node)));
        let mut new: Vec<_> = set.filter(|(key, _)| is_new(key)).collect();
        new.sort_unstable_by(|a, b| a.0.cmp(b.0));
        new
    }
}
