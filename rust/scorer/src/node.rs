//! A state under edit: the old state borrowed, and only what the operations touch written anew.

use crate::object::Object;
use crate::raw::{Raw, RawKind};
use crate::text::lossy;
use crate::value::{Text, Value};
use hashbrown::HashMap;
use std::borrow::Cow;

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

    fn view<'n>(self) -> ObjectView<'n, 'a>
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

    /// The object to edit, or `None` where this is none.
    pub(crate) fn object_mut(&mut self) -> Option<&mut ObjectEdit<'a>> {
        let base = match *self {
            Self::Base(Value::Object(base)) => Some(ObjectBase::Value(base)),
            Self::Raw(raw) if raw.kind() == RawKind::Object => Some(ObjectBase::Raw(raw)),
            _ => None,
        };
        if base.is_some() {
            *self = Self::Object(Box::new(ObjectEdit { base, edits: HashMap::default() }));
        }
        if let Self::Object(edit) = self { Some(edit) } else { None }
    }

    /// The array to edit, or `None` where this is none.
    pub(crate) fn array_mut(&mut self) -> Option<&mut ArrayEdit<'a>> {
        match *self {
            Self::Base(Value::Array(items)) => {
                *self = Self::Array(Box::new(ArrayEdit::new(items.iter().map(Node::Base))));
            }
            Self::Raw(raw) if raw.kind() == RawKind::Array => {
                *self = Self::Array(Box::new(ArrayEdit::new(raw.items().map(Node::Raw))));
            }
            _ => {}
        }
        if let Self::Array(edit) = self { Some(edit) } else { None }
    }

    pub(crate) fn view(&self) -> View<'_, 'a> {
        match self {
            Self::Base(value) => View::Value(value),
            Self::Raw(raw) => View::Raw(*raw),
            edited => View::Edited(edited),
        }
    }
}

/// A value to look at, edited or not. `View::Edited` holds nothing that is untouched.
#[derive(Clone, Copy, Debug)]
pub(crate) enum View<'n, 'a> {
    Value(&'n Value<'a>),
    Raw(Raw<'a>),
    Edited(&'n Node<'a>),
}

/// What kind of thing a view is, with what is needed to look inside.
pub(crate) enum Shape<'n, 'a> {
    Scalar(Cow<'n, Value<'a>>),
    Object(ObjectView<'n, 'a>),
    Array(ArrayView<'n, 'a>),
}

#[derive(Clone, Copy)]
pub(crate) enum ObjectView<'n, 'a> {
    Plain(&'n Object<'a>),
    Raw(Raw<'a>),
    Edited(&'n ObjectEdit<'a>),
}

#[derive(Clone, Copy)]
pub(crate) enum ArrayView<'n, 'a> {
    Plain(&'n [Value<'a>]),
    Raw(Raw<'a>),
    Edited(&'n ArrayEdit<'a>),
}

impl<'n, 'a: 'n> View<'n, 'a> {
    pub(crate) fn shape(self) -> Shape<'n, 'a> {
        match self {
            Self::Value(Value::Object(object)) => Shape::Object(ObjectView::Plain(object)),
            Self::Value(Value::Array(items)) => Shape::Array(ArrayView::Plain(items)),
            Self::Value(scalar) => Shape::Scalar(Cow::Borrowed(scalar)),
            Self::Raw(raw) => match raw.kind() {
                RawKind::Object => Shape::Object(ObjectView::Raw(raw)),
                RawKind::Array => Shape::Array(ArrayView::Raw(raw)),
                RawKind::Scalar => Shape::Scalar(Cow::Owned(raw.to_value())),
            },
            Self::Edited(Node::Object(edit)) => Shape::Object(ObjectView::Edited(edit)),
            Self::Edited(Node::Array(edit)) => Shape::Array(ArrayView::Edited(edit)),
            Self::Edited(Node::Base(value)) => Self::Value(value).shape(),
            Self::Edited(Node::Raw(raw)) => Self::Raw(*raw).shape(),
        }
    }

    /// Whether both are the same place in memory, and so surely equal.
    pub(crate) fn is_same(self, other: View<'_, '_>) -> bool {
        match (self, other) {
            (View::Value(a), View::Value(b)) => std::ptr::addr_eq(a, b),
            (View::Raw(a), View::Raw(b)) => a.is_same(b),
            _ => false,
        }
    }

