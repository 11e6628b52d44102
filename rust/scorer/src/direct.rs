//! The direct way: operations that do not meet change what they name, and need not be applied to know it.

use crate::diff::{Entry, collect};
use crate::limits::{MAX_DEPTH, MAX_PATH_SEGMENTS};
use crate::operation::{Kind, Operation};
use crate::view::View;
use std::borrow::Cow;

/// What applying the operations in order would change, ordered by path, found without applying them.
///
/// `None` wherever their order could matter or one could be inapplicable: unless each sets or deletes a key of an object
/// that is there, by a list path that no other one equals or continues.
pub(crate) fn changes_of<'a>(
    state: View<'a, 'a>,
    operations: impl Iterator<Item = View<'a, 'a>>,
) -> Option<Vec<Entry<'a, 'a>>> {
    let mut set = operations.map(|operation| change_of(state, operation)).collect::<Option<Vec<Entry>>>()?;
    set.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    // Whatever continues a path stands right behind it.
    if set.windows(2).any(|pair| pair[1].path.starts_with(&pair[0].path)) {
        return None;
    }
    let is_change = |entry: &Entry| entry.before.is_none() || entry.after.is_none();
    if set.iter().all(is_change) {
        return Some(set);
    }
    let mut entries = Vec::with_capacity(set.len());
    for mut entry in set {
        match (entry.before, entry.after) {
            (Some(before), Some(after)) => collect(before, after, &mut entry.path, &mut entries),
            _ => entries.push(entry),
        }
    }
    Some(entries)
}

/// The change that one operation makes on its own.
fn change_of<'a>(state: View<'a, 'a>, operation: View<'a, 'a>) -> Option<Entry<'a, 'a>> {
    let operation = Operation::read(operation).ok()?;
    let keys = operation.field(b"path")?.array()?;
    let mut path: Vec<&[u8]> = Vec::with_capacity(8);
    let mut here = Some(state);
    for key in keys.iter() {
        let Cow::Borrowed(key) = key.text()? else { return None };
        here = here?.object()?.get(key);
        path.push(key);
    }
    if path.is_empty() || path.len() > MAX_PATH_SEGMENTS {
        return None;
    }
    let after = match operation.kind {
        Kind::Delete if here.is_some() => None,
        Kind::Add | Kind::Modify => {
            let value = operation.value().ok().filter(|value| !value.is_deeper_than(MAX_DEPTH - path.len()))?;
            Some(value)
        }
        _ => return None,
    };
    Some(Entry { path, before: here, after })
}
