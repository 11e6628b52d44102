//! Samples: one question with its truth, read and prepared for scoring.

use crate::diff::{Change, Entry, diff};
use crate::observation::Observation;
use crate::raw::Taped;
use crate::segment::Segment;
use crate::value::{Text, Value};
use crate::view::View;
use std::borrow::Cow;

/// Why a sample cannot be used: the field, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct BadSample {
    /// The field's name.
    pub field: &'static str,
    /// What is wrong with it.
    pub why: &'static str,
}

/// One sample: the states before and after, the observation, and where its truth is volatile.
#[derive(Clone, Debug)]
pub struct Sample<'a> {
    pub(crate) id: Option<Text<'a>>,
    pub(crate) before: Value<'a>,
    pub(crate) after: Value<'a>,
    pub(crate) changes: Vec<Change<'static>>,
    pub(crate) observation: Observation<'a>,
    pub(crate) volatile: Vec<Vec<Segment<'static>>>,
}

/// What a prediction is held against, however it is kept.
pub(crate) struct Truth<'n, 'a> {
    /// The state before, untouched.
    pub(crate) before: View<'a, 'a>,
    pub(crate) changes: TrueChanges<'n, 'a>,
    /// The state after; `None` where the changes are all that is known of it.
    pub(crate) after: Option<View<'n, 'a>>,
    pub(crate) observation: &'n Observation<'a>,
    pub(crate) volatile: &'n [Vec<Segment<'static>>],
}

/// The true changes, ordered by path.
#[derive(Clone, Copy)]
pub(crate) enum TrueChanges<'n, 'a> {
    Kept(&'n [Change<'static>]),
    Found(&'n [Entry<'n, 'a>]),
    /// Kept as places on the tapes of the two states.
    Taped {
        before: &'a Taped<'a>,
        after: &'a Taped<'a>,
        changes: &'n [KeptChange],
    },
}

/// A true change whose values are cells.
#[derive(Debug)]
pub(crate) struct KeptChange {
    pub(crate) path: Vec<Text<'static>>,
    pub(crate) before: Option<u32>,
    pub(crate) after: Option<u32>,
}

/// The keys that lead to a true change.
#[derive(Clone, Copy)]
pub(crate) enum TruePath<'n> {
    Kept(&'n [Text<'static>]),
    Found(&'n [&'n [u8]]),
}

impl<'n, 'a: 'n> TrueChanges<'n, 'a> {
    pub(crate) fn len(self) -> usize {
        match self {
            Self::Kept(changes) => changes.len(),
            Self::Found(entries) => entries.len(),
            Self::Taped { changes, .. } => changes.len(),
        }
    }

    pub(crate) fn path(self, at: usize) -> TruePath<'n> {
        match self {
            Self::Kept(changes) => TruePath::Kept(&changes[at].path),
            Self::Found(entries) => TruePath::Found(&entries[at].path),
            Self::Taped { changes, .. } => TruePath::Kept(&changes[at].path),
        }
    }

    pub(crate) fn before(self, at: usize) -> Option<View<'n, 'a>> {
        match self {
            Self::Kept(changes) => changes[at].before.as_ref().map(View::Value),
            Self::Found(entries) => entries[at].before,
            Self::Taped { before, changes, .. } => changes[at].before.map(|cell| View::Raw(before.at(cell))),
        }
    }

    pub(crate) fn after(self, at: usize) -> Option<View<'n, 'a>> {
        match self {
            Self::Kept(changes) => changes[at].after.as_ref().map(View::Value),
            Self::Found(entries) => entries[at].after,
            Self::Taped { after, changes, .. } => changes[at].after.map(|cell| View::Raw(after.at(cell))),
        }
    }
}

impl<'n> TruePath<'n> {
    pub(crate) fn keys(self) -> impl Iterator<Item = &'n [u8]> {
        let (kept, found): (&[Text], &[&[u8]]) = match self {
            Self::Kept(keys) => (keys, &[]),
            Self::Found(keys) => (&[], keys),
        };
        kept.iter().map(|key| &**key).chain(found.iter().copied())
    }

    pub(crate) fn segments(self) -> Vec<Segment<'n>> {
        self.keys().map(Segment::key).collect()
    }
}

impl<'a> Sample<'a> {
    /// The sample as a truth.
    pub(crate) fn truth(&'a self) -> Truth<'a, 'a> {
        Truth {
            before: View::Value(&self.before),
            changes: TrueChanges::Kept(&self.changes),
            after: Some(View::Value(&self.after)),
            observation: &self.observation,
            volatile: &self.volatile,
        }
    }

    /// Read a sample from its object: `state_before`, `state_after`, `observation`, and optionally `sample_id` and
    /// `volatile` (a list of paths, each a list of texts and integers). Other fields are ignored.
    pub fn read(sample: Value<'a>) -> Result<Self, BadSample> {
        let Value::Object(mut fields) = sample else {
            return Err(BadSample { field: "sample", why: "is not an object" });
        };
        let missing = |field| BadSample { field, why: "is missing" };
        let observation = match fields.get(b"observation") {
            Some(Value::Str(text)) => text.clone(),
            Some(_) => return Err(BadSample { field: "observation", why: "is not a text" }),
            None => return Err(missing("observation")),
        };
        let id = match fields.get(b"sample_id") {
            None | Some(Value::Null) => None,
            Some(Value::Str(id)) => Some(id.clone()),
            Some(_) => return Err(BadSample { field: "sample_id", why: "is not a text" }),
        };
        let mut state = |field: &'static str| match fields.get_mut(field.as_bytes()) {
            Some(state @ Value::Object(_)) => Ok(std::mem::replace(state, Value::Null)),
            Some(_) => Err(BadSample { field, why: "is not an object" }),
            None => Err(missing(field)),
        };
        let (before, after) = (state("state_before")?, state("state_after")?);
        let changes = diff(&before, &after).into_iter().map(Change::into_owned).collect();
        let volatile = fields.get(b"volatile").map_or(Ok(Vec::new()), read_volatile)?;
        Ok(Self { id, before, after, changes, observation: Observation::new(observation), volatile })
    }

    /// The sample's id, if it has one.
    pub fn id(&self) -> Option<&[u8]> {
        self.id.as_deref()
    }

    /// The true changes.
    pub fn changes(&self) -> &[Change<'static>] {
        &self.changes
    }
}

pub(crate) fn read_volatile(paths: &Value) -> Result<Vec<Vec<Segment<'static>>>, BadSample> {
    let bad = BadSample { field: "volatile", why: "is not a list of paths (lists of texts and integers)" };
    let segment = |value: &Value| match value {
        Value::Str(text) => Ok(Segment { text: Cow::Owned(text.to_vec()), is_index: false }),
        Value::Int(int) => Ok(Segment { text: Cow::Owned(int.to_string().into_bytes()), is_index: true }),
        _ => Err(bad.clone()),
    };
    let path = |value: &Value| match value {
        Value::Array(segments) => segments.iter().map(segment).collect(),
        _ => Err(bad.clone()),
    };
    match paths {
        Value::Null => Ok(Vec::new()),
        Value::Array(paths) => paths.iter().map(path).collect(),
        _ => Err(bad.clone()),
    }
}
