//! Samples: one question with its truth, read and prepared for scoring.

use crate::diff::{Change, diff};
use crate::node::Segment;
use crate::observation::Observation;
use crate::value::{Text, Value};
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

impl<'a> Sample<'a> {
    /// Read a sample from its object: `state_before`, `state_after`, `observation`, and optionally `sample_id` and
    /// `volatile` (a list of paths, each a list of texts and integers). Other fields are ignored.
    pub fn read(sample: &Value<'a>) -> Result<Self, BadSample> {
        let Value::Object(fields) = sample else { return Err(BadSample { field: "sample", why: "is not an object" }) };
        let missing = |field| BadSample { field, why: "is missing" };
        let state = |field: &'static str| match fields.get(field.as_bytes()) {
            Some(state @ Value::Object(_)) => Ok(state.clone()),
            Some(_) => Err(BadSample { field, why: "is not an object" }),
            None => Err(missing(field)),
        };
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

fn read_volatile(paths: &Value) -> Result<Vec<Vec<Segment<'static>>>, BadSample> {
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
