//! Δ: the differences between two states, through objects only.

use crate::node::{Node, ObjectBase};
use crate::object::Object;
use crate::value::{Text, Value};
use crate::view::{Finder, ObjectView, View};

/// The keys that lead to a change.
pub type Path<'a> = Vec<Text<'a>>;

/// What happened at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// The key is new.
    Add,
    /// The key has another value.
    Modify,
    /// The key is gone.
    Delete,
}

impl ChangeKind {
    /// The word in a change's `type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Modify => "modify",
            Self::Delete => "delete",
        }
    }
}

/// One change: `before` is absent from an `Add`, `after` from a `Delete`.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    /// The keys from the root.
    pub path: Path<'a>,
    /// The old value.
    pub before: Option<Value<'a>>,
    /// The new value.
    pub after: Option<Value<'a>>,
}

impl Change<'_> {
    /// What happened, as the presence of the two values tells it.
    pub fn kind(&self) -> ChangeKind {
        match (&self.before, &self.after) {
            (None, _) => ChangeKind::Add,
            (_, None) => ChangeKind::Delete,
            _ => ChangeKind::Modify,
        }
    }

    /// The same change, owning all of its text.
    pub fn into_owned(self) -> Change<'static> {
        Change {
            path: self.path.into_iter().map(|key| Text::Owned(key.into_owned())).collect(),
            before: self.before.map(Value::into_owned),
            after: self.after.map(Value::into_owned),
        }
    }

    /// The change as an operation with a list path, which [`crate::apply`] takes.
    pub fn to_operation(&self) -> Value<'static> {
        let text = |text: &[u8]| Value::Str(Text::Owned(text.to_vec()));
        let mut operation = Object::default();
        operation.insert(Text::Borrowed(b"type"), text(self.kind().as_str().as_bytes()));
        operation.insert(Text::Borrowed(b"path"), Value::Array(self.path.iter().map(|key| text(key)).collect()));
        if let Some(after) = &self.after {
            operation.insert(Text::Borrowed(b"value"), after.clone().into_owned());
        }
        Value::Object(operation)
    }
}

/// The changes from one state to another, ordered by path (segments by code point).
///
/// A changed array is one change, a whole new object one `Add`, a whole removed object one `Delete`.
pub fn diff<'a>(before: &'a Value<'a>, after: &'a Value<'a>) -> Vec<Change<'a>> {
    let owned = |entry: Entry<'_, 'a>| Change {
        path: entry.path.iter().map(|key| Text::Owned(key.to_vec())).collect(),
        before: entry.before.map(View::to_value),
        after: entry.after.map(View::to_value),
    };
    differences(View::Value(before), View::Value(after)).into_iter().map(owned).collect()
}

/// A change that borrows everything.
#[derive(Clone, Debug)]
pub(crate) struct Entry<'n, 'a> {
    pub(crate) path: Vec<&'n [u8]>,
    pub(crate) before: Option<View<'n, 'a>>,
    pub(crate) after: Option<View<'n, 'a>>,
}

/// As [`diff`], on states under edit; what was never edited is not looked at.
pub(crate) fn differences<'n, 'a: 'n>(before: View<'n, 'a>, after: View<'n, 'a>) -> Vec<Entry<'n, 'a>> {
    let mut entries = Vec::new();
    collect(before, after, &mut Vec::new(), &mut entries);
    entries
}

/// Append the differences below `path`.
pub(crate) fn collect<'n, 'a: 'n>(
    before: View<'n, 'a>,
    after: View<'n, 'a>,
    path: &mut Vec<&'n [u8]>,
    entries: &mut Vec<Entry<'n, 'a>>,
) {
    if before.is_same(after) {
        return;
    }
    let (Some(old), Some(new)) = (before.object(), after.object()) else {
        if !before.equals(after) {
            entries.push(Entry { path: path.clone(), before: Some(before), after: Some(after) });
        }
        return;
    };
    for (key, before, after) in changed_keys(old, new) {
        path.push(key);
        match (before, after) {
            (Some(before), Some(after)) => collect(before, after, path, entries),
            (before, after) => entries.push(Entry { path: path.clone(), before, after }),
        }
        path.pop();
    }
}

type Pair<'n, 'a> = (&'n [u8], Option<View<'n, 'a>>, Option<View<'n, 'a>>);

/// The keys whose values may differ, in order.
fn changed_keys<'n, 'a: 'n>(old: ObjectView<'n, 'a>, new: ObjectView<'n, 'a>) -> Vec<Pair<'n, 'a>> {
    let edit = match (old, new) {
        (ObjectView::Plain(old), ObjectView::Edited(edit)) => {
            Some(edit).filter(|edit| matches!(edit.base, Some(ObjectBase::Value(base)) if std::ptr::addr_eq(base, old)))
        }
        (ObjectView::Raw(old), ObjectView::Edited(edit)) => {
            Some(edit).filter(|edit| matches!(edit.base, Some(ObjectBase::Raw(base)) if base.is_same(old)))
        }
        _ => None,
    };
    let mut pairs: Vec<Pair> = match edit {
        Some(edit) => {
            let pair =
                |(key, now): (&'n Text<'a>, &'n Option<Node<'a>>)| (&**key, old.get(key), now.as_ref().map(Node::view));
            edit.edits.iter().map(pair).filter(|(_, before, after)| before.is_some() || after.is_some()).collect()
        }
        None => {
            let (in_old, in_new) = (Finder::new(old), Finder::new(new));
            let kept = old.iter().map(|(key, before)| (key, Some(before), in_new.get(key)));
            let added = new.iter().filter(|(key, _)| in_old.get(key).is_none());
            kept.chain(added.map(|(key, after)| (key, None, Some(after)))).filter(may_differ).collect()
        }
    };
    pairs.sort_unstable_by(|a, b| a.0.cmp(b.0));
    pairs
}

/// A cheap look that keeps equal scalars out of the sorting.
fn may_differ(pair: &Pair) -> bool {
    match pair {
        (_, Some(View::Value(before)), Some(View::Value(after))) if !before.is_container() => before != after,
        (_, Some(View::Raw(before)), Some(View::Raw(after))) => before.bytes() != after.bytes(),
        _ => true,
    }
}
