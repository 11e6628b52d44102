//! Observations: exact text, unless the truth is a container; then equal values.

use crate::reader::{Syntax, read_value};
use crate::text::strip;
use crate::value::{Text, Value};
use crate::write::to_json;
use std::borrow::Cow;

/// The value of a text that is one JSON or Python-literal object, list, tuple or set, white space around it aside.
pub(crate) fn read_container(text: &[u8]) -> Option<Value<'_>> {
    // `s` begins `set()`.
    let text = strip(text);
    matches!(text.first(), Some(b'{' | b'[' | b'(' | b's'))
        .then(|| read_either(text))
        .flatten()
        .filter(Value::is_container)
}

/// The value of a text read as JSON, else as a Python literal.
pub(crate) fn read_either(text: &[u8]) -> Option<Value<'_>> {
    read_value(text, Syntax::Json).or_else(|_| read_value(text, Syntax::Literal)).ok()
}

/// The true observation, read once.
#[derive(Clone, Debug)]
pub(crate) struct Observation<'a> {
    text: Text<'a>,
    container: Option<Value<'a>>,
}

/// How a predicted observation compares with the true one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FeedbackMatch {
    pub(crate) equal: bool,
    pub(crate) verbatim: bool,
}

impl<'a> Observation<'a> {
    pub(crate) fn new(text: Text<'a>) -> Self {
        let container = match &text {
            Cow::Borrowed(text) => read_container(text),
            Cow::Owned(text) => read_container(text).map(Value::into_owned),
        };
        Self { text, container }
    }

    pub(crate) fn compare(&self, feedback: Option<&Value>) -> FeedbackMatch {
        match feedback {
            None | Some(Value::Null) => self.compare_text(b""),
            Some(Value::Str(text)) => self.compare_text(text),
            Some(value) if value.is_container() => {
                FeedbackMatch { equal: self.container.as_ref().is_some_and(|truth| truth == value), verbatim: false }
            }
            Some(scalar) => self.compare_text(&to_json(scalar)),
        }
    }

    fn compare_text(&self, text: &[u8]) -> FeedbackMatch {
        let verbatim = *self.text == *text;
        let as_container =
            || self.container.as_ref().is_some_and(|truth| read_container(text).is_some_and(|v| *truth == v));
        FeedbackMatch { equal: verbatim || as_container(), verbatim }
    }
}
