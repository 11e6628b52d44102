//! Values: what Python's `json` module reads, plus the sets of Python literals, compared by meaning.

use crate::number;
use crate::object::Object;
use std::borrow::Cow;
use std::cmp::Ordering;

/// Text as generalised UTF-8, borrowed from the input wherever it holds no escapes.
pub type Text<'a> = Cow<'a, [u8]>;

/// A JSON value. `Set` comes from Python literals only and never stands in a state.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// An integer that fits 64 bits.
    Int(i64),
    /// Any other integer: its decimal digits, with `-` in front if it is negative and without leading zeros.
    Big(Text<'a>),
    /// An IEEE double, `NaN` and the infinities included.
    Float(f64),
    /// Text.
    Str(Text<'a>),
    /// A list (or a tuple).
    Array(Vec<Value<'a>>),
    /// A Python set, in the order in which it was written.
    Set(Vec<Value<'a>>),
    /// An object; a repeated key has kept its last value.
    Object(Object<'a>),
}

impl Value<'_> {
    /// Whether this is an object, an array or a set.
    pub fn is_container(&self) -> bool {
        matches!(self, Self::Object(_) | Self::Array(_) | Self::Set(_))
    }

    /// Whether this is a number. Booleans are not.
    pub fn is_number(&self) -> bool {
        matches!(self, Self::Int(_) | Self::Big(_) | Self::Float(_))
    }

    /// The same value, owning all of its text.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(b) => Value::Bool(b),
            Self::Int(i) => Value::Int(i),
            Self::Float(f) => Value::Float(f),
            Self::Big(text) => Value::Big(Cow::Owned(text.into_owned())),
            Self::Str(text) => Value::Str(Cow::Owned(text.into_owned())),
            Self::Array(items) => Value::Array(items.into_iter().map(Value::into_owned).collect()),
            Self::Set(items) => Value::Set(items.into_iter().map(Value::into_owned).collect()),
            Self::Object(object) => Value::Object(object.into_owned()),
        }
    }

    /// How many values this is, itself included, and how deep they are nested (a scalar: 1, 0).
    pub(crate) fn measure(&self) -> (usize, usize) {
        let inside = |sum: (usize, usize), value: &Value| {
            let (nodes, depth) = value.measure();
            (sum.0 + nodes, sum.1.max(depth))
        };
        let (nodes, depth) = match self {
            Self::Array(items) | Self::Set(items) => items.iter().fold((0, 0), inside),
            Self::Object(object) => object.iter().map(|(_, value)| value).fold((0, 0), inside),
            _ => return (1, 0),
        };
        (nodes + 1, depth + 1)
    }

    /// Whether a set stands in here anywhere.
    pub(crate) fn holds_a_set(&self) -> bool {
        match self {
            Self::Set(_) => true,
            Self::Array(items) => items.iter().any(Value::holds_a_set),
            Self::Object(object) => object.iter().any(|(_, value)| value.holds_a_set()),
            _ => false,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::Int(_) | Self::Big(_) | Self::Float(_) => 2,
            Self::Str(_) => 3,
            Self::Array(_) => 4,
            Self::Set(_) => 5,
            Self::Object(_) => 6,
        }
    }

    /// A total order in which equal values, and only they, are `Equal` (sets aside); used to compare sets.
    fn order(&self, other: &Value) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Value::Bool(b)) => a.cmp(b),
            (Self::Str(a), Value::Str(b)) => a.cmp(b),
            (Self::Array(a), Value::Array(b)) => order_all(a.iter(), b.iter()),
            (Self::Set(a), Value::Set(b)) => order_all(sorted(a).into_iter(), sorted(b).into_iter()),
            (Self::Object(a), Value::Object(b)) => {
                let (a, b) = (a.sorted(), b.sorted());
                let keys = a.iter().map(|e| &e.0).cmp(b.iter().map(|e| &e.0));
                keys.then_with(|| order_all(a.iter().map(|e| &e.1), b.iter().map(|e| &e.1)))
            }
            (a, b) if a.is_number() && b.is_number() => number::compare(a, b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

fn order_all<'v>(mut a: impl Iterator<Item = &'v Value<'v>>, mut b: impl Iterator<Item = &'v Value<'v>>) -> Ordering {
    loop {
        match (a.next(), b.next()) {
            (Some(x), Some(y)) => match x.order(y) {
                Ordering::Equal => {}
                unequal => return unequal,
            },
            (x, y) => return x.is_some().cmp(&y.is_some()),
        }
    }
}

/// The elements in order, each once.
fn sorted<'v, 'a>(items: &'v [Value<'a>]) -> Vec<&'v Value<'a>> {
    let mut items: Vec<_> = items.iter().collect();
    items.sort_by(|a, b| a.order(b));
    items.dedup_by(|a, b| a == b);
    items
}

impl<'b> PartialEq<Value<'b>> for Value<'_> {
    fn eq(&self, other: &Value<'b>) -> bool {
        match (self, other) {
            (Self::Null, Value::Null) => true,
            (Self::Bool(a), Value::Bool(b)) => a == b,
            (Self::Int(a), Value::Int(b)) => a == b,
            (Self::Str(a), Value::Str(b)) => a == b,
            (Self::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x == y),
            (Self::Object(a), Value::Object(b)) => a == b,
            // A set ignores order and repetition, and JSON has no sets, so a list with the same elements matches one.
            (Self::Set(a), Value::Set(b) | Value::Array(b)) | (Self::Array(a), Value::Set(b)) => {
                let (a, b) = (sorted(a), sorted(b));
                a.len() == b.len() && a.iter().zip(&b).all(|(x, y)| *x == *y)
            }
            (a, b) if a.is_number() && b.is_number() => number::compare(a, b) == Ordering::Equal,
            _ => false,
        }
    }
}
