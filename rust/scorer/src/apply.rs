//! Applying operations in order, exactly or not at all.

use crate::limits::{MAX_COPIED_NODES, MAX_DEPTH};
use crate::node::{Edit, Node};
use crate::operation::{Kind, Operation};
use crate::raw::RawKind;
use crate::segment::{Segment, follow};
use crate::value::Value;
use crate::view::{Shape, View};

/// An operation that cannot be applied: its place in the list, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("operation {index}: {reason}")]
pub struct Inapplicable {
    /// Place in the list, from 0.
    pub index: usize,
    /// The reason, as a phrase.
    pub reason: String,
}

/// What a list of operations led to, and whether a text path that added a key could have been split otherwise.
pub(crate) struct Applied<'a> {
    pub(crate) state: Result<Node<'a>, Inapplicable>,
    pub(crate) ambiguous_path: bool,
}

/// Apply operations (objects as a prediction holds them, or changes as [`crate::diff`] gives them) to a state.
///
/// Law: `apply(before, diff(before, after)) == after`.
pub fn apply<'a>(state: &'a Value<'a>, operations: &'a [Value<'a>]) -> Result<Value<'a>, Inapplicable> {
    run(Node::Base(state), operations.iter().map(View::Value)).state.map(|state| state.view().to_value())
}

/// As [`apply`], with the result left as edits on top of `state`.
pub(crate) fn run<'a>(state: Node<'a>, operations: impl Iterator<Item = View<'a, 'a>>) -> Applied<'a> {
    let mut editor = Editor { root: state, copied: 0, ambiguous_path: false };
    let failed = operations
        .enumerate()
        .find_map(|(index, operation)| editor.apply(operation).err().map(|reason| Inapplicable { index, reason }));
    Applied { state: failed.map_or(Ok(editor.root), Err), ambiguous_path: editor.ambiguous_path }
}

/// What setting a value does at an array.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Insert,
    Overwrite,
}

struct Editor<'a> {
    root: Node<'a>,
    copied: usize,
    ambiguous_path: bool,
}

type Done = Result<(), String>;

impl<'a> Editor<'a> {
    fn apply(&mut self, operation: View<'a, 'a>) -> Done {
        let operation = Operation::read(operation)?;
        let path = operation.path(self.root.view())?;
        let segments = path.segments;
        match operation.kind {
            Kind::Add | Kind::Modify => {
                let mode = if operation.kind == Kind::Add { Mode::Insert } else { Mode::Overwrite };
                let value = operation.value()?;
                check_depth(&segments, value)?;
                let added_a_key = self.set(&segments, value.to_node(), mode, true)?;
                self.ambiguous_path |= added_a_key && path.ambiguous;
                Ok(())
            }
            Kind::RfcAdd => {
                let value = operation.value()?;
                check_depth(&segments, value)?;
                let added_a_key = self.set(&segments, value.to_node(), Mode::Insert, false)?;
                self.ambiguous_path |= added_a_key && path.ambiguous;
                Ok(())
            }
            Kind::RfcReplace => {
                let value = operation.value()?;
                self.get(&segments)?;
                check_depth(&segments, value)?;
                self.set(&segments, value.to_node(), Mode::Overwrite, false).map(|_| ())
            }
            Kind::Delete | Kind::RfcRemove => self.delete(&segments).map(|_| ()),
            Kind::RfcTest => {
                let value = operation.value()?;
                let equal = self.get(&segments)?.equals(value);
                if equal { Ok(()) } else { Err("the test failed".to_owned()) }
            }
            Kind::RfcMove | Kind::RfcCopy => {
                let source = operation.source(self.root.view())?.segments;
                let added_a_key = self.transfer(&source, &segments, operation.kind == Kind::RfcMove)?;
                self.ambiguous_path |= added_a_key && path.ambiguous;
                Ok(())
            }
        }
    }

    fn get(&self, path: &[Segment]) -> Result<View<'_, 'a>, String> {
        follow(self.root.view(), path).ok_or_else(|| "the path leads nowhere".to_owned())
    }

    fn transfer(&mut self, source: &[Segment<'a>], target: &[Segment<'a>], is_move: bool) -> Result<bool, String> {
        let (nodes, depth) = self.get(source)?.measure();
        if target.is_empty() {
            return Err("only add and modify can replace the whole state".to_owned());
        }
        if is_move && source == target {
            return Ok(false);
        }
        if is_move && target.starts_with(source) {
            return Err("a move into its own child".to_owned());
        }
        if target.len() + depth > MAX_DEPTH {
            return Err(too_deep());
        }
        self.copied += nodes;
        if self.copied > MAX_COPIED_NODES {
            return Err(format!("copy and move touch more than {MAX_COPIED_NODES} values"));
        }
        let node = if is_move { self.delete(source)? } else { self.copy_of(source)? };
        self.set(target, node, Mode::Insert, false)
    }