    pub(crate) fn equals(self, other: View<'_, '_>) -> bool {
        match (self, other) {
            (View::Value(a), View::Value(b)) => return std::ptr::addr_eq(a, b) || a == b,
            (View::Raw(a), View::Raw(b)) if a.bytes() == b.bytes() => return true,
            _ => {}
        }
        match (self.shape(), other.shape()) {
            (Shape::Object(a), Shape::Object(b)) => {
                let finder = Finder::new(b);
                a.len() == b.len() && a.iter().all(|(key, x)| finder.get(key).is_some_and(|y| x.equals(y)))
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
            Self::Raw(raw) => raw.to_value(),
            Self::Edited(_) => match self.shape() {
                Shape::Scalar(value) => value.into_owned(),
                Shape::Array(items) => Value::Array(items.iter().map(View::to_value).collect()),
                Shape::Object(object) => Value::Object(object.to_object()),
            },
        }
    }

    /// A node with the same value.
    pub(crate) fn to_node(self) -> Node<'a>
    where
        'n: 'a,
    {
        match self {
            Self::Value(value) => Node::Base(value),
            Self::Raw(raw) => Node::Raw(raw),
            Self::Edited(node) => node.clone(),
        }
    }

    /// The cell of a value that is still text.
    pub(crate) fn cell(self) -> Option<u32> {
        if let Self::Raw(raw) = self { Some(raw.cell) } else { None }
    }

    /// The text of a string; `None` for any other value.
    pub(crate) fn text(self) -> Option<Cow<'n, [u8]>> {
        match self {
            Self::Value(Value::Str(text)) => Some(Cow::Borrowed(text)),
            Self::Raw(raw) => raw.text(),
            _ => None,
        }
    }

    pub(crate) fn is_null(self) -> bool {
        match self {
            Self::Value(value) => matches!(value, Value::Null),
            Self::Raw(raw) => raw.is_null(),
            Self::Edited(_) => false,
        }
    }

    /// Whether this is nested more than `limit` deep.
    pub(crate) fn is_deeper_than(self, limit: usize) -> bool {
        match self {
            Self::Raw(raw) if raw.depth_at_most() <= limit => false,
            _ => self.measure().1 > limit,
        }
    }

    /// How many values this is, and how deep they are nested.
    pub(crate) fn measure(self) -> (usize, usize) {
        let inside = |sum: (usize, usize), (nodes, depth): (usize, usize)| (sum.0 + nodes, sum.1.max(depth));
        let (nodes, depth) = match self {
            Self::Value(value) => return value.measure(),
            Self::Raw(raw) => return raw.to_value().measure(),
            Self::Edited(_) => match self.shape() {
                Shape::Scalar(value) => return value.measure(),
                Shape::Array(items) => items.iter().map(View::measure).fold((0, 0), inside),
                Shape::Object(object) => object.iter().map(|(_, view)| view.measure()).fold((0, 0), inside),
            },
        };
        (nodes + 1, depth + 1)
    }

    pub(crate) fn is_object(self) -> bool {
        match self {
            Self::Value(value) => matches!(value, Value::Object(_)),
            Self::Raw(raw) => raw.kind() == RawKind::Object,
            Self::Edited(node) => matches!(node, Node::Object(_)),
        }
    }

    /// What this is called in a message.
    pub(crate) fn kind(self) -> &'static str {
        match self.shape() {
            Shape::Object(_) => "an object",
            Shape::Array(_) => "an array",
            Shape::Scalar(scalar) => match *scalar {
                Value::Null => "null",
                Value::Bool(_) => "a boolean",
                Value::Str(_) => "a text",
                Value::Set(_) => "a set",
                _ => "a number",
            },
        }
    }
}

