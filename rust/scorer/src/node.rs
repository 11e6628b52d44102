//! A state under edit: the old state borrowed, and only what the operations touch written anew.

use crate::object::Object;
use crate::text::lossy;
use crate::value::{Text, Value};
use hashbrown::HashMap;
use std::borrow::Cow;

/// A value that may have been edited.
#[derive(Clone, Debug)]
pub(crate) enum Node<'a> {
    /// Untouched: a part of the state before, or of the prediction.
    Base(&'a Value<'a>),
    /// An object with edits on top.
    Object(Box<ObjectEdit<'a>>),
    /// An array whose elements have been touched.
    Array(Box<ArrayEdit<'a>>),
}

/// An object's edits: a key is set to a node, or deleted (`None`).
#[derive(Clone, Debug, Default)]
pub(crate) struct ObjectEdit<'a> {
    pub(crate) base: Option<&'a Object<'a>>,
    pub(crate) edits: HashMap<Text<'a>, Option<Node<'a>>, foldhash::fast::RandomState>,
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
    fn new(items: &'a [Value<'a>]) -> Self {
        let chunks = items.chunks(CHUNK / 2).map(|chunk| chunk.iter().map(Node::Base).collect()).collect();
        Self { chunks, length: items.len() }
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

    /// The object to edit, or `None` where this is none.
    pub(crate) fn object_mut(&mut self) -> Option<&mut ObjectEdit<'a>> {
        if let Self::Base(Value::Object(base)) = *self {
            *self = Self::Object(Box::new(ObjectEdit { base: Some(base), edits: HashMap::default() }));
        }
        if let Self::Object(edit) = self { Some(edit) } else { None }
    }

    /// The array to edit, or `None` where this is none.
    pub(crate) fn array_mut(&mut self) -> Option<&mut ArrayEdit<'a>> {
        if let Self::Base(Value::Array(items)) = *self {
            *self = Self::Array(Box::new(ArrayEdit::new(items)));
        }
        if let Self::Array(edit) = self { Some(edit) } else { None }
    }

    pub(crate) fn view(&self) -> View<'_, 'a> {
        match self {
            Self::Base(value) => View::Value(value),
            edited => View::Edited(edited),
        }
    }
}

/// A value to look at, edited or not. `View::Edited` never holds a `Node::Base`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum View<'n, 'a> {
    Value(&'n Value<'a>),
    Edited(&'n Node<'a>),
}

/// What kind of thing a view is, with what is needed to look inside.
pub(crate) enum Shape<'n, 'a> {
    Scalar(&'n Value<'a>),
    Object(ObjectView<'n, 'a>),
    Array(ArrayView<'n, 'a>),
}

#[derive(Clone, Copy)]
pub(crate) enum ObjectView<'n, 'a> {
    Plain(&'n Object<'a>),
    Edited(&'n ObjectEdit<'a>),
}

#[derive(Clone, Copy)]
pub(crate) enum ArrayView<'n, 'a> {
    Plain(&'n [Value<'a>]),
    Edited(&'n ArrayEdit<'a>),
}

impl<'n, 'a: 'n> View<'n, 'a> {
    pub(crate) fn shape(self) -> Shape<'n, 'a> {
        match self {
            Self::Value(Value::Object(object)) => Shape::Object(ObjectView::Plain(object)),
            Self::Value(Value::Array(items)) => Shape::Array(ArrayView::Plain(items)),
            Self::Value(scalar) => Shape::Scalar(scalar),
            Self::Edited(Node::Object(edit)) => Shape::Object(ObjectView::Edited(edit)),
            Self::Edited(Node::Array(edit)) => Shape::Array(ArrayView::Edited(edit)),
            Self::Edited(Node::Base(value)) => Self::Value(value).shape(),
        }
    }

    /// Whether both are the same place in memory, and so surely equal.
    pub(crate) fn is_same(self, other: View<'_, '_>) -> bool {
        match (self, other) {
            (View::Value(a), View::Value(b)) => std::ptr::addr_eq(a, b),
            _ => false,
        }
    }

    pub(crate) fn equals(self, other: View<'_, '_>) -> bool {
        if self.is_same(other) {
            return true;
        }
        if let (View::Value(a), View::Value(b)) = (self, other) {
            return a == b;
        }
        match (self.shape(), other.shape()) {
            (Shape::Object(a), Shape::Object(b)) => {
                a.len() == b.len() && a.iter().all(|(key, x)| b.get(key).is_some_and(|y| x.equals(y)))
            }
            (Shape::Array(a), Shape::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b.iter()).all(|(x, y)| x.equals(y))
            }
            (Shape::Scalar(a), Shape::Scalar(b)) => a == b,
            _ => false,
        }
    }

    /// A plain value of its own.
    pub(crate) fn to_value(self) -> Value<'a> {
        match self {
            Self::Value(value) => value.clone(),
            Self::Edited(_) => match self.shape() {
                Shape::Scalar(value) => value.clone(),
                Shape::Array(items) => Value::Array(items.iter().map(View::to_value).collect()),
                Shape::Object(object) => {
                    Value::Object(object.iter().map(|(key, view)| (key.clone(), view.to_value())).collect())
                }
            },
        }
    }

    /// How many values this is, and how deep they are nested.
    pub(crate) fn measure(self) -> (usize, usize) {
        let inside = |sum: (usize, usize), (nodes, depth): (usize, usize)| (sum.0 + nodes, sum.1.max(depth));
        let (nodes, depth) = match self {
            Self::Value(value) => return value.measure(),
            Self::Edited(_) => match self.shape() {
                Shape::Scalar(value) => return value.measure(),
                Shape::Array(items) => items.iter().map(View::measure).fold((0, 0), inside),
                Shape::Object(object) => object.iter().map(|(_, view)| view.measure()).fold((0, 0), inside),
            },
        };
        (nodes + 1, depth + 1)
    }

    pub(crate) fn is_object(self) -> bool {
        matches!(self, Self::Value(Value::Object(_)) | Self::Edited(Node::Object(_)))
    }

    /// What this is called in a message.
    pub(crate) fn kind(self) -> &'static str {
        match self.shape() {
            Shape::Object(_) => "an object",
            Shape::Array(_) => "an array",
            Shape::Scalar(Value::Null) => "null",
            Shape::Scalar(Value::Bool(_)) => "a boolean",
            Shape::Scalar(Value::Str(_)) => "a text",
            Shape::Scalar(Value::Set(_)) => "a set",
            Shape::Scalar(_) => "a number",
        }
    }
}

