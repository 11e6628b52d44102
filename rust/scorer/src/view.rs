//! Views: a value to look at, whatever it is kept as: made, still text, or under edit.

use crate::node::{ArrayEdit, Node, ObjectBase, ObjectEdit};
use crate::object::Object;
use crate::raw::{Raw, RawKind};
use crate::value::{Text, Value};
use hashbrown::HashMap;
use std::borrow::Cow;

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

    /// The object that this is, found without making a value of anything else.
    pub(crate) fn object(self) -> Option<ObjectView<'n, 'a>> {
        match self {
            Self::Value(Value::Object(object)) => Some(ObjectView::Plain(object)),
            Self::Raw(raw) if raw.kind() == RawKind::Object => Some(ObjectView::Raw(raw)),
            Self::Edited(Node::Object(edit)) => Some(ObjectView::Edited(edit)),
            _ => None,
        }
    }

    /// The array that this is, found in the same way.
    pub(crate) fn array(self) -> Option<ArrayView<'n, 'a>> {
        match self {
            Self::Value(Value::Array(items)) => Some(ArrayView::Plain(items)),
            Self::Raw(raw) if raw.kind() == RawKind::Array => Some(ArrayView::Raw(raw)),
            Self::Edited(Node::Array(edit)) => Some(ArrayView::Edited(edit)),
            _ => None,
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
                let kept = |(key, view): (Text<'a>, View<'_, 'a>)| match edit.edits.get(&key) {
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

    pub(crate) fn iter(self) -> impl Iterator<Item = View<'n, 'a>> {
        // One of the three; the others are empty.
        let (plain, raw, edited) = match self {
            Self::Plain(items) => (items, None, None),
            Self::Raw(items) => (&[][..], Some(items), None),
            Self::Edited(edit) => (&[][..], None, Some(edit)),
        };
        let plain = plain.iter().map(View::Value);
        let raw = raw.into_iter().flat_map(Raw::items).map(View::Raw);
        plain.chain(raw).chain(edited.into_iter().flat_map(ArrayEdit::iter).map(Node::view))
    }
}