impl<'n, 'a: 'n> ObjectView<'n, 'a> {
    pub(crate) fn get(self, key: &[u8]) -> Option<View<'n, 'a>> {
        match self {
            Self::Plain(object) => object.get(key).map(View::Value),
            Self::Raw(object) => object.get(key).map(View::Raw),
            Self::Edited(edit) => match edit.edits.get(key) {
                Some(slot) => slot.as_ref().map(Node::view),
                None => edit.base.and_then(|base| base.view().get(key)),
            },
        }
    }

    pub(crate) fn len(self) -> usize {
        match self {
            Self::Plain(object) => object.len(),
            Self::Raw(object) => object.entry_count(),
            Self::Edited(edit) => {
                let base = edit.base.map_or(0, |base| base.view().len());
                edit.edits.iter().fold(base, |count, (key, slot)| {
                    let before = edit.base.is_some_and(|base| base.has(key));
                    count + usize::from(slot.is_some()) - usize::from(before)
                })
            }
        }
    }

    /// The entries: first the old keys in their order, then the new ones by code point.
    pub(crate) fn iter(self) -> Box<dyn Iterator<Item = (&'n [u8], View<'n, 'a>)> + 'n> {
        match self {
            Self::Plain(object) => Box::new(object.iter().map(|(key, value)| (&**key, View::Value(value)))),
            Self::Raw(object) => Box::new(object.entries().map(|(key, raw)| (key, View::Raw(raw)))),
            Self::Edited(edit) => {
                let base = edit.base.into_iter().flat_map(|base| base.view().iter());
                let old = base.filter_map(|(key, view)| match edit.edits.get(key) {
                    Some(slot) => slot.as_ref().map(|node| (key, node.view())),
                    None => Some((key, view)),
                });
                Box::new(old.chain(edit.new_entries().into_iter().map(|(key, node)| (&**key, node.view()))))
            }
        }
    }

    fn to_object(self) -> Object<'a> {
        let text = |key: &[u8]| Text::Owned(key.to_vec());
        match self {
            Self::Plain(object) => object.clone(),
            Self::Raw(_) => self.iter().map(|(key, view)| (text(key), view.to_value())).collect(),
            Self::Edited(edit) => {
                let kept = |(key, view): (Text<'a>, View<'_, 'a>)| match edit.edits.get(&*key) {
                    Some(slot) => slot.as_ref().map(|node| (key, node.view().to_value())),
                    None => Some((key, view.to_value())),
                };
                let mut object: Object = match edit.base {
                    Some(ObjectBase::Value(base)) => {
                        base.iter().map(|(key, value)| (key.clone(), View::Value(value))).filter_map(kept).collect()
                    }
                    Some(ObjectBase::Raw(base)) => {
                        base.entries().map(|(key, raw)| (text(key), View::Raw(raw))).filter_map(kept).collect()
                    }
                    None => Object::default(),
                };
                for (key, node) in edit.new_entries() {
                    object.insert(key.clone(), node.view().to_value());
                }
                object
            }
        }
    }
}

/// An object in which many keys are looked for.
pub(crate) struct Finder<'n, 'a> {
    object: ObjectView<'n, 'a>,
    /// The entries, where the object itself would have to be searched from end to end each time.
    entries: Option<HashMap<&'n [u8], View<'n, 'a>, foldhash::fast::RandomState>>,
}

impl<'n, 'a: 'n> Finder<'n, 'a> {
    pub(crate) fn new(object: ObjectView<'n, 'a>) -> Self {
        let is_slow = match object {
            ObjectView::Plain(_) => false,
            ObjectView::Raw(raw) => raw.is_slow(),
            ObjectView::Edited(edit) => matches!(edit.base, Some(ObjectBase::Raw(raw)) if raw.is_slow()),
        };
        Self { object, entries: is_slow.then(|| object.iter().collect()) }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<View<'n, 'a>> {
        match &self.entries {
            Some(entries) => entries.get(key).copied(),
            None => self.object.get(key),
        }
    }
}

impl<'a> ObjectEdit<'a> {
    /// The keys that the base does not have, by code point.
    fn new_entries(&self) -> Vec<(&Text<'a>, &Node<'a>)> {
        let is_new = |key: &[u8]| self.base.is_none_or(|base| !base.has(key));
        let set = self.edits.iter().filter_map(|(key, slot)| slot.as_ref().map(|node| (key, node)));
        let mut new: Vec<_> = set.filter(|(key, _)| is_new(key)).collect();
        new.sort_unstable_by(|a, b| a.0.cmp(b.0));
        new
    }
}

impl<'n, 'a: 'n> ArrayView<'n, 'a> {
    pub(crate) fn len(self) -> usize {
        match self {
            Self::Plain(items) => items.len(),
            Self::Raw(items) => items.items().count(),
            Self::Edited(edit) => edit.len(),
        }
    }

    pub(crate) fn get(self, index: usize) -> Option<View<'n, 'a>> {
        match self {
            Self::Plain(items) => items.get(index).map(View::Value),
            Self::Raw(items) => items.nth(index).map(View::Raw),
            Self::Edited(edit) => edit.get(index).map(Node::view),
        }
    }

    pub(crate) fn iter(self) -> Box<dyn Iterator<Item = View<'n, 'a>> + 'n> {
        match self {
            Self::Plain(items) => Box::new(items.iter().map(View::Value)),
            Self::Raw(items) => Box::new(items.items().map(View::Raw)),
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

    pub(crate) fn into_owned(self) -> Segment<'static> {
        Segment { text: Cow::Owned(self.text.into_owned()), is_index: self.is_index }
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