impl<'n, 'a: 'n> ObjectView<'n, 'a> {
    pub(crate) fn get(self, key: &[u8]) -> Option<View<'n, 'a>> {
        match self {
            Self::Plain(object) => object.get(key).map(View::Value),
            Self::Edited(edit) => match edit.edits.get(key) {
                Some(slot) => slot.as_ref().map(Node::view),
                None => edit.base.and_then(|base| base.get(key)).map(View::Value),
            },
        }
    }

    pub(crate) fn len(self) -> usize {
        match self {
            Self::Plain(object) => object.len(),
            Self::Edited(edit) => {
                let base = edit.base.map_or(0, Object::len);
                edit.edits.iter().fold(base, |count, (key, slot)| {
                    let before = edit.base.is_some_and(|base| base.get(key).is_some());
                    count + usize::from(slot.is_some()) - usize::from(before)
                })
            }
        }
    }

    /// The entries: first the old keys in their order, then the new ones by code point.
    pub(crate) fn iter(self) -> Box<dyn Iterator<Item = (&'n Text<'a>, View<'n, 'a>)> + 'n> {
        match self {
            Self::Plain(object) => Box::new(object.iter().map(|(key, value)| (key, View::Value(value)))),
            Self::Edited(edit) => {
                let old = edit.base.into_iter().flat_map(Object::iter).filter_map(|(key, value)| {
                    match edit.edits.get(&**key) {
                        Some(slot) => slot.as_ref().map(|node| (key, node.view())),
                        None => Some((key, View::Value(value))),
                    }
                });
                let is_new = |key: &[u8]| edit.base.is_none_or(|base| base.get(key).is_none());
                let mut new: Vec<_> = edit
                    .edits
                    .iter()
                    .filter_map(|(key, slot)| slot.as_ref().map(|node| (key, node.view())))
                    .filter(|(key, _)| is_new(key))
                    .collect();
                new.sort_unstable_by(|a, b| a.0.cmp(b.0));
                Box::new(old.chain(new))
            }
        }
    }
}

impl<'n, 'a: 'n> ArrayView<'n, 'a> {
    pub(crate) fn len(self) -> usize {
        match self {
            Self::Plain(items) => items.len(),
            Self::Edited(edit) => edit.len(),
        }
    }

    pub(crate) fn get(self, index: usize) -> Option<View<'n, 'a>> {
        match self {
            Self::Plain(items) => items.get(index).map(View::Value),
            Self::Edited(edit) => edit.get(index).map(Node::view),
        }
    }

    pub(crate) fn iter(self) -> Box<dyn Iterator<Item = View<'n, 'a>> + 'n> {
        match self {
            Self::Plain(items) => Box::new(items.iter().map(View::Value)),
            Self::Edited(edit) => Box::new(edit.iter().map(Node::view)),
        }
    }
}

/// One step of a path: at an object a key, at an array an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment<'a> {
    pub(crate) text: Text<'a>,
    /// Written as `[n]` or as an integer: no object is created to hold it.
    pub(crate) is_index: bool,
}

impl<'a> Segment<'a> {
    pub(crate) fn key(text: &'a [u8]) -> Self {
        Self { text: Cow::Borrowed(text), is_index: false }
    }

    /// The array index that this names: `0`, or digits without a leading zero.
    pub(crate) fn index(&self) -> Option<usize> {
        let plain = self.text.iter().all(u8::is_ascii_digit) && (self.text.len() == 1 || !self.text.starts_with(b"0"));
        // A number too large for the machine is past the end of every array.
        plain.then(|| {
            std::str::from_utf8(&self.text).ok()?.parse().ok().or((!self.text.is_empty()).then_some(usize::MAX))
        })?
    }

    /// The segment in quotes, for messages.
    pub(crate) fn quoted(&self) -> String {
        const SHOWN: usize = 60;
        let text = lossy(&self.text);
        match text.char_indices().nth(SHOWN) {
            Some((cut, _)) => format!("{:?}…", &text[..cut]),
            None => format!("{text:?}"),
        }
    }
}

/// Follow a path from a view; `None` where it leads nowhere.
pub(crate) fn follow<'n, 'a: 'n>(root: View<'n, 'a>, path: &[Segment]) -> Option<View<'n, 'a>> {
    path.iter().try_fold(root, |view, segment| match view.shape() {
        Shape::Object(object) => object.get(&segment.text),
        Shape::Array(array) => array.get(segment.index()?),
        Shape::Scalar(_) => None,
    })
}