    /// A second node for the value at a path; what nobody has edited is borrowed from where it came from.
    fn copy_of(&self, path: &[Segment]) -> Result<Node<'a>, String> {
        let nowhere = || "the path leads nowhere".to_owned();
        let mut node = &self.root;
        for (depth, segment) in path.iter().enumerate() {
            node = match node {
                Node::Object(edit) => match edit.edits.get(&segment.text) {
                    Some(slot) => slot.as_ref().ok_or_else(nowhere)?,
                    None => {
                        let untouched = edit.base.and_then(|base| base.get(&segment.text)).ok_or_else(nowhere)?;
                        return untouched_at(untouched, &path[depth + 1..]).ok_or_else(nowhere);
                    }
                },
                Node::Array(edit) => segment.index().and_then(|index| edit.get(index)).ok_or_else(nowhere)?,
                untouched => return untouched_at(untouched.clone(), &path[depth..]).ok_or_else(nowhere),
            };
        }
        Ok(node.clone())
    }

    /// Set the value at a path; the answer is whether a key was added to an object.
    fn set(&mut self, path: &[Segment<'a>], node: Node<'a>, mode: Mode, create: bool) -> Result<bool, String> {
        let Some((last, parents)) = path.split_last() else {
            return match node.view().shape() {
                Shape::Object(_) => {
                    self.root = node;
                    Ok(false)
                }
                _ => Err("only an object can replace the whole state".to_owned()),
            };
        };
        let (parent, created) = self.parent_mut(path, parents.len(), create)?;
        let array = match parent.edit() {
            Edit::Object(object) => {
                let was_there = match object.edits.insert(last.text.clone(), Some(node)) {
                    Some(slot) => slot.is_some(),
                    None => object.base.is_some_and(|base| base.has(&last.text)),
                };
                return Ok(created || !was_there);
            }
            Edit::Array(array) => array,
            Edit::Nothing(kind) => return Err(through(kind, last)),
        };
        let index = match (&*last.text, mode) {
            (b"-", Mode::Insert) => array.len(),
            _ => last.index().ok_or_else(|| no_index(last))?,
        };
        match mode {
            Mode::Insert if index <= array.len() => array.insert(index, node),
            Mode::Overwrite if index < array.len() => match array.get_mut(index) {
                Some(slot) => *slot = node,
                None => return Err(past_the_end(last, array.len())),
            },
            _ => return Err(past_the_end(last, array.len())),
        }
        Ok(created)
    }

    /// Take out the value at a path.
    fn delete(&mut self, path: &[Segment<'a>]) -> Result<Node<'a>, String> {
        let Some((last, parents)) = path.split_last() else {
            return Err("the whole state cannot be deleted".to_owned());
        };
        let (parent, _) = self.parent_mut(path, parents.len(), false)?;
        let array = match parent.edit() {
            Edit::Object(object) => {
                let base = object.base.and_then(|base| base.get(&last.text));
                let removed = object.edits.insert(last.text.clone(), None).unwrap_or(base);
                return removed.ok_or_else(|| format!("there is no {} to delete", last.quoted()));
            }
            Edit::Array(array) => array,
            Edit::Nothing(kind) => return Err(through(kind, last)),
        };
        let index = last.index().ok_or_else(|| no_index(last))?;
        if index >= array.len() {
            return Err(past_the_end(last, array.len()));
        }
        Ok(array.remove(index))
    }

    /// The container that holds the segment `path[depth]`, ready to be edited, and whether parents were created.
    fn parent_mut(
        &mut self,
        path: &[Segment<'a>],
        depth: usize,
        create: bool,
    ) -> Result<(&mut Node<'a>, bool), String> {
        let mut node = &mut self.root;
        let mut created = false;
        for (i, segment) in path[..depth].iter().enumerate() {
            match node.edit() {
                Edit::Object(object) => {
                    let base = object.base;
                    let slot = object.edits.entry(&segment.text, || base.and_then(|base| base.get(&segment.text)));
                    if slot.is_none() {
                        if !create {
                            return Err(format!("there is no {}", segment.quoted()));
                        }
                        if path[i + 1].is_index {
                            return Err(format!("there is no array {} to hold an index", segment.quoted()));
                        }
                        created = true;
                    }
                    node = slot.get_or_insert_with(Node::empty_object);
                }
                Edit::Array(array) => {
                    let length = array.len();
                    let index = segment.index().ok_or_else(|| no_index(segment))?;
                    node = array.get_mut(index).ok_or_else(|| past_the_end(segment, length))?;
                }
                Edit::Nothing(kind) => return Err(through(kind, segment)),
            }
        }
        Ok((node, created))
    }
}

/// The node at a path below one that is untouched, and so untouched as well.
fn untouched_at<'a>(node: Node<'a>, path: &[Segment]) -> Option<Node<'a>> {
    path.iter().try_fold(node, |node, segment| match node {
        Node::Base(Value::Object(object)) => object.get(&segment.text).map(Node::Base),
        Node::Base(Value::Array(items)) => items.get(segment.index()?).map(Node::Base),
        Node::Raw(raw) => match raw.kind() {
            RawKind::Object => raw.get(&segment.text).map(Node::Raw),
            RawKind::Array => raw.nth(segment.index()?).map(Node::Raw),
            RawKind::Scalar => None,
        },
        _ => None,
    })
}

fn check_depth(path: &[Segment], value: View) -> Done {
    match MAX_DEPTH.checked_sub(path.len()) {
        Some(room) if !value.is_deeper_than(room) => Ok(()),
        _ => Err(too_deep()),
    }
}

fn too_deep() -> String {
    format!("the state would be nested deeper than {MAX_DEPTH}")
}

fn through(kind: &str, segment: &Segment) -> String {
    format!("the path goes through {kind} at {}", segment.quoted())
}

fn no_index(segment: &Segment) -> String {
    format!("{} is no index of an array", segment.quoted())
}

fn past_the_end(segment: &Segment, length: usize) -> String {
    format!("index {} is past the end of an array of {length}", segment.quoted())
}
